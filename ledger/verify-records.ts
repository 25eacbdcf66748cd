/** One pass over bundles, tiles and objects: every byte read once, memory that does not grow with the log. */
import type { AnchorWalk } from './anchors.ts';
import { ChainHeads } from './chain.ts';
import type { Checkpoint } from './checkpoint.ts';
import { checkBundle, checkedElsewhere, splitHashes, type BundleChecker, type CheckedBundle, type CheckerAnswer } from './check-bundle.ts';
import { diagnoseBundle } from './diagnose.ts';
import type { EvidenceDisk } from './disk.ts';
import { HASH_BYTES, sameBytes } from './hash.ts';
import { EMPTY_ROOT, Frontier } from './merkle.ts';
import { timeOf, type LedgerRecord } from './record.ts';
import { bundlePath, ENTRY_BYTES_MAX, tilePath, TILE_WIDTH } from './tiles.ts';
import { Finding } from './verdict.ts';
import { headsFaultOf } from './verify-heads.ts';
import type { ObjectWalk } from './verify-objects.ts';
import type { TimeSpan } from './verify-time.ts';

export interface PassOptions {
  readonly disk: EvidenceDisk;
  readonly directory: string;
  /** Size and root to hold the records to. */
  readonly checkpoint: Checkpoint;
  readonly objects: ObjectWalk;
  /** Told of every record, and of the roots that it asks for. */
  readonly anchors: AnchorWalk;
  /** A size at which the root is to be reported; null for none. */
  readonly rootAt: number | null;
  /** Who checks bundles elsewhere, ahead of the pass; null: nobody. */
  readonly checker: BundleChecker | null;
  /** Told of every record once it, and the objects it names, have been checked against tile and chain. */
  readonly onRecord: (record: LedgerRecord) => void | Promise<void>;
  readonly progress: (done: number, size: number) => void;
  readonly signal: AbortSignal | undefined;
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
  const bundles = new Bundles(options);
  let rootThere = options.rootAt === 0 ? EMPTY_ROOT : null;
  for (let first = 0; first < checkpoint.size; first += TILE_WIDTH) {
    options.signal?.throwIfAborted();
    const bundle = await bundles.next(first, heads.last);
    for (let i = 0; i < bundle.records.length; i++) {
      const record = bundle.records[i]!;
      const leaf = bundle.leaves[i]!;
      const fault = heads.faultOf(record);
      if (fault !== null) throw new Finding('COMPLETENESS', chainMessage(record, fault), record.seq);
      const falseHeads = headsFaultOf(record, heads);
      if (falseHeads !== null) throw new Finding('COMPLETENESS', falseHeads, record.seq);
      heads.advance(record, leaf, bundle.digests[i]);
      frontier.push(leaf);
      if (frontier.size === options.rootAt) rootThere = frontier.root();
      const brought = objects.record(record);
      if (brought !== null) await brought;
      options.anchors.record(record, time.note(record));
      const told = options.onRecord(record);
      if (told !== undefined) await told;
    }
    await rows.check();
    await options.anchors.check((size) => rows.root(size));
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

/** The records of bundles, in order, each once it is shown to be that of its tile. Read some bundles ahead where others check them meanwhile. */
class Bundles {
  readonly #options: PassOptions;
  readonly #checker: BundleChecker | null;
  readonly #ahead: Promise<Looked>[] = [];
  #next = 0;

  constructor(options: PassOptions) {
    const { checker, checkpoint } = options;
    this.#options = options;
    this.#checker = checker !== null && checkpoint.size >= checker.sizeMin ? checker : null;
  }

  /** @throws Finding */
  async next(first: number, lastLeaf: string | null): Promise<CheckedBundle> {
    const { checkpoint } = this.#options;
    for (; this.#next < checkpoint.size && this.#ahead.length <= (this.#checker?.ahead ?? 1); this.#next += TILE_WIDTH) {
      const looked = this.#look(this.#next);
      // What goes wrong ahead is told when the pass gets there, or never where it ends before.
      looked.catch(() => undefined);
      this.#ahead.push(looked);
    }
    const { raw, width, answer } = await this.#ahead.shift()!;
    const { bytes, tile } = raw;
    if (bytes === null) {
      throw new Finding('INTEGRITY', `the checkpoint covers ${checkpoint.size} records, and ${bundlePath(first / TILE_WIDTH, width)}, with records ${first} to ${first + width - 1}, is missing${await this.#missingAfter(first / TILE_WIDTH)}`, first);
    }
    const whole = tile?.byteLength === width * HASH_BYTES ? { first, bytes, tile } : null;
    const checked = whole === null ? null : answer === null ? checkBundle(whole, lastLeaf) : checkedElsewhere(answer, whole, lastLeaf);
    if (checked !== null) return checked;
    const path = tilePath(0, first / TILE_WIDTH, width);
    const found = diagnoseBundle(bytes, whole === null ? null : splitHashes(whole.tile), first, width, lastLeaf);
    if (found !== null) throw new Finding('INTEGRITY', found.message, found.seq);
    throw new Finding('INTEGRITY', `${path}, the tile of records ${first} to ${first + width - 1}, is ${tile === null ? 'missing' : 'not whole'}`, first);
  }

  /** What to say of the bundles after a full one that is missing: how far the gap goes, found in a few looks however much a checkpoint claims. */
  async #missingAfter(index: number): Promise<string> {
    const full = Math.floor(this.#options.checkpoint.size / TILE_WIDTH);
    if (index >= full) return '';
    const { disk, directory } = this.#options;
    const isThere = async (at: number): Promise<boolean> => at >= full || (await disk.size(`${directory}/${bundlePath(at)}`)) !== null;
    let step = 1;
    while (!(await isThere(index + step))) step *= 2;
    let [missing, there] = [index + Math.floor(step / 2), Math.min(full, index + step)];
    while (there - missing > 1) {
      const middle = Math.floor((missing + there) / 2);
      if (await isThere(middle)) there = middle;
      else missing = middle;
    }
    const more = missing === index ? '' : `, and so are those up to record ${(missing + 1) * TILE_WIDTH - 1}`;
    return `${more}; if they were moved to an archive, it takes that as well`;
  }

  async #look(first: number): Promise<Looked> {
    const { disk, directory, checkpoint } = this.#options;
    const index = first / TILE_WIDTH;
    const width = Math.min(TILE_WIDTH, checkpoint.size - first);
    const [bytes, tile] = await Promise.all([
      disk.read(`${directory}/${bundlePath(index, width)}`, width * (2 + ENTRY_BYTES_MAX)), disk.read(`${directory}/${tilePath(0, index, width)}`, width * HASH_BYTES),
    ]);
    const whole = bytes !== null && tile?.byteLength === width * HASH_BYTES;
    return { raw: { bytes, tile }, width, answer: whole && this.#checker !== null ? await this.#checker.check({ first, bytes, tile }) : null };
  }
}

interface Looked {
  readonly raw: { readonly bytes: Uint8Array | null; readonly tile: Uint8Array | null };
  readonly width: number;
  readonly answer: CheckerAnswer | null;
}

/** Compares the tiles above level 0 with what the leaves hash to, each as soon as it is complete. */
class TileRows {
  readonly #disk: EvidenceDisk;
  readonly #directory: string;
  readonly #size: number;
  readonly #rows: Uint8Array[][] = [];
  readonly #starts: number[] = [];
  readonly #due: { readonly level: number; readonly index: number; readonly nodes: readonly Uint8Array[] }[] = [];

  constructor(disk: EvidenceDisk, directory: string, size: number) {
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
      const found = await this.#disk.read(`${this.#directory}/${path}`, nodes.length * HASH_BYTES);
      const seq = Math.min(this.#size - 1, index * TILE_WIDTH ** (level + 1));
      if (found === null) throw new Finding('INTEGRITY', `${path}, a tile over records from ${seq} on, is missing`, seq);
      const due = Buffer.concat(nodes);
      if (sameBytes(found, due)) continue;
      const at = Math.max(0, nodes.findIndex((node, i) => !sameBytes(node, found.subarray(i * HASH_BYTES, (i + 1) * HASH_BYTES))));
      const near = Math.min(this.#size - 1, (index * TILE_WIDTH + at) * TILE_WIDTH ** level);
      throw new Finding('INTEGRITY', `${path} is altered: it is not what record ${near} and those after it hash to`, near);
    }
  }

  /** The root of the first `size` records, which were all pushed: out of tiles that have been checked, and of what is not a whole tile yet. */
  async root(size: number): Promise<Uint8Array> {
    let rest: Uint8Array | null = null;
    for (let level = 0; TILE_WIDTH ** level <= size; level++) {
      const index = Math.floor(size / TILE_WIDTH ** (level + 1));
      const nodes = await this.#nodes(level, index, Math.floor(size / TILE_WIDTH ** level) % TILE_WIDTH);
      const edge = new Frontier();
      for (const node of rest === null ? nodes : [...nodes, rest]) edge.push(node);
      if (edge.size > 0) rest = edge.root();
    }
    return rest ?? EMPTY_ROOT;
  }

  /** The first `count` nodes of a tile. */
  async #nodes(level: number, index: number, count: number): Promise<readonly Uint8Array[]> {
    const row = this.#rows[level] ?? [];
    if (count === 0) return [];
    if (level > 0 && Math.floor(this.#starts[level]! / TILE_WIDTH) === index && row.length >= count) return row.slice(0, count);
    const width = level === 0 ? Math.min(TILE_WIDTH, this.#size - index * TILE_WIDTH) : TILE_WIDTH;
    const path = tilePath(level, index, width);
    const bytes = await this.#disk.read(`${this.#directory}/${path}`);
    if (bytes?.byteLength !== width * HASH_BYTES) throw new Finding('INTEGRITY', `${path} was there and is not any more`, index * TILE_WIDTH ** (level + 1));
    return Array.from({ length: count }, (_, i) => bytes.subarray(i * HASH_BYTES, (i + 1) * HASH_BYTES));
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

  /** Its `at`, in epoch ms. */
  note({ at, seq }: Pick<LedgerRecord, 'at' | 'seq'>): number {
    this.#first ??= at;
    this.#last = at;
    const ms = timeOf(at);
    if (this.#latestMs - ms > this.#worstStepBackMs) {
      this.#worstStepBackMs = this.#latestMs - ms;
      this.#worstSeq = seq;
    }
    this.#latestMs = Math.max(this.#latestMs, ms);
    return ms;
  }

  span(): TimeSpan {
    return { first: this.#first, last: this.#last, latestMs: this.#latestMs, worstStepBackMs: this.#worstStepBackMs, worstSeq: this.#worstSeq };
  }
}
