/** What is shown of an answer: first whether it holds, then why, then what it does not prove, then what it was about. */
import { cellOf, POPULATION_COLUMNS, populationCsv } from '../evidence/population.ts';
import { STATUS_MARKS, STATUS_WORDS } from '../evidence/verification-document.ts';
import { descriptions, element, foreign, headRow, hexGroups, saveButton, scrollable } from './elements.ts';
import type { Answer, Verified } from './verify-given.ts';

/** Rows of changes that are shown; the file has all. */
const ROWS_SHOWN = 500;

/** What each exit code of `countersign verify` says, in words. */
const EXIT_WORDS = {
  0: 'All that is required holds.',
  1: 'Something that is required fails.',
  2: 'Wrongly asked: nothing was verified.',
  3: 'Something that is required could not be established.',
  4: 'A file could not be read: nothing was verified.',
} as const;

export function resultOf(answer: Answer): readonly HTMLElement[] {
  if (answer.kind === 'trouble') {
    return [banner(answer.exit === 3 ? 'open' : 'bad', 'NOT VERIFIED: nothing was verified', answer.exit, answer.cause), ...notProven(['anything'])];
  }
  return [
    banner(answer.exit === 0 ? 'good' : answer.exit === 1 ? 'bad' : 'open', answer.conclusion, answer.exit, null),
    verdictTable(answer), ...violations(answer), ...notProven(answer.notProven), ...about(answer), ...population(answer),
  ];
}

function banner(className: string, headline: string, exit: keyof typeof EXIT_WORDS, cause: string | null): HTMLElement {
  const made = element('div', `banner ${className}`, element('strong', '', foreign(headline)), ...(cause === null ? [] : [element('p', '', foreign(cause))]), element('p', '', `${EXIT_WORDS[exit]} Exit code ${exit}.`));
  made.dataset['exit'] = String(exit);
  return made;
}

const COLOURS = { holds: 'good', fails: 'bad', notEstablished: 'open' } as const;

function verdictTable({ verdicts, required }: Verified): HTMLElement {
  const rows = verdicts.map(({ name, status, message, seq }) => {
    const head = element('th', '', name);
    head.scope = 'row';
    const said = element('td', 'wide', foreign(message), ...(required.includes(name) ? [] : [element('span', 'note', ' (not required)')]));
    const row = element('tr', '', head, element('td', `status ${COLOURS[status]}`, `${STATUS_MARKS[status]} ${STATUS_WORDS[status]}`), said, element('td', '', seq === undefined ? '' : `record ${seq}`));
    row.dataset['verdict'] = name;
    row.dataset['status'] = status;
    return row;
  });
  return scrollable(element('table', 'verdicts', headRow(['Verdict', 'Status', 'What it says', 'Nearest record']), element('tbody', '', ...rows)), 'Verdicts');
}

function violations({ violations: found, violationCount }: Verified): readonly HTMLElement[] {
  if (found.length === 0) return [];
  const rows = found.map(({ seq, code, message, changeId }) => element('tr', '', element('td', '', `record ${seq}`), element('td', '', code), element('td', 'wide', foreign(message)), element('td', '', foreign(changeId ?? ''))));
  const more = violationCount > found.length ? [element('p', 'note', `These are ${found.length} of ${violationCount}.`)] : [];
  return [heading('What WORKFLOW found wrong'), scrollable(element('table', 'violations', headRow(['Record', 'Code', 'What is wrong', 'Change']), element('tbody', '', ...rows)), 'Violations'), ...more];
}

function notProven(items: readonly string[]): readonly HTMLElement[] {
  const list = element('ul', 'not-proven', ...items.map((item) => element('li', '', foreign(item))));
  return [heading('NOT PROVEN'), list];
}

function about({ pack, head, objects, firstAt, lastAt, trust, verifier, json }: Verified): readonly HTMLElement[] {
  const ledger = head === null ? [] : [
    heading(pack === null ? 'The ledger' : 'The pack, and its ledger'),
    descriptions([
      pack === null ? null : ['Pack', foreign(`of ${askedOf(pack)}: ${pack.records} records, ${pack.changes.length} ${pack.changes.length === 1 ? 'change' : 'changes'}`)],
      ['Log', foreign(head.origin)],
      ['Size', `${head.size} records, ${objects.count} objects${objects.erased === 0 ? '' : ` (${objects.erased} erased)`}`],
      ['Root', hexGroups(head.root)],
      ['Signed by', head.key === null ? 'none that is trusted' : foreign(head.key)],
      ['Records', `${firstAt ?? '?'} to ${lastAt ?? '?'}`],
      ['Verified by', `${verifier}, in a browser`],
    ]),
  ];
  const believed = trust === null ? element('p', '', 'No trust was given: nobody’s signature is believed, so little can be established.') : descriptions([
    ['SHA-256', hexGroups(trust.sha256)],
    ['Printed by', element('code', '', foreign(trust.command))],
    ...trust.files.map(({ name, sha256 }) => [name, hexGroups(sha256)] as const),
  ]);
  return [
    ...ledger, heading('Your trust'), believed,
    element('p', 'actions', saveButton('Save the verdicts as JSON', 'countersign-verification.json', 'application/json', () => json), printButton()),
  ];
}

/** What the pack says that it is of. */
function askedOf({ asked }: NonNullable<Verified['pack']>): string {
  return 'change' in asked ? asked.change : 'nhi' in asked ? asked.nhi : `${asked.from} to ${asked.to}`;
}

function population({ population: rows, head }: Verified): readonly HTMLElement[] {
  if (rows === null) return [heading('Changes'), element('p', '', 'None are listed: WORKFLOW followed none.')];
  const columns = ['Change', 'Kind', 'Identity', 'Connector', 'Target', 'Privileges', 'Requester', 'Approvers', 'Requested', 'Effect', 'Ends', 'Ended', 'State', 'First record'];
  const body = rows.slice(0, ROWS_SHOWN).map((row) => element('tr', '', ...POPULATION_COLUMNS.map((column) => element('td', '', foreign(cellOf(row, column))))));
  const shown = rows.length > ROWS_SHOWN ? `The first ${ROWS_SHOWN} of ${rows.length} changes; the file has all.` : `${rows.length} ${rows.length === 1 ? 'change' : 'changes'}, each a row.`;
  return [
    heading('Changes that WORKFLOW is about'),
    element('p', 'note', shown),
    element('p', 'actions', saveButton('Save the changes as CSV', `countersign-changes-${head?.size ?? 0}.csv`, 'text/csv', () => populationCsv(rows))),
    scrollable(element('table', 'changes', headRow(columns), element('tbody', '', ...body)), 'Changes'),
  ];
}

function printButton(): HTMLElement {
  const button = element('button', '', 'Print');
  button.type = 'button';
  button.addEventListener('click', () => window.print());
  return button;
}

const heading = (text: string): HTMLElement => element('h2', '', text);
