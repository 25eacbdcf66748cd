/** A ledger directory as it stands under its checkpoint, read by whoever does not write it: its entries, their proofs, its objects. */
import { readRows } from './base.ts';
import { readCheckpoint } from './checkpoint.ts';
import type { EvidenceDisk } from './disk.ts';
import { LedgerError } from './errors.ts';
import { sameBytes } from './hash.ts';
import type { Appended, SignedHead } from './log.ts';
import { MerkleTree } from './merkle.ts';
import { objectFinder, readObject } from './object-store.ts';
import { openBundles, readEntries } from './reader.ts';
import { bundlePath, decodeBundle, TILE_WIDTH } from './tiles.ts';

export interface DirectoryReading {
  readonly origin: string;
  /** Read, and believed only as far as the tiles have its root: whose it is, is for the reader's own trust to say. */
  readonly head: SignedHead;
  /** @throws LedgerError `corrupt` naming the record whose stored bytes are altered */
  entries(from: number, to: number): AsyncIterable<Appended>;
  /** The audit path of a record under the checkpoint. @throws LedgerError `not-found` */
  prove(index: number): Uint8Array[];
  /** The payload that `digest` names; null once erased. @throws LedgerError `not-found`, or `corrupt` */
  object(digest: string): Promise<Uint8Array | null>;
}

/** Readings of a ledger that is being written meanwhile. */
const READINGS_MAX = 5;

/** @throws LedgerError `not-found` where there is no checkpoint; `malformed`; `corrupt`: the tiles are not those of the checkpoint */
export async function readDirectory(disk: EvidenceDisk, directory: string): Promise<DirectoryReading> {
  for (let reading = 1; ; reading++) {
    const note = await disk.read(`${directory}/checkpoint`);
    if (note === null) throw new LedgerError('not-found', `there is no checkpoint in ${directory}`);
    const text = Buffer.from(note).toString('utf8');
    const found = await readOnce(disk, directory, text);
    if (found !== null) return found;
    const again = await disk.read(`${directory}/checkpoint`);
    const isMoving = again !== null && !sameBytes(again, note);
    if (!isMoving || reading === READINGS_MAX) throw new LedgerError('corrupt', `the tiles in ${directory} are not those of its checkpoint: verify it, and it says what is wrong`);
  }
}

/** Null where tiles and checkpoint do not belong together. */
async function readOnce(disk: EvidenceDisk, directory: string, text: string): Promise<DirectoryReading | null> {
  const { origin, size, root } = readCheckpoint(text);
  const rows = await readRows(disk, directory, size, size);
  if (rows === null) return null;
  const tree = MerkleTree.load(size, rows);
  if (!sameBytes(tree.root(), root)) return null;
  const lastFrom = Math.floor(size / TILE_WIDTH) * TILE_WIDTH;
  const last = size === lastFrom ? new Uint8Array(0) : await disk.read(`${directory}/${bundlePath(lastFrom / TILE_WIDTH, size - lastFrom)}`);
  if (last === null) return null;
  const lastEntries = decodeBundle(last);
  if (lastEntries.length !== size - lastFrom) return null;
  const bundles = openBundles(disk, directory);
  return {
    origin,
    head: { text, size, root },
    entries(from, to) {
      if (to > size) throw new LedgerError('not-found', `the checkpoint covers only ${size} records`);
      return readEntries({ bundles, tree, recent: (seq) => (seq < lastFrom ? null : lastEntries[seq - lastFrom]!) }, from, to);
    },
    prove: (index) => tree.inclusionProof(index),
    object: objectsOf(disk, directory),
  };
}

/** Finds objects by walking their headers, no further than it has to. */
function objectsOf(disk: EvidenceDisk, directory: string): (digest: string) => Promise<Uint8Array | null> {
  const find = objectFinder(disk, directory);
  return async (digest) => {
    const place = await find(digest);
    if (place === null) throw new LedgerError('not-found', `object ${digest} is not in ${directory}`);
    return readObject(disk, directory, digest, place);
  };
}
