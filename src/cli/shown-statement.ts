/** Whether what is to be signed is what was shown: asked by whoever signs, on the approver's own machine, before anything is signed. */
import { logOf } from '../change/derive.ts';
import type { BreakGlassReviewAnswer, ChangeView } from '../client/index.ts';
import { BREAK_GLASS_SECONDS_MAX } from '../protocol/break-glass.ts';
import { breakGlassReviewStatementSchema } from '../protocol/break-glass-review.ts';
import { commitmentTo } from '../protocol/disclosure.ts';
import { approvalStatementSchema, type ApprovalStatement } from '../protocol/signed.ts';
import { standingStatementSchema, templateFault, type StandingStatement } from '../protocol/standing-approval.ts';
import { differingField } from './shown-plan.ts';
import { templateLines } from './shown-template.ts';

/** Longer than any approval is good for, but of a plan whose window is later: whoever asks for more has something else in mind. */
export const SIGNED_MS_MAX = 31 * 86_400_000;

/** How long a template may have been looked at before it is signed. */
const TEMPLATE_AGE_MS_MAX = 3_600_000;

/** What the statement is, in the place of one on this verdict and the plan that is shown; null where it is that and nothing else. */
export function statementFault(change: ChangeView, statement: ApprovalStatement, verdict: 'approve' | 'reject', nowMs: number): string | null {
  if (!approvalStatementSchema.safeParse(statement).success) return 'no statement of an approval';
  const isThat = statement.changeId === change.id && statement.log === logOf(change.id) && statement.revision === change.revision
    && statement.planDigest === change.planDigest && statement.verdict === verdict;
  const differing = isThat ? differingField(change) : 'statement';
  if (differing !== null) return `not the plan that ${change.id} is shown with (${differing})`;
  const latestMs = Math.max(nowMs + SIGNED_MS_MAX, change.plan?.window === undefined ? 0 : Date.parse(change.plan.window.closesAt));
  return Date.parse(statement.expiresAt) <= latestMs ? null : `good until ${statement.expiresAt}, which is longer than it need be`;
}

/** What nobody but the reviewer says. */
const unsaidSchema = breakGlassReviewStatementSchema.omit({ verdict: true, rotation: true, comment: true });

/** What a statement is, in the place of one to review the broken glass of this very change, that says nothing yet; null where it is that. */
export function reviewFault(changeId: string, statement: BreakGlassReviewAnswer['statement'], nowMs: number): string | null {
  if (!unsaidSchema.safeParse(statement).success) return 'more than is shown';
  const { changeId: about, log, expiresAt } = statement;
  if (about !== changeId || log !== logOf(changeId)) return `about another change than ${changeId}`;
  return Date.parse(expiresAt) <= nowMs + BREAK_GLASS_SECONDS_MAX * 1000 ? null : `good until ${expiresAt}, which is longer than it may be`;
}

/** What a template is, in the place of one that says what is shown of it, in her name, for this reason and from now on; null where it is that. */
export function templateDiffers(template: unknown, { lines, log, approver, reason, salt, nowMs }: { readonly lines: readonly string[]; readonly log: string; readonly approver: string; readonly reason: string; readonly salt: string; readonly nowMs: number }): string | null {
  const parsed = standingStatementSchema.safeParse(template);
  if (!parsed.success) return 'no standing approval';
  const statement: StandingStatement = parsed.data;
  const why = templateFault(statement);
  if (why !== null) return why;
  const made = templateLines(statement).map(({ text }) => text);
  if (made.length !== lines.length || made.some((text, index) => text !== lines[index])) return 'another than is shown';
  if (statement.log !== log || statement.approver !== approver) return `in the name of ${statement.approver}, for log ${statement.log}`;
  if (statement.reason.commitment !== commitmentTo({ name: 'reason', salt, value: reason }).commitment) return 'for another reason than is shown';
  return Math.abs(Date.parse(statement.notBefore) - nowMs) <= TEMPLATE_AGE_MS_MAX ? null : 'made too long ago: make it again';
}
