/** An issuer's keys, as they last came: asked for again when they are old or one is missing, but never more often than the issuer bears. */
import type { Clock } from '../engine/ports.ts';

export interface KeyCache<Keys extends object> {
  /**
   * The keys to verify by; null where there are none that still count. `newer`: those at hand lack one, which may be because they are old.
   * Never rejects.
   */
  keys(newer?: 'newer'): Promise<Keys | null>;
}

export interface KeyCacheOptions<Keys extends object> {
  readonly clock: Pick<Clock, 'nowMs'>;
  /** Rejects with an error that holds nothing of what the other side wrote. */
  readonly load: () => Promise<Keys>;
  readonly failed: (error: unknown) => void;
  /** After this long they are asked for again. */
  readonly refreshMs: number;
  /** After this long without an answer they no longer count. */
  readonly keepMs: number;
}

/** Between one attempt and the next: whoever sends tokens with keys that nobody has does not choose how often the issuer is asked. */
export const COOL_DOWN_MS = 30_000;

export function keepKeys<Keys extends object>({ clock, load, failed, refreshMs, keepMs }: KeyCacheOptions<Keys>, first: Keys | null = null): KeyCache<Keys> {
  let held = first === null ? null : { keys: first, atMs: clock.nowMs() };
  let triedAtMs = held?.atMs ?? null;
  let asking: Promise<void> | null = null;
  // A clock that was set back makes nothing younger than it is: it makes it old.
  const isYounger = (atMs: number, ageMs: number): boolean => clock.nowMs() >= atMs && clock.nowMs() - atMs < ageMs;

  const ask = async (): Promise<void> => {
    triedAtMs = clock.nowMs();
    try {
      const keys: Keys = await load();
      held = { keys, atMs: clock.nowMs() };
    } catch (error) {
      failed(error);
    }
  };
  return {
    async keys(newer) {
      const due = newer !== undefined || held === null || !isYounger(held.atMs, refreshMs);
      if (due && asking === null && (triedAtMs === null || !isYounger(triedAtMs, COOL_DOWN_MS))) asking = ask().finally(() => (asking = null));
      if (due && asking !== null) await asking;
      return held !== null && isYounger(held.atMs, keepMs) ? held.keys : null;
    },
  };
}
