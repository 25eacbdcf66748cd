/**
 * Notifications are derived from records: the same record and state give the same ones, on the day and after a restart, but for whom directory and floor let review a broken glass: that is as of when it is told. Pure.
 *
 * Of one record there is at most one notification of each event, so that (webhook, event, record) names a delivery.
 */
import { canonicalBytes, digestOf } from '../../ledger/index.ts';
import { systemOf } from '../change/derive.ts';
import type { ChangeEvent, NotificationEvent } from '../change/events.ts';
import type { BundleProposal } from '../evidence/proposals.ts';
import { approvedBy, isPastCutover, type ChangeState } from '../change/state.ts';
import { endDueMs } from '../change/work.ts';
import { awaitedBy, mayApprove } from '../protocol/awaited.ts';
import { readBreakGlass } from '../protocol/break-glass.ts';
import { approveLink } from '../protocol/approve-link.ts';
import { approversNamed } from '../protocol/decision.ts';
import { isCommitment } from '../protocol/disclosure.ts';
import { entitlementsOf, isEmergency } from '../protocol/request.ts';
import { readStanding, statementIn } from '../protocol/standing-approval.ts';
import { formatTime } from '../protocol/values.ts';
import type { NotificationPayload } from './payload.ts';

/** An event, and the state of its change after it, or after those that were decided in the same breath: what is told is the same. */
export interface Told {
  readonly event: ChangeEvent;
  readonly state: ChangeState;
}

export interface Notification {
  /** null where it tells of no change: then no record says what became of it. */
  readonly changeId: string | null;
  /** Index of the record that it tells of. */
  readonly about: number;
  readonly atMs: number;
  /** It waits for nothing. */
  readonly urgent: boolean;
  readonly payload: NotificationPayload;
}

type DataOf<T extends NotificationEvent> = Extract<NotificationPayload, { type: T }>['data'];

/** Everyone whose turn it is, those who have approved included: nobody of a stage that is not open. */
function askedNow(state: ChangeState, atMs: number): string[] {
  const { approvers } = state.requirement;
  return approvers === null ? [] : [...mayApprove(approvers, approvedBy(state, atMs))];
}

