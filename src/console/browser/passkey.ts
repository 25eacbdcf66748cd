/**
 * What is signed by passkey: only what this page shows, whose digest is computed here. The functions are those that the commands ask before `ssh-keygen`
 * signs.
 */
import { assertStatement, newSalt } from '../../approver/passkey.ts';
import { shownLines } from '../../cli/describe.ts';
import { plain } from '../../cli/output.ts';
import { differingField } from '../../cli/shown-plan.ts';
import { reviewFault, statementFault, templateDiffers } from '../../cli/shown-statement.ts';
import type { BreakGlassReviewAnswer, ChangeView, StandingApprovalList } from '../../client/index.ts';
import { commitmentTo } from '../../protocol/disclosure.ts';
import { planDigest } from '../../protocol/plan.ts';
import type { StandingStatement } from '../../protocol/standing-approval.ts';
import type { StatementAnswer } from '../../sidecar/schemas.ts';

/** The passkey's answer, as JSON. @param what `approve`, `review` or `standing` @throws Error that says why there is none; nothing was signed then */
export function proofFor(path: string, what: string): Promise<string> {
  return what === 'review' ? reviewOf(path) : what === 'standing' ? standingOf(path) : approvalOf(path);
}

/** Of exactly the plan that is shown. */
async function approvalOf(path: string): Promise<string> {
  const change = await read<ChangeView>(`${path}/view`);
  const differing = change.plan === null ? 'plan' : differingField(change);
  if (differing !== null) throw new Error(`What is shown beside the plan is not what the plan says (${differing}). Nothing was signed.`);
  if (change.plan === null || document.getElementById('digest')?.textContent !== planDigest(change.plan) || !isShown(change)) {
    throw new Error('The change is not as this page shows it any more. Nothing was signed. Load the page again, and look at it again.');
  }
  const answer = await read<StatementAnswer>(`${path}/statement`);
  const fault = statementFault(change, answer.statement, 'approve', Date.now());
  if (fault !== null) throw new Error(`What is to be signed is ${fault}. Nothing was signed.`);
  return JSON.stringify(await assertStatement(answer));
}

/** What the form says of the broken glass of this very change. */
async function reviewOf(path: string): Promise<string> {
  const { statement: unsaid, passkeys } = await read<BreakGlassReviewAnswer>(`${path}/review-statement`);
  const fault = reviewFault(decodeURIComponent(path.slice(path.lastIndexOf('/') + 1)), unsaid, Date.now());
  if (fault !== null) throw new Error(`What is to be signed is ${fault}. Nothing was signed.`);
  const comment = typed('review-comment').trim();
  if (comment === '') throw new Error('A review says what was found. Nothing was signed.');
  const salt = newSalt();
  const waives = (document.getElementById('review-rotation') as HTMLInputElement | null)?.checked === true;
  const statement = { ...unsaid, verdict: typed('review-verdict'), ...(waives ? { rotation: 'notNeeded' } : {}), comment: commitmentTo({ name: 'comment', salt, value: comment }) };
  return JSON.stringify({ salt, passkey: await assertStatement({ statement, passkeys }) });
}

/** Of exactly the template that is shown. */
async function standingOf(path: string): Promise<string> {
  const { log, principal, passkeys } = await read<Pick<StandingApprovalList, 'log' | 'principal' | 'passkeys'>>(path);
  const template = JSON.parse(typed('template-statement')) as StandingStatement;
  const lines = [...document.querySelectorAll('#template [data-line]')].map(({ textContent }) => textContent);
  const reason = typed('template-reason');
  const isSaid = document.getElementById('template-why')?.textContent === plain(reason);
  const differs = isSaid ? templateDiffers(template, { lines, log, approver: principal, reason, salt: typed('template-salt'), nowMs: Date.now() }) : 'for another reason than is shown';
  if (differs !== null) throw new Error(`What is to be signed is ${differs}. Nothing was signed.`);
  const { expiresAt: _, ...answer } = await assertStatement({ statement: template, passkeys });
  return JSON.stringify(answer);
}

const typed = (id: string): string => (document.getElementById(id) as HTMLInputElement | null)?.value ?? '';

/** Whether each line of the plan stands on the page as it is made here, in this order. */
function isShown(change: ChangeView): boolean {
  const shown = [...document.querySelectorAll('#plan [data-line]')].map(({ textContent }) => textContent);
  const made = shownLines(change).map(({ text }) => text);
  return shown.length === made.length && made.every((text, index) => text === shown[index]);
}

async function read<T>(path: string): Promise<T> {
  const response = await fetch(path, { cache: 'no-store', redirect: 'error' }).catch((cause: unknown) => {
    throw new Error('The console cannot be reached. Nothing was signed.', { cause });
  });
  const answer = (await response.json().catch(() => ({}))) as { readonly detail?: string };
  if (response.status === 401) throw new Error('Your session is over. Nothing was signed. Sign in again; what you typed is kept.');
  if (!response.ok) throw new Error(plain(`${answer.detail ?? 'The sidecar refused'}. Nothing was signed.`));
  return answer as T;
}
