/**
 * The lease book: what an executor must still know after it was killed. Append-only and fsynced; its fold says what to take back, which
 * steps were taken up, and which secret was sealed before it was applied.
 *
 * One line is one group of entries that stand or fall together: `<crc32, 8 hex digits> <JSON array>\n`. A torn end is cut at opening: nobody
 * was told of it. A bad line with good ones after it means that the disk forgot something it had promised to keep: then the book is read as
 * far as it can be, so that what is owed is still taken back, and nothing is given any more. It grows for ever: compaction is yet to come.
 */
import { crc32 } from 'node:zlib';
import type { AppendFile, Disk } from '../../ledger/index.ts';
import type { Logger } from '../engine/ports.ts';
import { bookEntrySchema, emptyBookState, foldEntry, type BookEntry, type BookState } from './book-entries.ts';
import type { Head } from './receipt.ts';

const BOOK = 'lease-book';
const LOCK = 'lease-book.lock';

/** `corrupt`: a line that was durable is no longer what was written. `unwritable`: an append or sync failed. `foreign`: another executor's book. */
export class BookError extends Error {
  readonly code: 'corrupt' | 'unwritable' | 'foreign';
  constructor(code: BookError['code'], message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'BookError';
    this.code = code;
  }
}

export interface LeaseBook {
  /** The fold of everything appended, durable or not. */
  readonly state: BookState;
  /** The fold of what is durable: what whoever opens the book next will know. */
  readonly kept: BookState;
  /** Why nothing can be written any more; null while it can. {@link reopen} is the only cure: a failed sync is never tried again. */
  readonly fault: BookError | null;
  /**
   * Folds the entries at once; resolves when they are durable, all or none.
   *
   * @throws BookError `unwritable`: whether they will be found after a restart is not known, and they stay folded
   */
  append(...entries: BookEntry[]): Promise<void>;
  /** Folds the entries at once, and writes them with whatever is appended next: for what may be lost. */
  later(...entries: BookEntry[]): void;
  /** Resolves when everything appended so far is durable. @throws BookError `unwritable` */
  durable(): Promise<void>;
  /** Called back each time that it turns out that nothing can be written; at once where that is so already. */
  onFault(callback: () => void): void;
  /**
   * Resolves true once the book can be written again: all that is durable, and all that could not be written since, is in a new file in its place,
   * synced and read back. False where the disk still takes nothing, or the book is damaged; then nothing has changed.
   */
  reopen(): Promise<boolean>;
  close(): Promise<void>;
}

/**
 * The book on `disk`, which belongs to nobody else while it is open. Where the disk takes no write, it is read all the same and has a fault:
 * nothing is given then, and a full disk keeps nobody from taking back what was.
 *
 * @param newWorker names the worker, where it is one of several and the book has no name yet: 16 hex digits that no other has
 * @throws LedgerError `locked` while another worker has it; BookError `foreign`; or what the disk throws when it can't be read. Nothing was changed then.
 */
export async function openLeaseBook(disk: Disk, executor: string, logger: Logger, newWorker?: () => string): Promise<LeaseBook> {
  const lock = await takeLock(disk);
  try {
    const bytes = Buffer.from((await disk.read(BOOK)) ?? new Uint8Array());
    const found = readBook(bytes);
    const [first] = found.entries;
    if (first?.t === 'opened' && first.executor !== executor) throw new BookError('foreign', `this is the lease book of ${first.executor}`);
    if (found.fault !== null) logger.error({ line: found.goodLines + 1 }, `the lease book is damaged: nothing is given, and what can be read is taken back: ${found.fault.message}`);
    const { file, fault } = await openForWriting(disk, found, bytes.byteLength, lock.fault, logger);
    const torn = file === null ? bytes.subarray(found.goodBytes) : NOTHING;
    const book = writer(disk, file, { ...found, torn, crc: crc32(bytes.subarray(0, found.goodBytes)) }, fault, lock);
    // Nothing depends on who opened it being written: an append that fails leaves the fault.
    const worker = book.state.worker === null ? newWorker?.() : undefined;
    if (fault?.code !== 'corrupt' && (first === undefined || worker !== undefined)) {
      await book.append({ t: 'opened', v: 1, executor, ...(worker === undefined ? {} : { worker }) }).catch(() => undefined);
    }
    if (book.fault?.code === 'unwritable') logger.error({ reason: String(book.fault.cause) }, 'the lease book cannot be written: nothing is given, and what is in it is taken back');
    return book;
  } catch (error) {
    await lock.release();
    throw error;
  }
}

