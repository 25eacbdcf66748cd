/** The files of a ledger folder: whether exactly those are there that a checkpoint calls for, found out in memory that does not grow with what is there. */
import type { EvidenceDisk } from './disk.ts';
import { segmentPath } from './objects.ts';
import { nodesAt, parseTilePath, TILE_WIDTH } from './tiles.ts';
import { Finding } from './verdict.ts';
import type { ObjectFile } from './verify-objects.ts';

/** Directories that tiles, bundles and objects stand in; an empty one is what a partial tile left behind. */
const DIRECTORY = /^(?:tile|objects|tile\/(?:entries|[0-9]{1,2})(?:\/x[0-9]{3}){0,5}(?:\/[0-9]{3}\.p)?)$/;

/** Whether the tree of `size` leaves has a tile or bundle under that very path. */
export function isTileOf(size: number, path: string): boolean {
  const tile = parseTilePath(path);
  if (tile === null) return false;
  const nodes = tile.level === null ? size : nodesAt(tile.level, size);
  const from = tile.index * TILE_WIDTH;
  return from < nodes && tile.width === Math.min(TILE_WIDTH, nodes - from);
}

/** Whether there is nothing at all in the folder, or no folder. */
export async function isEmptyFolder(disk: EvidenceDisk, directory: string): Promise<boolean> {
  return (await disk.list(directory)).length === 0;
}

/**
 * The object files, in order, once nothing is in the folder that a checkpoint of `size` records does not account for. Ends at the first thing
 * that is not accounted for; that nothing is missing is for the pass to say.
 *
 * @throws Finding
 */
export async function objectFilesOf(disk: EvidenceDisk, directory: string, size: number): Promise<ObjectFile[]> {
  const unexpected = (what: string, path: string): Finding =>
    new Finding('INTEGRITY', `unexpected ${what} ${JSON.stringify(path)}: nothing under the checkpoint of ${size} records accounts for it`, Math.max(0, size - 1));
  const segments = new Set<string>();
  const pending = [''];
  for (let prefix = pending.pop(); prefix !== undefined; prefix = pending.pop()) {
    for (const name of await disk.list(prefix === '' ? directory : `${directory}/${prefix.slice(0, -1)}`)) {
      const path = prefix + name;
      if (name.endsWith('/')) {
        if (!DIRECTORY.test(path.slice(0, -1))) throw unexpected('folder', path);
        pending.push(path);
      } else if (/^objects\/(?:0|[1-9][0-9]{0,8})$/.test(path)) segments.add(path);
      else if (path !== 'checkpoint' && !isTileOf(size, path)) throw unexpected('file', path);
    }
  }
  const files: ObjectFile[] = [];
  for (let segment = 0; segments.delete(segmentPath(segment)); segment += 1) {
    const path = `${directory}/${segmentPath(segment)}`;
    files.push({ path, bytes: (await disk.size(path)) ?? 0 });
  }
  const [loose] = [...segments].sort();
  if (loose !== undefined) {
    const { message, seq } = unexpected('file', loose);
    throw new Finding('INTEGRITY', `${message}; ${segmentPath(files.length)} is missing, and if it was moved to an archive, it takes that as well`, seq);
  }
  return files;
}
