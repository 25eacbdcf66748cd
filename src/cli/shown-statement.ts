/** Whether what is to be signed is what was shown: asked by whoever signs, on the approver's own machine, before anything is signed. */
import { logOf } from '../change/derive.ts';
import type { ChangeView } from '../client/index.ts';
import type { ApprovalStatement } from '../protocol/signed.ts';
import { differingField } from './shown-plan.ts';

/** Longer than any approval is good for, but of a plan whose window is later: whoever asks for more has something else in mind. */
export const SIGNED_MS_MAX = 31 * 86_400_000;

/** What the statement is, in the place of one on this verdict and the plan that is shown; null where it is that and nothing else. */
export function statementFault(change: ChangeView, statement: ApprovalStatement, verdict: 'approve' | 'reject', nowMs: number): string | null {
  const isThat = statement.changeId === change.id && statement.log === logOf(change.id) && statement.revision === change.revision
    && statement.planDigest === change.planDigest && statement.verdict === verdict;
  const differing = isThat ? differingField(change) : 'statement';
  if (differing !== null) return `not the plan that ${change.id} is shown with (${differing})`;
  const latestMs = Math.max(nowMs + SIGNED_MS_MAX, change.plan?.window === undefined ? 0 : Date.parse(change.plan.window.closesAt));
  return Date.parse(statement.expiresAt) <= latestMs ? null : `good until ${statement.expiresAt}, which is longer than it need be`;
}
