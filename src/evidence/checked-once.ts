/** Signatures that have been found to hold, so that a document which several records carry is checked once. */
import { digestOf, type Verifier } from '../../ledger/index.ts';
import { isSigned, type Proven } from '../protocol/dsse.ts';
import { REVOKE_ORDER_TYPE, type Dsse } from '../protocol/signed.ts';

/** A revoke order is carried by the record that fixes it and by the one that tells of its end: as many leases may run in between. Some 200 bytes each. */
const REMEMBERED_MAX = 16_384;

/**
 * What is told by whoever has checked it elsewhere, or else found out here, once. Remembered by a digest of key, type, payload and signature, and only where it
 * holds: one that does not is looked at anew by whoever says why.
 */
export function checkedOnce(elsewhere: Proven | null, rememberedMax = REMEMBERED_MAX): Proven {
  // Two sets by turns, dropped whole: memory does not grow with the ledger.
  let [recent, lessRecent] = [new Set<string>(), new Set<string>()];
  return {
    has(key, envelope) {
      if (elsewhere?.has(key, envelope) === true) return true;
      // Every other document is in one record.
      if (envelope.payloadType !== REVOKE_ORDER_TYPE) return isSigned(envelope, key);
      const name = nameOf(key, envelope);
      if (recent.has(name) || lessRecent.has(name)) return true;
      if (!isSigned(envelope, key)) return false;
      if (recent.size >= rememberedMax / 2) [recent, lessRecent] = [new Set(), recent];
      recent.add(name);
      return true;
    },
  };
}

/** The same for two only if all of it is: the lengths say where one part ends. */
function nameOf({ vkey }: Verifier, { payloadType, payload, signatures: [signature] }: Dsse): string {
  return digestOf(Buffer.from(`${vkey} ${payloadType.length} ${payload.length} ${payloadType}${payload}${signature?.sig ?? ''}`));
}
