/** Facts (the policy information point): YAML or JSON that people write, read strictly, so that a typo cannot become a missing limit. */
import { open, readFile, type FileHandle } from 'node:fs/promises';
import { isAlias, isScalar, LineCounter, parseDocument, visit, type Document } from 'yaml';
import type { z } from 'zod';
import { JsonError, parseStrict } from '../../ledger/index.ts';
import { issueWords } from '../protocol/issue-words.ts';
import { duplicates, type Duplicate } from './check.ts';
import { FactsError, FILE_BYTES_MAX, ISSUES_MAX, type FactsIssue } from './facts-error.ts';
import { exceptionsFileSchema, type ExceptionsFile } from './exceptions.ts';
import { FACTS_BYTES_MAX, factsOf, type Facts, type FactsValue } from './facts.ts';
import { calendarSchema, catalogueSchema, directorySchema, inventoryFileSchema, usageFileSchema, type UsageFile } from './schemas.ts';
import { openUsageRows, usageFormat, type UsageFormat } from './usage-rows.ts';

export { FactsError, type FactsIssue } from './facts-error.ts';
export { FACT_KINDS, factsOf, type FactKind, type Facts, type FactsValue } from './facts.ts';

/** A file's name, for messages, and its text. */
export interface FactText {
  readonly name: string;
  readonly text: string;
}

/** Of rows, which are folded as they come. */
const ROWS_BYTES_MAX = 256 * 1024 * 1024;

/** The path of each file; usage, calendar and exceptions need not be kept. */
export interface FactFiles {
  readonly inventory: string;
  readonly catalogue: string;
  readonly directory: string;
  readonly usage?: string | undefined;
  readonly calendar?: string | undefined;
  readonly exceptions?: string | undefined;
}

export interface FactTexts {
  readonly inventory: FactText;
  readonly catalogue: FactText;
  readonly directory: FactText;
  readonly usage: FactText | null;
  readonly calendar?: FactText | null;
  readonly exceptions?: FactText | null;
}

/**
 * The facts in these files, all of them or none.
 *
 * @throws FactsError `unreadable` or `malformed`, naming file, line and pointer
 */
export async function loadFacts(files: FactFiles, nowMs: number): Promise<Facts> {
  const read = async (name: string): Promise<FactText> => {
    try {
      return { name, text: await readFile(name, 'utf8') };
    } catch (cause) {
      throw new FactsError('unreadable', [{ file: name, line: null, pointer: '', message: 'cannot be read' }], { cause });
    }
  };
  const optional = (name: string | undefined): Promise<FactText | null> => (name === undefined ? Promise.resolve(null) : read(name));
  const [inventory, catalogue, directory] = await Promise.all([read(files.inventory), read(files.catalogue), read(files.directory)]);
  const [calendar, exceptions] = [await optional(files.calendar), await optional(files.exceptions)];
  const format = files.usage === undefined ? null : usageFormat(files.usage);
  if (format === null) return parseFacts({ inventory, catalogue, directory, usage: await optional(files.usage), calendar, exceptions }, nowMs);
  return factsOf({ ...parseTexts({ inventory, catalogue, directory, usage: null, calendar, exceptions }), usage: await readUsageRows(files.usage!, format, nowMs) }, nowMs, FACTS_BYTES_MAX);
}

/** The facts in these texts. @throws FactsError `malformed` */
export function parseFacts(texts: FactTexts, nowMs: number): Facts {
  return factsOf(parseTexts(texts), nowMs, FACTS_BYTES_MAX);
}

function parseTexts({ inventory, catalogue, directory, usage, calendar = null, exceptions = null }: FactTexts): FactsValue {
  return {
    inventory: parseFile(inventory, inventoryFileSchema),
    catalogue: parseFile(catalogue, catalogueSchema),
    directory: parseFile(directory, directorySchema),
    usage: usage === null ? null : parseFile(usage, usageFileSchema),
    calendar: calendar === null ? null : parseFile(calendar, calendarSchema),
    ...(exceptions === null ? {} : { exceptions: parseFile(exceptions, exceptionsFileSchema) }),
  };
}

/** Never more of the file in memory than a piece of it. */
async function readUsageRows(name: string, format: UsageFormat, nowMs: number): Promise<UsageFile> {
  const fail = (code: FactsError['code'], message: string, cause?: unknown): never => {
    throw new FactsError(code, [{ file: name, line: null, pointer: '', message }], { cause });
  };
  let file: FileHandle | null = null;
  try {
    file = await open(name);
    const { mtimeMs, size } = await file.stat();
    if (size > ROWS_BYTES_MAX) fail('malformed', `larger than ${ROWS_BYTES_MAX} bytes`);
    const rows = openUsageRows(name, format, { nowMs, otherwiseAtMs: mtimeMs });
    const decoder = new TextDecoder('utf-8', { fatal: true });
    let left = ROWS_BYTES_MAX;
    for await (const piece of file.createReadStream({ autoClose: false }) as AsyncIterable<Buffer>) {
      left -= piece.byteLength;
      if (left < 0) fail('malformed', `larger than ${ROWS_BYTES_MAX} bytes`);
      rows.push(decoder.decode(piece, { stream: true }));
    }
    rows.push(decoder.decode());
    return rows.end();
  } catch (error) {
    if (error instanceof FactsError) throw error;
    const isText = (error as NodeJS.ErrnoException).code !== 'ERR_ENCODING_INVALID_ENCODED_DATA';
    return isText ? fail('unreadable', 'cannot be read', error) : fail('malformed', 'is not UTF-8', error);
  } finally {
    await file?.close();
  }
}

