/** Reading entries back: from memory while they are recent, else from bundles, each held to its leaf. */
import type { EvidenceDisk } from './disk.ts';
import { LedgerError } from './errors.ts';
import { sameBytes } from './hash.ts';
import type { Appended } from './log.ts';
import { leafHash, type MerkleTree } from './merkle.ts';
import { decodeRecord } from './record.ts';
import { bundlePath, decodeBundle, TILE_WIDTH } from './tiles.ts';

export interface EntrySource {
  readonly disk: EvidenceDisk;
  readonly directory: string;
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
      if (bundle.index !== index) bundle = { index, entries: await readBundle(source, index) };
      bytes = bundle.entries[seq % TILE_WIDTH]!;
    }
    const leaf = source.tree.leaf(seq);
    if (!sameBytes(leafHash(bytes), leaf)) throw new LedgerError('corrupt', `record ${seq} on disk is not the record that was appended`, { seq });
    yield { seq, bytes, leaf, record: decodeRecord(bytes) };
  }
}

async function readBundle({ disk, directory }: EntrySource, index: number): Promise<Uint8Array[]> {
  const seq = index * TILE_WIDTH;
  const path = `${directory}/${bundlePath(index)}`;
  const bytes = await disk.read(path);
  if (bytes === null) throw new LedgerError('corrupt', `${path}, which holds record ${seq}, is not there`, { seq });
  let entries: Uint8Array[];
  try {
    entries = decodeBundle(bytes);
  } catch (cause) {
    throw new LedgerError('corrupt', `${path}, which holds record ${seq}, is damaged`, { seq, cause });
  }
  if (entries.length !== TILE_WIDTH) throw new LedgerError('corrupt', `${path}, which holds record ${seq}, has ${entries.length} entries`, { seq });
  return entries;
}
