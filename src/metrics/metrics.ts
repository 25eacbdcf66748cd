/**
 * What a sidecar is doing, as Prometheus reads it. What is there now is read from the fold when somebody asks; what happened since the start is counted as
 * it is sequenced. No id, name or word of anybody is a label: each label has a value from a closed list, or from the configuration.
 *
 * @see https://prometheus.io/docs/practices/naming/
 */
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { ChangeEvent } from '../change/events.ts';
import type { ChangeState } from '../change/state.ts';
import { endDueMs } from '../change/work.ts';
import { readPayload } from '../protocol/dsse.ts';
import { readReport } from '../protocol/report.ts';
import { revokeOrderSchema } from '../protocol/signed.ts';
import { parseTime } from '../protocol/values.ts';

/** What is read at each scrape. */
export interface Watched {
  readonly nowMs: () => number;
  /** Changes that something is due for or awaited of. */
  readonly open: () => Iterable<ChangeState>;
  readonly ledger: () => { readonly records: number; readonly signed: number };
  /** The checks of `/readyz`. */
  readonly readiness: () => { readonly ready: boolean; readonly checks: readonly { readonly check: string; readonly ok: boolean }[] };
  readonly facts: () => { readonly loadedAtMs: number };
  /** null where none is in force. */
  readonly bundle: () => string | null;
}

export interface Metrics {
  readonly contentType: string;
  /** Counts what was sequenced. Never throws: it is called where records are made. */
  take(state: ChangeState, events: readonly ChangeEvent[]): void;
  /** @param route the template, never the path: ids are in paths */
  answered(route: string, method: string, status: number, seconds: number): void;
  watch(watched: Watched): void;
  /** The exposition, as of now. */
  text(): Promise<string>;
}

/** Reasons come from policy, which may have any number of them: so many are told apart. */
const CODES_MAX = 200;
const LATENESS_BUCKETS = [0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60, 300, 1_800, 3_600, 21_600, 86_400];

export function openMetrics(version: string): Metrics {
  const register = new Registry();
  const registers = [register];
  collectDefaultMetrics({ register });
  new Gauge({ name: 'countersign_build_info', help: 'Which version runs; 1.', labelNames: ['version'], registers }).set({ version }, 1);
  const records = new Counter({ name: 'countersign_records_total', help: 'Records about changes that were sequenced since the start.', labelNames: ['type'], registers });
  const decisions = new Counter({ name: 'countersign_decisions_total', help: 'Decisions of policy about changes, since the start.', labelNames: ['phase', 'effect'], registers });
  const reasons = new Counter({ name: 'countersign_decision_reasons_total', help: 'Reasons that decisions gave, by code, since the start.', labelNames: ['code'], registers });
  const lateness = new Histogram({ name: 'countersign_revocation_lateness_seconds', help: 'How long after it was due access was reported gone.', buckets: LATENESS_BUCKETS, registers });
  const requests = new Counter({ name: 'countersign_http_requests_total', help: 'Requests that were answered.', labelNames: ['route', 'method', 'status'], registers });
  const durations = new Histogram({ name: 'countersign_http_request_duration_seconds', help: 'From a request until its answer; those that wait for a change wait on purpose.', labelNames: ['route', 'method'], registers });
  const codes = new Set<string>();
  const codeLabel = (code: string): string => {
    if (codes.has(code) || codes.size < CODES_MAX) codes.add(code);
    return codes.has(code) ? code : 'other';
  };
  let watched: Watched | null = null;
  const gauges = openGauges(registers);

  const count = (event: ChangeEvent): void => {
    records.inc({ type: event.type });
    if (event.type === 'policy.decided') {
      const { phase, decision } = event.body;
      decisions.inc({ phase, effect: decision.effect });
      for (const code of new Set(decision.reasons.map((reason) => reason.code))) reasons.inc({ code: codeLabel(code) });
    }
    if (event.type === 'lease.ended') {
      const late = parseTime(readReport(event.body.report, 'revoked').at) - parseTime(readPayload(event.body.order, revokeOrderSchema).notBefore);
      lateness.observe(Math.max(0, late / 1000));
    }
  };
  return {
    contentType: register.contentType,
    take(_state, events) {
      for (const event of events) {
        try {
          count(event);
        } catch {
          // What cannot be read is not counted: nothing that is recorded waits for being counted.
        }
      }
    },
    answered(route, method, status, seconds) {
      requests.inc({ route, method, status: String(status) });
      durations.observe({ route, method }, seconds);
    },
    watch(sources) {
      watched = sources;
    },
    async text() {
      if (watched !== null) setGauges(gauges, watched);
      return register.metrics();
    },
  };
}

