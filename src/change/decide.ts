/**
 * `decide(state, command, now)`: the events that a command brings about, or why it may not.
 *
 * Pure. A rejection is an outcome, not an error: nothing has happened. Whoever calls has already authenticated `by` and verified
 * signatures; what must be *true of the change* is decided here and nowhere else.
 */
import type { Authentication } from '../protocol/authentication.ts';
import { awaitedBy, mayApprove } from '../protocol/awaited.ts';
import { approversNamed, demandOf, enforcedUnder, isSatisfied, meets, strictest, type Acceptance, type Decision, type Provenance, type Requirement, type Verification } from '../protocol/decision.ts';
import { payloadDigest, readPayload } from '../protocol/dsse.ts';
import { isUndoable, planDigest, takesAway, type Plan, type TargetState } from '../protocol/plan.ts';
import { placeOf, type RecordedRequest } from '../protocol/request.ts';
import {
  revokeOrderSchema, ticketSchema, type ActTicket, type Approval, type Dsse, type Report,
} from '../protocol/signed.ts';
import { readStanding, statementIn } from '../protocol/standing-approval.ts';
import { formatTime, parseTime } from '../protocol/values.ts';
import { mayEndAdopted, wouldGain } from './adopted.ts';
import { decideUse, isGlassBroken, type Use } from './break-glass.ts';
import { decideReduction, type Reducing } from './decide-reduction.ts';
import { leaseEndMs, revokeStepId } from './derive.ts';
import { REVISIONS_MAX, type Channel, type EventBody, type FindingCode, type NewEvent } from './events.ts';
import { decideEscalation } from './escalation.ts';
import { whyNotExtendable } from './extension.ts';
import { decideReview, decideRotated, type Review, type Rotated } from './glass-debts.ts';
import { decideItem, decideWindow, windowClosed } from './decide-window.ts';
import { ALREADY, no, yes, type Decided } from './outcome.ts';
import { hasRejected, outcomeOfRejection } from './rejecting.ts';
import { decideRedecision, type Redecided } from './redecide.ts';
import { beyondTemplate } from './standing-approval.ts';
import { approvalsToName, approvedBy, FINAL_STATES, isPastCutover, mayHaveGiven, mayStillBeRejected, needsAnotherIssue, requirementIsMet, standingCounts, stepOf, stillGives, withoutApprovals, type ChangeState } from './state.ts';

/** The decision before dispatch must be this young when the ticket is authorised. */
export const DISPATCH_FRESH_MS = 30_000;

/** Approvals of one plan by one person: what is signed for a moment, again and again, fills no ledger. */
const OF_ONE_PERSON_MAX = 64;

/** Policy's answer about an approval. */
export interface Judged {
  readonly by: string;
  readonly acceptance: Acceptance;
  readonly provenance: Provenance;
}

