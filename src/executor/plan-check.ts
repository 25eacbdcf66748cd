/**
 * Whether a plan is one that the server derives, and a ticket's step is a step of it. People approve what a plan's kind, entitlements and
 * before-state say; so its steps must follow from these and from nothing else, whoever signed it. Pure.
 */
import { canonicalText } from '../../ledger/index.ts';
import { callerOfPlan, clientTokenOf, deriveSteps, leaseIdOf } from '../change/derive.ts';
import { leaseChangeOf } from '../change/extension.ts';
import { ProtocolError } from '../protocol/errors.ts';
import { makesSecret, planDigest, takesAway, type Plan, type PlanStep } from '../protocol/plan.ts';
import type { ActTicket, Refusal } from '../protocol/signed.ts';
import { parseTime } from '../protocol/values.ts';

export function refuse(code: Refusal, message: string): never {
  throw new ProtocolError(code, message);
}

/** Whether `actor` is one run of a caller, as opposed to an executor. */
export function isCaller(actor: string): boolean {
  return actor.startsWith('caller:');
}

/**
 * The plan, once it is the one of the ticket's digest, is derived as it must be, is for `actor` to carry out, and has the ticket's step.
 *
 * @throws ProtocolError `plan-digest-mismatch`, `wrong-step`, or `outside-window` for a ticket that reaches beyond the planned window
 */
export function openPlan(ticket: ActTicket, plan: Plan | null, actor: string): Plan {
  if (plan === null) return refuse('plan-digest-mismatch', 'no plan came with the ticket');
  if (planDigest(plan) !== ticket.planDigest) refuse('plan-digest-mismatch', 'the plan is not the one of the digest');
  if (plan.changeId !== ticket.changeId || plan.revision !== ticket.revision || plan.log !== ticket.log) refuse('plan-digest-mismatch', 'the plan is of another change or revision');
  const step = plan.steps.find(({ stepId }) => stepId === ticket.stepId);
  if (step === undefined || canonicalText(step) !== canonicalText(ticket.step)) return refuse('wrong-step', "the ticket's step is not the plan's");
  checkSteps(plan);
  checkTerms(plan);
  checkActor(plan, actor);
  checkWindow(ticket, plan, step);
  return plan;
}

/** The steps are what the server derives from the rest of the plan: no more, in no other order, at no other account. */
function checkSteps(plan: Plan): void {
  const { kind, connector, target, entitlements } = plan;
  const account = plan.steps[0]?.account;
  if (kind === 'offboard' || plan.items !== undefined || account === undefined) return refuse('wrong-step', 'an offboarding has no steps of its own');
  for (const one of entitlements) {
    if (one.connector !== connector || one.target !== target) refuse('wrong-step', 'the step is at another system than the entitlements');
    // A step has no place for a scope: what was approved with one would be given without.
    if (one.scope !== undefined) refuse('wrong-step', 'an entitlement with a scope, which no step can keep');
  }
  if ((kind === 'rotate' || kind === 'disable') && entitlements.length > 0) refuse('wrong-step', `a ${kind} gives no entitlement`);
  const query = {
    connector, target, action: kind, account, privileges: [...new Set(entitlements.map(({ privilege }) => privilege))].sort(), clientToken: clientTokenOf(leaseChangeOf(plan)),
    ...(plan.steps[0]?.gave === undefined ? {} : { gave: plan.steps[0].gave }),
  };
  const derived = deriveSteps(plan.changeId, plan.revision, query, plan.before, plan.mode === 'caller');
  if (derived === null || canonicalText(derived) !== canonicalText(plan.steps)) refuse('wrong-step', `the steps are not those of the ${kind} that the plan says`);
}

/** What is agreed beside the steps fits them. */
function checkTerms(plan: Plan): void {
  const { kind, mode, steps, before, lease, recipient, rotation } = plan;
  if (steps.some(({ action }) => makesSecret(action)) !== (recipient !== null)) refuse('wrong-step', 'a new secret has a recipient, and nothing else has');
  const isExtended = kind === 'extend';
  if (isExtended !== (plan.extends !== undefined) || (isExtended && (lease === null || plan.extends?.change === plan.changeId))) refuse('wrong-step', 'an extension says which lease of another change it extends, and nothing else does');
  const isLent = kind === 'provision' || kind === 'grant' || isExtended;
  if (lease !== null && (!isLent || lease.leaseId !== leaseIdOf(leaseChangeOf(plan)))) refuse('wrong-step', 'the lease is not of this change');
  const rotates = kind === 'rotate' && mode === 'executor';
  if (rotates !== (rotation !== undefined)) refuse('wrong-step', 'a rotation says how the old credential ends, and nothing else does');
  if (rotation !== undefined && rotation.overlap !== before['overlap']) refuse('wrong-step', 'the rotation has another overlap than was read');
}

const CALLED_KINDS: ReadonlySet<Plan['kind']> = new Set(['rotate', 'revoke', 'disable']);

/** An executor carries out what is for executors, and one run of a caller what was planned for that very run. */
function checkActor(plan: Plan, actor: string): void {
  const caller = callerOfPlan(plan);
  if ((plan.mode === 'caller') !== (caller !== null)) refuse('wrong-step', 'mode and caller of the plan contradict each other');
  if (caller !== null && !CALLED_KINDS.has(plan.kind)) refuse('wrong-step', `a ${plan.kind} is lent: it needs an executor that takes it back`);
  if (isCaller(actor) ? caller !== actor : caller !== null) refuse('wrong-step', caller === null ? 'an executor makes this change' : `${caller} makes this change itself`);
}

/** Both ends are the signer's: clocks are compared when the ticket is, with what difference the trust folder tolerates. */
function checkWindow(ticket: ActTicket, { window }: Plan, step: PlanStep): void {
  if (window === undefined || takesAway(step.action)) return;
  if (parseTime(ticket.notBefore) < parseTime(window.opensAt) || parseTime(ticket.notAfter) > parseTime(window.closesAt)) {
    refuse('outside-window', `the ticket reaches beyond the planned window from ${window.opensAt} to ${window.closesAt}`);
  }
}
