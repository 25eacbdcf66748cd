/**
 * Reports on their way: each is sent until it is acknowledged, those of one change in the order in which they were made, so that nobody
 * hears of an end before the beginning. What is stored is in the lease book as well and outlives the process.
 */
import type { Clock, Logger } from '../engine/ports.ts';
import { payloadDigest, readPayload } from '../protocol/dsse.ts';
import { anyReportSchema } from '../protocol/discovery.ts';
import type { ReportMessage } from '../protocol/envelope.ts';
import { backoffMs, createPauses, within, type Backoff, type Pauses } from './deadline.ts';

export interface Outbox {
  /** Sends the report until it is acknowledged. Idempotent by its digest while it is on its way. */
  add(message: ReportMessage): void;
  /** Sends what is about this log, or everything, again now: somebody may be listening who was not before. */
  flush(log?: string): void;
  /** How many are on their way. */
  waiting(): number;
  close(): void;
}

interface Waiting {
  readonly id: string;
  readonly message: ReportMessage;
}

/** To the sidecar of one log. */
interface Line {
  readonly pauses: Pauses;
  /** Counts flushes: a line that was found dead may be alive since. */
  flushes: number;
}

export interface OutboxOptions {
  readonly send: (message: ReportMessage) => Promise<void>;
  readonly clock: Clock;
  readonly retryMs: Backoff;
  readonly sendTimeoutMs: number;
  readonly logger: Logger;
  /** Called with the digest of each report that was acknowledged. */
  readonly sent: (id: string) => void;
  /** Called with each report that is added, on its way already or not. */
  readonly observe: (message: ReportMessage) => void;
}

export function createOutbox({ send, clock, retryMs, sendTimeoutMs, logger, sent, observe }: OutboxOptions): Outbox {
  const byChange = new Map<string, Waiting[]>();
  const lines = new Map<string, Line>();
  const lineOf = (log: string): Line => {
    const known = lines.get(log) ?? { pauses: createPauses(clock), flushes: 0 };
    lines.set(log, known);
    return known;
  };
  let closed = false;

  /** Sends one change's reports, in order, until none is left. */
  const run = async (changeId: string, queue: Waiting[], line: Line): Promise<void> => {
    for (let failures = 0; queue.length > 0 && !closed;) {
      const seen = line.flushes;
      const failed = await pass(queue);
      if (failed === null) failures = 0;
      else if (seen === line.flushes) {
        if (failures === 0) logger.warn({ changeId, waiting: queue.length, reason: failed }, 'reports wait: nobody acknowledges them');
        await line.pauses.pause(backoffMs(retryMs, failures));
        failures = seen === line.flushes ? failures + 1 : 0;
      }
    }
    if (queue.length === 0) byChange.delete(changeId);
  };
  /** Why a report was not acknowledged; null once all were. One that is turned down does not hold up those after it, a dead line does. */
  const pass = async (queue: Waiting[]): Promise<string | null> => {
    let turnedDown: string | null = null;
    for (const waiting of [...queue]) {
      if (closed) return 'closed';
      try {
        await within(clock, sendTimeoutMs, () => send(waiting.message));
      } catch (error) {
        const reason = error instanceof Error ? error.message : String(error);
        if (!isRejection(error)) return reason;
        turnedDown = reason;
        continue;
      }
      queue.splice(queue.indexOf(waiting), 1);
      sent(waiting.id);
    }
    return turnedDown;
  };

  return {
    add(message) {
      if (closed) return;
      observe(message);
      const id = payloadDigest(message.report);
      const report = readPayload(message.report, anyReportSchema);
      const changeId = report.kind === 'discovered' ? report.discoveryId : report.changeId;
      const queue = byChange.get(changeId);
      if (queue?.some((waiting) => waiting.id === id) === true) return;
      if (queue !== undefined) {
        queue.push({ id, message });
        return;
      }
      const fresh = [{ id, message }];
      byChange.set(changeId, fresh);
      void run(changeId, fresh, lineOf(report.log));
    },
    flush(log) {
      for (const [about, line] of lines) {
        if (log !== undefined && about !== log) continue;
        line.flushes += 1;
        line.pauses.wake();
      }
    },
    waiting: () => [...byChange.values()].reduce((sum, queue) => sum + queue.length, 0),
    close() {
      closed = true;
      for (const { pauses } of lines.values()) pauses.wake();
    },
  };
}

/** The other side was there and said no, as opposed to nobody being there. */
function isRejection(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'rejected';
}