type Gauges = ReturnType<typeof openGauges>;

function openGauges(registers: Registry[]) {
  const gauge = (name: string, help: string, labelNames: readonly string[] = []): Gauge => new Gauge({ name: `countersign_${name}`, help, labelNames: [...labelNames], registers });
  return {
    changes: gauge('changes_open', 'Changes that something is due for or awaited of, by state.', ['state']),
    pending: gauge('approvals_pending', 'Changes that wait for approvals.'),
    pendingAge: gauge('approvals_pending_oldest_seconds', 'For how long the one that has waited longest has; 0 where none waits.'),
    leases: gauge('leases_active', 'Leases that run.'),
    overdue: gauge('revocations_overdue', 'Access whose end is due and that nobody has reported gone.'),
    overdueAge: gauge('revocations_overdue_oldest_seconds', 'For how long the end that is longest overdue has been; 0 where none is.'),
    findings: gauge('findings_open', 'Findings that are open, by code.', ['code']),
    glasses: gauge('break_glass_reviews_due', 'Glasses that were broken and that nobody has reviewed.'),
    records: gauge('ledger_records', 'Records of the ledger.'),
    unsigned: gauge('ledger_unsigned_records', 'Records that no checkpoint covers yet.'),
    ready: gauge('ready', 'Whether /readyz is well.'),
    checks: gauge('check_ok', 'Each check of /readyz: 1 where it is well.', ['check']),
    factsAge: gauge('facts_age_seconds', 'How old the facts in force are.'),
    bundle: gauge('bundle_info', 'Which policy bundle is in force; 1. None where nothing is given.', ['bundle']),
  };
}

function setGauges(gauges: Gauges, { nowMs, open, ledger, readiness, facts, bundle }: Watched): void {
  const atMs = nowMs();
  const states = new Map<string, number>();
  const findings = new Map<string, number>();
  const sum = { pending: 0, pendingSinceMs: atMs, leases: 0, overdue: 0, overdueSinceMs: atMs, glasses: 0 };
  for (const state of open()) {
    states.set(state.name, (states.get(state.name) ?? 0) + 1);
    for (const code of state.findings.keys()) findings.set(code, (findings.get(code) ?? 0) + 1);
    if (state.name === 'pending') {
      sum.pending += 1;
      sum.pendingSinceMs = Math.min(sum.pendingSinceMs, state.pendingSinceMs ?? atMs);
    }
    if (state.lease?.active === true && state.ended === null) sum.leases += 1;
    const dueMs = state.ended === null ? endDueMs(state) : null;
    if (dueMs !== null && dueMs <= atMs) {
      sum.overdue += 1;
      sum.overdueSinceMs = Math.min(sum.overdueSinceMs, dueMs);
    }
    if (state.breakGlass !== null && state.breakGlass.review === null) sum.glasses += 1;
  }
  setEach(gauges.changes, 'state', states);
  setEach(gauges.findings, 'code', findings);
  gauges.pending.set(sum.pending);
  gauges.pendingAge.set((atMs - sum.pendingSinceMs) / 1000);
  gauges.leases.set(sum.leases);
  gauges.overdue.set(sum.overdue);
  gauges.overdueAge.set((atMs - sum.overdueSinceMs) / 1000);
  gauges.glasses.set(sum.glasses);
  const { records, signed } = ledger();
  gauges.records.set(records);
  gauges.unsigned.set(Math.max(0, records - signed));
  const { ready, checks } = readiness();
  gauges.ready.set(ready ? 1 : 0);
  setEach(gauges.checks, 'check', checks.map(({ check, ok }) => [check, ok ? 1 : 0] as const));
  gauges.factsAge.set(Math.max(0, (atMs - facts().loadedAtMs) / 1000));
  const inForce = bundle();
  setEach(gauges.bundle, 'bundle', inForce === null ? [] : [[inForce, 1]]);
}

/** These values and no others: what is gone is not told on. */
function setEach(gauge: Gauge, label: string, values: Iterable<readonly [string, number]>): void {
  gauge.reset();
  for (const [value, number] of values) gauge.set({ [label]: value }, number);
}
