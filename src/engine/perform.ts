/** Does one piece of a change's work and records what came of it. May be done twice: recording is guarded by `decide`, effects by executors. */
import {
  callerOfPlan, deriveActTicket, deriveOffboarding, derivePlan, deriveQuery, deriveReadTicket, deriveRevokeOrder, leaseEndMs, newAccountName, systemOf,
} from '../change/derive.ts';
import { whyNotAuthorised, type Command } from '../change/decide.ts';
import { isPastCutover, mayHaveGiven, mayRollBack, stepOf, withoutApprovals, FINAL_STATES, type ChangeState, type IssuedTicket, type Superseded } from '../change/state.ts';
import { findingOf, owesRotation } from '../change/glass-debts.ts';
import { endDueMs, occupiesTarget, type Work } from '../change/work.ts';
import { EngineFault } from '../pdp/fault.ts';
import type { Decision, Requirement } from '../protocol/decision.ts';
import { readPayload, signDsse } from '../protocol/dsse.ts';
import { givesAccess, planSchema, takesAway, type Plan, type PlanStep } from '../protocol/plan.ts';
import { callerOf, entitlementsOf } from '../protocol/request.ts';
import { REVOKE_ORDER_TYPE, ticketSchema, TICKET_TYPE, type Query } from '../protocol/signed.ts';
import { formatTime } from '../protocol/values.ts';
import { askAbout, askForWindow, askToVerify, ENGINE_RULE, faultDecision, type Asked } from './ask.ts';
import { sayOverdue, whyGlassIsVoid } from './breaking-glass.ts';
import type { EngineContext } from './engine.ts';
import { unlessFloorAsks, unlessFloorCountsNone, unlessScopeIsOver } from './enforcing.ts';
import { extendableOf, extendedBy, holdToEarlierEnd, isEpochSpent, orderEpoch } from './extending.ts';
import { newSalt } from './ids.ts';
import { locksOn } from './locks.ts';
import { accountOfItem, findItems, ITEMS_MAX, offboardingOf, workThroughItems } from './offboarding.ts';
import { ownFloor } from './own-floor.ts';
import { TransportError } from './ports.ts';
import { publishEnvelope } from './publish.ts';
import { makeEnvelope } from './receipt.ts';
import { noRoomFor } from './room.ts';
import { giveUpRevoked } from './standing-approvals.ts';
import { heardTurnedAway } from './turned-away.ts';
import { uncountedIn } from './uncounted.ts';
import type { TraceContext } from '../tracing/trace.ts';

/** The reasons that policy has against whoever asks (`policy/access/requester`). */
const REQUESTER_CODES: ReadonlySet<string> = new Set(['unknown-requester', 'requester-inactive']);

/** `done`: look at the state again. `waiting`: another change or a lock is in the way; when that moves, this one is woken. */
export type Outcome = 'done' | 'waiting';

/**
 * @param trace what is sent is sent in it
 * @throws EngineFault, TransportError, LedgerError: nothing was recorded by the part that failed; the same work is due again
 */
