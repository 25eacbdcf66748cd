/** Checks of a rotation: nobody is cut off from the old credential before the new one is theirs, and the new one not taken back after it took over. */
import type { ChangeEvent } from '../change/events.ts';
import { FINAL_STATES, isPastCutover, mayRollBack, type ChangeState } from '../change/state.ts';
import { makesSecret, type PlanStep } from '../protocol/plan.ts';
import type { RevokeOrder } from '../protocol/signed.ts';
import { formatTime, parseTime } from '../protocol/values.ts';
import type { Audited } from './audited.ts';
import { isSomebody } from './check-actor.ts';
import { fault, type Fault } from './violation.ts';

type Of<T extends ChangeEvent['type']> = Extract<ChangeEvent, { type: T }>;

/** The cutover waits for the new secret to be fetched, and for every consumer to confirm or the grace to be over. */
export function checkCutover({ state, planErased }: Audited, atMs: number, step: PlanStep): Fault | null {
  if (step.action !== 'cutover') return null;
  if (state.delivery?.status !== 'acknowledged') return fault('cutover-early', 'the cutover was authorised before the new secret had been fetched');
  const rotation = state.plan?.rotation;
  if (planErased || rotation === undefined) return null;
  const silent = rotation.consumers.filter((consumer) => !state.confirmed.has(consumer));
  const graceEndsMs = (state.stagedAtMs ?? atMs) + rotation.graceSeconds * 1000;
  const mayGo = atMs >= graceEndsMs || (rotation.consumers.length > 0 && silent.length === 0);
  return mayGo ? null : fault('cutover-early', `the cutover was authorised before ${silent.join(', ') || 'anybody'} had confirmed and before ${formatTime(graceEndsMs)}, when the grace was over`);
}

/** Whether the order takes a credential back that has taken over. Only a person or an identity may still want that. */
export function isUndoneAfterCutover(state: ChangeState, order: RevokeOrder): boolean {
  return isPastCutover(state) && (order.cause === 'compensation' || (!isSomebody(order.orderedBy) && state.revokes.length === 0));
}

/** Whether the order takes a login back that a consumer has moved over to, and nobody has withdrawn the change: who did as told is not cut off. */
export function isUndoneInUse(state: ChangeState, order: RevokeOrder): boolean {
  const isBySidecar = order.cause === 'compensation' || (!isSomebody(order.orderedBy) && state.revokes.length === 0);
  return state.request.kind === 'rotate' && isBySidecar && state.confirmed.size > 0 && state.name !== 'withdrawing';
}

export function checkConfirmed({ state, planErased }: Audited, event: Of<'consumer.confirmed'>): Fault | null {
  const waitedFor = planErased || state.plan?.rotation?.consumers.includes(event.body.consumer) === true;
  return waitedFor ? null : fault('wrong-order', `consumer.confirmed of ${event.body.consumer}, which the change waits for in no case`);
}

/** A seal is of a secret that the step makes. */
export function checkSealed({ ticket, state }: Audited, event: Of<'delivery.sealed'>): Fault | null {
  const recipient = ticket === null || !makesSecret(ticket.step.action) ? null : recipientOf(state);
  return event.body.seal.recipient === recipient ? null : fault('seal-mismatch', 'a secret was sealed that the step does not make, or to somebody else than was approved');
}

/** Whom new secrets of the change are sealed to; null where it makes none, or the caller makes them. */
export function recipientOf({ request }: ChangeState): string | null {
  return 'recipient' in request ? (request.recipient ?? null) : null;
}

/** At the end of the ledger: what a change had to undo, and nobody has ordered to. A lease is judged by its own end. */
export function checkUndone({ state, given, planErased }: Audited, judgedAtMs: number, graceMs: number): Fault | null {
  if (given === null || state.lease !== null || state.revokes.length > 0 || FINAL_STATES.has(state.name)) return null;
  const dueMs = state.name === 'revoking' || state.name === 'withdrawing' ? state.lastAtMs : windowClosedOn(state, planErased);
  if (dueMs === null || judgedAtMs <= dueMs + graceMs) return null;
  return fault('not-undone', `what was put in place had to be undone from ${formatTime(dueMs)} on, and by ${formatTime(judgedAtMs)} nobody has ordered it`);
}

/** When the window closed on a rotation to which nobody had moved over yet. */
function windowClosedOn(state: ChangeState, planErased: boolean): number | null {
  const closesAt = state.plan?.window?.closesAt;
  return planErased || closesAt === undefined || state.name !== 'staged' || !mayRollBack(state) ? null : parseTime(closesAt);
}
