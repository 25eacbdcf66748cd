/**
 * Giving up the oldest of the journal. The journal is a second copy of everything; once bundles and object files have a record for good, it is not needed
 * to open the log, nor to make it again from `ledger/`.
 */
import { openLog, type LogOptions } from './log.ts';
import { journalName } from './journal.ts';
import { journalFiles } from './replay.ts';
import { TILE_WIDTH } from './tiles.ts';
import { DEFAULT_PACE } from './writer.ts';

export interface Compacted {
  readonly size: number;
  /** The journal begins with this record now. */
  readonly from: number;
  /** Files that were removed, and their bytes. */
  readonly files: number;
  readonly bytes: number;
}

/**
 * Once resolved, the journal goes on in a new file: what is in it by now can be given up whole, once it is in full bundles.
 */
export async function beginJournalFile({ disk, journal }: Pick<LogOptions, 'disk' | 'journal'>, { size }: Compacted): Promise<void> {
  await (await disk.openAppend(`${journal}/${journalName(size)}`)).close();
}

/**
 * Once resolved, the journal holds no file whose every record is in full bundles, all of which have been read and synced.
 *
 * @throws LedgerError as `openLog` does; then nothing was removed
 */
export async function compactJournal(options: LogOptions): Promise<Compacted> {
  const { disk, journal } = options;
  // Every byte is read and put right; closing writes a base, before which everything is settled.
  const log = await openLog({ ...options, readAll: true, pace: { ...(options.pace ?? DEFAULT_PACE), baseEveryClosing: 1 } });
  const { size } = log;
  await log.close();
  const files = await journalFiles(disk, journal);
  const isPublished = (end: number | undefined): boolean => end !== undefined && end <= size - (size % TILE_WIDTH);
  let removed = 0;
  let bytes = 0;
  for (const [i, { path }] of files.entries()) {
    if (!isPublished(files[i + 1]?.firstSeq)) break;
    bytes += (await disk.size(path)) ?? 0;
    await disk.remove(path);
    // One after another, for good: a journal with a gap would be one that has lost records.
    await disk.settle([files.at(-1)!.path]);
    removed += 1;
  }
  return { size, from: files[removed]?.firstSeq ?? 0, files: removed, bytes };
}