export async function performWork(context: EngineContext, state: ChangeState, work: Work, trace?: TraceContext): Promise<Outcome> {
  switch (work.do) {
    case 'read':
      return authoriseRead(context, state);
    case 'publishRead':
      return publish(context, state, state.read!, 'read', trace);
    case 'decide':
      return decideRequest(context, state, queryOf(state));
    case 'expire':
      return run(context, state, { type: 'expire', by: context.self, cause: 'approval' });
    case 'escalate':
      return run(context, state, { type: 'escalate', by: context.self });
    case 'debtOverdue':
      return run(context, state, { type: 'openFinding', by: context.self, code: findingOf(work.debt), owner: ownerOf(context, state), message: sayOverdue(state.breakGlass!, work.debt) });
    case 'dispatch':
      return giveUpRevoked(context, state) ? 'done' : dispatch(context, state);
    case 'arm': {
      const { order, orderDigest } = (state.lease ?? state.extension)!;
      // The step waits for copy and cosignatures of its authorisation as well as for this: none waits for another.
      context.copy?.catchUp();
      context.witnesses?.catchUp();
      await context.transport.arm(state.act!.audience, order);
      return run(context, state, { type: 'recordArmed', by: context.self, orderDigest });
    }
    case 'disarm': {
      const [{ order, orderDigest }] = state.superseded as [Superseded];
      await context.transport.disarm(state.act!.audience, order);
      return run(context, state, { type: 'recordDisarmed', by: context.self, orderDigest });
    }
    case 'expireExtension':
      holdToEarlierEnd(context, state);
      return run(context, state, { type: 'expire', by: context.self, cause: 'window' });
    case 'publishAct': {
      const step = stepOf(state);
      if (step !== null && givesAccess(step.action) && !context.othersLocks.isHeard()) return 'waiting';
      // What no order would undo is not even sent under a lock; what one undoes has been ordered back.
      if (step !== null && !mayHaveGiven(state) && isLocked(context, state, step)) return 'waiting';
      return publish(context, state, state.act!, 'act', trace);
    }
    case 'verify':
      return verify(context, state);
    case 'compensate':
      return compensate(context, state, 'compensation');
    case 'publishRevoke': {
      const { content, order } = state.revokes.at(-1)!;
      await context.transport.publishRevoke(content.audience, order, trace);
      return 'done';
    }
    case 'giveUpDelivery':
      return run(context, state, { type: 'giveUpDelivery', by: context.self, reason: 'nobody fetched the secret in time' });
    case 'overdue':
      await run(context, state, {
        type: 'openFinding', by: context.self, code: 'revoke-overdue', owner: ownerOf(context, state),
        message: `access should have ended at ${formatTime(endDueMs(state) ?? context.clock.nowMs())} and no executor has reported that it did`,
      });
      return compensate(context, (await context.store.load(state.changeId))!, 'leaseEnd');
    case 'openWindow':
    case 'closeWindow':
      return run(context, state, { type: work.do, by: context.self });
    case 'missWindow':
      // An extension may have been applied and nobody has heard of it.
      holdToEarlierEnd(context, state);
      return run(context, state, { type: 'missWindow', by: context.self });
    case 'readAfter': {
      const query = queryOf(state)!;
      const ticket = deriveReadTicket(state, query, state.read!.audience, context.clock.nowMs(), context.limits.ticketSeconds);
      return run(context, state, { type: 'authoriseRead', by: context.self, ticket: signDsse(TICKET_TYPE, ticket, context.ticketSigner) });
    }
    case 'publishReadAfter':
      return publish(context, state, state.readAfter!, 'read', trace);
    case 'expireUnclaimed':
      return run(context, state, { type: 'expire', by: context.self, cause: 'unclaimed' });
    case 'callerSilent':
      return run(context, state, { type: 'recordSilence', by: context.self, owner: ownerOf(context, state) });
    case 'stalled':
      return run(context, state, {
        type: 'openFinding', by: context.self, code: 'rotation-stalled', owner: ownerOf(context, state),
        message: state.adoptedFrom !== null ? 'the rotation was begun under an earlier log and cannot go on: old and new credential both stand; see what uses them, then revoke one or withdraw it'
          : isPastCutover(state) ? 'the new credential has taken over, and the old one is still there: see what still uses it; retiring it is tried on'
          : 'the new credential is there and cannot take over yet: see what still uses the old one; taking over is tried on',
      });
    case 'unanswered':
      return run(context, state, {
        type: 'openFinding', by: context.self, code: 'step-stuck', owner: ownerOf(context, state),
        message: `ticket after ticket has run out and ${(state.act ?? state.read)?.audience ?? 'no executor'} has not taken the step up: see whether it runs, and what it turns away`,
      });
    case 'unfetched':
      return run(context, state, {
        type: 'openFinding', by: context.self, code: 'step-stuck', owner: ownerOf(context, state),
        message: 'nobody has fetched the new secret, and the old one is no more: fetch it while it is there, or rotate again',
      });
    case 'offboard':
      return workThroughItems(context, state);
    case 'endAdopted':
      return endAdopted(context, state);
  }
}

/** Callers ask again under this log. Of a step that nobody was heard of it is not known whether it was carried out. */
async function endAdopted(context: EngineContext, state: ChangeState): Promise<Outcome> {
  holdToEarlierEnd(context, state);
  if (state.act !== null && state.extension === null && state.plan?.mode !== 'caller') {
    await run(context, state, {
      type: 'openFinding', by: context.self, code: 'step-stuck', owner: ownerOf(context, state),
      message: `the step was authorised under an earlier log, and ${state.act.audience} has not said what became of it: look at the target`,
    });
  }
  return run(context, state, { type: 'expire', by: context.self, cause: 'adopted' });
}

