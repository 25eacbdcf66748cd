/** The ledger's disk port over memory: what was not synced may be lost, kept or torn when the power goes; writes fail when told to. */
import { LedgerError, type AppendFile, type Disk } from '../../ledger/index.ts';
import type { Rng } from './rng.ts';
import type { Process, Scheduler } from './scheduler.ts';
import { afterPowerCut, appendTo, newFile, seen, survivingBytes, syncFile, truncateTo, type SimFile } from './sim-file.ts';

/** An operation that may be made to fail. */
export type DiskOperation = 'append' | 'sync' | 'truncate' | 'openAppend' | 'writeDerived' | 'writeDurable' | 'overwrite' | 'remove' | 'lock' | 'create';
export type DiskFault = (operation: DiskOperation, path: string) => 'ENOSPC' | 'EIO' | null;
/** Sees all bytes that go to the disk. */
export type DiskWatch = (path: string, bytes: Uint8Array) => void;

export interface SimDisk {
  /** The disk as one process of its node has it. */
  port(process: Process): Disk;
  setFault(fault: DiskFault): void;
  /** The process was killed: what it wrote stays in the page cache. Its locks are free. */
  kill(process: Process): void;
  /** The machine lost power: see {@link afterPowerCut}. */
  powerCut(): void;
  /** A sync failed: what is in the page cache is not to be relied on, and only a power cycle makes the truth visible. */
  readonly syncFailed: boolean;
  /** Contents by path: what would certainly survive, or what programs see. */
  image(of: 'synced' | 'seen'): Map<string, Buffer>;
  /** Counts every change of what would certainly survive. */
  readonly syncs: number;
}

class DiskFailure extends Error {
  readonly code: string;
  constructor(code: string, path: string) {
    super(`${code}: simulated, ${path}`);
    this.code = code;
  }
}

export function createSimDisk(scheduler: Scheduler, rng: Rng, watch: DiskWatch): SimDisk {
  const files = new Map<string, SimFile>();
  const locks = new Map<string, Process>();
  let fault: DiskFault = () => null;
  let syncFailed = false;
  let syncs = 0;

  const failing = (operation: DiskOperation, path: string): void => {
    const code = fault(operation, path);
    if (code === null) return;
    if (operation === 'sync' || (code === 'EIO' && operation !== 'append')) syncFailed = true;
    throw new DiskFailure(code, path);
  };
  const durably = (change: () => void): void => {
    change();
    syncs += 1;
  };
  const replace = (path: string, bytes: Uint8Array): void => {
    const old = files.get(path);
    const survivor = old === undefined ? null : survivingBytes(old);
    files.set(path, newFile(bytes, survivor === null ? { kind: 'absent' } : { kind: 'other', bytes: Buffer.from(survivor) }));
  };

  const port = (process: Process): Disk => {
    const call = <T>(label: string, effect: () => T): Promise<T> => {
      const slow = label.startsWith('sync') && rng.chance(0.02) ? 200 : 0;
      return scheduler.call(process, `${process.node} disk ${label}`, rng.between(0, label.startsWith('read') ? 0 : 2) + slow, effect);
    };
    const openFile = (path: string, file: SimFile): AppendFile => ({
      get size() {
        return file.length;
      },
      append: (bytes) => call(`append ${path}`, () => {
        watch(path, bytes);
        try {
          failing('append', path);
        } catch (error) {
          appendTo(file, bytes.subarray(0, rng.between(0, bytes.byteLength - 1)));
          throw error;
        }
        appendTo(file, bytes);
      }),
      sync: () => call(`sync ${path}`, () => {
        failing('sync', path);
        durably(() => syncFile(file));
      }),
      truncate: (size) => call(`truncate ${path}`, () => {
        failing('truncate', path);
        truncateTo(file, size);
      }),
      close: () => call(`close ${path}`, () => undefined),
      check: () => call(`check ${path}`, () => {
        if (files.get(path) !== file) throw new DiskFailure('ESTALE', path);
      }),
    });

    return {
      read: (path) => call(`read ${path}`, () => {
        const file = files.get(path);
        return file === undefined ? null : Uint8Array.from(seen(file));
      }),
      readRange: (path, start, length) => call(`readRange ${path}`, () => {
        const file = files.get(path);
        if (file === undefined || start + length > file.length) throw new DiskFailure('ENODATA', path);
        return Uint8Array.from(seen(file).subarray(start, start + length));
      }),
      size: (path) => call(`read size ${path}`, () => files.get(path)?.length ?? null),
      openAppend: (path) => call(`openAppend ${path}`, () => {
        failing('openAppend', path);
        let file = files.get(path);
        if (file === undefined) {
          failing('create', path);
          file = newFile(new Uint8Array(), { kind: 'prefix', length: 0 });
          files.set(path, file);
        }
        return openFile(path, file);
      }),
      writeDerived: (path, bytes) => call(`writeDerived ${path}`, () => {
        watch(path, bytes);
        failing('writeDerived', path);
        replace(path, bytes);
      }),
      writeDurable: (path, bytes) => call(`writeDurable ${path}`, () => {
        watch(path, bytes);
        failing('writeDurable', path);
        durably(() => files.set(path, newFile(bytes, { kind: 'prefix', length: bytes.byteLength })));
      }),
      overwrite: (path, start, bytes) => call(`overwrite ${path}`, () => {
        watch(path, bytes);
        failing('overwrite', path);
        const file = files.get(path);
        if (file === undefined || start + bytes.byteLength > file.length) throw new DiskFailure('ENODATA', path);
        file.bytes.set(bytes, start);
        durably(() => syncFile(file));
      }),
      list: (directory) => call(`read list ${directory}`, () => listOf(files.keys(), directory)),
      remove: (path) => call(`remove ${path}`, () => {
        failing('remove', path);
        files.delete(path);
      }),
      lock: (path) => call(`lock ${path}`, () => {
        failing('lock', path);
        const holder = locks.get(path);
        if (holder?.alive === true) throw new LedgerError('locked', `${holder.node} ${holder.incarnation} holds ${path}`);
        locks.set(path, process);
        const release = async (): Promise<void> => {
          if (locks.get(path) === process) locks.delete(path);
        };
        return Object.assign(release, {
          check: async (): Promise<void> => {
            if (locks.get(path) !== process) throw new LedgerError('unwritable', `${path} is another's`);
          },
        });
      }),
      settle: (paths) => call('settle', () => {
        for (const path of paths) {
          const file = files.get(path);
          if (file === undefined) continue;
          failing('sync', path);
          durably(() => syncFile(file));
        }
      }),
      free: () => Infinity,
      placeOf: () => Promise.resolve(null),
    };
  };

  return {
    port,
    setFault(next) {
      fault = next;
    },
    kill(process) {
      for (const [path, holder] of locks) if (holder === process) locks.delete(path);
    },
    powerCut() {
      locks.clear();
      syncFailed = false;
      for (const [path, file] of files) {
        const left = afterPowerCut(file, rng);
        if (left === null) files.delete(path);
        else files.set(path, left);
      }
      syncs += 1;
    },
    get syncFailed() {
      return syncFailed;
    },
    image(of) {
      const image = new Map<string, Buffer>();
      for (const [path, file] of files) {
        const bytes = of === 'seen' ? seen(file) : survivingBytes(file);
        if (bytes !== null) image.set(path, Buffer.from(bytes));
      }
      return image;
    },
    get syncs() {
      return syncs;
    },
  };
}

