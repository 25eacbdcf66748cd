/**
 * As of when approvals, and the keys that they were signed with, are judged. A record says when it was written, and who writes a log says it: were it
 * believed whatever came before, an approval that is over could be used by dating records back to when it was not.
 */
import { TICKET_SECONDS_MAX } from '../protocol/signed.ts';
import type { Trust } from '../protocol/trust-folder.ts';

export interface JudgedTimes {
  /** A record of `log`, in its order. */
  take(log: string, atMs: number): void;
  /** As of when a record of `log` is judged that was taken last: its own time, but no longer before the latest of its log than a ticket lives, as executors have it. */
  of(log: string, atMs: number): number;
}

export function openJudgedTimes({ requirements }: Trust): JudgedTimes {
  const backMs = requirements.clockSkewMs + TICKET_SECONDS_MAX * 1000;
  const latest = new Map<string, number>();
  return {
    take(log, atMs) {
      if (atMs > (latest.get(log) ?? -Infinity)) latest.set(log, atMs);
    },
    of: (log, atMs) => Math.max(atMs, (latest.get(log) ?? -Infinity) - backMs),
  };
}