function ownerOf(context: EngineContext, state: ChangeState): string | null {
  return context.facts().inventory.get(state.request.subject)?.owner ?? null;
}

/** Applies a command; one that is no longer expected was overtaken, and the state says what is due now. */
async function run(context: EngineContext, state: ChangeState, command: Command, extra: readonly Uint8Array[] = []): Promise<Outcome> {
  sequence(context, state, command, extra);
  await context.store.durable();
  return 'done';
}

/** The same, and nothing of it is durable yet: whatever follows from it waits for what does. */
function sequence(context: EngineContext, state: ChangeState, command: Command, extra: readonly Uint8Array[] = []): void {
  const applied = context.store.apply(state.changeId, command, extra);
  if (!applied.ok) context.logger.info({ changeId: state.changeId, command: command.type, code: applied.code }, 'overtaken');
}

function queryOf(state: ChangeState): Query | null {
  if (state.read === null) return null;
  const ticket = readPayload(state.read.ticket, ticketSchema);
  return ticket.kind === 'read' ? ticket.query : null;
}

/**
 * A request of somebody who may not ask, or that names an identity, connector or account nobody knows, is not read but decided at once:
 * policy says no, and it is recorded. Whoever may not ask is shown no plan and nothing of the target.
 */
async function authoriseRead(context: EngineContext, state: ChangeState): Promise<Outcome> {
  const { request } = state;
  const asked = await askAbout(context, state, 'request', null);
  if (isOfNobody(asked.decision)) return recordDecision(context, state, null, asked);
  const query = askableQuery(context, state);
  const audience = query === null ? undefined : context.executorOf(query.connector);
  // Whoever makes the change itself may do so where nobody can look: the evidence then says that it is self-reported.
  if (query === null || audience === undefined) return decideRequest(context, state, callerOf(request) === null ? null : query);
  const ticket = deriveReadTicket(state, query, audience, context.clock.nowMs(), context.limits.ticketSeconds);
  return run(context, state, { type: 'authoriseRead', by: context.self, ticket: signDsse(TICKET_TYPE, ticket, context.ticketSigner) });
}

/** What would be asked of the target; null where identity, account or an entitlement is unknown. */
function askableQuery(context: EngineContext, state: ChangeState): Query | null {
  const { request } = state;
  const facts = context.facts();
  const system = systemOf(request);
  const nhi = facts.inventory.get(request.subject);
  if (system === null || nhi === undefined) return null;
  const extended = extendableOf(context, state);
  if (request.kind === 'extend' && extended === null) return null;
  const account = extended?.gave.account ?? (request.kind === 'provision' ? newAccountName(request.subject, state.changeId)
    : state.parent === null ? nhi.accounts[system.connector] : accountOfItem(context.store, state));
  const catalogued = entitlementsOf(request).every((asked) => facts.catalogue.entitlements.some((known) =>
    known.connector === asked.connector && known.target === asked.target && known.privilege === asked.privilege));
  return account === undefined || !catalogued ? null : deriveQuery(state.changeId, request, account, extended?.gave.action);
}

async function publish(context: EngineContext, state: ChangeState, issued: IssuedTicket, kind: 'read' | 'act', trace: TraceContext | undefined): Promise<Outcome> {
  const sent = await publishEnvelope(context, issued.audience, {
    ticket: issued.ticket, seq: issued.seq, trace, make: (heads, checkpoint) => makeEnvelope(context.log, state, issued, kind, heads, checkpoint),
  }).catch((error: unknown) => {
    if (kind === 'act' && error instanceof TransportError && error.code === 'rejected') heardTurnedAway(context, issued.audience, state, issued.seq, error.message);
    throw error;
  });
  if (sent.taken) return 'done';
  if (sent.why !== 'seenMore') return 'waiting';
  await run(context, state, {
    type: 'openFinding', by: context.self, code: 'log-rolled-back', owner: null,
    message: `${issued.audience} has seen ${sent.theirSize} records of this log, which has ${sent.size}: it was rolled back, and nothing is given`,
  });
  throw new Error(`this log is behind what ${issued.audience} has seen`);
}

