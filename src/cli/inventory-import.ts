/** `countersign inventory import`: the identities of a CSV file become part of an inventory file: all of its rows, or none. */
import { resolve } from 'node:path';
import { CsvError, type CsvProblem } from '../facts/csv.ts';
import { importRows, type Imported, type Missing } from '../facts/import-inventory.ts';
import { INVENTORY_FIELDS, readInventoryRows, troubleWith, valueOf, type InventoryField, type InventoryRows } from '../facts/inventory-rows.ts';
import { FactsError } from '../facts/load.ts';
import { CliError, EXIT, type ExitCode } from './exit.ts';
import { readBytes } from './files.ts';
import { plain } from './output.ts';
import { heldBy, replace } from './replace-file.ts';
import type { Session } from './world.ts';

export interface ImportFlags {
  readonly into: string;
  readonly map?: readonly string[];
  readonly default?: readonly string[];
  readonly update?: true;
  readonly skipBad?: true;
  readonly dryRun?: true;
}

const CSV_BYTES_MAX = 16 * 1024 * 1024;
const PROBLEMS_SHOWN = 50;
const NOTHING = 'Nothing was written.';

const LACKING: Readonly<Record<Missing, string>> = {
  owner: 'without an owner of their own (a fallback answers)', backupOwner: 'without a backup owner', purposes: 'without a purpose', accounts: 'without an account',
  consumers: 'without a consumer', description: 'without a description',
};

export async function importInventory(session: Session, file: string, flags: ImportFlags): Promise<ExitCode> {
  const { out, cwd } = session;
  const into = resolve(cwd, flags.into);
  const rows = rowsOf(file, resolve(cwd, file), renamed(flags.map ?? []));
  const held = heldBy(into);
  const done = merge({ name: flags.into, text: held === null ? '' : Buffer.from(held).toString('utf8') }, held === null, rows, flags);
  const isRefused = done.bad.length > 0 && flags.skipBad !== true;
  const isWritten = done.text !== null && !isRefused && flags.dryRun !== true;
  if (isWritten) replace(into, held, done.text, Buffer.from(session.randomBytes(12)).toString('hex'), { code: 'inventory-changed', next: 'import it again' });
  const { text: _text, ...counted } = done;
  out.document({ file, into: flags.into, written: isWritten, ...counted });
  tell(session, file, flags, done);
  return isRefused ? EXIT.failed : EXIT.ok;
}

function tell({ out }: Session, file: string, flags: ImportFlags, done: Imported): void {
  const { added, updated, unchanged, known, bad, missing, text } = done;
  for (const problem of bad.slice(0, PROBLEMS_SHOWN)) out.line(lineOf(file, problem));
  if (bad.length > PROBLEMS_SHOWN) out.line(`… and ${bad.length - PROBLEMS_SHOWN} more`);
  const isRefused = bad.length > 0 && flags.skipBad !== true;
  const would = isRefused || flags.dryRun === true ? 'would be ' : '';
  const parts: [number, string][] = [
    [added.length, `${would}added`], [updated.length, `${would}updated`], [unchanged.length, 'as they are there'],
    [known.length, 'there otherwise and left so (--update changes them)'], [bad.length, isRefused ? 'bad' : `${would}left out`],
  ];
  const rows = parts.reduce((sum, [count]) => sum + count, 0);
  out.line(`${rows} rows: ${parts.filter(([count]) => count > 0).map(([count, what]) => `${count} ${what}`).join(', ') || 'none'}`);
  const lacking = Object.entries(missing).filter(([, count]) => count > 0).map(([what, count]) => `${count} ${LACKING[what as Missing]}`);
  if (lacking.length > 0) out.line(`of the good ones: ${lacking.join(', ')}`);
  if (isRefused) out.say(`${out.bad(NOTHING)} Correct these rows, or leave them out with --skip-bad.`);
  else if (text === null) out.say(`${plain(flags.into)} is as it was.`);
  else out.say(flags.dryRun === true ? `${NOTHING} It was a dry run.` : `written to ${plain(flags.into)}; next: countersign inventory lint`);
}

const lineOf = (file: string, { line, column, message }: CsvProblem): string => plain(`${file}:${line}: ${column === null ? '' : `${column}: `}${message}`);

function rowsOf(name: string, path: string, columns: ReadonlyMap<string, InventoryField | null>): InventoryRows {
  const bytes = readBytes(path, 'the file');
  if (bytes.byteLength > CSV_BYTES_MAX) throw new CliError(EXIT.io, 'too-large', { cause: `${name} is larger than ${CSV_BYTES_MAX} bytes`, effect: NOTHING });
  try {
    // Takes a byte order mark away.
    return readInventoryRows(new TextDecoder('utf-8', { fatal: true }).decode(bytes), columns);
  } catch (cause) {
    if (cause instanceof CsvError) throw new CliError(EXIT.failed, 'bad-csv', { cause: lineOf(name, cause.problem), effect: NOTHING, next: nextFor(cause.problem) }, { cause });
    if (cause instanceof TypeError) throw new CliError(EXIT.failed, 'bad-csv', { cause: `${name} is not UTF-8`, effect: NOTHING, next: 'save it as “CSV UTF-8”' }, { cause });
    throw cause;
  }
}

function nextFor({ column, message }: CsvProblem): string {
  return column !== null && message.startsWith('means nothing') ? `--map '${column}=FIELD' says what it means, --map '${column}=-' leaves it out` : 'correct the file';
}

function merge(file: Parameters<typeof importRows>[0], isNew: boolean, rows: InventoryRows, flags: ImportFlags): Imported {
  const defaults = defaultsOf(flags.default ?? []);
  try {
    return importRows(file, isNew, rows, { update: flags.update === true, defaults });
  } catch (cause) {
    if (!(cause instanceof FactsError)) throw cause;
    throw new CliError(EXIT.failed, 'bad-inventory', { cause: cause.message, effect: NOTHING, next: 'correct the inventory first' }, { cause });
  }
}

/** `column=field`, at the last `=`: a column may have one in its name. @throws CliError */
function renamed(pairs: readonly string[]): Map<string, InventoryField | null> {
  return new Map(pairs.map((pair) => {
    const at = pair.lastIndexOf('=');
    const [column, field] = [pair.slice(0, at), pair.slice(at + 1)];
    if (at < 1 || (field !== '-' && !isField(field))) throw usage(`--map takes column=field, where field is one of ${INVENTORY_FIELDS.join(', ')}, or - for nothing`);
    return [column, field === '-' ? null : field];
  }));
}

/** @throws CliError */
function defaultsOf(pairs: readonly string[]): Partial<Record<InventoryField, unknown>> {
  const defaults: Partial<Record<InventoryField, unknown>> = {};
  for (const pair of pairs) {
    const at = pair.indexOf('=');
    const [field, text] = [pair.slice(0, at), pair.slice(at + 1)];
    if (!isField(field) || field === 'id' || field === 'accounts' || text === '') throw usage(`--default takes field=value, where field is one of ${INVENTORY_FIELDS.filter((one) => one !== 'id' && one !== 'accounts').join(', ')}`);
    const read = valueOf(field, text);
    if ('message' in read) throw usage(`--default ${field}: ${read.message}`);
    defaults[field] = read.value;
  }
  const trouble = troubleWith(defaults);
  if (trouble !== null) throw usage(`--default ${trouble.field}: ${trouble.message}`);
  return defaults;
}

const isField = (text: string): text is InventoryField => (INVENTORY_FIELDS as readonly string[]).includes(text);
const usage = (cause: string): CliError => new CliError(EXIT.usage, 'usage', { cause, effect: NOTHING });
