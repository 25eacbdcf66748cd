/** Asks policy, on the facts as they are now and as of the record that its answer will be in, and keeps what was asked: enough to ask again and get the same. */
import { canonicalBytes, digestOf } from '../../ledger/index.ts';
import { systemOf } from '../change/derive.ts';
import { stepOf, type ChangeState } from '../change/state.ts';
import { consumersOf } from '../facts/calendar.ts';
import { buildChangeInput, buildVerificationInput, type ChangeQuestion } from '../pdp/build-input.ts';
import type { Pdp } from '../pdp/engine.ts';
import { EngineFault } from '../pdp/fault.ts';
import { isLive } from '../pdp/live.ts';
import type { ChangeInput } from '../pdp/policy-input.ts';
import type { Decision, Provenance, Verification } from '../protocol/decision.ts';
import { WINDOW_CONSUMERS_MAX, type Plan, type PlanWindow } from '../protocol/plan.ts';
import { entitlementsOf, windowOf } from '../protocol/request.ts';
import { formatTime } from '../protocol/values.ts';
import type { EngineContext } from './engine.ts';
import { extendedBy } from './extending.ts';
import { newSalt } from './ids.ts';
import { locksOn } from './locks.ts';
import { recordable } from './room.ts';

/** The `rule` of a reason that is the engine's own, where policy gave none. */
export const ENGINE_RULE = 'engine';

export interface Asked {
  readonly decision: Decision;
  readonly provenance: Provenance;
  /** The input, salted: the object that the record names. */
  readonly input: Uint8Array;
}

/**
 * The answer under the bundle that is in force when it comes: where another came into force meanwhile, that one is asked. What is recorded
 * next is what it said.
 */
export function underOneBundle<T>({ pdp }: Pick<EngineContext, 'pdp'>, ask: () => Promise<T>): Promise<T> {
  return isLive(pdp) ? whileItStays(pdp, ask) : ask();
}

async function whileItStays<T>(pdp: Pdp, ask: () => Promise<T>): Promise<T> {
  for (;;) {
    const { bundle } = pdp;
    const [answer] = await Promise.allSettled([ask()]);
    if (pdp.bundle !== bundle) continue;
    if (answer.status === 'fulfilled') return answer.value;
    throw answer.reason;
  }
}

/**
 * What policy says of a plan; null where none can be made. At dispatch the answer is on the facts that are in force when it comes: a lease that was given
 * on earlier ones would not be decided on again for these.
 *
 * @throws EngineFault at dispatch only: at the request, an engine that cannot say yes has said no
 */
export async function askAbout(context: EngineContext, state: ChangeState, phase: 'request' | 'dispatch', plan: Plan | null): Promise<Asked> {
  for (;;) {
    const asked = await underOneBundle(context, () => askOnce(context, state, phase, plan));
    if (phase === 'request' || asked.provenance.facts[0] === context.factsDigest()) return asked;
  }
}

async function askOnce(context: EngineContext, state: ChangeState, phase: 'request' | 'dispatch', plan: Plan | null): Promise<Asked> {
  const input = inputOf(context, state, phase, plan);
  const bytes = saltedInput(context, input);
  const provenance = provenanceOf(context, bytes);
  try {
    return { decision: await context.pdp.decide(input), provenance, input: bytes };
  } catch (error) {
    // At dispatch a person has approved: hold, and ask again.
    if (!(error instanceof EngineFault) || phase === 'dispatch') throw error;
    return { decision: faultDecision(state, error), provenance, input: bytes };
  }
}

/**
 * The maintenance window that policy wants the change to use; null where it needs none. The plan has it, and the decision about the plan
 * says why: an engine that cannot choose one leaves it out, and is asked about that plan.
 *
 * @throws EngineFault where more are to be told of it than its records can name
 */
