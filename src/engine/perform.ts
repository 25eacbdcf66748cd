/** Does one piece of a change's work and records what came of it. May be done twice: recording is guarded by `decide`, effects by executors. */
import { canonicalBytes, digestOf } from '../../ledger/index.ts';
import { deriveActTicket, derivePlan, deriveQuery, deriveReadTicket, deriveRevokeOrder, leaseEndMs, newAccountName, systemOf } from '../change/derive.ts';
import type { Command } from '../change/decide.ts';
import type { ChangeState, IssuedTicket } from '../change/state.ts';
import { endDueMs, occupiesTarget, type Work } from '../change/work.ts';
import { buildChangeInput, conveyedBy } from '../pdp/build-input.ts';
import { EngineFault } from '../pdp/fault.ts';
import type { VerificationInput } from '../pdp/policy-input.ts';
import type { Decision, Provenance } from '../protocol/decision.ts';
import { readPayload, signDsse } from '../protocol/dsse.ts';
import { planSchema, type Plan } from '../protocol/plan.ts';
import { REVOKE_ORDER_TYPE, ticketSchema, TICKET_TYPE, type Query } from '../protocol/signed.ts';
import type { EngineContext } from './engine.ts';
import { formatTime } from '../protocol/values.ts';
import { newSalt } from './ids.ts';
import { makeEnvelope } from './receipt.ts';

/** `done`: look at the state again. `waiting`: another change has the target; it will wake this one. */
export type Outcome = 'done' | 'waiting';

/** @throws EngineFault, TransportError, LedgerError: nothing was recorded by the part that failed; the same work is due again */
export async function performWork(context: EngineContext, state: ChangeState, work: Work): Promise<Outcome> {
  switch (work.do) {
    case 'read':
      return authoriseRead(context, state);
    case 'publishRead':
      return publish(context, state, state.read!, 'read');
    case 'decide':
      return decideRequest(context, state, queryOf(state));
    case 'expire':
      return run(context, state, { type: 'expire', by: context.self, cause: 'approval' });
    case 'dispatch':
      return dispatch(context, state);
    case 'arm':
      await context.transport.arm(state.act!.audience, state.lease!.order);
      return run(context, state, { type: 'recordArmed', by: context.self, orderDigest: state.lease!.orderDigest });
    case 'publishAct':
      return publish(context, state, state.act!, 'act');
    case 'verify':
      return verify(context, state);
    case 'compensate':
      return compensate(context, state, 'compensation');
    case 'publishRevoke': {
      const { content, order } = state.revokes.at(-1)!;
      await context.transport.publishRevoke(content.audience, order);
      return 'done';
    }
    case 'giveUpDelivery':
      return run(context, state, { type: 'giveUpDelivery', by: context.self, reason: 'nobody fetched the secret in time' });
    case 'overdue':
      await run(context, state, {
        type: 'openFinding', by: context.self, code: 'revoke-overdue', owner: context.facts().inventory.get(state.request.subject)?.owner ?? null,
        message: `access should have ended at ${formatTime(endDueMs(state) ?? context.clock.nowMs())} and no executor has reported that it did`,
      });
      return compensate(context, context.store.get(state.changeId)!, 'leaseEnd');
  }
}

/** Applies a command; one that is no longer expected was overtaken, and the state says what is due now. */
async function run(context: EngineContext, state: ChangeState, command: Command, extra: readonly Uint8Array[] = []): Promise<Outcome> {
  const applied = context.store.apply(state.changeId, command, extra);
  if (!applied.ok) context.logger.info({ changeId: state.changeId, command: command.type, code: applied.code }, 'overtaken');
  await context.store.durable();
  return 'done';
}

function queryOf(state: ChangeState): Query | null {
  if (state.read === null) return null;
  const ticket = readPayload(state.read.ticket, ticketSchema);
  return ticket.kind === 'read' ? ticket.query : null;
}

/** A request that names an identity, connector or account nobody knows is not read but decided at once: policy says no, and it is recorded. */
async function authoriseRead(context: EngineContext, state: ChangeState): Promise<Outcome> {
  const { request } = state;
  const facts = context.facts();
  const system = systemOf(request);
  const nhi = facts.inventory.get(request.subject);
  const audience = system === null ? undefined : context.executorOf(system.connector);
  const account = request.kind === 'provision' ? newAccountName(request.subject, state.changeId) : system === null ? undefined : nhi?.accounts[system.connector];
  const catalogued = request.entitlements.every((asked) => facts.catalogue.entitlements.some((known) =>
    known.connector === asked.connector && known.target === asked.target && known.privilege === asked.privilege));
  if (nhi === undefined || audience === undefined || account === undefined || !catalogued) return decideRequest(context, state, null);
  const query = deriveQuery(state.changeId, request, account);
  const ticket = deriveReadTicket(state, query, audience, context.clock.nowMs(), context.limits.ticketSeconds);
  return run(context, state, { type: 'authoriseRead', by: context.self, ticket: signDsse(TICKET_TYPE, ticket, context.ticketSigner) });
}

