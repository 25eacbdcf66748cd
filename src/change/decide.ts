/**
 * `decide(state, command, now)`: the events that a command brings about, or why it may not.
 *
 * Pure. A rejection is an outcome, not an error: nothing has happened. Whoever calls has already authenticated `by` and verified
 * signatures; what must be *true of the change* is decided here and nowhere else.
 */
import { isSatisfied, approversNamed, strictest, type Decision, type Provenance, type Verification } from '../protocol/decision.ts';
import { payloadDigest, readPayload } from '../protocol/dsse.ts';
import { planDigest, type Plan, type TargetState } from '../protocol/plan.ts';
import type { ChangeRequest } from '../protocol/request.ts';
import {
  approvalStatementSchema, revokeOrderSchema, ticketSchema, type Approval, type Dsse, type Report,
} from '../protocol/signed.ts';
import { formatTime, parseTime } from '../protocol/values.ts';
import { leaseEndMs, revokeStepId } from './derive.ts';
import type { FindingCode, NewEvent } from './events.ts';
import { approvedBy, FINAL_STATES, type ChangeState } from './state.ts';

/** The decision before dispatch must be this young when the ticket is authorised. */
export const DISPATCH_FRESH_MS = 30_000;

export type Command =
  | { readonly type: 'request'; readonly by: string; readonly request: ChangeRequest; readonly requester: readonly string[]; readonly idempotency: { key: string; request: string } | null }
  | { readonly type: 'revise'; readonly by: string; readonly request: ChangeRequest }
  | { readonly type: 'withdraw'; readonly by: string; readonly comment: string | null }
  | { readonly type: 'expire'; readonly by: string; readonly cause: 'approval' | 'window' }
  | { readonly type: 'authoriseRead'; readonly by: string; readonly ticket: Dsse }
  | { readonly type: 'recordDecision'; readonly by: string; readonly phase: 'request' | 'dispatch'; readonly plan: Plan | null; readonly decision: Decision; readonly provenance: Provenance; readonly approvalSeconds: number }
  | { readonly type: 'approve'; readonly approval: Approval; readonly comment: string | null }
  | { readonly type: 'authoriseAct'; readonly by: string; readonly ticket: Dsse; readonly order: Dsse | null }
  | { readonly type: 'recordArmed'; readonly by: string; readonly orderDigest: string }
  | { readonly type: 'recordReport'; readonly report: Report; readonly envelope: Dsse; readonly states: ReadonlyMap<string, TargetState>; readonly order: Dsse | null }
  | { readonly type: 'recordVerification'; readonly by: string; readonly verification: Verification; readonly provenance: Provenance }
  | { readonly type: 'orderRevoke'; readonly by: string; readonly order: Dsse; readonly comment: string | null }
  | { readonly type: 'acknowledgeDelivery'; readonly by: string; readonly ciphertext: string }
  | { readonly type: 'giveUpDelivery'; readonly by: string; readonly reason: string }
  | { readonly type: 'openFinding'; readonly by: string; readonly code: FindingCode; readonly message: string; readonly owner: string | null }
  | { readonly type: 'closeFinding'; readonly by: string; readonly code: FindingCode };

export const REJECTIONS = [
  'no-such-change', 'already-exists', 'already-decided', 'plan-changed', 'self-approval', 'not-an-approver', 'approval-expired', 'not-requester',
  'too-late', 'not-expected', 'not-approved', 'stale-decision', 'nothing-to-revoke', 'no-delivery',
] as const;
export type RejectionCode = (typeof REJECTIONS)[number];

export type Decided =
  | { readonly ok: true; readonly events: readonly NewEvent[] }
  | { readonly ok: false; readonly code: RejectionCode; readonly message: string };

const no = (code: RejectionCode, message: string): Decided => ({ ok: false, code, message });
const yes = (...events: NewEvent[]): Decided => ({ ok: true, events });
/** Already so: the same command again. Nothing is added. */
const ALREADY: Decided = { ok: true, events: [] };

