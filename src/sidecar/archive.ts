/**
 * Moving what is old of a ledger to an archive, so that a sidecar goes on without it: nothing is moved that a start from the snapshot reads, nor any record of a
 * change that is open, or that may have to be taken back. What has to end does not wait for an archive.
 */
import { randomBytes } from 'node:crypto';
import { archiveLedger, beginJournalFile, compactJournal, LedgerError, nodeDisk, openLog, readMoved, TILE_WIDTH, type Archived, type Log, type LogOptions, type LogSigner } from '../../ledger/index.ts';
import { readSnapshot, type SnapshotPlace } from '../engine/snapshot.ts';
import { openStore } from '../engine/store.ts';
import { codeVersion } from './code-version.ts';
import { holdData } from './data-lock.ts';

export interface ArchivingOptions {
  /** The data directory. */
  readonly data: string;
  readonly origin: string;
  readonly signer: LogSigner;
  readonly nowMs: () => number;
  /** Records from this one on, or from the first that is not older than this time, stay. */
  readonly before: { readonly seq: number } | { readonly atMs: number };
  /** The archive, by its whole path. */
  readonly to: string;
  readonly progress: (done: number, of: number) => void;
}

export interface Archiving extends Archived {
  readonly size: number;
  /** The record that was asked for. */
  readonly asked: number;
  /** The journal begins with this record: what is in it is not moved. */
  readonly journalFrom: number;
}

/**
 * Once resolved, what may go is in the archive, and the next start needs nothing of it.
 *
 * @throws LedgerError as `archiveLedger` and `openLog` do, `locked` while a sidecar runs, `unwritable` where no snapshot could be kept: then nothing was moved
 */
export async function archiveOld(options: ArchivingOptions): Promise<Archiving> {
  const { data, origin, signer, nowMs, to } = options;
  const disk = nodeDisk(data);
  const release = await holdData(disk);
  try {
    const own: LogOptions = { origin, disk, directory: 'ledger', journal: 'journal', signer, now: nowMs, archive: nodeDisk };
    const compacted = await compactJournal(own);
    await beginJournalFile(own, compacted);
    const { size, from } = compacted;
    const { asked, before, stay } = await settle(own, options, from);
    const moved = await archiveLedger({ disk, directory: 'ledger', journal: 'journal', before, stay, to: { disk: nodeDisk(to), directory: to }, progress: options.progress });
    return { ...moved, size, asked, journalFrom: from };
  } finally {
    await release();
  }
}

/** What may go at most, once a snapshot is kept that no start needs it for. */
async function settle(own: LogOptions, { before: asked, nowMs }: ArchivingOptions, journalFrom: number): Promise<{ readonly asked: number; readonly before: number; readonly stay: readonly number[] }> {
  const { disk, signer } = own;
  const log = await openLog(own);
  try {
    const place: SnapshotPlace = { disk, directory: 'state', signer, code: codeVersion(), every: { running: Infinity, closing: 1 } };
    const store = await openStore(log, { nowMs, actor: `sidecar:${log.logId}`, random: randomBytes, changed: () => undefined, snapshots: place });
    await store.close();
    const snapshot = await readSnapshot(place, log, undefined);
    if (snapshot === null) throw new LedgerError('unwritable', 'no snapshot of the state could be kept, and without one a start would read all that is to be moved');
    const moved = (await readMoved(own))?.below ?? 0;
    const seq = 'seq' in asked ? asked.seq : await firstSince(log, asked.atMs, moved);
    const before = Math.min(seq, journalFrom, snapshot.size);
    return { asked: seq, before, stay: store.index.recordsNeeded(before - (before % TILE_WIDTH)) };
  } finally {
    await log.close();
  }
}

/** The first record from `low` on that is not older than the time. */
async function firstSince(log: Log, atMs: number, low: number): Promise<number> {
  for (let high = log.durableSize; low < high; ) {
    const middle = Math.floor((low + high) / 2);
    for await (const { record } of log.entries(middle, middle + 1)) {
      if (Date.parse(record.at) < atMs) low = middle + 1;
      else high = middle;
    }
  }
  return low;
}
