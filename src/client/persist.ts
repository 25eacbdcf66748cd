/** Asks again while nothing is known to have been answered. Every call that it repeats is one that may come twice. */
import { ClientError } from './errors.ts';

/** The world of a run: time, chance and patience. */
export interface AccessPorts {
  readonly nowMs: () => number;
  /** Cryptographically strong. */
  readonly random: (length: number) => Uint8Array;
  readonly sleep: (ms: number) => Promise<void>;
}

const FIRST_WAIT_MS = 200;
const LONGEST_WAIT_MS = 5_000;

/**
 * The first answer of `attempt`. What the sidecar says no to is not asked again; silence, and a sidecar that cannot do its work just now, are,
 * until `untilMs`.
 *
 * @throws whatever the last attempt rejected with
 */
export async function persist<T>(attempt: () => Promise<T>, ports: AccessPorts, untilMs: number, signal?: AbortSignal): Promise<T> {
  for (let waitMs = FIRST_WAIT_MS; ; waitMs = Math.min(waitMs * 2, LONGEST_WAIT_MS)) {
    try {
      return await attempt();
    } catch (error) {
      if (!isPassing(error) || signal?.aborted === true || ports.nowMs() + waitMs > untilMs) throw error;
    }
    await ports.sleep(waitMs);
  }
}

function isPassing(error: unknown): boolean {
  if (!(error instanceof ClientError)) return false;
  return error.code === 'unreachable' || error.code === 'timed-out' || (error.status !== null && error.status >= 500);
}
