/** The system's clock, and however much later a test makes it. */
import type { Clock } from '../../src/engine/ports.ts';
import { systemClock } from '../../src/sidecar/system.ts';

export interface MovedClock extends Clock {
  /** It is that much later, and what was to happen meanwhile happens now. */
  move(ms: number): void;
}

export function movedClock(): MovedClock {
  let movedMs = 0;
  const waiting = new Set<{ readonly atMs: number; readonly callback: () => void; cancel: () => void }>();
  const clock = {
    nowMs: () => systemClock.nowMs() + movedMs,
    after(delayMs: number, callback: () => void) {
      const one = { atMs: clock.nowMs() + delayMs, callback, cancel: systemClock.after(delayMs, () => fire()) };
      const fire = (): void => {
        if (waiting.delete(one)) callback();
      };
      waiting.add(one);
      return () => {
        waiting.delete(one);
        one.cancel();
      };
    },
    move(ms: number) {
      movedMs += ms;
      for (const one of [...waiting]) {
        if (one.atMs > clock.nowMs()) continue;
        one.cancel();
        if (waiting.delete(one)) one.callback();
      }
    },
  };
  return clock;
}
