/** Finding out which objects an append brings, and where they go. */
import { LedgerError } from './errors.ts';
import { digestOf } from './hash.ts';
import { endOf, OBJECT_BYTES_MAX, placeAfter, type ObjectIndex, type ObjectPlace } from './objects.ts';
import type { RecordDraft } from './record.ts';

export interface PendingObject {
  readonly digest: string;
  readonly payload: Uint8Array;
  readonly place: ObjectPlace;
}

/**
 * The objects that are new, in the order in which the drafts name them first, each with its place. Changes nothing.
 *
 * @throws LedgerError `missing-object`, `too-large` or `malformed`.
 */
export function placeObjects(
  stored: { readonly index: ObjectIndex; readonly objectsEnd: ObjectPlace }, drafts: readonly RecordDraft[], payloads: readonly Uint8Array[],
): PendingObject[] {
  if (payloads.length === 0 && drafts.every(({ objects }) => objects.length === 0)) return [];
  const given = new Map(payloads.map((payload) => [digestOf(payload), payload]));
  const named = new Set(drafts.flatMap(({ objects }) => objects));
  for (const digest of given.keys()) if (!named.has(digest)) throw new LedgerError('malformed', `object ${digest} is given but no draft names it`);
  const placed: PendingObject[] = [];
  let end = stored.objectsEnd;
  for (const digest of named) {
    if (stored.index.find(digest) !== null) continue;
    const payload = given.get(digest);
    if (payload === undefined) throw new LedgerError('missing-object', `object ${digest} is neither given nor stored`);
    if (payload.byteLength > OBJECT_BYTES_MAX) throw new LedgerError('too-large', `object ${digest} is over ${OBJECT_BYTES_MAX} bytes`);
    if (payload.byteLength === 0) throw new LedgerError('malformed', 'an empty object');
    const place = placeAfter(end, payload.byteLength);
    placed.push({ digest, payload, place });
    end = endOf(place, payload.byteLength);
  }
  return placed;
}
