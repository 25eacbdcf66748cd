/** What people's rejections of a plan come to: how many of them end the change, and whether those who are left can still approve it. */
import { approversNamed, isSatisfied } from '../protocol/decision.ts';
import type { ChangeState } from './state.ts';

export const REJECTION_OUTCOMES = ['open', 'enough', 'unreachable'] as const;
/** `open`: it waits on. `enough`: so many have said no. `unreachable`: those who are left cannot approve it. */
export type RejectionOutcome = (typeof REJECTION_OUTCOMES)[number];

type Rejected = Pick<ChangeState, 'name' | 'rejections' | 'rejectionsDue' | 'requirement' | 'requester'>;

/** Whether this person has rejected the plan: then she does not approve it any more. */
export function hasRejected({ rejections }: Pick<ChangeState, 'rejections'>, person: string): boolean {
  return rejections.some(({ statement }) => statement.approver === person);
}

/** Whether so many have rejected the plan as end the change, by the strictest of what was decided. */
export function isRejected({ rejections, rejectionsDue }: Pick<ChangeState, 'rejections' | 'rejectionsDue'>): boolean {
  return rejections.length >= (rejectionsDue ?? 1);
}

/** What it comes to that `by`, who has not rejected it yet, does. Whoever takes back what her standing approval has met ends the change: nobody is asked any more. */
export function outcomeOfRejection({ name, rejections, rejectionsDue, requirement: { approvers }, requester }: Rejected, by: string): RejectionOutcome {
  if (name !== 'pending' || rejections.length + 1 >= (rejectionsDue ?? 1)) return 'enough';
  const gone = new Set([by, ...rejections.map(({ statement }) => statement.approver), ...requester]);
  const left = new Set(approversNamed(approvers).filter((person) => !gone.has(person)));
  return approvers !== null && isSatisfied(approvers, left) ? 'open' : 'unreachable';
}
