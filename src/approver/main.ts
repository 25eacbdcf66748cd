/**
 * The page: shows what there is to decide on, and decides at the press of a button. What it shows is what the command shows, and it signs what the
 * command would sign: both ask the same functions.
 */
import type { StandingApprovalView } from '../client/index.ts';
import { changeIdSchema, personIdSchema } from '../protocol/values.ts';
import { shownChange } from './change.ts';
import { describeGrant, grantByPasskey, type Granting } from './grant.ts';
import { at, busy, field, read, say, showLines } from './page-parts.ts';
import { enroll } from './passkey.ts';
import { shownPolicy } from './policy.ts';
import type { Shown, Verdict } from './shown.ts';
import { sidecarDoor, type SidecarDoor } from './sidecar.ts';
import { cardOf, ownStandings } from './standing.ts';

/** What is shown now; null: nothing can be decided. */
let shown: Shown | null = null;
/** What was last shown of a facts file; null: nothing can be granted. */
let entry: Granting | null = null;

const TITLES = { plan: 'The plan', policy: 'The proposed policy bundle', glass: 'The plan that was given at the word of one' } as const;
const WORDS = { approve: 'Approve with a passkey', reject: 'Reject' } as const;

function start(): void {
  const named = decodeURIComponent(location.hash.slice(1));
  if (changeIdSchema.safeParse(named).success) field('change').value = named;
  at('form').addEventListener('submit', (event) => {
    event.preventDefault();
    void busy(show);
  });
  // What stands in the fields is what is shown, or nothing is.
  at('form').addEventListener('input', clear);
  at('token').addEventListener('input', clearStandings);
  at('show-standing').addEventListener('click', () => void busy(showStandings));
  at('approve').addEventListener('click', () => void busy(() => decide('approve')));
  at('reject').addEventListener('click', () => void busy(() => decide('reject')));
  at('enroll').addEventListener('click', () => void busy(register));
  at('granting').addEventListener('input', clearEntry);
  at('show-entry').addEventListener('click', () => void busy(showEntry));
  at('grant').addEventListener('click', () => void busy(grant));
}

async function show(): Promise<void> {
  clear();
  const [id, token] = [read('change'), read('token')];
  if (id !== '' && !changeIdSchema.safeParse(id).success) return say('bad', 'that is not the id of a change');
  const door = sidecarDoor(token);
  const found = id === '' ? await shownPolicy(door) : await shownChange(door, id);
  at('what').textContent = TITLES[found.what];
  showLines('plan', found.lines);
  at('digest').textContent = found.digest ?? 'there is nothing to compute it of yet';
  at('unchecked').textContent = found.unchecked;
  at('unchecked').hidden = found.unchecked === null;
  at('deciding').hidden = found.closed !== null;
  for (const verdict of ['approve', 'reject'] as const) at(verdict).textContent = (found.words ?? WORDS)[verdict];
  if (found.closed?.how === 'bad') return say('bad', found.closed.why);
  at('shown').hidden = false;
  if (found.closed === null) shown = found;
  else say('open', found.closed.why);
}

async function decide(verdict: Verdict): Promise<void> {
  if (shown === null) return;
  const comment = read('comment');
  if (comment === '' && (verdict === 'reject' || shown.words !== undefined)) return say('bad', `A ${shown.words === undefined ? 'rejection says why' : 'review says what was found'}: write a comment.`);
  const became = await shown.decide(verdict, comment);
  clear();
  say('good', became);
}

async function register(): Promise<void> {
  at('entry').hidden = true;
  const person = read('person');
  if (!personIdSchema.safeParse(person).success) return say('bad', 'that is not the id of a person, such as person:ana');
  at('entry').textContent = JSON.stringify(await enroll(person), null, 2);
  at('entry').hidden = false;
  say('good', 'Made, and sent nowhere. It counts once whoever keeps the trust folders has put the entry below into passkeys.json.');
}

async function showEntry(): Promise<void> {
  clearEntry();
  const granting: Granting = { text: field('facts').value, kind: read('grant-kind') === 'observe' ? 'observe' : 'exception', id: read('grant-id'), approver: read('grantor'), log: read('grant-log') };
  showLines('granted', describeGrant(granting));
  for (const id of ['granted', 'grant', 'grant-unchecked']) at(id).hidden = false;
  entry = granting;
}

async function grant(): Promise<void> {
  if (entry === null) return;
  const text = await grantByPasskey(entry);
  clearEntry();
  field('facts').value = text;
  say('good', 'Granted, and sent nowhere. Your answer is in the text: save it as the facts file.');
}

async function showStandings(): Promise<void> {
  clearStandings();
  const token = read('token');
  const door = sidecarDoor(token);
  const all = await ownStandings(door);
  // Whoever has written another token since is told of none of them.
  if (read('token') !== token) return;
  if (all.length === 0) return say('open', 'You have approved nothing once for many times.');
  at('standings').replaceChildren(...all.map((one) => standingCard(door, one)));
}

/** Once it is ended, what the sidecar answers takes its place, and what is written in the others stays. */
function standingCard(door: SidecarDoor, one: StandingApprovalView): HTMLElement {
  const card = cardOf(one, (why) => void busy(async () => {
    if (why === '') return say('bad', 'Revoking says why: it is recorded.');
    const ended = await door.revokeStanding(one.approvalId, why);
    card.replaceWith(standingCard(door, ended));
    say('good', `${ended.approvalId} approves nothing more. It was used ${ended.used} of ${ended.statement.uses} times.`);
  }));
  return card;
}

function clearStandings(): void {
  at('standings').replaceChildren();
}

function clear(): void {
  shown = null;
  at('shown').hidden = true;
  at('said').hidden = true;
  at('plan').replaceChildren();
  at('digest').textContent = '';
}

function clearEntry(): void {
  entry = null;
  for (const id of ['granted', 'grant', 'grant-unchecked']) at(id).hidden = true;
  at('granted').replaceChildren();
}

start();