/** What there is to tell of one event; mostly nothing. @param glassReviewers whose review of a broken glass counts, as the engine has it */
export function notificationsOf({ event, state }: Told, glassReviewers: (state: ChangeState) => readonly string[]): Notification[] {
  const about = { changeId: state.changeId, record: event.seq, kind: state.request.kind, subject: state.request.subject, ...systemOf(state.request) };
  const tell = <T extends NotificationEvent>(type: T, data: Omit<DataOf<T>, keyof typeof about>): Notification => ({
    changeId: state.changeId, about: event.seq, atMs: event.atMs, urgent: isEmergency(state.request),
    // `type` ties the union together: the data is what that type has.
    payload: { type, timestamp: formatTime(event.atMs), data: { ...about, ...data } } as unknown as NotificationPayload,
  });
  const items = state.plan?.items?.length ?? 0;
  const requesterWords = { reason: isCommitment(state.request.reason) ? null : state.request.reason };
  const requester = [...state.requester];
  const approvalsBy = state.approvalsByMs === null ? null : formatTime(state.approvalsByMs);
  /** Who was asked to approve it, at any time. */
  const asked = state.requirement.approvers === null ? null : approversNamed(state.requirement.approvers);
  const urgency = isEmergency(state.request) ? { urgency: 'emergency' as const } : {};

  switch (event.type) {
    case 'policy.decided':
      if (state.name === 'pending') {
        return [tell('approval.requested', {
          revision: state.revision, requester, planDigest: event.body.planDigest!, approvers: askedNow(state, event.atMs), approvalsBy, ...urgency, requesterWords,
        })];
      }
      return state.request.kind === 'offboard' && state.name === 'executing' ? [tell('offboarding.started', { requester, items, requesterWords })] : [];
    case 'approval.recorded':
    case 'approval.rejected': {
      const { approvalId, envelope, use } = event.body.approval;
      const { revision, planDigest, approver, verdict } = statementIn(event.body.approval, state);
      const decided = tell('approval.decided', { revision, planDigest, approver, verdict, pending: state.name === 'pending' });
      const before = askedNow({ ...state, approvals: state.approvals.filter(({ seq }) => seq !== event.seq) }, event.atMs);
      const next = state.name === 'pending' ? askedNow(state, event.atMs).filter((person) => !before.includes(person)) : [];
      const asked = next.length === 0 ? [] : [tell('approval.requested', { revision, requester, planDigest, approvers: next, approvalsBy, ...urgency, requesterWords })];
      if (use === undefined) return [decided, ...asked];
      const { uses, expiresAt } = readStanding(envelope);
      return [decided, ...asked, tell('standing.used', { revision, requester, planDigest, approvalId, approver, use, uses, expiresAt, requesterWords })];
    }
    case 'change.revised': {
      const { revision, request, reduced } = event.body;
      if (reduced === undefined) return asked === null ? [] : [tell('change.revised', { revision, requester, by: event.actor, approvers: asked })];
      const duration = 'duration' in request ? (request.duration ?? null) : null;
      return [tell('change.reduced', { revision, requester, by: event.actor, planDigest: reduced.planDigest, entitlements: entitlementsOf(request), duration })];
    }
    case 'change.withdrawn':
      return asked === null ? [] : [tell('change.withdrawn', { revision: state.revision, requester, by: event.actor, approvers: asked })];
    case 'change.expired':
      return asked === null ? [] : [tell('change.expired', { revision: state.revision, requester, by: event.actor, approvers: asked, cause: event.body.cause })];
    case 'approval.escalated': {
      const { revision, to, dueAt } = event.body;
      return [tell('approval.escalated', {
        revision, requester, planDigest: state.planDigest!, to, approvers: askedNow(state, event.atMs), dueAt, approvalsBy, ...urgency, requesterWords,
      })];
    }
    case 'breakglass.used': {
      const { usedBy, planDigest } = readBreakGlass(event.body.statement);
      const { reason, reviewBy, revision } = event.body;
      const approved = new Set(state.approvals.map(({ statement }) => statement.approver));
      const skipped = approversNamed(state.requirement.approvers).filter((person) => person !== usedBy && !approved.has(person));
      return [tell('breakglass.used', {
        revision, requester, planDigest, usedBy, skipped, reviewers: [...glassReviewers(state)], reviewBy, review: `/v1/changes/${state.changeId}/break-glass/review`, requesterWords,
        usersWords: { reason: isCommitment(reason) ? null : reason },
      })];
    }
    case 'breakglass.reviewed':
      return state.breakGlass === null ? [] : [tell('breakglass.reviewed', { usedBy: state.breakGlass.statement.usedBy, reviewer: event.actor, verdict: event.body.verdict })];
    case 'window.opened': {
      const { calendar, opensAt, closesAt, consumers } = event.body;
      return [tell('window.opened', { calendar, opensAt, closesAt, consumers })];
    }
    case 'window.closed': {
      const { calendar, opensAt, closesAt, consumers, cause } = event.body;
      return [tell('window.closed', { calendar, opensAt, closesAt, consumers, cause })];
    }
    case 'entitlement.verified': {
      const staged = state.plan?.steps.find(({ stepId, action }) => stepId === event.body.stepId && action === 'stage');
      const rotation = state.plan?.rotation;
      if (state.name !== 'staged' || staged === undefined || rotation === undefined) return [];
      return [tell('credential.staged', {
        stepId: staged.stepId, account: staged.account, replaces: staged.other ?? null, consumers: rotation.consumers,
        confirmations: `/v1/changes/${state.changeId}/confirmations`, confirmBy: formatTime(event.atMs + rotation.graceSeconds * 1000), retire: rotation.retire,
      })];
    }
    case 'step.authorised': {
      const staged = state.plan?.steps.find(({ action }) => action === 'stage');
      const rotation = state.plan?.rotation;
      const [ordered, another] = state.revokes;
      // Consumers are told once: an order that comes on top of another takes back the same login.
      if (event.body.kind !== 'revoke' || ordered === undefined || another !== undefined) return [];
      if (staged === undefined || rotation === undefined || state.stagedAtMs === null) return [];
      return [tell('credential.withdrawn', {
        stepId: staged.stepId, account: staged.account, fallBack: isPastCutover(state) ? null : (staged.other ?? null), consumers: rotation.consumers,
        cause: ordered.content.cause,
      })];
    }
    case 'item.settled': {
      const { item: number, outcome, owner, detail } = event.body;
      const item = state.plan?.items?.[number];
      if (item === undefined) return [];
      const settled = tell('offboarding.item', { item, number, items, outcome, owner, detail });
      return state.name === 'done' ? [settled, tell('offboarding.finished', { items })] : [settled];
    }
    case 'finding.opened': {
      const { code, owner, message } = event.body;
      if (code !== 'revoke-overdue') return [tell('change.stuck', { code, owner, message })];
      const dueMs = endDueMs(state);
      return [tell('revoke.overdue', { dueAt: dueMs === null ? null : formatTime(dueMs), owner, message })];
    }
    default:
      return [];
  }
}

