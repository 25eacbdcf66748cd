/**
 * Whose turn it is, by the executor's own book: no sidecar can have an old login retired before the new one was tried, nor a lease extended that
 * was not given here or has ended.
 */
import { canonicalText } from '../../ledger/index.ts';
import { actStepId, leaseIdOf } from '../change/derive.ts';
import type { Plan } from '../protocol/plan.ts';
import type { ActTicket, Refusal } from '../protocol/signed.ts';
import { parseTime } from '../protocol/values.ts';
import type { BookState } from './book-entries.ts';
import type { WorkerContext } from './context.ts';
import { isEnded, isFenced, leaseEndMs } from './order-fence.ts';
import type { HeldOrder } from './orders.ts';

/** Why the ticket's step is not to be taken up now; null where it is its turn. `order`: what is to end the lease from then on. */
export function outOfTurn(context: Pick<WorkerContext, 'book' | 'clock' | 'ending'>, ticket: ActTicket, plan: Plan, order: HeldOrder | null): { readonly code: Refusal; readonly message: string } | null {
  if (plan.extends !== undefined) return whyNotExtended(context, ticket, plan, plan.extends, order);
  const n = plan.steps.findIndex(({ stepId }) => stepId === ticket.stepId);
  if (n === 0) return null;
  if (isFenced(ticket.step.action) && isEnded(context, leaseIdOf(ticket.changeId))) {
    return { code: 'lease-ended', message: `what step ${n} builds on was taken back, or is to be` };
  }
  const missing = plan.steps.slice(0, n).findIndex(({ stepId }) => !isDone(context.book.state, stepId, ticket.planDigest));
  return missing < 0 ? null : { code: 'wrong-step', message: `step ${missing + 1} of this plan is not done here, and step ${n + 1} comes after it` };
}

function whyNotExtended(
  context: Pick<WorkerContext, 'book' | 'clock' | 'ending'>, { step }: ActTicket, plan: Plan, { change, epoch }: NonNullable<Plan['extends']>, order: HeldOrder | null,
): { readonly code: Refusal; readonly message: string } | null {
  const leaseId = leaseIdOf(change);
  const { state } = context.book;
  if (isEnded(context, leaseId)) return { code: 'lease-ended', message: 'the access that was to end later was taken back, or is to be' };
  const given = [...(state.stepsOfLease.get(leaseId) ?? [])].map((stepId) => state.steps.get(stepId)).find((one) => one?.claim?.ticket.changeId === change && one.attempts.length > 0);
  if (given === undefined) return { code: 'wrong-step', message: 'nothing has been given here under the lease that is to end later' };
  // After a crash it is looked for: what became of it is known soon.
  if (!given.attempts.some(({ status }) => status === 'applied')) return { code: 'not-yet', message: 'what is to end later is not known to have been given' };
  const first = given.claim!;
  const { stepId: _, gave, ...extended } = step;
  const { stepId: __, ...lent } = first.ticket.step;
  if (canonicalText({ ...extended, action: gave }) !== canonicalText(lent) || plan.subject !== first.plan.subject) return { code: 'wrong-step', message: 'the step extends something else than was given' };
  const current = state.epochs.get(leaseId) ?? 1;
  if (epoch <= current) return { code: 'order-mismatch', message: `the lease is at epoch ${current}, and the extension is of epoch ${epoch}` };
  if (order === null || order.dueMs <= leaseEndMs(state, leaseId)) return { code: 'order-mismatch', message: 'the lease ends no earlier already' };
  return null;
}

function isDone(book: BookState, stepId: string, planDigest: string): boolean {
  const step = book.steps.get(stepId);
  return step?.claim?.ticket.planDigest === planDigest && step.resolved?.outcome === 'done';
}

/** When the first step under the ticket's very plan was authorised, in epoch ms, for a change that this executor has begun; null for any other. */
export function beganAtMs(book: BookState, { changeId, revision, planDigest }: ActTicket): number | null {
  const first = actStepId(changeId, revision, 1);
  const claimed = book.steps.get(first)?.claim?.ticket;
  return claimed?.planDigest === planDigest && isDone(book, first, planDigest) ? parseTime(claimed.notBefore) : null;
}
