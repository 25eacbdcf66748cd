/** Orders to take back, and whether a worker obeys. */
import { canonicalText } from '../../../ledger/index.ts';
import { deriveRevokeOrder, leaseIdOf } from '../../../src/change/derive.ts';
import { payloadDigest } from '../../../src/protocol/dsse.ts';
import { REVOKE_ORDER_TYPE, TICKET_TYPE, type Dsse, type Refusal, type RevokeOrder } from '../../../src/protocol/signed.ts';
import { formatTime } from '../../../src/protocol/values.ts';
import { forger } from '../envelopes.ts';
import { EXECUTOR, keys, logId, sidecar, sign, START_MS, trustFiles, type TrustEdit } from '../story.ts';
import { made, type TrustTexts } from './steps.ts';
import { ANOTHER_CHANGE, base64, CHANGE, signBytes, signerOf, strayBits, type Message, type Vector } from './vector.ts';

export interface OrderVector extends Vector {
  readonly content: {
    readonly title: string; readonly executor: string; readonly connectors: readonly string[]; readonly trust: TrustTexts; readonly message: Message;
    readonly expect: { readonly accepted: string; readonly leaseId: string; readonly dueAt: string } | { readonly refused: Refusal };
  };
}

const derived: RevokeOrder = deriveRevokeOrder(made().plan, EXECUTOR, START_MS + 900_000, 'leaseEnd', sidecar)!;
const early: RevokeOrder = { ...derived, cause: 'early', orderedBy: 'person:sam', notBefore: formatTime(START_MS) };

function vector(path: string, title: string, message: Message, expect: OrderVector['content']['expect'], trust: TrustEdit = {}, connectors: readonly string[] = ['pg-main']): OrderVector {
  return { path: `orders/${path}`, content: { title, executor: EXECUTOR, connectors, trust: trustFiles(trust), message, expect } };
}
const accepted = (path: string, title: string, order: Dsse, { notBefore }: RevokeOrder): OrderVector =>
  vector(`accepted-${path}`, title, { json: order }, { accepted: payloadDigest(order), leaseId: leaseIdOf(CHANGE), dueAt: notBefore });
const refused = (path: string, title: string, code: Refusal, order: unknown, trust: TrustEdit = {}, connectors?: readonly string[]): OrderVector =>
  vector(`refused-${code}-${path}`, title, { json: order }, { refused: code }, trust, connectors);
const raw = (path: string, title: string, text: string): OrderVector => vector(`refused-malformed-${path}`, title, { base64: base64(text) }, { refused: 'malformed' });

export function orderVectors(): OrderVector[] {
  const good = sign.order(derived);
  const signed = canonicalText(good);
  const stranger = signerOf('elsewhere.example/log', 98);
  return [
    accepted('lease-end', 'an order that comes long before it is due: it is held, never dropped', good, derived),
    accepted('early', 'an early order that a person gave, signed by the sidecar', sign.order(early), early),
    accepted('by-revoker', 'an early order that a revoker of the floor signed in her own name', sign.order(early, keys.revoker), early),
    accepted('compensation', 'an order that undoes what should not have been given', sign.order({ ...derived, cause: 'compensation' }), derived),
    accepted('higher-epoch', 'an order of a later epoch than the worker knows of: an order alone raises none, and ends the lease', sign.order({ ...derived, epoch: 2 }), derived),
    accepted('reconcile', 'an order for what was found at the target though its lease is over', sign.order({ ...derived, cause: 'reconcile' }), derived),
    refused('unknown-log', 'an order of a log that is not trusted', 'unknown-sidecar', sign.order({ ...derived, log: '0'.repeat(16) })),
    refused('no-sidecar', 'an order of a log whose sidecar is not trusted', 'unknown-sidecar', good, { noSidecar: true }),
    refused('unknown-key', 'an order signed by nobody known', 'bad-signature', sign.order(derived, stranger)),
    refused('known-name', 'an order signed by another key of a known name', 'bad-signature', sign.order(derived, forger)),
    refused('log-key', 'an order signed with the key of the log', 'bad-signature', sign.order(derived, keys.log)),
    refused('executor-key', 'an order that the executor signed itself', 'bad-signature', sign.order(derived, keys.executor)),
    refused('in-anothers-name', 'an order that a revoker signed in the name of another', 'bad-signature', sign.order({ ...early, orderedBy: 'person:wei' }, keys.revoker)),
    refused('in-the-sidecars-name', 'an order that a revoker signed in the name of the sidecar', 'bad-signature', sign.order(derived, keys.revoker)),
    refused('altered', 'an order altered after it was signed', 'bad-signature', { ...good, payload: sign.order({ ...derived, account: 'postgres' }).payload }),
    refused('signed-as-ticket', 'an order that was signed as a ticket', 'bad-signature', { ...signBytes(TICKET_TYPE, canonicalText(derived), keys.ticket), payloadType: REVOKE_ORDER_TYPE }),
    refused('stray-bits', 'a signature with bits that carry nothing', 'bad-signature', { ...good, signatures: [{ ...good.signatures[0]!, sig: strayBits(good.signatures[0]!.sig) }] }),
    refused('other-executor', 'an order to another executor', 'wrong-audience', sign.order({ ...derived, audience: 'executor:other' })),
    refused('other-change', 'an order about the lease of another change', 'order-mismatch', sign.order({ ...derived, changeId: ANOTHER_CHANGE })),
    refused('other-lease', 'an order about another lease than its change has', 'order-mismatch', sign.order({ ...derived, leaseId: leaseIdOf(ANOTHER_CHANGE) })),
    refused('other-client-token', 'an order with the client token of another change', 'order-mismatch', sign.order({ ...derived, clientToken: `cs_${ANOTHER_CHANGE.slice(-26).toLowerCase()}` })),
    refused('other-log', 'an order whose change is of another log', 'order-mismatch', sign.order({ ...derived, changeId: CHANGE.replace(logId, '0'.repeat(16)), leaseId: leaseIdOf(CHANGE) })),
    refused('not-here', 'an order about a connector that this executor does not have', 'unknown-connector', good, {}, ['aws']),
    refused('field-too-many', 'an order with a field that no order has', 'malformed', sign.order({ ...derived, also: 1 } as never)),
    refused('action', 'an order that undoes what cannot be undone', 'malformed', sign.order({ ...derived, action: 'retire' } as never)),
    refused('no-privileges', 'an order that takes nothing', 'malformed', sign.order({ ...derived, privileges: [] })),
    refused('no-time', 'an order without a time', 'malformed', sign.order({ ...derived, notBefore: 'now' })),
    refused('spaced', 'an order that is signed with a space in it', 'malformed', signBytes(REVOKE_ORDER_TYPE, canonicalText(derived).replace(':', ': '), keys.ticket)),
    refused('duplicate-key', 'an order that is signed with a key twice', 'malformed', signBytes(REVOKE_ORDER_TYPE, `${canonicalText(derived).slice(0, -1)},"v":1}`, keys.ticket)),
    refused('no-envelope', 'an order without an envelope', 'malformed', derived),
    raw('duplicate-key-outside', 'an envelope with a key twice', `${signed.slice(0, -1)},"payloadType":"x"}`),
    raw('not-json', 'no JSON', 'revoke everything'),
  ];
}
