/** Comparing what is derived with what the journal says, and putting right what differs. */
import type { Disk } from './disk.ts';
import { LedgerError } from './errors.ts';
import { sameBytes } from './hash.ts';
import type { LogOptions } from './log.ts';
import { encodeObject, segmentPath, type ObjectPlace } from './objects.ts';
import { tileBytes } from './publish.ts';
import type { Beginning } from './published.ts';
import { replay, type PlacedObject, type ReplayedGroup, type ReplayState } from './replay.ts';
import { bundlePath, encodeBundle, parseTilePath, tilesBetween, TILE_WIDTH } from './tiles.ts';

/** The file from there on; nothing where it is not there, or not so long. */
async function readFrom(disk: Disk, path: string, from: number): Promise<Buffer> {
  const size = (await disk.size(path)) ?? 0;
  if (size <= from) return Buffer.alloc(0);
  const bytes = await disk.readRange(path, from, size - from);
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

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
  /** From the first object of it that is looked at. */
  #segment: { readonly number: number; readonly from: number; readonly bytes: Buffer } | null = null;
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
      this.#segment = { number: place.segment, from: place.offset, bytes: await readFrom(this.#disk, `${this.#directory}/${segmentPath(place.segment)}`, place.offset) };
    }
    const due = encodeObject(object);
    this.#ends.set(place.segment, place.offset + due.byteLength);
    const at = place.offset - this.#segment.from;
    if (!sameBytes(this.#segment.bytes.subarray(at, at + due.byteLength), due)) this.#segments.add(place.segment);
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
 * @param known `from`: size whose tiles are known to be right; `again`: where the journal was read from, for reading it once more.
 */
export async function repairDerived(
  options: LogOptions, state: ReplayState, faults: DerivedFaults, files: readonly string[], { from, again }: { readonly from: number; readonly again: () => Promise<Beginning> },
): Promise<void> {
  if (faults.bundles.size > 0 || faults.segments.size > 0) await rewriteFromJournal(options, state, faults, await again());
  await rewriteTiles(options, state, from);
  await removeLeftovers(options, state, files);
}

/** A second reading of the journal from `begin` on, only when something is wrong: bundles and object files are written as they are passed. */
async function rewriteFromJournal(options: LogOptions, state: ReplayState, { bundles, segments }: DerivedFaults, begin: Beginning): Promise<void> {
  const { disk, directory, journal } = options;
  const { segment: openSegment, offset: openOffset } = begin.state.objectsEnd;
  let open: Uint8Array[] = [...begin.recent];
  let index = Math.floor(begin.state.tree.size / TILE_WIDTH);
  const objects = new Map<number, Uint8Array[]>();
  // Also where nothing comes after what is before: then all that is wrong is more than that.
  if (segments.has(openSegment) && openOffset > 0) objects.set(openSegment, []);
  const writeBundle = async (): Promise<void> => {
    if (bundles.has(index)) await disk.writeDerived(`${directory}/${bundlePath(index, open.length)}`, encodeBundle(open));
    open = [];
    index++;
  };
  const writeSegments = async (before: number): Promise<void> => {
    for (const [segment, parts] of objects) {
      if (segment >= before) continue;
      // What is before the start stands in the file itself, maybe nowhere else: it is left where it is.
      if (segment === openSegment && openOffset > 0) await writeFrom(options, segment, openOffset, Buffer.concat(parts));
      else await disk.writeDerived(`${directory}/${segmentPath(segment)}`, Buffer.concat(parts));
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

/** Resolves where the object file reaches that far, in the ledger or in an archive: what comes before is not written again. @throws LedgerError `corrupt` */
export async function demandAtLeast({ disk, directory }: LogOptions, { segment, offset }: ObjectPlace): Promise<void> {
  const path = `${directory}/${segmentPath(segment)}`;
  if (((await disk.size(path)) ?? 0) < offset) throw new LedgerError('corrupt', `${path} ends before byte ${offset}`);
}

/** Once resolved, the object file is its first `from` bytes and then these. @throws LedgerError `corrupt` where there are not so many; then nothing was changed */
async function writeFrom(options: LogOptions, segment: number, from: number, bytes: Uint8Array): Promise<void> {
  const { disk, directory } = options;
  const path = `${directory}/${segmentPath(segment)}`;
  await demandAtLeast(options, { segment, offset: from });
  // One that was moved to an archive is read there, and written here.
  if (!(await disk.list(`${directory}/objects`)).includes(String(segment))) return disk.writeDurable(path, Buffer.concat([await disk.readRange(path, 0, from), bytes]));
  const file = await disk.openAppend(path);
  try {
    await file.truncate(from);
    await file.append(bytes);
  } finally {
    await file.close();
  }
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
