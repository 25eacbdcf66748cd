/**
 * The ledger's files as they are served: each tile and bundle of every checkpoint there ever was, though only those of the newest are on disk.
 *
 * A partial tile is the beginning of every longer one, so the longer one that is there is cut to what was asked for.
 *
 * @see https://c2sp.org/tlog-tiles
 */
import { decodeBundle, encodeBundle, HASH_BYTES, parseTilePath, TILE_WIDTH, bundlePath, tilePath, type TileRef } from '../../ledger/index.ts';

/** A tile that is replaced while it is looked for is there under its next name: found by the next look, unless the log grows faster than files are read. */
const LOOKS = 5;

/**
 * The tile or bundle that `path` names, exactly as wide as it says; null where the path names none, or no checkpoint so far covers it.
 *
 * @param read a file below the ledger's directory; null where there is none.
 * @param size that of the newest checkpoint.
 */
export async function readTile(path: string, read: (path: string) => Promise<Uint8Array | null>, size: () => number): Promise<Uint8Array | null> {
  const tile = parseTilePath(path);
  if (tile === null) return null;
  for (let look = 0; look < LOOKS; look++) {
    // Never more than is covered: what is beyond has no signature yet, and is served for ever once it is served.
    const width = Math.min(TILE_WIDTH, Math.floor(size() / TILE_WIDTH ** (tile.level ?? 0)) - tile.index * TILE_WIDTH);
    if (width < tile.width) return null;
    const bytes = await read(tile.level === null ? bundlePath(tile.index, width) : tilePath(tile.level, tile.index, width));
    if (bytes !== null) return width === tile.width ? bytes : cut(tile, bytes);
  }
  return null;
}

function cut({ level, width }: TileRef, bytes: Uint8Array): Uint8Array {
  return level === null ? encodeBundle(decodeBundle(bytes).slice(0, width)) : bytes.subarray(0, width * HASH_BYTES);
}