export type Command =
  | { readonly type: 'request'; readonly by: string; readonly request: RecordedRequest; readonly requester: readonly string[]; readonly idempotency: { key: string; request: string } | null; readonly parent?: string; readonly authentication?: Authentication }
  | { readonly type: 'revise'; readonly by: string; readonly request: RecordedRequest }
  | ({ readonly type: 'reduce' } & Reducing)
  /** `isResponder`: `by` did not ask and may revoke what the change would give; then it may also keep it from being given. */
  | { readonly type: 'withdraw'; readonly by: string; readonly comment: string | null; readonly isResponder?: boolean }
  | { readonly type: 'expire'; readonly by: string; readonly cause: EventBody<'change.expired'>['cause'] }
  /** The change has waited for approvals for long: further people are told, and nobody else may approve for that. */
  | { readonly type: 'escalate'; readonly by: string }
  | { readonly type: 'openWindow'; readonly by: string }
  | { readonly type: 'closeWindow'; readonly by: string }
  /** The window closed before anything was done in it: planned anew where the plan says so, otherwise expired. */
  | { readonly type: 'missWindow'; readonly by: string }
  | { readonly type: 'confirmConsumer'; readonly by: string; readonly consumer: string }
  | { readonly type: 'recordSilence'; readonly by: string; readonly owner: string | null }
  | { readonly type: 'startItem'; readonly by: string; readonly item: number; readonly change: string }
  | { readonly type: 'settleItem'; readonly by: string; readonly item: number; readonly outcome: 'gone' | 'open'; readonly owner: string | null; readonly detail: string }
  | { readonly type: 'recordNotification'; readonly by: string; readonly delivered: EventBody<'notification.delivered'> }
  | { readonly type: 'recordNotificationFailed'; readonly by: string; readonly failed: EventBody<'notification.failed'> }
  | { readonly type: 'authoriseRead'; readonly by: string; readonly ticket: Dsse }
  | { readonly type: 'recordDecision'; readonly by: string; readonly phase: 'request' | 'dispatch'; readonly plan: Plan | null; readonly decision: Decision; readonly provenance: Provenance; readonly approvalSeconds: number; /** What the floor of our own trust folder asks for beyond it. Left out: nothing. */ readonly floor?: Requirement | null; /** Approvals that count no more. Left out: none. */ readonly uncounted?: readonly string[] }
  | { readonly type: 'approve'; readonly approval: Approval; readonly comment: string | null; /** What another log's sidecar has signed of it, and the salt with which that commits to the comment. */ readonly relayed?: Dsse; readonly salt?: string; readonly authentication?: Authentication; readonly channel?: Channel; /** By which else of her ids she is asked. */ readonly otherIds?: readonly string[]; /** What policy said of exactly this; left out where it has no say. */ readonly judged?: Judged }
  | Use
  | Review
  | Rotated
  /** `extended`: of an `extend`, the change whose lease it is, as it is now. */
  | { readonly type: 'authoriseAct'; readonly by: string; readonly ticket: Dsse; readonly order: Dsse | null; readonly extended?: ChangeState | null }
  | { readonly type: 'recordArmed'; readonly by: string; readonly orderDigest: string }
  /** An extension was applied and verified. `extension`: the change that it is, as it is now. */
  | { readonly type: 'extendLease'; readonly by: string; readonly extension: ChangeState }
  | { readonly type: 'recordDisarmed'; readonly by: string; readonly orderDigest: string }
  | { readonly type: 'recordReport'; readonly report: Report; readonly envelope: Dsse; readonly states: ReadonlyMap<string, TargetState>; readonly order: Dsse | null }
  | { readonly type: 'recordVerification'; readonly by: string; readonly verification: Verification; readonly provenance: Provenance }
  | ({ readonly type: 'recordRedecision' } & Redecided)
  | { readonly type: 'orderRevoke'; readonly by: string; readonly order: Dsse; readonly comment: string | null }
  | { readonly type: 'acknowledgeDelivery'; readonly by: string; readonly ciphertext: string }
  | { readonly type: 'giveUpDelivery'; readonly by: string; readonly reason: string }
  | { readonly type: 'openFinding'; readonly by: string; readonly code: FindingCode; readonly message: string; readonly owner: string | null }
  | { readonly type: 'closeFinding'; readonly by: string; readonly code: FindingCode };

