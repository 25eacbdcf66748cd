/** Whether the bytes of one bundle are the records that its tile names: what can be checked of 256 records without those before them. */
import { HASH_BYTES } from './hash.ts';
import { leafHex } from './merkle.ts';
import { decodeRecord, type LedgerRecord } from './record.ts';
import { decodeBundle } from './tiles.ts';

export interface CheckedBundle {
  readonly leaves: readonly Uint8Array[];
  /** The leaves as digests. */
  readonly digests: readonly string[];
  readonly records: readonly LedgerRecord[];
}

export interface RawBundle {
  /** The seq of its first record. */
  readonly first: number;
  readonly bytes: Uint8Array;
  /** Its tile of level 0: 32 bytes for each record that is due. */
  readonly tile: Uint8Array;
}

export interface CheckerAnswer {
  /** What {@link isWhole} says. */
  readonly holds: boolean;
  /** Called when the pass comes to its records. */
  readonly reached?: () => void;
}

/** Whoever checks bundles elsewhere, such as in other threads, while the pass is at those before. Must answer as {@link isWhole} does. */
export interface BundleChecker {
  /** Records from which on a ledger is worth the trouble. */
  readonly sizeMin: number;
  /** How many bundles may be under way at one time. */
  readonly ahead: number;
  /** @throws Error when it cannot be told; then verification ends without a verdict */
  check(bundle: RawBundle): Promise<CheckerAnswer>;
}

export function splitHashes(tile: Uint8Array): Uint8Array[] {
  return Array.from({ length: tile.byteLength / HASH_BYTES }, (_, i) => tile.subarray(i * HASH_BYTES, (i + 1) * HASH_BYTES));
}

/** The records of the bundle, or null at anything wrong; what it is is for `diagnoseBundle` to say. */
export function checkBundle({ first, bytes, tile }: RawBundle, lastLeaf: string | null): CheckedBundle | null {
  const digests = digestsOf(tile);
  const records = recordsOf(bytes, digests, first);
  return records === null ? null : following(records, tile, digests, lastLeaf);
}

/** Whether these are, byte for byte, the records `first` … of the tile, in their one spelling, each naming the one before it in the bundle. */
export function isWhole({ first, bytes, tile }: RawBundle): boolean {
  return recordsOf(bytes, digestsOf(tile), first) !== null;
}

/** The records of a bundle that {@link isWhole}, as somebody else has found; null where they do not follow on what came before. */
export function checkedElsewhere({ holds, reached }: CheckerAnswer, { bytes, tile }: RawBundle, lastLeaf: string | null): CheckedBundle | null {
  if (!holds) return null;
  // That each is the one spelling of a record is shown, so that the engine's own parser reads what ours would.
  const records = decodeBundle(bytes).map((entry) => JSON.parse(Buffer.from(entry.buffer, entry.byteOffset, entry.byteLength).toString('utf8')) as LedgerRecord);
  const checked = following(records, tile, digestsOf(tile), lastLeaf);
  if (checked !== null) reached?.();
  return checked;
}

function following(records: readonly LedgerRecord[], tile: Uint8Array, digests: readonly string[], lastLeaf: string | null): CheckedBundle | null {
  return records[0]!.prev === lastLeaf ? { leaves: splitHashes(tile), digests, records } : null;
}

/** @param digests of the records that are due */
function recordsOf(bytes: Uint8Array, digests: readonly string[], first: number): LedgerRecord[] | null {
  const count = digests.length;
  try {
    const entries = decodeBundle(bytes, count);
    if (entries.length !== count) return null;
    const records: LedgerRecord[] = [];
    for (let i = 0; i < count; i++) {
      const entry = entries[i]!;
      if (!digests[i]!.endsWith(leafHex(entry))) return null;
      const before = i === 0 ? null : digests[i - 1]!;
      const record = decodeRecord(entry, before);
      if (record.seq !== first + i) return null;
      // A tile that was altered together with its record shows only in the chain.
      if (before !== null && record.prev !== before) return null;
      records.push(record);
    }
    return records;
  } catch {
    return null;
  }
}

const HEX_DIGITS = 2 * HASH_BYTES;

/** The hashes of a tile as digests. */
function digestsOf(tile: Uint8Array): string[] {
  const hex = Buffer.from(tile.buffer, tile.byteOffset, tile.byteLength).toString('hex');
  return Array.from({ length: tile.byteLength / HASH_BYTES }, (_, i) => `sha256:${hex.slice(i * HEX_DIGITS, (i + 1) * HEX_DIGITS)}`);
}