async function publish(context: EngineContext, state: ChangeState, issued: IssuedTicket, kind: 'read' | 'act'): Promise<Outcome> {
  const { transport, executorHeads, log } = context;
  for (let attempt = 0; attempt < 3; attempt += 1) {
    const fromSize = executorHeads.get(issued.audience) ?? null;
    const envelope = await makeEnvelope(log, state, issued, kind, fromSize);
    const size = log.checkpoint().size;
    const acceptance = await transport.publishStep(issued.audience, envelope);
    if (acceptance.accepted) {
      executorHeads.set(issued.audience, Math.max(executorHeads.get(issued.audience) ?? 0, size));
      return 'done';
    }
    if (acceptance.fromSize > log.checkpoint().size) {
      await run(context, state, {
        type: 'openFinding', by: context.self, code: 'log-rolled-back', owner: null,
        message: `${issued.audience} has seen ${acceptance.fromSize} records of this log, which has ${size}: it was rolled back, and nothing is given`,
      });
      throw new Error(`this log is behind what ${issued.audience} has seen`);
    }
    executorHeads.set(issued.audience, acceptance.fromSize);
  }
  throw new Error(`${issued.audience} does not accept that this log grew from what it has seen`);
}

/** A decision is part of a record, which has 60 KiB for everything. */
const DECISION_BYTES_MAX = 45_000;

interface Asked {
  readonly decision: Decision;
  readonly provenance: Provenance;
  readonly input: Uint8Array;
}

/** Asks policy about a plan, on the facts as they are now. @throws EngineFault */
async function ask(context: EngineContext, state: ChangeState, phase: 'request' | 'dispatch', plan: Plan | null): Promise<Asked> {
  const facts = context.facts();
  const input = buildChangeInput({
    phase, nowMs: context.clock.nowMs(), state, planDigest: plan === null ? null : digestOf(canonicalBytes(plan)), held: state.before?.held ?? null,
    account: plan?.steps[0]?.account ?? null, facts, connectors: context.connectors,
  });
  const bytes = saltedInput(context, input);
  const provenance: Provenance = { bundle: context.pdp.bundle, input: digestOf(bytes), facts: [context.factsDigest()] };
  try {
    const decision = await context.pdp.decide(input);
    if (canonicalBytes(decision).length > DECISION_BYTES_MAX) throw new EngineFault('malformed-result', `a decision of more than ${DECISION_BYTES_MAX} bytes`);
    return { decision, provenance, input: bytes };
  } catch (error) {
    // At the request, an engine that cannot say yes has said no. At dispatch a person has approved: hold, and ask again.
    if (!(error instanceof EngineFault) || phase === 'dispatch') throw error;
    return { decision: faultDecision(state, error), provenance, input: bytes };
  }
}

function saltedInput(context: EngineContext, input: object): Uint8Array {
  return canonicalBytes({ v: 1, salt: newSalt(context.random), kind: 'policyInput', value: input });
}

function faultDecision(state: ChangeState, fault: EngineFault): Decision {
  return {
    effect: 'deny', reasons: [{ code: fault.code, message: 'the policy engine gave no decision, so nothing is given', rule: 'engine' }],
    obligations: { approvers: null, proofClass: 'session', maxLeaseSeconds: null, verification: 'readBack' },
    entitlements: { requested: state.request.entitlements, held: [], used: [], excess: [], counterOffer: null }, controls: [],
  };
}

async function decideRequest(context: EngineContext, state: ChangeState, query: Query | null): Promise<Outcome> {
  const derived = query === null || state.before === null ? null : planSchema.parse(derivePlan(state, query, state.before, newSalt(context.random)));
  const asked = await ask(context, state, 'request', derived);
  const decision: Decision = derived === null && asked.decision.effect !== 'deny' ? noPlan(asked.decision) : asked.decision;
  return run(context, state, {
    type: 'recordDecision', by: context.self, phase: 'request', plan: derived, decision, provenance: asked.provenance, approvalSeconds: context.limits.approvalSeconds,
  }, [asked.input]);
}

