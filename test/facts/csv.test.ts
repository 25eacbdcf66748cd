/** CSV: what RFC 4180 allows is read as it says, wherever the text is cut; what it does not is named by line and column. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CsvError, openTable, type CsvProblem, type CsvRow } from '../../src/facts/csv.ts';

type Letter = 'a' | 'b' | 'c';
interface Read {
  readonly rows: CsvRow<Letter>[];
  readonly error: CsvProblem | null;
}

function read(pieces: readonly string[], options: { required?: readonly Letter[]; renamed?: ReadonlyMap<string, Letter | null> } = {}): Read {
  const rows: CsvRow<Letter>[] = [];
  try {
    const reader = openTable<Letter>({ fields: ['a', 'b', 'c'], required: [], ...options, take: (row) => rows.push(row) });
    pieces.forEach(reader.push);
    reader.end();
  } catch (error) {
    if (error instanceof CsvError) return { rows, error: error.problem };
    throw error;
  }
  return { rows, error: null };
}
const texts = (of: Read): string[][] => of.rows.map(({ cells }) => [...cells.values()].map(({ text }) => text));
const problems = (of: Read): (CsvProblem | null)[] => of.rows.map(({ problem }) => problem).filter((problem) => problem !== null);

describe('CSV', () => {
  it('has fields in quotes with commas, quotes and line ends in them, and lines that end either way', () => {
    const got = read(['a,b\r\n"x, ""y""","two\r\nlines"\n,\n"",last']);
    expect(got.error).toBeNull();
    expect(texts(got)).toEqual([['x, "y"', 'two\r\nlines'], ['', ''], ['', 'last']]);
    expect(got.rows.map(({ line }) => line)).toEqual([2, 4, 5]);
    expect(got.rows[0]!.cells.get('b')).toMatchObject({ line: 2, column: 'b' });
  });

  it('is the same wherever it is cut, whatever is in it', () => {
    const cell = fc.string({ unit: fc.constantFrom('x', ',', '"', '\n', '\r\n', ' y', 'é') });
    fc.assert(fc.property(fc.array(fc.tuple(cell, cell), { maxLength: 8 }), fc.array(fc.nat(200)), fc.constantFrom('\n', '\r\n'), (rows, cuts, lineEnd) => {
      const quoted = (text: string): string => `"${text.replaceAll('"', '""')}"`;
      const text = ['a,b', ...rows.map((row) => row.map(quoted).join(','))].join(lineEnd);
      const places = [0, ...[...new Set(cuts.filter((cut) => cut < text.length))].sort((x, y) => x - y), text.length];
      const got = read(places.slice(1).map((place, i) => text.slice(places[i], place)));
      expect(got.error).toBeNull();
      expect(problems(got)).toEqual([]);
      expect(texts(got)).toEqual(rows.map((row) => row.map((one) => one.trim())));
    }));
  });

  it('takes columns in any order and by other names, and leaves out those that are said to mean nothing', () => {
    const got = read(['Owner,b,seen\n1,2,3\n'], { renamed: new Map<string, Letter | null>([['Owner', 'a'], ['seen', null]]) });
    expect([...got.rows[0]!.cells]).toEqual([['a', { text: '1', line: 2, column: 'Owner' }], ['b', { text: '2', line: 2, column: 'b' }]]);
  });

  it.each<[string, string, CsvProblem]>([
    ['fewer fields than the header', 'a,b\n1\n2,3\n', { line: 2, column: null, message: 'has 1 fields, and the header 2' }],
    ['more fields', 'a,b\n1,2\n"x\ny",3,4\n', { line: 3, column: null, message: 'has 3 fields, and the header 2' }],
    ['text after a closing quote', 'a,b\n1,"x"y\n', { line: 2, column: 'b', message: 'has text after its closing quote' }],
    ['a quote in the middle', 'a,b\nO"Brien,1\n', { line: 2, column: 'a', message: 'has a quote, and is not in quotes itself' }],
    ['a lone carriage return', 'a,b\n1,x\ry\n', { line: 2, column: 'b', message: 'has a carriage return without a line feed, outside quotes' }],
    ['a lone carriage return at the end', 'a,b\n1,x\r', { line: 2, column: 'b', message: 'has a carriage return without a line feed, outside quotes' }],
  ])('with %s costs that row alone', (_what, text, problem) => {
    const got = read([text]);
    expect(got.error).toBeNull();
    expect(problems(got)).toEqual([problem]);
    expect(problems(read(text.split(/(?:)/u)))).toEqual([problem]);
  });

  it.each<[string, string, Partial<CsvProblem>, Parameters<typeof read>[1]]>([
    ['nothing in it', '', { line: 1, message: 'is empty: not even a header is in it' }, {}],
    ['a quote that is never closed', 'a,b\n1,2\n3,"4\n5,6\n', { line: 3, message: 'a quote is opened here and never closed' }, {}],
    ['a field without end', `a,b\n1,"${'x'.repeat(70_000)}"\n`, { line: 2 }, {}],
    ['columns without end', `${','.repeat(300)}\n`, { line: 1, message: 'more than 256 fields' }, {}],
    ['semicolons', 'a;b\n1;2\n', { line: 1, message: 'fields are separated by commas here, not by semicolons or tabs' }, {}],
    ['a misspelt column', 'a,bb\n', { line: 1, column: 'bb', message: 'means nothing here; known are a, b, c' }, {}],
    ['a column twice', 'a,a\n', { line: 1, column: 'a', message: 'is there twice' }, {}],
    ['two columns for one field', 'a,B,b\n', { line: 1, column: 'b', message: 'is a second column for b' }, { renamed: new Map<string, Letter>([['B', 'b']]) }],
    ['no column that must be', 'b\n', { line: 1, column: null, message: 'there is no column for a' }, { required: ['a'] }],
    ['no column that is renamed', 'a\n', { line: 1, column: 'X', message: 'there is no such column' }, { renamed: new Map<string, Letter>([['X', 'b']]) }],
  ])('with %s is refused', (_what, text, problem, options) => {
    expect(read([text], options).error).toMatchObject(problem);
  });
});
