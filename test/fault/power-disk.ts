/**
 * A disk as it is between syncs: what was written is seen by everybody and kept by nobody. When the power goes, of what was not synced some is lost, some
 * is kept and some is torn, in any order; and a name that was given or taken is kept only if its directory was synced.
 */
import { LedgerError, type AppendFile, type Disk, type Held } from '../../ledger/index.ts';
import { DiskFault, type FaultKind } from './faulty-disk.ts';

const SECTOR_BYTES = 512;

type Change = { readonly at: number; readonly bytes: Buffer } | { readonly truncateTo: number };

class Inode {
  /** What is read now. */
  cached: Buffer = Buffer.alloc(0);
  /** What survives whatever happens. */
  kept: Buffer = Buffer.alloc(0);
  pending: Change[] = [];

  change(change: Change): void {
    this.cached = apply(this.cached, change);
    this.pending.push(change);
  }

  sync(): void {
    for (const change of this.pending) this.kept = apply(this.kept, change);
    this.pending = [];
  }

  /** A sync that failed: the kernel calls the pages clean, and will not write them any more. */
  forget(): void {
    this.pending = this.pending.filter((change) => 'truncateTo' in change);
  }
}

function apply(bytes: Buffer, change: Change): Buffer {
  if ('truncateTo' in change) return Buffer.from(bytes.subarray(0, change.truncateTo));
  const next: Buffer = Buffer.alloc(Math.max(bytes.length, change.at + change.bytes.length));
  bytes.copy(next);
  change.bytes.copy(next, change.at);
  return next;
}

