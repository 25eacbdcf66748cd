/** A change's state as it is shown: read off the fold, nothing of its own. */
import type { BrokenGlass } from '../change/break-glass.ts';
import { escalationDueMs } from '../change/escalation.ts';
import type { FindingCode } from '../change/events.ts';
import { approvedBy, FINAL_STATES, shownState, type ChangeState } from '../change/state.ts';
import { owesAnything } from '../change/glass-debts.ts';
import { isUnfinished } from '../change/work.ts';
import { systemOf, undoableStep } from '../change/derive.ts';
import type { Engine } from '../engine/engine.ts';
import { approveLink } from '../protocol/approve-link.ts';
import { turnsOf } from '../protocol/awaited.ts';
import { isCommitment } from '../protocol/disclosure.ts';
import { callerOf, entitlementsOf, purposeOf } from '../protocol/request.ts';
import type { Approval } from '../protocol/signed.ts';
import { readStanding } from '../protocol/standing-approval.ts';
import { formatTime } from '../protocol/values.ts';
import type { ChangeView, LeaseView } from './schemas.ts';

/** @param engine says what holds the change up, and who reviews a broken glass @param publicUrl where people reach the sidecar */
export function viewOf(state: ChangeState, engine: Pick<Engine, 'waitingFor' | 'glassReviewers'>, publicUrl?: string): ChangeView {
  const { request, decision } = state;
  const self = `/v1/changes/${state.changeId}`;
  return {
    id: state.changeId,
    kind: request.kind,
    state: shownState(state),
    mode: callerOf(request) === null ? 'executor' : 'caller',
    revision: state.revision,
    reduced: state.reduced === null ? null : { by: state.reduced.by, revision: state.reduced.revision, at: formatTime(state.reduced.atMs) },
    subject: request.subject,
    parent: state.parent,
    adoptedFrom: state.adoptedFrom,
    extends: request.kind === 'extend' ? { change: request.change, endsAt: state.extension === null ? null : formatTime(state.extension.endsAtMs) } : null,
    requester: [...state.requester],
    purpose: purposeOf(request),
    reason: isCommitment(request.reason) ? null : request.reason,
    system: systemOf(request),
    entitlements: entitlementsOf(request),
    duration: 'duration' in request ? (request.duration ?? null) : null,
    endsBy: 'endsBy' in request ? (request.endsBy ?? null) : null,
    requestedAt: formatTime(state.requestedAtMs),
    plan: state.plan,
    planDigest: state.planDigest,
    decision: decision === null ? null : {
      effect: decision.effect, reasons: decision.reasons, excess: decision.entitlements.excess, counterOffer: decision.entitlements.counterOffer,
      controls: decision.controls, ...(decision.exceptions === undefined ? {} : { exceptions: decision.exceptions }),
      ...(decision.observed === undefined ? {} : { observed: decision.observed }),
    },
    requirement: state.requirement,
    ...(state.floor === null ? {} : { floor: state.floor }),
    ...turnsNow(state),
    ...(state.rejectionsDue === null || state.rejectionsDue === 1 ? {} : { rejectionsDue: state.rejectionsDue }),
    approvals: verdictsOn(state),
    approvalsBy: state.approvalsByMs === null ? null : formatTime(state.approvalsByMs),
    escalation: escalationOf(state),
    ...(state.breakGlass === null ? {} : { breakGlass: { ...brokenOf(state.breakGlass), ...(owesAnything(state) ? { reviewers: [...engine.glassReviewers(state)] } : {}) } }),
    window: windowOf(state),
    steps: stepsOf(state),
    rotation: rotationOf(state),
    items: itemsOf(state),
    executor: state.act?.audience ?? state.read?.audience ?? null,
    result: resultOf(state),
    verification: state.verification,
    lease: state.lease === null ? null
      : { leaseId: state.lease.leaseId, endsAt: formatTime(state.lease.endsAtMs), armed: state.lease.armed, active: state.lease.active },
    ended: state.ended === null ? null : { outcome: state.ended.outcome, at: state.ended.at },
    delivery: state.delivery === null ? null : { status: state.delivery.status, digest: state.delivery.seal.ciphertext },
    waitingFor: engine.waitingFor(state.changeId),
    stuck: stuckOf(state),
    findings: [...state.findings].map(([code, finding]) => ({ code, message: finding.message, owner: finding.owner, at: formatTime(finding.atMs) })),
    length: state.length,
    lastRecord: state.lastSeq,
    updatedAt: formatTime(state.lastAtMs),
    links: { self, approvals: `${self}/approvals`, delivery: `${self}/delivery`, evidence: `${self}/evidence`, ...(publicUrl === undefined || state.name !== 'pending' ? {} : { approve: approveLink(publicUrl, state.changeId) }) },
  };
}

