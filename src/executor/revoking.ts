/**
 * Taking back: on time, without anybody's help, and never given up. It waits for no sidecar, no receipt, no window and no disk; where the
 * lease book cannot be written it is done all the same, and done again by whoever opens the book next.
 */
import { payloadDigest } from '../protocol/dsse.ts';
import type { ReportMessage } from '../protocol/envelope.ts';
import { isUndoable } from '../protocol/plan.ts';
import type { RevokedReport } from '../protocol/signed.ts';
import { parseTime } from '../protocol/values.ts';
import type { StepState } from './book-entries.ts';
import { TargetError, type Connector } from './connector.ts';
import type { WorkerContext } from './context.ts';
import { backoffMs, within } from './deadline.ts';
import { sinksOf } from './keeping.ts';
import type { LeaseBook } from './lease-book.ts';
import { isVoid, leavesNone } from './order-fence.ts';
import { effectKey, type Effect, type HeldOrder } from './orders.ts';
import { plainDetail, saltState, type SaltedState } from './reports.ts';
import { createWithdrawals, type Withdrawals } from './withdrawing.ts';

export interface Revoker {
  /** Carries out what is due, oldest first, and looks again when the next order is. Idempotent. */
  tick(): void;
  /** The report of the revoke that this order asks for again; null while it is still to be carried out. */
  reportOf(held: HeldOrder): ReportMessage | null;
  /** Resolves when nothing is being taken back under the lease, which is at once where nothing is. */
  idle(leaseId: string): Promise<void>;
  /** What is still to be taken back, on time or late. */
  owed(): Owed;
  /** Resolves when no revoke is in the middle of a call to a target. Nothing new is begun. */
  close(): Promise<void>;
}

export interface Owed {
  /** Orders that wait for their time. */
  readonly armed: number;
  /** Orders that are due and not carried out, and for how long the one that is longest overdue has been, in ms. */
  readonly overdue: number;
  readonly overdueMs: number;
}

export function createRevoker(context: WorkerContext, foundQuietAtMs: number): Revoker {
  const { book, clock, limits } = context;
  /** By lease: one at a time. */
  const running = new Map<string, Promise<void>>();
  /** Digests of orders that nothing is left to do for. */
  const settled = new Set<string>();
  /** Digests of orders that were said not to be carried out as things are. */
  const kept = new Set<string>();
  const withdrawals = createWithdrawals(context);
  for (const leaseId of book.state.withdrawing) {
    const [held] = book.state.ordersOfLease.get(leaseId) ?? [];
    if (held !== undefined) withdrawals.owe(leaseId, held.order.clientToken);
  }
  let cancel = (): void => undefined;

  /** It was found there after it was taken back: once more, for each order that says so. */
  const isMoot = ({ order, digest }: HeldOrder): boolean => {
    const ended = book.state.ended.get(order.leaseId);
    return (order.cause === 'reconcile' ? ended?.orders.has(digest) : ended?.effects.has(effectKey(order))) ?? false;
  };
  // Void by what is durable: whoever opens the book next must know as well why it was left.
  const isOwed = (held: HeldOrder): boolean => !settled.has(held.digest) && !isMoot(held) && !isVoid(book.kept, held);
  const isWaiting = (held: HeldOrder): boolean => {
    if (settled.has(held.digest) || running.has(held.order.leaseId)) return false;
    if (!isOwed(held)) settled.add(held.digest);
    return !settled.has(held.digest);
  };
  const tick = (): void => {
    cancel();
    if (context.isClosing()) return;
    const nowMs = clock.nowMs();
    let nextMs = nowMs + limits.tickMs;
    const waiting = [...book.state.orders.values()].filter(isWaiting).sort((a, b) => a.dueMs - b.dueMs);
    for (const held of waiting) {
      const { leaseId } = held.order;
      if (running.has(leaseId)) continue;
      if (held.dueMs > nowMs) {
        nextMs = Math.min(nextMs, held.dueMs);
        break;
      }
      if (leavesNone(book.state, held)) {
        if (!kept.has(held.digest)) sayKept(context, held);
        kept.add(held.digest);
        continue;
      }
      running.set(leaseId, carryOut(context, withdrawals, held, foundQuietAtMs).then((how) => {
        // Another worker's to keep: a person may order otherwise.
        if (how === 'kept') settled.add(held.digest);
      }).catch(async (error: unknown) => {
        context.logger.error({ leaseId, reason: String(error) }, 'a revoke stopped where it should not; it is begun again');
        await context.pauses.pause(limits.revokeRetryMs.longest);
      }).finally(() => {
        running.delete(leaseId);
        tick();
      }));
    }
    cancel = clock.after(nextMs - nowMs, tick);
  };
  return {
    tick,
    reportOf: (held) => (isMoot(held) && !mayBeTakenUpAgain(context, held.order.leaseId) ? (book.state.ended.get(held.order.leaseId)?.report ?? null) : null),
    owed() {
      const nowMs = clock.nowMs();
      const dueMs = [...book.state.orders.values()].filter(isOwed).map((held) => held.dueMs);
      const late = dueMs.filter((atMs) => atMs <= nowMs);
      return { armed: dueMs.length - late.length, overdue: late.length, overdueMs: late.length === 0 ? 0 : nowMs - Math.min(...late) };
    },
    idle: (leaseId) => running.get(leaseId) ?? Promise.resolve(),
    async close() {
      cancel();
      await Promise.all([...running.values(), withdrawals.idle()]);
    },
  };
}

