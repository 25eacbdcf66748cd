/** Waiting for the ledger's files, which are written anew for each checkpoint. */
import type { Log } from '../../ledger/index.ts';
import type { Clock } from '../engine/ports.ts';

/** By then there is a checkpoint unasked. A clock that was set far ahead while one was made tells of no time that it took. */
const REST_MS_MAX = 1_000;

/**
 * Resolves once a checkpoint on disk covers all that was sequenced when it was called; those who ask while one is being made share the next. While several
 * share them, such checkpoints take no more than half of the time: each waits as long as the one before took, up to a second. Whoever asks
 * alone never waits for that.
 *
 * @throws LedgerError as {@link Log.sync} does
 */
export function sharePublishing(log: Pick<Log, 'sync'>, clock: Clock): () => Promise<void> {
  let last: Promise<void> = Promise.resolve();
  let next: Promise<void> | null = null;
  let sharing = 0;
  let restMs = 0;
  let restFromMs = 0;

  const publish = async (before: Promise<void>): Promise<void> => {
    await before.catch(() => undefined);
    // A clock that was set back does not make it longer.
    const leftMs = Math.min(restFromMs + restMs - clock.nowMs(), restMs);
    if (leftMs > 0) await new Promise<void>((resolve) => void clock.after(leftMs, resolve));
    // What is sequenced from here on, this one need not cover.
    next = null;
    const isShared = sharing > 1;
    sharing = 0;
    const begunMs = clock.nowMs();
    try {
      await log.sync();
    } finally {
      restFromMs = clock.nowMs();
      restMs = isShared ? Math.min(Math.max(0, restFromMs - begunMs), REST_MS_MAX) : 0;
    }
  };
  return () => {
    sharing += 1;
    if (next === null) last = next = publish(last);
    return next;
  };
}
