/**
 * The state of one change, as a fold of its events.
 *
 * ```
 *                                   ┌────────── revise (approvals void) ──────────┐
 *                                   ▼                                             │
 *  request ─▶ requested ─ decided ─▶ pending ── approved ─▶ scheduled ─ dispatch ─┴▶ authorised ─ claimed ─▶ executing
 *                │  ▲ state.read        │ │ │                   ▲ │ deny                │  │                     │
 *                │  └─ (read ticket)    │ │ └ expired           │ └▶ denied             │  └ refused: next issue │ succeeded
 *                └─ deny ─▶ denied      │ └ rejected     allow ─┘                       │    or failed           ▼
 *                                       └ withdraw ─▶ withdrawn ◀─ withdrawing ◀────────┘                    verifying
 *                                                                                                             │      │
 *         revoked ◀─ lease.ended ─ revoking ◀─ revoke order ─ active (lease) ◀── verified ────────────────────┤      │ denied
 *            ▲                                                  │   done (no lease) ◀──────────────────────────┘      ▼
 *            └────────────── lease.ended, on time ──────────────┘                  failed ◀─ lease.ended ─ revoking (compensation)
 * ```
 * `stuck` is shown while a finding of the change is open and it waits: owned, retried, never silent. `extend` and `rotate` join this picture
 * as kinds of their own; an offboarding is a parent whose children are `revoke` changes.
 */
import { isSatisfied, type Decision, type Requirement, type Verification } from '../protocol/decision.ts';
import { payloadDigest, readPayload } from '../protocol/dsse.ts';
import type { Plan, TargetState } from '../protocol/plan.ts';
import type { ChangeRequest } from '../protocol/request.ts';
import {
  actedReportSchema, approvalStatementSchema, revokedReportSchema, revokeOrderSchema, reportSchema, ticketSchema,
  type ActedReport, type Approval, type ApprovalStatement, type Dsse, type Report, type RevokedReport, type RevokeOrder, type Seal,
} from '../protocol/signed.ts';
import { parseTime } from '../protocol/values.ts';
import type { ChangeEvent, FindingCode } from './events.ts';

export const STATES = [
  'requested', 'denied', 'pending', 'rejected', 'expired', 'withdrawing', 'withdrawn', 'scheduled', 'authorised', 'executing', 'verifying',
  'active', 'done', 'revoking', 'revoked', 'failed', 'stuck',
] as const;
export type StateName = (typeof STATES)[number];

/** States that nothing follows. `done` and `active` are not among them: what was given can be taken back. */
export const FINAL_STATES: ReadonlySet<StateName> = new Set(['denied', 'rejected', 'expired', 'withdrawn', 'revoked', 'failed']);

export interface IssuedTicket {
  readonly stepId: string;
  readonly issue: number;
  readonly ticket: Dsse;
  readonly audience: string;
  readonly notAfterMs: number;
  /** Index of the record that authorised it: its receipt. */
  readonly seq: number;
  /** Refused or failed by the executor for a reason that another issue may mend. */
  readonly spent: boolean;
}

export interface Lease {
  readonly leaseId: string;
  readonly epoch: number;
  readonly endsAtMs: number;
  readonly order: Dsse;
  readonly orderDigest: string;
  readonly armed: boolean;
  readonly active: boolean;
}

export interface EarlyRevoke {
  readonly order: Dsse;
  readonly content: RevokeOrder;
  readonly seq: number;
}

export interface ChangeState {
  readonly changeId: string;
  readonly name: Exclude<StateName, 'stuck'>;
  readonly request: ChangeRequest;
  readonly requester: readonly string[];
  readonly idempotency: { readonly key: string; readonly request: string } | null;
  readonly revision: number;
  readonly requestedAtMs: number;
  readonly read: IssuedTicket | null;
  readonly before: TargetState | null;
  readonly plan: Plan | null;
  readonly planDigest: string | null;
  readonly decision: Decision | null;
  /** The strictest of every decision so far: it never shrinks while the change is open. */
  readonly requirement: Requirement;
  readonly approvalsByMs: number | null;
  /** Of this revision and plan only. */
  readonly approvals: readonly { readonly approval: Approval; readonly statement: ApprovalStatement; readonly seq: number }[];
  /** The decision before dispatch that no ticket has used up yet. */
  readonly dispatch: { readonly atMs: number; readonly planDigest: string } | null;
  readonly act: IssuedTicket | null;
  readonly claimed: boolean;
  /** The newest attempt of which the executor said that it does not know its outcome; 0 for none. */
  readonly ambiguousAttempt: number;
  readonly result: ActedReport | null;
  readonly after: TargetState | null;
  readonly verification: Verification | null;
  readonly lease: Lease | null;
  readonly revokes: readonly EarlyRevoke[];
  readonly ended: RevokedReport | null;
  readonly delivery: { readonly seal: Seal; readonly status: 'sealed' | 'acknowledged' | 'undeliverable' } | null;
  readonly findings: ReadonlyMap<FindingCode, { readonly message: string; readonly owner: string | null; readonly atMs: number }>;
  /** How many records this change has. */
  readonly length: number;
  readonly lastSeq: number;
  readonly lastAtMs: number;
}