export function decide(state: ChangeState | null, command: Command, nowMs: number): Decided {
  if (command.type === 'request') {
    if (state !== null) return no('already-exists', 'a change of this id exists');
    const { request, requester, idempotency, by } = command;
    return yes({ type: 'change.requested', actor: by, body: { request, requester: [...requester], idempotency } });
  }
  if (state === null) return no('no-such-change', 'no change of this id');
  switch (command.type) {
    case 'revise':
      return decideRevision(state, command);
    case 'withdraw':
      return decideWithdrawal(state, command);
    case 'expire':
      return decideExpiry(state, command, nowMs);
    case 'authoriseRead':
      return decideRead(state, command, nowMs);
    case 'recordDecision':
      return decideDecision(state, command, nowMs);
    case 'approve':
      return decideApproval(state, command, nowMs);
    case 'authoriseAct':
      return decideAct(state, command, nowMs);
    case 'recordArmed':
      if (state.lease === null || state.lease.orderDigest !== command.orderDigest) return no('not-expected', 'no such order to arm');
      if (state.lease.armed) return ALREADY;
      return yes({ type: 'lease.armed', actor: command.by, body: { leaseId: state.lease.leaseId, epoch: state.lease.epoch, order: command.orderDigest } });
    case 'recordReport':
      return decideReport(state, command);
    case 'recordVerification':
      return decideVerification(state, command);
    case 'orderRevoke':
      return decideRevoke(state, command);
    case 'acknowledgeDelivery':
      if (state.delivery?.seal.ciphertext !== command.ciphertext) return no('no-delivery', 'nothing of that digest waits for delivery');
      if (state.delivery.status === 'acknowledged') return ALREADY;
      if (state.delivery.status === 'undeliverable') return no('too-late', 'the delivery was given up and the credential undone');
      return yes({ type: 'delivery.acknowledged', actor: command.by, body: { ciphertext: command.ciphertext } });
    case 'giveUpDelivery':
      if (state.delivery?.status !== 'sealed') return no('no-delivery', 'nothing waits for delivery');
      return yes({ type: 'delivery.undeliverable', actor: command.by, body: { ciphertext: state.delivery.seal.ciphertext, reason: command.reason } });
    case 'openFinding':
      if (state.findings.has(command.code)) return ALREADY;
      return yes({ type: 'finding.opened', actor: command.by, body: { code: command.code, message: command.message, owner: command.owner } });
    case 'closeFinding':
      return state.findings.has(command.code) ? yes({ type: 'finding.closed', actor: command.by, body: { code: command.code } }) : ALREADY;
  }
}

type Of<T extends Command['type']> = Extract<Command, { type: T }>;

function decideRevision(state: ChangeState, command: Of<'revise'>): Decided {
  if (!state.requester.includes(command.by)) return no('not-requester', 'only who asked may revise');
  if (!['requested', 'pending', 'scheduled'].includes(state.name)) return no('too-late', `a change that is ${state.name} cannot be revised`);
  if (state.request.kind !== command.request.kind || state.request.subject !== command.request.subject) {
    return no('not-expected', 'kind and subject stay what they were; ask for a new change');
  }
  return yes({ type: 'change.revised', actor: command.by, body: { revision: state.revision + 1, request: command.request } });
}

function decideWithdrawal(state: ChangeState, command: Of<'withdraw'>): Decided {
  if (!state.requester.includes(command.by)) return no('not-requester', 'only who asked may withdraw');
  if (state.name === 'withdrawn' || state.name === 'withdrawing') return ALREADY;
  if (!['requested', 'pending', 'scheduled', 'authorised', 'executing'].includes(state.name)) {
    return no('too-late', `a change that is ${state.name} cannot be withdrawn${state.name === 'active' ? '; revoke it' : ''}`);
  }
  if (state.act !== null && state.plan?.kind === 'revoke') return no('too-late', 'the revoke is on its way; taking back is not withdrawn');
  return yes({ type: 'change.withdrawn', actor: command.by, body: { comment: command.comment } });
}