/** People hear of an order that is kept: it is carried out once it leaves somebody, or when one of them orders it. */
function sayKept(context: WorkerContext, held: HeldOrder): void {
  const detail = 'the old login is shut out, or may be: without the new one there would be none. A person may order it';
  context.logger.error({ leaseId: held.order.leaseId }, 'an order to take back a new login would leave none: it waits');
  context.outbox.add(makeReport(context, held, { outcome: 'failed', code: 'none-would-be-left', detail, attempt: 1 }, null));
}

/**
 * Takes back what the order names, however long it takes, and leaves a tombstone and a report. Ends without either only when closing, or where
 * another worker has replaced the old access, so that nobody would be left.
 */
async function carryOut(context: WorkerContext, withdrawals: Withdrawals, held: HeldOrder, foundQuietAtMs: number): Promise<'ended' | 'kept'> {
  const { book, clock, limits, logger } = context;
  const { leaseId, clientToken } = held.order;
  context.ending.add(leaseId);
  // What is on its way is not waited for: it counts as sent, and is looked for again once it can no longer arrive.
  context.inFlight.interrupt(leaseId);
  const lateMs = clock.nowMs() - held.dueMs;
  const say = lastingReports(context, held);
  const othersQuietAtMs = await context.claims.end(leaseId, held.order.cause === 'early');
  if (othersQuietAtMs === 'kept') {
    context.ending.delete(leaseId);
    sayKept(context, held);
    return 'kept';
  }
  withdrawals.hurry(leaseId, clientToken);
  for (let attempt = 1; !context.isClosing(); attempt += 1) {
    const effects = effectsOf(context, held);
    try {
      const outcome = await takeBack(context, leaseId, effects, { foundQuietAtMs, othersQuietAtMs });
      if (outcome !== 'mismatch') {
        const after = await readAfter(context, givenUnder(effects, held.order));
        const report = makeReport(context, held, { outcome, code: null, detail: null, attempt }, after);
        const ended = { t: 'ended', leaseId, effects: [...effects.known, ...effects.claimed].map(effectKey), report } as const;
        const kept = await book.append(ended, ...(sinksOf(context, leaseId).length === 0 ? [] : [{ t: 'withdrawing' as const, leaseId }])).then(() => true, (error: unknown) => {
          logger.error({ leaseId, reason: String(error) }, 'access was taken back and the lease book cannot say so');
          return false;
        });
        // A tombstone that cannot be kept is no reason to keep quiet, unless whoever opens the book next would take the step up again.
        if (!kept && mayBeTakenUpAgain(context, leaseId)) throw new TargetError('ambiguous', 'taken back; but the lease book cannot keep that, and the ticket is still good');
        context.outbox.add(report);
        logger.info({ leaseId, outcome, attempt, lateMs }, 'access taken back');
        withdrawals.owe(leaseId, clientToken);
        return 'ended';
      }
      logger.error({ leaseId, attempt }, 'what is there under the name is not what was given: left alone');
      say('mismatch', 'mismatch', 'something of that name is there that this lease did not give', attempt);
    } catch (error) {
      const detail = plainDetail(error instanceof Error ? error.message : String(error));
      const code = error instanceof TargetError ? `target-${error.kind}` : 'connector-fault';
      logger.error({ leaseId, attempt, code, reason: detail }, 'access could not be taken back; trying again');
      say('failed', code, detail, attempt);
    }
    await context.pauses.pause(backoffMs(limits.revokeRetryMs, attempt - 1));
  }
  return 'ended';
}

