/** When further people are told that a change waits for approvals. Who may approve it is not looked at here, and does not change. */
import { formatTime } from '../protocol/values.ts';
import { no, yes, type Decided } from './outcome.ts';
import type { ChangeState } from './state.ts';

/** When further people are to be told (epoch ms); null where nobody is, or where they were told of this revision. */
export function escalationDueMs({ name, escalation, pendingSinceMs, escalated }: ChangeState): number | null {
  if (name !== 'pending' || escalation === null || pendingSinceMs === null || escalated !== null) return null;
  return pendingSinceMs + escalation.afterSeconds * 1000;
}

export function decideEscalation(state: ChangeState, by: string, nowMs: number): Decided {
  const dueMs = escalationDueMs(state);
  const expired = state.approvalsByMs !== null && nowMs >= state.approvalsByMs;
  if (dueMs === null || state.escalation === null || nowMs < dueMs || expired) return no('not-expected', `nobody is to be told as well in ${state.name}`);
  return yes({ type: 'approval.escalated', actor: by, body: { revision: state.revision, to: state.escalation.to, dueAt: formatTime(dueMs) } });
}
