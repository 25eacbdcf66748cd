/**
 * Moving what is old out of a ledger: whole bundles, and object files, under the same paths into an archive. The tiles of hashes stay, so that what was moved
 * can be held to them wherever it is.
 *
 * Of each file: copied, synced, read again and held to its tile or its digests; only then taken out of the ledger. Where it ends in between, there are two
 * of the file, and the next run goes on. Before the first is taken out, the writer's own note says where they are to be found.
 */
import { markArchive, readMoved, writeMoved, type Moved } from './archives.ts';
import { isWhole } from './check-bundle.ts';
import { readCheckpoint } from './checkpoint.ts';
import type { Disk } from './disk.ts';
import { LedgerError } from './errors.ts';
import { HASH_BYTES, sameBytes } from './hash.ts';
import type { LogOptions } from './log.ts';
import { segmentsIn } from './object-store.ts';
import { decodeObject, ObjectIndex, segmentPath } from './objects.ts';
import { decodeRecord } from './record.ts';
import { journalFiles } from './replay.ts';
import { bundlePath, decodeBundle, tilePath, TILE_WIDTH } from './tiles.ts';

export interface ArchiveOptions extends Pick<LogOptions, 'disk' | 'directory' | 'journal'> {
  /** Records from this one on stay. */
  readonly before: number;
  /** Older records that stay as well, and with each its whole bundle. */
  readonly stay: Iterable<number>;
  readonly to: {
    /** Its root is the archive. */
    readonly disk: Disk;
    /** Where a later writer finds it. */
    readonly directory: string;
  };
  /** Called with each file that was moved. */
  readonly progress?: (done: number, of: number) => void;
}

export interface Archived {
  /** Files that were moved, and their bytes. */
  readonly bundles: number;
  readonly objectFiles: number;
  readonly bytes: number;
  /** Every record that is not in the ledger any more is below it. */
  readonly below: number;
  /** Bundles below it that stay. */
  readonly kept: number;
}

interface Moving {
  readonly path: string;
  /** @throws LedgerError `corrupt` where the bytes are not what the ledger says of the file */
  readonly check: (bytes: Uint8Array) => Promise<void>;
  /** Whether another file of the same path in the archive is an older state of this one. */
  readonly mayReplace: (bytes: Uint8Array, there: Uint8Array) => boolean;
}

/**
 * Once resolved, every full bundle of records below `before` is in the archive and not in the ledger, but for the first of all and for what is to stay; and so
 * is every object file that only such bundles name. What the journal still has is not moved: it would not be gone.
 *
 * @throws LedgerError `locked`; `corrupt` for a file that is not what the ledger says, here or in the archive; what the disks throw. What was not moved by then is where it was
 */
export async function archiveLedger(options: ArchiveOptions): Promise<Archived> {
  const { disk, directory, journal } = options;
  const release = await disk.lock(`${journal}/lock`);
  try {
    const { origin, size } = await headOf(options);
    const inJournal = (await journalFiles(disk, journal))[0]?.firstSeq ?? 0;
    const below = Math.min(options.before, inJournal, size);
    const indexes = await bundlesToMove(options, below);
    const segments = await segmentsToMove(options, size, new Set(indexes));
    await noteMoved(options, origin, indexes, segments);
    const moving = [...segments.map((segment) => objectFile(segment)), ...indexes.map((index) => bundle(disk, directory, index))];
    let bytes = 0;
    for (const [done, one] of moving.entries()) {
      bytes += await move(options, one);
      options.progress?.(done + 1, moving.length);
    }
    const end = (await readMoved(options))?.below ?? 0;
    const kept = Math.floor(end / TILE_WIDTH) - (await countMoved(options, end));
    return { bundles: indexes.length, objectFiles: segments.length, bytes, below: end, kept };
  } finally {
    await release();
  }
}

async function headOf({ disk, directory }: ArchiveOptions): Promise<{ readonly origin: string; readonly size: number }> {
  const note = await disk.read(`${directory}/checkpoint`);
  if (note === null) throw new LedgerError('not-found', `there is no checkpoint in ${directory}`);
  return readCheckpoint(Buffer.from(note).toString('utf8'));
}

/** The first bundle stays: its first record says what log it is, and is read at every start. */
async function bundlesToMove({ disk, directory, stay }: ArchiveOptions, below: number): Promise<number[]> {
  const kept = new Set([0]);
  for (const seq of stay) kept.add(Math.floor(seq / TILE_WIDTH));
  const indexes: number[] = [];
  for (let index = 0; (index + 1) * TILE_WIDTH <= below; index += 1) if (!kept.has(index) && (await disk.size(`${directory}/${bundlePath(index)}`)) !== null) indexes.push(index);
  return indexes;
}

async function countMoved({ disk, directory }: ArchiveOptions, below: number): Promise<number> {
  let moved = 0;
  for (let index = 0; (index + 1) * TILE_WIDTH <= below; index += 1) if ((await disk.size(`${directory}/${bundlePath(index)}`)) === null) moved += 1;
  return moved;
}