async function decideRequest(context: EngineContext, state: ChangeState, query: Query | null): Promise<Outcome> {
  const derived = await planOf(context, state, query).catch((error: unknown) => {
    if (error instanceof EngineFault) return error;
    throw error;
  });
  if (derived instanceof EngineFault) return recordDecision(context, state, null, { ...(await askAbout(context, state, 'request', null)), decision: faultDecision(state, derived) });
  const asked = await askAbout(context, state, 'request', derived);
  const decision: Decision = derived === null && asked.decision.effect !== 'deny' ? noPlan(state, asked.decision) : unlessFloorAsks(context, state, derived, unlessScopeIsOver(context, asked.decision));
  const held = heldToFloor(context, state, derived, decision);
  return recordDecision(context, state, derived, { ...asked, decision: held.decision }, held.floor);
}

function recordDecision(context: EngineContext, state: ChangeState, plan: Plan | null, { decision, provenance, input }: Asked, floor: Requirement | null = null): Promise<Outcome> {
  const command = { type: 'recordDecision', by: context.self, phase: 'request', plan, decision, provenance, approvalSeconds: context.limits.approvalSeconds, floor } as const;
  const fault = noRoomFor(state, command, context.store.nextAtMs());
  if (fault !== null) context.logger.error({ changeId: state.changeId, code: fault.code, error: fault.message }, 'a decision that no record has room for: denied');
  return run(context, state, fault === null ? command : { ...command, decision: faultDecision(state, fault), floor: null }, [input]);
}

/** What can never come up to our own floor is denied; what can waits for what that asks for. */
function heldToFloor(context: EngineContext, state: ChangeState, plan: Plan | null, decision: Decision): { readonly decision: Decision; readonly floor: Requirement | null } {
  const { floor, refused } = ownFloor(context, state, plan, decision);
  return refused === null ? { decision: unlessFloorCountsNone(context, state, plan, decision), floor } : { decision: deniedFor(decision, { code: 'below-floor', message: refused, rule: ENGINE_RULE }), floor: null };
}

/** Whether policy would say no whatever the target holds: because of who asks, or because it says nothing at all. */
function isOfNobody({ effect, reasons }: Decision): boolean {
  return effect === 'deny' && reasons.some(({ code, rule }) => rule === ENGINE_RULE || REQUESTER_CODES.has(code));
}

/** The plan of this revision; null where there is nothing to plan with. */
async function planOf(context: EngineContext, state: ChangeState, query: Query | null): Promise<Plan | null> {
  const salt = newSalt(context.random);
  const { request } = state;
  if (request.kind === 'offboard') {
    const items = await findItems(request.subject, context.facts(), context.store);
    return items.length > ITEMS_MAX ? null : planSchema.parse(deriveOffboarding(state, items, salt));
  }
  const before = state.before ?? (callerOf(request) !== null && state.read === null ? { touched: {} } : null);
  if (query === null || before === null) return null;
  const consumers = request.kind === 'rotate' ? (context.facts().inventory.get(request.subject)?.consumers ?? []) : [];
  const plan = derivePlan(state, query, before, { salt, window: await askForWindow(context, state), consumers, parent: state.parent, extended: extendableOf(context, state) });
  return plan === null ? null : planSchema.parse(plan);
}

/** Policy found nothing wrong with what cannot be planned, such as an identity without an account there: that is a no as well. */
function noPlan({ request }: ChangeState, decision: Decision): Decision {
  const reason = request.kind === 'offboard'
    ? { code: 'too-many-items', message: `more than ${ITEMS_MAX} things to take back: offboard identity by identity`, rule: ENGINE_RULE }
    : { code: 'no-account', message: 'the identity has no account at this connector, so there is nothing to plan', rule: ENGINE_RULE };
  return deniedFor(decision, reason);
}

