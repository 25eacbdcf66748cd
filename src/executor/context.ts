/** What the parts of a worker share. */
import type { Signer } from '../../ledger/index.ts';
import type { Clock, Logger, RandomBytes } from '../engine/ports.ts';
import type { Trust } from '../protocol/trust-folder.ts';
import type { Claims } from './claims.ts';
import type { Connector } from './connector.ts';
import { within, type Backoff, type Pauses } from './deadline.ts';
import type { LeaseBook } from './lease-book.ts';
import type { Outbox } from './outbox.ts';
import type { Sink } from './sink.ts';
import type { MakeReport } from './reports.ts';

export interface WorkerLimits {
  /** Hard deadline of `apply`, in ms: an effect that is not there {@link settleMs} after it will not come any more. */
  readonly applyTimeoutMs: number;
  readonly settleMs: number;
  /** Deadline of a read, a probe or a try, in ms. */
  readonly askTimeoutMs: number;
  /** Deadline of one try to take back, in ms. */
  readonly revokeTimeoutMs: number;
  /** How long a new credential may take to work, in ms. */
  readonly useTimeoutMs: number;
  /** Between tries at a target that cannot be reached or does not tell. */
  readonly retryMs: Backoff;
  /** Between looks at a target that is not yet as a step needs it. */
  readonly notYetRetryMs: Backoff;
  /** Between tries to take back. */
  readonly revokeRetryMs: Backoff;
  /** How often it is tried whether a lease book that could not be written can be. */
  readonly bookRetryMs: Backoff;
  /** Between tries to hand over a report, and how long one may take. */
  readonly reportRetryMs: Backoff;
  readonly sendTimeoutMs: number;
  /** The clock is looked at at least this often for what is due: wall clocks jump, and timers do not. */
  readonly tickMs: number;
  /** How long `close` waits for what is running. */
  readonly closeTimeoutMs: number;
}

export const DEFAULT_WORKER_LIMITS: WorkerLimits = {
  applyTimeoutMs: 15_000, settleMs: 1_000, askTimeoutMs: 10_000, revokeTimeoutMs: 20_000, useTimeoutMs: 10_000,
  retryMs: { first: 100, longest: 5_000 }, notYetRetryMs: { first: 1_000, longest: 30_000 }, revokeRetryMs: { first: 200, longest: 30_000 }, bookRetryMs: { first: 5_000, longest: 60_000 }, reportRetryMs: { first: 200, longest: 10_000 },
  sendTimeoutMs: 10_000, tickMs: 60_000, closeTimeoutMs: 10_000,
};

export interface WorkerContext {
  readonly executorId: string;
  readonly trust: Trust;
  readonly connectors: ReadonlyMap<string, Connector>;
  readonly sinks: ReadonlyMap<string, Sink>;
  readonly book: LeaseBook;
  readonly clock: Clock;
  readonly random: RandomBytes;
  readonly signer: Signer;
  /** Seals a secret to an age recipient. */
  readonly seal: (secret: string, recipient: string) => Promise<Uint8Array>;
  /** Key of the HMAC that a leaked secret is recognised by. */
  readonly fingerprintKey: Uint8Array;
  readonly logger: Logger;
  readonly limits: WorkerLimits;
  readonly report: MakeReport;
  readonly outbox: Outbox;
  readonly pauses: Pauses;
  readonly inFlight: InFlight;
  readonly claims: Claims;
  /** Leases that are being taken back: nothing is given under them any more, whatever comes of it. */
  readonly ending: Set<string>;
  /** True once the worker is closing: loops end at the next point at which nothing is open. */
  isClosing(): boolean;
}

/** What may be happening at targets right now, by lease. */
export interface InFlight {
  /** Runs an `apply` that {@link interrupt} can cut short. */
  apply<T>(leaseId: string, run: (signal: AbortSignal) => Promise<T>): Promise<T>;
  /** Ends the wait for a running apply: its outcome is unknown from then on. */
  interrupt(leaseId: string): void;
  /** When what was sent for this lease can have no effect any more, in epoch ms; 0 where nothing was sent by this process. */
  quietAtMs(leaseId: string): number;
}

export function createInFlight(clock: Clock, limits: Pick<WorkerLimits, 'applyTimeoutMs' | 'settleMs'>): InFlight {
  const running = new Map<string, AbortController>();
  const quietAt = new Map<string, number>();
  return {
    async apply(leaseId, run) {
      const interrupt = new AbortController();
      running.set(leaseId, interrupt);
      quietAt.set(leaseId, clock.nowMs() + limits.applyTimeoutMs + limits.settleMs);
      try {
        return await within(clock, limits.applyTimeoutMs, run, interrupt.signal);
      } finally {
        running.delete(leaseId);
      }
    },
    interrupt: (leaseId) => running.get(leaseId)?.abort(),
    quietAtMs: (leaseId) => quietAt.get(leaseId) ?? 0,
  };
}
