/**
 * An approval by passkey: signed only where what is signed is the plan that this page shows, whose digest is computed here. The functions are those
 * that the command asks before `ssh-keygen` signs.
 */
import { assertStatement } from '../../approver/passkey.ts';
import { shownLines } from '../../cli/describe.ts';
import { plain } from '../../cli/output.ts';
import { differingField } from '../../cli/shown-plan.ts';
import { statementFault } from '../../cli/shown-statement.ts';
import type { ChangeView } from '../../client/index.ts';
import { planDigest } from '../../protocol/plan.ts';
import type { StatementAnswer } from '../../sidecar/schemas.ts';

/** The passkey's answer, as JSON. @throws Error that says why there is none; nothing was signed then */
export async function proofFor(path: string): Promise<string> {
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
