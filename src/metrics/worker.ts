/**
 * What a worker is doing, as Prometheus reads it: what its lease book owes is read when somebody asks, what it reports is counted as it is made. Each label has a
 * value from a closed list.
 *
 * @see https://prometheus.io/docs/practices/naming/
 */
import { collectDefaultMetrics, Counter, Gauge, Registry } from 'prom-client';

/** What is read at each scrape. */
export interface WorkerSeen {
  readonly armed: number;
  readonly overdue: number;
  readonly overdueMs: number;
  readonly reportsWaiting: number;
  readonly bookOk: boolean;
  readonly bookFailures: number;
  readonly refused: readonly { readonly code: string; readonly count: number }[];
  /** null where there is no bus. */
  readonly busUp: boolean | null;
}

/** As much of a report as is counted. */
export type Reported = { readonly kind: string; readonly outcome?: string };

export interface WorkerMetrics {
  readonly contentType: string;
  /** Counts a report. Never throws. */
  take(report: Reported): void;
  watch(seen: () => WorkerSeen): void;
  /** The exposition, as of now. */
  text(): Promise<string>;
}

const GONE: ReadonlySet<string | undefined> = new Set(['done', 'already-absent']);

export function openWorkerMetrics(version: string, nowMs: () => number): WorkerMetrics {
  const register = new Registry();
  const registers = [register];
  collectDefaultMetrics({ register });
  const gauge = (name: string, help: string, labelNames: readonly string[] = []): Gauge => new Gauge({ name: `countersign_${name}`, help, labelNames: [...labelNames], registers });
  const counter = (name: string, help: string, labelNames: readonly string[] = []): Counter => new Counter({ name: `countersign_${name}`, help, labelNames: [...labelNames], registers });
  gauge('build_info', 'Which version runs; 1.', ['version']).set({ version }, 1);
  const reports = counter('worker_reports_total', 'Reports that were made since the start, by kind and outcome.', ['kind', 'outcome']);
  const lastGone = gauge('worker_last_revocation_timestamp_seconds', 'When access was last taken back; 0 where none was since the start.');
  const armed = gauge('worker_revocations_armed', 'Orders to take back that wait for their time.');
  const overdue = gauge('worker_revocations_overdue', 'Orders to take back that are due and not carried out.');
  const overdueAge = gauge('worker_revocations_overdue_oldest_seconds', 'For how long the one that is longest overdue has been; 0 where none is.');
  const waiting = gauge('worker_reports_waiting', 'Reports that no sidecar has acknowledged yet.');
  const bookOk = gauge('worker_lease_book_ok', 'Whether the lease book can be written; where it cannot, nothing is given.');
  const bookFailures = counter('worker_lease_book_failures_total', 'How often it turned out since the start that the lease book cannot be written.');
  const refused = counter('worker_refused_total', 'What was turned away unanswered since the start, by reason.', ['code']);
  const bus = gauge('worker_bus_connected', 'Whether the bus is connected. None where there is no bus.');
  bus.remove();
  let look: (() => WorkerSeen) | null = null;

  const set = (seen: WorkerSeen): void => {
    armed.set(seen.armed);
    overdue.set(seen.overdue);
    overdueAge.set(seen.overdueMs / 1000);
    waiting.set(seen.reportsWaiting);
    bookOk.set(seen.bookOk ? 1 : 0);
    if (seen.busUp !== null) bus.set(seen.busUp ? 1 : 0);
    // Counted where they happen: these follow.
    bookFailures.reset();
    bookFailures.inc(seen.bookFailures);
    refused.reset();
    for (const { code, count } of seen.refused) refused.inc({ code }, count);
  };
  return {
    contentType: register.contentType,
    take({ kind, outcome }) {
      reports.inc({ kind, outcome: outcome ?? 'done' });
      if (kind === 'revoked' && GONE.has(outcome)) lastGone.set(nowMs() / 1000);
    },
    watch(seen) {
      look = seen;
    },
    async text() {
      if (look !== null) set(look());
      return register.metrics();
    },
  };
}