/** @param nowMs the time of the record that the events will have, by which they are folded; for what others hold to their clocks, that of ours */
export function decide(state: ChangeState | null, command: Command, nowMs: number): Decided {
  if (command.type === 'request') {
    if (state !== null) return no('already-exists', 'a change of this id exists');
    const { request, requester, idempotency, by, parent, authentication } = command;
    return yes({ type: 'change.requested', actor: by, body: { request, requester: [...requester], idempotency, ...(parent === undefined ? {} : { parent }), ...(authentication === undefined ? {} : { authentication }) } });
  }
  if (state === null) return no('no-such-change', 'no change of this id');
  if (state.adoptedFrom !== null && wouldGain(state, command.type)) return no('too-late', `the change was begun under log ${state.adoptedFrom}, which this one has adopted: ask for a new one`);
  switch (command.type) {
    case 'revise':
      return decideRevision(state, command);
    case 'reduce':
      return decideReduction(state, command, nowMs);
    case 'withdraw':
      return decideWithdrawal(state, command);
    case 'expire':
      return decideExpiry(state, command, nowMs);
    case 'escalate':
      return decideEscalation(state, command.by, nowMs);
    case 'authoriseRead':
      return decideRead(state, command, nowMs);
    case 'recordDecision':
      return decideDecision(state, command, nowMs);
    case 'approve':
      return decideApproval(state, command, nowMs);
    case 'breakGlass':
      return decideUse(state, command, nowMs);
    case 'reviewBreakGlass':
      return decideReview(state, command, nowMs);
    case 'recordRotated':
      return decideRotated(state, command);
    case 'authoriseAct':
      return decideAct(state, command, nowMs);
    case 'recordArmed': {
      const due = state.lease ?? state.extension;
      if (due === null || due.orderDigest !== command.orderDigest) return no('not-expected', 'no such order to arm');
      if (due.armed) return ALREADY;
      return yes({ type: 'lease.armed', actor: command.by, body: { leaseId: due.leaseId, epoch: due.epoch, order: command.orderDigest } });
    }
    case 'extendLease':
      return decideExtension(state, command);
    case 'recordDisarmed': {
      const earlier = state.superseded.find(({ orderDigest }) => orderDigest === command.orderDigest);
      // Its end came meanwhile: the order has nothing to take back any more, and of a change that is over nothing is said.
      if (earlier === undefined || state.lease === null || state.ended !== null) return ALREADY;
      return yes({ type: 'lease.disarmed', actor: command.by, body: { leaseId: state.lease.leaseId, epoch: earlier.epoch, order: command.orderDigest } });
    }
    case 'recordReport':
      return decideReport(state, command, nowMs);
    case 'recordVerification':
      return decideVerification(state, command);
    case 'recordRedecision':
      return decideRedecision(state, command, nowMs);
    case 'orderRevoke':
      return decideRevoke(state, command);
    case 'acknowledgeDelivery':
      if (state.delivery?.seal.ciphertext !== command.ciphertext) return no('no-delivery', 'nothing of that digest waits for delivery');
      if (state.delivery.status === 'acknowledged') return ALREADY;
      if (state.delivery.status === 'undeliverable') return no('too-late', 'the delivery was given up and the credential undone');
      return yes({ type: 'delivery.acknowledged', actor: command.by, body: { ciphertext: command.ciphertext } });
    case 'giveUpDelivery':
      if (state.delivery?.status !== 'sealed') return no('no-delivery', 'nothing waits for delivery');
      return yes({ type: 'delivery.undeliverable', actor: command.by, body: { ciphertext: state.delivery.seal.ciphertext, reason: command.reason } });
    case 'openFinding':
      if (state.findings.has(command.code)) return ALREADY;
      return yes({ type: 'finding.opened', actor: command.by, body: { code: command.code, message: command.message, owner: command.owner } });
    case 'openWindow':
    case 'closeWindow':
    case 'missWindow':
      return decideWindow(state, command, nowMs);
    case 'confirmConsumer':
      if (state.plan?.rotation?.consumers.includes(command.consumer) !== true) return no('not-expected', `${command.consumer} is not a consumer that this change waits for`);
      if (state.confirmed.has(command.consumer)) return ALREADY;
      if (state.finished.length === 0) return no('not-expected', 'there is no new credential to confirm yet');
      if (isOver(state)) return no('too-late', `the change is ${state.name}`);
      return yes({ type: 'consumer.confirmed', actor: command.by, body: { consumer: command.consumer } });
    case 'recordSilence': {
      if (state.plan?.mode !== 'caller' || state.act === null || !state.claimed || state.result !== null || state.silent) return no('not-expected', 'no caller is overdue');
      const message = 'the caller took its ticket up and has not said what became of it: what its code did is not known';
      return yes(
        { type: 'step.ambiguous', actor: command.by, body: { stepId: state.act.stepId, cause: 'deadline' } },
        { type: 'finding.opened', actor: command.by, body: { code: 'caller-silent', message, owner: command.owner } },
      );
    }
    case 'startItem':
      if (state.name !== 'executing' || state.plan?.items?.[command.item] === undefined) return no('not-expected', 'no such item is due');
      if (state.items.get(command.item)?.outcome === 'gone' || state.items.get(command.item)?.change === command.change) return ALREADY;
      return yes({ type: 'item.started', actor: command.by, body: { item: command.item, change: command.change } });
    case 'settleItem':
      return decideItem(state, command);
    case 'recordNotification':
      return yes({ type: 'notification.delivered', actor: command.by, body: command.delivered });
    case 'recordNotificationFailed':
      return yes({ type: 'notification.failed', actor: command.by, body: command.failed });
    case 'closeFinding':
      return state.findings.has(command.code) ? yes({ type: 'finding.closed', actor: command.by, body: { code: command.code } }) : ALREADY;
  }
}

type Of<T extends Command['type']> = Extract<Command, { type: T }>;

function decideRevision(state: ChangeState, command: Of<'revise'>): Decided {
  if (!state.requester.includes(command.by)) return no('not-requester', 'only who asked may revise');
  if (!['requested', 'pending', 'scheduled'].includes(state.name)) return no('too-late', `a change that is ${state.name} cannot be revised`);
  if (state.request.kind !== command.request.kind || state.request.subject !== command.request.subject) {
    return no('not-expected', 'kind and subject stay what they were; ask for a new change');
  }
  if (state.request.kind === 'extend' && command.request.kind === 'extend' && state.request.change !== command.request.change) {
    return no('not-expected', 'the lease that is extended stays what it was; ask for a new change');
  }
  if (state.parent !== null) return no('not-expected', 'a part of an offboarding stays what it is');
  if (state.act !== null) return no('too-late', 'a step of the change has been authorised already');
  if (state.revision >= REVISIONS_MAX) return no('too-late', `a change has ${REVISIONS_MAX} revisions at most; ask for a new one`);
  return yes(...windowClosed(state, command.by, 'finished'), { type: 'change.revised', actor: command.by, body: { revision: state.revision + 1, request: command.request } });
}

const isOver = (state: ChangeState): boolean => FINAL_STATES.has(state.name) || state.name === 'done' || state.ended !== null;

