/** A disk in memory that can be told to fail at its n-th operation, and to be found again as it was left. */
import { LedgerError, type AppendFile, type Disk, type Held } from '../../ledger/index.ts';

export type FaultKind =
  /** The operation fails and nothing of it is there. */
  | 'refused'
  /** A write leaves its first half, then fails; another operation is refused. */
  | 'half'
  /** The operation takes effect and is reported as failed. */
  | 'done';

export class DiskFault extends Error {
  readonly code: string;
  constructor(code: string) {
    super(`${code}: injected`);
    this.code = code;
  }
}

export class FaultyDisk implements Disk {
  readonly files = new Map<string, Buffer>();
  readonly #locks = new Set<string>();
  operations = 0;
  freeBytes = Infinity;
  /** What this disk is called; null for one that cannot tell a copy. */
  place: string | null = 'here';
  syncs = 0;
  /** Number of the operation to fail, from 1; 0 for none. Later ones work again. */
  failAt = 0;
  failKind: FaultKind = 'refused';
  failCode = 'EIO';
  /** Names of the operations so far, for choosing one. */
  readonly trace: string[] = [];

  /** The same files, no locks and no faults: what the next process finds. */
  reboot(): FaultyDisk {
    const next = new FaultyDisk();
    for (const [path, bytes] of this.files) next.files.set(path, Buffer.from(bytes));
    next.place = this.place;
    return next;
  }

  /** Every await of a caller passes here: a macrotask in a real disk, a microtask here. */
  async #step(name: string, apply: (half: boolean) => void): Promise<void> {
    this.operations++;
    this.trace.push(name);
    await Promise.resolve();
    if (this.operations !== this.failAt) {
      apply(false);
      return;
    }
    if (this.failKind === 'half') apply(true);
    if (this.failKind === 'done') apply(false);
    throw new DiskFault(this.failCode);
  }

  async read(path: string): Promise<Uint8Array | null> {
    await Promise.resolve();
    const bytes = this.files.get(path);
    return bytes === undefined ? null : Buffer.from(bytes);
  }

  async readRange(path: string, start: number, length: number): Promise<Uint8Array> {
    await Promise.resolve();
    const bytes = this.files.get(path);
    if (bytes === undefined || bytes.length < start + length) throw new DiskFault('ENODATA');
    return Buffer.from(bytes.subarray(start, start + length));
  }

  async size(path: string): Promise<number | null> {
    await Promise.resolve();
    return this.files.get(path)?.length ?? null;
  }

  async openAppend(path: string): Promise<AppendFile> {
    await this.#step(`open ${path}`, (half) => {
      if (!half && !this.files.has(path)) this.files.set(path, Buffer.alloc(0));
    });
    let size = this.files.get(path)!.length;
    return {
      get size() {
        return size;
      },
      append: async (bytes) => {
        // Taken before the await, as a real disk does not, so that a caller who changes the bytes is found out.
        const taken = Buffer.from(bytes);
        await this.#step(`append ${path}`, (half) => {
          this.files.set(path, Buffer.concat([this.files.get(path)!, half ? taken.subarray(0, taken.length >> 1) : taken]));
        });
        size += taken.length;
      },
      sync: async () => {
        await this.#step(`sync ${path}`, (half) => {
          if (!half) this.syncs++;
        });
      },
      truncate: async (to) => {
        await this.#step(`truncate ${path}`, (half) => {
          if (!half) this.files.set(path, Buffer.from(this.files.get(path)!.subarray(0, to)));
        });
        size = to;
      },
      close: () => Promise.resolve(),
      check: async () => {
        await Promise.resolve();
        if (!this.files.has(path)) throw new LedgerError('unwritable', `${path} is no longer there`);
      },
    };
  }

  async writeDerived(path: string, bytes: Uint8Array): Promise<void> {
    const taken = Buffer.from(bytes);
    // Temp and rename: half of a write leaves the old file.
    await this.#step(`write ${path}`, (half) => {
      if (!half) this.files.set(path, taken);
    });
  }

  writeDurable(path: string, bytes: Uint8Array): Promise<void> {
    return this.writeDerived(path, bytes);
  }

  async overwrite(path: string, start: number, bytes: Uint8Array): Promise<void> {
    const taken = Buffer.from(bytes);
    await this.#step(`overwrite ${path}`, (half) => {
      const whole = Buffer.from(this.files.get(path)!);
      whole.set(half ? taken.subarray(0, taken.length >> 1) : taken, start);
      this.files.set(path, whole);
    });
  }

  async list(directory: string): Promise<string[]> {
    await Promise.resolve();
    const names = new Set<string>();
    for (const path of this.files.keys()) {
      if (!path.startsWith(`${directory}/`)) continue;
      const [name, ...rest] = path.slice(directory.length + 1).split('/');
      names.add(rest.length > 0 ? `${name!}/` : name!);
    }
    return [...names].sort();
  }

  async remove(path: string): Promise<void> {
    await this.#step(`remove ${path}`, (half) => {
      if (!half) this.files.delete(path);
    });
  }

  async settle(): Promise<void> {
    await Promise.resolve();
  }

  free(): number {
    return this.freeBytes;
  }

  async placeOf(directory: string): Promise<string | null> {
    await Promise.resolve();
    return this.place === null ? null : `${this.place}:${directory}`;
  }

  async lock(path: string): Promise<Held> {
    await Promise.resolve();
    if (this.#locks.has(path)) throw new LedgerError('locked', `${path} is held`);
    this.#locks.add(path);
    const release = async (): Promise<void> => {
      this.#locks.delete(path);
    };
    const check = async (): Promise<void> => {
      await Promise.resolve();
      if (!this.#locks.has(path)) throw new LedgerError('unwritable', `${path} is another's`);
    };
    return Object.assign(release, { check });
  }
}
