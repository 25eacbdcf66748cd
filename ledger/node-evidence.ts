/**
 * Evidence on a file system of node's, as somebody else may have left it: read and never written, plain files and folders alone, and never more
 * names at a time than any ledger has in one folder.
 */
import { constants, type Dirent } from 'node:fs';
import { open, opendir, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { NotEvidence, type EvidenceDisk } from './disk.ts';

/** A folder of tiles has at most 2,001 names in it, one of objects as many as there are 64 MiB of them. */
const NAMES_MAX = 65_536;

function isAbsent(error: unknown): boolean {
  const code = (error as NodeJS.ErrnoException).code;
  return code === 'ENOENT' || code === 'ENOTDIR';
}

/** Files below `root`. */
export function nodeEvidence(root: string, namesMax = NAMES_MAX): EvidenceDisk {
  /** The file at `path`, open, with how long it is, and nothing but a file: a link is not followed, and a pipe is not waited for. */
  async function openFile(path: string): Promise<{ readonly handle: FileHandle; readonly size: number }> {
    let handle: FileHandle;
    try {
      handle = await open(join(root, path), constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'ELOOP' || code === 'EMLINK') throw new NotEvidence(path, 'a symbolic link');
      if (code === 'ENXIO' || code === 'ENODEV') throw new NotEvidence(path, 'neither a file nor a folder');
      throw error;
    }
    const info = await handle.stat().catch(() => null);
    if (info?.isFile() === true) return { handle, size: info.size };
    await handle.close();
    throw new NotEvidence(path, 'not a file');
  }
  async function within<T>(path: string, read: (handle: FileHandle, size: number) => T | Promise<T>): Promise<T> {
    const { handle, size } = await openFile(path);
    try {
      return await read(handle, size);
    } finally {
      await handle.close();
    }
  }
  const orNull = async <T>(reading: Promise<T>): Promise<T | null> => reading.catch((error: unknown) => {
    if (isAbsent(error)) return null;
    throw error;
  });

  return {
    // As long as it was when it was opened: node would ask again, and read on to the end.
    read: (path, max = Infinity) => orNull(within(path, (handle, size) => readFrom(handle, path, 0, Math.min(size, max + 1)))),
    readRange: (path, start, length) => within(path, (handle) => readFrom(handle, path, start, length)),
    size: (path) => orNull(within(path, (_handle, size) => size)),
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

async function readFrom(handle: FileHandle, path: string, start: number, length: number): Promise<Uint8Array> {
  const bytes = Buffer.allocUnsafeSlow(length);
  const { bytesRead } = await handle.read(bytes, 0, length, start);
  if (bytesRead !== length) throw new Error(`${path} ends before byte ${start + length}`);
  return bytes;
}

function nameOf(entry: Dirent, directory: string): string {
  if (entry.isDirectory()) return `${entry.name}/`;
  if (entry.isFile()) return entry.name;
  throw new NotEvidence(`${directory}/${entry.name}`, entry.isSymbolicLink() ? 'a symbolic link' : 'neither a file nor a folder');
}
