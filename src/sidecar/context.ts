/** What the handlers share, and the three things each of them does: look up what the caller may see, wait, answer what is durable. */
import { LedgerError, type Log } from '../../ledger/index.ts';
import { FINAL_STATES, shownState, type ChangeState } from '../change/state.ts';
import type { Answer, Engine } from '../engine/engine.ts';
import type { Clock, Logger } from '../engine/ports.ts';
import type { HeldEntry } from '../facts/granted.ts';
import type { Facts } from '../facts/load.ts';
import type { Authenticated } from '../identity/tokens.ts';
import type { Metrics } from '../metrics/metrics.ts';
import { durationSeconds } from '../protocol/values.ts';
import { Problem } from './errors.ts';
import type { VerdictAnswer } from '../transport/nats/verdicts.ts';
import type { Verdict } from './relay.ts';
import type { Tracing } from './traced.ts';
import { maySeeChange } from './visibility.ts';

export interface SidecarContext {
  readonly engine: Engine;
  readonly log: Log;
  /** Resolves once the ledger's files have all that is sequenced now. @see sharePublishing */
  readonly published: () => Promise<void>;
  readonly facts: () => Facts;
  readonly clock: Pick<Clock, 'nowMs'>;
  readonly logger: Logger;
  /** Reads a file below the ledger's directory; null where there is none. */
  readonly readLedgerFile: (path: string) => Promise<Uint8Array | null>;
  /** Who may read checkpoint and tiles; left out: auditors. */
  readonly ledgerReaders?: 'auditors' | 'anyone';
  /** Those that an executor serves. */
  readonly connectors: readonly string[];
  readonly executors: readonly { readonly id: string; readonly connected: () => boolean }[];
  /** Where the facts files cannot be taken; null while what they say is in force. */
  readonly factsTrouble?: () => string | null;
  /** Exceptions and scopes that are not in force, since not enough people have granted them; null where nobody is asked. */
  readonly heldExceptions?: () => readonly HeldEntry[] | null;
  /** How fetching policy stands, where it is fetched. */
  readonly policySource?: () => { readonly ok: boolean; readonly message: string };
  /** Resolves once a policy bundle that waited for people is in force, where they have let it; left out: the policy stays what it is. */
  readonly settlePolicy?: () => Promise<void>;
  /** What keeps the copy of the ledger from coming on, where one is kept; null while nothing does. */
  readonly copyTrouble?: () => string | null;
  /** How the witnesses of the ledger stand, where there are some. */
  readonly witnesses?: () => { readonly ok: boolean; readonly message: string };
  /** Hands a verdict on a change of another log to its sidecar; left out where there is no bus. @throws TransportError */
  readonly relay?: (verdict: Verdict) => Promise<VerdictAnswer>;
  /** Where the sidecar is reached from elsewhere, `https://…`, through whatever ends TLS. */
  readonly publicUrl?: string | undefined;
  /** Where the page for approvers is; left out where no browser comes: there is no `publicUrl`. */
  readonly approvePage?: string | undefined;
  /** Where somebody reads how it does; left out: nobody. */
  readonly metrics?: Metrics;
  /** Where somebody looks at what was done, span by span; left out: nobody. */
  readonly tracing?: Tracing;
  /** Aborted when the sidecar stops: those who wait are answered with what there is. */
  readonly draining: AbortSignal;
}

/** The same words for a change that is not there and for one that is none of the caller's business. */
export function noSuchChange(): Problem {
  return new Problem('no-such-change', 'no change of this id');
}

/** The value of an answer. @throws Problem with the answer's code */
const RETRY_AFTER: Readonly<Record<string, string>> = { 'too-many-open': '60', 'approval-not-judged': '5' };

export function unwrap<T>(answer: Answer<T>): T {
  if (answer.ok) return answer.value;
  if (answer.code === 'no-such-change') throw noSuchChange();
  throw new Problem(answer.code, answer.message, {
    ...(answer.reasons === undefined ? {} : { reasons: answer.reasons }),
    ...(answer.state === undefined ? {} : { change: { state: shownState(answer.state), revision: answer.state.revision, lastRecord: answer.state.lastSeq } }),
    ...(Object.hasOwn(RETRY_AFTER, answer.code) ? { headers: { 'retry-after': RETRY_AFTER[answer.code]! } } : {}),
  });
}

/** The change, if `by` may see it. @throws Problem `no-such-change` */
export async function visibleChange(context: SidecarContext, by: Authenticated, changeId: string): Promise<ChangeState> {
  const state = await context.engine.find(changeId);
  if (state === undefined || !maySeeChange(by, state, context.facts())) throw noSuchChange();
  return state;
}

/**
 * `state`, once nobody can lose it any more: nothing is told that a crash could unsay. Of a change that is over, once the ledger's files have it too:
 * whoever hears of it may verify it next.
 *
 * @throws LedgerError `unwritable`
 */
export async function durable({ log, published }: SidecarContext, state: ChangeState): Promise<ChangeState> {
  if (state.lastSeq >= log.durableSize) await log.durable();
  // Durable it is all the same: a checkpoint that cannot be written is told elsewhere.
  if ((FINAL_STATES.has(state.name) || state.name === 'done') && state.lastSeq >= log.checkpoint().size) await published().catch(() => undefined);
  return state;
}

/** The change once `until` holds, or as it is after `wait` or when the sidecar stops. */
export async function waitUntil(context: SidecarContext, state: ChangeState, wait: string | undefined, until: (state: ChangeState) => boolean): Promise<ChangeState> {
  const { engine, clock, draining } = context;
  const deadlineMs = clock.nowMs() + (wait === undefined ? 0 : durationSeconds(wait) * 1000);
  let latest = state;
  for (;;) {
    const leftMs = deadlineMs - clock.nowMs();
    if (until(latest) || leftMs <= 0 || draining.aborted) return latest;
    await unlessAborted(engine.changed(latest.changeId, latest.length, leftMs), draining);
    latest = (await engine.find(latest.changeId)) ?? latest;
  }
}

/** Settles with `pending`, or resolves when `signal` aborts. Leaves no listener behind. */
async function unlessAborted(pending: Promise<unknown>, signal: AbortSignal): Promise<void> {
  let stop: () => void = () => undefined;
  const stopped = new Promise<void>((resolve) => {
    stop = resolve;
  });
  signal.addEventListener('abort', stop);
  try {
    await Promise.race([pending, stopped]);
  } finally {
    signal.removeEventListener('abort', stop);
    stop();
  }
}

/** The problem that an error is to the caller. Anything unforeseen says nothing of itself. */
export function problemOf(error: unknown): Problem {
  if (error instanceof Problem) return error;
  if (error instanceof LedgerError) {
    if (error.code === 'too-large') return new Problem('body-too-large', 'the request does not fit into one record', { cause: error });
    if (error.code === 'archived') return new Problem('archived', 'records of old were moved to an archive, which the sidecar cannot read now: whoever runs it knows where that is', { cause: error });
    if (error.code === 'full') return new Problem('ledger-unwritable', 'there is no room on the disk but for what takes back: nothing was recorded and nothing is given until there is', { headers: { 'retry-after': '5' }, cause: error });
    return new Problem('ledger-unwritable', 'the ledger cannot be written: nothing was recorded and nothing is given', { headers: { 'retry-after': '5' }, cause: error });
  }
  return new Problem('internal', 'something went wrong that is not of your making; the log has it', { cause: error });
}
