/** Checks of what was decided and approved: `policy.decided`, `approval.*`, and that what is authorised was approved enough. */
import type { LedgerRecord } from '../../ledger/index.ts';
import { deriveOffboarding, derivePlan, deriveQuery, systemOf } from '../change/derive.ts';
import { escalationDueMs } from '../change/escalation.ts';
import type { ChangeEvent } from '../change/events.ts';
import { hasRejected, outcomeOfRejection } from '../change/rejecting.ts';
import { standingCounts, type ChangeState } from '../change/state.ts';
import { mayApprove } from '../protocol/awaited.ts';
import { approversNamed, demandOf, enforcedUnder, isSameRequirement, meets, strictest, type Requirement } from '../protocol/decision.ts';
import { readPayload } from '../protocol/dsse.ts';
import { planDigest, type LentAction, type Plan } from '../protocol/plan.ts';
import { windowOf } from '../protocol/request.ts';
import { ticketSchema, type Query } from '../protocol/signed.ts';
import { shortfallOf, type CountedApproval, type FloorDemand } from '../protocol/sufficiency.ts';
import { parseTime } from '../protocol/values.ts';
import type { Audited, CheckedApproval } from './audited.ts';
import type { Extensions } from './check-extension.ts';
import { openApproval, same, type Believed } from './signatures.ts';
import { fault, type Fault } from './violation.ts';

type Of<T extends ChangeEvent['type']> = Extract<ChangeEvent, { type: T }>;

/** The requirement that holds after `event`, in the words of its record where that demands the same. */
export function requirementAfter(requirement: Requirement, event: ChangeEvent): Requirement {
  if (event.type !== 'policy.decided') return requirement;
  const { decision, floor } = event.body;
  const decided = strictest(requirement, demandOf(decision));
  // What the sidecar says of its own floor only makes it stricter: this verifier's floor is asked at each step.
  const due = floor === undefined ? decided : strictest(decided, floor);
  return isSameRequirement(due, event.body.requirement) ? event.body.requirement : due;
}

export function checkDecision(audited: Audited, event: Of<'policy.decided'>, record: LedgerRecord, extensions: Extensions): Fault | null {
  const { body, attached } = event;
  if (!same(body.requirement, requirementAfter(audited.requirement, event))) {
    return fault('requirement-shrunk', 'the requirement is not the strictest of all that was decided about this change');
  }
  if (body.decision.exceptions !== undefined && body.decision.effect === 'allow') {
    return fault('exception-unapproved', 'an exception took a denial away, and nobody was to approve that');
  }
  if (body.phase === 'dispatch') {
    return body.planDigest === audited.state.planDigest ? null : fault('plan-digest-mismatch', 'policy decided another plan than the one that was approved');
  }
  if (body.planDigest === null) return body.decision.effect === 'deny' ? null : fault('plan-missing', 'something other than a denial, without a plan');
  if (!record.objects.includes(body.planDigest)) return fault('plan-missing', 'the record does not name its plan among its objects');
  return attached?.plan === undefined ? null : checkPlan(audited, attached.plan, body.planDigest, extensions);
}

/** Of plans as they were read from the ledger, which nothing changes: each is asked for at its decision, and again with every ticket of it. */
const digests = new WeakMap<Plan, string>();

export function digestOfRead(plan: Plan): string {
  const known = digests.get(plan);
  if (known !== undefined) return known;
  const digest = planDigest(plan);
  digests.set(plan, digest);
  return digest;
}