function listOf(paths: Iterable<string>, directory: string): string[] {
  const prefix = directory === '' ? '' : `${directory}/`;
  const names = new Set<string>();
  for (const path of paths) {
    if (!path.startsWith(prefix)) continue;
    const [first, ...rest] = path.slice(prefix.length).split('/');
    names.add(rest.length > 0 ? `${first!}/` : first!);
  }
  return [...names].sort();
}

/** A disk that answers at once, over a copy: for the oracle, which looks at evidence outside of simulated time. */
export function instantDisk(image: ReadonlyMap<string, Uint8Array>): Disk {
  const files = new Map<string, Uint8Array>([...image].map(([path, bytes]) => [path, Uint8Array.from(bytes)]));
  const whole = async (path: string, bytes: Uint8Array): Promise<void> => void files.set(path, Uint8Array.from(bytes));
  const range = (path: string, start: number, length: number): Uint8Array => {
    const file = files.get(path);
    if (file === undefined || start + length > file.byteLength) throw new DiskFailure('ENODATA', path);
    return file.subarray(start, start + length);
  };
  return {
    read: async (path) => files.get(path) ?? null,
    readRange: async (path, start, length) => range(path, start, length),
    size: async (path) => files.get(path)?.byteLength ?? null,
    openAppend: async (path) => {
      if (!files.has(path)) files.set(path, new Uint8Array());
      return {
        get size() {
          return files.get(path)!.byteLength;
        },
        append: async (bytes) => void files.set(path, Buffer.concat([files.get(path)!, bytes])),
        sync: async () => undefined,
        truncate: async (size) => void files.set(path, files.get(path)!.slice(0, size)),
        close: async () => undefined,
        check: async () => undefined,
      };
    },
    writeDerived: whole,
    writeDurable: whole,
    overwrite: async (path, start, bytes) => range(path, start, bytes.byteLength).set(bytes),
    list: async (directory) => listOf(files.keys(), directory),
    remove: async (path) => void files.delete(path),
    lock: async () => Object.assign(async () => undefined, { check: async () => undefined }),
    settle: async () => undefined,
    free: () => Infinity,
    placeOf: async (directory) => directory,
  };
}