/** Numbers in [0, 1) that a seed settles. */
export function randomOf(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** What the loss of power does to what was not synced. */
export type Loss = 'all' | 'none' | 'names' | 'bundles' | 'any';

export interface Fault {
  /** Number of the step that fails, from 1. */
  readonly at: number;
  readonly kind: FaultKind;
  readonly code: string;
}

const directoryOf = (path: string): string => path.slice(0, Math.max(0, path.lastIndexOf('/')));

export class PowerDisk implements Disk {
  #names = new Map<string, Inode>();
  #keptNames = new Map<string, Inode>();
  #pendingNames: { readonly path: string; readonly inode: Inode | null }[] = [];
  readonly #locks = new Set<string>();
  readonly #place: string;
  /** Steps so far, each an await at which the world may end. */
  steps = 0;
  readonly trace: string[] = [];
  /** Number of the step before which the power goes; 0 for never. */
  dieAt = 0;
  fault: Fault | null = null;
  isDead = false;
  freeBytes = Infinity;

  constructor(place = 'here') {
    this.#place = place;
  }

  get paths(): string[] {
    return [...this.#names.keys()].sort();
  }

  bytesOf(path: string): Buffer | null {
    return this.#names.get(path)?.cached ?? null;
  }

  /** What the next process finds when this one has ended and the machine goes on. */
  restarted(): PowerDisk {
    const next = new PowerDisk(this.#place);
    const copies = new Map<Inode, Inode>();
    const copyOf = (inode: Inode): Inode => {
      const found = copies.get(inode) ?? Object.assign(new Inode(), { cached: Buffer.from(inode.cached), kept: Buffer.from(inode.kept), pending: [...inode.pending] });
      copies.set(inode, found);
      return found;
    };
    next.#names = new Map([...this.#names].map(([path, inode]) => [path, copyOf(inode)]));
    next.#keptNames = new Map([...this.#keptNames].map(([path, inode]) => [path, copyOf(inode)]));
    next.#pendingNames = this.#pendingNames.map(({ path, inode }) => ({ path, inode: inode === null ? null : copyOf(inode) }));
    return next;
  }

  /** What the next process finds when the power has gone. */
  afterPowerLoss(loss: Loss, random: () => number): PowerDisk {
    const next = new PowerDisk(this.#place);
    const names = new Map(this.#keptNames);
    const lost = new Set<string>();
    for (const { path, inode } of this.#pendingNames) {
      // Of one name what came first is kept first; names know nothing of each other.
      if (lost.has(path)) continue;
      const isLost = loss === 'all' || (loss === 'bundles' && isBundle(path)) || (loss === 'any' && random() < 0.5);
      if (isLost) lost.add(path);
      else if (inode === null) names.delete(path);
      else names.set(path, inode);
    }
    const settled = new Map<Inode, Inode>();
    for (const [path, inode] of names) {
      const left = settled.get(inode) ?? settledAs(leftOf(inode, ofContent(loss, path), random));
      settled.set(inode, left);
      next.#names.set(path, left);
      next.#keptNames.set(path, left);
    }
    return next;
  }

  async #step(name: string, change: (half: boolean) => void): Promise<void> {
    if (this.isDead) throw new DiskFault('dead');
    this.steps++;
    this.trace.push(name);
    if (this.steps === this.dieAt) this.isDead = true;
    await Promise.resolve();
    if (this.isDead) throw new DiskFault('dead');
    if (this.steps === this.fault?.at && this.trace.length === this.steps) {
      const { kind, code } = this.fault;
      if (kind === 'half') change(true);
      if (kind === 'done') change(false);
      throw new DiskFault(code);
    }
    change(false);
  }

  #name(path: string, inode: Inode | null): void {
    if (inode === null) this.#names.delete(path);
    else this.#names.set(path, inode);
    this.#pendingNames.push({ path, inode });
  }

  #syncNames(directory: string): void {
    this.#pendingNames = this.#pendingNames.filter(({ path, inode }) => {
      if (directoryOf(path) !== directory) return true;
      if (inode === null) this.#keptNames.delete(path);
      else this.#keptNames.set(path, inode);
      return false;
    });
  }

  async #write(path: string, inode: Inode, at: () => number, bytes: Uint8Array, name: string): Promise<void> {
    const taken = Buffer.from(bytes);
    await this.#step(`${name} ${path}`, (half) => inode.change({ at: at(), bytes: half ? taken.subarray(0, taken.length >> 1) : taken }));
  }

  async #sync(path: string, inode: Inode): Promise<void> {
    try {
      await this.#step(`sync ${path}`, (half) => {
        if (!half) inode.sync();
      });
    } catch (error) {
      // Where it was done all the same there is nothing left to forget.
      if (!this.isDead) inode.forget();
      throw error;
    }
  }

  async #syncDirectory(directory: string): Promise<void> {
    await this.#step(`sync ${directory}/`, (half) => {
      if (!half) this.#syncNames(directory);
    });
  }

  async read(path: string): Promise<Uint8Array | null> {
    await this.#look();
    const inode = this.#names.get(path);
    return inode === undefined ? null : Buffer.from(inode.cached);
  }

  async #look(): Promise<void> {
    await Promise.resolve();
    if (this.isDead) throw new DiskFault('dead');
  }

  async readRange(path: string, start: number, length: number): Promise<Uint8Array> {
    await this.#look();
    const bytes = this.#names.get(path)?.cached;
    if (bytes === undefined || bytes.length < start + length) throw new DiskFault('ENODATA');
    return Buffer.from(bytes.subarray(start, start + length));
  }

  async size(path: string): Promise<number | null> {
    await this.#look();
    return this.#names.get(path)?.cached.length ?? null;
  }

  async openAppend(path: string): Promise<AppendFile> {
    await this.#step(`open ${path}`, (half) => {
      if (!half && !this.#names.has(path)) this.#name(path, new Inode());
    });
    await this.#syncDirectory(directoryOf(path));
    const inode = this.#names.get(path)!;
    let size = inode.cached.length;
    return {
      get size() {
        return size;
      },
      append: async (bytes) => {
        await this.#write(path, inode, () => inode.cached.length, bytes, 'append');
        size += bytes.byteLength;
      },
      sync: () => this.#sync(path, inode),
      truncate: async (to) => {
        await this.#step(`truncate ${path}`, (half) => {
          if (!half) inode.change({ truncateTo: to });
        });
        await this.#sync(path, inode);
        size = to;
      },
      close: () => Promise.resolve(),
      check: async () => {
        await this.#look();
        if (this.#names.get(path) !== inode) throw new LedgerError('unwritable', `${path} is no longer there`);
        if (inode.cached.length !== size) throw new LedgerError('unwritable', `${path} has another size`);
      },
    };
  }

  async writeDerived(path: string, bytes: Uint8Array): Promise<void> {
    const inode = await this.#temporary(path, bytes);
    await this.#step(`rename ${path}`, (half) => {
      if (!half) this.#name(path, inode);
    });
  }

  async #temporary(path: string, bytes: Uint8Array): Promise<Inode> {
    const inode = new Inode();
    await this.#step(`create a temporary for ${path}`, () => undefined);
    await this.#write(path, inode, () => 0, bytes, 'write a temporary for');
    return inode;
  }

  async writeDurable(path: string, bytes: Uint8Array): Promise<void> {
    const inode = await this.#temporary(path, bytes);
    await this.#sync(path, inode);
    await this.#step(`rename ${path}`, (half) => {
      if (!half) this.#name(path, inode);
    });
    await this.#syncDirectory(directoryOf(path));
  }

  async overwrite(path: string, start: number, bytes: Uint8Array): Promise<void> {
    const inode = this.#names.get(path);
    if (inode === undefined) throw new DiskFault('ENOENT');
    await this.#write(path, inode, () => start, bytes, 'overwrite');
    await this.#sync(path, inode);
  }

  async settle(paths: readonly string[]): Promise<void> {
    const directories = new Set<string>();
    for (const path of paths) {
      const inode = this.#names.get(path);
      if (inode === undefined) continue;
      await this.#sync(path, inode);
      directories.add(directoryOf(path));
    }
    for (const directory of directories) await this.#syncDirectory(directory);
  }

  async list(directory: string): Promise<string[]> {
    await this.#look();
    const names = new Set<string>();
    for (const path of this.#names.keys()) {
      if (!path.startsWith(`${directory}/`)) continue;
      const [name, ...rest] = path.slice(directory.length + 1).split('/');
      names.add(rest.length > 0 ? `${name!}/` : name!);
    }
    return [...names].sort();
  }

  async remove(path: string): Promise<void> {
    await this.#step(`remove ${path}`, (half) => {
      if (!half && this.#names.has(path)) this.#name(path, null);
    });
  }

  free(): number {
    return this.freeBytes;
  }

  async placeOf(directory: string): Promise<string | null> {
    await this.#look();
    return `${this.#place}:${directory}`;
  }

  async lock(path: string): Promise<Held> {
    await this.#look();
    if (this.#locks.has(path)) throw new LedgerError('locked', `${path} is held`);
    this.#locks.add(path);
    const release = async (): Promise<void> => {
      this.#locks.delete(path);
    };
    return Object.assign(release, { check: async (): Promise<void> => undefined });
  }
}

