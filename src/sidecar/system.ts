/** The real clock and the real randomness: the only place in the sidecar that knows them. */
import { randomBytes } from 'node:crypto';
import type { Clock, RandomBytes } from '../engine/ports.ts';

/** Timers hold at most 2^31-1 ms; a farther one would fire at once. */
const DELAY_MAX_MS = 2 ** 31 - 1;

export const systemClock: Clock = {
  nowMs: () => Date.now(),
  after(delayMs, callback) {
    const timer = setTimeout(callback, Math.min(Math.max(delayMs, 0), DELAY_MAX_MS)).unref();
    return () => clearTimeout(timer);
  },
};

export const systemRandom: RandomBytes = (length) => randomBytes(length);