function decideWithdrawal(state: ChangeState, command: Of<'withdraw'>): Decided {
  // Who may revoke may keep something from being given; what takes away is not theirs to stop.
  const isResponder = command.isResponder === true && ['provision', 'grant', 'extend', 'rotate'].includes(state.request.kind);
  if (!state.requester.includes(command.by) && !isResponder) return no('not-requester', 'only who asked may withdraw, or who may revoke');
  if (state.name === 'withdrawn' || state.name === 'withdrawing') return ALREADY;
  const refused = state.name === 'verifying' && state.findings.has('verification-failed');
  if (!refused && !['requested', 'pending', 'scheduled', 'authorised', 'executing', 'staged'].includes(state.name)) {
    return no('too-late', `a change that is ${state.name} cannot be withdrawn${state.name === 'active' ? '; revoke it' : ''}`);
  }
  if (isPastCutover(state) && !refused && !state.findings.has('rotation-stalled')) return no('too-late', 'the new credential has taken over; the old one is being retired');
  if (state.plan?.kind === 'offboard' && state.name === 'executing') return no('too-late', 'things are being taken back; taking back is not withdrawn');
  if (state.plan?.mode === 'caller' && state.claimed && !state.silent && !isResponder) return no('too-late', 'the caller is at work on it');
  if (state.act !== null && state.plan?.mode !== 'caller' && !mayHaveGiven(state)) return no('too-late', 'the step is on its way, and there is nothing that would undo it');
  return yes(...windowClosed(state, command.by, 'finished'), ...heardOf(state), { type: 'change.withdrawn', actor: command.by, body: { comment: command.comment } });
}

function decideExpiry(state: ChangeState, command: Of<'expire'>, nowMs: number): Decided {
  if (command.cause === 'adopted') {
    // Its window is closed once it is over, as that of every change.
    return state.adoptedFrom !== null && mayEndAdopted(state) ? yes({ type: 'change.expired', actor: command.by, body: { cause: 'adopted' } }) : no('not-expected', `nothing expires in ${state.name}`);
  }
  const over = command.cause === 'approval' ? state.name === 'pending' && state.approvalsByMs !== null && nowMs >= state.approvalsByMs
    : command.cause === 'unclaimed' ? state.plan?.mode === 'caller' && state.name === 'authorised' && !state.claimed && nowMs >= (state.act?.notAfterMs ?? Infinity)
    : isExtensionOver(state, nowMs) || (state.name === 'scheduled' && state.plan !== null && nowMs >= (leaseEndMs(state.plan, nowMs) ?? Infinity));
  if (!over) return no('not-expected', `nothing expires in ${state.name}`);
  return yes(...windowClosed(state, command.by, 'missed'), { type: 'change.expired', actor: command.by, body: { cause: command.cause } });
}

/** Whether nothing can come of an extension any more: the end that it was to give has passed. */
function isExtensionOver({ extension, name }: ChangeState, nowMs: number): boolean {
  return extension !== null && ['authorised', 'executing'].includes(name) && nowMs >= extension.endsAtMs;
}

function decideRead(state: ChangeState, command: Of<'authoriseRead'>, nowMs: number): Decided {
  const ticket = readPayload(command.ticket, ticketSchema);
  const after = state.name === 'verifying' && state.plan?.mode === 'caller' && state.after === null;
  if (ticket.kind !== 'read' || !(after || (state.name === 'requested' && state.before === null))) return no('not-expected', 'nothing is to be read');
  const out = after ? state.readAfter : state.read;
  if (out !== null && !out.spent && nowMs < out.notAfterMs) return no('not-expected', 'a read ticket is out');
  return yes({
    type: 'step.authorised', actor: command.by,
    body: { kind: 'read', revision: state.revision, stepId: ticket.stepId, issue: ticket.issue, ticket: command.ticket },
  });
}

function decideDecision(state: ChangeState, command: Of<'recordDecision'>, nowMs: number): Decided {
  const due = command.phase === 'request' ? state.name === 'requested' : mayDispatch(state, nowMs);
  if (!due) return no('not-expected', `no decision is due in ${state.name}`);
  const digest = command.plan === null ? null : planDigest(command.plan);
  if (command.phase === 'dispatch' && digest !== state.planDigest) return no('plan-changed', 'the plan is not the one that was decided');
  if (digest === null && command.decision.effect !== 'deny') return no('not-expected', 'nothing can be allowed without a plan');
  const { observed } = command.decision;
  if (observed !== undefined && nowMs >= parseTime(observed.until)) return no('stale-decision', `what is under observe was so until ${observed.until}`);
  const { floor = null, uncounted = [] } = command;
  const counted = withoutApprovals(state, uncounted);
  const decided = strictest(state.requirement, demandOf(command.decision));
  const requirement = floor === null ? decided : strictest(decided, floor);
  const { approvers } = enforcedUnder(command.decision, requirement);
  const unmet = approvers !== null && !isSatisfied(approvers, approvedBy(counted, nowMs, requirement.proofClass, command.decision)) && !isGlassBroken(state, command.decision, nowMs);
  const asks = command.decision.effect !== 'deny' && (command.phase === 'request' ? approvers !== null : unmet && state.act === null);
  return yes({
    type: 'policy.decided', actor: command.by,
    body: {
      revision: state.revision, phase: command.phase, planDigest: digest, decision: command.decision, provenance: command.provenance,
      requirement, ...(floor === null ? {} : { floor }), ...(uncounted.length === 0 ? {} : { uncounted: [...uncounted] }), approvalsBy: asks ? formatTime(nowMs + command.approvalSeconds * 1000) : null,
    },
    ...(command.plan !== null && command.phase === 'request' ? { attached: { plan: command.plan } } : {}),
  });
}