/** The plan is the one that follows from the request and from what was read; nothing else may be approved under its name. */
function checkPlan({ state, readErased }: Audited, plan: Plan, digest: string, extensions: Extensions): Fault | null {
  if (digestOfRead(plan) !== digest) return fault('plan-digest-mismatch', 'the digest is not that of the plan');
  const unasked = fault('plan-not-requested', 'the plan does not follow from the request');
  if (state.request.kind === 'offboard') return same(plan, deriveOffboarding(state, plan.items ?? [], plan.salt)) ? null : unasked;
  if (plan.extends?.change !== (state.request.kind === 'extend' ? state.request.change : undefined)) return fault('plan-not-requested', 'the plan extends something else than was asked for');
  if (plan.mode === 'caller' && !CALLED_KINDS.has(plan.kind)) return fault('plan-not-requested', 'what has a lease is no caller’s to make');
  const query = plannedQuery(state, plan);
  if (query === null) return fault('plan-not-requested', 'a plan for a target that nobody was to read');
  if (state.read !== null && state.before === null && !readErased) return fault('plan-not-requested', 'the plan was made before anything was read');
  // An erased before-state leaves its attributes unchecked, and that is told; the executor compared them before the effect. What nobody read has none.
  const before = state.before ?? { touched: state.read === null ? {} : plan.before };
  const { window = null, rotation } = plan;
  const extended = extensions.extendedBy(plan);
  if (extended === 'gone') return null;
  if (state.request.kind === 'extend' && extended === null) return fault('extension-mismatch', 'a plan to extend what no change gave that runs, or something else than it gave');
  const derived = derivePlan(state, query, before, { salt: plan.salt, window, consumers: rotation?.consumers ?? [], parent: state.parent, extended });
  if (!same(query, queryFor(state, query.account, query.gave)) || !same(plan, derived)) return unasked;
  return window === null ? null : checkPlannedWindow(state, window);
}

/** Kinds that a caller's own code may carry out: they leave no lease behind. */
const CALLED_KINDS: ReadonlySet<Plan['kind']> = new Set(['rotate', 'revoke', 'disable']);

/** What the plan was derived from: the recorded read, or, where a caller acts on what no executor reads, what would have been asked. */
function plannedQuery(state: ChangeState, plan: Plan): Query | null {
  if (state.read === null) return plan.mode === 'caller' ? queryFor(state, plan.steps[0]?.account ?? '') : null;
  const ticket = readPayload(state.read.ticket, ticketSchema);
  return ticket.kind === 'read' ? ticket.query : null;
}

/** What is asked of the target under the change's request; null for a request that is not about one system. */
export function queryFor({ changeId, request }: ChangeState, account: string, gave?: LentAction): Query | null {
  return systemOf(request) === null || (gave !== undefined) !== (request.kind === 'extend') ? null : deriveQuery(changeId, request, account, gave);
}

function checkPlannedWindow({ request }: ChangeState, window: NonNullable<Plan['window']>): Fault | null {
  const asked = windowOf(request);
  if (window.opensAt >= window.closesAt) return fault('plan-not-requested', 'the planned window closes before it opens');
  const fits = (asked?.calendar ?? window.calendar) === window.calendar && (asked?.onMissed ?? 'expire') === window.onMissed;
  return fits ? null : fault('plan-not-requested', 'the planned window is not the one that was asked for');
}

/** @param judgedAtMs as of when it is to be in time, and signed with a key that is good */
export function checkApproval(
  believed: Believed, audited: Audited, event: Of<'approval.recorded' | 'approval.rejected'>, judgedAtMs: number,
): { readonly fault: Fault } | { readonly fault: null; readonly approval: CheckedApproval } {
  const { state } = audited;
  const { approval } = event.body;
  const opened = openApproval(believed, approval, judgedAtMs);
  if (!opened.ok) return { fault: opened.fault };
  const statement = opened.value;
  const verdict = event.type === 'approval.recorded' ? 'approve' : 'reject';
  const about = statement.log === believed.logId && statement.changeId === event.changeId && statement.revision === state.revision && statement.planDigest === state.planDigest;
  if (!about || statement.verdict !== verdict) return { fault: fault('approval-mismatch', 'the statement is about another plan, or says something else') };
  if (event.actor !== statement.approver) return { fault: fault('wrong-actor', `a record by ${event.actor} of a verdict by ${statement.approver}`) };
  if (state.requester.includes(statement.approver)) return { fault: fault('self-approval', `${statement.approver} approves what they asked for`) };
  if (!approversNamed(audited.requirement.approvers).includes(statement.approver)) return { fault: fault('not-an-approver', `${statement.approver} was not asked`) };
  // What a standing approval met may be rejected until the dispatch, however long that is held: the time to decide is over only while nobody has decided.
  const late = parseTime(statement.expiresAt) <= judgedAtMs || (state.name === 'pending' && state.approvalsByMs !== null && judgedAtMs > state.approvalsByMs);
  if (late) return { fault: fault('approval-expired', `${statement.approver} decided after the time to decide was over`) };
  const strange = checkTurn(audited, event, statement.approver, judgedAtMs);
  return strange === null ? { fault: null, approval: { approvalId: approval.approvalId, statement, proofClass: approval.proofClass } } : { fault: strange };
}

