/** How long a run waits for what, unless its caller says otherwise. */

export const WAIT_MS = { decision: 600_000, report: 300_000, settled: 10_000 } as const;

/** Timers hold at most 2^31-1 ms; a farther one would fire at once. */
const DELAY_MAX_MS = 2 ** 31 - 1;

/** Aborts after `ms`, or with `signal`. */
export function signalUntil(ms: number, signal: AbortSignal | undefined): AbortSignal {
  const over = AbortSignal.timeout(Math.min(Math.max(0, Math.floor(ms)), DELAY_MAX_MS));
  return signal === undefined ? over : AbortSignal.any([over, signal]);
}
