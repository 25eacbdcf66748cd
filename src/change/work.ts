/**
 * What a change waits for the control plane to do, read off its state: the outbox, as a pure function.
 *
 * The same function drives steady running and start-up: after a crash the fold is the same, so the work is the same (invariant 5).
 * Publishing is at least once; executors make it one effect per step.
 */
import { parseTime } from '../protocol/values.ts';
import { mayBeJudged, mayEndAdopted } from './adopted.ts';
import type { Debt } from './break-glass.ts';
import { windowEndMs } from './derive.ts';
import { escalationDueMs } from './escalation.ts';
import { nextDebt, owesAnything } from './glass-debts.ts';
import { FINAL_STATES, isPastCutover, mayHaveGiven, mayRollBack, needsAnotherIssue, stepOf, stillGives, type ChangeState, type IssuedTicket } from './state.ts';

export type Work =
  /** Read the target, or, where policy will refuse anyway for want of a fact, go straight to the decision. */
  | { readonly do: 'read' }
  | { readonly do: 'publishRead' }
  | { readonly do: 'decide' }
  | { readonly do: 'expire' }
  /** It has waited for approvals for long: further people are told. */
  | { readonly do: 'escalate' }
  /** Decide again on fresh facts and authorise the step: one piece of work, since the decision must be fresh. */
  | { readonly do: 'dispatch' }
  | { readonly do: 'arm' }
  /** The order of an epoch that an applied extension has superseded is taken off the transport. */
  | { readonly do: 'disarm' }
  /** An extension that nobody was heard of: the end that it was to give has passed. */
  | { readonly do: 'expireExtension' }
  | { readonly do: 'publishAct' }
  | { readonly do: 'verify' }
  /** Take back what must not stay: a state that policy refused, a delivery that was given up, a withdrawn step. */
  | { readonly do: 'compensate' }
  | { readonly do: 'publishRevoke' }
  | { readonly do: 'giveUpDelivery' }
  /** The access should be gone and nobody has said that it is. */
  | { readonly do: 'overdue' }
  /** The planned window is open: its consumers are told before anything happens in it. */
  | { readonly do: 'openWindow' }
  | { readonly do: 'closeWindow' }
  /** The window has closed and nothing was done in it: planned anew, or expired. */
  | { readonly do: 'missWindow' }
  /** Mode `caller`: its code has run; the target is read to see what it did. */
  | { readonly do: 'readAfter' }
  | { readonly do: 'publishReadAfter' }
  /** Mode `caller`: the ticket ran out, and nobody had taken it up. */
  | { readonly do: 'expireUnclaimed' }
  /** Mode `caller`: its time is over, and it has said nothing. */
  | { readonly do: 'callerSilent' }
  /** A rotation that cannot switch over, or has and does not get rid of the old credential. */
  | { readonly do: 'stalled' }
  /** Ticket after ticket has run out, and no executor has taken the step up. */
  | { readonly do: 'unanswered' }
  /** Nobody has fetched a secret that cannot be undone. */
  | { readonly do: 'unfetched' }
  /** Look after the items of an offboarding. */
  | { readonly do: 'offboard' }
  /** What a broken glass leaves owed was not done in time. */
  | { readonly do: 'debtOverdue'; readonly debt: Debt }
  /** It was begun under an earlier log, and gives nothing any more. */
  | { readonly do: 'endAdopted' };

export interface Due {
  readonly work: Work | null;
  /** Epoch ms at which to look again though nothing was recorded; null: only an event changes anything. */
  readonly wakeAtMs: number | null;
}

export interface WorkLimits {
  /** How long after a lease's end its report may take before it is overdue. */
  readonly overdueAfterMs: number;
  /** How long a sealed secret waits to be fetched. */
  readonly deliveryMs: number;
  /** How long after its grace, or after the step before, a rotation may take for its next step before that is a finding. */
  readonly stalledAfterMs: number;
}

/** How often the items of an offboarding are looked at though nothing was recorded. */
const LOOK_AGAIN_MS = 15_000;