/** Object files, never the last, none of whose objects a record names that stays. */
async function segmentsToMove({ disk, directory, journal }: ArchiveOptions, size: number, goes: ReadonlySet<number>): Promise<number[]> {
  const candidates = new Set((await segmentsIn(disk, directory)).slice(0, -1));
  const objects = new ObjectIndex();
  for (const segment of candidates) {
    const bytes = await disk.read(`${directory}/${segmentPath(segment)}`);
    for (const digest of digestsIn(bytes ?? new Uint8Array(0), segment)) objects.add(digest, { segment, offset: 0 });
  }
  const moved = await readMoved({ disk, journal });
  for (let index = 0; index * TILE_WIDTH < size && candidates.size > 0; index += 1) {
    if (goes.has(index)) continue;
    const bytes = await disk.read(`${directory}/${bundlePath(index, Math.min(TILE_WIDTH, size - index * TILE_WIDTH))}`);
    if (bytes === null && index * TILE_WIDTH < (moved?.below ?? 0)) continue;
    if (bytes === null) throw new LedgerError('corrupt', `${directory}/${bundlePath(index)}, which holds record ${index * TILE_WIDTH}, is not there`, { seq: index * TILE_WIDTH });
    for (const entry of decodeBundle(bytes)) for (const digest of decodeRecord(entry).objects) candidates.delete(objects.find(digest)?.segment ?? -1);
  }
  return [...candidates];
}

/** @throws LedgerError `corrupt` unless the bytes are whole objects, each what its digest says */
function digestsIn(bytes: Uint8Array, segment: number): string[] {
  const digests: string[] = [];
  try {
    for (let at = 0; at < bytes.byteLength; ) {
      const { object, next } = decodeObject(bytes, at);
      digests.push(object.digest);
      at = next;
    }
  } catch (cause) {
    throw new LedgerError('corrupt', `${segmentPath(segment)} is not what its objects say: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  }
  return digests;
}

async function noteMoved(options: ArchiveOptions, origin: string, indexes: readonly number[], segments: readonly number[]): Promise<void> {
  const before: Moved = (await readMoved(options)) ?? { below: 0, segments: 0, directories: [] };
  if (before.directories.length === 0 && indexes.length === 0 && segments.length === 0) return;
  // First: what the note names can be told from a folder where nothing is mounted.
  await markArchive(options.to, origin);
  await writeMoved(options, {
    below: Math.max(before.below, ((indexes.at(-1) ?? -1) + 1) * TILE_WIDTH),
    segments: Math.max(before.segments, (segments.at(-1) ?? -1) + 1),
    directories: [...before.directories.filter((one) => one !== options.to.directory), options.to.directory],
  });
}

function bundle(disk: Disk, directory: string, index: number): Moving {
  const seq = index * TILE_WIDTH;
  return {
    path: bundlePath(index),
    async check(bytes) {
      const tile = await disk.read(`${directory}/${tilePath(0, index)}`);
      if (tile?.byteLength !== TILE_WIDTH * HASH_BYTES || !isWhole({ first: seq, bytes, tile })) {
        throw new LedgerError('corrupt', `${bundlePath(index)}, with records ${seq} to ${seq + TILE_WIDTH - 1}, is not what its tile says`, { seq });
      }
    },
    mayReplace: () => false,
  };
}

function objectFile(segment: number): Moving {
  const digestsOf = (bytes: Uint8Array): string[] | null => {
    try {
      return digestsIn(bytes, segment);
    } catch {
      return null;
    }
  };
  return {
    path: segmentPath(segment),
    async check(bytes) {
      if (digestsIn(bytes, segment).length === 0) throw new LedgerError('corrupt', `${segmentPath(segment)} is empty`);
    },
    // What was copied, and then erased in the ledger: the copy is to forget it as well.
    mayReplace: (bytes, there) => bytes.byteLength === there.byteLength && digestsOf(bytes)!.join() === digestsOf(there)?.join(),
  };
}

/** Bytes of the file, which is in the archive for good, and in the ledger no more. */
async function move({ disk, directory, to }: ArchiveOptions, { path, check, mayReplace }: Moving): Promise<number> {
  const bytes = await disk.read(`${directory}/${path}`);
  if (bytes === null) throw new LedgerError('corrupt', `${directory}/${path} was there and is not any more`);
  await check(bytes);
  const there = await to.disk.read(path);
  if (there !== null && !sameBytes(there, bytes) && !mayReplace(bytes, there)) {
    throw new LedgerError('corrupt', `${to.directory} has another ${path} than this ledger: it is an archive of something else, or was altered; it was left alone`);
  }
  if (there !== null && sameBytes(there, bytes)) await to.disk.settle([path]);
  else await to.disk.writeDurable(path, bytes);
  const copy = await to.disk.read(path);
  if (copy === null || !sameBytes(copy, bytes)) throw new LedgerError('unwritable', `${path} in ${to.directory} is not what was written there; it is still in the ledger`);
  await check(copy);
  await disk.remove(`${directory}/${path}`);
  return bytes.byteLength;
}