function decideApproval(state: ChangeState, command: Of<'approve'>, nowMs: number): Decided {
  const { use } = command.approval;
  const statement = statementIn(command.approval, state);
  if (state.requester.includes(statement.approver)) return no('self-approval', 'who asked does not approve');
  if (state.name === 'requested') return no('plan-changed', `revision ${state.revision} has no plan to decide on yet`);
  if (statement.revision !== state.revision || statement.planDigest !== state.planDigest || statement.changeId !== state.changeId) {
    return no('plan-changed', `the plan is now revision ${state.revision}, ${state.planDigest ?? 'not derived yet'}`);
  }
  if (!approversNamed(state.requirement.approvers).includes(statement.approver)) return no('not-an-approver', `${statement.approver} is not asked`);
  const { proofClass } = command.approval;
  const due = state.requirement.proofClass;
  // One that is proven better than hers was is another: floors that this side need not know may ask for it. So is one of this very plan beside a standing one.
  const before = use === undefined ? { ...state, approvals: state.approvals.filter(({ approval }) => approval.use === undefined) } : state;
  if (statement.verdict === 'approve' && approvedBy(before, nowMs, meets(proofClass, due) ? proofClass : due).has(statement.approver)) return ALREADY;
  if (state.name !== 'pending' && !(statement.verdict === 'reject' && mayStillBeRejected(state))) return no('already-decided', `the change is ${state.name}`);
  const { otherIds = [] } = command;
  if (hasRejected(state, statement.approver, otherIds)) return statement.verdict === 'reject' ? ALREADY : no('already-decided', `${statement.approver} has rejected this plan`);
  const times = state.approvals.filter((one) => one.statement.approver === statement.approver).length;
  if (statement.verdict === 'approve' && times >= OF_ONE_PERSON_MAX) return no('already-decided', `${statement.approver} has approved this plan ${times} times already`);
  const unfit = use === undefined ? null : whyNotStanding(state, command.approval, otherIds, nowMs);
  if (unfit !== null) return no('not-expected', unfit);
  if (statement.verdict === 'approve' && !meets(proofClass, due)) return no('proof-too-weak', `approved by ${due}, not by ${proofClass}`);
  if (parseTime(statement.expiresAt) <= nowMs || (state.name === 'pending' && state.approvalsByMs !== null && nowMs >= state.approvalsByMs)) {
    return no('approval-expired', 'the time to decide is over');
  }
  const body = { approval: command.approval, comment: command.comment, ...(command.relayed === undefined ? {} : { relayed: command.relayed }), ...(command.authentication === undefined ? {} : { authentication: command.authentication }), ...(command.channel === undefined ? {} : { channel: command.channel }) };
  const attached = command.salt === undefined ? {} : { attached: { salt: command.salt } };
  // No policy keeps anybody from saying no.
  if (statement.verdict === 'reject') {
    const counted = (state.rejectionsDue ?? 1) === 1 ? {} : { outcome: outcomeOfRejection(state, statement.approver, otherIds), ...(otherIds.length === 0 ? {} : { otherIds: [...otherIds] }) };
    return yes({ type: 'approval.rejected', actor: statement.approver, body: { ...body, ...counted }, ...attached });
  }
  // A no is never too early; a yes is where others are asked before her.
  const approved = approvedBy(state, nowMs);
  if (state.requirement.approvers !== null && !mayApprove(state.requirement.approvers, approved).has(statement.approver)) {
    const before = [...awaitedBy(state.requirement.approvers, approved)].filter((person) => !hasRejected(state, person));
    return no('approval-out-of-stage', `${statement.approver} is asked once those before have approved: it waits for ${before.join(', ') || 'nobody who can'}`);
  }
  const actor = use === undefined ? statement.approver : `sidecar:${statement.log}`;
  if (command.judged === undefined) return yes({ type: 'approval.recorded', actor, body, ...attached });
  const { acceptance, by, provenance } = command.judged;
  if (acceptance.effect !== 'accept') return no('approval-refused', `policy refuses it: ${acceptance.reasons.map(({ code, message }) => `${code}: ${message}`).join(' ')}`, acceptance.reasons);
  return yes(
    { type: 'approval.judged', actor: by, body: { revision: state.revision, planDigest: statement.planDigest, approver: statement.approver, acceptance, provenance } },
    { type: 'approval.recorded', actor, body: { ...body, acceptance: provenance.input }, ...attached },
  );
}

