/**
 * Where tiles and entry bundles are, and how a bundle is spelled.
 *
 * A tile holds up to 256 consecutive hashes of one level (levels are 8 tree levels apart); a bundle up to 256 consecutive
 * entries, each behind its length. The last of each may be partial: `.p/<width>`.
 *
 * @see https://c2sp.org/tlog-tiles
 */
import { LedgerError } from './errors.ts';

export const TILE_WIDTH = 256;
/** Levels 0 to 63: more than any tree has. */
const LEVEL_MAX = 63;
export const ENTRY_BYTES_MAX = 65_535;

/** 1234067 → `x001/x234/067`. */
export function formatTileIndex(index: number): string {
  let path = String(index % 1000).padStart(3, '0');
  for (let rest = Math.floor(index / 1000); rest > 0; rest = Math.floor(rest / 1000)) path = `x${String(rest % 1000).padStart(3, '0')}/${path}`;
  return path;
}

function formatWidth(width: number): string {
  return width === TILE_WIDTH ? '' : `.p/${width}`;
}

/** @param width 1 to 256 hashes. */
export function tilePath(level: number, index: number, width: number = TILE_WIDTH): string {
  return `tile/${level}/${formatTileIndex(index)}${formatWidth(width)}`;
}

/** @param width 1 to 256 entries. */
export function bundlePath(index: number, width: number = TILE_WIDTH): string {
  return `tile/entries/${formatTileIndex(index)}${formatWidth(width)}`;
}

/** One tile or bundle that a tree of some size has; `level` is null for a bundle. */
export interface TileRef {
  readonly level: number | null;
  readonly index: number;
  readonly width: number;
  readonly path: string;
}

/** Reads a path back. Null for a path that names no tile, or names one in a second way. */
export function parseTilePath(path: string): TileRef | null {
  const match = /^tile\/(entries|0|[1-9][0-9]?)\/((?:x[0-9]{3}\/){0,5}[0-9]{3})(?:\.p\/([1-9][0-9]{0,2}))?$/.exec(path);
  if (match === null) return null;
  const level = match[1] === 'entries' ? null : Number(match[1]);
  const index = Number(match[2]!.replaceAll(/[x/]/g, ''));
  const width = match[3] === undefined ? TILE_WIDTH : Number(match[3]);
  if (level !== null && level > LEVEL_MAX) return null;
  const spelled = level === null ? bundlePath(index, width) : tilePath(level, index, width);
  return spelled === path && (match[3] === undefined || width < TILE_WIDTH) ? { level, index, width, path } : null;
}

/** Complete nodes at tile level `level` (tree level 8·level) of a tree of `size` leaves. */
export function nodesAt(level: number, size: number): number {
  return Math.floor(size / TILE_WIDTH ** level);
}

/** Every tile and bundle that changes or appears when the tree grows from `from` to `to` leaves, bundles first. */
export function* tilesBetween(from: number, to: number): Generator<TileRef> {
  yield* row(null, from, to);
  for (let level = 0; nodesAt(level, to) > 0; level++) yield* row(level, nodesAt(level, from), nodesAt(level, to));
}

function* row(level: number | null, from: number, to: number): Generator<TileRef> {
  if (from === to) return;
  for (let index = Math.floor(from / TILE_WIDTH); index * TILE_WIDTH < to; index++) {
    const width = Math.min(TILE_WIDTH, to - index * TILE_WIDTH);
    yield { level, index, width, path: level === null ? bundlePath(index, width) : tilePath(level, index, width) };
  }
}

/** The partial tiles and bundles of a tree of `size` leaves. */
export function partialTiles(size: number): TileRef[] {
  const partial: TileRef[] = [];
  const bundle = size % TILE_WIDTH;
  const index = Math.floor(size / TILE_WIDTH);
  if (bundle > 0) partial.push({ level: null, index, width: bundle, path: bundlePath(index, bundle) });
  for (let level = 0; nodesAt(level, size) > 0; level++) {
    const nodes = nodesAt(level, size);
    const width = nodes % TILE_WIDTH;
    if (width > 0) partial.push({ level, index: Math.floor(nodes / TILE_WIDTH), width, path: tilePath(level, Math.floor(nodes / TILE_WIDTH), width) });
  }
  return partial;
}

/** Entries, each behind its length as a big-endian u16. */
export function encodeBundle(entries: readonly Uint8Array[]): Uint8Array {
  let length = 0;
  for (const entry of entries) length += 2 + entry.byteLength;
  const bytes = Buffer.allocUnsafe(length);
  let at = 0;
  for (const entry of entries) {
    if (entry.byteLength > ENTRY_BYTES_MAX) throw new LedgerError('too-large', `an entry of ${entry.byteLength} bytes`);
    at = bytes.writeUInt16BE(entry.byteLength, at);
    bytes.set(entry, at);
    at += entry.byteLength;
  }
  return bytes;
}

/** The entries of a bundle, as views. @throws LedgerError `malformed` unless the bytes are exactly whole entries, at most `max` of them. */
export function decodeBundle(bytes: Uint8Array, max = Infinity): Uint8Array[] {
  const entries: Uint8Array[] = [];
  let at = 0;
  while (at < bytes.byteLength) {
    const start = at + 2;
    const end = start + (bytes[at]! * 256 + (bytes[at + 1] ?? 0));
    if (entries.length === max) throw new LedgerError('malformed', `a bundle of more than ${max} entries`);
    if (end > bytes.byteLength || start > bytes.byteLength) throw new LedgerError('malformed', `entry ${entries.length} of the bundle goes past its end`);
    entries.push(bytes.subarray(start, end));
    at = end;
  }
  return entries;
}
