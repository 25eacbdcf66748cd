/**
 * Which record may follow which: the closed set of events that each state of a change allows. It restates, for somebody else's ledger,
 * what `decide` made sure of for one's own.
 */
import { mayBeJudged, mayEndAdopted } from '../change/adopted.ts';
import { escalationDueMs } from '../change/escalation.ts';
import type { ChangeEvent } from '../change/events.ts';
import { endsByItself } from '../change/extension.ts';
import { owesReview, owesRotation } from '../change/glass-debts.ts';
import { FINAL_STATES, isPastCutover, mayHaveGiven, mayStillBeRejected, needsAnotherIssue, stepOf, type ChangeState, type StateName } from '../change/state.ts';
import { readPayload } from '../protocol/dsse.ts';
import { callerOf } from '../protocol/request.ts';
import { reportSchema } from '../protocol/signed.ts';
import { durationSeconds } from '../protocol/values.ts';
import { fault, type Fault } from './violation.ts';

/** What may still be recorded about a change that is closed. None of it gives, or says that something was given. */
export const AFTER_END: ReadonlySet<ChangeEvent['type']> = new Set([
  'finding.opened', 'finding.closed', 'delivery.acknowledged', 'delivery.undeliverable', 'step.claimed', 'step.ambiguous', 'step.refused', 'step.failed',
  'notification.delivered', 'notification.failed',
] as const);

type Of<T extends ChangeEvent['type']> = Extract<ChangeEvent, { type: T }>;