export async function askForWindow(context: EngineContext, state: ChangeState): Promise<PlanWindow | null> {
  const { calendar } = context.facts();
  if (calendar === null) return null;
  const chosen = await context.pdp.schedule(inputOf(context, state, 'request', null)).catch((error: unknown) => {
    if (!(error instanceof EngineFault)) throw error;
    context.logger.error({ changeId: state.changeId, code: error.code }, 'policy chose no window');
    return { window: null };
  });
  if (chosen.window === null) return null;
  const { calendar: id, opensAtMs, closesAtMs } = chosen.window;
  const consumers = new Set([...(context.facts().inventory.get(state.request.subject)?.consumers ?? []), ...consumersOf(calendar, id)]);
  if (consumers.size > WINDOW_CONSUMERS_MAX) throw new EngineFault('result-too-large', `${consumers.size} consumers are to be told of the window ${id}, and a plan has room for ${WINDOW_CONSUMERS_MAX}`);
  return recordable({ calendar: id, opensAt: formatTime(opensAtMs), closesAt: formatTime(closesAtMs), onMissed: windowOf(state.request)?.onMissed ?? 'expire', consumers: [...consumers].sort() });
}

export interface Judged {
  readonly verification: Verification;
  readonly provenance: Provenance;
  readonly input: Uint8Array;
}

/** Whether the state after the step that was just carried out is what was decided. @throws EngineFault */
export function askToVerify(context: EngineContext, state: ChangeState): Promise<Judged> {
  return underOneBundle(context, () => verifyOnce(context, state));
}

async function verifyOnce(context: EngineContext, state: ChangeState): Promise<Judged> {
  const input = buildVerificationInput(state, context.facts(), context.store.nextAtMs());
  if (input === null) throw new Error('nothing is to be verified');
  const bytes = saltedInput(context, input);
  // Facts may be loaded anew while policy thinks: the question was made of those that are in force now.
  const provenance = provenanceOf(context, bytes);
  return { verification: recordable(await context.pdp.verify(input)), provenance, input: bytes };
}

/** As of when policy is asked: of the record that its answer will be in, with facts that are as old as they are by the clock, which they were loaded by. */
export function asOfRecord({ store, clock, facts }: Pick<EngineContext, 'clock' | 'facts'> & { readonly store: Pick<EngineContext['store'], 'nextAtMs'> }): Pick<ChangeQuestion, 'nowMs' | 'facts' | 'factsAgeMs'> {
  const known = facts();
  return { nowMs: store.nextAtMs(), facts: known, factsAgeMs: clock.nowMs() - known.loadedAtMs };
}

function inputOf(context: EngineContext, state: ChangeState, phase: 'request' | 'dispatch', plan: Plan | null): ChangeInput {
  const step = phase === 'dispatch' ? stepOf(state) : null;
  return buildChangeInput({
    phase, ...asOfRecord(context), state, plan, before: state.before,
    step: step === null ? null : { action: step.action, number: state.finished.length + 1 },
    account: plan?.steps[0]?.account ?? null, connectors: context.connectors, parent: parentOf(context, state), extended: extendedBy(context, state),
    recent: context.store.recent({ changeId: state.changeId, atMs: state.requestedAtMs, subject: state.request.subject, requester: state.requester }),
    locks: locksOn(context.store.locks(), state.request.subject, systemOf(state.request)?.connector ?? null).map(({ lockId, reason }) => ({ lockId, reason })),
  });
}

/** The offboarding that the change is part of, while its items are being taken back: only then has it been decided and approved. */
function parentOf(context: EngineContext, state: ChangeState): ChangeInput['change']['parent'] {
  const parent = state.parent === null ? undefined : context.store.get(state.parent);
  return parent?.name === 'executing' ? { changeId: parent.changeId, requester: [...parent.requester] } : null;
}

/** The input as the object that a record names. */
export function saltedInput(context: EngineContext, input: object): Uint8Array {
  return canonicalBytes({ v: 1, salt: newSalt(context.random), kind: 'policyInput', value: input });
}

export function provenanceOf(context: EngineContext, input: Uint8Array): Provenance {
  return { bundle: context.pdp.bundle, input: digestOf(input), facts: [context.factsDigest()] };
}

/** An engine that cannot say yes has said no. */
export function faultDecision(state: Pick<ChangeState, 'request'>, fault: EngineFault): Decision {
  const why = fault.code === 'result-too-large' ? fault.message : 'the policy engine gave no decision';
  return {
    effect: 'deny', reasons: [{ code: fault.code, message: `${why}, so nothing is given`, rule: ENGINE_RULE }],
    obligations: { approvers: null, proofClass: 'session', maxLeaseSeconds: null, verification: 'readBack' },
    entitlements: { requested: entitlementsOf(state.request), held: [], used: [], excess: [], counterOffer: null }, controls: [],
  };
}
