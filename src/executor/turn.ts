/** Whose turn it is in a plan of several steps, by the executor's own book: no sidecar can have an old login retired before the new one was tried. */
import { actStepId, leaseIdOf } from '../change/derive.ts';
import type { Plan } from '../protocol/plan.ts';
import type { ActTicket, Refusal } from '../protocol/signed.ts';
import { parseTime } from '../protocol/values.ts';
import type { BookState } from './book-entries.ts';
import type { WorkerContext } from './context.ts';
import { isEnded, isFenced } from './order-fence.ts';

/** Why the ticket's step is not to be taken up now; null where it is its turn. */
export function outOfTurn(context: Pick<WorkerContext, 'book' | 'clock' | 'ending'>, ticket: ActTicket, plan: Plan): { readonly code: Refusal; readonly message: string } | null {
  const n = plan.steps.findIndex(({ stepId }) => stepId === ticket.stepId);
  if (n === 0) return null;
  if (isFenced(ticket.step.action) && isEnded(context, leaseIdOf(ticket.changeId))) {
    return { code: 'lease-ended', message: `what step ${n} builds on was taken back, or is to be` };
  }
  const missing = plan.steps.slice(0, n).findIndex(({ stepId }) => !isDone(context.book.state, stepId, ticket.planDigest));
  return missing < 0 ? null : { code: 'wrong-step', message: `step ${missing + 1} of this plan is not done here, and step ${n + 1} comes after it` };
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
