/** What becomes of each change while it is verified, with the record of each thing that a report says of it. */
import { endDueMs } from '../change/work.ts';
import type { ChangeEvent } from '../change/events.ts';
import type { Audited } from '../evidence/audited.ts';
import { rowOf } from '../evidence/population.ts';
import type { Violation } from '../evidence/violation.ts';
import { readReport } from '../protocol/report.ts';
import { callerOf } from '../protocol/request.ts';
import { parseTime } from '../protocol/values.ts';
import type { ReportChange, Weighed } from './facts.ts';

type Writable<T> = { -readonly [K in keyof T]: T[K] };
export type Collected = Omit<Writable<ReportChange>, 'records' | 'findings' | 'violations'> & { records: number[]; findings: Map<string, { atMs: number; seq: number; message: string }>; violations: Violation[] };

/** The change as it is told once `event` has happened, of which record `seq` tells. The newest is the one that is kept: it grows in place. */
export function collected(before: Collected | null, after: Audited, event: ChangeEvent, seq: number): Collected {
  const row = rowOf(after, event, before, seq);
  const one: Collected = before === null ? { ...row, ...beginning(event) } : Object.assign(before, row);
  if (one.records.at(-1) !== seq) one.records.push(seq);
  one.lastAtMs = event.atMs;
  one.withoutEffect = after.withoutEffect;
  take(one, after, event, { atMs: event.atMs, seq });
  // Once it has ended, what is due of it is said no more.
  if (one.ended === null) one.dueMs = endDueMs(after.state) ?? one.dueMs;
  return one;
}

function beginning({ atMs }: ChangeEvent): Omit<Collected, keyof ReturnType<typeof rowOf>> {
  return {
    records: [], firstAtMs: atMs, lastAtMs: atMs, decision: null, weighed: [], approvals: [], authorised: null, effect: null, verified: null, ends: null, dueMs: null, ended: null, withoutEffect: false,
    exceptions: [], observed: null, glass: null, findings: new Map(), selfReported: false, violations: [], controls: 0n,
  };
}

function stillCounted(told: Collected['approvals'], { approvals }: Audited): Collected['approvals'] {
  return told.filter(({ person, proofClass, isStanding }) => approvals.some((one) => one.statement.approver === person && one.proofClass === proofClass && (one.standing === true) === isStanding));
}

function take(one: Collected, after: Audited, event: ChangeEvent, at: { readonly atMs: number; readonly seq: number }): void {
  const { state } = after;
  switch (event.type) {
    case 'change.revised':
      one.approvals = [];
      break;
    case 'policy.decided': {
      const { decision } = event.body;
      one.decision = { effect: decision.effect, codes: decision.reasons.map(({ code }) => code), seq: at.seq };
      if (isWeighed(decision.entitlements)) one.weighed = [...one.weighed, { ...at, change: event.changeId, entitlements: decision.entitlements, knowsUse: decision.entitlements.used.length > 0 || decision.reasons.some(({ code }) => code === 'held-unused') }];
      one.exceptions = (decision.exceptions ?? []).map((used) => ({ ...used, seq: at.seq }));
      if (event.body.uncounted !== undefined) one.approvals = stillCounted(one.approvals, after);
      break;
    }
    case 'approval.recorded': {
      // Only what was checked and holds counts.
      const checked = after.approvals.find(({ approvalId }) => approvalId === event.body.approval.approvalId);
      if (checked !== undefined) one.approvals = [...one.approvals, { person: checked.statement.approver, proofClass: checked.proofClass, isStanding: checked.standing === true, seq: at.seq }];
      break;
    }
    case 'approval.rejected':
      // Whoever has said no has not approved it, by whichever id.
      one.approvals = stillCounted(one.approvals, after);
      break;
    case 'breakglass.used':
      if (state.breakGlass !== null) one.glass = { by: state.breakGlass.statement.usedBy, seq: at.seq, reviewByMs: state.breakGlass.reviewByMs, review: null };
      break;
    case 'breakglass.reviewed':
      if (one.glass !== null) one.glass = { ...one.glass, review: { ...at, by: event.actor, verdict: event.body.verdict } };
      break;
    case 'step.authorised':
      if (event.body.kind !== 'act') break;
      one.authorised ??= at;
      if (event.body.lease !== null) one.ends = { ...at, endsAtMs: parseTime(event.body.lease.endsAt) };
      if (state.decision?.observed !== undefined) one.observed = { scope: state.decision.observed.scope, owner: state.decision.observed.owner, until: state.decision.observed.until, seq: at.seq };
      break;
    case 'step.succeeded':
      one.effect ??= at;
      if (callerOf(state.request) !== null) one.selfReported = !after.seen;
      break;
    case 'state.read':
      if (after.seen) one.selfReported = false;
      break;
    case 'entitlement.verified':
      one.verified = { ...at, effect: event.body.verification.effect };
      break;
    case 'lease.activated':
    case 'lease.extended':
      one.ends = { ...at, endsAtMs: parseTime(event.body.endsAt) };
      break;
    case 'lease.ended':
      if (one.ended === null) one.ended = { ...at, lateMs: one.dueMs === null ? null : parseTime(readReport(event.body.report, 'revoked').at) - one.dueMs };
      break;
    case 'finding.opened':
      one.findings.set(event.body.code, { ...at, message: event.body.message });
      break;
    case 'finding.closed':
      one.findings.delete(event.body.code);
      break;
    default:
      break;
  }
}

/** Whether the decision was about entitlements at all: of a rotation, say, or of a fault, it says nothing of them. */
const isWeighed = ({ requested, held, used, excess }: Weighed['entitlements']): boolean => [requested, held, used, excess].some((those) => those.length > 0);