function decideExpiry(state: ChangeState, command: Of<'expire'>, nowMs: number): Decided {
  const over = command.cause === 'approval'
    ? state.name === 'pending' && state.approvalsByMs !== null && nowMs >= state.approvalsByMs
    : state.name === 'scheduled' && state.plan !== null && nowMs >= (leaseEndMs(state.plan, nowMs) ?? Infinity);
  if (!over) return no('not-expected', `nothing expires in ${state.name}`);
  return yes({ type: 'change.expired', actor: command.by, body: { cause: command.cause } });
}

function decideRead(state: ChangeState, command: Of<'authoriseRead'>, nowMs: number): Decided {
  const ticket = readPayload(command.ticket, ticketSchema);
  if (state.name !== 'requested' || state.before !== null || ticket.kind !== 'read') return no('not-expected', 'nothing is to be read');
  if (state.read !== null && !state.read.spent && nowMs < state.read.notAfterMs) return no('not-expected', 'a read ticket is out');
  return yes({
    type: 'step.authorised', actor: command.by,
    body: { kind: 'read', revision: state.revision, stepId: ticket.stepId, issue: ticket.issue, ticket: command.ticket },
  });
}

function decideDecision(state: ChangeState, command: Of<'recordDecision'>, nowMs: number): Decided {
  const due = command.phase === 'request' ? state.name === 'requested' : state.name === 'scheduled' || needsAnotherIssue(state, nowMs);
  if (!due) return no('not-expected', `no decision is due in ${state.name}`);
  const digest = command.plan === null ? null : planDigest(command.plan);
  if (command.phase === 'dispatch' && digest !== state.planDigest) return no('plan-changed', 'the plan is not the one that was decided');
  if (digest === null && command.decision.effect !== 'deny') return no('not-expected', 'nothing can be allowed without a plan');
  const requirement = strictest(state.requirement, { approvers: command.decision.obligations.approvers, proofClass: command.decision.obligations.proofClass });
  const asks = command.phase === 'request' && command.decision.effect !== 'deny' && requirement.approvers !== null;
  return yes({
    type: 'policy.decided', actor: command.by,
    body: {
      revision: state.revision, phase: command.phase, planDigest: digest, decision: command.decision, provenance: command.provenance,
      requirement, approvalsBy: asks ? formatTime(nowMs + command.approvalSeconds * 1000) : null,
    },
    ...(command.plan !== null && command.phase === 'request' ? { attached: { plan: command.plan } } : {}),
  });
}

function decideApproval(state: ChangeState, command: Of<'approve'>, nowMs: number): Decided {
  const statement = readPayload(command.approval.envelope, approvalStatementSchema);
  if (state.requester.includes(statement.approver)) return no('self-approval', 'who asked does not approve');
  if (state.name === 'requested') return no('plan-changed', 'there is no plan to decide on yet');
  if (statement.revision !== state.revision || statement.planDigest !== state.planDigest || statement.changeId !== state.changeId) {
    return no('plan-changed', `the plan is now revision ${state.revision}, ${state.planDigest ?? 'not derived yet'}`);
  }
  if (!approversNamed(state.requirement.approvers).includes(statement.approver)) return no('not-an-approver', `${statement.approver} is not asked`);
  if (statement.verdict === 'approve' && approvedBy(state, nowMs).has(statement.approver)) return ALREADY;
  if (state.name !== 'pending') return no('already-decided', `the change is ${state.name}`);
  if (parseTime(statement.expiresAt) <= nowMs || (state.approvalsByMs !== null && nowMs >= state.approvalsByMs)) {
    return no('approval-expired', 'the time to decide is over');
  }
  const body = { approval: command.approval, comment: command.comment };
  return statement.verdict === 'approve'
    ? yes({ type: 'approval.recorded', actor: statement.approver, body })
    : yes({ type: 'approval.rejected', actor: statement.approver, body });
}