/** Why the use of a standing approval is none for this plan, in a phrase; null where it is one. */
function whyNotStanding(state: ChangeState, { envelope }: Approval, otherIds: readonly string[], nowMs: number): string | null {
  if (state.plan === null || !standingCounts(state, state.decision)) return 'policy lets no standing approval count for this';
  const template = readStanding(envelope);
  if ([template.approver, ...otherIds].some((id) => state.rejecters.has(id))) return `${template.approver} has rejected this change: another revision is not approved beforehand`;
  if (parseTime(template.notBefore) > nowMs) return `the standing approval begins at ${template.notBefore}`;
  const beyond = beyondTemplate(template, state.plan);
  return beyond === null ? null : `the plan is beyond the standing approval: ${beyond}`;
}

function mayDispatch(state: ChangeState, nowMs: number): boolean {
  return state.name === 'scheduled' || state.name === 'staged' || needsAnotherIssue(state, nowMs);
}

function decideAct(state: ChangeState, command: Of<'authoriseAct'>, nowMs: number): Decided {
  const ticket = readPayload(command.ticket, ticketSchema);
  const step = stepOf(state);
  if (!mayDispatch(state, nowMs) || state.plan === null || step === null || ticket.kind !== 'act') return no('not-expected', `no step is due in ${state.name}`);
  if (ticket.stepId !== step.stepId) return no('not-expected', `${step.stepId} is due, not ${ticket.stepId}`);
  if (!isInPlannedWindow(state.plan, ticket, step.action, nowMs)) return no('not-expected', 'the ticket reaches beyond the planned window');
  if (ticket.planDigest !== state.planDigest || planDigest(state.plan) !== state.planDigest) return no('plan-changed', 'the ticket is for another plan');
  if (state.dispatch === null || state.dispatch.planDigest !== state.planDigest || nowMs - state.dispatch.atMs > DISPATCH_FRESH_MS) {
    return no('stale-decision', 'policy has not decided this plan just now');
  }
  const requirement = enforcedUnder(state.decision, state.requirement);
  const isApproved = requirement.approvers === null || isSatisfied(requirement.approvers, approvedBy(state, nowMs));
  if (!requirementIsMet(state, nowMs)) return no('not-approved', 'the approvals do not meet the requirement');
  // Whoever holds to tickets and ends of leases does so by a clock of their own: a record that is later than ours moves no end.
  const fromMs = Math.min(nowMs, parseTime(ticket.notBefore));
  const known = state.lease ?? state.extension;
  if (state.plan.extends !== undefined) {
    const why = whyNotAuthorised(state, command.extended ?? null, fromMs);
    if (why !== null) return no('not-expected', why);
  }
  const latestMs = known?.endsAtMs ?? leaseEndMs(state.plan, fromMs);
  const order = known?.order ?? command.order;
  if (latestMs !== null && order === null) return no('not-expected', 'no order to end the lease');
  const lease = latestMs === null || order === null ? null : leaseOf(order);
  if (lease !== null && latestMs !== null) {
    // The order was signed a moment before this is decided: it may end the lease that much earlier, never later.
    const endsAtMs = parseTime(lease.endsAt);
    if (fromMs >= endsAtMs) return no('too-late', 'the access would be over before it began');
    if (lease.epoch !== (state.plan.extends?.epoch ?? 1) || lease.leaseId !== state.plan.lease?.leaseId) return no('not-expected', 'the order is of another lease, or of another epoch of it');
    const observed = state.decision?.observed;
    if (observed !== undefined && endsAtMs > parseTime(observed.until)) return no('stale-decision', `the lease would outlast what is under observe until ${observed.until}`);
    if (endsAtMs > latestMs || (known !== null && endsAtMs !== latestMs)) return no('not-expected', 'the order does not end the lease when it ends');
  }
  return yes({
    type: 'step.authorised', actor: command.by,
    body: {
      kind: 'act', revision: state.revision, stepId: ticket.stepId, issue: ticket.issue, ticket: command.ticket, planDigest: ticket.planDigest,
      requirement, approvals: approvalsToName(state, nowMs).map(({ approvalId }) => approvalId), ...(isApproved ? {} : { breakGlass: state.breakGlass!.digest }), lease,
    },
  });
}

/** Why the extension cannot be authorised as things are with the lease, in a sentence; null where it can. */
export function whyNotAuthorised({ plan, request, extension }: ChangeState, extended: ChangeState | null, nowMs: number): string | null {
  if (extended === null || request.kind !== 'extend' || extended.changeId !== request.change) return 'there is no such lease';
  const why = whyNotExtendable(extended, request, nowMs);
  if (why !== null) return why;
  const endsAtMs = extension?.endsAtMs ?? leaseEndMs(plan!, nowMs) ?? 0;
  if ((plan!.extends?.epoch ?? 0) <= extended.lease!.epoch) return 'the lease was extended meanwhile';
  return endsAtMs > extended.lease!.endsAtMs ? null : 'the lease ends later already';
}

