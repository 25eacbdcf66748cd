/**
 * What a change waits for the control plane to do, read off its state: the outbox, as a pure function.
 *
 * The same function drives steady running and start-up: after a crash the fold is the same, so the work is the same (invariant 5).
 * Publishing is at least once; executors make it one effect per step.
 */
import { FINAL_STATES, type ChangeState } from './state.ts';
import { parseTime } from '../protocol/values.ts';
import { needsAnotherIssue } from './decide.ts';

export type Work =
  /** Read the target, or, where policy will refuse anyway for want of a fact, go straight to the decision. */
  | { readonly do: 'read' }
  | { readonly do: 'publishRead' }
  | { readonly do: 'decide' }
  | { readonly do: 'expire' }
  /** Decide again on fresh facts and authorise the step: one piece of work, since the decision must be fresh. */
  | { readonly do: 'dispatch' }
  | { readonly do: 'arm' }
  | { readonly do: 'publishAct' }
  | { readonly do: 'verify' }
  /** Take back what must not stay: a state that policy refused, a delivery that was given up, a withdrawn step. */
  | { readonly do: 'compensate' }
  | { readonly do: 'publishRevoke' }
  | { readonly do: 'giveUpDelivery' }
  /** The access should be gone and nobody has said that it is. */
  | { readonly do: 'overdue' };

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
}

const NOTHING: Due = { work: null, wakeAtMs: null };
const now = (work: Work): Due => ({ work, wakeAtMs: null });
const at = (wakeAtMs: number): Due => ({ work: null, wakeAtMs });

/** The next piece of work of one change, at `nowMs`. */
export function nextWork(state: ChangeState, nowMs: number, limits: WorkLimits): Due {
  if (state.ended !== null) return NOTHING;
  const overdue = overdueAt(state, limits);
  const ordered = state.revokes.length > 0;
  if (overdue !== null && nowMs >= overdue && (!ordered || !state.findings.has('revoke-overdue'))) return now({ do: 'overdue' });
  if (ordered) return { work: { do: 'publishRevoke' }, wakeAtMs: state.findings.has('revoke-overdue') ? null : overdue };
  const due = workOf(state, nowMs, limits);
  if (due.work !== null || overdue === null) return due;
  return at(due.wakeAtMs === null ? overdue : Math.min(due.wakeAtMs, overdue));
}

/** When an end that nobody has reported is overdue: the lease's, or the earliest that was ordered. */
function overdueAt(state: ChangeState, limits: WorkLimits): number | null {
  const dueMs = endDueMs(state);
  return dueMs === null ? null : dueMs + limits.overdueAfterMs;
}

function workOf(state: ChangeState, nowMs: number, limits: WorkLimits): Due {
  switch (state.name) {
    case 'requested':
      if (state.before !== null) return now({ do: 'decide' });
      if (state.read === null || state.read.spent || nowMs >= state.read.notAfterMs) return now({ do: 'read' });
      return { work: { do: 'publishRead' }, wakeAtMs: state.read.notAfterMs };
    case 'pending':
      if (state.approvalsByMs === null) return NOTHING;
      return nowMs >= state.approvalsByMs ? now({ do: 'expire' }) : at(state.approvalsByMs);
    case 'scheduled':
      return now({ do: 'dispatch' });
    case 'authorised':
    case 'executing':
      if (state.lease !== null && !state.lease.armed) return now({ do: 'arm' });
      if (needsAnotherIssue(state, nowMs)) return state.lease !== null && nowMs >= state.lease.endsAtMs ? NOTHING : now({ do: 'dispatch' });
      // Once claimed, the ticket's end changes nothing: a wake-up in the past would come at once, and again.
      return { work: { do: 'publishAct' }, wakeAtMs: state.claimed ? null : (state.act?.notAfterMs ?? null) };
    case 'verifying':
      if (state.verification === null) return now({ do: 'verify' });
      return state.verification.effect === 'deny' && !state.findings.has('verification-failed') ? now({ do: 'compensate' }) : NOTHING;
    case 'active':
    case 'done':
      return delivery(state, nowMs, limits);
    case 'withdrawing':
    case 'revoking':
      return state.plan?.kind === 'revoke' ? NOTHING : now({ do: 'compensate' });
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

function delivery(state: ChangeState, nowMs: number, limits: WorkLimits): Due {
  if (state.delivery === null || state.delivery.status === 'acknowledged') return NOTHING;
  if (state.delivery.status === 'undeliverable') return now({ do: 'compensate' });
  const giveUpAt = state.lastAtMs + limits.deliveryMs;
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
  return ['authorised', 'executing', 'verifying'].includes(state.name);
}

/** Whether anything can still happen to the change. */
export function isOpen(state: ChangeState): boolean {
  return state.ended === null && (!FINAL_STATES.has(state.name) || state.lease !== null);
}