/** It is her turn; and a rejection, for which it always is, comes to what its record says. */
function checkTurn(audited: Audited, event: Of<'approval.recorded' | 'approval.rejected'>, approver: string, atMs: number): Fault | null {
  const { state } = audited;
  if (event.type === 'approval.recorded' || hasRejected(state, approver)) return outOfTurn(audited, approver, atMs);
  const { otherIds = [] } = event.body;
  // One person's ids are one rejection; that they are hers is the directory's word, and more of them only end the change sooner.
  if (otherIds.some((id) => hasRejected(state, id))) return fault('rejection-mismatch', `${approver} is said to be one who had rejected the plan already`);
  const outcome = (state.rejectionsDue ?? 1) === 1 ? undefined : outcomeOfRejection(state, approver, otherIds);
  return event.body.outcome === outcome ? null : fault('rejection-mismatch', `the rejection comes to something else than its record says: ${outcome ?? 'one is enough'}`);
}

/** Whoever has rejected a plan decides on it no more, and whoever is in a later stage approves once those before it are met, by the order of the records: in person, or by a standing approval. */
export function outOfTurn(audited: Audited, approver: string, atMs: number): Fault | null {
  const { state, requirement: { approvers, proofClass } } = audited;
  if (hasRejected(state, approver)) return fault('rejection-mismatch', `${approver} decides on a plan that ${approver} had rejected`);
  const approved = new Set(inForceAt(audited, atMs).filter((one) => meets(one.proofClass, proofClass) && !state.requester.includes(one.approver)).map((one) => one.approver));
  return approvers === null || mayApprove(approvers, approved).has(approver) ? null : fault('approval-out-of-stage', `${approver} approved before those who were asked first had`);
}

/** Further people are told because a decision says so, those whom it names, and when it says. */
export function checkEscalated({ state }: Audited, { body: { to, dueAt } }: Of<'approval.escalated'>): Fault | null {
  if (state.escalation === null) return fault('escalation-mismatch', 'further people were told, and no decision asks for that');
  if (!same(to, state.escalation.to)) return fault('escalation-mismatch', 'others were told than the decisions about this change name');
  const dueMs = escalationDueMs(state);
  return dueMs === null || parseTime(dueAt) === dueMs ? null : fault('escalation-mismatch', `${dueAt} is not when it was time to tell them`);
}

/** What is missing of the approvals in force at `atMs`. The steps after the first go on under those that it was authorised with. */
export function checkApproved(audited: Audited, atMs: number, floor: FloorDemand | null, leaseSeconds: number | null, isRevoked: (approvalId: string) => boolean = () => false): Fault | null {
  const { state, requirement } = audited;
  return shortfallOf(enforcedUnder(state.decision, requirement), floor, inForceAt(audited, atMs, isRevoked), state.requester, leaseSeconds);
}

function inForceAt({ state, approvals }: Audited, atMs: number, isRevoked: (approvalId: string) => boolean = () => false): CountedApproval[] {
  const asOfMs = state.finished.length > 0 && state.firstActAtMs !== null ? Math.min(atMs, state.firstActAtMs) : atMs;
  return approvals
    .filter(({ statement }) => statement.planDigest === state.planDigest && parseTime(statement.expiresAt) > asOfMs)
    // What has begun goes on under a standing approval that was revoked since; what has not, does not.
    .filter(({ approvalId, standing = false }) => !standing || (standingCounts(state, state.decision) && (state.firstActAtMs !== null || !isRevoked(approvalId))))
    .map(({ statement, proofClass, standing = false }): CountedApproval => ({ approver: statement.approver, proofClass, standing }));
}
