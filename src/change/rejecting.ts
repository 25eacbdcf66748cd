/** What people's rejections of a plan come to: how many of them end the change, and whether those who are left can still approve it. */
import { mayApprove } from '../protocol/awaited.ts';
import { isSatisfied, type ApproverExpression } from '../protocol/decision.ts';
import type { ChangeState } from './state.ts';

export const REJECTION_OUTCOMES = ['open', 'enough', 'unreachable'] as const;
/** `open`: it waits on. `enough`: so many have said no. `unreachable`: those who are left cannot approve it. */
export type RejectionOutcome = (typeof REJECTION_OUTCOMES)[number];

type Rejected = Pick<ChangeState, 'name' | 'approvals' | 'rejections' | 'rejectionsDue' | 'requirement' | 'requester'>;
type Ids = Pick<ChangeState['rejections'][number], 'statement' | 'otherIds'>;

/** Every id by which whoever rejected it is asked. */
export const idsOf = ({ statement, otherIds = [] }: Ids): string[] => [statement.approver, ...otherIds];

/** Whether this person has rejected the plan, by whichever of her ids: then she does not approve it any more. */
export function hasRejected({ rejections }: Pick<ChangeState, 'rejections'>, person: string, otherIds: readonly string[] = []): boolean {
  return rejections.some((one) => idsOf(one).includes(person) || otherIds.includes(one.statement.approver));
}

/** Whether so many have rejected the plan as end the change, by the strictest of what was decided. */
export function isRejected({ rejections, rejectionsDue }: Pick<ChangeState, 'rejections' | 'rejectionsDue'>): boolean {
  return rejections.length >= (rejectionsDue ?? 1);
}

/** What it comes to that `by`, who has not rejected it yet, does. Whoever takes back what her standing approval has met ends the change: nobody is asked any more. */
export function outcomeOfRejection({ name, approvals, rejections, rejectionsDue, requirement: { approvers }, requester }: Rejected, by: string, otherIds: readonly string[] = []): RejectionOutcome {
  if (name !== 'pending' || rejections.length + 1 >= (rejectionsDue ?? 1)) return 'enough';
  const gone = new Set([by, ...otherIds, ...rejections.flatMap(idsOf), ...requester]);
  const given = approvals.map(({ statement }) => statement.approver);
  return approvers !== null && isReachable(approvers, gone, given) ? 'open' : 'unreachable';
}

/** Whether all but those who are gone can approve it, each when it is her turn: who is left of a stage that never opens approves nothing. What was approved before is, whatever order was asked for since. */
function isReachable(approvers: ApproverExpression, gone: ReadonlySet<string>, given: readonly string[]): boolean {
  const approved = new Set(given.filter((person) => !gone.has(person)));
  for (let before = -1; before < approved.size;) {
    before = approved.size;
    for (const person of mayApprove(approvers, approved)) if (!gone.has(person)) approved.add(person);
  }
  return isSatisfied(approvers, approved);
}
