/**
 * What would become of a request if it were made now: policy is asked as it is about a change, and nothing is recorded, read at a target, or given.
 *
 * Nothing is read, so what the account holds is not known (`held` is null), and there is no plan: a dispatch is asked about as if the plan were the
 * request. Whatever is not a plain yes of policy to both questions is no yes.
 */
import { canonicalBytes, digestOf } from '../../ledger/index.ts';
import { leaseSecondsOf, systemOf } from '../change/derive.ts';
import { whyNotExtendable } from '../change/extension.ts';
import type { ChangeState } from '../change/state.ts';
import { buildChangeInput } from '../pdp/build-input.ts';
import { ENGINE_FAULTS, EngineFault, type EngineFaultCode } from '../pdp/fault.ts';
import type { ChangeInput } from '../pdp/policy-input.ts';
import type { Decision } from '../protocol/decision.ts';
import { approvalsText } from '../protocol/floor-part.ts';
import { entitlementsOf, type ChangeRequest, type ExtendRequest } from '../protocol/request.ts';
import { floorOf } from '../protocol/trust-folder.ts';
import { durationSeconds, parseTime } from '../protocol/values.ts';
import { asOfRecord } from './ask.ts';
import type { EngineContext } from './engine.ts';
import { locksOn } from './locks.ts';
import { offboardingOf } from './offboarding.ts';
import { rivalOf } from './perform.ts';

/**
 * Why a change would not go ahead now: `denied` and `needs-approval` are policy's words, a fault of the engine is none; `must-wait`: a window, a freeze,
 * a lock, an offboarding or another change at the target is in its way; `no-account` and `not-extendable`: there is nothing to plan with; `already-over`: it
 * would expire at once; `not-ready`: the sidecar gives nothing now.
 */
export const EVALUATION_CODES = ['denied', 'needs-approval', 'must-wait', 'no-account', 'not-extendable', 'already-over', 'not-ready', ...ENGINE_FAULTS] as const;
export type EvaluationCode = (typeof EVALUATION_CODES)[number];

export interface Evaluation {
  /** null: it would go ahead now, with nobody's approval. */
  readonly code: EvaluationCode | null;
  /** In a sentence, where it is not policy that says so. */
  readonly message: string | null;
  /** The strictest of what policy said; null where it said nothing. */
  readonly decision: Decision | null;
}

/** Stands where a change's id would: there is none. */
const NO_CHANGE = 'evaluation';

/** Never rejects for what policy or its engine does: a fault is an answer that gives nothing. @param extended the change whose lease an `extend` is about, where the asker may know of it */
export async function evaluateRequest(context: EngineContext, requester: readonly string[], request: ChangeRequest, extended: ChangeState | null): Promise<Evaluation> {
  try {
    return await ask(context, requester, request, extended);
  } catch (error) {
    if (error instanceof EngineFault) return no(error.code, 'the policy engine gave no decision, so nothing is given');
    throw error;
  }
}

async function ask(context: EngineContext, requester: readonly string[], request: ChangeRequest, extended: ChangeState | null): Promise<Evaluation> {
  const gains = request.kind !== 'revoke' && request.kind !== 'disable' && request.kind !== 'offboard';
  const question = questionOf(context, requester, request, extended);
  const window = context.facts().calendar === null ? null : (await context.pdp.schedule(question)).window;
  const planned: ChangeInput = { ...question, change: { ...question.change, window } };
  const asked = await context.pdp.decide(planned);
  const first = verdictOf(asked, planned.nowMs);
  if (first !== null) return first;

  const obstacle = obstacleTo(context, request, extended, gains, window);
  if (obstacle !== null) return { ...obstacle, decision: asked };
  const dispatched = await context.pdp.decide({
    ...planned, phase: 'dispatch',
    change: { ...planned.change, planDigest: digestOf(canonicalBytes({ requester: [...requester], request })), step: { action: stepOf(request), number: 1 } },
  });
  return verdictOf(dispatched, planned.nowMs) ?? belowFloor(context, request, dispatched) ?? { code: null, message: null, decision: dispatched };
}

/** What policy lets go ahead without anybody, and the floor of our own trust folder does not; as far as that can be told without a plan. */
function belowFloor({ trust: { requirements } }: EngineContext, request: ChangeRequest, decision: Decision): Evaluation | null {
  const system = systemOf(request);
  if (system === null || requirements.floors.length === 0) return null;
  const floor = floorOf(requirements, { action: stepOf(request), ...system, privileges: [...new Set(entitlementsOf(request).map(({ privilege }) => privilege))].sort() });
  if (floor === null) return null;
  const [longest, leaseSeconds] = [floor.maxLeaseSeconds, leaseSecondsOf(request)];
  if (longest !== null && (leaseSeconds === null || leaseSeconds > longest)) return { code: 'denied', message: `the floor allows ${longest} s`, decision };
  return floor.quorum === 0 ? null : { code: 'needs-approval', message: `the floor asks for ${approvalsText(floor.quorum, floor.proofClass)}`, decision };
}

