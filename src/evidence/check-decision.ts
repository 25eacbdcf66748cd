/** Checks of what was decided and approved: `policy.decided`, `approval.*`, `step.authorised`. */
import type { LedgerRecord } from '../../ledger/index.ts';
import { DISPATCH_FRESH_MS } from '../change/decide.ts';
import { derivePlan, deriveQuery, deriveRevokeOrder, leaseEndMs, leaseIdOf, revokeStepId } from '../change/derive.ts';
import type { ChangeEvent } from '../change/events.ts';
import { approversNamed, strictest, type Requirement } from '../protocol/decision.ts';
import { payloadDigest, readPayload } from '../protocol/dsse.ts';
import { planDigest, type Plan } from '../protocol/plan.ts';
import { ticketSchema, type ActTicket } from '../protocol/signed.ts';
import { shortfallOf } from '../protocol/sufficiency.ts';
import { floorFor } from '../protocol/trust-folder.ts';
import { formatTime, parseTime } from '../protocol/values.ts';
import type { Audited, CheckedApproval } from './audited.ts';
import { openApproval, openOrder, openTicket, same, type Believed } from './signatures.ts';
import { fault, type Fault } from './violation.ts';

type Of<T extends ChangeEvent['type']> = Extract<ChangeEvent, { type: T }>;
type Authorised<K extends 'read' | 'act' | 'revoke'> = Extract<Of<'step.authorised'>['body'], { kind: K }>;

/** The requirement that holds after `event`, whatever its record says. */
export function requirementAfter(requirement: Requirement, event: ChangeEvent): Requirement {
  if (event.type !== 'policy.decided') return requirement;
  const { approvers, proofClass } = event.body.decision.obligations;
  return strictest(requirement, { approvers, proofClass });
}

export function checkDecision(audited: Audited, event: Of<'policy.decided'>, record: LedgerRecord): Fault | null {
  const { body, attached } = event;
  if (!same(body.requirement, requirementAfter(audited.requirement, event))) {
    return fault('requirement-shrunk', 'the requirement is not the strictest of all that was decided about this change');
  }
  if (body.phase === 'dispatch') {
    return body.planDigest === audited.state.planDigest ? null : fault('plan-digest-mismatch', 'policy decided another plan than the one that was approved');
  }
  if (body.planDigest === null) return body.decision.effect === 'deny' ? null : fault('plan-missing', 'something other than a denial, without a plan');
  if (!record.objects.includes(body.planDigest)) return fault('plan-missing', 'the record does not name its plan among its objects');
  return attached?.plan === undefined ? null : checkPlan(audited, attached.plan, body.planDigest);
}

/** The plan is the one that follows from the request and from what was read; nothing else may be approved under its name. */
function checkPlan({ state }: Audited, plan: Plan, digest: string): Fault | null {
  if (planDigest(plan) !== digest) return fault('plan-digest-mismatch', 'the digest is not that of the plan');
  const ticket = state.read === null ? null : readPayload(state.read.ticket, ticketSchema);
  if (ticket?.kind !== 'read') return fault('plan-not-requested', 'a plan for a target that nobody was to read');
  const { query } = ticket;
  // An erased before-state leaves its attributes unchecked; the executor compared them before the effect.
  const before = state.before ?? { v: 1, salt: plan.salt, connector: query.connector, target: query.target, account: query.account, exists: true, touched: plan.before, held: [] };
  const asked = same(query, deriveQuery(state.changeId, state.request, query.account));
  return asked && same(plan, derivePlan(state, query, before, plan.salt)) ? null : fault('plan-not-requested', 'the plan does not follow from the request');
}