const NOTHING: Due = { work: null, wakeAtMs: null };
const now = (work: Work): Due => ({ work, wakeAtMs: null });
const at = (wakeAtMs: number): Due => ({ work: null, wakeAtMs });

/**
 * The next piece of work of one change, at `nowMs`. That a review or a rotation is overdue is said when nothing else is to be done: it holds up no revoke.
 *
 * @param recordMs of the next record, which a clock that was set back does not make earlier. What is to come waits for the clock; that people's time to decide or
 *   a window is over is judged by this, as what would be recorded in it is: or the change would wait for what is taken no more
 */
export function nextWork(state: ChangeState, nowMs: number, limits: WorkLimits, recordMs = nowMs): Due {
  const due = nextOf(state, nowMs, limits, recordMs);
  const debt = nextDebt(state);
  if (debt === null || due.work !== null) return due;
  return nowMs >= debt.byMs ? now({ do: 'debtOverdue', debt }) : at(soonest(due.wakeAtMs, debt.byMs)!);
}

function nextOf(state: ChangeState, nowMs: number, limits: WorkLimits, recordMs: number): Due {
  if (state.ended !== null) return state.window === 'opened' ? now({ do: 'closeWindow' }) : NOTHING;
  const overdue = overdueAt(state, limits);
  const ordered = state.revokes.length > 0;
  if (overdue !== null && nowMs >= overdue && (!ordered || !state.findings.has('revoke-overdue'))) return now({ do: 'overdue' });
  if (ordered) return { work: { do: 'publishRevoke' }, wakeAtMs: state.findings.has('revoke-overdue') ? null : overdue };
  const closing = closingOf(state, recordMs);
  if (closing.work !== null) return closing;
  if (state.superseded.length > 0) return { work: { do: 'disarm' }, wakeAtMs: overdue };
  const due = state.adoptedFrom === null ? workOf(state, nowMs, limits, recordMs) : adopted(state, nowMs, limits, recordMs);
  return { work: due.work, wakeAtMs: soonest(due.wakeAtMs, closing.wakeAtMs, due.work === null ? overdue : null) };
}

function soonest(...times: readonly (number | null)[]): number | null {
  const given = times.filter((time) => time !== null);
  return given.length === 0 ? null : Math.min(...given);
}

/** A window that was opened is closed when its time has come, or when nothing of the change needs it any more. */
function closingOf(state: ChangeState, recordMs: number): Due {
  if (state.window !== 'opened' || state.plan?.window === undefined) return NOTHING;
  const closesAtMs = parseTime(state.plan.window.closesAt);
  const finished = FINAL_STATES.has(state.name) || state.name === 'active' || state.name === 'done';
  return finished || recordMs >= closesAtMs ? now({ do: 'closeWindow' }) : at(closesAtMs);
}

/** When an end that nobody has reported is overdue: the lease's, or the earliest that was ordered. */
function overdueAt(state: ChangeState, limits: WorkLimits): number | null {
  const dueMs = endDueMs(state);
  return dueMs === null ? null : dueMs + limits.overdueAfterMs;
}