/** Policy is asked again, on fresh facts, and the stricter answer holds; then the step is authorised, in one breath. */
async function dispatch(context: EngineContext, state: ChangeState): Promise<Outcome> {
  const plan = state.plan!;
  const step = stepOf(state);
  if (step !== null && isHeldUp(context, state, step)) return 'waiting';
  if (plan.lease !== null && state.lease === null && state.extension === null && context.clock.nowMs() >= (leaseEndMs(plan, context.clock.nowMs()) ?? Infinity)) {
    return run(context, state, { type: 'expire', by: context.self, cause: 'window' });
  }
  let asked: Asked;
  try {
    asked = await askAbout(context, state, 'dispatch', plan);
  } catch (error) {
    if (error instanceof EngineFault) await sayHeld(context, state, error);
    throw error;
  }
  const now = context.store.get(state.changeId)!;
  const uncounted = uncountedIn(context, now, asked.decision);
  const current = withoutApprovals(now, uncounted);
  const held = heldToFloor(context, current, plan, unlessFloorAsks(context, current, plan, unlessScopeIsOver(context, unlessLeaseIsOver(context, current, asked.decision))));
  asked = { ...asked, decision: unlessGlassIsVoid(context, current, held.decision, held.floor) };
  const decision = {
    type: 'recordDecision', by: context.self, phase: 'dispatch', plan, decision: asked.decision, provenance: asked.provenance, approvalSeconds: context.limits.approvalSeconds, floor: asked.decision.effect === 'deny' ? null : held.floor, uncounted,
  } as const;
  const fault = noRoomFor(now, decision, context.store.nextAtMs());
  if (fault !== null) {
    await sayHeld(context, state, fault);
    throw fault;
  }
  // Nothing is waited for between decision and authorisation: they are durable together, or the decision alone is.
  sequence(context, state, { type: 'closeFinding', by: context.self, code: 'policy-fault' });
  sequence(context, state, decision, [asked.input]);

  const decided = context.store.get(state.changeId)!;
  if (FINAL_STATES.has(decided.name)) holdToEarlierEnd(context, decided);
  if (decided.dispatch === null || step === null) {
    await context.store.durable();
    return 'done';
  }
  // While policy was asked, a lock may have been set or another change have taken the target; from here on nothing else runs in between.
  if (isHeldUp(context, decided, step)) return 'waiting';
  const audience = callerOfPlan(plan) ?? context.executorOf(plan.connector);
  if (audience === undefined) throw new Error(`no executor serves ${plan.connector}`);
  const nowMs = context.clock.nowMs();
  const ticket = deriveActTicket(decided, plan, step, audience, nowMs, context.limits.ticketSeconds);
  const fixed = decided.lease ?? decided.extension;
  const endsAtMs = fixed?.endsAtMs ?? leaseEndMs(plan, nowMs);
  const order = endsAtMs === null ? null : deriveRevokeOrder(plan, audience, endsAtMs, 'leaseEnd', context.self);
  return run(context, decided, {
    type: 'authoriseAct', by: context.self, ticket: signDsse(TICKET_TYPE, ticket, context.ticketSigner),
    order: order === null ? null : (fixed?.order ?? signDsse(REVOKE_ORDER_TYPE, order, context.ticketSigner)), extended: extendedBy(context, decided),
  });
}

/** People have approved: what policy gives no answer to is held, on record, and asked again. */
async function sayHeld(context: EngineContext, state: ChangeState, fault: EngineFault): Promise<void> {
  const why = fault.code === 'result-too-large' ? `${fault.code}: ${fault.message}` : fault.code;
  await run(context, state, { type: 'openFinding', by: context.self, code: 'policy-fault', message: `policy gave no decision before dispatch (${why}): held`, owner: null });
}

/** Policy has nothing against extending a lease that cannot be extended any more: that is a no as well, or it would be asked for ever. */
function unlessLeaseIsOver(context: EngineContext, state: ChangeState, decision: Decision): Decision {
  const why = state.request.kind !== 'extend' || decision.effect === 'deny' ? null
    : isEpochSpent(context, state) ? 'another extension of the lease was authorised meanwhile: ask again' : whyNotAuthorised(state, extendedBy(context, state), context.clock.nowMs());
  return why === null ? decision : deniedFor(decision, { code: 'lease-not-running', message: why, rule: ENGINE_RULE });
}

/** Who broke the glass is looked at again, as facts are: her word stands for the approvals only while she is there. */
function unlessGlassIsVoid(context: EngineContext, state: ChangeState, decision: Decision, floor: Requirement | null): Decision {
  const why = decision.effect === 'deny' ? null : whyGlassIsVoid(context, state, decision, floor);
  return why === null ? decision : deniedFor(decision, { code: 'glass-void', message: why, rule: ENGINE_RULE });
}

