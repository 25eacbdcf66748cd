/** Rows of a CSV, each what it says of one machine identity; and what is wrong with those that say nothing that can be used. */
import { CsvError, openTable, type CsvProblem, type CsvRow } from './csv.ts';
import { inventoryEntrySchema, type InventoryEntry } from './schemas.ts';

export const INVENTORY_FIELDS = [
  'id', 'description', 'owner', 'backupOwner', 'environment', 'purposes', 'riskTier', 'custody', 'humanUse', 'thirdParty', 'consumers', 'accounts',
] as const satisfies readonly (keyof InventoryEntry)[];
export type InventoryField = (typeof INVENTORY_FIELDS)[number];

/** What a row says, and nothing of what it leaves empty. */
export interface InventoryRow {
  readonly line: number;
  readonly id: string;
  readonly said: Readonly<Partial<Record<InventoryField, unknown>>>;
  /** Where a field was said, for what turns out to be wrong with it. */
  readonly where: ReadonlyMap<InventoryField, { readonly line: number; readonly column: string }>;
}

export interface InventoryRows {
  readonly rows: readonly InventoryRow[];
  readonly bad: readonly CsvProblem[];
}

const ROWS_MAX = 10_000;
const saidSchema = inventoryEntrySchema.partial();

/** What is due, in fewer words than a pattern has. */
const DUE: Readonly<Partial<Record<InventoryField, string>>> = {
  id: 'an id is nhi:<environment>/<name>, in lower case', owner: 'a person is person:<name>, in lower case', backupOwner: 'a person is person:<name>, in lower case',
  purposes: 'a purpose is lower-case letters, digits and hyphens', accounts: 'accounts are connector=account;…',
};

/** Why these are no values of an identity; null where they are. */
export function troubleWith(said: InventoryRow['said']): { readonly field: InventoryField; readonly message: string } | null {
  const wrong = saidSchema.safeParse(said).error?.issues[0];
  if (wrong === undefined) return null;
  const field = wrong.path[0] as InventoryField;
  return { field, message: DUE[field] ?? wrong.message };
}

/** @throws CsvError for what is no CSV, or has no header that is understood */
export function readInventoryRows(text: string, renamed: ReadonlyMap<string, InventoryField | null>): InventoryRows {
  const rows: InventoryRow[] = [];
  const bad: CsvProblem[] = [];
  const firstLine = new Map<string, number>();
  let count = 0;
  const reader = openTable<InventoryField>({
    fields: INVENTORY_FIELDS, required: ['id'], renamed,
    take(row) {
      count += 1;
      if (count > ROWS_MAX) throw new CsvError({ line: row.line, column: null, message: `more than ${ROWS_MAX} rows` });
      const read = readRow(row, firstLine);
      if ('message' in read) bad.push(read);
      else rows.push(read);
    },
  });
  reader.push(text);
  reader.end();
  return { rows, bad };
}

function readRow({ line, cells, problem }: CsvRow<InventoryField>, firstLine: Map<string, number>): InventoryRow | CsvProblem {
  if (problem !== null) return problem;
  const said: Partial<Record<InventoryField, unknown>> = {};
  for (const [field, cell] of cells) {
    if (cell.text === '') continue;
    const read = valueOf(field, cell.text);
    if ('message' in read) return { line: cell.line, column: cell.column, message: read.message };
    said[field] = read.value;
  }
  const id = cells.get('id')!;
  if (id.text === '') return { line, column: id.column, message: 'is empty' };
  const wrong = troubleWith(said);
  if (wrong !== null) {
    const at = cells.get(wrong.field) ?? id;
    return { line: at.line, column: at.column, message: `${JSON.stringify(at.text)}: ${wrong.message}` };
  }
  const first = firstLine.get(id.text);
  if (first !== undefined) return { line, column: id.column, message: `${id.text} is in line ${first} already` };
  firstLine.set(id.text, line);
  return { line, id: id.text, said, where: cells };
}

type Read = { readonly value: unknown } | { readonly message: string };

/** The value that a cell spells, not yet held to the schema. */
export function valueOf(field: InventoryField, text: string): Read {
  switch (field) {
    case 'purposes':
    case 'consumers':
      return { value: [...new Set(listOf(text))] };
    case 'humanUse': {
      const word = text.toLowerCase();
      return word === 'true' || word === 'false' ? { value: word === 'true' } : { message: `${JSON.stringify(text)} is neither true nor false` };
    }
    case 'accounts':
      return accountsOf(text);
    default:
      return { value: text };
  }
}

const listOf = (text: string): string[] => text.split(';').map((part) => part.trim()).filter((part) => part !== '');

/** `pg-main=billing;pg-dev=billing_dev`. */
function accountsOf(text: string): Read {
  const accounts = new Map<string, string>();
  for (const part of listOf(text)) {
    const at = part.indexOf('=');
    const [connector, account] = [part.slice(0, at).trim(), part.slice(at + 1).trim()];
    if (at === -1 || connector === '' || account === '') return { message: `${JSON.stringify(part)} is not connector=account` };
    if (accounts.has(connector)) return { message: `${connector} is there twice: an identity has one account at a connector` };
    accounts.set(connector, account);
  }
  return { value: Object.fromEntries(accounts) };
}
