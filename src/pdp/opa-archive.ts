/**
 * The files of an OPA bundle, by name: out of its archive (a gzipped tar) or its directory. Nothing of it is believed here; what is no plain
 * list of plain files is refused whole, before anything is used.
 *
 * @see https://www.openpolicyagent.org/docs/latest/management-bundles/#bundle-file-format
 */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';
import { EngineFault } from './fault.ts';

export type BundleFiles = ReadonlyMap<string, Uint8Array>;

/** Of the archive as it is fetched and kept. */
export const ARCHIVE_BYTES_MAX = 16 * 1024 * 1024;
/** Of all that it holds: what makes more of itself than this is cut off while it does so. */
export const UNPACKED_BYTES_MAX = 48 * 1024 * 1024;
const FILES_MAX = 1_024;
/** Directories too: whoever wrote them is not known yet, and each header is looked at while others wait. */
const ENTRIES_MAX = 2 * FILES_MAX;
const DEPTH_MAX = 16;
const BLOCK_BYTES = 512;

/** @throws EngineFault `bad-bundle` */
export async function filesOfArchive(archive: Uint8Array): Promise<BundleFiles> {
  if (archive.length > ARCHIVE_BYTES_MAX) throw refused(`an archive of more than ${ARCHIVE_BYTES_MAX} bytes`);
  let tar: Buffer;
  try {
    tar = await promisify(gunzip)(archive, { maxOutputLength: UNPACKED_BYTES_MAX });
  } catch (cause) {
    const tooLarge = cause instanceof RangeError;
    throw new EngineFault('bad-bundle', tooLarge ? `an archive that unpacks to more than ${UNPACKED_BYTES_MAX} bytes` : 'not a whole gzip file', { cause });
  }
  const files = new Map<string, Uint8Array>();
  for (let at = 0, entries = 1; ; entries += 1) {
    if (entries > ENTRIES_MAX) throw refused(`an archive of more than ${ENTRIES_MAX} entries`);
    if (at + BLOCK_BYTES > tar.length) throw refused('the archive is cut short');
    const header = tar.subarray(at, at + BLOCK_BYTES);
    if (isZero(header)) {
      if (at + 2 * BLOCK_BYTES > tar.length || !isZero(tar.subarray(at))) throw refused('something follows the end of the archive');
      return files;
    }
    const { path, type, size } = parseHeader(header);
    at += BLOCK_BYTES;
    if (type === '5' && size === 0) continue;
    if (type !== '0' && type !== '\0') throw refused(`${JSON.stringify(path)} is no plain file (type ${JSON.stringify(type)})`);
    if (at + size > tar.length) throw refused(`the archive is cut short in ${JSON.stringify(path)}`);
    add(files, path, tar.subarray(at, at + size));
    at += Math.ceil(size / BLOCK_BYTES) * BLOCK_BYTES;
  }
}

/** @throws EngineFault `no-policy` where the directory cannot be read; `bad-bundle` */
export async function filesOfDirectory(directory: string): Promise<BundleFiles> {
  const files = new Map<string, Uint8Array>();
  let bytes = 0;
  const walk = async (below: string, depth: number): Promise<void> => {
    if (depth > DEPTH_MAX) throw refused(`${below} is nested too deeply`);
    const entries = await readdir(join(directory, below), { withFileTypes: true }).catch((cause: unknown) => {
      throw new EngineFault('no-policy', `${join(directory, below)} cannot be read`, { cause });
    });
    for (const entry of entries) {
      const path = below === '' ? entry.name : `${below}/${entry.name}`;
      if (entry.isDirectory()) {
        await walk(path, depth + 1);
        continue;
      }
      if (!entry.isFile()) throw refused(`${JSON.stringify(path)} is no plain file`);
      const content = await readFile(join(directory, path)).catch((cause: unknown) => {
        throw new EngineFault('bad-bundle', `${path} cannot be read`, { cause });
      });
      bytes += content.length;
      if (bytes > UNPACKED_BYTES_MAX) throw refused(`files of more than ${UNPACKED_BYTES_MAX} bytes`);
      add(files, path, content);
    }
  };
  await walk('', 0);
  return files;
}

/** A name as signatures have it: without the leading `/` or `./` of an archive. @throws EngineFault `bad-bundle` for one that leads anywhere else */
export function normalName(path: string): string {
  const name = path.replace(/^\.?\/+/, '');
  const isPlain = name !== '' && name.length <= 255 && !/[\\\p{Cc}]/u.test(name) && name.split('/').every((part) => part !== '' && part !== '.' && part !== '..');
  if (!isPlain) throw refused(`${JSON.stringify(path.slice(0, 300))} is no name of a file in a bundle`);
  return name;
}

function add(files: Map<string, Uint8Array>, path: string, content: Uint8Array): void {
  const name = normalName(path);
  if (files.has(name)) throw refused(`${JSON.stringify(name)} is there twice`);
  if (files.size >= FILES_MAX) throw refused(`more than ${FILES_MAX} files`);
  files.set(name, content);
}

function parseHeader(header: Buffer): { readonly path: string; readonly type: string; readonly size: number } {
  const field = (from: number, to: number): string => header.toString('latin1', from, to);
  const magic = field(257, 265);
  if (magic !== 'ustar\0' + '00' && magic !== 'ustar  \0') throw refused('no tar header is where one is due');
  const spaced = Buffer.from(header);
  spaced.fill(0x20, 148, 156);
  if (octal(field(148, 156)) !== spaced.reduce((sum, byte) => sum + byte, 0)) throw refused('a tar header whose checksum is another');
  const text = (from: number, to: number): string => header.toString('utf8', from, to).replace(/\0.*$/su, '');
  // GNU keeps other things where POSIX has the prefix of a long name.
  const prefix = magic.startsWith('ustar\0') ? text(345, 500) : '';
  return { path: prefix === '' ? text(0, 100) : `${prefix}/${text(0, 100)}`, type: field(156, 157), size: octal(field(124, 136)) };
}

function octal(field: string): number {
  const digits = /^ *([0-7]{1,11})[\0 ]*$/.exec(field)?.[1];
  if (digits === undefined) throw refused('a number in a tar header that is not octal');
  return Number.parseInt(digits, 8);
}

/** Whether each byte is as the one before it, and the first is 0: megabytes of them are told in a moment. */
function isZero(bytes: Buffer): boolean {
  return bytes[0] === 0 && bytes.subarray(1).equals(bytes.subarray(0, -1));
}

function refused(message: string): EngineFault {
  return new EngineFault('bad-bundle', message);
}