/** What cannot be carried out is denied, under observe too. */
function deniedFor({ observed: _, ...decision }: Decision, reason: Decision['reasons'][number]): Decision {
  return { ...decision, effect: 'deny', reasons: [reason] };
}

/** Whether another change has the target, or a lock covers what would be gained. What takes away jumps the queue. */
function isHeldUp(context: EngineContext, state: ChangeState, step: PlanStep): boolean {
  if (takesAway(step.action)) return false;
  if (isLocked(context, state, step)) return true;
  // Who has the target already goes on: two that wait for one another would wait for ever.
  return !occupiesTarget(state) && rivalOf(context, state) !== null;
}

/** Whether nothing may be gained by the step: a lock covers it, or may, or its identity is being offboarded. */
export function isLocked(context: EngineContext, state: ChangeState, step: PlanStep): boolean {
  if (!givesAccess(step.action)) return false;
  if (!context.othersLocks.isHeard()) return true;
  return locksOn(context.store.locks(), state.request.subject, step.connector).length > 0 || offboardingOf(context.store, state.request.subject) !== null;
}

/** The change that has this one's target now; null where it is free. */
export function rivalOf(context: EngineContext, { changeId, plan }: { readonly changeId: string; readonly plan: Pick<Plan, 'connector' | 'target'> | null }): string | null {
  for (const other of context.store.open()) {
    if (other.changeId !== changeId && occupiesTarget(other) && other.plan?.connector === plan?.connector && other.plan?.target === plan?.target) return other.changeId;
  }
  return null;
}

async function verify(context: EngineContext, state: ChangeState): Promise<Outcome> {
  const { verification, provenance, input } = await askToVerify(context, state);
  const command: Command = { type: 'recordVerification', by: context.self, verification, provenance };
  const follows = verification.effect === 'deny' ? null : followsFrom(context, state);
  if (follows === null) return run(context, state, command, [input]);
  // In one append: a verified extension without its later end, or that end without a verification, is never on record; nor is a rotation that was owed.
  const applied = context.store.applyWith(state.changeId, command, [input], follows.others, follows.then);
  if (!applied.ok) context.logger.info({ changeId: state.changeId, command: command.type, code: applied.code }, 'overtaken');
  await context.store.durable();
  return 'done';
}

/** What a verified step comes to for other changes: the later end of a lease, or, where it is the last of a rotation, that one which was owed is made. */
function followsFrom({ store, self }: EngineContext, { extension, request }: ChangeState): { readonly others: readonly string[]; readonly then: (first: ChangeState) => Command } | null {
  if (extension !== null) return { others: [extension.change], then: (first) => ({ type: 'extendLease', by: self, extension: first }) };
  if (request.kind !== 'rotate') return null;
  const owing = [...store.open()].filter((other) => owesRotation(other) && other.request.subject === request.subject).map(({ changeId }) => changeId);
  return owing.length === 0 ? null : { others: owing, then: (first) => ({ type: 'recordRotated', by: self, rotation: first }) };
}

/** Orders back what the change gave, or may have given. What cannot be taken back, or must not be any more, waits for its owner. */
async function compensate(context: EngineContext, state: ChangeState, cause: 'compensation' | 'leaseEnd'): Promise<Outcome> {
  // Who has moved over to a new login is not cut off by a verification; a person who withdraws the change may want that.
  const stands = cause === 'compensation' && (isPastCutover(state) || (state.name === 'verifying' && !mayRollBack(state)));
  holdToEarlierEnd(context, state);
  const order = state.plan === null || state.act === null || stands || state.extension !== null ? null
    : deriveRevokeOrder(state.plan, state.act.audience, context.clock.nowMs(), cause, context.self, orderEpoch(context, state));
  if (order === null) {
    return run(context, state, {
      type: 'openFinding', by: context.self, code: 'verification-failed', owner: ownerOf(context, state),
      message: 'what the change came to is not what was decided, and there is nothing that may be taken back: look at the target',
    });
  }
  return run(context, state, { type: 'orderRevoke', by: context.self, order: signDsse(REVOKE_ORDER_TYPE, order, context.ticketSigner), comment: null });
}
