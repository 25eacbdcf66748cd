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
 * A plan of several steps goes round once more for each: verified ─▶ staged ─ dispatch ─▶ authorised. A rotation that comes to nothing before
 * its cutover is undone (revoking ─▶ failed); from the cutover on it goes forward only. An extension is `done` once it is verified: the lease
 * that ends later is in the state of the change that gave it, which stays `active` (`lease.extended`). An offboarding is `executing` until each of its items
 * is gone. `stuck` is shown while a finding of the change is open and it waits: owned, retried, never silent.
 */
import { enforcedUnder, fewestRejections, isSatisfied, meets, soonestEscalation, strictest, type Decision, type Escalation, type Requirement, type Verification } from '../protocol/decision.ts';
import { payloadDigest, readPayload } from '../protocol/dsse.ts';
import { isUndoable, type Plan, type PlanStep, type TargetState } from '../protocol/plan.ts';
import type { Prose } from '../protocol/disclosure.ts';
import { isEmergency, type RecordedRequest } from '../protocol/request.ts';
import { readReport } from '../protocol/report.ts';
import {
  approvalStatementSchema, revokeOrderSchema, reportSchema, ticketSchema,
  type ActedReport, type Approval, type ApprovalStatement, type Dsse, type Report, type RevokedReport, type RevokeOrder, type Seal,
} from '../protocol/signed.ts';
import { statementIn } from '../protocol/standing-approval.ts';
import { parseTime } from '../protocol/values.ts';
import { become } from './become.ts';
import { brokenBy, endedAt, isGlassBroken, lentUnder, reviewedBy, settledBy, type BrokenGlass } from './break-glass.ts';
import { leaseSecondsOf, logOf } from './derive.ts';
import type { ChangeEvent, Channel, EventBody, FindingCode } from './events.ts';
import { idsOf, isRejected, outcomeOfRejection } from './rejecting.ts';

