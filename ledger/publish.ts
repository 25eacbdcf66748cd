/** Writing what is derived: tiles, bundles and object files, each before the checkpoint that covers it. */
import type { Disk } from './disk.ts';
import type { MerkleTree } from './merkle.ts';
import { encodeBundle, partialTiles, tilesBetween, TILE_WIDTH, type TileRef } from './tiles.ts';

/** Files being written at one time; more only queue in the file system. */
const WRITES_AT_ONCE = 8;

/** The bytes of a tile or bundle of a tree that has it. */
export function tileBytes(tile: TileRef, tree: MerkleTree, entryAt: (seq: number) => Uint8Array): Uint8Array {
  const from = tile.index * TILE_WIDTH;
  if (tile.level !== null) return tree.nodes(8 * tile.level, from, from + tile.width);
  return encodeBundle(Array.from({ length: tile.width }, (_, i) => entryAt(from + i)));
}

/** Once resolved, every tile and bundle of the tree of `to` leaves is in place, given that those of `from` were. */
export async function writeTiles(
  disk: Disk, directory: string, tree: MerkleTree, from: number, to: number, entryAt: (seq: number) => Uint8Array,
): Promise<void> {
  let writing: Promise<void>[] = [];
  for (const tile of tilesBetween(from, to)) {
    writing.push(disk.writeDerived(`${directory}/${tile.path}`, tileBytes(tile, tree, entryAt)));
    if (writing.length < WRITES_AT_ONCE) continue;
    await Promise.all(writing);
    writing = [];
  }
  await Promise.all(writing);
}

/** Removes the partial tiles of the tree of `from` leaves that the tree of `to` no longer has: nothing stands in `ledger/` that no checkpoint covers. */
export async function removePartialTiles(disk: Disk, directory: string, from: number, to: number): Promise<void> {
  const kept = new Set(partialTiles(to).map(({ path }) => path));
  for (const { path } of partialTiles(from)) if (!kept.has(path)) await disk.remove(`${directory}/${path}`);
}

/** Paths, relative to `directory`, of every file below it. */
export async function listFiles(disk: Disk, directory: string): Promise<string[]> {
  const files: string[] = [];
  const pending = [''];
  for (let prefix = pending.pop(); prefix !== undefined; prefix = pending.pop()) {
    for (const name of await disk.list(prefix === '' ? directory : `${directory}/${prefix.slice(0, -1)}`)) {
      if (name.endsWith('/')) pending.push(prefix + name);
      else files.push(prefix + name);
    }
  }
  return files.sort();
}
