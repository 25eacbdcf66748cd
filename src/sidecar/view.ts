/** A change's state as it is shown: read off the fold, nothing of its own. */
import { shownState, type ChangeState } from '../change/state.ts';
import { isOpen } from '../change/work.ts';
import { formatTime } from '../protocol/values.ts';
import type { ChangeView, LeaseView } from './schemas.ts';

export function viewOf(state: ChangeState): ChangeView {
  const { request, decision } = state;
  const self = `/v1/changes/${state.changeId}`;
  return {
    id: state.changeId,
    kind: request.kind,
    state: shownState(state),
    revision: state.revision,
    subject: request.subject,
    requester: [...state.requester],
    purpose: request.purpose,
    reason: request.reason,
    entitlements: request.entitlements,
    duration: request.kind === 'revoke' ? null : (request.duration ?? null),
    endsBy: request.kind === 'revoke' ? null : (request.endsBy ?? null),
    requestedAt: formatTime(state.requestedAtMs),
    plan: state.plan,
    planDigest: state.planDigest,
    decision: decision === null ? null : {
      effect: decision.effect, reasons: decision.reasons, excess: decision.entitlements.excess, counterOffer: decision.entitlements.counterOffer,
      controls: decision.controls,
    },
    requirement: state.requirement,
    approvals: state.approvals.map(({ approval, statement, seq }) => ({ approvalId: approval.approvalId, approver: statement.approver, verdict: statement.verdict, record: seq })),
    approvalsBy: state.approvalsByMs === null ? null : formatTime(state.approvalsByMs),
    executor: state.act?.audience ?? state.read?.audience ?? null,
    result: state.result === null ? null : { outcome: state.result.outcome, byUse: state.result.byUse, at: state.result.at },
    verification: state.verification,
    lease: state.lease === null ? null
      : { leaseId: state.lease.leaseId, endsAt: formatTime(state.lease.endsAtMs), armed: state.lease.armed, active: state.lease.active },
    ended: state.ended === null ? null : { outcome: state.ended.outcome, at: state.ended.at },
    delivery: state.delivery === null ? null : { status: state.delivery.status, digest: state.delivery.seal.ciphertext },
    findings: [...state.findings].map(([code, finding]) => ({ code, message: finding.message, owner: finding.owner, at: formatTime(finding.atMs) })),
    length: state.length,
    lastRecord: state.lastSeq,
    updatedAt: formatTime(state.lastAtMs),
    links: { self, approvals: `${self}/approvals`, delivery: `${self}/delivery`, evidence: `${self}/evidence` },
  };
}

/** The lease of a change that gave one and has not ended; null for any other. */
export function leaseViewOf(state: ChangeState): LeaseView | null {
  const step = state.plan?.steps[0];
  if (state.lease === null || step === undefined || !isOpen(state)) return null;
  return {
    leaseId: state.lease.leaseId, changeId: state.changeId, subject: state.request.subject, state: shownState(state), connector: step.connector,
    target: step.target, account: step.account, privileges: step.privileges, endsAt: formatTime(state.lease.endsAtMs), armed: state.lease.armed,
    active: state.lease.active,
  };
}
