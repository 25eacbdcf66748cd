/**
 * What is published of access that was taken back is withdrawn, so that who looks finds what was there before. Taking back waits for it no
 * moment. It is owed from then on, by the lease book, until every sink has answered: a login that still works must be found again.
 */
import type { WorkerContext } from './context.ts';
import { backoffMs, within } from './deadline.ts';
import { sinksOf } from './keeping.ts';

export interface Withdrawals {
  /** Tried once, now, for a lease that is being taken back. Nobody is told, and what fails is done again by {@link owe}. */
  hurry(leaseId: string, clientToken: string): void;
  /** Tried until it is done, by this process or by whoever opens the book next. Idempotent. */
  owe(leaseId: string, clientToken: string): void;
  /** Resolves when no sink is in the middle of a call. */
  idle(): Promise<void>;
}

export function createWithdrawals(context: WorkerContext): Withdrawals {
  const { book, clock, limits, logger } = context;
  const running = new Map<string, Promise<void>>();

  const withdraw = async (leaseId: string, clientToken: string): Promise<boolean> => {
    const retired = retiredOf(context, leaseId);
    // Whether the old login works is known soon: until then neither it nor nothing is the right thing to find.
    if (retired === 'perhaps') return false;
    const answers = await Promise.allSettled(sinksOf(context, leaseId).map(async (sink) => {
      if (retired === 'yes') await within(clock, limits.askTimeoutMs, (signal) => sink.settle(clientToken, signal));
      await within(clock, limits.askTimeoutMs, (signal) => sink.withdraw(clientToken, signal));
    }));
    const failed = answers.filter((answer) => answer.status === 'rejected');
    for (const { reason } of failed) logger.error({ leaseId, reason: String(reason) }, 'a secret whose access was taken back may still be in its sink; trying again');
    return failed.length === 0;
  };
  const untilDone = async (leaseId: string, clientToken: string): Promise<void> => {
    for (let failures = 0; !context.isClosing(); failures += 1) {
      if (await withdraw(leaseId, clientToken)) {
        if (book.state.withdrawing.has(leaseId)) book.later({ t: 'withdrawn', leaseId });
        return;
      }
      await context.pauses.pause(backoffMs(limits.revokeRetryMs, failures));
    }
  };
  return {
    hurry: (leaseId, clientToken) => void withdraw(leaseId, clientToken),
    owe(leaseId, clientToken) {
      if (running.has(leaseId)) return;
      running.set(leaseId, untilDone(leaseId, clientToken).finally(() => running.delete(leaseId)));
    },
    idle: () => Promise.all(running.values()).then(() => undefined),
  };
}

/** Whether the old login of a rotation was shut out, by this worker's book. */
function retiredOf({ book: { state } }: WorkerContext, leaseId: string): 'yes' | 'perhaps' | 'no' {
  const attempts = [...(state.stepsOfLease.get(leaseId) ?? [])].flatMap((stepId) => {
    const step = state.steps.get(stepId);
    return step?.claim?.ticket.step.action === 'retire' ? step.attempts : [];
  });
  return attempts.some(({ status }) => status === 'applied') ? 'yes' : attempts.some(({ status }) => status === 'open') ? 'perhaps' : 'no';
}
