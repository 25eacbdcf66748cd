/**
 * When the lease of a change may get a later end, and what follows for both changes from an extension: the one that asks, and the one whose
 * lease it is. Pure; the two folds never look at each other.
 */
import { canonicalText } from '../../ledger/index.ts';
import type { LentAction, Plan, PlanStep } from '../protocol/plan.ts';
import type { RecordedRequest } from '../protocol/request.ts';
import { parseTime } from '../protocol/values.ts';
import type { ChangeState, Lease } from './state.ts';

/** What an extension takes from the change whose lease it is. */
export interface Extendable {
  readonly change: string;
  /** What was given there, in that change's own words. */
  readonly gave: Pick<PlanStep, 'connector' | 'target' | 'account' | 'privileges' | 'clientToken'> & { readonly action: LentAction };
  readonly lease: Pick<Lease, 'leaseId' | 'epoch' | 'endsAtMs'>;
}

/** The lease that a change gave, and what it gave under it; null for one that gave none that ends. */
export function lentBy({ changeId, plan, lease }: Pick<ChangeState, 'changeId' | 'plan' | 'lease'>): Extendable | null {
  const step = plan?.steps[0];
  if (plan?.lease === null || lease === null || step === undefined || plan?.mode !== 'executor' || !isLending(step.action)) return null;
  const { connector, target, account, privileges, clientToken } = step;
  return { change: changeId, gave: { action: step.action, connector, target, account, privileges, clientToken }, lease };
}

function isLending(action: PlanStep['action']): action is LentAction {
  return action === 'provision' || action === 'grant';
}

/** Whether the lease runs: in use, not over, and not to be taken back before its time. */
export function isRunning({ name, lease, revokes, ended }: Pick<ChangeState, 'name' | 'lease' | 'revokes' | 'ended'>, nowMs: number): boolean {
  return name === 'active' && lease?.active === true && revokes.length === 0 && ended === null && nowMs < lease.endsAtMs;
}

/**
 * Whether what was lent is in use and nothing ends it before its lease does. So is one that runs, and one that is held to its end by an order, since
 * an extension of it was refused or never heard of.
 */
export function isLent(state: Pick<ChangeState, 'name' | 'lease' | 'revokes' | 'ended'>, nowMs: number): boolean {
  return (state.name === 'active' || state.name === 'revoking') && state.lease?.active === true && endsByItself(state) && nowMs < state.lease.endsAtMs;
}

/** Whether there is a lease that is not over, and no order takes back what it gave any earlier. */
export function endsByItself({ lease, revokes, ended }: Pick<ChangeState, 'lease' | 'revokes' | 'ended'>): boolean {
  return lease !== null && ended === null && revokes.every(({ content }) => parseTime(content.notBefore) >= lease.endsAtMs);
}

/** Why `request` cannot extend what `state` gave, in a sentence; null where it can. Whether it may, policy says. */
export function whyNotExtendable(state: ChangeState, request: Extract<RecordedRequest, { kind: 'extend' }>, nowMs: number): string | null {
  if (lentBy(state) === null) {
    const { kind } = state.request;
    return state.lease === null && (kind === 'grant' || kind === 'provision') ? `${state.changeId} has given nothing that ends` : `a ${kind} has no lease that could end later`;
  }
  if (state.adoptedFrom !== null) return `the lease was given under log ${state.adoptedFrom}, which this one has adopted: ask for a new grant`;
  if (!isRunning(state, nowMs)) return `the lease of ${state.changeId} does not run: the change is ${state.name}`;
  return isOfSame(state, request) ? null : 'an extension is of the same identity, purpose and entitlements as what it extends';
}

/** Whether the request, or its plan, repeats what the change whose lease it extends was asked for. */
export function isOfSame({ request: first }: Pick<ChangeState, 'request'>, { subject, purpose, entitlements }: Pick<Plan, 'subject' | 'purpose' | 'entitlements'>): boolean {
  if (first.kind !== 'grant' && first.kind !== 'provision') return false;
  return canonicalText({ subject, purpose, entitlements }) === canonicalText({ subject: first.subject, purpose: first.purpose, entitlements: first.entitlements });
}

/** Whose lease a plan is about: that of its own change, or, for an extension, of the one that it extends. */
export function leaseChangeOf(plan: Pick<Plan, 'changeId' | 'extends'>): string {
  return plan.extends?.change ?? plan.changeId;
}
