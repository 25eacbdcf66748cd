/** Rows made part of an inventory file, as one edit that keeps what people wrote around it. Pure: what comes back is for the caller to write. */
import { isMap, isSeq, type Document, type YAMLMap, type YAMLSeq } from 'yaml';
import { canonicalText } from '../../ledger/index.ts';
import type { CsvProblem } from './csv.ts';
import type { InventoryField, InventoryRow, InventoryRows } from './inventory-rows.ts';
import { parseInventory, type FactText } from './load.ts';
import { fallbackFor } from './owners.ts';
import { inventoryEntrySchema, type FallbackOwner, type InventoryEntry } from './schemas.ts';

export interface ImportOptions {
  /** Whether rows about identities that are there change them. */
  readonly update: boolean;
  /** What a new identity has where its row says nothing. */
  readonly defaults: Readonly<Partial<Record<InventoryField, unknown>>>;
}

/** Ids, each in the order of the rows; a row is in exactly one of these or in `bad`. */
export interface Imported {
  /** The whole file as it would be; null where nothing in it changes. */
  readonly text: string | null;
  readonly added: readonly string[];
  readonly updated: readonly string[];
  /** There already, just as the row says. */
  readonly unchanged: readonly string[];
  /** There already and otherwise than the row says: left as they are. */
  readonly known: readonly string[];
  readonly bad: readonly CsvProblem[];
  /** How many of those that are there now, by what they lack. */
  readonly missing: Readonly<Record<Missing, number>>;
}

export const MISSING = ['owner', 'backupOwner', 'purposes', 'accounts', 'consumers', 'description'] as const;
export type Missing = (typeof MISSING)[number];

const EMPTY = 'v: 1\nnhis: []\n';

/**
 * The inventory with these rows in it. An empty cell says nothing: it takes nothing from an identity that is there.
 *
 * @param file the inventory as it is; null where there is none yet
 * @throws FactsError where the file as it is cannot be believed, or would be none that can be taken
 */
export function importRows(file: FactText, isNew: boolean, { rows, bad }: InventoryRows, options: ImportOptions): Imported {
  const before = parseInventory(isNew ? { ...file, text: EMPTY } : file);
  const rules = before.value.fallbackOwners ?? [];
  const at = new Map(before.value.nhis.map((nhi, index) => [nhi.id, index]));
  const after: InventoryEntry[] = [...before.value.nhis];
  const sorted = { added: [] as string[], updated: [] as string[], unchanged: [] as string[], known: [] as string[] };
  const problems: CsvProblem[] = [...bad];
  const handled: InventoryEntry[] = [];
  const list = listIn(before.document);
  for (const row of rows) {
    const index = at.get(row.id);
    const current = index === undefined ? undefined : before.value.nhis[index];
    const entry = current === undefined ? newEntry(row, options.defaults, rules) : merged(current, row);
    if ('message' in entry) {
      problems.push(entry);
      continue;
    }
    if (current === undefined) {
      after.push(entry);
      const node = nodeOf(before.document, entry);
      node.spaceBefore = list.items.length > 0;
      list.add(node);
      sorted.added.push(row.id);
    } else if (canonicalText(entry) === canonicalText(current)) {
      sorted.unchanged.push(row.id);
    } else if (!options.update) {
      sorted.known.push(row.id);
    } else {
      after[index!] = entry;
      change(before.document, list.get(index!, true), current, entry);
      sorted.updated.push(row.id);
    }
    handled.push(current !== undefined && !options.update ? current : entry);
  }
  const changed = sorted.added.length + sorted.updated.length > 0;
  const due = { ...before.value, nhis: after };
  const text = changed ? (isJson(file.text) ? `${JSON.stringify(due, null, 2)}\n` : render(before.document, isNew ? '' : file.text)) : null;
  if (text !== null) {
    // What is written is what was meant, or it is not written.
    const reread = parseInventory({ ...file, text }).value;
    if (canonicalText(reread) !== canonicalText(due)) throw new Error(`${file.name} would not say what it should`);
  }
  return { text, ...sorted, bad: problems.sort((a, b) => a.line - b.line), missing: missingIn(handled) };
}

