/**
 * The order in which a worker says that something is over: the other workers first, and its sidecar then. Whoever hears that a lease has ended may
 * stop this worker; one that died in the middle of giving under it, and comes back, must find that it has ended.
 */
import type { Clock, Logger } from '../../engine/ports.ts';

/** How long a report waits for that, in ms: longer than it takes servers that come back to agree on who leads. */
export const TOLD_FIRST_MS = 15_000;
const AGAIN_MS = 250;

/** Resolves once the others can know what is over; or when that could not be said for so long that the report is worth more. Never rejects. */
export async function toldFirst(
  tellEnds: () => Promise<void>, { clock, logger, isClosed }: { readonly clock: Clock; readonly logger: Logger; readonly isClosed: () => boolean },
): Promise<void> {
  const untilMs = clock.nowMs() + TOLD_FIRST_MS;
  for (;;) {
    try {
      return await tellEnds();
    } catch (error) {
      if (isClosed()) return;
      if (clock.nowMs() >= untilMs) return logger.warn({ error: error instanceof Error ? error.message : String(error) }, 'the other workers could not be told what is over before it is reported');
      await new Promise<void>((resolve) => clock.after(AGAIN_MS, resolve));
    }
  }
}
