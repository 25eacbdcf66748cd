/**
 * The page: shows what there is to decide on, and decides at the press of a button. What it shows is what the command shows, and it signs what the
 * command would sign: both ask the same functions.
 */
import { describeChange } from '../cli/describe.ts';
import { plain, type Output } from '../cli/output.ts';
import { differingField } from '../cli/shown-plan.ts';
import { statementFault } from '../cli/shown-statement.ts';
import type { ChangeView } from '../client/index.ts';
import { planDigest } from '../protocol/plan.ts';
import { changeIdSchema, personIdSchema } from '../protocol/values.ts';
import { assertStatement, enroll } from './passkey.ts';
import { sidecarDoor } from './sidecar.ts';

const same = (text: string): string => text;
const nothing = (): void => undefined;
/** Lines without colour; each stands in the page as text. */
const PAPER: Output = { json: false, line: nothing, document: nothing, say: nothing, progress: nothing, bold: same, dim: same, good: same, bad: same };

/** What is shown now, and by whose token; null: nothing can be decided. */
let shown: { readonly change: ChangeView; readonly token: string } | null = null;

function start(): void {
  const named = decodeURIComponent(location.hash.slice(1));
  if (changeIdSchema.safeParse(named).success) field('change').value = named;
  at('form').addEventListener('submit', (event) => {
    event.preventDefault();
    void busy(show);
  });
  // What stands in the fields is what is shown, or nothing is.
  at('form').addEventListener('input', clear);
  at('approve').addEventListener('click', () => void busy(() => decide('approve')));
  at('reject').addEventListener('click', () => void busy(() => decide('reject')));
  at('enroll').addEventListener('click', () => void busy(register));
}

async function show(): Promise<void> {
  clear();
  const [id, token] = [field('change').value.trim(), field('token').value.trim()];
  if (!changeIdSchema.safeParse(id).success) return say('bad', 'that is not the id of a change');
  const change = await sidecarDoor(token).change(id);
  at('plan').textContent = describeChange(change, PAPER, { nowMs: Date.now() }).join('\n');
  at('digest').textContent = change.plan === null ? 'there is no plan yet' : planDigest(change.plan);
  const differing = change.plan === null ? null : change.id === id ? differingField(change) : 'id';
  if (differing !== null) return say('bad', `What is shown beside the plan is not what the plan says (${differing}). Decide nothing here.`);
  at('shown').hidden = false;
  shown = { change, token };
  const isOpen = change.plan !== null && change.state === 'pending';
  at('deciding').hidden = !isOpen;
  if (!isOpen) say('open', `This change is ${change.state}: there is nothing to decide.`);
}

async function decide(verdict: 'approve' | 'reject'): Promise<void> {
  if (shown === null || shown.change.planDigest === null) return;
  const { change, token } = shown;
  const comment = field('comment').value.trim();
  if (verdict === 'reject' && comment === '') return say('bad', 'A rejection says why: write a comment.');
  const door = sidecarDoor(token);
  const own = verdict === 'approve' ? { passkey: await proofFor(change, token) } : {};
  const decided = await door.decide(change.id, { verdict, planDigest: change.planDigest!, ...(comment === '' ? {} : { comment }), ...own });
  clear();
  say('good', `${verdict === 'approve' ? 'Approved' : 'Rejected'} ${change.planDigest!}. The change is ${decided.state}.`);
}

/** Asked for only once what is to be signed is the plan that is shown. @throws Error otherwise */
async function proofFor(change: ChangeView, token: string): ReturnType<typeof assertStatement> {
  const answer = await sidecarDoor(token).statement(change.id, 'approve');
  const fault = statementFault(change, answer.statement, 'approve', Date.now());
  if (fault !== null) throw new Error(`What is to be signed is ${fault}. Nothing was signed.`);
  return assertStatement(answer);
}

async function register(): Promise<void> {
  at('entry').hidden = true;
  const person = field('person').value.trim();
  if (!personIdSchema.safeParse(person).success) return say('bad', 'that is not the id of a person, such as person:ana');
  at('entry').textContent = JSON.stringify(await enroll(person), null, 2);
  at('entry').hidden = false;
  say('good', 'Made, and sent nowhere. It counts once whoever keeps the trust folders has put the entry below into passkeys.json.');
}

/** One thing at a time; what goes wrong is said. */
async function busy(work: () => Promise<void>): Promise<void> {
  const buttons = [...document.querySelectorAll('button')];
  for (const button of buttons) button.disabled = true;
  at('said').hidden = true;
  try {
    await work();
  } catch (error) {
    say('bad', error instanceof Error ? error.message : String(error));
  } finally {
    for (const button of buttons) button.disabled = false;
  }
}

function clear(): void {
  shown = null;
  at('shown').hidden = true;
  at('said').hidden = true;
  at('plan').textContent = '';
  at('digest').textContent = '';
}

function say(how: 'good' | 'bad' | 'open', text: string): void {
  const said = at('said');
  said.className = `banner ${how}`;
  said.textContent = plain(text);
  said.hidden = false;
  said.focus();
}

function at(id: string): HTMLElement {
  const found = document.getElementById(id);
  if (found === null) throw new Error(`the page has no ${id}`);
  return found;
}

const field = (id: string): HTMLInputElement => at(id) as HTMLInputElement;

start();
