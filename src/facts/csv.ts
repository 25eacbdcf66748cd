/**
 * CSV as RFC 4180 has it, read strictly and as it comes: commas, fields in quotes where they hold a comma, a quote or a line's end, a header. Lines end
 * with CRLF or LF; a byte order mark is for whoever decodes. What is wrong with one record is told with it, so that the others can still be had.
 *
 * @see RFC 4180 section 2
 */

/** What is wrong, and where: `line` counts from 1, `column` is the header's name, null where there is none to name. */
export interface CsvProblem {
  readonly line: number;
  readonly column: string | null;
  readonly message: string;
}

/** The text is no CSV from here on, or not such a one. */
export class CsvError extends Error {
  readonly problem: CsvProblem;
  constructor(problem: CsvProblem) {
    super(problem.message);
    this.name = 'CsvError';
    this.problem = problem;
  }
}

interface Field {
  readonly text: string;
  readonly line: number;
  /** Of the text before what is amiss with its quotes; null where nothing is. */
  readonly trouble: string | null;
}

/** Takes text in pieces, cut anywhere. @throws CsvError from both */
export interface CsvReader {
  push(text: string): void;
  end(): void;
}

const FIELD_LENGTH_MAX = 65_536;
const FIELDS_MAX = 256;

/** @param take is given each record but blank lines, in order, once its line has ended */
function openRecords(take: (fields: readonly Field[]) => void): CsvReader {
  let state: 'plain' | 'quoted' | 'closed' | 'return' = 'plain';
  let line = 1;
  let fields: Field[] = [];
  let text = '';
  let startLine = 1;
  let wasQuoted = false;
  let trouble: string | null = null;

  const fail = (message: string): never => {
    throw new CsvError({ line: startLine, column: null, message });
  };
  const add = (piece: string): void => {
    text += piece;
    if (text.length > FIELD_LENGTH_MAX) fail(`a field of more than ${FIELD_LENGTH_MAX} characters begins here; is a quote missing?`);
  };
  const endField = (): void => {
    fields.push({ text, line: startLine, trouble });
    if (fields.length > FIELDS_MAX) fail(`more than ${FIELDS_MAX} fields`);
    [text, startLine, wasQuoted, trouble, state] = ['', line, false, null, 'plain'];
  };
  const endRecord = (): void => {
    const isBlank = fields.length === 0 && text === '' && !wasQuoted;
    line += 1;
    if (isBlank) [startLine, state] = [line, 'plain'];
    else endField();
    const record = fields;
    fields = [];
    startLine = line;
    if (!isBlank) take(record);
  };
  /** A character outside quotes that may end the field. */
  const boundary = (character: string): void => {
    if (character === ',') endField();
    else if (character === '\n') endRecord();
    else if (character === '\r') state = 'return';
    else if (text === '' && !wasQuoted) [state, wasQuoted] = ['quoted', true];
    else {
      trouble ??= wasQuoted ? 'has text after its closing quote' : 'has a quote, and is not in quotes itself';
      add(character);
    }
  };

  return {
    push(piece) {
      let at = 0;
      while (at < piece.length) {
        if (state === 'quoted') {
          const close = piece.indexOf('"', at);
          const inner = piece.slice(at, close === -1 ? piece.length : close);
          for (let end = inner.indexOf('\n'); end !== -1; end = inner.indexOf('\n', end + 1)) line += 1;
          add(inner);
          at += inner.length + (close === -1 ? 0 : 1);
          if (close !== -1) state = 'closed';
        } else if (state === 'closed' && piece[at] === '"') {
          add('"');
          state = 'quoted';
          at += 1;
        } else if (state === 'return' && piece[at] !== '\n') {
          trouble ??= 'has a carriage return without a line feed, outside quotes';
          add('\r');
          state = 'plain';
        } else {
          const rest = /[",\r\n]/g;
          rest.lastIndex = at;
          const found = rest.exec(piece);
          const plain = piece.slice(at, found?.index ?? piece.length);
          if (plain !== '') {
            if (wasQuoted) trouble ??= 'has text after its closing quote';
            add(plain);
          }
          state = 'plain';
          at += plain.length + (found === null ? 0 : 1);
          if (found !== null) boundary(found[0]);
        }
      }
    },
    end() {
      if (state === 'quoted') fail('a quote is opened here and never closed');
      if (state === 'return') trouble ??= 'has a carriage return without a line feed, outside quotes';
      endRecord();
    },
  };
}

/** A row under its header: a cell for each column that means something, trimmed; and what is wrong with the row as CSV. */
export interface CsvRow<F extends string> {
  readonly line: number;
  readonly cells: ReadonlyMap<F, { readonly text: string; readonly line: number; readonly column: string }>;
  readonly problem: CsvProblem | null;
}

export interface TableOptions<F extends string> {
  /** What a column may mean, by name. */
  readonly fields: readonly F[];
  readonly required: readonly F[];
  /** What columns of other names mean; null: nothing, and what is in them is left out. */
  readonly renamed?: ReadonlyMap<string, F | null>;
  readonly take: (row: CsvRow<F>) => void;
}

/**
 * A reader of CSV with a header, in any order. A column that means nothing is refused, since it may be one that was misspelt.
 *
 * @throws CsvError from `push` and `end`, for a header that is not such a one too
 */
export function openTable<F extends string>({ fields, required, renamed = new Map(), take }: TableOptions<F>): CsvReader {
  let header = null as readonly { readonly name: string; readonly field: F | null }[] | null;
  const records = openRecords((record) => {
    if (header === null) {
      header = readHeader(record, { fields, required, renamed });
      return;
    }
    const columns = header;
    const line = record[0]!.line;
    const wrong = record.findIndex(({ trouble }) => trouble !== null);
    const problem = record.length !== columns.length
      ? { line, column: null, message: `has ${record.length} fields, and the header ${columns.length}` }
      : wrong === -1 ? null : { line: record[wrong]!.line, column: columns[wrong]!.name, message: record[wrong]!.trouble! };
    const cells = new Map<F, { text: string; line: number; column: string }>();
    record.forEach(({ text, line: cellLine }, index) => {
      const column = columns[index];
      if (column?.field !== null && column !== undefined) cells.set(column.field, { text: text.trim(), line: cellLine, column: column.name });
    });
    take({ line, cells, problem });
  });
  return {
    push: records.push,
    end() {
      records.end();
      if (header === null) throw new CsvError({ line: 1, column: null, message: 'is empty: not even a header is in it' });
    },
  };
}

function readHeader<F extends string>(record: readonly Field[], { fields, required, renamed }: Required<Omit<TableOptions<F>, 'take'>>): { name: string; field: F | null }[] {
  const { line } = record[0]!;
  const fail = (message: string, column: string | null = null): never => {
    throw new CsvError({ line, column, message });
  };
  const names = record.map(({ text }) => text.trim());
  if (names.length === 1 && /[;\t]/.test(names[0]!)) fail('fields are separated by commas here, not by semicolons or tabs');
  for (const [name] of renamed) if (!names.includes(name)) fail('there is no such column', name);
  const header = names.map((name, index) => {
    if (record[index]!.trouble !== null) fail(record[index]!.trouble, name);
    if (names.indexOf(name) !== index) fail('is there twice', name);
    if (renamed.has(name)) return { name, field: renamed.get(name) ?? null };
    const field = fields.find((one) => one === name);
    return field === undefined ? fail(`means nothing here; known are ${fields.join(', ')}`, name) : { name, field };
  });
  header.forEach(({ name, field }, index) => {
    if (field !== null && header.findIndex((one) => one.field === field) !== index) fail(`is a second column for ${field}`, name);
  });
  for (const field of required) if (!header.some((one) => one.field === field)) fail(`there is no column for ${field}`);
  return header;
}
