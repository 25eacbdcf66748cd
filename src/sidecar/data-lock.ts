/** Who has the data directory: a sidecar, or whoever restores its ledger. It outlives the directories in it, which a restore moves. */
import type { Disk } from '../../ledger/index.ts';

/** Held until the release that it resolves to. @throws LedgerError `locked` while another process has it */
export function holdData(disk: Pick<Disk, 'lock'>): Promise<() => Promise<void>> {
  return disk.lock('data.lock');
}
