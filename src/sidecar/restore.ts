/**
 * Putting a lost ledger back, with the sidecar stopped. It is made in a place of its own, held to every head that is known, and moved to its
 * place only when it is whole; what was there before is moved aside and kept. A ledger that is longer, or another, is never replaced.
 */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import {
  formatBase64, formatDigest, LedgerError, nodeDisk, openLog, openOwnCheckpoint, parseVerifier, restoreLog,
  takePlaceOf, type Disk, type KnownHead, type LedgerSource, type Log, type LogOptions, type LogSigner,
} from '../../ledger/index.ts';
import { systemDraft } from '../evidence/record.ts';
import { holdData } from './data-lock.ts';
import { takePlace } from './take-place.ts';

export interface RestoreOptions {
  readonly origin: string;
  /** The directory that holds `ledger/` and `journal/`. */
  readonly data: string;
  readonly signer: LogSigner;
  /** At least one, unless `moved`. */
  readonly sources: readonly LedgerSource[];
  /** What executors have seen. */
  readonly known: readonly KnownHead[];
  readonly nowMs: () => number;
  /** The data directory is a copy, or was moved, and nobody goes on where it came from. */
  readonly moved?: boolean;
}

/** The `source` on record where the ledger is what was here. */
const MOVED = 'this directory, moved';

export interface Restored {
  readonly restored: boolean;
  /** Records that were there before. */
  readonly had: number;
  readonly size: number;
  readonly root: Uint8Array;
  readonly source: string;
  /** Directories with what was there before. */
  readonly kept: readonly string[];
}

const PARTS = ['ledger', 'journal'] as const;
const STAGE = '.restore';

interface Own {
  readonly size: number;
  readonly root: Uint8Array;
  /** Whether it can be opened as it is. */
  readonly whole: boolean;
  rootOf(size: number): Uint8Array;
}

/**
 * The ledger up to the newest head of its sources, on record as restored; or, where it is whole and has all of that already, as it is.
 *
 * @throws LedgerError `locked` while a sidecar runs; `copied` unless `moved`; `untrusted`, `corrupt`, `rolled-back` or `forked`, as `restoreLog` says: what is there is as it was
 */
export async function restoreLedger(options: RestoreOptions): Promise<Restored> {
  // From here until all is in its place and recorded: a sidecar that is started meanwhile must find neither half of it.
  const release = await holdData(nodeDisk(options.data));
  try {
    return await restoreHeld(options);
  } finally {
    await release();
  }
}

async function restoreHeld(options: RestoreOptions): Promise<Restored> {
  const { data, sources, signer, origin, nowMs } = options;
  const disk = nodeDisk(data);
  const verifier = parseVerifier(signer.vkey);
  const moved = options.moved === true;
  const logOptions = (on: Disk): LogOptions => ({ origin, disk: on, directory: 'ledger', journal: 'journal', signer, now: nowMs, acceptCopy: moved, archive: nodeDisk });
  const heads = sources.map((source) => ({ source, ...openOwnCheckpoint(source.checkpoint, verifier) })).sort((a, b) => b.size - a.size);
  const [best] = heads;
  const own = await ownHead(disk, logOptions(disk));
  if (moved && own?.whole === true && own.size >= (best?.size ?? 0)) return goOnHere(logOptions(disk), own, [...heads.map(({ source, size, root }) => ({ by: source.name, size, root })), ...options.known]);
  if (best === undefined) throw new LedgerError('not-found', 'there is nothing to restore from');
  const known: KnownHead[] = [...heads.slice(1).map(({ source, size, root }) => ({ by: source.name, size, root })), ...options.known];
  if (own?.whole === true && own.size >= best.size) {
    checkNewest(own, [{ by: best.source.name, size: best.size, root: best.root }, ...known]);
    return { restored: false, had: own.size, size: own.size, root: own.root, source: best.source.name, kept: [] };
  }

  const stage = join(data, STAGE);
  await rm(stage, { recursive: true, force: true });
  try {
    await restoreLog(logOptions(nodeDisk(stage)), best.source, own === null ? known : [...known, { by: 'the ledger here', size: own.size, root: own.root }]);
    // After a crash in between, the same command does it again from the copy.
    const kept = await takePlace({ disk, data, made: stage, parts: PARTS, suffix: `before-restore-${nowMs()}` });
    const restored = { had: own?.whole === true ? own.size : 0, size: best.size, root: best.root, source: best.source.name };
    await recordRestored(logOptions(disk), restored);
    return { restored: true, ...restored, kept };
  } finally {
    await rm(stage, { recursive: true, force: true });
  }
}

/** The ledger that is here goes on here: on record first, then so. @throws LedgerError `rolled-back` or `forked`, and nothing was changed */
async function goOnHere(options: LogOptions, own: Own, known: readonly KnownHead[]): Promise<Restored> {
  checkNewest(own, known);
  const { size, root } = own;
  if (size > 0) await recordRestored(options, { had: size, size, root, source: MOVED });
  await takePlaceOf(options);
  return { restored: true, had: size, size, root, source: MOVED, kept: [] };
}

/** What is there; null where nothing is. @throws LedgerError `locked` */
async function ownHead(disk: Disk, options: LogOptions): Promise<Own | null> {
  const note = await disk.read('ledger/checkpoint');
  if (note === null && (await disk.list('journal')).every((name) => !name.endsWith('.journal'))) return null;
  let log: Log;
  try {
    log = await openLog(options);
  } catch (error) {
    if (!(error instanceof LedgerError) || !['rolled-back', 'corrupt'].includes(error.code)) throw error;
    return damagedHead(note, options.signer);
  }
  await log.close();
  return { size: log.size, root: log.root(log.size), whole: true, rootOf: (size) => log.root(size) };
}

/** All that a ledger which cannot be opened still says for certain: what its checkpoint was signed for. */
function damagedHead(note: Uint8Array | null, signer: LogSigner): Own | null {
  if (note === null) return null;
  try {
    const { size, root } = openOwnCheckpoint(Buffer.from(note).toString('utf8'), parseVerifier(signer.vkey));
    return { size, root, whole: false, rootOf: () => root };
  } catch {
    return null;
  }
}

/** @throws LedgerError `rolled-back` or `forked` */
function checkNewest(own: Own, known: readonly KnownHead[]): void {
  for (const { by, size, root } of known) {
    if (size > own.size) throw new LedgerError('rolled-back', `${by} has seen ${size} records, and no copy has more than ${own.size}`, { seq: own.size });
    const here = own.rootOf(size);
    if (!Buffer.from(here).equals(root)) {
      throw new LedgerError('forked', `two histories of one log: the first ${size} records have root ${formatBase64(here)} here, and ${formatBase64(root)} by ${by}; both are kept`);
    }
  }
}

async function recordRestored(options: LogOptions, { had, size, root, source }: Pick<Restored, 'had' | 'size' | 'root' | 'source'>): Promise<void> {
  const log = await openLog(options);
  try {
    let lastMs = 0;
    for await (const { record } of log.entries(size - 1, size)) lastMs = Date.parse(record.at);
    const { draft } = systemDraft('ledger.restored', { size, root: formatDigest(root), had, source }, `sidecar:${log.logId}`, Math.max(options.now(), lastMs));
    await log.append([draft], { checkpoint: true }).durable;
  } finally {
    await log.close();
  }
}