function workOf(state: ChangeState, nowMs: number, limits: WorkLimits, recordMs: number): Due {
  switch (state.name) {
    case 'requested':
      if (state.before !== null) return now({ do: 'decide' });
      if (isUnanswered(state, state.read, nowMs)) return now({ do: 'unanswered' });
      if (state.read === null || state.read.spent || nowMs >= state.read.notAfterMs) return now({ do: 'read' });
      return { work: { do: 'publishRead' }, wakeAtMs: state.read.notAfterMs };
    case 'pending':
      return waiting(state, nowMs, recordMs);
    case 'scheduled':
      return inItsTime(state, nowMs, recordMs, { do: 'missWindow' });
    case 'staged':
      return staged(state, nowMs, limits, recordMs);
    case 'authorised':
    case 'executing':
      if (state.plan?.kind === 'offboard') return { work: { do: 'offboard' }, wakeAtMs: nowMs + LOOK_AGAIN_MS };
      if (state.plan?.mode === 'caller') return called(state, nowMs);
      if (isStalled(state, nowMs, limits)) return now({ do: 'stalled' });
      if (!state.claimed && isUnanswered(state, state.act, nowMs)) return now({ do: 'unanswered' });
      if (state.lease?.armed === false || state.extension?.armed === false) return now({ do: 'arm' });
      if (state.extension !== null) return extending(state, state.extension.endsAtMs, nowMs, limits, recordMs);
      if (needsAnotherIssue(state, nowMs)) return state.lease !== null && nowMs >= state.lease.endsAtMs ? NOTHING : again(state, nowMs, limits, recordMs);
      // Once claimed, the ticket's end changes nothing: a wake-up in the past would come at once, and again.
      return { work: { do: 'publishAct' }, wakeAtMs: state.claimed ? null : (state.act?.notAfterMs ?? null) };
    case 'verifying':
      if (state.verification === null) return seen(state, nowMs);
      return state.verification.effect === 'deny' && !state.findings.has('verification-failed') ? now({ do: 'compensate' }) : NOTHING;
    case 'active':
    case 'done':
      return delivery(state, nowMs, limits);
    case 'withdrawing':
    case 'revoking':
      return mayHaveGiven(state) ? now({ do: 'compensate' }) : NOTHING;
    case 'failed':
      return NOTHING;
    case 'denied':
    case 'rejected':
    case 'expired':
    case 'withdrawn':
    case 'revoked':
      return NOTHING;
  }
}

/** Where the time to decide is over, nobody is told any more that it is short. */
function waiting(state: ChangeState, nowMs: number, recordMs: number): Due {
  if (state.approvalsByMs !== null && recordMs >= state.approvalsByMs) return now({ do: 'expire' });
  const escalateAtMs = escalationDueMs(state);
  if (escalateAtMs !== null && nowMs >= escalateAtMs) return now({ do: 'escalate' });
  return { work: null, wakeAtMs: soonest(state.approvalsByMs, escalateAtMs) };
}

/** What is on its way to be given is taken back, or ends; what runs stays until its end; what takes away goes on. */
function adopted(state: ChangeState, nowMs: number, limits: WorkLimits, recordMs: number): Due {
  if (state.name === 'staged' || state.name === 'authorised' || state.name === 'executing' || state.name === 'verifying') {
    if (state.extension !== null) return now({ do: 'endAdopted' });
    if (state.name === 'verifying' && mayBeJudged(state)) return state.verification === null ? now({ do: 'verify' }) : workOf(state, nowMs, limits, recordMs);
    if (!mayHaveGiven(state)) return takingAway(state, nowMs, limits, recordMs);
    if (mayRollBack(state)) return now({ do: 'compensate' });
    return state.findings.has('rotation-stalled') ? NOTHING : now({ do: 'stalled' });
  }
  return mayEndAdopted(state) ? now({ do: 'endAdopted' }) : workOf(state, nowMs, limits, recordMs);
}

/** A step that nothing undoes may have been carried out, and its report be on its way. Nobody reads the target for it under this log. */
function takingAway(state: ChangeState, nowMs: number, limits: WorkLimits, recordMs: number): Due {
  if (state.plan?.kind === 'offboard') return workOf(state, nowMs, limits, recordMs);
  if (state.plan?.mode === 'caller') return mayEndAdopted(state) ? now({ do: 'endAdopted' }) : called(state, nowMs);
  const quietAtMs = Math.max(state.act?.notAfterMs ?? 0, state.lastAtMs) + limits.stalledAfterMs;
  return nowMs >= quietAtMs ? now({ do: 'endAdopted' }) : at(quietAtMs);
}

/** So many tickets of a step may run out without a word before that is a finding: a worker that is restarted misses one. */
const UNANSWERED_TICKETS = 3;

function isUnanswered(state: ChangeState, issued: IssuedTicket | null, nowMs: number): boolean {
  return issued !== null && issued.issue >= UNANSWERED_TICKETS && nowMs >= issued.notAfterMs && !state.findings.has('step-stuck');
}

