/**
 * Whether a revoke order is one to obey. It needs no receipt, no approval and no window: what it takes back was authorised when it was given,
 * and a thief of the key that signs it can only take access away.
 */
import { canonicalBytes, digestOf, type Verifier } from '../../ledger/index.ts';
import { clientTokenOf, leaseIdOf, logOf } from '../change/derive.ts';
import { openDsse, payloadDigest, readPayload } from '../protocol/dsse.ts';
import { ProtocolError } from '../protocol/errors.ts';
import { dsseSchema, revokeOrderSchema, REVOKE_ORDER_TYPE, type Dsse, type Refusal, type RevokeOrder } from '../protocol/signed.ts';
import { revokerOf, type Trust } from '../protocol/trust-folder.ts';
import { parseTime } from '../protocol/values.ts';

/** An order that was believed. */
export interface HeldOrder {
  readonly envelope: Dsse;
  /** Of the payload: what the order is known by. */
  readonly digest: string;
  readonly order: RevokeOrder;
  readonly dueMs: number;
}

export type OrderAdmission = { readonly ok: true; readonly held: HeldOrder } | { readonly ok: false; readonly code: Refusal; readonly message: string };

/** Pure. Signed by a sidecar of that log, or by one of the floor's revokers in their own name, for this executor. */
export function admitOrder(envelope: unknown, context: { readonly trust: Trust; readonly executorId: string }): OrderAdmission {
  try {
    const parsed = dsseSchema.safeParse(envelope);
    if (!parsed.success) return { ok: false, code: 'malformed', message: 'not an envelope' };
    const claimed = readPayload(parsed.data, revokeOrderSchema);
    const revoker = revokerOf(context.trust.requirements, parsed.data.signatures[0]?.keyid ?? '');
    const keys: readonly Verifier[] = revoker === null ? (context.trust.sidecars.get(claimed.log) ?? []) : [revoker.key];
    if (keys.length === 0) return { ok: false, code: 'unknown-sidecar', message: `no sidecar of log ${claimed.log} is trusted` };
    const order = openDsse(parsed.data, REVOKE_ORDER_TYPE, revokeOrderSchema, keys);
    if (revoker !== null && order.orderedBy !== revoker.principal) {
      return { ok: false, code: 'bad-signature', message: `an order in the name of ${order.orderedBy}, signed by ${revoker.principal}` };
    }
    if (order.audience !== context.executorId) return { ok: false, code: 'wrong-audience', message: `an order to ${order.audience}` };
    const { changeId } = order;
    // Each of the four ids tells the other three; an order in which they differ would end one lease on the books and another at the target.
    if (logOf(changeId) !== order.log || leaseIdOf(changeId) !== order.leaseId || clientTokenOf(changeId) !== order.clientToken) {
      return { ok: false, code: 'order-mismatch', message: 'its log, change, lease and client token are not of one change' };
    }
    return { ok: true, held: holdOrder(parsed.data, order) };
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    return { ok: false, code: error.code, message: error.message };
  }
}

/** An order from one's own lease book: it was believed when it was written there. */
export function holdOrder(envelope: Dsse, order: RevokeOrder = readPayload(envelope, revokeOrderSchema)): HeldOrder {
  return { envelope, digest: payloadDigest(envelope), order, dueMs: parseTime(order.notBefore) };
}

/** What is to be undone at the target. */
export type Effect = Pick<RevokeOrder, 'connector' | 'action' | 'target' | 'account' | 'privileges' | 'clientToken'>;

/** Two orders with the same key undo the same thing. */
export function effectKey({ connector, action, target, account, privileges, clientToken }: Effect): string {
  return digestOf(canonicalBytes({ connector, action, target, account, privileges: [...privileges].sort(), clientToken }));
}
