/** Waiting, with an end: every wait of the worker goes through the clock it was given. */
import type { Clock } from '../engine/ports.ts';
import { TargetError } from './connector.ts';

/**
 * What `run` resolves to, if it settles within `timeoutMs` and before `interrupt` is aborted. At either, its signal is aborted and the
 * outcome is unknown from then on; whatever it settles to later is ignored.
 *
 * @throws TargetError `ambiguous` at the deadline or interruption, else what `run` threw
 */
export function within<T>(clock: Clock, timeoutMs: number, run: (signal: AbortSignal) => Promise<T>, interrupt?: AbortSignal): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const controller = new AbortController();
    const stop = (why: string): void => {
      finish();
      reject(new TargetError('ambiguous', why));
      controller.abort();
    };
    const interrupted = (): void => stop('interrupted before it answered');
    const cancel = clock.after(timeoutMs, () => stop(`no answer within ${timeoutMs} ms`));
    const finish = (): void => {
      cancel();
      interrupt?.removeEventListener('abort', interrupted);
    };
    if (interrupt?.aborted === true) return interrupted();
    interrupt?.addEventListener('abort', interrupted, { once: true });
    run(controller.signal).then(
      (value) => {
        finish();
        resolve(value);
      },
      (error: unknown) => {
        finish();
        reject(error instanceof Error ? error : new Error(String(error)));
      },
    );
  });
}

/** First and longest wait between tries, in ms; each wait is twice the one before. */
export interface Backoff {
  readonly first: number;
  readonly longest: number;
}

export function backoffMs(backoff: Backoff, failures: number): number {
  return Math.min(backoff.longest, backoff.first * 2 ** Math.min(failures, 30));
}

/** Waits that can all be cut short at once. */
export interface Pauses {
  /** Resolves after `ms`, or when woken. */
  pause(ms: number): Promise<void>;
  /** Ends every pause now. */
  wake(): void;
}

export function createPauses(clock: Clock): Pauses {
  const waiting = new Set<() => void>();
  return {
    pause: (ms) =>
      new Promise((resolve) => {
        const end = (): void => {
          cancel();
          waiting.delete(end);
          resolve();
        };
        const cancel = clock.after(Math.max(0, ms), end);
        waiting.add(end);
      }),
    wake: () => [...waiting].forEach((end) => end()),
  };
}

/** Runs tasks of one key one after another, those of different keys side by side. */
export function createLanes(): (key: string, task: () => Promise<void>) => Promise<void> {
  const last = new Map<string, Promise<void>>();
  return (key, task) => {
    const done = (last.get(key) ?? Promise.resolve()).then(task, task);
    last.set(key, done);
    const forget = (): void => {
      if (last.get(key) === done) last.delete(key);
    };
    done.then(forget, forget);
    return done;
  };
}