/** An extension goes on as any step does, until the end that it was to give. */
function extending(state: ChangeState, endsAtMs: number, nowMs: number, limits: WorkLimits, recordMs: number): Due {
  if (nowMs >= endsAtMs) return now({ do: 'expireExtension' });
  if (needsAnotherIssue(state, nowMs)) {
    const due = again(state, nowMs, limits, recordMs);
    return { work: due.work, wakeAtMs: soonest(due.wakeAtMs, endsAtMs) };
  }
  return { work: { do: 'publishAct' }, wakeAtMs: soonest(endsAtMs, state.claimed ? null : (state.act?.notAfterMs ?? null)) };
}

/** Dispatches in the planned window and not while policy has said to wait. `missed`: what is due once the window has closed. */
function inItsTime(state: ChangeState, nowMs: number, recordMs: number, missed: Work): Due {
  const window = state.plan?.window;
  const step = stepOf(state);
  const closesAtMs = state.plan === null || step === null ? null : windowEndMs(state.plan, step);
  if (window === undefined || closesAtMs === null) return notHeld(state, nowMs);
  const opensAtMs = parseTime(window.opensAt);
  if (recordMs >= closesAtMs) return now(missed);
  if (nowMs < opensAtMs) return at(opensAtMs);
  if (state.window === 'none') return now({ do: 'openWindow' });
  const due = notHeld(state, nowMs);
  return { work: due.work, wakeAtMs: soonest(due.wakeAtMs, closesAtMs) };
}

function notHeld(state: ChangeState, nowMs: number): Due {
  return state.heldUntilMs !== null && nowMs < state.heldUntilMs ? at(state.heldUntilMs) : now({ do: 'dispatch' });
}

/** The ticket is to be issued again; where the window has closed on it, what it may have given is taken back, or the change is over. */
function again(state: ChangeState, nowMs: number, limits: WorkLimits, recordMs: number): Due {
  if (!mayHaveGiven(state)) return inItsTime(state, nowMs, recordMs, { do: 'missWindow' });
  return mayRollBack(state) ? inItsTime(state, nowMs, recordMs, { do: 'compensate' }) : heldOpen(state, nowMs, limits, recordMs);
}

/** A rotation waits for its new secret to be fetched and for its consumers; from the cutover on, for nothing. */
function staged(state: ChangeState, nowMs: number, limits: WorkLimits, recordMs: number): Due {
  const fetched = delivery(state, nowMs, limits);
  const waitsForFetch = state.delivery?.status === 'sealed';
  if (fetched.work !== null && mayRollBack(state)) return fetched;
  const closesAtMs = state.plan?.window === undefined ? Infinity : parseTime(state.plan.window.closesAt);
  if (recordMs >= closesAtMs && mayRollBack(state)) return now({ do: 'compensate' });
  if (isStalled(state, nowMs, limits) && !waitsForFetch) return now({ do: 'stalled' });
  if (isPastCutover(state)) return notHeld(state, nowMs);
  const stalledAtMs = state.findings.has('rotation-stalled') || waitsForFetch ? Infinity : stalledAt(state, limits);
  if (recordMs >= closesAtMs) return at(stalledAtMs);
  const readyAtMs = state.delivery?.status === 'acknowledged' ? consumersReadyAtMs(state) : Infinity;
  if (nowMs >= readyAtMs) return inItsTime(state, nowMs, recordMs, { do: 'compensate' });
  return at(Math.min(readyAtMs, fetched.wakeAtMs ?? Infinity, closesAtMs, stalledAtMs));
}

/** Somebody has moved over: a window that closes on the cutover undoes nothing. Both credentials stand, and its owner is told that it does not get on. */
function heldOpen(state: ChangeState, nowMs: number, limits: WorkLimits, recordMs: number): Due {
  const step = stepOf(state);
  const closesAtMs = state.plan === null || step === null ? null : windowEndMs(state.plan, step);
  if (closesAtMs === null || recordMs < closesAtMs) return notHeld(state, nowMs);
  return state.findings.has('rotation-stalled') ? NOTHING : at(stalledAt(state, limits));
}

