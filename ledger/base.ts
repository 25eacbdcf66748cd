/**
 * Bases: what the journal amounts to at some size, kept so that opening need not read all of it again.
 *
 * A base is a cache. It is signed with the log's key, so that nobody without it can give the writer other chain heads; one that is
 * absent, torn, altered or contradicted by anything is ignored, and the journal is read from its start. Two files take
 * turns, so that one is whole while the other is written.
 *
 *     u32 length · JSON header · open bundle · erased digests, 32 bytes each · chain heads · object index
 *     · 32 bytes SHA-256 of the tile rows · 64 bytes Ed25519 over "countersign/base/v1\n" and SHA-256 of all before
 */
import { createHash } from 'node:crypto';
import { ChainHeads } from './chain.ts';
import type { Disk, EvidenceDisk } from './disk.ts';
import { SIGNATURE_BYTES } from './ed25519.ts';
import { formatDigest, HASH_BYTES, parseDigest, sameBytes } from './hash.ts';
import { canonicalBytes } from './jcs.ts';
import { MerkleTree } from './merkle.ts';
import { parseVerifier, type LogSigner } from './note.ts';
import { Erasures } from './object-store.ts';
import { ObjectIndex, segmentPath, type ObjectPlace } from './objects.ts';
import type { JournalPlace, ReplayState } from './replay.ts';
import { decodeBundle, encodeBundle, nodesAt, tilePath, tilesBetween, TILE_WIDTH } from './tiles.ts';

/** A new number makes every older base worthless: raise it whenever what is kept changes its meaning. */
const BASE_VERSION = 2;
const CHUNK_BYTES = 1_048_576;
const PATHS = ['base.0', 'base.1'] as const;

interface BaseHeader {
  readonly v: number;
  readonly origin: string;
  readonly size: number;
  readonly root: string;
  readonly last: string | null;
  readonly logKey: string | null;
  readonly journal: JournalPlace;
  readonly objectsEnd: ObjectPlace;
  /** Bytes of each part that follows. */
  readonly parts: readonly number[];
}

export interface Base {
  readonly state: ReplayState;
  readonly journal: JournalPlace;
  readonly recent: readonly Uint8Array[];
}

/** Up to where everything in `ledger/` that will not change any more survives a crash. */
export interface Settled {
  readonly size: number;
  /** The object file in which objects ended. */
  readonly segment: number;
}

/** Bundles and tiles that have become full since `settled`, and the object files that have been written to. */
function derivedBetween(settled: Settled, { tree, objectsEnd }: ReplayState): string[] {
  const full = [...tilesBetween(settled.size, tree.size)].filter(({ width }) => width === TILE_WIDTH).map(({ path }) => path);
  return [...full, ...Array.from({ length: objectsEnd.segment - settled.segment + 1 }, (_, i) => segmentPath(settled.segment + i))];
}

function signedText(digest: Uint8Array): Uint8Array {
  return Buffer.from(`countersign/base/v1\n${formatDigest(digest)}\n`);
}

/** Rows of complete nodes at tree levels 0, 8, 16, … of a tree of `size` leaves, in pieces. */
function* rowPieces(tree: MerkleTree, size: number): Generator<Uint8Array> {
  const step = CHUNK_BYTES / HASH_BYTES;
  for (let level = 0; nodesAt(level, size) > 0; level++) {
    const nodes = nodesAt(level, size);
    for (let from = 0; from < nodes; from += step) yield tree.nodes(8 * level, from, Math.min(from + step, nodes));
  }
}

/**
 * Writes a base of `state` as it is at the call. Nothing waits for it, and a failure leaves the other file.
 *
 * What is before a base is not looked at when a log is opened from it, so all of it is made to survive a crash first.
 *
 * @param turn which of the two files; never the one that holds the newest base.
 * @param settled what an earlier base has done that for.
 */
export async function writeBase(
  { disk, directory, journal, origin, signer }: { readonly disk: Disk; readonly directory: string; readonly journal: string; readonly origin: string; readonly signer: LogSigner },
  state: ReplayState, place: JournalPlace, recent: readonly Uint8Array[], turn: number, settled: Settled,
): Promise<void> {
  const { size } = state.tree;
  // Copied before the first await: the writer goes on meanwhile.
  const parts = [
    encodeBundle(recent),
    Buffer.concat(state.erasures.all().map(parseDigest)),
    Buffer.from(state.heads.dump()),
    Buffer.from(state.index.dump()),
  ];
  const header: BaseHeader = {
    v: BASE_VERSION, origin, size, root: formatDigest(state.tree.root()), last: state.heads.last, logKey: state.logKey, journal: place, objectsEnd: state.objectsEnd,
    parts: parts.map((part) => part.byteLength),
  };
  const headerBytes = canonicalBytes(header);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(headerBytes.byteLength);
  const all = createHash('sha256');
  const rows = createHash('sha256');
  const pieces = rowPieces(state.tree, size);
  await disk.settle(derivedBetween(settled, state).map((path) => `${directory}/${path}`));
  const file = await disk.openAppend(`${journal}/${PATHS[turn % 2]!}`);
  try {
    await file.truncate(0);
    for (const part of [length, headerBytes, ...parts]) {
      for (let at = 0; at < part.byteLength; at += CHUNK_BYTES) {
        const chunk = part.subarray(at, at + CHUNK_BYTES);
        all.update(chunk);
        // Hashing the rows takes its turns with writing, so that nothing else waits for long.
        const piece = pieces.next();
        if (piece.done !== true) rows.update(piece.value);
        await file.append(chunk);
      }
    }
    for (const piece of pieces) rows.update(piece);
    const rowsDigest = rows.digest();
    const signature = await signer.sign(signedText(all.update(rowsDigest).digest()));
    await file.append(Buffer.concat([rowsDigest, signature]));
  } finally {
    await file.close();
  }
}

