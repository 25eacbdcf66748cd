/** A rotation as a sidecar has it made: three steps under one plan, each sent until it is taken up. */
import { deriveRevokeOrder } from '../../src/change/derive.ts';
import type { Worker } from '../../src/executor/worker.ts';
import type { StepAction } from '../../src/protocol/plan.ts';
import type { Dsse, RevokeOrder } from '../../src/protocol/signed.ts';
import { freshChangeId, makeStep, OLD, someLog, type Edits, type Made } from './envelopes.ts';
import type { PaperLog } from './paper-log.ts';
import { EXECUTOR, keys, sidecar, sign } from './story.ts';
import type { Bench } from './worker-bench.ts';

export interface Rotation {
  readonly changeId: string;
  readonly log: PaperLog;
  /** The ticket of one step, recorded now. */
  step(action: StepAction, edits?: Edits): Made;
  /** Takes the staged login back. */
  order(cause: RevokeOrder['cause'], nowMs: number): Dsse;
}

export function rotation(shared: Edits = {}): Rotation {
  const changeId = freshChangeId();
  const log = someLog();
  return {
    changeId, log,
    step: (action, edits = {}) => makeStep({ ...shared, ...edits, action, changeId, log }),
    order(cause, nowMs) {
      const { plan } = makeStep({ ...shared, action: 'stage', changeId });
      const byPerson = cause === 'early';
      return sign.order(deriveRevokeOrder(plan, EXECUTOR, nowMs, cause, byPerson ? 'person:sam' : sidecar)!, byPerson ? keys.revoker : keys.ticket);
    },
  };
}

/** The old login, which somebody uses. */
export function withOldLogin(bench: Bench): Bench {
  bench.target.accounts.set(OLD, { token: null, secret: 'of before', validUntil: null });
  return bench;
}

/** Sends a step, proving again whatever the executor has seen of the log. */
export async function deliver(worker: Worker, { envelope, log, index }: Made): Promise<void> {
  const answer = await worker.step(envelope);
  if (!answer.accepted) await worker.step({ ...envelope, receipt: log.receipt(index, { fromSize: answer.fromSize }) });
}

/** Delivers the step and waits for its last word. Returns the outcome, and the code if it has one. */
export async function carriedOut(bench: Bench, worker: Worker, made: Made): Promise<string> {
  await deliver(worker, made);
  const said = (): ReturnType<typeof bench.of<'acted'>>[number] | undefined =>
    bench.of('acted').find(({ stepId, issue, outcome }) => stepId === made.ticket.stepId && issue === made.ticket.issue && outcome !== 'ambiguous');
  await bench.clock.until(() => said() !== undefined);
  const { outcome, code } = said()!;
  return code === null ? outcome : `${outcome} ${code}`;
}
