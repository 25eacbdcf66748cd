/** Reading a pack: nothing of it is believed before the whole of it is seen to be exactly what its manifest lists, in the one way to spell that. */
import { digestOf } from '../../ledger/index.ts';
import {
  CHECKPOINT, compareFiles, decodeDocument, formatName, MANIFEST, MANIFEST_BYTES_MAX, manifestSchema, PACK_BYTES_MAX, PackError, parseName,
  type Manifest, type PackFile,
} from './pack-format.ts';
import { BLOCK_BYTES, END_BYTES, entryBytes, headerFault } from './tar.ts';

/** The bytes of a pack, wherever they are. */
export interface PackBytes {
  readonly byteLength: number;
  /** Exactly `length` bytes from `start`. */
  read(start: number, length: number): Promise<Uint8Array>;
}

export interface PackArchive {
  readonly manifest: Manifest;
  /** In their order. */
  readonly files: readonly PackFile[];
  has(file: PackFile): boolean;
  size(file: PackFile): number;
  /** The digest that the manifest lists. */
  digest(file: PackFile): string;
  /** The bytes of a file, once they have the digest that the manifest says. @throws PackError */
  read(file: PackFile): Promise<Uint8Array>;
}

const WINDOW_BYTES = 1_048_576;

export function inMemory(bytes: Uint8Array): PackBytes {
  return { byteLength: bytes.byteLength, read: async (start, length) => bytes.subarray(start, start + length) };
}

/** Whether the bytes may be meant to be a pack: they begin with a tar's first name. */
export function looksLikePack(start: Uint8Array): boolean {
  return Buffer.from(start.subarray(0, MANIFEST.length + 1)).toString('latin1') === `${MANIFEST}\0`;
}

/** Reads ahead, so that many small files cost few reads. */
function withWindow(pack: PackBytes): PackBytes {
  let at = 0;
  let window: Uint8Array = new Uint8Array(0);
  return {
    byteLength: pack.byteLength,
    async read(start, length) {
      if (start < at || start + length > at + window.byteLength) {
        window = await pack.read(start, Math.min(Math.max(length, WINDOW_BYTES), pack.byteLength - start));
        at = start;
      }
      return window.subarray(start - at, start - at + length);
    },
  };
}

/** @throws PackError at the first byte that is not where it should be; nothing has been believed */
export async function openArchive(pack: PackBytes): Promise<PackArchive> {
  if (pack.byteLength > PACK_BYTES_MAX) throw new PackError(`${pack.byteLength} bytes, and a pack has at most ${PACK_BYTES_MAX}`);
  const bytes = withWindow(pack);
  const manifestSize = await manifestSizeOf(bytes);
  await checkEntry(bytes, 0, MANIFEST, manifestSize);
  const manifest = decodeDocument(await bytes.read(BLOCK_BYTES, manifestSize), manifestSchema, MANIFEST);
  const files = filesOf(manifest);
  const places = new Map<string, { readonly start: number; readonly size: number; readonly sha256: string }>();
  let at = entryBytes(manifestSize);
  for (const { name, size, sha256 } of manifest.files) {
    await checkEntry(bytes, at, name, size);
    places.set(name, { start: at + BLOCK_BYTES, size, sha256 });
    at += entryBytes(size);
  }
  await checkEnd(bytes, at);
  const placeOf = (file: PackFile): { readonly start: number; readonly size: number; readonly sha256: string } => {
    const place = places.get(formatName(file));
    if (place === undefined) throw new PackError(`${formatName(file)} is missing`);
    return place;
  };
  return {
    manifest, files,
    has: (file) => places.has(formatName(file)),
    size: (file) => placeOf(file).size,
    digest: (file) => `sha256:${placeOf(file).sha256}`,
    async read(file) {
      const { start, size, sha256 } = placeOf(file);
      const content = await bytes.read(start, size);
      if (digestOf(content) !== `sha256:${sha256}`) throw new PackError(`${formatName(file)} is not what ${MANIFEST} lists`);
      return content;
    },
  };
}

/** The size that the first header states, which alone is not known from elsewhere. */
async function manifestSizeOf(bytes: PackBytes): Promise<number> {
  if (bytes.byteLength < BLOCK_BYTES) throw new PackError(`no evidence pack: it has ${bytes.byteLength} bytes`);
  const header = await bytes.read(0, BLOCK_BYTES);
  const text = Buffer.from(header.subarray(124, 136)).toString('latin1');
  const size = /^[0-7]{11}\0$/.test(text) ? parseInt(text, 8) : 0;
  const fault = headerFault(header, MANIFEST, size);
  if (fault !== null) throw new PackError(`no evidence pack: ${MANIFEST} is due as its first file, and ${fault}`);
  if (size > MANIFEST_BYTES_MAX) throw new PackError(`${MANIFEST} has ${size} bytes, more than ${MANIFEST_BYTES_MAX}`);
  return size;
}

async function checkEntry(bytes: PackBytes, at: number, name: string, size: number): Promise<void> {
  if (at + entryBytes(size) > bytes.byteLength) throw new PackError(`the archive is cut short: ${name} goes past its end`);
  const fault = headerFault(await bytes.read(at, BLOCK_BYTES), name, size);
  if (fault !== null) throw new PackError(`${name} is due, and ${fault}`);
  const padding = entryBytes(size) - BLOCK_BYTES - size;
  if ((await bytes.read(at + BLOCK_BYTES + size, padding)).some((byte) => byte !== 0)) throw new PackError(`the padding of ${name} is not empty`);
}

async function checkEnd(bytes: PackBytes, at: number): Promise<void> {
  const left = bytes.byteLength - at;
  if (left !== END_BYTES) throw new PackError(left < END_BYTES ? 'the archive is cut short at its end' : `${left - END_BYTES} bytes are left over after what ${MANIFEST} lists`);
  if ((await bytes.read(at, left)).some((byte) => byte !== 0)) throw new PackError(`something is there that ${MANIFEST} does not list`);
}

/** The files that the manifest lists, each name in the grammar, each after the one before it. @throws PackError */
function filesOf({ files }: Manifest): PackFile[] {
  const found: PackFile[] = [];
  for (const { name } of files) {
    const file = parseName(name);
    if (file === null) throw new PackError(`${JSON.stringify(name)} has no place in a pack`);
    const before = found.at(-1);
    if (before !== undefined && compareFiles(before, file) >= 0) throw new PackError(`${name} is listed twice, or not in its place`);
    found.push(file);
  }
  if (found[0]?.kind !== 'checkpoint') throw new PackError(`${CHECKPOINT} is missing`);
  return found;
}