export function checkApproval(
  believed: Believed, audited: Audited, event: Of<'approval.recorded' | 'approval.rejected'>,
): { readonly fault: Fault } | { readonly fault: null; readonly approval: CheckedApproval } {
  const { state } = audited;
  const { approval } = event.body;
  const opened = openApproval(believed, approval);
  if (!opened.ok) return { fault: opened.fault };
  const statement = opened.value;
  const verdict = event.type === 'approval.recorded' ? 'approve' : 'reject';
  const about = statement.log === believed.logId && statement.changeId === event.changeId && statement.revision === state.revision && statement.planDigest === state.planDigest;
  if (!about || statement.verdict !== verdict) return { fault: fault('approval-mismatch', 'the statement is about another plan, or says something else') };
  if (event.actor !== statement.approver) return { fault: fault('wrong-actor', `a record by ${event.actor} of a verdict by ${statement.approver}`) };
  if (state.requester.includes(statement.approver)) return { fault: fault('self-approval', `${statement.approver} approves what they asked for`) };
  if (!approversNamed(audited.requirement.approvers).includes(statement.approver)) return { fault: fault('not-an-approver', `${statement.approver} was not asked`) };
  const late = parseTime(statement.expiresAt) <= event.atMs || (state.approvalsByMs !== null && event.atMs > state.approvalsByMs);
  if (late) return { fault: fault('approval-expired', `${statement.approver} decided after the time to decide was over`) };
  return { fault: null, approval: { approvalId: approval.approvalId, statement, proofClass: approval.proofClass } };
}

export function checkAuthorisation(believed: Believed, audited: Audited, event: Of<'step.authorised'>): Fault | null {
  const { body } = event;
  switch (body.kind) {
    case 'read':
      return checkRead(believed, audited, event, body);
    case 'act':
      return checkAct(believed, audited, event, body);
    case 'revoke':
      return checkRevoke(believed, audited, event, body);
  }
}

function checkRead(believed: Believed, { state }: Audited, event: ChangeEvent, body: Authorised<'read'>): Fault | null {
  const opened = openTicket(believed, body.ticket);
  if (!opened.ok) return opened.fault;
  const ticket = opened.value;
  const fits = ticket.kind === 'read' && ticket.log === believed.logId && ticket.changeId === event.changeId && ticket.revision === state.revision
    && ticket.revision === body.revision && ticket.stepId === body.stepId && ticket.issue === body.issue;
  if (!fits) return fault('ticket-mismatch', 'the ticket is not for this read');
  if (!same(ticket.query, deriveQuery(event.changeId, state.request, ticket.query.account))) return fault('ticket-mismatch', 'the ticket reads something that was not asked for');
  return entitled(believed, ticket.audience, ticket.query.connector);
}

function checkAct(believed: Believed, audited: Audited, event: ChangeEvent, body: Authorised<'act'>): Fault | null {
  const { state } = audited;
  const opened = openTicket(believed, body.ticket);
  if (!opened.ok) return opened.fault;
  const ticket = opened.value;
  if (ticket.kind !== 'act') return fault('ticket-mismatch', 'a ticket that only reads, for a step that acts');
  const fits = ticket.log === believed.logId && ticket.changeId === event.changeId && ticket.revision === state.revision && ticket.revision === body.revision
    && ticket.stepId === body.stepId && ticket.issue === body.issue && ticket.planDigest === body.planDigest && ticket.issue === (state.act?.issue ?? 0) + 1;
  if (!fits) return fault('ticket-mismatch', 'the ticket is not for this step');
  const short = entitled(believed, ticket.audience, ticket.step.connector) ?? checkSufficiency(believed, audited, event, body, ticket);
  if (short !== null) return short;
  if (state.dispatch === null || state.dispatch.planDigest !== body.planDigest) {
    return fault('not-decided', 'policy had not allowed this plan again before the step was authorised');
  }
  if (event.atMs - state.dispatch.atMs > DISPATCH_FRESH_MS) return fault('stale-decision', 'policy had decided long before the step was authorised');
  if (state.plan !== null && (planDigest(state.plan) !== body.planDigest || !same(ticket.step, state.plan.steps[0]))) {
    return fault('ticket-mismatch', 'the step is not the one in the plan');
  }
  return checkLease(believed, audited, event, body, ticket);
}