/** The lease of `state` ends as the extension says, once that was applied and verified; it may come about while a revoke is under way, and then does not. */
function decideExtension(state: ChangeState, { by, extension: { changeId, request, extension, result, verification } }: Of<'extendLease'>): Decided {
  const { lease } = state;
  if (extension === null || request.kind !== 'extend' || request.change !== state.changeId || lease === null || extension.leaseId !== lease.leaseId) return no('not-expected', 'no extension of this lease');
  if (result?.outcome !== 'done' || verification?.effect !== 'allow') return no('not-expected', 'the extension was not applied, or not verified');
  if (lease.epoch === extension.epoch) return ALREADY;
  if (state.name !== 'active' || state.revokes.length > 0 || state.ended !== null) return no('too-late', `the change is ${state.name}`);
  if (extension.epoch < lease.epoch || extension.endsAtMs <= lease.endsAtMs) return no('not-expected', 'the lease ends later already');
  const { leaseId, epoch, endsAtMs, order } = extension;
  return yes({ type: 'lease.extended', actor: by, body: { leaseId, change: changeId, epoch, endsAt: formatTime(endsAtMs), order } });
}

/** Whether a ticket can be acted on in the planned window only. What takes away is held up by none. */
function isInPlannedWindow(plan: Plan, ticket: ActTicket, action: ActTicket['step']['action'], nowMs: number): boolean {
  if (plan.window === undefined || takesAway(action)) return true;
  return nowMs <= parseTime(plan.window.closesAt) && ticket.notBefore >= plan.window.opensAt && ticket.notAfter <= plan.window.closesAt && ticket.notBefore < ticket.notAfter;
}

function leaseOf(order: Dsse): { leaseId: string; epoch: number; endsAt: string; order: Dsse } {
  const { leaseId, epoch, notBefore } = readPayload(order, revokeOrderSchema);
  return { leaseId, epoch, endsAt: notBefore, order };
}

function decideReport(state: ChangeState, command: Of<'recordReport'>, nowMs: number): Decided {
  const { report, envelope, states } = command;
  const actor = report.executor;
  const body = { report: envelope };
  const audience = report.kind === 'read' ? state.read?.audience : report.kind === 'revoked' ? actor : state.act?.audience;
  if (audience !== undefined && audience !== actor) return no('not-expected', `the step is ${audience}'s, not ${actor}'s`);
  switch (report.kind) {
    case 'claimed': {
      const known = state.act?.stepId === report.stepId && state.act.issue === report.issue;
      // A caller's code may run only once its claim is recorded, so it must hear that it is too late.
      if (state.plan?.mode === 'caller' && known && !state.claimed && (state.name !== 'authorised' || state.adoptedFrom !== null || nowMs >= state.act.notAfterMs)) return no('too-late', `the change is ${state.name}`);
      return known && !state.claimed && state.result === null ? yes({ type: 'step.claimed', actor, body }, ...answeredOf(state, actor)) : ALREADY;
    }
    case 'read': {
      // What was to be planned with it is planned no more.
      if (state.adoptedFrom !== null) return ALREADY;
      const after = state.readAfter !== null && !state.readAfter.spent && state.after === null && state.name === 'verifying' && report.issue >= state.readAfter.issue;
      const first = state.read !== null && !state.read.spent && state.before === null && state.name === 'requested';
      if (state.read?.stepId !== report.stepId || !(after || first)) return ALREADY;
      const before = report.state === null ? undefined : states.get(report.state);
      if (report.outcome === 'done') return before === undefined ? no('not-expected', 'the state that the report names is missing') : yes({ type: 'state.read', actor, body, attached: { before } }, ...answeredOf(state, actor));
      return yes({ type: report.outcome === 'refused' ? 'step.refused' : 'step.failed', actor, body });
    }
    case 'acted':
      return decideActed(state, command, report);
    case 'revoked': {
      if (state.ended !== null) return ALREADY;
      // What reconciling has found beside a change that is over is not an end of that change: the next look says that it is gone.
      if (command.order !== null && readPayload(command.order, revokeOrderSchema).cause === 'reconcile') return ALREADY;
      if (report.outcome === 'failed' || report.outcome === 'mismatch') {
        const code = report.outcome === 'failed' ? 'revoke-failed' : 'revoke-mismatch';
        const message = report.detail ?? 'the access could not be taken back';
        return state.findings.has(code) ? ALREADY : yes({ type: 'finding.opened', actor, body: { code, message, owner: null } });
      }
      if (command.order === null || payloadDigest(command.order) !== report.order) return no('not-expected', 'the order that was carried out is missing');
      const after = report.after === null ? undefined : states.get(report.after);
      const closed: NewEvent[] = [...state.findings.keys()].filter((code) => code !== 'policy-fault' && code !== 'review-overdue').map((code) => ({ type: 'finding.closed', actor, body: { code } }));
      return yes({ type: 'lease.ended', actor, body: { report: envelope, order: command.order }, ...(after === undefined ? {} : { attached: { after } }) }, ...closed);
    }
  }
}

