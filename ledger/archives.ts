/**
 * Entry bundles and object files of old that stand somewhere else than in the ledger, each under the path that it had there: in an archive. They are
 * read as if they had never been moved. Of an archive nothing else is looked at, and nothing in it is believed any more than what is in the ledger.
 */
import type { Disk, EvidenceDisk } from './disk.ts';
import { LedgerError } from './errors.ts';
import { sameBytes } from './hash.ts';
import { canonicalBytes } from './jcs.ts';
import { decodeObjectHeader, OBJECT_HEADER_BYTES } from './objects.ts';
import { parseTilePath, TILE_WIDTH } from './tiles.ts';

/** What a writer has moved out of its ledger: its own note, and no evidence. */
export interface Moved {
  /** Bundles of records below it may be elsewhere. */
  readonly below: number;
  /** Object files of a lower number may be. */
  readonly segments: number;
  /** Where archives were when they were written to, the newest last. */
  readonly directories: readonly string[];
}

export interface ArchiveSite {
  readonly disk: Disk;
  readonly directory: string;
  readonly journal: string;
  /** Opens an archive that {@link Moved} names; left out: none can be opened. */
  readonly archive?: (directory: string) => Disk;
  /** Of the ledger; left out: no archive is known to be its own, and nothing is erased that one may have. */
  readonly origin?: string;
}

const OBJECTS = /^objects\/(0|[1-9][0-9]{0,8})$/;

interface Movable {
  /** In an archive. */
  readonly path: string;
  readonly isMoved: (moved: Moved) => boolean;
}

/** What a path below the ledger names that may be in an archive; null for anything else. */
function movableAt(directory: string, path: string): Movable | null {
  if (!path.startsWith(`${directory}/`)) return null;
  const own = path.slice(directory.length + 1);
  const tile = parseTilePath(own);
  if (tile?.level === null && tile.width === TILE_WIDTH) return { path: own, isMoved: ({ below }) => tile.index * TILE_WIDTH < below };
  const segment = OBJECTS.exec(own)?.[1];
  return segment === undefined ? null : { path: own, isMoved: ({ segments }) => Number(segment) < segments };
}

/** The ledger in `directory`, and behind it the archives: what is not in the one is read from the first of the others that has it. */
export function withArchives(disk: EvidenceDisk, directory: string, archives: readonly EvidenceDisk[]): EvidenceDisk {
  if (archives.length === 0) return disk;
  /** Whoever has the file, and what it is called there; the ledger where nobody has. */
  const holderOf = async (path: string): Promise<readonly [EvidenceDisk, string]> => {
    const movable = movableAt(directory, path);
    if (movable === null || (await disk.size(path)) !== null) return [disk, path];
    for (const archive of archives) if ((await archive.size(movable.path)) !== null) return [archive, movable.path];
    return [disk, path];
  };
  return {
    async read(path, max) {
      const [holder, name] = await holderOf(path);
      return holder.read(name, max);
    },
    async readRange(path, start, length) {
      const [holder, name] = await holderOf(path);
      return holder.readRange(name, start, length);
    },
    async size(path) {
      const [holder, name] = await holderOf(path);
      return holder.size(name);
    },
    async list(path) {
      const names = await disk.list(path);
      if (path !== `${directory}/objects`) return names;
      // The last object file is never moved: what is in an archive from that number on is of a longer ledger.
      const last = Math.max(-1, ...names.filter((name) => OBJECTS.test(`objects/${name}`)).map(Number));
      const moved = (await Promise.all(archives.map((archive) => archive.list('objects')))).flat();
      return [...new Set([...names, ...moved.filter((name) => OBJECTS.test(`objects/${name}`) && Number(name) < last)])].sort();
    },
  };
}

const pathOf = (journal: string): string => `${journal}/archived`;

/** What the writer of this ledger has moved; null where nothing was. @throws LedgerError `corrupt` for a note that is none */
export async function readMoved({ disk, journal }: Pick<ArchiveSite, 'disk' | 'journal'>): Promise<Moved | null> {
  const bytes = await disk.read(pathOf(journal));
  if (bytes === null) return null;
  try {
    const { below, segments, directories } = JSON.parse(Buffer.from(bytes).toString('utf8')) as Moved;
    const isCount = (count: unknown): boolean => Number.isSafeInteger(count) && (count as number) >= 0;
    if (isCount(below) && isCount(segments) && Array.isArray(directories) && directories.every((one) => typeof one === 'string')) return { below, segments, directories };
  } catch {
    // Said below.
  }
  throw new LedgerError('corrupt', `${pathOf(journal)} does not say what was moved, and where to`);
}

