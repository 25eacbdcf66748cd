/** Where a secret goes: sealed to its recipient, or kept in a sink. Either way it is durable before it opens anything, and evidence knows it by a fingerprint. */
import { canonicalBytes, digestOf } from '../../ledger/index.ts';
import { fingerprintOf } from '../protocol/fingerprint.ts';
import { isUndoable, type Plan } from '../protocol/plan.ts';
import { placeOf } from '../protocol/request.ts';
import type { Seal } from '../protocol/signed.ts';
import type { Attempt } from './book-entries.ts';
import { TargetError } from './connector.ts';
import type { WorkerContext } from './context.ts';
import { within } from './deadline.ts';
import type { Place, Sink } from './sink.ts';

export interface Kept {
  readonly seal: Seal;
  /** An age file; of what is kept in a sink, the place. */
  readonly ciphertext: Uint8Array;
}

type Terms = Pick<Plan, 'recipient' | 'subject'>;

/**
 * The secret is where nobody but its recipient can read it. Null where it cannot be. It is known by the fingerprint of its `credential`.
 *
 * @throws TargetError `unreachable` or `ambiguous` where a sink may keep it later
 */
export async function keepSecret(context: WorkerContext, { recipient, subject }: Terms, clientToken: string, secret: string, attempts: readonly Attempt[], credential = secret): Promise<Kept | null> {
  if (recipient === null) return null;
  const place = placeOf(recipient);
  const ciphertext = place === null ? await seal(context, secret, recipient) : await stage(context, place.sink, { path: place.path, subject, clientToken }, secret);
  if (ciphertext === null) return null;
  const fingerprint = fingerprintOf(context.fingerprintKey, credential);
  return { ciphertext, seal: { recipient, ciphertext: digestOf(ciphertext), fingerprint, replaces: attempts.findLast((attempt) => attempt.seal !== null)?.seal?.ciphertext ?? null } };
}

async function seal(context: WorkerContext, secret: string, recipient: string): Promise<Uint8Array | null> {
  return context.seal(secret, recipient).catch((error: unknown) => {
    context.logger.error({ recipient, reason: error instanceof Error ? error.name : 'unknown' }, 'the secret could not be sealed');
    return null;
  });
}

async function stage(context: WorkerContext, id: string, place: Place, secret: string): Promise<Uint8Array | null> {
  const sink = context.sinks.get(id);
  if (sink === undefined) {
    context.logger.error({ sink: id }, 'there is no such sink here');
    return null;
  }
  try {
    await within(context.clock, context.limits.askTimeoutMs, (signal) => sink.stage(place, secret, signal));
  } catch (error) {
    if (!(error instanceof TargetError) || error.kind !== 'rejected') throw error;
    context.logger.error({ sink: id, path: place.path, reason: error.message }, 'the sink does not keep the secret');
    return null;
  }
  // The salt makes the digest of this another at each attempt.
  return canonicalBytes({ v: 1, sink: id, ...place, salt: Buffer.from(context.random(16)).toString('base64url') });
}

/** Whoever looks in the sink finds the secret; nothing to do for one that was sealed. @throws TargetError: ask again */
export async function publishSecret(context: WorkerContext, terms: Terms, clientToken: string): Promise<void> {
  const kept = keptAt(context, terms);
  if (kept === null) return;
  await within(context.clock, context.limits.askTimeoutMs, (signal) => kept.sink.publish({ ...kept.place, clientToken }, signal));
}

/** What was in the sink before opens nothing any more, and does not come back there. @throws TargetError: ask again */
export async function settleSecret(context: WorkerContext, terms: Terms, clientToken: string): Promise<void> {
  const kept = keptAt(context, terms);
  if (kept === null) return;
  await within(context.clock, context.limits.askTimeoutMs, (signal) => kept.sink.settle(clientToken, signal));
}

/** What was staged for an attempt that came to nothing is there no more, if the sink answers: it opens nothing, and nobody looks there. */
export async function unstageSecret(context: WorkerContext, terms: Terms, clientToken: string): Promise<void> {
  const kept = keptAt(context, terms);
  if (kept === null) return;
  await within(context.clock, context.limits.askTimeoutMs, (signal) => kept.sink.withdraw(clientToken, signal)).catch((error: unknown) => {
    context.logger.warn({ recipient: terms.recipient, reason: String(error) }, 'a secret that opens nothing is still staged in its sink');
  });
}

/** The sinks here in which the secret of a change is, or may be; all of them where another worker made it. */
export function sinksOf({ book: { state }, sinks }: WorkerContext, leaseId: string): readonly Sink[] {
  const claims = [...(state.stepsOfLease.get(leaseId) ?? [])].flatMap((stepId) => state.steps.get(stepId)?.claim ?? []);
  const [made] = claims.filter(({ ticket }) => isUndoable(ticket.step.action));
  if (made === undefined) return [...sinks.values()];
  const kept = keptAt({ sinks }, made.plan);
  return kept === null ? [] : [kept.sink];
}

function keptAt({ sinks }: Pick<WorkerContext, 'sinks'>, { recipient, subject }: Terms): { readonly sink: Sink; readonly place: Omit<Place, 'clientToken'> } | null {
  const place = recipient === null ? null : placeOf(recipient);
  const sink = place === null ? undefined : sinks.get(place.sink);
  return place === null || sink === undefined ? null : { sink, place: { path: place.path, subject } };
}
