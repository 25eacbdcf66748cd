/** Checks of `step.authorised`: that the ticket or order is the sidecar's, is for what was decided and approved, and comes in its time. */
import { DISPATCH_FRESH_MS } from '../change/decide.ts';
import { deriveRevokeOrder, leaseEndMs, leaseIdOf, revokeStepId } from '../change/derive.ts';
import type { ChangeEvent } from '../change/events.ts';
import { callerIdOf } from '../protocol/caller.ts';
import { enforcedUnder } from '../protocol/decision.ts';
import { payloadDigest } from '../protocol/dsse.ts';
import { givesAccess, type PlanStep } from '../protocol/plan.ts';
import { callerOf } from '../protocol/request.ts';
import type { ActTicket } from '../protocol/signed.ts';
import { floorOf } from '../protocol/trust-folder.ts';
import { formatTime, parseTime } from '../protocol/values.ts';
import type { Audited } from './audited.ts';
import { checkBroken } from './check-break-glass.ts';
import { checkApproved, digestOfRead, queryFor } from './check-decision.ts';
import type { Extensions } from './check-extension.ts';
import type { Locks } from './check-lock.ts';
import type { Cases } from './check-offboarding.ts';
import { checkRests } from './check-redecision.ts';
import type { Uses } from './check-standing.ts';
import { checkCutover, isUndoneAfterCutover, isUndoneInUse } from './check-rotation.ts';
import type { Targets } from './check-target.ts';
import { checkInWindow } from './check-window.ts';
import { openOrder, openTicket, same, type Believed } from './signatures.ts';
import { fault, type Fault } from './violation.ts';

type Of<T extends ChangeEvent['type']> = Extract<ChangeEvent, { type: T }>;
type Authorised<K extends 'read' | 'act' | 'revoke'> = Extract<Of<'step.authorised'>['body'], { kind: K }>;

/** What else there is in the ledger that may keep a step from being authorised. */
interface Around {
  readonly believed: Believed;
  readonly locks: Locks;
  readonly cases: Cases;
  readonly extensions: Extensions;
  readonly targets: Targets;
  readonly standings: Pick<Uses, 'isRevoked'>;
}

