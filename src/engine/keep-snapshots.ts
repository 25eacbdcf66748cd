/** Keeps a snapshot of the fold now and then, and when the store closes. Nothing waits for it while running. */
import type { Log } from '../../ledger/index.ts';
import type { Fold } from './fold.ts';
import type { Logger } from './ports.ts';
import { removeSnapshots, writeSnapshot, type SnapshotPlace } from './snapshot.ts';

/** A start folds so many records in about a second. */
const EVERY = { running: 8_192, closing: 2_048 };
/** What a snapshot of a long ledger costs grows with it: so many are taken by the time that it has doubled. */
const PER_DOUBLING = 64;

export interface SnapshotKeeper {
  /** Starts one where enough records have come since the last. Called when all that is sequenced has been folded. */
  look(): void;
  /** Once resolved, no snapshot of before is there; the next is taken as if there had been none. Until that has come about, none is taken at all. */
  drop(): Promise<void>;
  close(): Promise<void>;
}

/** @param found the snapshot that was used; null for none */
export function keepSnapshots(
  place: SnapshotPlace, log: Log, fold: Fold, found: { readonly size: number; readonly turn: number } | null, logger: Pick<Logger, 'warn'> | undefined,
): SnapshotKeeper {
  const every = place.every ?? EVERY;
  let last = { size: found?.size ?? 0, turn: found?.turn ?? 1 };
  let writing: Promise<void> | null = null;
  let mayHoldErased = false;
  const look = (records: number): void => {
    // What was sequenced past the fold is nobody's to vouch for.
    if (mayHoldErased || writing !== null || log.failed !== null || fold.size !== log.size || fold.size - last.size < Math.max(records, fold.size / PER_DOUBLING)) return;
    const { size } = fold;
    const captured = fold.capture();
    last = { size, turn: last.turn + 1 };
    const { turn } = last;
    const write = async (): Promise<void> => {
      await log.durable();
      await writeSnapshot(place, log, size, captured, turn);
    };
    writing = write()
      .catch((error: unknown) => logger?.warn({ size, error: error instanceof Error ? error.message : String(error) }, 'a snapshot could not be written; the next start takes longer'))
      .finally(() => (writing = null));
  };
  return {
    look: () => look(every.running),
    async drop() {
      mayHoldErased = true;
      await writing;
      await removeSnapshots(place);
      last = { size: 0, turn: last.turn };
      mayHoldErased = false;
    },
    async close() {
      await writing;
      look(every.closing);
      await writing;
    },
  };
}
