/** What a run says of itself, signed with its key. Nobody else saw it: where no executor reads the target, evidence calls it self-reported. */
import { plainDetail, reportMaker, type MakeReport } from '../executor/reports.ts';
import type { ReportMessage } from '../protocol/envelope.ts';
import type { ActedReport, ActTicket } from '../protocol/signed.ts';
import type { RunKey } from './run-key.ts';

/** One run: whose it is, and the ticket that it opened. */
export interface Run {
  readonly key: RunKey;
  readonly ticket: ActTicket;
}

/** The run takes the ticket up. To be durable at the sidecar before its code does anything. */
export function claimedReport({ key, ticket }: Run, nowMs: number): ReportMessage {
  const { log, changeId, stepId, issue } = ticket;
  return reporter(key, nowMs)({ kind: 'claimed', log, changeId, stepId, issue });
}

/** What became of the run's code. */
export interface Acted {
  /** `done`: its code says that the change is made. `failed`: it says that it is not. `ambiguous`: it does not say. */
  readonly outcome: Extract<ActedReport['outcome'], 'done' | 'failed' | 'ambiguous'>;
  /** `exit-<n>` where a process ended; null for `done`. */
  readonly code: string | null;
  /** Shown to people; cut and cleaned. Never what the code printed: that may hold a secret. */
  readonly detail: string | null;
}

/** The run's last word on its ticket. */
export function actedReport({ key, ticket }: Run, { outcome, code, detail }: Acted, nowMs: number): ReportMessage {
  const { log, changeId, stepId, issue } = ticket;
  return reporter(key, nowMs)({
    kind: 'acted', log, changeId, stepId, issue, attempt: 1, outcome, code, detail: detail === null ? null : plainDetail(detail),
    before: null, after: null, byUse: 'notTried', seal: null,
  });
}

function reporter({ id, signer }: RunKey, nowMs: number): MakeReport {
  return reportMaker(id, signer, { nowMs: () => nowMs });
}