function checkSufficiency(believed: Believed, audited: Audited, event: ChangeEvent, body: Authorised<'act'>, ticket: ActTicket): Fault | null {
  if (!same(body.requirement, audited.requirement)) return fault('requirement-shrunk', 'the step was authorised under a weaker requirement than was decided');
  const inForce = audited.approvals.filter(({ statement }) => statement.planDigest === body.planDigest && parseTime(statement.expiresAt) > event.atMs);
  const floor = ticket.step.action === 'revoke' ? null : floorFor(believed.trust.requirements, ticket.step);
  return shortfallOf(
    audited.requirement, floor,
    inForce.map(({ statement, proofClass }) => ({ approver: statement.approver, proofClass })), audited.state.requester, leaseSecondsOf(audited, body, event),
  );
}

/** By the plan; where it was erased, by the end that was fixed, rounded up. */
function leaseSecondsOf({ state, firstActAtMs }: Audited, body: Authorised<'act'>, event: ChangeEvent): number | null {
  if (state.plan !== null) return state.plan.lease?.leaseSeconds ?? null;
  return body.lease === null ? null : Math.ceil((parseTime(body.lease.endsAt) - (firstActAtMs ?? event.atMs)) / 1000);
}

function checkLease(believed: Believed, audited: Audited, event: ChangeEvent, body: Authorised<'act'>, ticket: ActTicket): Fault | null {
  const { state } = audited;
  const { lease } = body;
  if (state.plan !== null && (state.plan.lease === null) !== (lease === null)) return fault('lease-mismatch', 'the plan has a lease and the step has none, or the other way round');
  if (lease === null) return null;
  if (lease.leaseId !== leaseIdOf(event.changeId) || lease.epoch !== 1) return fault('lease-mismatch', 'the lease is not this change’s');
  if (state.lease !== null && (payloadDigest(lease.order) !== state.lease.orderDigest || parseTime(lease.endsAt) !== state.lease.endsAtMs)) {
    return fault('lease-mismatch', 'another issue of the ticket moved the end of the lease');
  }
  const latest = state.plan === null ? null : leaseEndMs(state.plan, audited.firstActAtMs ?? event.atMs);
  if (latest !== null && parseTime(lease.endsAt) > latest) return fault('lease-mismatch', `the lease ends at ${lease.endsAt}, later than the plan allows (${formatTime(latest)})`);
  const opened = openOrder(believed, lease.order);
  if (!opened.ok) return opened.fault;
  const order = opened.value;
  if (order.notBefore !== lease.endsAt) return fault('order-mismatch', 'the order does not take the access back when the lease ends');
  const { connector, target, account, privileges, clientToken, action } = ticket.step;
  const step = { leaseId: lease.leaseId, changeId: event.changeId, log: believed.logId, connector, target, account, privileges, clientToken, action };
  const ordered = {
    leaseId: order.leaseId, changeId: order.changeId, log: order.log, connector: order.connector, target: order.target, account: order.account,
    privileges: order.privileges, clientToken: order.clientToken, action: order.action,
  };
  return same(step, ordered) ? null : fault('order-mismatch', 'the order takes back something else than the step gives');
}

function checkRevoke(believed: Believed, audited: Audited, event: ChangeEvent, body: Authorised<'revoke'>): Fault | null {
  const opened = openOrder(believed, body.order);
  if (!opened.ok) return opened.fault;
  const order = opened.value;
  if (event.actor !== order.orderedBy) return fault('wrong-actor', `a record by ${event.actor} of an order by ${order.orderedBy}`);
  if (body.stepId !== revokeStepId(event.changeId) || order.log !== believed.logId || order.changeId !== event.changeId) return fault('order-mismatch', 'the order is about another change');
  const { plan } = audited.state;
  if (plan === null) return null;
  const due = deriveRevokeOrder(plan, order.audience, parseTime(order.notBefore), order.cause, order.orderedBy);
  return due !== null && same(due, order) ? null : fault('order-mismatch', 'the order takes back something else than the change gave');
}

function entitled(believed: Believed, executor: string, connector: string): Fault | null {
  const known = believed.trust.executors.get(executor);
  if (known === undefined) return fault('unknown-executor', `a ticket for ${executor}, which the trust folder does not list`);
  return known.connectors.includes(connector) ? null : fault('executor-not-entitled', `${executor} may not act on connector ${connector}`);
}
