/**
 * Room on the disk for what takes back.
 *
 * A file of real bytes, `reserve`, stands among the writer's own files, and as much again is left free beside it. When what is free goes below that, only
 * what is marked as taking back is sequenced; when the disk is full to the last byte, the reserve is given up for it, and for what was sequenced before.
 * So a full disk refuses before it writes, and nothing is poisoned by it. There being room again, the reserve is made again and everything goes on.
 */
import { createCipheriv } from 'node:crypto';
import type { Disk } from './disk.ts';
import { LedgerError } from './errors.ts';

/**
 * An early revoke is two records of some 3 KiB, and the state that was read after it: with journal, bundle and object file about 12 KiB on disk. So
 * this is some seven hundred revokes, and as many again in what is left free beside it.
 */
export const RESERVE_BYTES = 8_388_608;
/** What is sequenced is written to the journal, to a bundle, and to that bundle anew as it grows; and blocks are not full to the end. */
const WRITTEN_TIMES = 3;
/** For a checkpoint, the partial tiles and bundle, and their temporaries. */
const MARGIN_BYTES = 1_048_576;
/** How long a look at the disk is believed, where it showed plenty. */
const LOOK_MS = 100;

type Site = Readonly<{ disk: Disk; journal: string; now: () => number }>;

/** The path of the reserve among a writer's own files. */
export const reservePath = (journal: string): string => `${journal}/reserve`;

export class Space {
  readonly #site: Site;
  readonly #bytes: number;
  #holds: boolean;
  #free = 0;
  #lookedAt = -Infinity;
  /** What was sequenced since, as it will come to stand on the disk. */
  #sequenced = 0;
  #making: Promise<void> | null = null;

  private constructor(site: Site, bytes: number, holds: boolean) {
    this.#site = site;
    this.#bytes = bytes;
    this.#holds = holds;
  }

  /** @param bytes of the reserve; 0 for none, and then nothing is ever refused. */
  static async open(site: Site, bytes: number): Promise<Space> {
    const space = new Space(site, bytes, bytes > 0 && (await site.disk.size(reservePath(site.journal))) === bytes);
    await space.restore();
    return space;
  }

  /** Why nothing but what takes back can be sequenced; null while there is room. */
  get short(): LedgerError | null {
    if (this.#bytes === 0) return null;
    this.#look();
    if (this.#holds && this.#left >= this.#bytes) return null;
    void this.restore();
    return new LedgerError('full', `the disk is full: ${Math.max(0, Math.floor(this.#left / 1024))} KiB are left, and they are for what takes back`);
  }

  get #left(): number {
    return this.#free - this.#sequenced;
  }

  /** Counts `bytes` that are about to be sequenced. @throws LedgerError `full`: there is no room for them */
  take(bytes: number, reserved: boolean): void {
    if (this.#bytes === 0) return;
    const due = bytes * WRITTEN_TIMES;
    if (!reserved) {
      const { short } = this;
      if (short !== null) throw short;
      if (this.#left - due < this.#bytes) throw new LedgerError('full', `the disk has no room for ${bytes} bytes more beside what is kept for what takes back`);
    } else {
      this.#look(true);
      if (this.#left + (this.#holds ? this.#bytes : 0) < due + MARGIN_BYTES) throw new LedgerError('full', 'the disk is full, and what was kept for what takes back is used up');
    }
    this.#sequenced += due;
  }

  /** Before anything is written: what was sequenced has room, at the cost of the reserve. */
  async makeRoom(): Promise<void> {
    if (this.#bytes === 0) return;
    this.#look(true);
    if (this.#left >= MARGIN_BYTES || !this.#holds) return;
    this.#holds = false;
    await this.#site.disk.remove(reservePath(this.#site.journal));
  }

  /** So many of the bytes that were taken stand on the disk now. */
  settled(bytes: number): void {
    if (this.#bytes === 0) return;
    this.#sequenced -= bytes * WRITTEN_TIMES;
    this.#look(true);
    void this.restore();
  }

  /** Resolves when nothing of this is being written. */
  async idle(): Promise<void> {
    await this.#making;
  }

  /** The reserve is there again, where it was given up and there is room for it and as much beside it. A failure leaves it given up; never rejects. */
  restore(): Promise<void> {
    if (this.#bytes === 0 || this.#holds) return Promise.resolve();
    this.#look(true);
    if (this.#left < 2 * this.#bytes + MARGIN_BYTES) return Promise.resolve();
    this.#making ??= this.#site.disk.writeDurable(reservePath(this.#site.journal), filling(this.#bytes))
      .then(() => void (this.#holds = true), () => undefined)
      .finally(() => (this.#making = null));
    return this.#making;
  }

  #look(now = false): void {
    const atMs = this.#site.now();
    if (!now && this.#left > 8 * this.#bytes && Math.abs(atMs - this.#lookedAt) < LOOK_MS) return;
    this.#free = this.#site.disk.free();
    this.#lookedAt = atMs;
  }
}

/** Bytes that no file system can store in less room than they take. */
function filling(bytes: number): Uint8Array {
  return createCipheriv('aes-128-ctr', Buffer.alloc(16), Buffer.alloc(16)).update(Buffer.alloc(bytes));
}