const parseFile = <T>(file: FactText, schema: z.ZodType<T>): T => fromStrictJson(file, schema) ?? parseWithDocument(file, schema).value;

/**
 * What a file of strict JSON says, which it says as YAML too: only in a tenth of the time. Null where it is no such file, or where something is wrong
 * with it: on which line, its document knows.
 */
function fromStrictJson<T>({ text }: FactText, schema: z.ZodType<T>): T | null {
  let value: unknown;
  try {
    value = parseStrict(Buffer.from(text), { maxBytes: FILE_BYTES_MAX });
  } catch (cause) {
    if (cause instanceof JsonError) return null;
    throw cause;
  }
  const parsed = schema.safeParse(value);
  return parsed.success && duplicates(parsed.data).length === 0 ? parsed.data : null;
}

/** The inventory in this text, and the document that it is written in. @throws FactsError `malformed` */
export function parseInventory(file: FactText): { readonly value: z.infer<typeof inventoryFileSchema>; readonly document: Document } {
  return parseWithDocument(file, inventoryFileSchema);
}

/** The exceptions and scopes in this text, and the document that they are written in. @throws FactsError `malformed` */
export function parseExceptions(file: FactText): { readonly value: ExceptionsFile; readonly document: Document } {
  return parseWithDocument(file, exceptionsFileSchema);
}

function parseWithDocument<T>(file: FactText, schema: z.ZodType<T>): { readonly value: T; readonly document: Document } {
  const lines = new LineCounter();
  const fail = (issues: readonly Omit<FactsIssue, 'file'>[]): never => {
    throw new FactsError('malformed', issues.slice(0, ISSUES_MAX).map((issue) => ({ file: file.name, ...issue })));
  };
  if (Buffer.byteLength(file.text) > FILE_BYTES_MAX) fail([{ line: null, pointer: '', message: `larger than ${FILE_BYTES_MAX} bytes` }]);
  const document = parseDocument(file.text, { version: '1.2', schema: 'core', strict: true, uniqueKeys: true, merge: false, prettyErrors: false, lineCounter: lines });
  const wrong = [...document.errors, ...document.warnings];
  if (wrong.length > 0) fail(wrong.map((error) => ({ line: lines.linePos(error.pos[0]).line, pointer: '', message: error.message })));
  visit(document, {
    Node: (_key, node) => {
      // One text, one meaning: what is written is what is read, and a file cannot blow up when it is expanded.
      const { anchor } = node as { anchor?: string };
      if (isAlias(node) || anchor !== undefined) fail([{ line: lineOf(node, lines), pointer: '', message: 'anchors and aliases are not used here' }]);
    },
    Pair: (_key, pair) => {
      // A schema would drop it without a word.
      if (isScalar(pair.key) && pair.key.value === '__proto__') fail([{ line: lineOf(pair.key, lines), pointer: '', message: 'no member is named __proto__' }]);
    },
  });
  const parsed = schema.safeParse(document.toJS());
  if (!parsed.success) {
    return fail(parsed.error.issues.map((issue) => ({ line: lineAt(document, issue.path, lines), pointer: pointerOf(issue.path), message: issueWords(issue.message) })));
  }
  const twice = duplicates(parsed.data);
  if (twice.length > 0) fail(twice.map((one: Duplicate) => ({ line: lineAt(document, one.path, lines), pointer: pointerOf(one.path), message: `${one.name} is here twice` })));
  return { value: parsed.data, document };
}

function pointerOf(path: readonly PropertyKey[]): string {
  return path.map((part) => `/${String(part).replaceAll('~', '~0').replaceAll('/', '~1')}`).join('');
}

/** The line of the innermost part of the path that is there; the first of a file with nothing in it. */
function lineAt(document: Document, path: readonly PropertyKey[], lines: LineCounter): number {
  for (let length = path.length; length >= 0; length -= 1) {
    const node = length === 0 ? document.contents : document.getIn(path.slice(0, length), true);
    const line = lineOf(node, lines);
    if (line !== null) return line;
  }
  return 1;
}

function lineOf(node: unknown, lines: LineCounter): number | null {
  if (typeof node !== 'object' || node === null || !('range' in node) || !Array.isArray(node.range)) return null;
  const [start] = node.range as unknown[];
  return typeof start === 'number' ? lines.linePos(start).line : null;
}