/** Policy found nothing wrong with what cannot be planned, such as an identity without an account there: that is a no as well. */
function noPlan(decision: Decision): Decision {
  return { ...decision, effect: 'deny', reasons: [{ code: 'no-account', message: 'the identity has no account at this connector, so there is nothing to plan', rule: 'engine' }] };
}

/** Policy is asked again, on fresh facts, and the stricter answer holds; then the step is authorised, in one breath. */
async function dispatch(context: EngineContext, state: ChangeState): Promise<Outcome> {
  const plan = state.plan!;
  if (plan.kind !== 'revoke') {
    for (const other of context.store.open()) {
      const rival = other.changeId !== state.changeId && occupiesTarget(other) && other.plan?.connector === plan.connector && other.plan.target === plan.target;
      if (rival) return 'waiting';
    }
  }
  if (plan.lease !== null && state.lease === null && context.clock.nowMs() >= (leaseEndMs(plan, context.clock.nowMs()) ?? Infinity)) {
    return run(context, state, { type: 'expire', by: context.self, cause: 'window' });
  }
  let asked: Asked;
  try {
    asked = await ask(context, state, 'dispatch', plan);
  } catch (error) {
    if (error instanceof EngineFault) {
      await run(context, state, { type: 'openFinding', by: context.self, code: 'policy-fault', message: `policy gave no decision before dispatch (${error.code}): held`, owner: null });
    }
    throw error;
  }
  await run(context, state, { type: 'closeFinding', by: context.self, code: 'policy-fault' });
  await run(context, state, {
    type: 'recordDecision', by: context.self, phase: 'dispatch', plan, decision: asked.decision, provenance: asked.provenance, approvalSeconds: context.limits.approvalSeconds,
  }, [asked.input]);

  const decided = context.store.get(state.changeId)!;
  if (decided.dispatch === null) return 'done';
  const audience = context.executorOf(plan.connector);
  if (audience === undefined) throw new Error(`no executor serves ${plan.connector}`);
  const nowMs = context.clock.nowMs();
  const ticket = deriveActTicket(decided, plan, audience, nowMs, context.limits.ticketSeconds);
  const endsAtMs = decided.lease?.endsAtMs ?? leaseEndMs(plan, nowMs);
  const order = endsAtMs === null ? null : deriveRevokeOrder(plan, audience, endsAtMs, 'leaseEnd', context.self);
  return run(context, decided, {
    type: 'authoriseAct', by: context.self, ticket: signDsse(TICKET_TYPE, ticket, context.ticketSigner),
    order: order === null ? null : (decided.lease?.order ?? signDsse(REVOKE_ORDER_TYPE, order, context.ticketSigner)),
  });
}

async function verify(context: EngineContext, state: ChangeState): Promise<Outcome> {
  const { plan, result, before, after, decision } = state;
  const step = plan!.steps[0]!;
  const seen = (target: ChangeState['before']): VerificationInput['before'] => ({ exists: target?.exists ?? false, held: target?.held ?? [] });
  const input: VerificationInput = {
    v: 1, nowMs: context.clock.nowMs(), kind: plan!.kind, account: step.account, privileges: step.privileges,
    conveyed: conveyedBy(step.privileges, step, context.facts()), verification: decision?.obligations.verification ?? 'readBack', byUse: result!.byUse, before: seen(before), after: seen(after),
  };
  const bytes = saltedInput(context, input);
  const verification = await context.pdp.verify(input);
  const provenance: Provenance = { bundle: context.pdp.bundle, input: digestOf(bytes), facts: [context.factsDigest()] };
  return run(context, state, { type: 'recordVerification', by: context.self, verification, provenance }, [bytes]);
}

/** Orders back what the change gave, or may have given. A revoke that did not verify has nothing to take back: it waits for its owner. */
async function compensate(context: EngineContext, state: ChangeState, cause: 'compensation' | 'leaseEnd'): Promise<Outcome> {
  const order = state.plan === null || state.act === null ? null : deriveRevokeOrder(state.plan, state.act.audience, context.clock.nowMs(), cause, context.self);
  if (order === null) {
    return run(context, state, {
      type: 'openFinding', by: context.self, code: 'verification-failed', owner: context.facts().inventory.get(state.request.subject)?.owner ?? null,
      message: 'the state after the change is not what was decided, and there is nothing to take back',
    });
  }
  return run(context, state, { type: 'orderRevoke', by: context.self, order: signDsse(REVOKE_ORDER_TYPE, order, context.ticketSigner), comment: null });
}
