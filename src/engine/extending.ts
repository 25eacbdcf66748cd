/** What an extension needs of the change whose lease it extends, and what becomes of that when it comes to nothing. */
import { deriveRevokeOrder } from '../change/derive.ts';
import { lentBy, whyNotExtendable, type Extendable } from '../change/extension.ts';
import type { ChangeState } from '../change/state.ts';
import { signDsse } from '../protocol/dsse.ts';
import type { ChangeRequest, ExtendRequest } from '../protocol/request.ts';
import { REVOKE_ORDER_TYPE } from '../protocol/signed.ts';
import type { Answer, EngineContext } from './engine.ts';

/** The change whose lease is extended, which was loaded; null for any other kind of change, and for one that this ledger does not know. @throws NotInMemory */
export function extendedBy({ store }: Pick<EngineContext, 'store'>, { request }: Pick<ChangeState, 'request'>): ChangeState | null {
  return request.kind === 'extend' ? (store.get(request.change) ?? null) : null;
}

/** What an extension extends, and the epoch that is its own: higher than any that the ledger has authorised, since one that came to nothing may still be armed. */
export function extendableOf(context: Pick<EngineContext, 'store'>, state: ChangeState): (Extendable & { readonly nextEpoch: number }) | null {
  const extended = extendedBy(context, state);
  const lent = extended === null ? null : lentBy(extended);
  return lent === null ? null : { ...lent, nextEpoch: highestEpoch(context, lent.change, lent.lease.epoch) + 1 };
}

function highestEpoch({ store }: Pick<EngineContext, 'store'>, changeId: string, epoch: number): number {
  return Math.max(epoch, ...store.index.epochsOf(changeId).values());
}

/**
 * Whether another extension of the lease was authorised with the epoch of this plan, or a higher one: its order may be armed, and would not be void
 * by this one.
 */
export function isEpochSpent({ store }: Pick<EngineContext, 'store'>, { changeId, plan }: Pick<ChangeState, 'changeId' | 'plan'>): boolean {
  const mine = plan?.extends;
  if (mine === undefined) return false;
  return [...store.index.epochsOf(mine.change)].some(([other, epoch]) => other !== changeId && epoch >= mine.epoch);
}

/** Why the request is turned away at once; null where policy is to be asked. */
export function turnedAway({ store }: Pick<EngineContext, 'store'>, request: ChangeRequest, nowMs: number): Extract<Answer, { ok: false }> | null {
  if (request.kind !== 'extend') return null;
  const extended = store.get(request.change);
  if (extended === undefined) return { ok: false, code: 'no-such-change', message: 'no change of this id' };
  const why = whyNotExtendable(extended, request, nowMs);
  return why === null ? null : { ok: false, code: 'not-extendable', message: why };
}

/** The request that extends what a change gave: all but the end is what that change was asked for. null where it was asked for nothing that ends. */
export function extendRequestFor({ changeId, request }: ChangeState, asked: Pick<ExtendRequest, 'duration' | 'endsBy' | 'reason'>): ExtendRequest | null {
  if (request.kind !== 'grant' && request.kind !== 'provision') return null;
  const { subject, purpose, entitlements } = request;
  return { kind: 'extend', change: changeId, subject, purpose, entitlements, ...asked };
}

/**
 * Orders what the extended change gave back at the end that it has without this extension: its executor may hold the proof of a later one, which
 * nobody has heard of or which is not what was decided. The order is of the highest epoch, and none that was applied voids it.
 */
export function holdToEarlierEnd(context: EngineContext, state: ChangeState): void {
  // One at rest has no lease that runs.
  const extended = state.request.kind === 'extend' ? context.store.inMemory(state.request.change) : undefined;
  if (state.extension === null || extended?.lease == null || extended.plan === null || extended.act === null || extended.ended !== null) return;
  const { clock, self, store, ticketSigner } = context;
  const order = deriveRevokeOrder(extended.plan, extended.act.audience, Math.max(extended.lease.endsAtMs, clock.nowMs()), 'compensation', self, highestEpoch(context, extended.changeId, extended.lease.epoch));
  if (order === null) return;
  const comment = `${state.changeId} did not extend it`;
  const applied = store.apply(extended.changeId, { type: 'orderRevoke', by: self, order: signDsse(REVOKE_ORDER_TYPE, order, ticketSigner), comment });
  if (!applied.ok) context.logger.info({ changeId: extended.changeId, code: applied.code }, 'overtaken');
}

/** The epoch of an order to take back what a change gave: none that was applied voids it, heard of or not. */
export function orderEpoch(context: Pick<EngineContext, 'store'>, state: ChangeState): number {
  return state.lease === null ? 1 : highestEpoch(context, state.changeId, state.lease.epoch);
}