const NO_REQUIREMENT: Requirement = { approvers: null, proofClass: 'session' };

/** What people see: `stuck` while a finding is open and the change is not where it should be. */
export function shownState(state: ChangeState): StateName {
  const waiting = ['requested', 'scheduled', 'authorised', 'executing', 'verifying', 'revoking', 'withdrawing', 'active'].includes(state.name);
  return waiting && state.findings.size > 0 ? 'stuck' : state.name;
}

/** The people whose approval of exactly this plan counts at `nowMs`: distinct, not expired, none of the requesters. */
export function approvedBy(state: ChangeState, nowMs: number): Set<string> {
  const people = state.approvals
    .filter(({ statement }) => statement.revision === state.revision && statement.planDigest === state.planDigest)
    .filter(({ statement }) => parseTime(statement.expiresAt) > nowMs && !state.requester.includes(statement.approver))
    .map(({ statement }) => statement.approver);
  return new Set(people);
}

export function requirementIsMet(state: ChangeState, nowMs: number): boolean {
  return state.requirement.approvers === null || isSatisfied(state.requirement.approvers, approvedBy(state, nowMs));
}

/** The state after `event`. Pure and total: an event that is in the ledger has happened, whatever this code thinks of it. */
export function evolve(state: ChangeState | null, event: ChangeEvent): ChangeState {
  const base = state === null ? opened(event) : { ...state, length: state.length + 1, lastSeq: event.seq, lastAtMs: event.atMs };
  switch (event.type) {
    case 'change.requested':
      return base;
    case 'change.revised':
      return { ...base, name: 'requested', revision: event.body.revision, request: event.body.request, ...NOT_PLANNED };
    case 'change.withdrawn':
      return { ...base, name: base.act === null || base.result !== null ? 'withdrawn' : 'withdrawing' };
    case 'change.expired':
      return { ...base, name: 'expired' };
    case 'policy.decided':
      return afterDecision(base, event.body, event.atMs, event.attached?.plan);
    case 'approval.recorded': {
      const statement = readPayload(event.body.approval.envelope, approvalStatementSchema);
      const next = { ...base, approvals: [...base.approvals, { approval: event.body.approval, statement, seq: event.seq }] };
      return next.name === 'pending' && requirementIsMet(next, event.atMs) ? { ...next, name: 'scheduled' } : next;
    }
    case 'approval.rejected':
      return { ...base, name: 'rejected' };
    case 'step.authorised':
      return afterAuthorisation(base, event.body, event.seq);
    case 'state.read':
      return { ...base, before: event.attached?.before ?? base.before };
    case 'step.claimed':
      return { ...base, claimed: true, name: base.name === 'authorised' ? 'executing' : base.name };
    case 'step.succeeded': {
      const result = readPayload(event.body.report, actedReportSchema);
      const name = base.name === 'authorised' || base.name === 'executing' ? 'verifying' : base.name;
      return { ...base, result, after: event.attached?.after ?? null, name };
    }
    case 'step.ambiguous':
      return { ...base, ambiguousAttempt: readPayload(event.body.report, actedReportSchema).attempt };
    case 'step.refused':
      return afterRefusal(base, readPayload(event.body.report, reportSchema));
    case 'step.failed':
      return { ...base, name: afterNothing(base) };
    case 'lease.armed':
      return base.lease === null ? base : { ...base, lease: { ...base.lease, armed: true } };
    case 'lease.activated':
      return base.lease === null ? base : { ...base, name: base.name === 'verifying' ? 'active' : base.name, lease: { ...base.lease, active: true } };
    case 'lease.ended':
      return afterEnd(base, readPayload(event.body.report, revokedReportSchema));
    case 'entitlement.verified': {
      const next = { ...base, verification: event.body.verification };
      if (base.name !== 'verifying') return next;
      if (event.body.verification.effect === 'deny') return next;
      return base.lease === null ? { ...next, name: 'done' } : next;
    }
    case 'delivery.sealed':
      return { ...base, delivery: { seal: event.body.seal, status: 'sealed' } };
    case 'delivery.acknowledged':
      return base.delivery === null ? base : { ...base, delivery: { ...base.delivery, status: 'acknowledged' } };
    case 'delivery.undeliverable':
      return base.delivery === null ? base : { ...base, delivery: { ...base.delivery, status: 'undeliverable' } };
    case 'finding.opened': {
      const { code, message, owner } = event.body;
      return { ...base, findings: new Map(base.findings).set(code, { message, owner, atMs: event.atMs }) };
    }
    case 'finding.closed': {
      const findings = new Map(base.findings);
      findings.delete(event.body.code);
      return { ...base, findings };
    }
  }
}

