/**
 * What the server derives from a request and never takes from one: ids, the query, the plan, tickets and revoke orders.
 * Pure: the same state and arguments give the same bytes.
 */
import { canonicalBytes, digestOf } from '../../ledger/index.ts';
import { callerIdOf } from '../protocol/caller.ts';
import { isUndoable, planDigest, type LentAction, type OffboardItem, type Plan, type PlanStep, type PlanWindow, type StepAction, takesAway, type TargetState } from '../protocol/plan.ts';
import { callerOf, entitlementsOf, purposeOf, type RecordedRequest } from '../protocol/request.ts';
import type { ActTicket, Query, ReadTicket, RevokeOrder } from '../protocol/signed.ts';
import { durationSeconds, formatTime, parseTime } from '../protocol/values.ts';
import { leaseChangeOf, type Extendable } from './extension.ts';
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
export function systemOf(request: RecordedRequest): { connector: string; target: string } | null {
  if (request.kind === 'offboard') return null;
  if (request.kind === 'rotate' || request.kind === 'disable') return { connector: request.connector, target: request.target };
  const [first, ...others] = request.entitlements;
  if (first === undefined || others.some((one) => one.connector !== first.connector || one.target !== first.target)) return null;
  return { connector: first.connector, target: first.target };
}

/** The lease that a request asks for, in seconds; null for standing access and for what gives none. */
export function leaseSecondsOf(request: RecordedRequest): number | null {
  return 'duration' in request && request.duration !== undefined ? durationSeconds(request.duration) : null;
}

/** A new account's name: the identity's, made safe, with the end of the change's ulid so that no two are alike. At most 63 bytes. */
export function newAccountName(subject: string, changeId: string): string {
  const name = subject.slice(subject.indexOf('/') + 1).replaceAll(/[^a-z0-9]+/g, '_').slice(0, 48);
  return `${name}_${stem(changeId).slice(-10).toLowerCase()}`;
}

/** What is asked of the target before there is a plan. The kind is the action; a rotation is asked about as a whole. An extension is asked about what was given. */
export function deriveQuery(changeId: string, request: RecordedRequest, account: string, gave?: LentAction): Query {
  const system = systemOf(request);
  if (system === null || request.kind === 'offboard') throw new Error('a request without one system is not read');
  return {
    connector: system.connector, target: system.target, action: request.kind, account, privileges: [...new Set(entitlementsOf(request).map((one) => one.privilege))].sort(),
    clientToken: clientTokenOf(request.kind === 'extend' ? request.change : changeId), ...(gave === undefined ? {} : { gave }),
  };
}

/** How long consumers that do not confirm are waited for, unless the request says otherwise. */
const GRACE_SECONDS = 900;

/** Half the window at most: a rotation whose grace outlasts its window could only ever be undone. */
function graceWithin(window: PlanWindow | null, seconds: number): number {
  if (window === null) return seconds;
  return Math.min(seconds, Math.floor((parseTime(window.closesAt) - parseTime(window.opensAt)) / 2_000));
}

/** What a plan takes from the facts and from policy, beside the request and what was read. */
export interface Planning {
  /** 16 random bytes, base64url. */
  readonly salt: string;
  readonly window: PlanWindow | null;
  /** Whom the inventory names as users of the identity's credential. */
  readonly consumers: readonly string[];
  readonly parent: string | null;
  /** Of an `extend`: what it extends, as it is now, and the epoch that it is to have. */
  readonly extended?: (Extendable & { readonly nextEpoch: number }) | null;
}

/** Derives the plan of the state's revision from what was read under `query`; null where what was read does not allow one. */
export function derivePlan(state: ChangeState, query: Query, before: Pick<TargetState, 'touched'>, planning: Planning): Plan | null {
  const { changeId, request, revision } = state;
  const caller = callerOf(request);
  const steps = deriveSteps(changeId, revision, query, before.touched, caller !== null);
  if (steps === null || request.kind === 'offboard') return null;
  const extended = planning.extended ?? null;
  if (request.kind === 'extend' && (extended?.change !== request.change || !extendsWhatWasGiven(steps[0]!, extended))) return null;
  const leaseSeconds = leaseSecondsOf(request);
  const rotation = request.kind !== 'rotate' || caller !== null ? null : {
    overlap: before.touched['overlap'] === 'twin' ? 'twin' as const : 'none' as const,
    graceSeconds: graceWithin(planning.window, request.grace === undefined ? GRACE_SECONDS : durationSeconds(request.grace)),
    retire: request.retire ?? 'whenUnused' as const, consumers: [...planning.consumers],
  };
  return {
    v: 1, salt: planning.salt, log: logOf(changeId), changeId, revision, kind: request.kind, requester: [...state.requester], subject: request.subject,
    purpose: purposeOf(request), connector: query.connector, target: query.target, mode: caller === null ? 'executor' : 'caller', entitlements: entitlementsOf(request),
    steps, before: before.touched,
    lease: leaseSeconds === null ? null
      : { leaseId: leaseIdOf(extended?.change ?? changeId), leaseSeconds, endsBy: 'endsBy' in request ? (request.endsBy ?? null) : null },
    ...(extended === null ? {} : { extends: { change: extended.change, epoch: extended.nextEpoch } }),
    recipient: 'recipient' in request ? (request.recipient ?? null) : null,
    ...(planning.window === null ? {} : { window: planning.window }),
    ...(rotation === null ? {} : { rotation }),
    ...(caller === null ? {} : { caller: { key: caller.key, timeoutSeconds: durationSeconds(caller.timeout) } }),
    ...(planning.parent === null ? {} : { parent: planning.parent }),
  };
}