function questionOf(context: EngineContext, requester: readonly string[], request: ChangeRequest, extended: ChangeState | null): ChangeInput {
  const connector = systemOf(request)?.connector ?? null;
  return buildChangeInput({
    phase: 'request', ...asOfRecord(context), state: { changeId: NO_CHANGE, revision: 1, request, requester }, plan: null, step: null, before: null,
    account: accountOf(context, request) ?? null, connectors: context.connectors, parent: null, extended,
    recent: context.store.recent({ changeId: null, atMs: context.store.nextAtMs(), subject: request.subject, requester }),
    locks: locksOn(context.store.locks(), request.subject, connector).map(({ lockId, reason }) => ({ lockId, reason })),
  });
}

/** The account that would be touched, by the inventory. */
function accountOf(context: EngineContext, request: ChangeRequest): string | undefined {
  const connector = systemOf(request)?.connector;
  return connector === undefined ? undefined : context.facts().inventory.get(request.subject)?.accounts[connector];
}

/** What policy's answer comes to; null for a plain yes. */
function verdictOf(decision: Decision, nowMs: number): Evaluation | null {
  const { effect, obligations } = decision;
  if (effect === 'needsApproval') return { code: 'needs-approval', message: null, decision };
  if (effect !== 'allow') return { code: 'denied', message: null, decision };
  const { notBefore } = obligations;
  // A yes from when on, and not a yes now.
  if (notBefore !== undefined && parseTime(notBefore) > nowMs) return { code: 'must-wait', message: `nothing is given before ${notBefore}`, decision };
  return null;
}

/** What would hold up or end a change that policy has nothing against. What only takes away waits for no lock and no window. */
function obstacleTo(
  context: EngineContext, request: ChangeRequest, extended: ChangeState | null, gains: boolean, window: ChangeInput['change']['window'],
): Omit<Evaluation, 'decision'> | null {
  const nowMs = context.clock.nowMs();
  if (request.kind === 'extend') {
    const why = extended === null ? 'no lease of this ledger is extended by that' : whyNotExtendable(extended, request, nowMs) ?? whyNotLater(extended, request, nowMs);
    if (why !== null) return { code: 'not-extendable', message: why };
  } else if (request.kind !== 'provision' && accountOf(context, request) === undefined) {
    return { code: 'no-account', message: 'the identity has no account at this connector, so there is nothing to plan' };
  }
  if (!gains) return null;
  if (endsByMs(request) <= nowMs) return { code: 'already-over', message: 'its end is not later than now, so nothing would be given' };
  if (context.log.failed !== null || context.log.full !== null || context.log.keyTrouble !== null) return { code: 'not-ready', message: 'the ledger cannot be written, so nothing is given' };
  if (!context.othersLocks.isHeard()) return { code: 'must-wait', message: 'the locks of other sidecars are not known yet' };
  const [lock] = locksOn(context.store.locks(), request.subject, systemOf(request)?.connector ?? null);
  if (lock !== undefined) return { code: 'must-wait', message: 'a lock covers it' };
  if (offboardingOf(context.store, request.subject) !== null) return { code: 'must-wait', message: 'the identity is being offboarded' };
  if (window !== null && !(window.opensAtMs <= nowMs && nowMs < window.closesAtMs)) return { code: 'must-wait', message: 'its maintenance window is not open' };
  if (rivalOf(context, { changeId: NO_CHANGE, plan: systemOf(request) }) !== null) return { code: 'must-wait', message: 'another change has the target' };
  return null;
}

/** By when the access ends, however late it began, in epoch ms. */
function endsByMs(request: ChangeRequest): number {
  return 'endsBy' in request && request.endsBy !== undefined ? parseTime(request.endsBy) : Infinity;
}

function whyNotLater({ lease }: ChangeState, request: ExtendRequest, nowMs: number): string | null {
  const endMs = Math.min(nowMs + durationSeconds(request.duration) * 1000, endsByMs(request));
  return endMs > (lease?.endsAtMs ?? Infinity) ? null : 'the lease ends later already';
}

/** The first step that it would have. A rotation whose target nobody has read is taken for one without overlap, as policy takes it. */
function stepOf(request: ChangeRequest): NonNullable<ChangeInput['change']['step']>['action'] {
  if ('caller' in request && request.caller !== undefined) return 'call';
  if (request.kind === 'rotate') return 'replace';
  if (request.kind === 'offboard') throw new Error('an offboarding has no step of its own');
  return request.kind;
}

function no(code: EngineFaultCode, message: string): Evaluation {
  return { code, message, decision: null };
}