/** Whether whoever opens the book next could make another attempt of a step under this lease: it has neither an end nor a tombstone there, and its ticket is still good. */
function mayBeTakenUpAgain({ book: { kept }, clock, trust }: WorkerContext, leaseId: string): boolean {
  if (kept.ended.has(leaseId)) return false;
  const isGood = ({ claim, resolved }: StepState): boolean =>
    claim !== null && resolved === null && clock.nowMs() < parseTime(claim.ticket.notAfter) + trust.requirements.clockSkewMs;
  return [...(kept.stepsOfLease.get(leaseId) ?? [])].some((stepId) => isGood(kept.steps.get(stepId)!));
}

/**
 * What is to be undone: what the lease book says was given, and after it what the order says, should they differ. A signature on a wrong
 * order must not be a way to keep access, neither by taking back something else nor by naming what cannot be taken back.
 */
function effectsOf({ book }: WorkerContext, { order }: HeldOrder): Effects {
  const effects: Given[] = [];
  for (const { claim, attempts } of stepsOf(book, order.leaseId)) {
    if (claim === null || attempts.length === 0) continue;
    const { action, ...step } = claim.ticket.step;
    if (!isUndoable(action)) continue;
    const given: Given = { ...step, action };
    if (!effects.some((effect) => effectKey(effect) === effectKey(given))) effects.push(given);
  }
  if (effects.length === 0) return { known: [order], claimed: [] };
  return { known: effects, claimed: effects.some((effect) => effectKey(effect) === effectKey(order)) ? [] : [order] };
}

/** `known` must be gone before anyone says so; what only the order claims is tried as well. */
interface Effects {
  readonly known: readonly Given[];
  readonly claimed: readonly Given[];
}

/** What was given, and for a rotation the login beside it, which stays. */
type Given = Effect & { readonly other?: string | undefined };

/** What the order names, as far as more is known of it. */
function givenUnder({ known }: Effects, order: Effect): Given {
  return known.find((given) => effectKey(given) === effectKey(order)) ?? order;
}

function stepsOf({ state }: LeaseBook, leaseId: string): StepState[] {
  return [...(state.stepsOfLease.get(leaseId) ?? [])].map((stepId) => state.steps.get(stepId)!);
}

/** @throws TargetError, or whatever a connector throws, when it is not known to be gone */
async function takeBack(context: WorkerContext, leaseId: string, effects: Effects, quiet: { readonly foundQuietAtMs: number; readonly othersQuietAtMs: number }): Promise<'done' | 'already-absent' | 'mismatch'> {
  const first = await revokeAll(context, effects);
  const quietAtMs = Math.max(quiet.othersQuietAtMs, lastMomentOf(context, leaseId, quiet.foundQuietAtMs));
  const waitMs = quietAtMs - context.clock.nowMs();
  if (waitMs <= 0) return first;
  // A grant may still be in flight: final only after the last moment at which it can arrive.
  while (context.clock.nowMs() < quietAtMs && !context.isClosing()) await context.pauses.pause(quietAtMs - context.clock.nowMs());
  if (context.isClosing()) throw new TargetError('ambiguous', 'closing before the last attempt has surely ended');
  const second = await revokeAll(context, effects);
  return second === 'already-absent' ? first : second;
}