function extendsWhatWasGiven(step: PlanStep, { gave }: Extendable): boolean {
  const { account, clientToken, connector, privileges, target } = gave;
  const same = step.account === account && step.clientToken === clientToken && step.connector === connector && step.target === target && step.gave === gave.action;
  return same && step.privileges.length === privileges.length && step.privileges.every((privilege, n) => privilege === privileges[n]);
}

/**
 * The steps that a change consists of, in order; null where what was read allows none. For a rotation the connector's answer says how:
 * `touched.overlap`, `currentName`, `nextName` and `privilege` (what the new login is given).
 */
export function deriveSteps(changeId: string, revision: number, query: Query, touched: TargetState['touched'], isCalled: boolean): PlanStep[] | null {
  const { action, connector, target, account, privileges, clientToken } = query;
  const step = (n: number, what: StepAction, about: { account: string; other?: string; privileges: string[] }): PlanStep =>
    ({ stepId: actStepId(changeId, revision, n), action: what, connector, target, ...about, clientToken });
  if (action === 'extend') return query.gave === undefined || isCalled ? null : [{ ...step(1, action, { account, privileges }), gave: query.gave }];
  if (isCalled) return [step(1, 'call', { account, privileges })];
  if (action !== 'rotate') return [step(1, action, { account, privileges })];
  if (touched['overlap'] === 'none') return [step(1, 'replace', { account, privileges: [] })];
  const { currentName: current, nextName: next, privilege } = touched;
  if (touched['overlap'] !== 'twin' || typeof current !== 'string' || typeof next !== 'string' || typeof privilege !== 'string') return null;
  const given = [privilege];
  return [
    step(1, 'stage', { account: next, other: current, privileges: given }),
    step(2, 'cutover', { account: next, other: current, privileges: given }),
    step(3, 'retire', { account: current, other: next, privileges: given }),
  ];
}

/** The plan of an offboarding: no system of its own, and the items in their order. */
export function deriveOffboarding(state: ChangeState, items: readonly OffboardItem[], salt: string): Plan {
  const { changeId, request, revision } = state;
  return {
    v: 1, salt, log: logOf(changeId), changeId, revision, kind: 'offboard', requester: [...state.requester], subject: request.subject, purpose: purposeOf(request),
    connector: '-', target: '-', mode: 'executor', entitlements: [], steps: [], before: {}, lease: null, recipient: null, items: [...items],
  };
}

/** The step that a plan's order undoes: the one that gave what can be taken back; null for a plan that gives nothing. */
export function undoableStep(plan: Plan): PlanStep | null {
  return plan.steps.find(({ action }) => isUndoable(action)) ?? null;
}

/** Whom the tickets of a plan in mode `caller` are for; null where executors act. */
export function callerOfPlan(plan: Plan): string | null {
  return plan.caller === undefined ? null : callerIdOf(plan.caller.key);
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
    stepId: readStepId(state.changeId, state.revision), issue: ((state.readAfter ?? state.read)?.issue ?? 0) + 1, audience,
    notBefore: formatTime(nowMs), notAfter: formatTime(nowMs + ticketSeconds * 1000),
    queryDigest: digestOf(canonicalBytes(query)), query,
  };
}

/** The ticket of the step that is due. A planned window clips it: nobody may act on it outside. */
export function deriveActTicket(state: ChangeState, plan: Plan, step: PlanStep, audience: string, nowMs: number, ticketSeconds: number): ActTicket {
  const issue = state.act?.stepId === step.stepId ? state.act.issue + 1 : 1;
  return {
    kind: 'act', v: 1, log: plan.log, changeId: plan.changeId, revision: plan.revision, stepId: step.stepId, issue,
    audience, notBefore: formatTime(nowMs), notAfter: formatTime(Math.min(nowMs + ticketSeconds * 1000, windowEndMs(plan, step) ?? Infinity)), planDigest: planDigest(plan), step,
  };
}

/** Until when a step may be taken up, in epoch ms; null for one that no window holds up. A caller's code must have its time before the window closes. */
export function windowEndMs(plan: Plan, step: Pick<PlanStep, 'action'>): number | null {
  if (plan.window === undefined || takesAway(step.action)) return null;
  return parseTime(plan.window.closesAt) - (plan.caller?.timeoutSeconds ?? 0) * 1000;
}

/**
 * The order that takes back what the plan gives; for an extension, what the change gave whose lease it extends. A plan that gives nothing that
 * can be undone has none.
 *
 * @param epoch of the lease, of which an extension's plan has its own
 */
export function deriveRevokeOrder(
  plan: Plan, audience: string, notBeforeMs: number, cause: RevokeOrder['cause'], orderedBy: string, epoch = plan.extends?.epoch ?? 1,
): RevokeOrder | null {
  const step = plan.extends === undefined ? undoableStep(plan) : (plan.steps[0] ?? null);
  const action = step?.gave ?? step?.action;
  if (step === null || action === undefined || !isUndoable(action)) return null;
  const changeId = leaseChangeOf(plan);
  return {
    v: 1, log: plan.log, changeId, leaseId: leaseIdOf(changeId), epoch, notBefore: formatTime(notBeforeMs), audience,
    action, connector: step.connector, target: step.target, account: step.account, privileges: step.privileges,
    clientToken: step.clientToken, cause, orderedBy,
  };
}
