import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { nodeDisk, type AppendFile, type Disk } from '../../ledger/index.ts';
import { openLeaseBook } from '../../src/executor/lease-book.ts';
import type { BookEntry } from '../../src/executor/book-entries.ts';

const QUIET = { info: () => undefined, warn: () => undefined, error: () => undefined };
const LOG = '0123456789abcdef';
const head = (size: number): BookEntry => ({ t: 'head', log: LOG, size, root: Buffer.alloc(32, size).toString('base64') });

/** A disk with one file, in memory. */
function oneFile(bytes: Uint8Array = Buffer.alloc(0)): { readonly disk: Disk; bytes: Buffer; syncs: number; failSync: boolean; renewed: number } {
  const unused = (): never => {
    throw new Error('not used');
  };
  const state = { bytes: Buffer.from(bytes), syncs: 0, failSync: false, renewed: 0 };
  const file: AppendFile = {
    get size() {
      return state.bytes.byteLength;
    },
    append: async (more) => {
      state.bytes = Buffer.concat([state.bytes, more]);
    },
    sync: async () => {
      if (state.failSync) throw new Error('EIO');
      state.syncs += 1;
    },
    truncate: async (size) => {
      state.bytes = state.bytes.subarray(0, size);
    },
    check: async () => undefined,
    close: async () => undefined,
  };
  const disk: Disk = {
    read: async () => (state.bytes.byteLength === 0 ? null : state.bytes), openAppend: async () => file, lock: async () => Object.assign(async () => undefined, { check: async () => undefined }),
    async writeDurable(_path, whole) {
      if (state.failSync) throw new Error('ENOSPC');
      state.bytes = Buffer.from(whole);
      state.renewed += 1;
    },
    readRange: unused, size: unused, writeDerived: unused, overwrite: unused, list: unused, remove: unused, settle: unused, free: unused, placeOf: unused,
  };
  return Object.assign(state, { disk });
}

async function written(): Promise<Buffer> {
  const file = oneFile();
  const book = await openLeaseBook(file.disk, 'executor:main', QUIET);
  for (const size of [1, 2, 3]) await book.append(head(size));
  await book.close();
  return file.bytes;
}

