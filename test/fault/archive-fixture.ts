/** Ledgers of which a part is moved to an archive. */
import { compactJournal, openLog, withArchives, type ArchiveOptions, type Disk, type Log, type LogOptions } from '../../ledger/index.ts';
import { appendOne, AT_MS, ORIGIN, signer, verify } from './ledger-fixture.ts';
import { BRISK } from './ledger-life.ts';

export const REQUIRED = ['INTEGRITY', 'SIGNATURE', 'COMPLETENESS'];
export const PACE = { ...BRISK, baseEveryRunning: 1e9, baseEveryClosing: 1, journalFileBytes: 20_000 };
export const TO = '/archive/2026';
export const bundle = (index: number): string => `tile/entries/${String(index).padStart(3, '0')}`;
export const logOptions = (disk: Disk, archive?: Disk): LogOptions => ({
  origin: ORIGIN, disk, directory: 'ledger', journal: 'journal', signer, now: () => AT_MS, pace: PACE, ...(archive === undefined ? {} : { archive: () => archive }),
});
export const options = (disk: Disk, to: Disk, more: Partial<ArchiveOptions> = {}): ArchiveOptions => ({ disk, directory: 'ledger', journal: 'journal', before: 1_200, stay: [], to: { disk: to, directory: TO }, ...more });
export async function records(log: Log, from = 0): Promise<unknown[]> {
  const found: unknown[] = [];
  for await (const { record } of log.entries(from)) found.push(record.body['i']);
  return found;
}

/** A ledger of so many records, whose journal has given up what is in full bundles. */
export async function compacted<T extends Disk>(disk: T, size: number): Promise<T> {
  const log = await openLog(logOptions(disk));
  for (let i = 0; i < size; i++) {
    const { durable } = appendOne(log, i);
    if (i % 5 === 0) await durable;
  }
  await log.close();
  await compactJournal(logOptions(disk));
  return disk;
}

export const verifyOver = (disk: Disk, ...archives: Disk[]): ReturnType<typeof verify> => verify(disk, { disk: withArchives(disk, 'ledger', archives) });
