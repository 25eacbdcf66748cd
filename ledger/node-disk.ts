/** The disk port over node:fs, below one root directory. */
import { constants, fstatSync, statfsSync, statSync, writeSync, type Stats } from 'node:fs';
import { mkdir, open, readFile, readdir, rename, rm, stat, statfs, unlink, type FileHandle } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { AppendFile, Disk } from './disk.ts';
import { LedgerError } from './errors.ts';
import { lockFile } from './node-lock.ts';

function isAbsent(error: unknown): boolean {
  const code = (error as NodeJS.ErrnoException).code;
  return code === 'ENOENT' || code === 'ENOTDIR';
}

async function syncDirectory(path: string): Promise<void> {
  const handle = await open(path, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/**
 * At most so many bytes are written at once: a copy into the page cache takes some 10 µs, and a turn through the pool of threads, which
 * whoever waits alone waits for, 40. The same goes for asking the length of what is open. What may wait for the disk is always waited for there: to be
 * durable, and whatever gives a name or takes one away.
 */
const AT_ONCE_BYTES_MAX = 65_536;

async function writeAll(handle: FileHandle, bytes: Uint8Array, position: number | null): Promise<void> {
  const atOnce = bytes.byteLength <= AT_ONCE_BYTES_MAX;
  const bytesWritten = atOnce ? writeSync(handle.fd, bytes, 0, bytes.byteLength, position) : (await handle.write(bytes, 0, bytes.byteLength, position)).bytesWritten;
  // A short write means a full disk or a signal; going on would hide which bytes are whose.
  if (bytesWritten !== bytes.byteLength) throw new Error(`short write: ${bytesWritten} of ${bytes.byteLength} bytes`);
}

/** A write may be reported whole and not be: what a file that is about to get its name holds is counted. */
function checkLength(handle: FileHandle, path: string, length: number): void {
  const { size } = fstatSync(handle.fd);
  if (size !== length) throw new LedgerError('unwritable', `${path} has ${size} bytes where ${length} were written`);
}

/** What is written once and for good, and nothing else could mend, is read again: a write that fell short may have been made up to its length. */
async function checkBytes(handle: FileHandle, path: string, bytes: Uint8Array): Promise<void> {
  const found = Buffer.alloc(bytes.byteLength);
  await handle.read(found, 0, found.byteLength, 0);
  if (!found.equals(bytes)) throw new LedgerError('unwritable', `${path} does not hold what was written into it`);
}

/**
 * Files below `root`. Temporary files are in `root/.tmp`, so that `ledger/` never holds one; `root` must be one file system.
 */
export function nodeDisk(root: string): Disk {
  const known = new Set<string>();
  let temporaries = 0;

  /** Creates the directory with every parent, each synced into its own parent. */
  async function ensureDirectory(path: string): Promise<void> {
    if (known.has(path)) return;
    const first = await mkdir(path, { recursive: true });
    if (first !== undefined) {
      for (let made = path; made.length >= first.length; made = dirname(made)) await syncDirectory(dirname(made));
    }
    known.add(path);
  }

  async function replace(path: string, bytes: Uint8Array, durable: boolean): Promise<void> {
    const target = join(root, path);
    const temporary = join(root, '.tmp', `${process.pid}-${temporaries++}`);
    await ensureDirectory(dirname(temporary));
    await ensureDirectory(dirname(target));
    const handle = await open(temporary, 'w+', 0o600);
    try {
      await writeAll(handle, bytes, 0);
      checkLength(handle, target, bytes.byteLength);
      if (durable) {
        await handle.sync();
        await checkBytes(handle, target, bytes);
      }
    } catch (error) {
      await handle.close();
      await rm(temporary, { force: true });
      throw error;
    }
    await handle.close();
    await rename(temporary, target);
    if (durable) await syncDirectory(dirname(target));
  }

  return {
    async read(path) {
      try {
        return await readFile(join(root, path));
      } catch (error) {
        if (isAbsent(error)) return null;
        throw error;
      }
    },
    async readRange(path, start, length) {
      const handle = await open(join(root, path), 'r');
      try {
        const bytes = Buffer.alloc(length);
        const { bytesRead } = await handle.read(bytes, 0, length, start);
        if (bytesRead !== length) throw new Error(`${path} ends before byte ${start + length}`);
        return bytes;
      } finally {
        await handle.close();
      }
    },
    async size(path) {
      try {
        return (await stat(join(root, path))).size;
      } catch (error) {
        if (isAbsent(error)) return null;
        throw error;
      }
    },
    async openAppend(path) {
      const target = join(root, path);
      await ensureDirectory(dirname(target));
      const handle = await open(target, constants.O_RDWR | constants.O_CREAT | constants.O_APPEND, 0o600);
      await syncDirectory(dirname(target));
      return appendFile(target, handle);
    },
    writeDerived: (path, bytes) => replace(path, bytes, false),
    writeDurable: (path, bytes) => replace(path, bytes, true),
    async overwrite(path, start, bytes) {
      const handle = await open(join(root, path), 'r+');
      try {
        const { size } = await handle.stat();
        if (start + bytes.byteLength > size) throw new Error(`${path} ends before byte ${start + bytes.byteLength}`);
        await writeAll(handle, bytes, start);
        await handle.datasync();
        // This is how what must be forgotten is forgotten: that it was written is looked at.
        const found = Buffer.alloc(bytes.byteLength);
        await handle.read(found, 0, found.byteLength, start);
        if (!found.equals(bytes)) throw new LedgerError('unwritable', `${path} does not hold what was written into it`);
      } finally {
        await handle.close();
      }
    },
    async list(directory) {
      try {
        const entries = await readdir(join(root, directory), { withFileTypes: true });
        return entries.map((entry) => (entry.isDirectory() ? `${entry.name}/` : entry.name)).sort();
      } catch (error) {
        if (isAbsent(error)) return [];
        throw error;
      }
    },
    async remove(path) {
      await unlink(join(root, path)).catch((error: unknown) => {
        if (!isAbsent(error)) throw error;
      });
    },
    async settle(paths) {
      const directories = new Set<string>();
      for (const path of paths) {
        if (await syncFile(join(root, path))) directories.add(dirname(join(root, path)));
      }
      for (const directory of directories) await syncDirectory(directory);
    },
    free() {
      try {
        const { bavail, bsize } = statfsSync(root);
        return bavail * bsize;
      } catch {
        return Infinity;
      }
    },
    async placeOf(directory) {
      await ensureDirectory(join(root, directory));
      return placeOfDirectory(join(root, directory));
    },
    async lock(path) {
      await ensureDirectory(dirname(join(root, path)));
      return lockFile(join(root, path));
    },
  };
}

/** Whether the file is there; if so it is synced. */
async function syncFile(path: string): Promise<boolean> {
  let handle: FileHandle;
  try {
    handle = await open(path, 'r');
  } catch (error) {
    if (isAbsent(error)) return false;
    throw error;
  }
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
  return true;
}

/** File systems in user space make inode numbers up as they go: they say nothing after a remount. */
const FUSE = 0x65735546;

async function placeOfDirectory(path: string): Promise<string | null> {
  const { ino, birthtimeNs } = await stat(path, { bigint: true });
  return (await statfs(path)).type === FUSE ? null : `${ino}:${birthtimeNs}`;
}

async function appendFile(path: string, handle: FileHandle): Promise<AppendFile> {
  const opened = await handle.stat();
  let size = opened.size;
  return {
    get size() {
      return size;
    },
    async append(bytes) {
      // At the file's end, wherever that is: a file cut short meanwhile must show in its size, not get a hole.
      await writeAll(handle, bytes, null);
      size += bytes.byteLength;
    },
    sync: () => handle.datasync(),
    async truncate(to) {
      await handle.truncate(to);
      await handle.sync();
      size = to;
    },
    close: () => handle.close(),
    async check() {
      let named: Stats;
      try {
        named = statSync(path);
      } catch (cause) {
        throw new LedgerError('unwritable', `${path} is no longer there`, { cause });
      }
      if (named.ino !== opened.ino || named.dev !== opened.dev) throw new LedgerError('unwritable', `${path} names another file than the one being written`);
      if (named.size !== size) throw new LedgerError('unwritable', `${path} has ${named.size} bytes where ${size} were written`);
    },
  };
}