/** @param judgedAtMs as of when approvals are judged */
export function checkAuthorisation(around: Around, audited: Audited, event: Of<'step.authorised'>, judgedAtMs: number): Fault | null {
  const { body } = event;
  const { believed } = around;
  switch (body.kind) {
    case 'read':
      return checkRead(believed, audited, event, body);
    case 'act':
      return checkAct(around, audited, event, body, judgedAtMs);
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
  if (!same(ticket.query, queryFor(state, ticket.query.account, ticket.query.gave))) return fault('ticket-mismatch', 'the ticket reads something that was not asked for');
  return entitled(believed, ticket.audience, ticket.query.connector);
}

function checkAct({ believed, locks, cases, extensions, targets, standings }: Around, audited: Audited, event: ChangeEvent, body: Authorised<'act'>, judgedAtMs: number): Fault | null {
  const { state } = audited;
  const opened = openTicket(believed, body.ticket);
  if (!opened.ok) return opened.fault;
  const ticket = opened.value;
  if (ticket.kind !== 'act') return fault('ticket-mismatch', 'a ticket that only reads, for a step that acts');
  const issue = (state.act?.stepId === ticket.stepId ? state.act.issue : 0) + 1;
  const fits = ticket.log === believed.logId && ticket.changeId === event.changeId && ticket.revision === state.revision && ticket.revision === body.revision
    && ticket.stepId === body.stepId && ticket.issue === body.issue && ticket.planDigest === body.planDigest && ticket.issue === issue;
  if (!fits) return fault('ticket-mismatch', 'the ticket is not for this step');
  return checkAudience(believed, audited, ticket)
    ?? checkSufficiency(believed, standings, audited, event, body, ticket, judgedAtMs)
    ?? checkHeld(locks, cases, audited, event, ticket.step)
    ?? targets.check(audited, ticket.step)
    ?? checkDispatch(audited, event, body)
    ?? checkPlanned(audited, body, ticket)
    ?? checkInWindow(audited, event.atMs, ticket)
    ?? checkCutover(audited, event.atMs, ticket.step)
    ?? checkLease(believed, audited, event, body, ticket)
    ?? (body.lease === null ? null : extensions.checkAuthorised(audited, body.lease));
}

/** The run whose key was requested, where the caller makes the change itself; otherwise an executor of the connector. */
function checkAudience(believed: Believed, { state }: Audited, ticket: ActTicket): Fault | null {
  const caller = callerOf(state.request);
  if (caller === null) return entitled(believed, ticket.audience, ticket.step.connector);
  return ticket.audience === callerIdOf(caller.key) ? null : fault('ticket-mismatch', `a ticket for ${ticket.audience}, which is not the run that was to make the change`);
}

function checkSufficiency(believed: Believed, standings: Around['standings'], audited: Audited, event: ChangeEvent, body: Authorised<'act'>, ticket: ActTicket, judgedAtMs: number): Fault | null {
  if (!same(body.requirement, enforcedUnder(audited.state.decision, audited.requirement))) return fault('requirement-shrunk', 'the step was authorised under a weaker requirement than was decided');
  if (body.planDigest !== audited.state.planDigest) return fault('ticket-mismatch', 'the ticket is for another plan');
  const floor = floorOf(believed.trust.requirements, ticket.step);
  const leaseSeconds = leaseSecondsOf(audited, body, event);
  if (body.breakGlass !== undefined) return checkBroken(believed, audited, body.breakGlass, ticket.step, floor, { atMs: judgedAtMs, leaseSeconds });
  return checkApproved(audited, judgedAtMs, floor, leaseSeconds, standings.isRevoked);
}

/** By the plan; where it was erased, by the end that was fixed, rounded up. */
function leaseSecondsOf({ state, planErased }: Audited, body: Authorised<'act'>, event: ChangeEvent): number | null {
  if (state.plan !== null && !planErased) return state.plan.lease?.leaseSeconds ?? null;
  return body.lease === null ? null : Math.ceil((parseTime(body.lease.endsAt) - (state.firstActAtMs ?? event.atMs)) / 1000);
}

/** A freeze holds up whatever policy says it does; a lock, and an offboarding that is at work, what gives. */
function checkHeld(locks: Locks, cases: Cases, { state }: Audited, event: ChangeEvent, step: PlanStep): Fault | null {
  const notBefore = state.decision?.obligations.notBefore;
  if (notBefore !== undefined && parseTime(notBefore) > event.atMs) return fault('frozen', `a step was authorised that policy had held until ${notBefore}`);
  if (!givesAccess(step.action)) return null;
  const lock = locks.covering(state.request.subject, step.connector);
  if (lock !== null) return fault('locked', `a step that gives access was authorised under lock ${lock}`);
  const offboarding = cases.takingFrom(state.request.subject);
  return offboarding === null ? null : fault('locked', `a step that gives access was authorised while ${offboarding} was taking everything from ${state.request.subject}`);
}

function checkDispatch({ state }: Audited, event: ChangeEvent, body: Authorised<'act'>): Fault | null {
  if (state.dispatch === null || state.dispatch.planDigest !== body.planDigest) {
    return fault('not-decided', 'policy had not allowed this plan again before the step was authorised');
  }
  return event.atMs - state.dispatch.atMs > DISPATCH_FRESH_MS ? fault('stale-decision', 'policy had decided long before the step was authorised') : null;
}

function checkPlanned({ state: { plan }, planErased }: Audited, body: Authorised<'act'>, ticket: ActTicket): Fault | null {
  if (plan === null) return null;
  const planned = plan.steps.find(({ stepId }) => stepId === ticket.stepId) ?? null;
  const fits = (planErased || digestOfRead(plan) === body.planDigest) && same(ticket.step, planned);
  return fits ? null : fault('ticket-mismatch', 'the step is not the one in the plan');
}

function checkLease(believed: Believed, audited: Audited, event: ChangeEvent, body: Authorised<'act'>, ticket: ActTicket): Fault | null {
  const { state, planErased } = audited;
  const plan = planErased ? null : state.plan;
  const { lease } = body;
  if (plan !== null && (plan.lease === null) !== (lease === null)) return fault('lease-mismatch', 'the plan has a lease and the step has none, or the other way round');
  if (lease === null) return null;
  const changeId = state.request.kind === 'extend' ? state.request.change : event.changeId;
  if (lease.leaseId !== leaseIdOf(changeId) || (state.request.kind === 'extend' ? lease.epoch < 2 : lease.epoch !== 1)) return fault('lease-mismatch', 'the lease is not this change’s');
  const fixed = state.lease ?? state.extension;
  if (fixed !== null && (payloadDigest(lease.order) !== fixed.orderDigest || parseTime(lease.endsAt) !== fixed.endsAtMs)) {
    return fault('lease-mismatch', 'another issue of the ticket moved the end of the lease');
  }
  const latest = plan === null ? null : leaseEndMs(plan, state.firstActAtMs ?? event.atMs);
  if (latest !== null && parseTime(lease.endsAt) > latest) return fault('lease-mismatch', `the lease ends at ${lease.endsAt}, later than the plan allows (${formatTime(latest)})`);
  const observed = state.decision?.observed;
  if (observed !== undefined && parseTime(lease.endsAt) > parseTime(observed.until)) return fault('lease-mismatch', `the lease ends at ${lease.endsAt}, later than what it was given under (observe until ${observed.until})`);
  const opened = openOrder(believed, lease.order);
  if (!opened.ok) return opened.fault;
  const order = opened.value;
  if (order.notBefore !== lease.endsAt) return fault('order-mismatch', 'the order does not take the access back when the lease ends');
  if (order.epoch !== lease.epoch || order.cause !== 'leaseEnd') return fault('order-mismatch', 'the order is not the end of that epoch of the lease');
  const { connector, target, account, privileges, clientToken, gave, action: does } = ticket.step;
  const action = gave ?? does;
  const step = { leaseId: lease.leaseId, changeId, log: believed.logId, connector, target, account, privileges, clientToken, action };
  const ordered = {
    leaseId: order.leaseId, changeId: order.changeId, log: order.log, connector: order.connector, target: order.target, account: order.account,
    privileges: order.privileges, clientToken: order.clientToken, action: order.action,
  };
  return same(step, ordered) ? null : fault('order-mismatch', 'the order takes back something else than the step gives');
}

function checkRevoke(believed: Believed, { state }: Audited, event: ChangeEvent, body: Authorised<'revoke'>): Fault | null {
  const opened = openOrder(believed, body.order);
  if (!opened.ok) return opened.fault;
  const order = opened.value;
  if (event.actor !== order.orderedBy) return fault('wrong-actor', `a record by ${event.actor} of an order by ${order.orderedBy}`);
  if (body.stepId !== revokeStepId(event.changeId) || order.log !== believed.logId || order.changeId !== event.changeId) return fault('order-mismatch', 'the order is about another change');
  if (isUndoneAfterCutover(state, order)) return fault('undone-after-cutover', 'the new credential was ordered back after it had taken over, and by nobody');
  if (isUndoneInUse(state, order)) return fault('undone-in-use', 'a new login was ordered back that a consumer had moved over to, and by nobody');
  const rests = checkRests(state, event, body, order);
  if (rests !== null || state.plan === null) return rests;
  // What its epoch is worth its executor knows; to take away needs none.
  const due = deriveRevokeOrder(state.plan, order.audience, parseTime(order.notBefore), order.cause, order.orderedBy, order.epoch);
  return due !== null && same(due, order) ? null : fault('order-mismatch', 'the order takes back something else than the change gave');
}

function entitled(believed: Believed, executor: string, connector: string): Fault | null {
  const known = believed.trust.executors.get(executor);
  if (known === undefined) return fault('unknown-executor', `a ticket for ${executor}, which the trust folder does not list`);
  return known.connectors.includes(connector) ? null : fault('executor-not-entitled', `${executor} may not act on connector ${connector}`);
}
