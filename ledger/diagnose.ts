/** Naming what was done to a bundle that is not what its tile says: altered, removed, swapped or repeated. */
import { formatDigest, HASH_BYTES, sameBytes } from './hash.ts';
import { leafHash } from './merkle.ts';
import { decodeRecord, type LedgerRecord } from './record.ts';

export interface Diagnosis {
  readonly message: string;
  readonly seq: number;
}

/** What stands at one place of a bundle. */
interface Place {
  readonly leaf: Uint8Array;
  readonly record: LedgerRecord | null;
}

/** Entries as far as the bytes hold any, however damaged, and no more than `max`; null for one that goes past their end. */
function decodeLeniently(bytes: Uint8Array, max: number): (Uint8Array | null)[] {
  const entries: (Uint8Array | null)[] = [];
  for (let at = 0; at < bytes.byteLength && entries.length < max; ) {
    const end = at + 2 + bytes[at]! * 256 + (bytes[at + 1] ?? 0);
    entries.push(end > bytes.byteLength || at + 2 > bytes.byteLength ? null : bytes.subarray(at + 2, end));
    at = end;
  }
  return entries;
}

function read(entry: Uint8Array | null): Place {
  if (entry === null) return { leaf: new Uint8Array(HASH_BYTES), record: null };
  try {
    return { leaf: leafHash(entry), record: decodeRecord(entry) };
  } catch {
    return { leaf: leafHash(entry), record: null };
  }
}

/**
 * Why the bundle with entries `first` … is not what its tile says, or what its records say of themselves; null when nothing in it is wrong.
 *
 * @param tile the leaf hashes that the tile of level 0 holds; null where that can't be read.
 * @param width entries that are due.
 * @param lastLeaf of the record before the bundle; null for the first.
 */
export function diagnoseBundle(bytes: Uint8Array, tile: readonly Uint8Array[] | null, first: number, width: number, lastLeaf: string | null): Diagnosis | null {
  const places = decodeLeniently(bytes, width + 1).map(read);
  let prev = lastLeaf;
  for (let i = 0; i < width; i++) {
    const seq = first + i;
    const place = places[i];
    if (place === undefined) return { seq, message: `record ${seq} is missing: its bundle ends before it` };
    const isByTile = tile === null || sameBytes(place.leaf, tile[i]!);
    const { record } = place;
    const moved = record === null || record.seq === seq ? null : movedMessage(places, i, first);
    if (moved !== null) return { seq, message: moved };
    if (record?.seq !== seq) return { seq, message: `record ${seq} is altered` };
    if (record.prev !== prev) {
      const altered = isByTile ? Math.max(0, seq - 1) : seq;
      return { seq: altered, message: `record ${altered} is altered: record ${seq} names another before it` };
    }
    const after = places[i + 1]?.record ?? null;
    if (!isByTile) {
      // The record after it names the true leaf: whichever of bundle and tile agrees with that is right.
      const isByNext = after?.prev === formatDigest(place.leaf);
      return { seq, message: isByNext ? `the level 0 tile is altered at record ${seq}, which is whole` : `record ${seq} is altered` };
    }
    prev = formatDigest(place.leaf);
  }
  return places.length > width ? { seq: first + width - 1, message: `the bundle goes on after record ${first + width - 1}` } : null;
}

/** What happened when another record stands at place `i`; null when it looks like this one with its number altered. */
function movedMessage(places: readonly Place[], i: number, first: number): string | null {
  const seq = first + i;
  const found = places[i]!.record!.seq;
  const there = places[found - first]?.record?.seq;
  if (there === seq) return `records ${seq} and ${found} are swapped`;
  const next = places[i + 1]?.record?.seq;
  if (next === seq + 1) return found < seq && places[found - first]?.record?.seq === found ? `record ${found} stands again in the place of record ${seq}` : null;
  if (found > seq && (next === undefined || next === found + 1)) {
    return found === seq + 1 ? `record ${seq} was removed` : `records ${seq} to ${found - 1} were removed`;
  }
  return found < seq ? `record ${found} stands again in the place of record ${seq}` : null;
}