export const STATES = [
  'requested', 'denied', 'pending', 'rejected', 'expired', 'withdrawing', 'withdrawn', 'scheduled', 'authorised', 'executing', 'verifying',
  'staged', 'active', 'done', 'revoking', 'revoked', 'failed', 'stuck',
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
  /** A broken glass stands for its approvals. Absent: none does. */
  readonly isGlassBroken?: true;
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

/** What an `extend` does to another change's lease. It has none of its own. */
export interface Extension extends Omit<Lease, 'active'> {
  /** The change whose lease it is. */
  readonly change: string;
}

/** The order of an earlier epoch, which may still be armed where it would act without the sidecar. */
export interface Superseded {
  readonly epoch: number;
  readonly order: Dsse;
  readonly orderDigest: string;
}

export interface EarlyRevoke {
  readonly order: Dsse;
  readonly content: RevokeOrder;
  readonly seq: number;
}

/** A step that has been carried out and verified. */
export interface FinishedStep {
  readonly stepId: string;
  readonly result: ActedReport;
  readonly verification: Verification;
}

/** What became of one item of an offboarding. */
export interface ItemState {
  /** What takes it back. */
  readonly change: string;
  /** How often it was begun. */
  readonly attempts: number;
  readonly outcome: 'gone' | 'open' | null;
  readonly owner: string | null;
  readonly detail: string | null;
}

/** Where somebody decided; no channel: by a request with a token. */
interface DecidedWhere {
  readonly channel?: Channel | 'relay';
}

export interface ChangeState {
  readonly changeId: string;
  readonly name: Exclude<StateName, 'stuck'>;
  /** Its reason is the text while that is there. */
  readonly request: RecordedRequest;
  readonly requester: readonly string[];
  /** `reason`: of the request that came with the key. */
  readonly idempotency: { readonly key: string; readonly request: string; readonly reason: Prose } | null;
  /** The offboarding that this is an item of. */
  readonly parent: string | null;
  /** The log that it was begun under, or was carried on by, before this one: nothing is gained by it any more. null for a change of this log. */
  readonly adoptedFrom: string | null;
  /** The sidecar that records what comes about it now: of its own log, or of the newest that has adopted it. */
  readonly keptBy: string;
  readonly revision: number;
  /** Who made this revision out of an earlier one, by taking something off; null where it is as it was asked for. */
  readonly reduced: { readonly by: string; readonly revision: number; readonly atMs: number } | null;
  readonly requestedAtMs: number;
  readonly read: IssuedTicket | null;
  readonly before: TargetState | null;
  readonly plan: Plan | null;
  readonly planDigest: string | null;
  readonly decision: Decision | null;
  /** The strictest of every decision so far: it never shrinks while the change is open. */
  readonly requirement: Requirement;
  /** What of it the sidecar's own floor asked for beyond policy, at any time; null: nothing. */
  readonly floor: Requirement | null;
  readonly approvalsByMs: number | null;
  /** The soonest, to the most people, of every decision so far: like the requirement, it never shrinks. */
  readonly escalation: Escalation | null;
  /** When this revision last came to wait for approvals. */
  readonly pendingSinceMs: number | null;
  /** Who was told as well, of this revision: once. */
  readonly escalated: { readonly to: readonly string[]; readonly dueAtMs: number; readonly atMs: number } | null;
  /** Of this revision and plan only. */
  readonly approvals: readonly ({ readonly approval: Approval; readonly statement: ApprovalStatement; readonly seq: number } & DecidedWhere)[];
  /** How many people must reject before that ends the change, by the strictest of every decision so far: the fewest. null: nobody was asked yet. */
  readonly rejectionsDue: number | null;
  /** Of this revision and plan only, one of each person. */
  readonly rejections: readonly ({ readonly approval: Approval; readonly statement: ApprovalStatement; readonly seq: number; /** By which else she is asked. */ readonly otherIds?: readonly string[] } & DecidedWhere)[];
  /** Every id of those who have rejected this plan, or one before it: what they had approved beforehand does not approve another. */
  readonly rejecters: ReadonlySet<string>;
  /** Somebody has broken the glass: of one revision and plan, and owed a review whatever becomes of them. */
  readonly breakGlass: BrokenGlass | null;
  /** The decision before dispatch that no ticket has used up yet. */
  readonly dispatch: { readonly atMs: number; readonly planDigest: string } | null;
  /** Policy said not before then; asked again from then on. */
  readonly heldUntilMs: number | null;
  /** How often in a row policy was asked before dispatch, and did not let go on what may not be undone. */
  readonly askedInVain: number;
  /** Of the plan's window. */
  readonly window: 'none' | 'opened' | 'closed';
  /** Steps that are done, in the plan's order. What follows is about the step after them, or, until that has a ticket, still about the last of them. */
  readonly finished: readonly FinishedStep[];
  /** When the first step was authorised: its approvals stand for the steps after it. */
  readonly firstActAtMs: number | null;
  /** When the first step was verified, of several. */
  readonly stagedAtMs: number | null;
  /** Consumers that use the new credential. */
  readonly confirmed: ReadonlySet<string>;
  readonly act: IssuedTicket | null;
  readonly claimed: boolean;
  readonly claimedAtMs: number | null;
  /** Mode `caller`: nothing was heard by the deadline. */
  readonly silent: boolean;
  /** Mode `caller`: the read that sees what the caller's code has done; `spent` where the target will not tell. */
  readonly readAfter: IssuedTicket | null;
  /** The newest attempt of which the executor said that it does not know its outcome; 0 for none. */
  readonly ambiguousAttempt: number;
  readonly result: ActedReport | null;
  readonly after: TargetState | null;
  readonly verification: Verification | null;
  readonly lease: Lease | null;
  /** Of the lease, oldest first: extended since, and not yet disarmed. */
  readonly superseded: readonly Superseded[];
  /** Of an `extend` that was authorised. */
  readonly extension: Extension | null;
  readonly revokes: readonly EarlyRevoke[];
  /** The last answer of policy's about the lease while it runs; null while that is that it is kept. */
  readonly redecision: { readonly effect: 'revoke' | 'finding'; readonly codes: readonly string[]; readonly input: string; readonly isHeld: boolean } | null;
  readonly ended: RevokedReport | null;
  readonly delivery: { readonly seal: Seal; readonly status: 'sealed' | 'acknowledged' | 'undeliverable' } | null;
  /** Of an offboarding, by number. */
  readonly items: ReadonlyMap<number, ItemState>;
  readonly findings: ReadonlyMap<FindingCode, { readonly message: string; readonly owner: string | null; readonly atMs: number }>;
  /** How many records this change has. */
  readonly length: number;
  readonly lastSeq: number;
  readonly lastAtMs: number;
}

const NO_REQUIREMENT: Requirement = { approvers: null, proofClass: 'session' };

/** Of a lease that runs as it should: open while policy's last answer about it is no `keep`, and nothing was ordered on that. */
export const REDECISION_FINDINGS = ['lease-denied', 'lease-revoke-held'] as const satisfies readonly FindingCode[];

/** Findings about what people owe, which keep the change from nothing. */
const AGAINST_NOBODY: ReadonlySet<FindingCode> = new Set([...REDECISION_FINDINGS, 'review-overdue', 'rotation-overdue']);

/** What people see: `stuck` while a finding is open and the change is not where it should be. */
export function shownState(state: ChangeState): StateName {
  const waiting = ['requested', 'scheduled', 'authorised', 'executing', 'verifying', 'staged', 'revoking', 'withdrawing', 'active'].includes(state.name);
  const keepsItFrom = [...state.findings.keys()].some((code) => !AGAINST_NOBODY.has(code));
  return waiting && keepsItFrom ? 'stuck' : state.name;
}

/** The step that is due or under way; null once all are done. */
export function stepOf(state: Pick<ChangeState, 'plan' | 'finished'>): PlanStep | null {
  return state.plan?.steps[state.finished.length] ?? null;
}

/** Whether something was or may have been given that an order takes back. */
export function mayHaveGiven(state: Pick<ChangeState, 'plan' | 'act'>): boolean {
  return state.act !== null && (state.plan === null || state.plan.steps.some(({ action }) => isUndoable(action)));
}

/** Whether a rotation has switched over: from then on taking the new credential back could leave none. */
export function isPastCutover(state: Pick<ChangeState, 'plan' | 'finished'>): boolean {
  return state.plan?.steps.slice(0, state.finished.length).some(({ action }) => action === 'cutover') ?? false;
}

/** Whether what the change gave may be taken back without being asked: not once somebody has moved over to the new credential of a rotation. */
export function mayRollBack(state: Pick<ChangeState, 'plan' | 'finished' | 'confirmed'>): boolean {
  return !isPastCutover(state) && state.confirmed.size === 0;
}

/** Whether something that the change gave may still be there. A rotation that was given up past its cutover has left its new credential. */
export function stillGives(state: ChangeState): boolean {
  if (state.ended !== null || !mayHaveGiven(state)) return false;
  return !FINAL_STATES.has(state.name) || state.lease !== null || (state.name === 'withdrawn' && isPastCutover(state));
}

/**
 * The people whose approval of exactly this plan counts at `nowMs`: distinct, not expired, none of the requesters. The steps after the
 * first go on under the approvals that it was authorised with: half a rotation must not be left standing because a day has passed.
 */
export function approvedBy(state: ChangeState, nowMs: number, demanded = state.requirement.proofClass, decision = state.decision): Set<string> {
  return new Set(inForceAt(state, nowMs, decision).filter(({ approval }) => meets(approval.proofClass, demanded)).map(({ statement }) => statement.approver));
}

export function inForceAt(state: ChangeState, nowMs: number, decision: Decision | null): ChangeState['approvals'][number][] {
  const asOfMs = state.finished.length > 0 && state.firstActAtMs !== null ? Math.min(nowMs, state.firstActAtMs) : nowMs;
  return state.approvals
    .filter(({ statement }) => statement.revision === state.revision && statement.planDigest === state.planDigest)
    .filter(({ approval, statement }) => approval.use === undefined || (standingCounts(state, decision) && !state.rejecters.has(statement.approver)))
    .filter(({ statement }) => parseTime(statement.expiresAt) > asOfMs && !state.requester.includes(statement.approver));
}

/** The change without these approvals. */
export function withoutApprovals(state: ChangeState, approvalIds: readonly string[]): ChangeState {
  return { ...state, approvals: state.approvals.filter(({ approval }) => !approvalIds.includes(approval.approvalId)) };
}

/** As many as a step names. */
const NAMED_MAX = 32;

/**
 * The approvals that a step is authorised with at `nowMs`: those in force. Where they are more than a record and an envelope may have, of each person the best
 * proven, and beside it her standing one.
 */
export function approvalsToName(state: ChangeState, nowMs: number): Approval[] {
  const inForce = inForceAt(state, nowMs, state.decision);
  if (inForce.length <= NAMED_MAX) return inForce.map(({ approval }) => approval);
  const best = new Map<string, ChangeState['approvals'][number]>();
  for (const one of inForce) {
    const key = `${one.approval.use === undefined} ${one.statement.approver}`;
    const known = best.get(key);
    if (known === undefined || meets(one.approval.proofClass, known.approval.proofClass)) best.set(key, one);
  }
  // Who has seen the plan first.
  return [...best.values()].sort((a, b) => Number(a.approval.use !== undefined) - Number(b.approval.use !== undefined)).slice(0, NAMED_MAX).map(({ approval }) => approval);
}

/** Whether somebody who is asked may still say no: nobody has looked at the plan that a standing approval approves, and nothing of it has begun. */
export function mayStillBeRejected({ name, act, approvals }: Pick<ChangeState, 'name' | 'act' | 'approvals'>): boolean {
  return name === 'pending' || (name === 'scheduled' && act === null && approvals.some(({ approval }) => approval.use !== undefined));
}

/** Whether standing approvals count: while the newest decision says so. The steps after the first go on under those that it was authorised with. */
export function standingCounts({ finished, request }: Pick<ChangeState, 'finished' | 'request'>, decision: Decision | null): boolean {
  const allowed = decision?.obligations.standingApproval;
  return finished.length > 0 || (allowed !== undefined && !isEmergency(request) && (leaseSecondsOf(request) ?? (request.kind === 'rotate' ? 0 : Infinity)) <= allowed.maxLeaseSeconds);
}

/** Whether what is enforced of the requirement is met, by approvals or by a broken glass: under observe nothing of it is. */
export function requirementIsMet(state: ChangeState, nowMs: number): boolean {
  const { approvers } = enforcedUnder(state.decision, state.requirement);
  return approvers === null || isSatisfied(approvers, approvedBy(state, nowMs)) || isGlassBroken(state, state.decision, nowMs);
}

/** The state after `event`. Pure and total: an event that is in the ledger has happened, whatever this code thinks of it. */
export function evolve(state: ChangeState | null, event: ChangeEvent): ChangeState {
  // The one copy: all that follows is set in it.
  const base = state === null ? opened(event) : become({ ...state }, { length: state.length + 1, lastSeq: event.seq, lastAtMs: event.atMs });
  switch (event.type) {
    case 'change.requested':
      return base;
    case 'change.revised':
      return become(base, { name: 'requested', revision: event.body.revision, request: event.body.request, reduced: afterRevision(base, event), ...NOT_PLANNED });
    case 'change.withdrawn':
      // Past its cutover a rotation that nobody gets to its end is given up with both credentials standing: that is on record, and nothing is undone.
      return become(base, { name: base.plan?.mode === 'caller' || !mayHaveGiven(base) || isPastCutover(base) ? 'withdrawn' : 'withdrawing' });
    case 'change.expired':
      return become(base, { name: 'expired' });
    case 'change.adopted':
      return become(base, { adoptedFrom: event.body.log, keptBy: event.actor });
    case 'policy.decided':
      return afterDecision(base, event.body, event.atMs, event.attached?.plan);
    case 'approval.judged':
      return base;
    case 'approval.recorded': {
      const statement = statementIn(event.body.approval, base);
      const next = become(base, { approvals: [...base.approvals, { approval: event.body.approval, statement, seq: event.seq, ...whereOf(event.body) }] });
      return next.name === 'pending' && requirementIsMet(next, event.atMs) ? become(next, { name: 'scheduled' }) : next;
    }
    case 'approval.rejected': {
      const statement = readPayload(event.body.approval.envelope, approvalStatementSchema);
      const { otherIds } = event.body;
      const ids = idsOf({ statement, ...(otherIds === undefined ? {} : { otherIds }) });
      const others = base.rejections.filter((one) => !idsOf(one).includes(statement.approver));
      const outcome = event.body.outcome ?? outcomeOfRejection({ ...base, rejections: others }, statement.approver, otherIds);
      return become(base, {
        name: outcome === 'open' ? base.name : 'rejected',
        rejections: [...others, { approval: event.body.approval, statement, seq: event.seq, ...(otherIds === undefined ? {} : { otherIds }), ...whereOf(event.body) }],
        rejecters: new Set([...base.rejecters, ...ids]),
        // Whoever has said no has not approved it.
        approvals: base.approvals.filter((one) => !ids.includes(one.statement.approver)),
      });
    }
    case 'breakglass.used': {
      const next = become(base, { breakGlass: brokenBy(base, event.body, event.seq) });
      return next.name === 'pending' && requirementIsMet(next, event.atMs) ? become(next, { name: 'scheduled' }) : next;
    }
    case 'breakglass.reviewed':
      return base.breakGlass === null ? base : become(base, { breakGlass: reviewedBy(base.breakGlass, event.actor, event.body) });
    case 'breakglass.rotated':
      return base.breakGlass === null ? base : become(base, { breakGlass: settledBy(base.breakGlass, { change: event.body.change }) });
    case 'approval.escalated':
      return become(base, { escalated: { to: event.body.to, dueAtMs: parseTime(event.body.dueAt), atMs: event.atMs } });
    case 'step.authorised':
      return afterAuthorisation(base, event.body, event.seq, event.atMs);
    case 'state.read':
      if (base.readAfter !== null) return become(base, { after: event.attached?.before ?? base.after });
      return become(base, { before: event.attached?.before ?? base.before });
    case 'step.claimed':
      return become(base, { claimed: true, claimedAtMs: event.atMs, name: base.name === 'authorised' ? 'executing' : base.name });
    case 'step.succeeded': {
      const result = readReport(event.body.report, 'acted');
      const name = base.name === 'authorised' || base.name === 'executing' ? 'verifying' : base.name;
      return become(base, { result, after: event.attached?.after ?? null, silent: false, name });
    }
    case 'step.ambiguous':
      return 'report' in event.body ? become(base, { ambiguousAttempt: readReport(event.body.report, 'acted').attempt }) : become(base, { silent: true });
    case 'step.refused':
      return afterRefusal(base, readPayload(event.body.report, reportSchema));
    case 'step.failed':
      if (readPayload(event.body.report, reportSchema).kind === 'read' && base.readAfter !== null) return become(base, { readAfter: { ...base.readAfter, spent: true } });
      return afterNothing(base);
    case 'lease.armed':
      if (base.extension !== null) return become(base, { extension: { ...base.extension, armed: true } });
      return base.lease === null ? base : become(base, { lease: become({ ...base.lease }, { armed: true }) });
    case 'lease.activated':
      return base.lease === null ? base : become(base, { name: base.name === 'verifying' ? 'active' : base.name, lease: become({ ...base.lease }, { active: true }) });
    case 'lease.extended': {
      if (base.lease === null) return base;
      const { epoch, endsAt, order } = event.body;
      const { epoch: before, order: earlier, orderDigest } = base.lease;
      const lease = { ...base.lease, epoch, endsAtMs: parseTime(endsAt), order, orderDigest: payloadDigest(order) };
      return become(base, { lease, superseded: [...base.superseded, { epoch: before, order: earlier, orderDigest }] });
    }
    case 'lease.disarmed':
      return become(base, { superseded: base.superseded.filter(({ orderDigest }) => orderDigest !== event.body.order) });
    case 'lease.redecided': {
      const { redecision: { effect, reasons }, provenance: { input }, held } = event.body;
      const codes = [...new Set(reasons.map(({ code }) => code))].sort();
      return become(base, { redecision: effect === 'keep' ? null : { effect, codes, input, isHeld: held !== null } });
    }
    case 'lease.ended':
      return afterEnd(base, readReport(event.body.report, 'revoked'), event.atMs);
    case 'entitlement.verified': {
      const next = become(base, { verification: event.body.verification });
      if (base.name !== 'verifying') return next;
      if (event.body.verification.effect === 'deny') return next;
      return afterVerification(next, event.body.verification, event.atMs);
    }
    case 'delivery.sealed':
      return become(base, { delivery: { seal: event.body.seal, status: 'sealed' } });
    case 'delivery.acknowledged':
      return base.delivery === null ? base : become(base, { delivery: { ...base.delivery, status: 'acknowledged' } });
    case 'delivery.undeliverable':
      return base.delivery === null ? base : become(base, { delivery: { ...base.delivery, status: 'undeliverable' } });
    case 'finding.opened': {
      const { code, message, owner } = event.body;
      const next = become(base, { findings: new Map(base.findings).set(code, { message, owner, atMs: event.atMs }) });
      // What policy refused and nothing undoes has failed, with its effect standing: its owner's to look at, and in nobody's way.
      const stands = code === 'verification-failed' && base.name === 'verifying' && !mayHaveGiven(base);
      return stands ? become(next, { name: 'failed' }) : next;
    }
    case 'finding.closed': {
      const findings = new Map(base.findings);
      findings.delete(event.body.code);
      return become(base, { findings });
    }
    case 'window.opened':
      return become(base, { window: 'opened' });
    case 'window.closed':
      return become(base, { window: 'closed' });
    case 'consumer.confirmed':
      return become(base, { confirmed: new Set(base.confirmed).add(event.body.consumer) });
    case 'item.started':
      return withItem(base, event.body.item, { change: event.body.change, attempts: (base.items.get(event.body.item)?.attempts ?? 0) + 1, outcome: null, owner: null, detail: null });
    case 'item.settled': {
      const { item, outcome, owner, detail } = event.body;
      const known = base.items.get(item);
      const next = withItem(base, item, { change: known?.change ?? base.changeId, attempts: known?.attempts ?? 0, outcome, owner, detail });
      const gone = (next.plan?.items ?? []).every((_, n) => next.items.get(n)?.outcome === 'gone');
      return gone && next.name === 'executing' ? become(next, { name: 'done' }) : next;
    }
    case 'notification.delivered':
    case 'notification.failed':
      // Telling of a change is no news of it: what waits for a time since the last news goes on waiting for that time.
      return become(base, { lastAtMs: state?.lastAtMs ?? base.lastAtMs });
  }
}

function whereOf({ channel, relayed }: EventBody<'approval.rejected'>): DecidedWhere {
  return channel !== undefined ? { channel } : relayed !== undefined ? { channel: 'relay' } : {};
}

const NOT_PLANNED = {
  read: null, before: null, plan: null, planDigest: null, decision: null, approvalsByMs: null, pendingSinceMs: null, escalated: null, approvals: [], rejections: [], dispatch: null,
  heldUntilMs: null, askedInVain: 0, window: 'none',
} as const;

function opened(event: ChangeEvent): ChangeState {
  if (event.type !== 'change.requested') throw new Error(`a change begins with change.requested, not ${event.type} (record ${event.seq})`);
  return {
    changeId: event.changeId, name: 'requested', request: event.body.request, requester: event.body.requester, idempotency: event.body.idempotency === null ? null : { ...event.body.idempotency, reason: event.body.request.reason },
    parent: event.body.parent ?? null, adoptedFrom: null, keptBy: `sidecar:${logOf(event.changeId)}`,
    revision: 1, reduced: null, requestedAtMs: event.atMs, ...NOT_PLANNED, breakGlass: null, requirement: NO_REQUIREMENT, floor: null, rejectionsDue: null, rejecters: new Set(), escalation: null, finished: [], firstActAtMs: null, stagedAtMs: null, confirmed: new Set(),
    act: null, ...NOT_TRIED, readAfter: null, lease: null, superseded: [], extension: null, revokes: [], redecision: null, ended: null, delivery: null, items: new Map(), findings: new Map(),
    length: 1, lastSeq: event.seq, lastAtMs: event.atMs,
  };
}

/** What is planned anew for a window that was missed is as it was reduced before. */
function afterRevision({ reduced }: ChangeState, { actor, atMs, body }: Extract<ChangeEvent, { type: 'change.revised' }>): ChangeState['reduced'] {
  if (body.reduced !== undefined) return { by: actor, revision: body.reduced.revision, atMs };
  return body.cause === undefined ? null : reduced;
}

/** A step that has a ticket and nothing else yet. */
const NOT_TRIED = { claimed: false, claimedAtMs: null, silent: false, ambiguousAttempt: 0, result: null, after: null, verification: null } as const;

function withItem(base: ChangeState, item: number, became: ItemState): ChangeState {
  return become(base, { items: new Map(base.items).set(item, became) });
}

/** The step that was verified is done: the next one is due, or the change has come to what it was for. */
function afterVerification(base: ChangeState, verification: Verification, atMs: number): ChangeState {
  if (base.result === null) return base;
  const finished = [...base.finished, { stepId: base.result.stepId, result: base.result, verification }];
  const next = become(base, { finished });
  if (finished.length < (base.plan?.steps.length ?? 1)) return become(next, { name: 'staged', stagedAtMs: base.stagedAtMs ?? atMs });
  return base.lease === null ? become(next, { name: 'done' }) : next;
}

function afterDecision(before: ChangeState, body: Extract<ChangeEvent, { type: 'policy.decided' }>['body'], atMs: number, plan: Plan | undefined): ChangeState {
  const base = body.uncounted === undefined ? before : withoutApprovals(before, body.uncounted);
  const approvalsByMs = body.approvalsBy === null ? base.approvalsByMs : parseTime(body.approvalsBy);
  const escalation = soonestEscalation(base.escalation, body.decision.obligations.escalation ?? null);
  const rejectionsDue = fewestRejections(base.rejectionsDue, body.decision);
  const decided: ChangeState = become(base, { decision: body.decision, requirement: body.requirement, floor: body.floor === undefined || base.floor === null ? (body.floor ?? base.floor) : strictest(base.floor, body.floor), rejectionsDue, escalation, approvalsByMs });
  if (body.phase === 'request') {
    const planned: ChangeState = become(decided, { plan: plan ?? null, planDigest: body.planDigest });
    if (body.decision.effect === 'deny') return become(planned, { name: 'denied' });
    return requirementIsMet(planned, atMs) ? become(planned, { name: 'scheduled' }) : waitingForApprovals(planned, atMs);
  }
  const notBefore = body.decision.obligations.notBefore;
  // As many have rejected it as policy now says are enough.
  if (body.decision.effect !== 'deny' && base.act === null && base.rejections.length > 0 && isRejected(decided)) return become(decided, { name: 'rejected', dispatch: null });
  if (body.decision.effect === 'deny' || !requirementIsMet(decided, atMs)) {
    // Who has moved over must not be cut off, and past the cutover there is no way back: it is asked again.
    if (base.finished.length > 0 && !mayRollBack(base)) {
      const waitMs = Math.min(ASKED_AGAIN_MS.first * 2 ** Math.min(base.askedInVain, 16), ASKED_AGAIN_MS.longest);
      return become(decided, { dispatch: null, heldUntilMs: atMs + waitMs, askedInVain: base.askedInVain + 1 });
    }
    // An earlier issue of the ticket may have been carried out, unheard of: what it may have given is taken back. A revoke gives nothing.
    if (mayHaveGiven(base)) return become(decided, { name: 'revoking', dispatch: null });
    // A ticket that ran out is not issued again on approvals that no longer suffice: like a denial, but nobody said no.
    const over: ChangeState = become(decided, { dispatch: null });
    if (body.decision.effect === 'deny') return become(over, { name: 'denied' });
    return base.act === null ? waitingForApprovals(over, atMs) : become(over, { name: 'failed' });
  }
  if (notBefore !== undefined && parseTime(notBefore) > atMs) return become(decided, { dispatch: null, heldUntilMs: parseTime(notBefore) });
  if (base.plan?.kind === 'offboard') return become(decided, { name: (base.plan.items ?? []).length === 0 ? 'done' : 'executing', firstActAtMs: atMs });
  return become(decided, { heldUntilMs: null, askedInVain: 0, dispatch: body.planDigest === null ? null : { atMs, planDigest: body.planDigest } });
}

function waitingForApprovals(base: ChangeState, atMs: number): ChangeState {
  return become(base, { name: 'pending', pendingSinceMs: atMs });
}

/** How long a decision that must not undo anything is waited with before it is asked for again: twice as long each time, since each answer is a record. */
const ASKED_AGAIN_MS = { first: 600_000, longest: 21_600_000 };

function afterAuthorisation(base: ChangeState, body: Extract<ChangeEvent, { type: 'step.authorised' }>['body'], seq: number, atMs: number): ChangeState {
  if (body.kind === 'revoke') {
    const content = readPayload(body.order, revokeOrderSchema);
    return become(base, { revokes: [...base.revokes, { order: body.order, content, seq }], name: base.name === 'withdrawing' ? base.name : 'revoking' });
  }
  const ticket = readPayload(body.ticket, ticketSchema);
  const issued: IssuedTicket = {
    stepId: body.stepId, issue: body.issue, ticket: body.ticket, audience: ticket.audience, notAfterMs: parseTime(ticket.notAfter), seq, spent: false,
    ...(body.kind === 'act' && body.breakGlass !== undefined ? { isGlassBroken: true as const } : {}),
  };
  if (body.kind === 'read') return base.name === 'verifying' ? become(base, { readAfter: issued }) : become(base, { read: issued });
  const ends = body.lease === null ? null
    : { leaseId: body.lease.leaseId, epoch: body.lease.epoch, endsAtMs: parseTime(body.lease.endsAt), order: body.lease.order, orderDigest: payloadDigest(body.lease.order) };
  const extended = base.request.kind === 'extend' ? base.request.change : null;
  const lease: Lease | null = ends === null || extended !== null ? null
    : { leaseId: ends.leaseId, epoch: ends.epoch, endsAtMs: ends.endsAtMs, order: ends.order, orderDigest: ends.orderDigest, armed: base.lease?.armed ?? false, active: false };
  const extension: Extension | null = ends === null || extended === null ? null : { ...ends, change: extended, armed: base.extension?.armed ?? false };
  const fresh = base.act?.stepId === issued.stepId ? { claimed: false, claimedAtMs: null } : NOT_TRIED;
  const name = base.name === 'scheduled' || base.name === 'staged' ? 'authorised' : base.name;
  const breakGlass = base.breakGlass !== null && issued.isGlassBroken === true && ticket.kind === 'act' ? lentUnder(base.breakGlass, ticket.step) : base.breakGlass;
  return become(become(base, fresh), { act: issued, dispatch: null, lease, extension, breakGlass, firstActAtMs: base.firstActAtMs ?? atMs, name });
}

function afterEnd(base: ChangeState, ended: RevokedReport, atMs: number): ChangeState {
  const steps = base.plan?.steps.length ?? 1;
  const gaveNothing = steps > 1 ? base.finished.length < steps : base.result?.outcome !== 'done';
  const compensated = base.verification?.effect === 'deny';
  const name = base.name === 'withdrawing' ? 'withdrawn' : gaveNothing || compensated ? 'failed' : 'revoked';
  return become(base, { ended, name, breakGlass: base.breakGlass === null ? null : endedAt(base.breakGlass, atMs) });
}

/**
 * The step came to nothing. A revoke that was ordered meanwhile is still to be answered: only its end is the end of the change. What earlier
 * steps gave is taken back, unless somebody has moved over to it: then the step is tried again.
 */
function afterNothing(base: ChangeState): ChangeState {
  if (base.revokes.length > 0) return base;
  if (base.finished.length > 0 && !mayRollBack(base) && base.name !== 'withdrawing') {
    return become(base, { name: base.name === 'executing' ? 'authorised' : base.name, claimed: false, dispatch: null, act: base.act === null ? null : { ...base.act, spent: true } });
  }
  // An earlier issue of the ticket may have had its effect, unheard of, where no lease would end it.
  const before = base.finished.length > 0 || (base.lease === null && (base.act?.issue ?? 1) > 1);
  if (before && mayHaveGiven(base)) return become(base, { name: base.name === 'withdrawing' ? 'withdrawing' : 'revoking' });
  return become(base, { name: base.name === 'withdrawing' ? 'withdrawn' : 'failed' });
}

/** Refusals that another issue of the ticket may mend. Any other ends the change: what was refused once is not asked for again. */
export const RETRYABLE_REFUSALS: ReadonlySet<string> = new Set(['outside-window', 'inconsistent-checkpoint', 'no-receipt', 'untrusted-checkpoint', 'not-yet']);

/** How often the target is asked what a caller's code has done; then nobody but the caller has seen it. */
const READS_AFTER_MAX = 8;

function afterRefusal(base: ChangeState, report: Report): ChangeState {
  if (report.kind !== 'read' && report.kind !== 'acted') return base;
  if (report.kind === 'read' && base.readAfter !== null) {
    const again = RETRYABLE_REFUSALS.has(report.code ?? '') && base.readAfter.issue < (base.read?.issue ?? 0) + READS_AFTER_MAX;
    return become(base, { readAfter: { ...base.readAfter, ...(again ? { notAfterMs: 0 } : { spent: true }) } });
  }
  if (!RETRYABLE_REFUSALS.has(report.code ?? '')) return afterNothing(base);
  if (report.kind === 'read') return base.read?.issue === report.issue ? become(base, { read: { ...base.read, spent: true } }) : base;
  return base.act?.issue === report.issue ? become(base, { claimed: false, dispatch: null, act: { ...base.act, spent: true } }) : base;
}

/** A ticket ran out, or was refused for a passing reason, and nobody took the step up: it may be authorised again. A caller's run has one ticket only. */
export function needsAnotherIssue(state: ChangeState, nowMs: number): boolean {
  if (state.name !== 'authorised' && state.name !== 'executing') return false;
  if (state.act === null || state.result !== null || state.plan?.mode === 'caller') return false;
  return state.act.spent || (!state.claimed && nowMs >= state.act.notAfterMs);
}