/** A request for approvals, of those whom standing approvals that came right upon it have not made needless; null where nobody is left. What people decided since changes nothing about it. */
export function unlessApproved(notification: Notification, state: ChangeState): Notification | null {
  const { payload, about } = notification;
  if (payload.type !== 'approval.requested' || payload.data.planDigest !== state.planDigest || !state.approvals.some(({ approval, seq }) => approval.use !== undefined && seq > about)) return notification;
  const { approvers: expression } = state.requirement;
  if (state.name !== 'pending' || expression === null) return null;
  const standing = new Set(state.approvals.filter(({ approval }) => approval.use !== undefined).map(({ statement }) => statement.approver));
  const awaited = awaitedBy(expression, standing);
  const approvers = payload.data.approvers.filter((person) => awaited.has(person));
  return approvers.length === 0 ? null : { ...notification, payload: { ...payload, data: { ...payload.data, approvers } } };
}

/** That a policy bundle waits for these people. Told while it waits, after each start again, under the same id. */
export function notificationOfProposal({ proposalId, bundle, revision, seq, atMs }: BundleProposal, approvers: readonly string[]): Notification {
  const data = { proposalId, record: seq, bundle, revision, approvers: [...approvers] };
  return { changeId: null, about: seq, atMs, urgent: true, payload: { type: 'policy.proposed', timestamp: formatTime(atMs), data } };
}

/** The same, with where whoever is asked to approve goes for that. */
export function withLink(notification: Notification, publicUrl: string | undefined): Notification {
  const { payload } = notification;
  if (publicUrl === undefined || (payload.type !== 'approval.requested' && payload.type !== 'approval.escalated')) return notification;
  const link = approveLink(publicUrl, payload.data.changeId);
  return { ...notification, payload: payload.type === 'approval.requested' ? { ...payload, data: { ...payload.data, link } } : { ...payload, data: { ...payload.data, link } } };
}

/**
 * The `webhook-id`: the same for every attempt, in every process, so that a receiver that has it already can say so.
 *
 * @param others what the message tells of beside it, in the ledger's order
 */
export function messageId(log: string, webhook: string, { about: first, payload: { type: event } }: Notification, others: readonly Notification[] = []): string {
  const about = others.length === 0 ? first : [first, ...others.map((one) => one.about)];
  return `msg_${digestOf(canonicalBytes({ log, webhook, event, about })).slice('sha256:'.length, 'sha256:'.length + 32)}`;
}