/** When a rotation may go on to its cutover: at once when every consumer has confirmed, otherwise when the grace is over. */
function consumersReadyAtMs({ plan, confirmed, stagedAtMs }: ChangeState): number {
  const { consumers = [], graceSeconds = 0 } = plan?.rotation ?? {};
  const all = consumers.length > 0 && consumers.every((consumer) => confirmed.has(consumer));
  return all ? 0 : (stagedAtMs ?? 0) + graceSeconds * 1000;
}

/** The next step of a rotation is under way, and has been for long: something still uses the old credential. Whoever waits behind it must not wait in silence. */
function isStalled(state: ChangeState, nowMs: number, limits: WorkLimits): boolean {
  return !state.findings.has('rotation-stalled') && nowMs >= stalledAt(state, limits);
}

function stalledAt({ plan, stagedAtMs, finished }: ChangeState, limits: WorkLimits): number {
  const last = finished.at(-1);
  if (last === undefined) return Infinity;
  return Math.max((stagedAtMs ?? 0) + (plan?.rotation?.graceSeconds ?? 0) * 1000, parseTime(last.result.at)) + limits.stalledAfterMs;
}

/** The caller's run takes its ticket up itself; nothing is published. */
function called(state: ChangeState, nowMs: number): Due {
  if (!state.claimed) {
    const untilMs = state.act?.notAfterMs ?? 0;
    return nowMs >= untilMs ? now({ do: 'expireUnclaimed' }) : at(untilMs);
  }
  if (state.silent) return NOTHING;
  const deadlineMs = (state.claimedAtMs ?? 0) + (state.plan?.caller?.timeoutSeconds ?? 0) * 1000;
  return nowMs >= deadlineMs ? now({ do: 'callerSilent' }) : at(deadlineMs);
}

/** What the step left behind is seen, by an executor where there is one, before policy judges it. */
function seen(state: ChangeState, nowMs: number): Due {
  if (state.plan?.mode !== 'caller' || state.read === null || state.after !== null || state.readAfter?.spent === true) return now({ do: 'verify' });
  if (state.readAfter === null || nowMs >= state.readAfter.notAfterMs) return now({ do: 'readAfter' });
  return { work: { do: 'publishReadAfter' }, wakeAtMs: state.readAfter.notAfterMs };
}

function delivery(state: ChangeState, nowMs: number, limits: WorkLimits): Due {
  if (state.delivery === null || state.delivery.status === 'acknowledged') return NOTHING;
  if (state.delivery.status === 'undeliverable') return now({ do: 'compensate' });
  const giveUpAt = state.lastAtMs + limits.deliveryMs;
  if (!mayHaveGiven(state)) return state.findings.has('step-stuck') ? NOTHING : nowMs >= giveUpAt ? now({ do: 'unfetched' }) : at(giveUpAt);
  return nowMs >= giveUpAt ? now({ do: 'giveUpDelivery' }) : at(giveUpAt);
}

/** When what the change gave, or may have given, should be gone; null while nothing says that it must. */
export function endDueMs(state: ChangeState): number | null {
  const ends = state.revokes.map(({ content }) => parseTime(content.notBefore));
  if (state.lease?.armed === true) ends.push(state.lease.endsAtMs);
  return ends.length === 0 ? null : Math.min(...ends);
}

/** Whether the change keeps its connector and target to itself: one at a time between authorisation and verification. */
export function occupiesTarget(state: ChangeState): boolean {
  // Past its cutover a rotation only takes away, and what takes away jumps the queue: it keeps nobody waiting.
  return state.plan?.kind !== 'offboard' && !isPastCutover(state) && ['authorised', 'executing', 'verifying', 'staged'].includes(state.name);
}

/** Whether anything can still happen to the change: to what it gives, or to what is owed for how it was given. */
export function isOpen(state: ChangeState): boolean {
  return isUnfinished(state) || owesAnything(state);
}

/** Whether anything can still happen to what it gives, has given or takes away. */
export function isUnfinished(state: ChangeState): boolean {
  return (state.ended === null && (!FINAL_STATES.has(state.name) || state.lease !== null)) || stillGives(state) || state.window === 'opened';
}
