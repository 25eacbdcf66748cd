/** Comparing what is derived with what the journal says, and putting right what differs. */
import type { Disk } from './disk.ts';
import { sameBytes } from './hash.ts';
import type { LogOptions } from './log.ts';
import { encodeObject, segmentPath, type ObjectPlace } from './objects.ts';
import { tileBytes } from './publish.ts';
import { beginningOf } from './published.ts';
import { replay, type PlacedObject, type ReplayedGroup, type ReplayState } from './replay.ts';
import { bundlePath, encodeBundle, parseTilePath, tilesBetween, TILE_WIDTH } from './tiles.ts';

export interface DerivedFaults {
  /** Bundles, by index, that are missing or wrong. */
  readonly bundles: ReadonlySet<number>;
  /** Object files that are missing or wrong. */
  readonly segments: ReadonlySet<number>;
}

/** Follows the journal and notes which derived files are not what it says. Changes nothing. */
export class DerivedCheck {
  readonly #disk: Disk;
  readonly #directory: string;
  readonly #bundles = new Set<number>();
  readonly #segments = new Set<number>();
  #open: Uint8Array[];
  #openIndex: number;
  #segment: { readonly number: number; readonly bytes: Buffer } | null = null;
  readonly #ends = new Map<number, number>();

  /** @param start what stands before the first group: the entries of its bundle, and where objects end. */
  constructor(disk: Disk, directory: string, start: { readonly recentFrom: number; readonly recent: readonly Uint8Array[]; readonly objectsEnd: ObjectPlace }) {
    this.#disk = disk;
    this.#directory = directory;
    this.#open = [...start.recent];
    this.#openIndex = start.recentFrom / TILE_WIDTH;
    if (start.objectsEnd.offset > 0) this.#ends.set(start.objectsEnd.segment, start.objectsEnd.offset);
  }

  async group(group: ReplayedGroup): Promise<void> {
    for (const entry of group.entries) {
      this.#open.push(entry);
      if (this.#open.length === TILE_WIDTH) await this.#compareBundle();
    }
    for (const placed of group.objects) await this.#compareObject(placed);
  }

  async #compareBundle(): Promise<void> {
    const found = await this.#disk.read(`${this.#directory}/${bundlePath(this.#openIndex, this.#open.length)}`);
    if (found === null || !sameBytes(found, encodeBundle(this.#open))) this.#bundles.add(this.#openIndex);
    this.#open = [];
    this.#openIndex++;
  }

  async #compareObject({ object, place }: PlacedObject): Promise<void> {
    if (this.#segment?.number !== place.segment) {
      // Where the one before ended is known only if something of it was passed: what is before the start is not looked at.
      if (this.#ends.has(place.segment - 1)) await this.#compareEnd(place.segment - 1);
      const bytes = await this.#disk.read(`${this.#directory}/${segmentPath(place.segment)}`);
      this.#segment = { number: place.segment, bytes: Buffer.from(bytes ?? []) };
    }
    const due = encodeObject(object);
    this.#ends.set(place.segment, place.offset + due.byteLength);
    if (!sameBytes(this.#segment.bytes.subarray(place.offset, place.offset + due.byteLength), due)) this.#segments.add(place.segment);
  }

  async #compareEnd(segment: number): Promise<void> {
    if ((await this.#disk.size(`${this.#directory}/${segmentPath(segment)}`)) !== this.#ends.get(segment)) this.#segments.add(segment);
  }

  async finish(state: ReplayState): Promise<DerivedFaults> {
    if (this.#open.length > 0) await this.#compareBundle();
    if (state.objectsEnd.offset > 0) await this.#compareEnd(state.objectsEnd.segment);
    return { bundles: this.#bundles, segments: this.#segments };
  }
}

/**
 * Once resolved, `ledger/` holds exactly what belongs to the journal's records, but for the checkpoint.
 *
 * @param files what was found there.
 * @param from size whose tiles are known to be right.
 */
export async function repairDerived(options: LogOptions, state: ReplayState, faults: DerivedFaults, files: readonly string[], from: number): Promise<void> {
  await rewriteFromJournal(options, state, faults);
  await rewriteTiles(options, state, from);
  await removeLeftovers(options, state, files);
}

/** A second reading of the journal, only when something is wrong: bundles and object files are written as they are passed. */
async function rewriteFromJournal(options: LogOptions, state: ReplayState, { bundles, segments }: DerivedFaults): Promise<void> {
  if (bundles.size === 0 && segments.size === 0) return;
  const { disk, directory, journal } = options;
  const begin = await beginningOf(options);
  const { segment, offset } = begin.state.objectsEnd;
  let open: Uint8Array[] = [...begin.recent];
  let index = Math.floor(begin.state.tree.size / TILE_WIDTH);
  const objects = new Map<number, Uint8Array[]>();
  // What is before the journal stands in the file itself, and was read there.
  if (segments.has(segment) && offset > 0) objects.set(segment, [await disk.readRange(`${directory}/${segmentPath(segment)}`, 0, offset)]);
  const writeBundle = async (): Promise<void> => {
    if (bundles.has(index)) await disk.writeDerived(`${directory}/${bundlePath(index, open.length)}`, encodeBundle(open));
    open = [];
    index++;
  };
  const writeSegments = async (before: number): Promise<void> => {
    for (const [segment, parts] of objects) {
      if (segment >= before) continue;
      await disk.writeDerived(`${directory}/${segmentPath(segment)}`, Buffer.concat(parts));
      objects.delete(segment);
    }
  };
  for await (const group of replay(disk, journal, begin.state, begin.journal)) {
    for (const entry of group.entries) {
      open.push(entry);
      if (open.length === TILE_WIDTH) await writeBundle();
    }
    for (const { object, place } of group.objects) {
      await writeSegments(place.segment);
      if (!segments.has(place.segment)) continue;
      const parts = objects.get(place.segment) ?? [];
      const isErased = object.erased || state.erasures.has(object.digest);
      parts.push(encodeObject(isErased ? { digest: object.digest, erased: true, payload: new Uint8Array(object.payload.byteLength) } : object));
      objects.set(place.segment, parts);
    }
  }
  if (open.length > 0) await writeBundle();
  await writeSegments(Infinity);
}

async function rewriteTiles({ disk, directory }: LogOptions, { tree }: ReplayState, from: number): Promise<void> {
  for (const tile of tilesBetween(from, tree.size)) {
    if (tile.level === null) continue;
    const due = tileBytes(tile, tree, () => new Uint8Array(0));
    const found = await disk.read(`${directory}/${tile.path}`);
    if (found === null || !sameBytes(found, due)) await disk.writeDerived(`${directory}/${tile.path}`, due);
  }
}

/** Removes tiles and object files that a crash left behind and that nothing covers. Files of any other name are not ours to remove. */
async function removeLeftovers({ disk, directory }: LogOptions, state: ReplayState, files: readonly string[]): Promise<void> {
  const due = new Set([...tilesBetween(0, state.tree.size)].map(({ path }) => path));
  const { segment, offset } = state.objectsEnd;
  for (let i = 0; i < segment + (offset > 0 ? 1 : 0); i++) due.add(segmentPath(i));
  for (const path of files) {
    const isOurs = parseTilePath(path) !== null || /^objects\/(0|[1-9][0-9]{0,8})$/.test(path);
    if (isOurs && !due.has(path)) await disk.remove(`${directory}/${path}`);
  }
}