/** There are no comments in it to keep, and YAML's spelling of it would be JSON no more. */
function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

function listIn(document: Document): YAMLSeq {
  const list = document.get('nhis', true);
  if (!isSeq(list)) throw new Error('an inventory that was taken has a list of identities');
  if (list.items.length === 0) list.flow = false;
  return list;
}

function newEntry(row: InventoryRow, defaults: ImportOptions['defaults'], rules: readonly FallbackOwner[]): InventoryEntry | CsvProblem {
  // The environment is in the id, and policy denies where they differ.
  const environment = row.id.slice('nhi:'.length, row.id.indexOf('/'));
  const parsed = inventoryEntrySchema.safeParse({ purposes: [], consumers: [], accounts: {}, environment, ...defaults, ...row.said });
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    const field = issue!.path[0] as InventoryField;
    const place = row.where.get(field);
    const isMissing = row.said[field] === undefined;
    return { line: place?.line ?? row.line, column: place?.column ?? field, message: isMissing ? `is empty; --default ${field}=… says what new identities have there` : issue!.message };
  }
  if (parsed.data.owner === undefined && fallbackFor(row.id, rules) === undefined) {
    return { line: row.line, column: row.where.get('owner')?.column ?? 'owner', message: `is empty, and no rule of fallbackOwners covers ${row.id}` };
  }
  return parsed.data;
}

function merged(current: InventoryEntry, row: InventoryRow): InventoryEntry | CsvProblem {
  const parsed = inventoryEntrySchema.safeParse({ ...current, ...row.said });
  return parsed.success ? parsed.data : { line: row.line, column: null, message: parsed.error.issues[0]!.message };
}

/** The fields as people write them: lists in brackets, accounts a line each. */
const NODE_ORDER: readonly InventoryField[] = ['id', 'description', 'owner', 'backupOwner', 'environment', 'purposes', 'riskTier', 'custody', 'humanUse', 'thirdParty', 'consumers', 'accounts'];

function nodeOf(document: Document, entry: InventoryEntry): YAMLMap {
  const node = document.createNode(Object.fromEntries(NODE_ORDER.filter((field) => entry[field] !== undefined).map((field) => [field, entry[field]]))) as YAMLMap;
  for (const field of ['purposes', 'consumers'] as const) asFlow(node, field);
  return node;
}

function asFlow(node: YAMLMap, field: InventoryField): void {
  const list = node.get(field, true);
  if (isSeq(list)) (list as YAMLSeq).flow = true;
}

function change(document: Document, node: unknown, current: InventoryEntry, entry: InventoryEntry): void {
  if (!isMap(node)) throw new Error('an identity that was taken is a mapping');
  for (const field of NODE_ORDER) {
    const value = entry[field];
    if (value === undefined || canonicalText(value) === canonicalText(current[field] ?? null)) continue;
    // A value of one word is put in the place of the old one, whose comment stays.
    node.set(field, typeof value === 'object' ? document.createNode(value) : value);
    if (Array.isArray(value)) asFlow(node, field);
  }
}

/** In the style that the file has, as far as it shows one. */
function render(document: Document, was: string): string {
  return document.toString({ lineWidth: 0, flowCollectionPadding: /[[{] \S/.test(was), indentSeq: !/^nhis:[^\n]*\n(?:[ \t]*(?:#[^\n]*)?\n)*- /m.test(was) });
}

function missingIn(entries: readonly InventoryEntry[]): Record<Missing, number> {
  const lacks = (value: unknown): boolean => value === undefined || (typeof value === 'object' && Object.keys(value as object).length === 0);
  return Object.fromEntries(MISSING.map((field) => [field, entries.filter((entry) => lacks(entry[field])).length])) as Record<Missing, number>;
}