/** A ticket ran out, or was refused for a passing reason, and nobody took the step up: it may be authorised again. */
export function needsAnotherIssue(state: ChangeState, nowMs: number): boolean {
  if (state.name !== 'authorised' && state.name !== 'executing') return false;
  if (state.act === null || state.result !== null) return false;
  return state.act.spent || (!state.claimed && nowMs >= state.act.notAfterMs);
}

function decideAct(state: ChangeState, command: Of<'authoriseAct'>, nowMs: number): Decided {
  const ticket = readPayload(command.ticket, ticketSchema);
  const due = state.name === 'scheduled' || needsAnotherIssue(state, nowMs);
  if (!due || state.plan === null || ticket.kind !== 'act') return no('not-expected', `no step is due in ${state.name}`);
  if (ticket.planDigest !== state.planDigest || planDigest(state.plan) !== state.planDigest) return no('plan-changed', 'the ticket is for another plan');
  if (state.dispatch === null || state.dispatch.planDigest !== state.planDigest || nowMs - state.dispatch.atMs > DISPATCH_FRESH_MS) {
    return no('stale-decision', 'policy has not decided this plan just now');
  }
  const approved = approvedBy(state, nowMs);
  if (state.requirement.approvers !== null && !isSatisfied(state.requirement.approvers, approved)) {
    return no('not-approved', 'the approvals do not meet the requirement');
  }
  const latestMs = state.lease?.endsAtMs ?? leaseEndMs(state.plan, nowMs);
  const order = state.lease?.order ?? command.order;
  if (latestMs !== null && order === null) return no('not-expected', 'no order to end the lease');
  const lease = latestMs === null || order === null ? null : leaseOf(order);
  if (lease !== null && latestMs !== null) {
    // The order was signed a moment before this is decided: it may end the lease that much earlier, never later.
    const endsAtMs = parseTime(lease.endsAt);
    if (nowMs >= endsAtMs) return no('too-late', 'the access would be over before it began');
    if (endsAtMs > latestMs || (state.lease !== null && endsAtMs !== latestMs)) return no('not-expected', 'the order does not end the lease when it ends');
  }
  return yes({
    type: 'step.authorised', actor: command.by,
    body: {
      kind: 'act', revision: state.revision, stepId: ticket.stepId, issue: ticket.issue, ticket: command.ticket, planDigest: ticket.planDigest,
      requirement: state.requirement, approvals: state.approvals.map(({ approval }) => approval.approvalId), lease,
    },
  });
}

function leaseOf(order: Dsse): { leaseId: string; epoch: number; endsAt: string; order: Dsse } {
  const { leaseId, notBefore } = readPayload(order, revokeOrderSchema);
  return { leaseId, epoch: 1, endsAt: notBefore, order };
}

function decideReport(state: ChangeState, command: Of<'recordReport'>): Decided {
  const { report, envelope, states } = command;
  const actor = report.executor;
  const body = { report: envelope };
  switch (report.kind) {
    case 'claimed': {
      const known = state.act?.stepId === report.stepId && state.act.issue === report.issue;
      return known && !state.claimed && state.result === null ? yes({ type: 'step.claimed', actor, body }) : ALREADY;
    }
    case 'read': {
      if (state.read?.stepId !== report.stepId || state.before !== null || state.read.spent || state.name !== 'requested') return ALREADY;
      const before = report.state === null ? undefined : states.get(report.state);
      if (report.outcome === 'done') return before === undefined ? no('not-expected', 'the state that the report names is missing') : yes({ type: 'state.read', actor, body, attached: { before } });
      return yes({ type: report.outcome === 'refused' ? 'step.refused' : 'step.failed', actor, body });
    }
    case 'acted':
      return decideActed(state, command, report);
    case 'revoked': {
      if (state.ended !== null) return ALREADY;
      if (report.outcome === 'failed' || report.outcome === 'mismatch') {
        const code = report.outcome === 'failed' ? 'revoke-failed' : 'revoke-mismatch';
        const message = report.detail ?? 'the access could not be taken back';
        return state.findings.has(code) ? ALREADY : yes({ type: 'finding.opened', actor, body: { code, message, owner: null } });
      }
      if (command.order === null || payloadDigest(command.order) !== report.order) return no('not-expected', 'the order that was carried out is missing');
      const after = report.after === null ? undefined : states.get(report.after);
      const closed: NewEvent[] = [...state.findings.keys()].filter((code) => code !== 'policy-fault').map((code) => ({ type: 'finding.closed', actor, body: { code } }));
      return yes({ type: 'lease.ended', actor, body: { report: envelope, order: command.order }, ...(after === undefined ? {} : { attached: { after } }) }, ...closed);
    }
  }
}