/** The fault of `event` coming when the change was `state`, or null where it is in its place. */
export function outOfOrder(state: ChangeState | null, event: ChangeEvent): Fault | null {
  if (state === null) return event.type === 'change.requested' ? null : misplaced(event, 'a change that nobody requested');
  if (state.adoptedFrom !== null && isGain(state, event)) return fault('gained-after-adoption', `${event.type} in a change that was begun under log ${state.adoptedFrom}`);
  const inOneOf = (...names: StateName[]): Fault | null => (names.includes(state.name) ? null : misplaced(event, `a change that was ${state.name}`));
  const when = (holds: boolean, why: string): Fault | null => (holds ? null : misplaced(event, why));
  switch (event.type) {
    case 'change.requested':
      return misplaced(event, 'a change that had been requested already');
    case 'change.revised':
      return (event.body.reduced === undefined ? inOneOf('requested', 'pending', 'scheduled') : inOneOf('pending')) ?? when(event.body.revision === state.revision + 1, `revision ${state.revision}`)
        ?? when(state.parent === null, 'a part of an offboarding, which stays what it is') ?? when(state.act === null, 'a change of which a step had been authorised') ?? when(state.window !== 'opened', 'a change whose window was open');
    case 'change.withdrawn':
      if (state.name === 'verifying' && state.findings.has('verification-failed')) return null;
      return inOneOf('requested', 'pending', 'scheduled', 'authorised', 'executing', 'staged') ?? when(mayWithdraw(state, event.actor), 'a change that could not be stopped any more');
    case 'change.expired':
      return expiredOutOfOrder(state, event);
    case 'change.adopted':
      return null;
    case 'policy.decided': {
      const due = event.body.phase === 'request' ? inOneOf('requested') : (inOneOf('scheduled', 'staged', 'authorised', 'executing') ?? issuedAgain(state, event));
      return due ?? when(event.body.revision === state.revision, `revision ${state.revision}`);
    }
    case 'approval.judged':
      return inOneOf('pending') ?? when(event.body.revision === state.revision, `revision ${state.revision}`);
    case 'approval.recorded':
      return inOneOf('pending');
    case 'approval.rejected':
      return mayStillBeRejected(state) ? null : misplaced(event, `a change that was ${state.name}`);
    case 'breakglass.used':
      return inOneOf('pending') ?? when(event.body.revision === state.revision, `revision ${state.revision}`) ?? when(state.breakGlass === null, 'a change for which the glass was broken already');
    case 'breakglass.reviewed':
      return event.body.rotation === undefined ? when(owesReview(state), 'a change that nobody was to review') : when(owesRotation(state), 'a change that owed no rotation');
    case 'breakglass.rotated':
      return when(owesRotation(state), 'a change that owed no rotation');
    case 'approval.escalated':
      return inOneOf('pending') ?? when(event.body.revision === state.revision, `revision ${state.revision}`)
        ?? when(state.escalated === null, 'a change of which further people had been told') ?? when(event.atMs >= (escalationDueMs(state) ?? 0), 'a change that had not waited for so long');
    case 'step.authorised':
      if (event.body.kind === 'read') return isReadAgain(state) ? when(state.after === null, 'a change that had been looked at') : inOneOf('requested');
      if (event.body.kind === 'act') return stepOutOfOrder(state, event.body.stepId) ?? inOneOf('scheduled', 'staged', 'authorised', 'executing') ?? issuedAgain(state, event);
      return when(state.act !== null && state.ended === null, 'a change that had given nothing, or had given it back');
    case 'state.read':
      if (isReadAgain(state)) return when(state.readAfter !== null && state.after === null, 'a change whose target nobody was to read again');
      return inOneOf('requested') ?? when(state.read !== null && state.before === null, 'a change whose target nobody was to read');
    case 'step.claimed':
      if (state.act === null) return fault('not-authorised', 'step.claimed without a step that was authorised');
      return callerOf(state.request) === null ? null : (inOneOf('authorised') ?? when(!state.claimed, 'a change that its caller had taken up'));
    case 'step.ambiguous':
      if (state.act === null) return fault('not-authorised', 'step.ambiguous without a step that was authorised');
      return 'report' in event.body ? notClaimed(state) : when(isOverdueCaller(state, event.body.stepId, event.atMs), 'a change that waited for no caller whose time was over');
    case 'step.failed':
    case 'step.refused': {
      const { kind } = readPayload(event.body.report, reportSchema);
      if (kind === 'read') return when(state.read !== null, 'a change whose target nobody was to read');
      return state.act === null ? fault('not-authorised', `${event.type} without a step that was authorised`) : notClaimed(state);
    }
    case 'step.succeeded':
      if (state.act === null) return fault('not-authorised', 'an effect without a step that was authorised');
      if (state.result !== null) return fault('second-effect', 'a second effect of a step that has had its effect');
      // What the earlier log recorded of arming may be lost with its end.
      if (state.adoptedFrom === null && (state.lease?.armed === false || state.extension?.armed === false)) return fault('not-armed', 'a lease was given, or extended, before the order that ends it was armed');
      return notClaimed(state);
    case 'lease.armed':
      return when((state.lease ?? state.extension)?.armed === false, 'a change with no lease to arm');
    case 'lease.activated':
      if (state.verification?.effect !== 'allow') return fault('not-verified', 'a lease became active without a verification that allows it');
      return inOneOf('verifying') ?? when(state.lease !== null, 'a change without a lease');
    case 'lease.extended':
      return inOneOf('active') ?? when(state.lease !== null && state.revokes.length === 0 && state.ended === null, 'a change whose access had ended, or was ordered back');
    case 'lease.disarmed':
      return null;
    case 'lease.redecided':
      return inOneOf('active', 'revoking') ?? when(endsByItself(state), 'a change whose access had ended, or was ordered back before its end');
    case 'lease.ended':
      if (state.act === null) return fault('not-authorised', 'something was taken back that no step was authorised to give');
      return when(state.ended === null, 'a change whose access had ended');
    case 'entitlement.verified':
      return inOneOf('verifying') ?? when(state.verification === null && state.result?.stepId === event.body.stepId, 'a step that was verified, or not done');
    case 'delivery.sealed':
      return state.act?.stepId === event.body.stepId ? null : fault('not-authorised', 'a secret was made without a step that was authorised');
    case 'delivery.acknowledged':
    case 'delivery.undeliverable':
      return when(state.delivery?.seal.ciphertext === event.body.ciphertext, 'a change that has no such delivery');
    case 'finding.opened':
      return null;
    case 'finding.closed':
      return when(state.findings.has(event.body.code), 'a change without such a finding');
    case 'window.opened':
      return inOneOf('scheduled') ?? when(state.window === 'none', 'a change whose window had been opened');
    case 'window.closed':
      return when(state.window === 'opened', 'a change whose window was not open');
    case 'consumer.confirmed':
      return when(state.finished.length > 0 && !isOver(state), 'a change that had no new credential to confirm') ?? when(!state.confirmed.has(event.body.consumer), 'a change to which this consumer had said so');
    case 'item.started':
      return inOneOf('executing') ?? when(state.items.get(event.body.item)?.outcome !== 'gone', 'a change whose item was gone');
    case 'item.settled':
      return inOneOf('executing') ?? when(state.items.get(event.body.item)?.outcome !== 'gone', 'a change whose item was gone');
    case 'notification.delivered':
    case 'notification.failed':
      return null;
  }
}