/** The newest checkpoint that a book says was believed, by log. Only reads: the book may be in use, or a copy of one. @throws BookError `foreign` for what is none */
export function readHeads(bytes: Uint8Array): ReadonlyMap<string, Head> {
  const state = emptyBookState();
  const { entries } = readBook(Buffer.from(bytes));
  if (entries.length === 0) throw new BookError('foreign', 'this is no lease book');
  for (const entry of entries) foldEntry(state, entry);
  return state.heads;
}

/** The fold of as much of the book as can be read, beside whoever has it open; nothing is changed. @throws what the disk throws; BookError `foreign` */
export async function peekLeaseBook(disk: Disk): Promise<BookState> {
  const state = emptyBookState();
  for (const entry of readBook(Buffer.from((await disk.read(BOOK)) ?? new Uint8Array())).entries) foldEntry(state, entry);
  return state;
}

const NOTHING = new Uint8Array();

interface Lock {
  readonly release: () => Promise<void>;
  readonly fault: BookError | null;
}

/** @throws LedgerError `locked`. A lock that can't be written for want of space is done without: two that only take back do each other no harm. */
async function takeLock(disk: Disk): Promise<Lock> {
  try {
    return { release: await disk.lock(LOCK), fault: null };
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === 'locked') throw cause;
    return { release: () => Promise.resolve(), fault: unwritable(cause) };
  }
}

/** The file, its torn end cut, and all that was read of it synced: a process that was killed may have left it in the page cache only. */
async function openForWriting(
  disk: Disk, found: Found, length: number, known: BookError | null, logger: Logger,
): Promise<{ readonly file: AppendFile | null; readonly fault: BookError | null }> {
  const fault = found.fault ?? known;
  if (fault !== null) return { file: null, fault };
  try {
    const file = await disk.openAppend(BOOK);
    if (found.goodBytes < length) {
      await file.truncate(found.goodBytes);
      logger.warn({ bytesCut: length - found.goodBytes }, 'cut a torn end off the lease book; nobody had been told of it');
    }
    if (length > 0) await file.sync();
    return { file, fault: null };
  } catch (cause) {
    return { file: null, fault: unwritable(cause) };
  }
}

function unwritable(cause: unknown): BookError {
  return new BookError('unwritable', 'the lease book cannot be written', { cause });
}

interface Found {
  readonly entries: readonly BookEntry[];
  readonly goodBytes: number;
  readonly goodLines: number;
  readonly fault: BookError | null;
}

/** Every entry in the good lines. The bad end of a book is torn if nothing good follows; else the book is corrupt. */
function readBook(bytes: Buffer): Found {
  const entries: BookEntry[] = [];
  let goodBytes = 0;
  let goodLines = 0;
  let fault: BookError | null = null;
  for (let at = 0; at < bytes.byteLength;) {
    const end = bytes.indexOf(0x0a, at);
    const group = end < 0 ? null : readLine(bytes.subarray(at, end));
    if (group === null) {
      const next = nextGoodLine(bytes, at + 1);
      if (next === null) break;
      fault ??= new BookError('corrupt', `line ${goodLines + 1} of the lease book is not what was written`);
      at = next;
      continue;
    }
    entries.push(...group);
    at = end + 1;
    if (fault === null) {
      goodBytes = at;
      goodLines += 1;
    }
  }
  return { entries, goodBytes, goodLines, fault };
}

