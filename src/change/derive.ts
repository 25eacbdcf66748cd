/**
 * What the server derives from a request and never takes from one: ids, the query, the plan, tickets and revoke orders.
 * Pure: the same state and arguments give the same bytes.
 */
import { canonicalBytes, digestOf } from '../../ledger/index.ts';
import { planDigest, type Plan, type PlanStep, type TargetState } from '../protocol/plan.ts';
import type { ChangeRequest } from '../protocol/request.ts';
import type { ActTicket, Query, ReadTicket, RevokeOrder } from '../protocol/signed.ts';
import { durationSeconds, formatTime, parseTime } from '../protocol/values.ts';
import type { ChangeState } from './state.ts';

/** `<log>_<ulid>`: what the ids of one change have in common. */
const stem = (changeId: string): string => changeId.slice('chg_'.length);
export const logOf = (changeId: string): string => stem(changeId).slice(0, 16);
export const leaseIdOf = (changeId: string): string => `lse_${stem(changeId)}`;
export const clientTokenOf = (changeId: string): string => `cs_${stem(changeId).slice(17).toLowerCase()}`;
export const readStepId = (changeId: string, revision: number): string => `stp_${stem(changeId)}_r${revision}_read`;
export const actStepId = (changeId: string, revision: number, n: number): string => `stp_${stem(changeId)}_r${revision}_${n}`;
export const revokeStepId = (changeId: string): string => `stp_${stem(changeId)}_revoke`;

/** The one connector and target that a request touches; null where it names several. */
export function systemOf(request: ChangeRequest): { connector: string; target: string } | null {
  const [first, ...others] = request.entitlements;
  if (first === undefined || others.some((one) => one.connector !== first.connector || one.target !== first.target)) return null;
  return { connector: first.connector, target: first.target };
}

/** The lease that a request asks for, in seconds; null for standing access and for a revoke. */
export function leaseSecondsOf(request: ChangeRequest): number | null {
  return request.kind === 'revoke' || request.duration === undefined ? null : durationSeconds(request.duration);
}

/** A new account's name: the identity's, made safe, with the end of the change's ulid so that no two are alike. At most 63 bytes. */
export function newAccountName(subject: string, changeId: string): string {
  const name = subject.slice(subject.indexOf('/') + 1).replaceAll(/[^a-z0-9]+/g, '_').slice(0, 48);
  return `${name}_${stem(changeId).slice(-10).toLowerCase()}`;
}

export function deriveQuery(changeId: string, request: ChangeRequest, account: string): Query {
  const [first] = request.entitlements;
  return {
    connector: first!.connector, target: first!.target, action: request.kind, account,
    privileges: [...new Set(request.entitlements.map((one) => one.privilege))].sort(), clientToken: clientTokenOf(changeId),
  };
}

/** Derives the plan of the state's revision from what was read under `query`. `salt`: 16 random bytes, base64url. */
export function derivePlan(state: ChangeState, query: Query, before: TargetState, salt: string): Plan {
  const { changeId, request, revision } = state;
  const step: PlanStep = { stepId: actStepId(changeId, revision, 1), ...query };
  const leaseSeconds = leaseSecondsOf(request);
  return {
    v: 1, salt, log: logOf(changeId), changeId, revision, kind: request.kind, requester: [...state.requester], subject: request.subject,
    purpose: request.purpose, connector: query.connector, target: query.target, mode: 'executor', entitlements: request.entitlements,
    steps: [step], before: before.touched,
    lease: leaseSeconds === null ? null
      : { leaseId: leaseIdOf(changeId), leaseSeconds, endsBy: request.kind !== 'revoke' ? (request.endsBy ?? null) : null },
    recipient: request.kind === 'provision' ? request.recipient : null,
  };
}

/** When the access ends, fixed at the first authorisation: min(now + leaseSeconds, endsBy). */
export function leaseEndMs(plan: Plan, nowMs: number): number | null {
  if (plan.lease === null) return null;
  const byDuration = nowMs + plan.lease.leaseSeconds * 1000;
  return plan.lease.endsBy === null ? byDuration : Math.min(byDuration, parseTime(plan.lease.endsBy));
}

export function deriveReadTicket(state: ChangeState, query: Query, audience: string, nowMs: number, ticketSeconds: number): ReadTicket {
  return {
    kind: 'read', v: 1, log: logOf(state.changeId), changeId: state.changeId, revision: state.revision,
    stepId: readStepId(state.changeId, state.revision), issue: (state.read?.issue ?? 0) + 1, audience,
    notBefore: formatTime(nowMs), notAfter: formatTime(nowMs + ticketSeconds * 1000),
    queryDigest: digestOf(canonicalBytes(query)), query,
  };
}

export function deriveActTicket(state: ChangeState, plan: Plan, audience: string, nowMs: number, ticketSeconds: number): ActTicket {
  const step = plan.steps[0]!;
  return {
    kind: 'act', v: 1, log: plan.log, changeId: plan.changeId, revision: plan.revision, stepId: step.stepId, issue: (state.act?.issue ?? 0) + 1,
    audience, notBefore: formatTime(nowMs), notAfter: formatTime(nowMs + ticketSeconds * 1000), planDigest: planDigest(plan), step,
  };
}

/** The order that takes back what the plan gives. A plan that gives nothing (a revoke) has none. */
export function deriveRevokeOrder(
  plan: Plan, audience: string, notBeforeMs: number, cause: RevokeOrder['cause'], orderedBy: string,
): RevokeOrder | null {
  const step = plan.steps[0]!;
  if (step.action === 'revoke') return null;
  return {
    v: 1, log: plan.log, changeId: plan.changeId, leaseId: leaseIdOf(plan.changeId), epoch: 1, notBefore: formatTime(notBeforeMs), audience,
    action: step.action, connector: step.connector, target: step.target, account: step.account, privileges: step.privileges,
    clientToken: step.clientToken, cause, orderedBy,
  };
}