const NOT_PLANNED = {
  read: null, before: null, plan: null, planDigest: null, decision: null, approvalsByMs: null, approvals: [], dispatch: null,
} as const;

function opened(event: ChangeEvent): ChangeState {
  if (event.type !== 'change.requested') throw new Error(`a change begins with change.requested, not ${event.type} (record ${event.seq})`);
  return {
    changeId: event.changeId, name: 'requested', request: event.body.request, requester: event.body.requester, idempotency: event.body.idempotency,
    revision: 1, requestedAtMs: event.atMs, ...NOT_PLANNED, requirement: NO_REQUIREMENT, act: null, claimed: false, ambiguousAttempt: 0, result: null, after: null,
    verification: null, lease: null, revokes: [], ended: null, delivery: null, findings: new Map(),
    length: 1, lastSeq: event.seq, lastAtMs: event.atMs,
  };
}

function afterDecision(base: ChangeState, body: Extract<ChangeEvent, { type: 'policy.decided' }>['body'], atMs: number, plan: Plan | undefined): ChangeState {
  const approvalsByMs = body.approvalsBy === null ? base.approvalsByMs : parseTime(body.approvalsBy);
  const decided: ChangeState = { ...base, decision: body.decision, requirement: body.requirement, approvalsByMs };
  if (body.phase === 'request') {
    const planned: ChangeState = { ...decided, plan: plan ?? null, planDigest: body.planDigest };
    if (body.decision.effect === 'deny') return { ...planned, name: 'denied' };
    return { ...planned, name: requirementIsMet(planned, atMs) ? 'scheduled' : 'pending' };
  }
  if (body.decision.effect === 'deny') {
    // An earlier issue of the ticket may have been carried out, unheard of: what it may have given is taken back. A revoke gives nothing.
    return { ...decided, name: base.act === null || base.plan?.kind === 'revoke' ? 'denied' : 'revoking', dispatch: null };
  }
  if (!requirementIsMet(decided, atMs)) {
    // A ticket that ran out is not issued again on approvals that no longer suffice: like a denial, but nobody said no.
    return { ...decided, name: base.act === null ? 'pending' : base.plan?.kind === 'revoke' ? 'failed' : 'revoking', dispatch: null };
  }
  return { ...decided, dispatch: body.planDigest === null ? null : { atMs, planDigest: body.planDigest } };
}

function afterAuthorisation(base: ChangeState, body: Extract<ChangeEvent, { type: 'step.authorised' }>['body'], seq: number): ChangeState {
  if (body.kind === 'revoke') {
    const content = readPayload(body.order, revokeOrderSchema);
    return { ...base, revokes: [...base.revokes, { order: body.order, content, seq }], name: base.name === 'withdrawing' ? base.name : 'revoking' };
  }
  const ticket = readPayload(body.ticket, ticketSchema);
  const issued: IssuedTicket = {
    stepId: body.stepId, issue: body.issue, ticket: body.ticket, audience: ticket.audience, notAfterMs: parseTime(ticket.notAfter), seq, spent: false,
  };
  if (body.kind === 'read') return { ...base, read: issued };
  const lease: Lease | null = body.lease === null ? null : {
    leaseId: body.lease.leaseId, epoch: body.lease.epoch, endsAtMs: parseTime(body.lease.endsAt), order: body.lease.order,
    orderDigest: payloadDigest(body.lease.order), armed: base.lease?.armed ?? false, active: false,
  };
  return { ...base, act: issued, claimed: false, dispatch: null, lease, name: base.name === 'scheduled' ? 'authorised' : base.name };
}

function afterEnd(base: ChangeState, ended: RevokedReport): ChangeState {
  const gaveNothing = base.result?.outcome !== 'done';
  const compensated = base.verification?.effect === 'deny';
  const name = base.name === 'withdrawing' ? 'withdrawn' : gaveNothing || compensated ? 'failed' : 'revoked';
  return { ...base, ended, name };
}

/** The step came to nothing. A revoke that was ordered meanwhile is still to be answered: only its end is the end of the change. */
function afterNothing({ name, revokes }: ChangeState): ChangeState['name'] {
  if (revokes.length > 0) return name;
  return name === 'withdrawing' ? 'withdrawn' : 'failed';
}

/** Refusals that another issue of the ticket may mend. Any other ends the change: what was refused once is not asked for again. */
export const RETRYABLE_REFUSALS: ReadonlySet<string> = new Set(['outside-window', 'inconsistent-checkpoint', 'no-receipt', 'untrusted-checkpoint']);

function afterRefusal(base: ChangeState, report: Report): ChangeState {
  if (report.kind !== 'read' && report.kind !== 'acted') return base;
  if (!RETRYABLE_REFUSALS.has(report.code ?? '')) return { ...base, name: afterNothing(base) };
  if (report.kind === 'read') return base.read?.issue === report.issue ? { ...base, read: { ...base.read, spent: true } } : base;
  return base.act?.issue === report.issue ? { ...base, claimed: false, dispatch: null, act: { ...base.act, spent: true } } : base;
}