function verdictsOn({ approvals, rejections }: ChangeState): ChangeView['approvals'] {
  return [...approvals, ...rejections].sort((a, b) => a.seq - b.seq)
    .map(({ approval, statement, seq, channel }) => ({ approvalId: approval.approvalId, approver: statement.approver, verdict: statement.verdict, proofClass: approval.proofClass, record: seq, ...(channel === undefined ? {} : { channel }), ...standingOf(approval) }));
}

/** By the approvals that count: one whose proof policy no longer takes, or that is over, keeps nobody from being asked again. */
function turnsNow(state: ChangeState): Pick<ChangeView, 'turns'> {
  const { name, rejections, requester, requirement: { approvers } } = state;
  if (name !== 'pending' || approvers === null) return {};
  const approved = [...approvedBy(state, state.lastAtMs)].map((approver) => ({ approver, verdict: 'approve' as const }));
  return { turns: turnsOf(approvers, [...approved, ...rejections.map(({ statement }) => statement)], requester) };
}

function standingOf({ envelope, use }: Approval): Pick<ChangeView['approvals'][number], 'standing'> {
  if (use === undefined) return {};
  const { uses, expiresAt } = readStanding(envelope);
  return { standing: { use, uses, expiresAt } };
}

function escalationOf(state: ChangeState): ChangeView['escalation'] {
  const { escalated, escalation } = state;
  if (escalated !== null) return { to: [...escalated.to], dueAt: formatTime(escalated.dueAtMs), at: formatTime(escalated.atMs) };
  const dueMs = escalationDueMs(state);
  return dueMs === null || escalation === null ? null : { to: escalation.to, dueAt: formatTime(dueMs), at: null };
}

function brokenOf({ statement: { usedBy }, seq, reviewByMs, review, rotation, lent }: BrokenGlass): NonNullable<ChangeView['breakGlass']> {
  const settled = rotation?.settled ?? null;
  return {
    usedBy, record: seq, reviewBy: formatTime(reviewByMs), review,
    rotation: rotation === null || lent === null ? null : {
      ...lent, rotateBy: formatTime(rotation.byMs), change: settled !== null && 'change' in settled ? settled.change : null, waivedBy: settled !== null && 'waivedBy' in settled ? settled.waivedBy : null,
    },
  };
}

const WINDOW_STATES = { none: 'planned', opened: 'open', closed: 'closed' } as const;

function windowOf(state: ChangeState): ChangeView['window'] {
  const window = state.plan?.window;
  if (window === undefined) return null;
  const { calendar, opensAt, closesAt, onMissed } = window;
  return { calendar, opensAt, closesAt, onMissed, state: WINDOW_STATES[state.window] };
}

function stepsOf(state: ChangeState): ChangeView['steps'] {
  return (state.plan?.steps ?? []).map(({ stepId, action, account }, index) => ({ stepId, action, account, state: stepStateOf(state, stepId, index) }));
}

function stepStateOf(state: ChangeState, stepId: string, index: number): ChangeView['steps'][number]['state'] {
  if (index < state.finished.length) return 'done';
  const isDue = index === state.finished.length && state.act?.stepId === stepId;
  if (isDue && state.result !== null) return 'verifying';
  // Whether a caller's code ran, nobody knows, however the change ended.
  if (isDue && (state.silent || (state.ambiguousAttempt > 0 && !FINAL_STATES.has(state.name)))) return 'ambiguous';
  if (state.ended !== null || FINAL_STATES.has(state.name) || state.name === 'revoking' || state.name === 'withdrawing') return 'notMade';
  if (!isDue) return 'waiting';
  return state.claimed ? 'executing' : 'authorised';
}