/** Once resolved, the note survives a crash. */
export async function writeMoved({ disk, journal }: Pick<ArchiveSite, 'disk' | 'journal'>, { below, segments, directories }: Moved): Promise<void> {
  await disk.writeDurable(pathOf(journal), Buffer.concat([canonicalBytes({ below, segments, directories: [...directories] }), Buffer.from('\n')]));
}

/** In an archive, whose it is. A folder without it may be the place where an archive is to be mounted. */
const OWNER = 'archive';

/** Once resolved, the folder is known for an archive of this ledger. @throws LedgerError `corrupt` where it is another's */
export async function markArchive(to: { readonly disk: Disk; readonly directory: string }, origin: string): Promise<void> {
  const mark = Buffer.from(`${origin}\n`);
  const there = await to.disk.read(OWNER);
  if (there !== null && !sameBytes(there, mark)) throw new LedgerError('corrupt', `${to.directory} is an archive of something else than ${origin}: ${OWNER} in it says so; it was left alone`);
  await to.disk.writeDurable(OWNER, mark);
}

async function isOwn(archive: Disk, origin: string | undefined): Promise<boolean> {
  const there = await archive.read(OWNER);
  return origin !== undefined && there !== null && sameBytes(there, Buffer.from(`${origin}\n`));
}

/** Whether the object that begins with `bytes` is there, live or erased: a file of that name may be of another ledger. */
async function holdsObject(archive: Disk, path: string, start: number, bytes: Uint8Array): Promise<boolean> {
  try {
    const [there, due] = [decodeObjectHeader(await archive.readRange(path, start, OBJECT_HEADER_BYTES)), decodeObjectHeader(bytes)];
    return there.digest === due.digest && there.length === due.length;
  } catch {
    return false;
  }
}

/**
 * The writer's disk, on which what was moved is read from its archive, and erased there, as long as that can be reached; and says where it is where not.
 * What may be in an archive is erased in all of them and then in the ledger, or
 * nowhere: what is erased in the ledger, no archive has. Lists and removes only what is in the ledger itself.
 */
export async function overArchives(site: ArchiveSite): Promise<Disk> {
  const moved = await readMoved(site);
  if (moved === null) return site.disk;
  const { disk, directory, archive } = site;
  const archives = archive === undefined ? [] : moved.directories.map((one) => archive(one));
  /** Those that have the object, and where others are of which nobody can tell. */
  const holdersOf = async (path: string, start: number, bytes: Uint8Array): Promise<{ readonly holders: readonly Disk[]; readonly away: readonly string[] }> => {
    if (archive === undefined) return { holders: [], away: moved.directories };
    const holders: Disk[] = [];
    const away: string[] = [];
    for (const [at, one] of archives.entries()) {
      const has = (await one.size(path)) !== null;
      if (!(await (has ? holdsObject(one, path, start, bytes) : isOwn(one, site.origin)))) away.push(moved.directories[at]!);
      else if (has) holders.push(one);
    }
    return { holders, away };
  };
  const whole = withArchives(disk, directory, archives);
  const absent = (path: string): LedgerError => new LedgerError('archived', `${path} was moved to ${moved.directories.join(' or ')}, and is not there: make the archive reachable under that path, or put the file back`);
  /** @throws LedgerError `archived` where a file that was moved is nowhere */
  const look = async (path: string): Promise<void> => {
    if (movableAt(directory, path)?.isMoved(moved) === true && (await whole.size(path)) === null) throw absent(path);
  };
  return {
    async read(path, max) {
      await look(path);
      return whole.read(path, max);
    },
    async readRange(path, start, length) {
      await look(path);
      return whole.readRange(path, start, length);
    },
    async size(path) {
      await look(path);
      return whole.size(path);
    },
    async overwrite(path, start, bytes) {
      const movable = movableAt(directory, path);
      if (movable === null) return disk.overwrite(path, start, bytes);
      await look(path);
      // Also where the ledger has it: a move that was cut short leaves two of them, and so does a file that was put back.
      const { holders, away } = await holdersOf(movable.path, start, bytes);
      if (movable.isMoved(moved) && away.length > 0) throw new LedgerError('archived', `${path} may be in ${away.join(' and ')} as well, which is not there, or is no archive of this ledger: make it reachable under that path; nothing was erased`);
      for (const one of holders) await one.overwrite(movable.path, start, bytes);
      if ((await disk.size(path)) !== null) await disk.overwrite(path, start, bytes);
    },
    openAppend: (path) => disk.openAppend(path),
    writeDerived: (path, bytes) => disk.writeDerived(path, bytes),
    writeDurable: (path, bytes) => disk.writeDurable(path, bytes),
    list: (path) => disk.list(path),
    remove: (path) => disk.remove(path),
    settle: (paths) => disk.settle(paths),
    free: () => disk.free(),
    placeOf: (path) => disk.placeOf(path),
    lock: (path) => disk.lock(path),
  };
}