const isBundle = (path: string): boolean => /^ledger\/tile\/entries\/[x0-9/]+$/.test(path);

/** `names`: every name is kept, and nothing in the files. `bundles`: all is kept but bundles that are full. */
function ofContent(loss: Loss, path: string): Loss {
  if (loss === 'names') return 'all';
  if (loss === 'bundles') return isBundle(path) ? 'all' : 'none';
  return loss;
}

function settledAs(bytes: Buffer): Inode {
  return Object.assign(new Inode(), { cached: bytes, kept: bytes });
}

/** What is left of a file: of each change that was not synced nothing, all, its beginning, or some of its sectors. */
function leftOf(inode: Inode, loss: Loss, random: () => number): Buffer {
  let bytes: Buffer = inode.kept;
  for (const change of inode.pending) {
    if (loss === 'none') bytes = apply(bytes, change);
    if (loss !== 'any') continue;
    const chance = random();
    if (chance < 0.35) continue;
    if (chance < 0.7 || 'truncateTo' in change) bytes = apply(bytes, change);
    else if (chance < 0.85) bytes = apply(bytes, { at: change.at, bytes: change.bytes.subarray(0, Math.floor(random() * change.bytes.length)) });
    else bytes = bySector(bytes, change.at, change.bytes, random);
  }
  return bytes;
}

/** The length is kept; sectors that are not keep what was there before: zeros, where nothing was. */
function bySector(bytes: Buffer, at: number, written: Buffer, random: () => number): Buffer {
  let next: Buffer = apply(bytes, { at: at + written.length, bytes: Buffer.alloc(0) });
  for (let from = 0; from < written.length; ) {
    const to = Math.min(written.length, from + SECTOR_BYTES - ((at + from) % SECTOR_BYTES));
    if (random() < 0.5) next = apply(next, { at: at + from, bytes: written.subarray(from, to) });
    from = to;
  }
  return next;
}
