/** Taking back before the time: now, by somebody's order, with or without a ledger that can be written. */
import { deriveRevokeOrder } from '../change/derive.ts';
import type { ChangeState } from '../change/state.ts';
import { signDsse } from '../protocol/dsse.ts';
import { REVOKE_ORDER_TYPE, type Dsse } from '../protocol/signed.ts';
import type { Answer, EngineContext } from './engine.ts';

/** The signed order that takes back what a change gave; null where it gave nothing that can be. */
export function orderEarly(context: EngineContext, state: ChangeState, by: string): { readonly audience: string; readonly envelope: Dsse } | null {
  // What an extension extends is the other change's to take back.
  if (state.plan === null || state.act === null || state.plan.extends !== undefined) return null;
  const order = deriveRevokeOrder(state.plan, state.act.audience, context.clock.nowMs(), 'early', by, state.lease?.epoch ?? 1);
  return order === null ? null : { audience: state.act.audience, envelope: signDsse(REVOKE_ORDER_TYPE, order, context.ticketSigner) };
}

/** Resolves once the order is durable in the ledger, or, where that cannot be written, with the executor: then `recorded` is false. */
export async function revokeNow(context: EngineContext, state: ChangeState, by: string, comment: string | null): Promise<Answer<{ state: ChangeState; recorded: boolean }>> {
  const order = orderEarly(context, state, by);
  if (order === null) return { ok: false, code: 'nothing-to-revoke', message: `a change that is ${state.name} has given nothing` };
  try {
    await context.store.load(state.changeId);
    const applied = context.store.apply(state.changeId, { type: 'orderRevoke', by, order: order.envelope, comment });
    // What it was refused by need not be durable, and taking back does not wait for it.
    if (!applied.ok) return { ok: false, code: applied.code, message: applied.message };
    await context.store.durable();
    return { ok: true, value: { state: applied.state, recorded: true } };
  } catch (error) {
    // Taking back waits for no disk (invariant 4). The executor signs and keeps what it did until a ledger can take it.
    context.logger.error({ changeId: state.changeId, error: String(error) }, 'the ledger cannot be written; the revoke goes out unrecorded');
    await context.transport.publishRevoke(order.audience, order.envelope);
    return { ok: true, value: { state, recorded: false } };
  }
}
