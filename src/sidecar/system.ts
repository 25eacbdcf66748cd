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

/** Asking OpenSSL for some bytes costs as much as asking it for many: those of ids and salts, a few for each record, are drawn ahead. What is to be a secret is longer, and is nowhere before it is asked for. */
const DRAWN_BYTES = 4_096;
const AHEAD_BYTES_MAX = 16;

/** Bytes that are given to one caller are given to no other, and are not kept here. */
export function drawnAhead(draw: RandomBytes): RandomBytes {
  let drawn: Uint8Array = new Uint8Array(0);
  let given = 0;
  return (length) => {
    if (length > AHEAD_BYTES_MAX) return draw(length);
    if (given + length > drawn.byteLength) [drawn, given] = [draw(DRAWN_BYTES), 0];
    const bytes = Uint8Array.prototype.slice.call(drawn, given, given + length);
    drawn.fill(0, given, given + length);
    given += length;
    return bytes;
  };
}

export const systemRandom: RandomBytes = drawnAhead(randomBytes);
