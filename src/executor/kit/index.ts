/**
 * The door for those who test a connector: `countersign/executor/kit`. The checks need no test runner of their own.
 *
 * ```ts
 * for (const { title, run } of connectorChecks(['provision'], () => adapter)) test(title, run);
 * ```
 */
export type { Check, KitAction, TargetAdapter } from './adapter.ts';
export { connectorChecks } from './checks.ts';
export { NAMES } from './names.ts';
