/** What she has approved once for many times: what each allows, how often it has, and the way to end it. Nothing is signed here. */
import { standingEnd, templateLines } from '../cli/shown-template.ts';
import type { StandingApprovalView } from '../client/index.ts';
import { plain } from '../protocol/plain.ts';
import type { SidecarDoor } from './sidecar.ts';

/** Hers alone: first those that still approve, then those that are over, the newest of each first. */
export async function ownStandings(door: SidecarDoor): Promise<StandingApprovalView[]> {
  const { principal, standingApprovals } = await door.standings();
  const rank = (one: StandingApprovalView): number => (standingEnd(one, Date.now()) === null ? 0 : 1);
  return standingApprovals.filter(({ statement }) => statement.approver === principal).reverse().sort((a, b) => rank(a) - rank(b));
}

/** One as a card of the page; @param revoke is given why, when the button of one that still approves is pressed */
export function cardOf(one: StandingApprovalView, revoke: (why: string) => void): HTMLElement {
  const { approvalId, statement, used, revoked } = one;
  const end = standingEnd(one, Date.now());
  const lines = document.createElement('pre');
  lines.className = 'lines';
  lines.append(...templateLines(statement).map(({ name, text }) => part('div', `${name.padEnd(10)}${text}`)));
  const reason = revoked?.reason == null ? [] : [part('p', `Why: ${plain(revoked.reason)}`)];
  const card = document.createElement('li');
  card.append(part('h3', plain(statement.subject)), part('p', `${end ?? `approves until ${statement.expiresAt}`}, used ${used} of ${statement.uses}, ${plain(approvalId)}`), ...reason, lines, ...(end === null ? ending(one, revoke) : []));
  return card;
}

function ending({ approvalId, statement }: StandingApprovalView, revoke: (why: string) => void): HTMLElement[] {
  const why = document.createElement('input');
  Object.assign(why, { type: 'text', id: `why-${approvalId}`, autocomplete: 'off', maxLength: 500 });
  const label = part('label', 'Why it ends') as HTMLLabelElement;
  label.htmlFor = why.id;
  const button = part('button', 'Revoke now') as HTMLButtonElement;
  button.type = 'button';
  const of = part('span', ` what you approve for ${plain(statement.subject)}`);
  of.className = 'hidden';
  button.append(of);
  button.addEventListener('click', () => revoke(why.value.trim()));
  const actions = document.createElement('p');
  actions.className = 'actions';
  actions.append(button);
  return [label, why, actions];
}

function part(name: 'div' | 'h3' | 'p' | 'label' | 'button' | 'span', text: string): HTMLElement {
  const made = document.createElement(name);
  made.textContent = text;
  return made;
}
