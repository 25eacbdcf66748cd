/** One pass over bundles, tiles and objects: every byte read once, memory that does not grow with the log. */
import { ChainHeads } from './chain.ts';
import type { Checkpoint } from './checkpoint.ts';
import { diagnoseBundle } from './diagnose.ts';
import type { Disk } from './disk.ts';
import { HASH_BYTES, sameBytes } from './hash.ts';
import { EMPTY_ROOT, Frontier, leafHash } from './merkle.ts';
import { decodeRecord, timeOf, type LedgerRecord } from './record.ts';
import { bundlePath, decodeBundle, tilePath, TILE_WIDTH } from './tiles.ts';
import { Finding } from './verdict.ts';
import { headsFaultOf } from './verify-heads.ts';
import type { ObjectWalk } from './verify-objects.ts';

export interface PassOptions {
  readonly disk: Disk;
  readonly directory: string;
  /** Size and root to hold the records to. */
  readonly checkpoint: Checkpoint;
  readonly objects: ObjectWalk;
  /** A size at which the root is to be reported; null for none. */
  readonly rootAt: number | null;
  /** Told of every record once it, and the objects it names, have been checked against tile and chain. */
  readonly onRecord: (record: LedgerRecord) => void | Promise<void>;
  readonly progress: (done: number, size: number) => void;
  readonly signal: AbortSignal | undefined;
}

export interface TimeSpan {
  readonly first: string | null;
  readonly last: string | null;
  /** The latest `at` so far. */
  readonly latestMs: number;
  /** The largest step back from one record to a later one, in ms, and the record that takes it. */
  readonly worstStepBackMs: number;
  readonly worstSeq: number;
}

export interface PassResult {
  /** Root of the first `rootAt` records. */
  readonly rootThere: Uint8Array | null;
  readonly time: TimeSpan;
}

/**
 * Returns once the records, tiles and objects are shown to be those of the checkpoint's size and root.
 *
 * @throws Finding at the first thing that is not, naming the record.
 */
export async function passRecords(options: PassOptions): Promise<PassResult> {
  const { checkpoint, objects } = options;
  const rows = new TileRows(options.disk, options.directory, checkpoint.size);
  const frontier = new Frontier((level, index, node) => rows.node(level, index, node));
  const heads = new ChainHeads();
  const time = new RecordTimes();
  let rootThere = options.rootAt === 0 ? EMPTY_ROOT : null;
  for (let first = 0; first < checkpoint.size; first += TILE_WIDTH) {
    options.signal?.throwIfAborted();
    const bundle = await readBundle(options, first, heads.last);
    for (const [i, leaf] of bundle.leaves.entries()) {
      const record = bundle.records[i]!;
      const fault = heads.faultOf(record);
      if (fault !== null) throw new Finding('COMPLETENESS', chainMessage(record, fault), record.seq);
      const falseHeads = headsFaultOf(record, heads);
      if (falseHeads !== null) throw new Finding('COMPLETENESS', falseHeads, record.seq);
      heads.advance(record, leaf);
      frontier.push(leaf);
      if (frontier.size === options.rootAt) rootThere = frontier.root();
      await objects.record(record);
      time.note(record);
      const told = options.onRecord(record);
      if (told !== undefined) await told;
    }
    await rows.check();
    options.progress(frontier.size, checkpoint.size);
  }
  await rows.finish();
  if (!sameBytes(frontier.root(), checkpoint.root)) {
    throw new Finding('INTEGRITY', `the ${checkpoint.size} records agree with one another and do not have the root of the checkpoint: they are not the records it was signed for`, Math.max(0, checkpoint.size - 1));
  }
  objects.finish(checkpoint.size - 1);
  return { rootThere, time: time.span() };
}

function chainMessage({ seq, change }: LedgerRecord, fault: string): string {
  if (fault === 'seq' || fault === 'prev') return `record ${seq} does not follow on the record before it`;
  return `record ${seq} does not follow on the record of ${change ?? 'the ledger'} before it: one is missing or put in (${fault})`;
}

interface CheckedBundle {
  readonly leaves: readonly Uint8Array[];
  readonly records: readonly LedgerRecord[];
}

/** The records of one bundle, once they are those of its tile. @throws Finding. */
async function readBundle({ disk, directory, checkpoint }: PassOptions, first: number, lastLeaf: string | null): Promise<CheckedBundle> {
  const index = first / TILE_WIDTH;
  const width = Math.min(TILE_WIDTH, checkpoint.size - first);
  const path = bundlePath(index, width);
  const [bytes, tile] = await Promise.all([disk.read(`${directory}/${path}`), disk.read(`${directory}/${tilePath(0, index, width)}`)]);
  if (bytes === null) {
    throw new Finding('INTEGRITY', `the checkpoint covers ${checkpoint.size} records, and ${path}, with records ${first} to ${first + width - 1}, is missing`, first);
  }
  const hashes = tile?.byteLength === width * HASH_BYTES ? Array.from({ length: width }, (_, i) => tile.subarray(i * HASH_BYTES, (i + 1) * HASH_BYTES)) : null;
  const checked = hashes === null ? null : checkBundle(bytes, hashes, first, lastLeaf);
  if (checked !== null) return checked;
  const found = diagnoseBundle(bytes, hashes, first, width, lastLeaf);
  if (found !== null) throw new Finding('INTEGRITY', found.message, found.seq);
  throw new Finding('INTEGRITY', `${tilePath(0, index, width)}, the tile of records ${first} to ${first + width - 1}, is ${tile === null ? 'missing' : 'not whole'}`, first);
}

