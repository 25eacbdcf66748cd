/** Whether a change waits for somebody. */
import { awaitedBy } from '../protocol/awaited.ts';
import { hasRejected } from './rejecting.ts';
import { approvedBy, type ChangeState } from './state.ts';

/** Whether the change waits for this person's decision: her approval would count now, is not given, nor refused, and is of a part of the requirement that nobody else has met. */
export function waitsForApprovalOf(state: ChangeState, person: string, nowMs: number): boolean {
  const { name, requester, approvalsByMs, requirement: { approvers } } = state;
  if (name !== 'pending' || approvers === null || requester.includes(person) || hasRejected(state, person) || (approvalsByMs !== null && nowMs >= approvalsByMs)) return false;
  return awaitedBy(approvers, approvedBy(state, nowMs)).has(person);
}
