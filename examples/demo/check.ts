/** What must hold, and waiting for it: by looking at the state until a deadline, never by sleeping and hoping. */
import { setTimeout as delay } from 'node:timers/promises';

/** A check that did not hold: which, and what was seen instead. */
export class CheckFailed extends Error {
  readonly seen: string;
  /** @param seen what was there instead; anything JSON can say */
  constructor(what: string, seen: unknown) {
    super(what);
    this.name = 'CheckFailed';
    this.seen = typeof seen === 'string' ? seen : seen instanceof Error ? String(seen) : JSON.stringify(seen, null, 1);
  }
}

const held = new Set<string>();
/** How many different checks have held so far in this process; one that is looked at again and again is one. */
export const checksHeld = (): number => held.size;

/** @throws CheckFailed unless `condition` */
export function check(what: string, condition: boolean, seen: unknown): asserts condition {
  if (!condition) throw new CheckFailed(what, seen);
  held.add(what);
}

/** What `call` rejects with. @throws CheckFailed when it does not reject */
export async function rejection(what: string, call: Promise<unknown>): Promise<unknown> {
  let value: unknown;
  try {
    value = await call;
  } catch (error) {
    return error;
  }
  throw new CheckFailed(what, value);
}

/**
 * The first value of `probe` that is not undefined.
 * @throws CheckFailed after `timeoutMs`, with the last error that a probe threw
 */
export async function until<T>(
  what: string, probe: () => Promise<T | undefined> | T | undefined, { timeoutMs, everyMs = 50 }: { timeoutMs: number; everyMs?: number },
): Promise<T> {
  const deadline = performance.now() + timeoutMs;
  let last: unknown = 'nothing of the kind';
  for (;;) {
    try {
      const value = await probe();
      if (value !== undefined) return value;
    } catch (error) {
      if (error instanceof CheckFailed) throw error;
      last = error instanceof Error ? error.message : error;
    }
    if (performance.now() >= deadline) throw new CheckFailed(`${what}, within ${timeoutMs / 1000} s`, last);
    await delay(everyMs);
  }
}
