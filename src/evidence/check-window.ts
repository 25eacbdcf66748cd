/** Checks of what happens in a planned window: nothing that it holds up is authorised or done outside of it, and its opening and closing are on record. */
import { leaseEndMs, windowEndMs } from '../change/derive.ts';
import type { ChangeEvent } from '../change/events.ts';
import { FINAL_STATES, stepOf, type ChangeState } from '../change/state.ts';
import { takesAway, type PlanWindow } from '../protocol/plan.ts';
import { callerOf, isSameRequest } from '../protocol/request.ts';
import type { ActedReport, ActTicket } from '../protocol/signed.ts';
import { formatTime, parseTime } from '../protocol/values.ts';
import type { Audited } from './audited.ts';
import { isSomebody } from './check-actor.ts';
import { same } from './signatures.ts';
import { fault, type Fault } from './violation.ts';

type Of<T extends ChangeEvent['type']> = Extract<ChangeEvent, { type: T }>;

/** The planned window that holds up the step of `ticket`; null for none, for what takes away, and where the plan was erased. */
function windowOver({ state, planErased }: Audited, ticket: ActTicket | null): PlanWindow | null {
  return planErased || ticket === null || takesAway(ticket.step.action) ? null : (state.plan?.window ?? null);
}

export function checkInWindow(audited: Audited, atMs: number, ticket: ActTicket): Fault | null {
  const window = windowOver(audited, ticket);
  if (window === null) return null;
  const range = `${window.opensAt} to ${window.closesAt}`;
  if (atMs < parseTime(window.opensAt) || atMs > parseTime(window.closesAt)) return fault('outside-window', `a step was authorised at ${formatTime(atMs)}, outside the planned window (${range})`);
  // What a caller's code may still take once it has begun has to fit in as well.
  const timeoutMs = (audited.state.plan?.caller?.timeoutSeconds ?? 0) * 1000;
  if (ticket.notBefore < window.opensAt || parseTime(ticket.notAfter) + timeoutMs > parseTime(window.closesAt)) {
    return fault('outside-window', `a ticket good from ${ticket.notBefore} to ${ticket.notAfter} reaches beyond the planned window (${range})`);
  }
  return audited.state.window === 'opened' ? null : fault('outside-window', 'a step was authorised while the planned window was not open on record');
}

/**
 * An effect has the time that its executor says, or that of its claim: what was taken up in time may be told late, by an executor that was away in
 * between. `graceMs`: what it needs to come back after a crash and see what had become of it.
 */
export function checkDoneInWindow(audited: Audited, report: ActedReport, graceMs: number): Fault | null {
  const window = windowOver(audited, audited.ticket);
  if (window === null || report.outcome !== 'done') return null;
  const atMs = parseTime(report.at);
  const untilMs = parseTime(window.closesAt) + graceMs;
  const wasTakenUp = audited.state.claimedAtMs !== null && audited.state.claimedAtMs <= untilMs;
  const isInside = atMs >= parseTime(window.opensAt) - graceMs && (atMs <= untilMs || wasTakenUp);
  return isInside ? null : fault('outside-window', `the executor acted at ${report.at}, outside the planned window (${window.opensAt} to ${window.closesAt})`);
}

export function checkOpened({ state, planErased }: Audited, event: Of<'window.opened'>): Fault | null {
  if (planErased) return null;
  const window = state.plan?.window;
  if (window === undefined || !same(event.body, window)) return fault('window-mismatch', 'the window that was opened is not the planned one');
  const isTime = event.atMs >= parseTime(window.opensAt) && event.atMs <= parseTime(window.closesAt);
  return isTime ? null : fault('window-mismatch', `the window was opened at ${formatTime(event.atMs)}, and was planned for ${window.opensAt} to ${window.closesAt}`);
}

export function checkClosed({ state, planErased }: Audited, event: Of<'window.closed'>): Fault | null {
  if (planErased) return null;
  const { cause, ...closed } = event.body;
  const window = state.plan?.window;
  if (window === undefined || !same(closed, window)) return fault('window-mismatch', 'the window that was closed is not the planned one');
  if (cause === 'over' && event.atMs < parseTime(window.closesAt)) return fault('window-mismatch', `the window was over at ${formatTime(event.atMs)}, and was planned until ${window.closesAt}`);
  return mayClose(state, event) ? null : fault('window-mismatch', `the window was closed as ${cause} while the change was ${state.name}`);
}

/** Consumers are told that it is over: not while what they were told of is still under way, unless somebody has stopped it. */
function mayClose(state: ChangeState, { body: { cause }, atMs, actor }: Of<'window.closed'>): boolean {
  switch (cause) {
    case 'over':
      return true;
    case 'finished':
      // Who revises or withdraws the change closes its window with it.
      return FINAL_STATES.has(state.name) || state.name === 'active' || state.name === 'done' || isSomebody(actor);
    case 'missed': {
      const isUnclaimed = callerOf(state.request) !== null && !state.claimed && atMs >= (state.act?.notAfterMs ?? Infinity);
      return state.act === null || isUnclaimed || isTimeOver(state, atMs);
    }
  }
}

/** At the end of the ledger: a window whose consumers were told that it is open, and not that it is over. */
export function checkLeftOpen({ state, planErased }: Audited, judgedAtMs: number, graceMs: number): Fault | null {
  const closesAt = state.plan?.window?.closesAt;
  if (planErased || closesAt === undefined || state.window !== 'opened' || judgedAtMs <= parseTime(closesAt) + graceMs) return null;
  return fault('window-mismatch', `the window was planned until ${closesAt}, and by ${formatTime(judgedAtMs)} it had not been closed`);
}

/** Planned anew by the sidecar only when the window was missed, where the plan allows it, and for the same request. */
/** @param isDisclosed whether the record names a disclosure of its own: one that does not repeats the commitment before it */
export function checkRevised({ state, planErased }: Audited, event: Of<'change.revised'>, isDisclosed: boolean): Fault | null {
  if (event.body.cause === undefined) return null;
  if (!(isDisclosed ? isSameRequest(event.body.request, state.request) : same(event.body.request, state.request))) return fault('window-mismatch', 'a change was planned anew under another request than was made');
  if (planErased) return null;
  const window = state.plan?.window;
  const isMissed = state.name === 'scheduled' && window?.onMissed === 'replan' && isTimeOver(state, event.atMs);
  return isMissed ? null : fault('window-mismatch', 'a change was planned anew that had missed no window, or was then to expire');
}

/** `window`: the time for the change is over, with its window or with the lease that it would have begun. */
export function checkExpired({ state, planErased }: Audited, event: Of<'change.expired'>): Fault | null {
  if (event.body.cause !== 'window' || planErased || state.plan === null) return null;
  // An extension that was authorised is over with the end that it was to give.
  const isOver = state.extension === null ? isTimeOver(state, event.atMs) : event.atMs >= state.extension.endsAtMs || isTimeOver(state, event.atMs);
  return isOver ? null : fault('window-mismatch', 'a change expired whose time was not over');
}

function isTimeOver(state: ChangeState, atMs: number): boolean {
  const { plan } = state;
  const step = stepOf(state);
  const endMs = plan === null || step === null ? null : windowEndMs(plan, step);
  return (endMs !== null && atMs >= endMs) || (plan !== null && atMs >= (leaseEndMs(plan, atMs) ?? Infinity));
}