function decideActed(state: ChangeState, command: Of<'recordReport'>, report: Extract<Report, { kind: 'acted' }>): Decided {
  if (state.act?.stepId !== report.stepId || state.result !== null) return ALREADY;
  const actor = report.executor;
  const body = { report: command.envelope };
  const before = report.before === null ? undefined : command.states.get(report.before);
  const after = report.after === null ? undefined : command.states.get(report.after);
  const attached = { ...(before === undefined ? {} : { before }), ...(after === undefined ? {} : { after }) };
  const sealed: NewEvent[] = report.seal === null || state.delivery?.seal.ciphertext === report.seal.ciphertext ? []
    : [{ type: 'delivery.sealed', actor, body: { stepId: report.stepId, seal: report.seal } }];
  switch (report.outcome) {
    case 'done':
    case 'already-absent':
      return yes(...sealed, { type: 'step.succeeded', actor, body, attached });
    case 'ambiguous':
      return report.attempt <= state.ambiguousAttempt ? ALREADY : yes({ type: 'step.ambiguous', actor, body });
    case 'refused':
    case 'drifted':
    case 'immutable':
      return state.act.issue === report.issue && !state.act.spent && !FINAL_STATES.has(state.name) ? yes({ type: 'step.refused', actor, body, attached }) : ALREADY;
    case 'failed':
      return FINAL_STATES.has(state.name) ? ALREADY : yes({ type: 'step.failed', actor, body, attached });
  }
}

function decideVerification(state: ChangeState, command: Of<'recordVerification'>): Decided {
  if (state.name !== 'verifying' || state.result === null || state.verification !== null) return no('not-expected', `nothing is to be verified in ${state.name}`);
  const { by, verification, provenance } = command;
  const verified: NewEvent = { type: 'entitlement.verified', actor: by, body: { stepId: state.result.stepId, verification, provenance } };
  if (verification.effect === 'deny' || state.lease === null) return yes(verified);
  const { leaseId, epoch, endsAtMs } = state.lease;
  return yes(verified, { type: 'lease.activated', actor: by, body: { leaseId, epoch, endsAt: formatTime(endsAtMs) } });
}

function decideRevoke(state: ChangeState, command: Of<'orderRevoke'>): Decided {
  if (state.ended !== null) return ALREADY;
  const order = readPayload(command.order, revokeOrderSchema);
  if (order.changeId !== state.changeId || state.act === null || state.plan?.kind === 'revoke') return no('nothing-to-revoke', `a change that is ${state.name} has given nothing`);
  if (FINAL_STATES.has(state.name) && state.lease === null) return no('nothing-to-revoke', `a change that is ${state.name} has given nothing`);
  if (state.revokes.some(({ content }) => content.notBefore <= order.notBefore)) return ALREADY;
  return yes({ type: 'step.authorised', actor: command.by, body: { kind: 'revoke', stepId: revokeStepId(state.changeId), order: command.order, comment: command.comment } });
}

