/** A report as CSV: RFC 4180, a header, stable columns; the records of a cell in a column of its own; and on every row what it was made from. */
import { csvField } from '../evidence/population.ts';
import { plain } from '../protocol/plain.ts';
import type { Head } from './head.ts';
import type { Report } from './model.ts';

export function* csvOf({ columns, rows }: Report, head: Head): Generator<string> {
  const names = columns.flatMap(({ name, hasRecords }) => (hasRecords === true ? [name, `${name}Records`] : [name]));
  yield line(['key', ...names, 'records', 'faults', 'log', 'size', 'root', 'verified']);
  const { origin, size, root, verdicts } = head;
  const made = [origin, String(size), root, verdicts.map(({ name, status }) => `${name} ${WORDS[status]}`).join('; ')];
  for (const { key, cells, records, faults } of rows()) {
    const fields = columns.flatMap(({ hasRecords }, n) => {
      const { text, records: said = [] } = cells[n]!;
      return hasRecords === true ? [text, said.join(' ')] : [text];
    });
    yield line([key, ...fields, records.join(' '), faults.join('; '), ...made]);
  }
}

const WORDS = { holds: 'holds', fails: 'FAILS', notEstablished: 'not established' } as const;

/** What is no letter is seen and not obeyed, in a terminal as well. */
const line = (fields: readonly string[]): string => `${fields.map((field) => csvField(plain(field))).join(',')}\r\n`;