describe('a lease book', () => {
  test('says after a restart what it said before', async () => {
    const file = oneFile(await written());
    const book = await openLeaseBook(file.disk, 'executor:main', QUIET);
    expect(book.state.heads.get(LOG)?.size).toBe(3);
  });

  test('cut at any byte of its last line is read up to the line before, and goes on from there', async () => {
    const whole = await written();
    const lastLine = whole.lastIndexOf(0x0a, whole.byteLength - 2) + 1;
    for (let length = lastLine; length < whole.byteLength; length += 1) {
      const file = oneFile(whole.subarray(0, length));
      const book = await openLeaseBook(file.disk, 'executor:main', QUIET);
      expect(book.fault).toBeNull();
      expect(book.state.heads.get(LOG)?.size).toBe(2);
      expect(file.bytes.byteLength).toBe(lastLine);
      await book.append(head(9));
      expect((await openLeaseBook(oneFile(file.bytes).disk, 'executor:main', QUIET)).state.heads.get(LOG)?.size).toBe(9);
    }
  });

  test('with a tail of zeros or garbage is cut there', async () => {
    const whole = await written();
    for (const tail of [Buffer.alloc(700), Buffer.from('\n\n\u0000garbage\n'), Buffer.from('00000000 []\n')]) {
      const file = oneFile(Buffer.concat([whole, tail]));
      const book = await openLeaseBook(file.disk, 'executor:main', QUIET);
      expect(book.state.heads.get(LOG)?.size).toBe(3);
      expect(file.bytes).toEqual(whole);
    }
  });

  test('with any byte flipped before its last line gives nothing any more, and still says what can be read', async () => {
    const whole = await written();
    const lastLine = whole.lastIndexOf(0x0a, whole.byteLength - 2) + 1;
    for (let at = 0; at < lastLine; at += 1) {
      const flipped = Buffer.from(whole);
      flipped[at] = flipped[at]! ^ 1;
      const file = oneFile(flipped);
      const book = await openLeaseBook(file.disk, 'executor:main', QUIET);
      expect(book.fault?.code).toBe('corrupt');
      expect(book.state.heads.get(LOG)?.size).toBe(3);
      await expect(book.append(head(4))).rejects.toMatchObject({ code: 'corrupt' });
      expect(file.bytes).toEqual(flipped);
    }
  });

  test('of another executor is not opened', async () => {
    await expect(openLeaseBook(oneFile(await written()).disk, 'executor:other', QUIET)).rejects.toMatchObject({ code: 'foreign' });
  });

  test('syncs once for all that is appended while a sync is under way', async () => {
    const file = oneFile();
    const book = await openLeaseBook(file.disk, 'executor:main', QUIET);
    const before = file.syncs;
    await Promise.all(Array.from({ length: 20 }, (_, size) => book.append(head(size + 1))));
    expect(file.syncs - before).toBe(2);
  });

  test('whose sync failed is not written again, whatever comes', async () => {
    const file = oneFile();
    const book = await openLeaseBook(file.disk, 'executor:main', QUIET);
    file.failSync = true;
    await expect(book.append(head(1))).rejects.toMatchObject({ code: 'unwritable' });
    file.failSync = false;
    const { bytes } = file;
    await expect(book.append(head(2))).rejects.toMatchObject({ code: 'unwritable' });
    expect(file.bytes).toEqual(bytes);
    expect(book.state.heads.get(LOG)?.size).toBe(2);
  });

  test('that could not be written is written anew, in a new file with all that it missed, once the disk takes it', async () => {
    const file = oneFile();
    const book = await openLeaseBook(file.disk, 'executor:main', QUIET);
    let faults = 0;
    book.onFault(() => (faults += 1));
    await book.append(head(1));
    file.failSync = true;
    await expect(book.append(head(2))).rejects.toMatchObject({ code: 'unwritable' });
    book.later(head(3));
    expect(await book.reopen()).toBe(false);
    await expect(book.append(head(4))).rejects.toMatchObject({ code: 'unwritable' });
    expect([faults, book.kept.heads.get(LOG)?.size]).toEqual([1, 1]);
    file.failSync = false;
    const { syncs } = file;
    expect(await book.reopen()).toBe(true);
    expect([file.renewed, file.syncs, book.fault, book.kept.heads.get(LOG)?.size]).toEqual([1, syncs, null, 4]);
    await book.append(head(5));
    await book.close();
    const again = await openLeaseBook(file.disk, 'executor:main', QUIET);
    expect([again.fault, again.kept.heads.get(LOG)?.size]).toEqual([null, 5]);
  });

  test('whose durable part is no longer what was written is not written over: nothing is given any more', async () => {
    const file = oneFile();
    const book = await openLeaseBook(file.disk, 'executor:main', QUIET);
    await book.append(head(1));
    file.failSync = true;
    await expect(book.append(head(2))).rejects.toMatchObject({ code: 'unwritable' });
    file.failSync = false;
    file.bytes[12] = file.bytes[12]! ^ 1;
    expect(await book.reopen()).toBe(false);
    expect([file.renewed, book.fault?.code]).toEqual([0, 'corrupt']);
  });

  test('that another process has appended to is not written over: what that one knows stays, and nothing is given any more', async () => {
    const root = await mkdtemp(join(tmpdir(), 'countersign-book-'));
    onTestFinished(() => rm(root, { recursive: true }));
    const book = await openLeaseBook(nodeDisk(root), 'executor:main', QUIET);
    onTestFinished(() => book.close());
    await book.append(head(1));
    const path = join(root, 'lease-book');
    const other = oneFile(await readFile(path));
    const second = await openLeaseBook(other.disk, 'executor:main', QUIET);
    await second.append(head(9));
    await writeFile(path, other.bytes);
    await expect(book.append(head(2))).rejects.toMatchObject({ code: 'unwritable' });
    expect(await book.reopen()).toBe(false);
    expect(book.fault).toMatchObject({ code: 'corrupt' });
    expect(other.bytes.equals(await readFile(path))).toBe(true);
  });

  test('that was opened without its lock is not written over where another has written to it meanwhile', async () => {
    const one = oneFile();
    const first = await openLeaseBook(one.disk, 'executor:main', QUIET);
    await first.append(head(1));
    await first.close();
    const lock = one.disk.lock;
    one.disk.lock = () => Promise.reject(new Error('ENOSPC'));
    const unlocked = await openLeaseBook(one.disk, 'executor:main', QUIET);
    expect(unlocked.fault).toMatchObject({ code: 'unwritable' });
    one.disk.lock = lock;
    const other = await openLeaseBook(one.disk, 'executor:main', QUIET);
    await other.append(head(7));
    await other.close();
    const bytes = Buffer.from(one.bytes);
    expect(await unlocked.reopen()).toBe(false);
    expect(unlocked.fault).toMatchObject({ code: 'corrupt' });
    expect(one.bytes.equals(bytes)).toBe(true);
  });

  test('with half a line of its own after what is durable is written anew without it', async () => {
    const one = oneFile();
    const book = await openLeaseBook(one.disk, 'executor:main', QUIET);
    await book.append(head(1));
    const size = one.bytes.byteLength;
    one.failSync = true;
    await expect(book.append(head(2))).rejects.toMatchObject({ code: 'unwritable' });
    one.failSync = false;
    one.bytes = one.bytes.subarray(0, size + 20);
    expect(await book.reopen()).toBe(true);
    const again = await openLeaseBook(one.disk, 'executor:main', QUIET);
    expect(again.state.heads.get(LOG)?.size).toBe(2);
  });

  test('that could not be written from the start says whose it is once it can', async () => {
    const file = oneFile();
    const openAppend = file.disk.openAppend.bind(file.disk);
    file.disk.openAppend = () => Promise.reject(new Error('ENOSPC'));
    const book = await openLeaseBook(file.disk, 'executor:main', QUIET);
    expect(book.fault?.code).toBe('unwritable');
    file.disk.openAppend = openAppend;
    expect(await book.reopen()).toBe(true);
    await book.close();
    await expect(openLeaseBook(file.disk, 'executor:other', QUIET)).rejects.toMatchObject({ code: 'foreign' });
  });
});