/** Events by which an adopted change would give more than it had, or that say that it did. */
const GAINS: ReadonlySet<ChangeEvent['type']> = new Set([
  'change.requested', 'change.revised', 'policy.decided', 'approval.judged', 'approval.recorded', 'approval.rejected', 'breakglass.used', 'state.read', 'lease.armed', 'lease.activated', 'lease.extended', 'window.opened',
] as const);

function isGain(state: ChangeState, event: ChangeEvent): boolean {
  if (event.type === 'step.authorised') return event.body.kind !== 'revoke';
  if (event.type === 'step.claimed') return callerOf(state.request) !== null;
  return GAINS.has(event.type) || (event.type === 'entitlement.verified' && !mayBeJudged(state));
}

const isOver = (state: ChangeState): boolean => FINAL_STATES.has(state.name) || state.name === 'done' || state.ended !== null;

function mayWithdraw(state: ChangeState, actor: string): boolean {
  // Past its cutover a rotation is given up only once it is known that it does not get on.
  if (isPastCutover(state) && !state.findings.has('rotation-stalled')) return false;
  if (state.request.kind === 'offboard' && state.name === 'executing') return false;
  if (callerOf(state.request) !== null) return !state.claimed || state.silent || !state.requester.includes(actor);
  return state.act === null || mayHaveGiven(state);
}

function expiredOutOfOrder(state: ChangeState, event: Of<'change.expired'>): Fault | null {
  const wasIn = misplaced(event, `a change that was ${state.name}`);
  switch (event.body.cause) {
    case 'approval':
      return state.name === 'pending' && event.atMs >= (state.approvalsByMs ?? Infinity) ? null : wasIn;
    case 'unclaimed': {
      const unclaimed = callerOf(state.request) !== null && state.name === 'authorised' && !state.claimed;
      return unclaimed && event.atMs >= (state.act?.notAfterMs ?? Infinity) ? null : misplaced(event, 'a change whose caller had begun, or might still have');
    }
    case 'adopted':
      return state.adoptedFrom !== null && mayEndAdopted(state) ? null : wasIn;
    case 'window': {
      // Also a ticket that ran out with its window, of a step that can have left nothing to undo.
      const unheard = (state.name === 'authorised' || state.name === 'executing') && !mayHaveGiven(state);
      return state.name === 'scheduled' || unheard ? null : wasIn;
    }
  }
}

/** Mode `caller`: its code has run, and the target is read to see what it did. */
function isReadAgain(state: ChangeState): boolean {
  return state.name === 'verifying' && callerOf(state.request) !== null;
}

/** A step has one good ticket at a time, so that two executors do not both act on it; a caller's run has one for good. */
function issuedAgain(state: ChangeState, event: ChangeEvent): Fault | null {
  if (state.name !== 'authorised' && state.name !== 'executing') return null;
  const due = callerOf(state.request) === null && needsAnotherIssue(state, event.atMs);
  return due ? null : misplaced(event, 'a change whose step had a ticket that was still good, or had been taken up');
}

/** A step of the plan that comes after the one that is due. */
function stepOutOfOrder(state: ChangeState, stepId: string): Fault | null {
  const due = state.plan?.steps.findIndex((step) => step.stepId === stepOf(state)?.stepId) ?? -1;
  const at = state.plan?.steps.findIndex((step) => step.stepId === stepId) ?? -1;
  if (due === -1 || at <= due) return null;
  return state.plan?.steps[at]?.action === 'retire' && !isPastCutover(state)
    ? fault('retired-early', 'the old credential was to be retired before the new one had taken over')
    : fault('step-order', 'a step was authorised before the one before it was done and verified');
}

/** What a caller's code did counts only once it is on record that it would begin. */
function notClaimed(state: ChangeState): Fault | null {
  return callerOf(state.request) === null || state.claimed ? null : fault('not-claimed', 'a result of a step that the caller had not taken up on record');
}

function isOverdueCaller({ request, act, claimed, claimedAtMs, result, silent }: ChangeState, stepId: string, atMs: number): boolean {
  const caller = callerOf(request);
  if (caller === null || act?.stepId !== stepId || !claimed || result !== null || silent) return false;
  return atMs >= (claimedAtMs ?? 0) + durationSeconds(caller.timeout) * 1000;
}

function misplaced(event: ChangeEvent, where: string): Fault {
  return fault('wrong-order', `${event.type} in ${where}`);
}
