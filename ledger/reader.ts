/** Reading entries back: from memory while they are recent, else from bundles, each held to its leaf. */
import type { EvidenceDisk } from './disk.ts';
import { LedgerError } from './errors.ts';
import { sameBytes } from './hash.ts';
import type { Appended } from './log.ts';
import { leafHash, type MerkleTree } from './merkle.ts';
import { decodeRecord } from './record.ts';
import { bundlePath, decodeBundle, TILE_WIDTH } from './tiles.ts';

/** Of bundles that were read last: what records that stand close together would have to be read with again and again. */
const KEPT_BYTES_MAX = 4 * 1_024 * 1_024;

export interface Bundles {
  /** The entries of a whole bundle, as they are stored; none of them is held to anything. */
  read(index: number): Promise<readonly Uint8Array[]>;
  /** It is read from the disk when it is asked for again. */
  drop(index: number): void;
}

/** The bundles of a ledger in `directory`. One that is whole is never written again, so a few stay in memory, those that were used last. */
export function openBundles(disk: EvidenceDisk, directory: string): Bundles {
  const kept = new Map<number, { readonly entries: Promise<readonly Uint8Array[]>; bytes: number }>();
  const drop = (index: number): void => void kept.delete(index);
  return {
    drop,
    read(index) {
      const known = kept.get(index);
      const one = known ?? { entries: readBundle(disk, directory, index), bytes: 0 };
      kept.delete(index);
      kept.set(index, one);
      if (known !== undefined) return known.entries;
      one.entries.then((entries) => {
        one.bytes = entries.reduce((sum, entry) => sum + entry.byteLength, 0);
        let total = [...kept.values()].reduce((sum, { bytes }) => sum + bytes, 0);
        for (const [oldest, { bytes }] of kept) {
          if (total <= KEPT_BYTES_MAX) break;
          kept.delete(oldest);
          total -= bytes;
        }
      }, () => drop(index));
      return one.entries;
    },
  };
}

export interface EntrySource {
  readonly bundles: Bundles;
  readonly tree: MerkleTree;
  /** The entry, while it is in memory. */
  readonly recent: (seq: number) => Uint8Array | null;
}

/** Entries `from` … `to` (exclusive). @throws LedgerError `corrupt` with the seq whose stored bytes are not what was appended. */
export async function* readEntries(source: EntrySource, from: number, to: number): AsyncGenerator<Appended> {
  let bundle: { readonly index: number; readonly entries: readonly Uint8Array[] } = { index: -1, entries: [] };
  for (let seq = from; seq < to; seq++) {
    let bytes = source.recent(seq);
    if (bytes === null) {
      const index = Math.floor(seq / TILE_WIDTH);
      if (bundle.index !== index) bundle = { index, entries: await source.bundles.read(index) };
      bytes = bundle.entries[seq % TILE_WIDTH]!;
    }
    const leaf = source.tree.leaf(seq);
    if (!sameBytes(leafHash(bytes), leaf)) {
      source.bundles.drop(Math.floor(seq / TILE_WIDTH));
      throw new LedgerError('corrupt', `record ${seq} on disk is not the record that was appended`, { seq });
    }
    yield { seq, bytes, leaf, record: decodeRecord(bytes) };
  }
}

async function readBundle(disk: EvidenceDisk, directory: string, index: number): Promise<Uint8Array[]> {
  const seq = index * TILE_WIDTH;
  const path = `${directory}/${bundlePath(index)}`;
  const bytes = await disk.read(path);
  if (bytes === null) throw new LedgerError('corrupt', `${path}, which holds record ${seq}, is not there; if it was moved to an archive, it is to be read there`, { seq });
  let entries: Uint8Array[];
  try {
    entries = decodeBundle(bytes);
  } catch (cause) {
    throw new LedgerError('corrupt', `${path}, which holds record ${seq}, is damaged`, { seq, cause });
  }
  if (entries.length !== TILE_WIDTH) throw new LedgerError('corrupt', `${path}, which holds record ${seq}, has ${entries.length} entries`, { seq });
  return entries;
}
