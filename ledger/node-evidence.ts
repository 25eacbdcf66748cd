/**
 * Evidence on a file system of node's, as somebody else may have left it: read and never written, plain files and folders alone, and never more
 * names at a time than any ledger has in one folder.
 */
import { closeSync, constants, fstatSync, openSync, read as readAt, type Dirent, type Stats } from 'node:fs';
import { opendir } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { NotEvidence, type EvidenceDisk } from './disk.ts';

/** A folder of tiles has at most 2,001 names in it, one of objects as many as there are 64 MiB of them. */
const NAMES_MAX = 65_536;

function isAbsent(error: unknown): boolean {
  const code = (error as NodeJS.ErrnoException).code;
  return code === 'ENOENT' || code === 'ENOTDIR';
}

const readInto = promisify(readAt);

/** Files below `root`. They are read while the caller goes on; to open one costs less than to have it done elsewhere. */
export function nodeEvidence(root: string, namesMax = NAMES_MAX): EvidenceDisk {
  /** The file at `path`, open, with how long it is, and nothing but a file: a link is not followed, and a pipe is not waited for. */
  function openFile(path: string): { readonly fd: number; readonly size: number } {
    let fd: number;
    try {
      fd = openSync(join(root, path), constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'ELOOP' || code === 'EMLINK') throw new NotEvidence(path, 'a symbolic link');
      if (code === 'ENXIO' || code === 'ENODEV') throw new NotEvidence(path, 'neither a file nor a folder');
      throw error;
    }
    const info = statOf(fd);
    if (info?.isFile() === true) return { fd, size: info.size };
    closeSync(fd);
    throw new NotEvidence(path, 'not a file');
  }
  async function within<T>(path: string, read: (fd: number, size: number) => T | Promise<T>): Promise<T> {
    const { fd, size } = openFile(path);
    try {
      return await read(fd, size);
    } finally {
      closeSync(fd);
    }
  }
  const orNull = async <T>(reading: Promise<T>): Promise<T | null> => reading.catch((error: unknown) => {
    if (isAbsent(error)) return null;
    throw error;
  });

  return {
    // As long as it was when it was opened: node would ask again, and read on to the end.
    read: (path, max = Infinity) => orNull(within(path, (fd, size) => readFrom(fd, path, 0, Math.min(size, max + 1)))),
    readRange: (path, start, length) => within(path, (fd) => readFrom(fd, path, start, length)),
    size: (path) => orNull(within(path, (_fd, size) => size)),
    async list(directory) {
      const names: string[] = [];
      try {
        for await (const entry of await opendir(join(root, directory), { bufferSize: 256 })) {
          if (names.length === namesMax) throw new NotEvidence(directory, `a folder of more than ${namesMax} names`);
          names.push(nameOf(entry, directory));
        }
      } catch (error) {
        if (isAbsent(error)) return [];
        throw error;
      }
      return names.sort();
    },
  };
}

function statOf(fd: number): Stats | null {
  try {
    return fstatSync(fd);
  } catch {
    return null;
  }
}

async function readFrom(fd: number, path: string, start: number, length: number): Promise<Uint8Array> {
  const bytes = Buffer.allocUnsafeSlow(length);
  const { bytesRead } = await readInto(fd, bytes, 0, length, start);
  if (bytesRead !== length) throw new Error(`${path} ends before byte ${start + length}`);
  return bytes;
}

function nameOf(entry: Dirent, directory: string): string {
  if (entry.isDirectory()) return `${entry.name}/`;
  if (entry.isFile()) return entry.name;
  throw new NotEvidence(`${directory}/${entry.name}`, entry.isSymbolicLink() ? 'a symbolic link' : 'neither a file nor a folder');
}
