/** The door for those who test a connector: `countersign/executor/kit`. */
export type { Check, KitAction, TargetAdapter } from './adapter.ts';
export { connectorChecks } from './checks.ts';
export { NAMES } from './names.ts';