/** Null at anything wrong; what it is is for {@link diagnoseBundle} to say. */
function checkBundle(bytes: Uint8Array, hashes: readonly Uint8Array[], first: number, lastLeaf: string | null): CheckedBundle | null {
  try {
    const leaves: Uint8Array[] = [];
    const records: LedgerRecord[] = [];
    const entries = decodeBundle(bytes);
    if (entries.length !== hashes.length) return null;
    for (const [i, entry] of entries.entries()) {
      const leaf = leafHash(entry);
      if (!sameBytes(leaf, hashes[i]!)) return null;
      leaves.push(leaf);
      const record = decodeRecord(entry);
      if (record.seq !== first + i) return null;
      records.push(record);
    }
    // A tile that was altered together with its record shows only in the chain.
    return areLinked(records, hashes, lastLeaf) ? { leaves, records } : null;
  } catch {
    return null;
  }
}

function areLinked(records: readonly LedgerRecord[], hashes: readonly Uint8Array[], lastLeaf: string | null): boolean {
  return records.every(({ prev }, i) => prev === (i === 0 ? lastLeaf : digestText(hashes[i - 1]!)));
}

function digestText(hash32: Uint8Array): string {
  return `sha256:${Buffer.from(hash32.buffer, hash32.byteOffset, HASH_BYTES).toString('hex')}`;
}

/** Compares the tiles above level 0 with what the leaves hash to, each as soon as it is complete. */
class TileRows {
  readonly #disk: Disk;
  readonly #directory: string;
  readonly #size: number;
  readonly #rows: Uint8Array[][] = [];
  readonly #starts: number[] = [];
  readonly #due: { readonly level: number; readonly index: number; readonly nodes: readonly Uint8Array[] }[] = [];

  constructor(disk: Disk, directory: string, size: number) {
    this.#disk = disk;
    this.#directory = directory;
    this.#size = size;
  }

  node(treeLevel: number, index: number, node: Uint8Array): void {
    if (treeLevel % 8 !== 0) return;
    const level = treeLevel / 8;
    const row = (this.#rows[level] ??= []);
    if (row.length === 0) this.#starts[level] = index;
    row.push(node);
    if (row.length === TILE_WIDTH) this.#take(level);
  }

  #take(level: number): void {
    const nodes = this.#rows[level] ?? [];
    if (nodes.length > 0) this.#due.push({ level, index: Math.floor(this.#starts[level]! / TILE_WIDTH), nodes });
    this.#rows[level] = [];
  }

  async check(): Promise<void> {
    for (const { level, index, nodes } of this.#due.splice(0)) {
      const path = tilePath(level, index, nodes.length);
      const found = await this.#disk.read(`${this.#directory}/${path}`);
      const seq = Math.min(this.#size - 1, index * TILE_WIDTH ** (level + 1));
      if (found === null) throw new Finding('INTEGRITY', `${path}, a tile over records from ${seq} on, is missing`, seq);
      const due = Buffer.concat(nodes);
      if (sameBytes(found, due)) continue;
      const at = Math.max(0, nodes.findIndex((node, i) => !sameBytes(node, found.subarray(i * HASH_BYTES, (i + 1) * HASH_BYTES))));
      const near = Math.min(this.#size - 1, (index * TILE_WIDTH + at) * TILE_WIDTH ** level);
      throw new Finding('INTEGRITY', `${path} is altered: it is not what record ${near} and those after it hash to`, near);
    }
  }

  async finish(): Promise<void> {
    for (let level = 1; level < this.#rows.length; level++) this.#take(level);
    await this.check();
  }
}

/** Follows the records' own times. */
export class RecordTimes {
  #first: string | null = null;
  #last: string | null = null;
  #latestMs = -Infinity;
  #worstStepBackMs = 0;
  #worstSeq = 0;

  note({ at, seq }: Pick<LedgerRecord, 'at' | 'seq'>): void {
    this.#first ??= at;
    this.#last = at;
    const ms = timeOf(at);
    if (this.#latestMs - ms > this.#worstStepBackMs) {
      this.#worstStepBackMs = this.#latestMs - ms;
      this.#worstSeq = seq;
    }
    this.#latestMs = Math.max(this.#latestMs, ms);
  }

  span(): TimeSpan {
    return { first: this.#first, last: this.#last, latestMs: this.#latestMs, worstStepBackMs: this.#worstStepBackMs, worstSeq: this.#worstSeq };
  }
}
