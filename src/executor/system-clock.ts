/** The time and the timers of this machine. */
import type { Clock } from '../engine/ports.ts';

/** Timers hold at most 2^31-1 ms; a farther one would fire at once. The worker looks again in any case. */
const DELAY_MAX_MS = 2 ** 31 - 1;

export const systemClock: Clock = {
  nowMs: () => Date.now(),
  after(delayMs, callback) {
    const timer = setTimeout(callback, Math.min(Math.max(delayMs, 0), DELAY_MAX_MS));
    return () => clearTimeout(timer);
  },
};
