/** Puts cosigned checkpoints into the ledger that they are of, so that times which others state stand between its records. */
import { ANCHOR_TYPE, type Log, type SignedHead } from '../../ledger/index.ts';
import type { Clock, Logger } from '../engine/ports.ts';

/**
 * The least time from one anchor to the next. It is how closely times are bracketed from below, and what a ledger that is always at work grows by:
 * about 1 KB a minute.
 */
export const ANCHOR_EVERY_MS = 60_000;

export interface Anchors {
  /** The newest head that is cosigned as it should be; again when it has more cosignatures. */
  cosigned(head: SignedHead): void;
  close(): void;
}

export interface AnchorOptions {
  readonly log: Log;
  readonly clock: Clock;
  readonly logger: Logger;
  /** The size that the last anchor in the ledger is of; 0 for none. */
  readonly lastSize: number;
  /** @throws LedgerError */
  readonly record: (checkpoint: string, size: number) => void;
}

/** Anchors what has records in it that the last anchor has not, other than anchors: a ledger that is at rest stays at rest. */
export function keepAnchors({ log, clock, logger, lastSize, record }: AnchorOptions): Anchors {
  let anchored = lastSize;
  let anchoredAtMs: number | null = null;
  let newest: SignedHead | null = null;
  let cancel: (() => void) | null = null;
  let running = false;

  const anchor = async (): Promise<void> => {
    cancel = null;
    const head = newest;
    if (head === null || running || log.failed !== null || head.size <= anchored) return;
    running = true;
    try {
      if (!(await hasOthers(log, anchored, head.size))) return;
      const { text, size } = newest!;
      record(text, size);
      anchored = size;
      anchoredAtMs = clock.nowMs();
    } catch (error) {
      logger.warn({ error: String(error) }, 'a cosigned checkpoint could not be anchored');
    } finally {
      running = false;
    }
  };
  return {
    cosigned(head) {
      newest = head;
      if (cancel !== null || head.size <= anchored) return;
      // A clock that was set back must not put the next anchor off.
      const elapsedMs = anchoredAtMs === null ? Infinity : clock.nowMs() - anchoredAtMs;
      const waitMs = elapsedMs < 0 ? 0 : Math.max(0, ANCHOR_EVERY_MS - elapsedMs);
      cancel = clock.after(waitMs, () => void anchor());
    },
    close: () => cancel?.(),
  };
}

async function hasOthers(log: Log, from: number, to: number): Promise<boolean> {
  for await (const { record } of log.entries(from, to)) if (record.type !== ANCHOR_TYPE) return true;
  return false;
}