function decideActed(state: ChangeState, command: Of<'recordReport'>, report: Extract<Report, { kind: 'acted' }>): Decided {
  if (state.act?.stepId !== report.stepId || state.result !== null) return ALREADY;
  if (state.plan?.mode === 'caller' && !state.claimed) return no('not-expected', 'a result of a step that the caller had not taken up');
  const actor = report.executor;
  const body = { report: command.envelope };
  const before = report.before === null ? undefined : command.states.get(report.before);
  const after = report.after === null ? undefined : command.states.get(report.after);
  const attached = { ...(before === undefined ? {} : { before }), ...(after === undefined ? {} : { after }) };
  const sealed: NewEvent[] = report.seal === null || state.delivery?.seal.ciphertext === report.seal.ciphertext ? []
    : [{ type: 'delivery.sealed', actor, body: { stepId: report.stepId, seal: report.seal } }];
  switch (report.outcome) {
    case 'done':
    case 'already-absent':
      return yes(...sealed, { type: 'step.succeeded', actor, body, attached }, ...keptOf(state, report));
    case 'ambiguous':
      return report.attempt <= state.ambiguousAttempt ? ALREADY : yes({ type: 'step.ambiguous', actor, body });
    case 'refused':
    case 'drifted':
    case 'immutable':
      return state.act.issue === report.issue && !state.act.spent && !FINAL_STATES.has(state.name) ? yes({ type: 'step.refused', actor, body, attached }) : ALREADY;
    case 'failed':
      return FINAL_STATES.has(state.name) ? ALREADY : yes(...heardOf(state), { type: 'step.failed', actor, body, attached });
  }
}

/** A secret that its executor keeps where its users look for it is delivered with that. One that failed and can be undone is not put there. */
function keptOf(state: ChangeState, { seal, byUse, executor }: Extract<Report, { kind: 'acted' }>): NewEvent[] {
  const action = stepOf(state)?.action;
  if (byUse === 'fails' && action !== undefined && isUndoable(action)) return [];
  if (seal === null || placeOf(seal.recipient) === null || (state.delivery?.seal.ciphertext === seal.ciphertext && state.delivery.status !== 'sealed')) return [];
  return [{ type: 'delivery.acknowledged', actor: executor, body: { ciphertext: seal.ciphertext } }];
}

/** A step that nobody took up has been taken up. */
function answeredOf(state: ChangeState, actor: string): NewEvent[] {
  return state.findings.has('step-stuck') ? [{ type: 'finding.closed', actor, body: { code: 'step-stuck' } }] : [];
}

/** A caller that was silent is not any more. */
function heardOf(state: ChangeState): NewEvent[] {
  return state.findings.has('caller-silent') ? [{ type: 'finding.closed', actor: state.keptBy, body: { code: 'caller-silent' } }] : [];
}

function decideVerification(state: ChangeState, command: Of<'recordVerification'>): Decided {
  if (state.name !== 'verifying' || state.result === null || state.verification !== null) return no('not-expected', `nothing is to be verified in ${state.name}`);
  const { by, verification, provenance } = command;
  const verified: NewEvent = { type: 'entitlement.verified', actor: by, body: { stepId: state.result.stepId, verification, provenance } };
  if (verification.effect === 'deny') return yes(verified);
  const closed: NewEvent[] = (['rotation-stalled', 'caller-silent'] as const).filter((code) => state.findings.has(code)).map((code) => ({ type: 'finding.closed', actor: by, body: { code } }));
  if (state.lease === null) return yes(...closed, verified);
  const { leaseId, epoch, endsAtMs } = state.lease;
  return yes(verified, { type: 'lease.activated', actor: by, body: { leaseId, epoch, endsAt: formatTime(endsAtMs) } });
}

function decideRevoke(state: ChangeState, command: Of<'orderRevoke'>): Decided {
  if (state.ended !== null) return ALREADY;
  const order = readPayload(command.order, revokeOrderSchema);
  if (order.changeId !== state.changeId || !mayHaveGiven(state)) return no('nothing-to-revoke', `a change that is ${state.name} has given nothing`);
  if (order.cause === 'compensation' && isPastCutover(state)) return no('too-late', 'the new credential has taken over: taking it back could leave none');
  if (FINAL_STATES.has(state.name) && !stillGives(state)) return no('nothing-to-revoke', `a change that is ${state.name} has given nothing`);
  if (state.revokes.some(({ content }) => content.notBefore <= order.notBefore)) return ALREADY;
  return yes({ type: 'step.authorised', actor: command.by, body: { kind: 'revoke', stepId: revokeStepId(state.changeId), order: command.order, comment: command.comment } });
}