/** Where the first good line after `from` starts, wherever that is: damage may have taken the newline before it. Null where there is none. */
function nextGoodLine(bytes: Buffer, from: number): number | null {
  const start = /[0-9a-f]{8} \[/g;
  const text = bytes.toString('latin1');
  start.lastIndex = from;
  for (let match = start.exec(text); match !== null; match = start.exec(text)) {
    const end = bytes.indexOf(0x0a, match.index);
    if (end < 0) return null;
    if (readLine(bytes.subarray(match.index, end)) !== null) return match.index;
  }
  return null;
}

function readLine(line: Buffer): BookEntry[] | null {
  const match = /^([0-9a-f]{8}) /.exec(line.toString('latin1', 0, 9));
  const json = line.subarray(9);
  if (match === null || crc32(json) !== Number.parseInt(match[1]!, 16)) return null;
  const parsed = bookEntrySchema.array().safeParse(JSON.parse(json.toString('utf8')));
  if (!parsed.success) throw new BookError('foreign', `a lease book that this version does not understand: ${parsed.error.issues[0]?.message ?? ''}`);
  return parsed.data;
}

function formatLine(entries: readonly BookEntry[]): Uint8Array {
  const json = Buffer.from(JSON.stringify(entries), 'utf8');
  return Buffer.concat([Buffer.from(`${crc32(json).toString(16).padStart(8, '0')} `), json, Buffer.from('\n')]);
}

interface Kept {
  readonly entries: readonly BookEntry[];
  readonly goodBytes: number;
  /** Of those bytes. */
  readonly crc: number;
  /** What follows them and could not be cut off. */
  readonly torn: Uint8Array;
}

function writer(disk: Disk, opened: AppendFile | null, found: Kept, known: BookError | null, firstLock: Lock): LeaseBook {
  let file = opened;
  let lock = firstLock;
  /** What of the file is durable. */
  let { goodBytes: keptBytes, crc: keptCrc } = found;
  /** What may follow it in the file, or the beginning of one of these: nobody else writes there. */
  let own: readonly Uint8Array[] = [found.torn];
  /** What was folded and could not be written. */
  let behind: BookEntry[] = [];
  let tellFault = (): void => undefined;
  const state = emptyBookState();
  const kept = emptyBookState();
  for (const entry of found.entries) {
    foldEntry(state, entry);
    foldEntry(kept, entry);
  }
  let fault = known;
  let queued: BookEntry[] = [];
  let waiting: Waiter[] = [];
  let writing = false;

  /** One group at a time: a line is synced before the next is begun, so that only the last can be torn. */
  const drain = async (): Promise<void> => {
    writing = true;
    while (waiting.length > 0) {
      const [entries, waiters] = [queued, waiting];
      queued = [];
      waiting = [];
      try {
        if (fault !== null) throw fault;
        if (entries.length > 0 && file !== null) {
          const line = formatLine(entries);
          await file.check();
          own = [line];
          await file.append(line);
          await file.sync();
          keep(entries, line);
        }
        waiters.forEach(({ resolve }) => resolve());
      } catch (cause) {
        behind.push(...entries);
        const isNew = fault === null;
        fault ??= unwritable(cause);
        const error = fault;
        waiters.forEach(({ reject }) => reject(error));
        if (isNew) tellFault();
      }
    }
    writing = false;
  };
  /** The line is durable after what was before it. */
  const keep = (entries: readonly BookEntry[], line: Uint8Array): void => {
    for (const entry of entries) foldEntry(kept, entry);
    keptCrc = crc32(line, keptCrc);
    keptBytes += line.byteLength;
    own = [];
  };
  /** @throws what the disk throws, LedgerError `locked`, or BookError `corrupt`: nothing is written over then */
  const renew = async (): Promise<void> => {
    if (lock.fault !== null) lock = await takeLock(disk);
    if (lock.fault !== null) throw lock.fault;
    const found = Buffer.from((await disk.read(BOOK)) ?? NOTHING);
    const [durable, rest] = [found.subarray(0, keptBytes), found.subarray(keptBytes)];
    if (durable.byteLength !== keptBytes || crc32(durable) !== keptCrc) throw new BookError('corrupt', 'the lease book is not what was written');
    if (rest.byteLength > 0 && !own.some((tried) => rest.equals(tried.subarray(0, rest.byteLength)))) throw new BookError('corrupt', 'somebody else has written to the lease book');
    behind.push(...queued);
    queued = [];
    const entries = behind;
    const line = entries.length === 0 ? NOTHING : formatLine(entries);
    own = [rest, line];
    const whole = Buffer.concat([durable, line]);
    await disk.writeDurable(BOOK, whole);
    const written = await disk.read(BOOK);
    if (written === null || !whole.equals(written)) throw new Error('what was written is not what is read');
    const old = file;
    file = await disk.openAppend(BOOK);
    await old?.close().catch(() => undefined);
    behind = [];
    keep(entries, line);
  };
  const durable = (): Promise<void> => {
    const done = new Promise<void>((resolve, reject) => waiting.push({ resolve, reject }));
    if (!writing) void drain();
    return done;
  };
  const later = (...entries: BookEntry[]): void => {
    for (const entry of entries) foldEntry(state, entry);
    queued.push(...entries);
  };
  return {
    state,
    kept,
    get fault() {
      return fault;
    },
    append(...entries) {
      later(...entries);
      return durable();
    },
    later,
    durable,
    onFault(callback) {
      tellFault = callback;
      if (fault !== null) callback();
    },
    async reopen() {
      if (fault?.code !== 'unwritable' || writing) return fault === null;
      writing = true;
      try {
        await renew();
        fault = null;
      } catch (cause) {
        if (cause instanceof BookError && cause.code === 'corrupt') fault = cause;
      }
      writing = false;
      if (waiting.length > 0) void drain();
      return fault === null;
    },
    async close() {
      await durable().catch(() => undefined);
      await file?.close();
      await lock.release();
    },
  };
}

interface Waiter {
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}
