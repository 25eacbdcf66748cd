/** A lease book that cannot be written is tried again until it can be: a disk that has room again is not looked at by anybody else. */
import type { WorkerContext } from './context.ts';
import { backoffMs } from './deadline.ts';

/** Ends once the book can be written, is found to be damaged, or the worker closes. `resume` is called in the first case. */
export async function mendBook({ book, pauses, limits, logger, isClosing }: Pick<WorkerContext, 'book' | 'pauses' | 'limits' | 'logger' | 'isClosing'>, resume: () => void): Promise<void> {
  for (let failures = 0; book.fault?.code === 'unwritable'; failures += 1) {
    await pauses.pause(backoffMs(limits.bookRetryMs, failures));
    if (isClosing()) return;
    await book.reopen();
  }
  if (book.fault !== null) return logger.error({}, `the lease book is damaged: nothing is given, and what is known is taken back: ${book.fault.message}`);
  logger.warn({}, 'the lease book can be written again: what it missed is in it, and steps are taken up');
  resume();
}
