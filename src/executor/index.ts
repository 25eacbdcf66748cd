/**
 * The door for those who write a connector, or run a worker in a process of their own: `countersign/executor`.
 *
 * A connector is the code that touches one kind of target; `countersign connector new` makes the beginning of one, `countersign/executor/kit` has
 * the checks that it must pass, and `kind: module` in executor.yaml has `countersign worker` load it. A worker needs besides: a disk and a
 * signer (`countersign/ledger`), a trust folder, and a way to be reached.
 *
 * ```ts
 * const worker = await openWorker({
 *   executorId: 'executor:own', signer, trust: await loadTrustFolder('trust', { actedOn: true }), connectors: new Map([['orders', connector]]),
 *   disk: nodeDisk('state'), clock: systemClock, random: randomBytes, seal: sealSecret, fingerprintKey, logger, send: (message) => listener.send(message),
 * });
 * const listener = await listenLocal({ socket: 'executor.sock', worker, clock: systemClock, logger });
 * ```
 */
export { TargetError, type ApplyInput, type Connector, type Described, type StateWithoutSalt } from './connector.ts';
export type { PlanStep, StepAction } from '../protocol/plan.ts';
export type { Query, RevokeOrder } from '../protocol/signed.ts';
export { openWorker, WorkerError, type Worker, type WorkerOptions } from './worker.ts';
export type { WorkerLimits } from './context.ts';
export { sealSecret } from './seal.ts';
export { systemClock } from './system-clock.ts';
export { loadTrustFolder, type Trust } from '../protocol/trust-folder.ts';
export { listenLocal, type LocalListener } from '../transport/local/executor-end.ts';
export type { Clock, Logger, RandomBytes } from '../engine/ports.ts';
export type { ReportMessage } from '../protocol/envelope.ts';
