/**
 * The copy of the ledger, kept for a sidecar, and what it says before anything is recorded: whether this ledger is the newest of its log.
 *
 * A ledger that was lost and begun anew, or an old one put back, would sign a second history. It is compared with its copy first. One that
 * turns out to be behind, or another, gives nothing and records nothing until it is restored; orders to take back go out all the same.
 */
import type { Disk, Log } from '../../ledger/index.ts';
import type { Config } from '../config/schema.ts';
import type { Clock, LedgerCopy, Logger } from '../engine/ports.ts';
import { openNatsBus, overBus } from './reach.ts';

/** How long the bus may take to say what it holds. */
const COMPARE_MS = 5_000;

export interface KeptCopy extends LedgerCopy {
  /** `lost`: nothing is here, and the bus cannot be asked whether there was. */
  readonly start: 'goOn' | 'lost';
  /** Calls back with what the copy had lost and holds again, now and later. */
  onRefilled(callback: (from: number, missing: number) => void): void;
  close(): Promise<void>;
}

export interface CopyOptions {
  readonly log: Log;
  readonly disk: Disk;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Null where no executor is reached over the bus: then no copy is kept. @throws PrivateFileError when the seed for the bus cannot be had */
export async function openCopy(config: Config, { log, disk, clock, logger }: CopyOptions): Promise<KeptCopy | null> {
  const executors = overBus(config);
  if (config.nats === undefined || executors.length === 0) return null;
  const { keepLedgerCopy } = await import('../transport/nats/ledger-copy.ts');
  const bus = await openNatsBus(config.nats, { name: `ledger ${log.logId}`, inboxPrefix: `_INBOX_${log.logId}_ledger`, logger });
  const refills: (readonly [from: number, missing: number])[] = [];
  let tell = (from: number, missing: number): void => void refills.push([from, missing]);
  const copy = keepLedgerCopy({
    log, bus, executors, disk, clock, logger, refilled: (from, missing) => tell(from, missing), conflict: (error) => log.refuse(error),
  });
  const compared = await copy.compared(COMPARE_MS);
  if (compared === 'unreachable') logger.warn({ records: log.size }, 'the bus does not say what it holds of this ledger: nothing goes over it until it does');
  return {
    ...copy,
    start: compared === 'unreachable' && log.size === 0 ? 'lost' : 'goOn',
    onRefilled(callback) {
      tell = callback;
      for (const [from, missing] of refills.splice(0)) callback(from, missing);
    },
  };
}