function rotationOf(state: ChangeState): ChangeView['rotation'] {
  const rotation = state.plan?.rotation;
  if (rotation === undefined) return null;
  const all = state.finished.length === state.plan?.steps.length;
  return {
    overlap: rotation.overlap, retire: rotation.retire,
    consumers: rotation.consumers.map((consumer) => ({ consumer, confirmed: state.confirmed.has(consumer) })),
    graceEndsAt: state.stagedAtMs === null ? null : formatTime(state.stagedAtMs + rotation.graceSeconds * 1000),
    oldCredential: all && state.name === 'done' ? 'gone' : 'valid',
  };
}

function itemsOf(state: ChangeState): ChangeView['items'] {
  return (state.plan?.items ?? []).map((item, index) => {
    const became = state.items.get(index);
    const { outcome = null, owner = null, detail = null } = became ?? {};
    return item.kind === 'lease' ? { ...item, outcome, owner, detail } : { ...item, change: became?.change ?? null, outcome, owner, detail };
  });
}

function resultOf(state: ChangeState): ChangeView['result'] {
  const result = state.result ?? state.finished.at(-1)?.result;
  if (result === undefined) return null;
  return { outcome: result.outcome, byUse: result.byUse, selfReported: state.plan?.mode === 'caller' && state.after === null, at: result.at };
}

/** What goes on by itself while a finding is open, and what somebody must do. */
const NEXT_TRIES: Readonly<Record<FindingCode, string>> = {
  'policy-fault': 'policy is asked again by itself until it answers',
  'revoke-overdue': 'the executor is asked again by itself until it reports that the access is gone',
  'revoke-failed': 'the executor tries again by itself, for ever',
  'revoke-mismatch': 'nothing is tried: what is there by that name is not what was given, and is left alone until a person has looked at it',
  'step-stuck': 'the step is sent again by itself until the executor answers',
  'verification-failed': 'what was given is taken back by itself, unless somebody uses it by now: then a person looks, and withdraws the change or revokes it',
  'log-rolled-back': 'nothing is given until the ledger is restored; taking back goes on',
  'rotation-stalled': 'it is tried again by itself; see what still uses the old credential',
  'caller-silent': 'nothing is tried: see what the caller’s code did, then withdraw the change, so that others get at its target; a late report is still taken',
  'lease-denied': 'when policy is asked again: revoke it, or see to what policy has against it',
  'lease-revoke-held': 'once a person confirms what policy would take back, or revokes this',
  'review-overdue': 'when somebody reviews that the glass was broken; until then whoever broke it breaks no other',
  'rotation-overdue': 'when somebody has the login rotated, or a reviewer says that it needs no new credential; until then whoever broke the glass breaks no other',
  'offboarding-open': 'what is open is tried again by itself',
};

function stuckOf(state: ChangeState): ChangeView['stuck'] {
  if (shownState(state) !== 'stuck') return null;
  const findings = [...state.findings];
  return {
    owner: findings.find(([, { owner }]) => owner !== null)?.[1].owner ?? null,
    since: formatTime(Math.min(...findings.map(([, { atMs }]) => atMs))),
    findings: findings.map(([code]) => code),
    nextTry: findings.map(([code]) => NEXT_TRIES[code]).join('; '),
  };
}

/** The lease of a change that gave one and has not ended; null for any other. */
export function leaseViewOf(state: ChangeState): LeaseView | null {
  const step = state.plan === null ? null : undoableStep(state.plan);
  if (state.lease === null || step === null || !isUnfinished(state)) return null;
  return {
    leaseId: state.lease.leaseId, changeId: state.changeId, subject: state.request.subject, state: shownState(state), connector: step.connector,
    target: step.target, account: step.account, privileges: step.privileges, endsAt: formatTime(state.lease.endsAtMs), armed: state.lease.armed,
    active: state.lease.active,
  };
}
