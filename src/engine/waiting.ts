/** Why a change is not going on, in a sentence for whoever asks. Nothing is decided by it. */
import { hasRejected } from '../change/rejecting.ts';
import { approvedBy, stepOf, type ChangeState } from '../change/state.ts';
import { awaitedBy } from '../protocol/awaited.ts';
import { approversNamed, isSatisfied } from '../protocol/decision.ts';
import { anyTicketSchema, onlyTakesAway } from '../protocol/discovery.ts';
import { readPayload } from '../protocol/dsse.ts';
import { approvalsText, quorumsIn } from '../protocol/floor-part.ts';
import { givesAccess, takesAway } from '../protocol/plan.ts';
import { formatTime, parseTime } from '../protocol/values.ts';
import type { EngineContext } from './engine.ts';
import { locksOn } from './locks.ts';
import { audienceOf } from './pace.ts';
import { rivalOf } from './perform.ts';

/** An executor that runs answers sooner, where its target does. */
const SILENT_MS = 10_000;

/** null where the change waits for nothing, or for what the name of its state says already. */
export function waitingFor(context: EngineContext, changeId: string): string | null {
  // One at rest waits for nothing.
  const state = context.store.inMemory(changeId);
  if (state === undefined) return null;
  if (state.adoptedFrom !== null) return waitingUnderOldLog(state);
  if (state.name === 'requested' || state.name === 'authorised') return waitingToBeShown(context, state) ?? waitingForAnswer(context, state);
  if (state.name === 'staged') return waitingForConsumers(state) ?? waitingForItsTime(context, state);
  if (state.name === 'pending') return waitingForFloor(state, context.store.nextAtMs());
  return state.name === 'scheduled' ? waitingForItsTime(context, state) : null;
}

/** That the floor asks for more than policy does is not seen by who is asked. */
function waitingForFloor(state: ChangeState, nowMs: number): string | null {
  const { floor, requirement: { approvers } } = state;
  if (floor === null) return null;
  const approved = approvedBy(state, nowMs);
  const missing = quorumsIn(floor).find(({ part }) => !isSatisfied(part, approved));
  if (missing === undefined) return approvers !== null && floor.proofClass !== 'session' && !isSatisfied(approvers, approved) ? `the floor asks for ${approvalsText(null, floor.proofClass)}` : null;
  const { quorum, part } = missing;
  const [left, there] = [[...awaitedBy(part, approved)].filter((person) => !hasRejected(state, person)), approversNamed(part).filter((person) => approved.has(person))];
  const gone = there.length === 0 ? '' : `, beside ${there.length === 1 ? 'that' : 'those'} of ${there.join(', ')}`;
  return `the floor asks for ${approvalsText(quorum, floor.proofClass)}: by ${left.join(', ') || 'nobody who is left'}${gone}`;
}

function waitingUnderOldLog({ name, adoptedFrom }: ChangeState): string | null {
  const isUnderWay = ['requested', 'pending', 'scheduled', 'authorised', 'executing', 'verifying', 'staged'].includes(name);
  return isUnderWay ? `begun under log ${adoptedFrom}, which this one has adopted: nothing is gained by it any more` : null;
}

function waitingToBeShown({ copy, witnesses }: EngineContext, state: ChangeState): string | null {
  const audience = audienceOf(state);
  const issued = state.act ?? state.read;
  if (audience === null || issued === null || onlyTakesAway(readPayload(issued.ticket, anyTicketSchema))) return null;
  const ofCopy = copy !== undefined && (state.plan?.mode === 'caller' || copy.guards(audience)) ? copy.trouble() : null;
  return ofCopy ?? witnesses?.trouble() ?? null;
}

/** Nothing of it is on record where an executor does not run, or does not reach its target. */
function waitingForAnswer({ clock }: EngineContext, { name, act, read, before, plan }: ChangeState): string | null {
  const issued = name === 'authorised' ? act : before === null ? read : null;
  if (issued === null || plan?.mode === 'caller') return null;
  const { notBefore } = readPayload(issued.ticket, anyTicketSchema);
  return clock.nowMs() - parseTime(notBefore) < SILENT_MS ? null : `${issued.audience} has not answered since ${notBefore}: its own log says why, where it runs`;
}

function waitingForConsumers({ plan, delivery, confirmed, finished, stagedAtMs }: ChangeState): string | null {
  if (finished.length > 1) return null;
  if (delivery?.status === 'sealed') return 'the new secret has not been fetched and acknowledged yet';
  const silent = (plan?.rotation?.consumers ?? []).filter((consumer) => !confirmed.has(consumer));
  const graceEndsAt = formatTime((stagedAtMs ?? 0) + (plan?.rotation?.graceSeconds ?? 0) * 1000);
  return silent.length === 0 ? null : `until ${graceEndsAt}, or until ${silent.join(', ')} ${silent.length === 1 ? 'confirms' : 'confirm'} to use the new credential`;
}

function waitingForItsTime(context: EngineContext, state: ChangeState): string | null {
  const step = stepOf(state);
  const nowMs = context.clock.nowMs();
  if (state.heldUntilMs !== null && nowMs < state.heldUntilMs) return `policy lets nothing be given before ${formatTime(state.heldUntilMs)}`;
  if (step === null || takesAway(step.action)) return null;
  const window = state.plan?.window;
  if (window !== undefined && nowMs < parseTime(window.opensAt)) return `the window ${window.calendar} opens at ${window.opensAt}`;
  if (givesAccess(step.action) && !context.othersLocks.isHeard()) return 'it is not known yet which locks other sidecars have set';
  const [lock] = givesAccess(step.action) ? locksOn(context.store.locks(), state.request.subject, step.connector) : [];
  if (lock !== undefined) return `locked by ${lock.by} (${lock.lockId}): ${lock.reason}`;
  const rival = rivalOf(context, state);
  return rival === null ? null : `${rival} has the target ${step.target} at ${step.connector}`;
}
