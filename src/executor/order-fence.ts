/**
 * What an order to take back forbids beside what it takes back. A new login may be shut out again only while the old one is there, and the
 * old one shut out only while the new one is: between the two there is never nobody who gets in.
 */
import { isUndoable, type StepAction } from '../protocol/plan.ts';
import type { BookState } from './book-entries.ts';
import type { WorkerContext } from './context.ts';
import type { HeldOrder } from './orders.ts';

type Fencing = Pick<WorkerContext, 'book' | 'clock' | 'ending'>;

/**
 * Whether a step of this action is one worker's alone, and nothing is done for it once an order of its change is due: it gives what orders name, builds
 * on it, or ends what another worker would have to bring back.
 */
export function isFenced(action: StepAction): boolean {
  return isUndoable(action) || action === 'extend' || action === 'cutover' || action === 'retire' || action === 'replace';
}

/** Whether what the lease gave has been taken back, is being, or is due to be: from then on nothing is given under it. */
export function isEnded({ book, clock, ending }: Fencing, leaseId: string): boolean {
  return ending.has(leaseId) || book.state.ended.has(leaseId) || leaseEndMs(book.state, leaseId) <= clock.nowMs();
}

/** The earliest order in force for the lease decides, in epoch ms; Infinity for one that stands. */
export function leaseEndMs(book: BookState, leaseId: string): number {
  return Math.min(Infinity, ...(book.ordersOfLease.get(leaseId) ?? []).filter((held) => !isVoid(book, held)).map(({ dueMs }) => dueMs));
}

/**
 * Whether the order is not to be carried out any more: it is the end of an epoch before the one that an applied extension has raised the lease
 * to, by this very book. What a person orders ends every epoch, and so does what undoes.
 */
export function isVoid({ epochs }: BookState, { order }: HeldOrder): boolean {
  return order.cause === 'leaseEnd' && order.epoch < (epochs.get(order.leaseId) ?? 1);
}

/**
 * Whether the order would take back the new login of a rotation whose old one is shut out, or may be. That is not done by itself; what a
 * person orders is done at any time.
 */
export function leavesNone(book: BookState, { order }: HeldOrder): boolean {
  if (order.cause === 'early') return false;
  return [...(book.stepsOfLease.get(order.leaseId) ?? [])].some((stepId) => {
    const step = book.steps.get(stepId);
    return step?.claim?.ticket.step.action === 'retire' && step.attempts.some(({ status }) => status !== 'cleared');
  });
}