/**
 * The newest base that is whole, signed by `signer`, and agrees with the tiles on disk; null when there is none.
 *
 * @param signedSize size of the checkpoint on disk: it says which tiles there are.
 */
export async function readBase(
  options: { readonly disk: Disk; readonly journal: string; readonly directory: string; readonly origin: string; readonly signer: LogSigner }, signedSize: number,
): Promise<{ readonly base: Base; readonly turn: number } | null> {
  const found: { readonly header: BaseHeader; readonly bytes: Buffer; readonly turn: number }[] = [];
  for (const [turn, path] of PATHS.entries()) {
    const content = await options.disk.read(`${options.journal}/${path}`);
    if (content === null) continue;
    const bytes = Buffer.from(content.buffer, content.byteOffset, content.byteLength);
    const header = openHeader(bytes, options.origin, options.signer);
    if (header !== null && header.size <= signedSize) found.push({ header, bytes, turn });
  }
  found.sort((a, b) => b.header.size - a.header.size);
  for (const { header, bytes, turn } of found) {
    const base = await load(options, header, bytes, signedSize);
    if (base !== null) return { base, turn };
  }
  return null;
}

function openHeader(bytes: Buffer, origin: string, signer: LogSigner): BaseHeader | null {
  const end = bytes.length - SIGNATURE_BYTES;
  if (end < 4 + HASH_BYTES) return null;
  const digest = createHash('sha256').update(bytes.subarray(0, end)).digest();
  if (!parseVerifier(signer.vkey).verify(signedText(digest), bytes.subarray(end))) return null;
  const header = JSON.parse(bytes.subarray(4, 4 + bytes.readUInt32BE(0)).toString('utf8')) as BaseHeader;
  return header.v === BASE_VERSION && header.origin === origin ? header : null;
}

async function load(
  { disk, directory }: { readonly disk: Disk; readonly directory: string }, header: BaseHeader, bytes: Buffer, signedSize: number,
): Promise<Base | null> {
  let at = 4 + bytes.readUInt32BE(0);
  const parts = header.parts.map((length) => bytes.subarray(at, (at += length)));
  const [recent, erased, heads, index] = parts as [Buffer, Buffer, Buffer, Buffer];
  const rows = await readRows(disk, directory, header.size, signedSize);
  const digest = createHash('sha256');
  if (rows === null) return null;
  for (const row of rows) digest.update(row);
  if (!sameBytes(digest.digest(), bytes.subarray(at, at + HASH_BYTES))) return null;
  const tree = MerkleTree.load(header.size, rows);
  if (formatDigest(tree.root()) !== header.root) return null;
  const named = Array.from({ length: erased.length / HASH_BYTES }, (_, i) => formatDigest(erased.subarray(i * HASH_BYTES, (i + 1) * HASH_BYTES)));
  return {
    state: {
      tree,
      heads: ChainHeads.load(header.size, header.last, Buffer.from(heads)),
      index: ObjectIndex.load(Buffer.from(index)),
      erasures: new Erasures(named),
      objectsEnd: header.objectsEnd,
      logKey: header.logKey,
    },
    journal: header.journal,
    recent: decodeBundle(Buffer.from(recent)),
  };
}

/** The rows of the tree of `size` leaves, from the tiles of that of `signedSize`; null where one is missing. */
export async function readRows(disk: EvidenceDisk, directory: string, size: number, signedSize: number): Promise<Buffer[] | null> {
  const rows: Buffer[] = [];
  for (let level = 0; nodesAt(level, size) > 0; level++) {
    const nodes = nodesAt(level, size);
    const row = Buffer.allocUnsafeSlow(nodes * HASH_BYTES);
    const there = nodesAt(level, signedSize);
    for (let index = 0; index * TILE_WIDTH < nodes; index += READS_AT_ONCE) {
      const reading = Array.from({ length: READS_AT_ONCE }, (_, i) => index + i).filter((i) => i * TILE_WIDTH < nodes);
      const tiles = await Promise.all(reading.map((i) => disk.read(`${directory}/${tilePath(level, i, Math.min(TILE_WIDTH, there - i * TILE_WIDTH))}`)));
      for (const [i, tile] of tiles.entries()) {
        const from = (index + i) * TILE_WIDTH;
        const width = Math.min(TILE_WIDTH, nodes - from);
        if (tile === null || tile.byteLength < width * HASH_BYTES) return null;
        row.set(tile.subarray(0, width * HASH_BYTES), from * HASH_BYTES);
      }
    }
    rows.push(row);
  }
  return rows;
}

const READS_AT_ONCE = 16;