/** When the last attempt under this lease that nobody has accounted for can have no effect any more, in epoch ms. */
function lastMomentOf({ book, inFlight }: WorkerContext, leaseId: string, foundQuietAtMs: number): number {
  for (const { claim, attempts } of stepsOf(book, leaseId)) {
    if (claim === null || !isUndoable(claim.ticket.step.action)) continue;
    if (attempts.at(-1)?.status === 'open') return Math.max(foundQuietAtMs, inFlight.quietAtMs(leaseId));
  }
  return 0;
}

/** Tries every effect, whatever becomes of the others. @throws the first failure of a known one, once all have been tried */
async function revokeAll(context: WorkerContext, { known, claimed }: Effects): Promise<'done' | 'already-absent' | 'mismatch'> {
  const outcomes: ('done' | 'already-absent' | 'mismatch')[] = [];
  const failures: unknown[] = [];
  for (const effect of [...known, ...claimed]) {
    try {
      const connector = connectorOf(context, effect);
      outcomes.push(await within(context.clock, context.limits.revokeTimeoutMs, (signal) => connector.revoke(effect, signal)));
    } catch (error) {
      if (known.includes(effect)) failures.push(error);
      else context.logger.warn({ reason: String(error) }, 'an order names what was not given, and that cannot be taken back');
    }
  }
  if (failures.length > 0) throw failures[0];
  return outcomes.includes('mismatch') ? 'mismatch' : outcomes.includes('done') ? 'done' : 'already-absent';
}

function connectorOf({ connectors }: WorkerContext, { connector }: Effect): Connector {
  const found = connectors.get(connector);
  if (found === undefined) throw new TargetError('unreachable', `no connector ${connector} here any more`);
  return found;
}

/** The state after, as far as it can be read at the first try: the access is gone whether or not the target says more. */
async function readAfter(context: WorkerContext, given: Given): Promise<SaltedState | null> {
  const { connector, action, target, account, other, privileges, clientToken } = given;
  const query = { connector, target, action, account, ...(other === undefined ? {} : { other }), privileges: [...privileges], clientToken };
  try {
    const read = (signal: AbortSignal): ReturnType<Connector['read']> => connectorOf(context, given).read(query, signal);
    return saltState(await within(context.clock, context.limits.askTimeoutMs, read), context.random);
  } catch {
    return null;
  }
}

function makeReport(
  context: WorkerContext, { order, envelope, digest }: HeldOrder, said: Pick<RevokedReport, 'outcome' | 'code' | 'detail' | 'attempt'>, after: SaltedState | null,
): ReportMessage {
  const { log, changeId, leaseId, epoch } = order;
  // The secret was never kept, so there is nothing to try the old access with.
  return context.report({ kind: 'revoked', log, changeId, leaseId, epoch, order: digest, after: after?.digest ?? null, byUse: 'notTried', ...said }, { states: [after], order: envelope });
}

/** Reports of what does not work: at the first, and then at growing intervals; never two of one kind at a time on their way. */
function lastingReports(context: WorkerContext, held: HeldOrder): (outcome: 'failed' | 'mismatch', code: string, detail: string | null, attempt: number) => void {
  let nextAttempt = 1;
  let said: string | null = null;
  return (outcome, code, detail, attempt) => {
    if (outcome === said && attempt < nextAttempt) return;
    said = outcome;
    nextAttempt = Math.max(nextAttempt, attempt) * 2;
    const report = makeReport(context, held, { outcome, code, detail, attempt }, null);
    context.logger.warn({ leaseId: held.order.leaseId, report: payloadDigest(report.report), outcome }, 'reporting that access is still there');
    context.outbox.add(report);
  };
}
