/** A clock that stands still until it is told to go on, and then jumps from timer to timer. */
import type { Clock } from '../../src/engine/ports.ts';

export interface FakeClock {
  readonly nowMs: number;
  /** A clock for one run of a program: ended, its timers no longer fire. */
  port(): Clock & { end(): void };
  /** Lets everything happen that needs no time to pass. */
  settle(): Promise<void>;
  /** Lets `ms` pass, timer by timer. */
  advance(ms: number): Promise<void>;
  /** Lets time pass until `reached` holds. @throws Error when it has not after `maxMs` */
  until(reached: () => boolean, maxMs?: number): Promise<void>;
  /** Moves the wall clock without any timer noticing. */
  jump(ms: number): void;
}

interface Timer {
  readonly atMs: number;
  readonly callback: () => void;
  readonly owner: { alive: boolean };
}

export function fakeClock(startMs: number): FakeClock {
  let nowMs = startMs;
  /** What timers go by: it does not jump. */
  let steadyMs = 0;
  const timers = new Set<Timer>();
  const next = (): Timer | undefined => [...timers].filter(({ owner }) => owner.alive).sort((a, b) => a.atMs - b.atMs)[0];
  const pass = (toMs: number): void => {
    nowMs += Math.max(0, toMs - steadyMs);
    steadyMs = Math.max(steadyMs, toMs);
  };
  const fire = (timer: Timer): void => {
    timers.delete(timer);
    pass(timer.atMs);
    timer.callback();
  };
  const clock: FakeClock = {
    get nowMs() {
      return nowMs;
    },
    port() {
      const owner = { alive: true };
      return {
        nowMs: () => nowMs,
        after(delayMs, callback) {
          const timer = { atMs: steadyMs + Math.max(0, delayMs), callback, owner };
          timers.add(timer);
          return () => void timers.delete(timer);
        },
        end() {
          owner.alive = false;
        },
      };
    },
    // What is asynchronous in these tests are promises, not input or output: a few turns of the loop run them all.
    async settle() {
      for (let turn = 0; turn < 3; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    },
    async advance(ms) {
      const untilMs = steadyMs + ms;
      await clock.settle();
      for (let timer = next(); timer !== undefined && timer.atMs <= untilMs; timer = next()) {
        fire(timer);
        await clock.settle();
      }
      pass(untilMs);
    },
    async until(reached, maxMs = 3_600_000) {
      const limitMs = steadyMs + maxMs;
      await clock.settle();
      while (!reached()) {
        const timer = next();
        if (timer === undefined || timer.atMs > limitMs) throw new Error(`not reached within ${maxMs} ms of the clock`);
        fire(timer);
        await clock.settle();
      }
    },
    jump(ms) {
      nowMs += ms;
    },
  };
  return clock;
}
