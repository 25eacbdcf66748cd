/** `countersign report`: what an auditor takes along, made offline from a ledger or a pack that is verified first; and which records each number of it is from. */
import { Argument, InvalidArgumentError, Option, type Command } from 'commander';
import { resolve } from 'node:path';
import { REQUIRED_BY_DEFAULT } from '../../ledger/index.ts';
import { formatTime, parseTime } from '../protocol/values.ts';
import { controlKey, controlsReport } from '../reports/controls.ts';
import { csvOf } from '../reports/csv.ts';
import { gapsReport } from '../reports/gaps.ts';
import { isWithin, spanWordsOf, type Given } from '../reports/given.ts';
import { headOf, type Head } from '../reports/head.ts';
import { htmlOf } from '../reports/html.ts';
import { jsonLinesOf } from '../reports/jsonl.ts';
import { REPORT_KINDS, traced, type Figure, type Report, type ReportKind } from '../reports/model.ts';
import { populationReport } from '../reports/population.ts';
import { privilegeReport } from '../reports/privilege.ts';
import { sampleReport, type Draw } from '../reports/sample.ts';
import { VERSION } from '../version.ts';
import { archives } from './archived.ts';
import { CliError, EXIT, type ExitCode } from './exit.ts';
import { knownControls, type Known } from './known-controls.ts';
import { plain } from './output.ts';
import type { Runner } from './runner.ts';
import { spanOf, type SpanFlags } from './span.ts';
import { tellRecords, type ToldRecord } from './told-records.ts';
import { verifiedFacts, type FactsFlags, type VerifiedFacts } from './verified-facts.ts';
import { threadCount } from './verify-path.ts';
import type { Session } from './world.ts';
import { requirePlace, writePieces } from './write-pieces.ts';

const FORMATS = { html: htmlOf, csv: csvOf, jsonl: jsonLinesOf } as const;

interface ReportFlags extends FactsFlags, SpanFlags {
  readonly format: keyof typeof FORMATS;
  readonly out?: string;
  readonly seed?: string;
  readonly size?: number;
  readonly explain?: readonly string[];
}

export function addReport(program: Command, run: Runner): void {
  program
    .command('report')
    .addArgument(new Argument('<kind>', 'population: every change · sample: some, drawn by a seed · gaps: what is missing or late · controls: by framework · privilege: by identity').choices(REPORT_KINDS))
    .argument('<path>', 'a ledger folder, or its parent; or an evidence pack')
    .description('make a report from a ledger or an evidence pack, offline, once it is verified under your own trust')
    .requiredOption('--trust <folder>', 'your trust folder')
    .option('--from <time>', 'of what was recorded from then on, a day or a time in UTC …')
    .option('--to <time>', '… to then, which is not included')
    .addOption(new Option('--format <format>', 'a page to read and print, a table, or lines of JSON').choices(Object.keys(FORMATS)).default('html'))
    .option('-o, --out <file>', 'where to write it (default: standard output)')
    .option('--seed <text>', 'sample: what is drawn with; choose it after the ledger was handed over')
    .option('--size <n>', 'sample: how many changes', sampleSize)
    .option('--explain <key>', 'print what a number of this report is from, and its records, instead of the report; may be given again', keys)
    .option('--as-of <time>', 'judge lateness, and say what is there now, as of then (default: the last record)')
    .option('--archive <dir>', 'where bundles and object files of it were moved to; may be given again', archives)
    .option('--no-replay', 'run no recorded policy again: the report says so')
    .option('--accept-observed', 'take effects under observe as they are: WORKFLOW may hold, and the report says how many there were')
    .option('--threads <n>', 'threads beside the one that has the last word (default: one for each other core, at most 8)', threadCount)
    .action(run(report));
}

function sampleSize(text: string): number {
  if (!/^[1-9][0-9]{0,6}$/.test(text)) throw new InvalidArgumentError('not a number of changes from 1 to 9999999');
  return Number(text);
}

function keys(key: string, before: readonly string[] = []): readonly string[] {
  return [...before, key];
}

async function report(session: Session, kind: ReportKind, path: string, flags: ReportFlags): Promise<ExitCode> {
  const { out } = session;
  const usage = (cause: string): CliError => new CliError(EXIT.usage, 'usage', { cause, effect: 'Nothing was verified.' });
  const span = spanOf(flags);
  const draw = flags.seed === undefined || flags.size === undefined ? null : { seed: flags.seed, size: flags.size };
  if (kind === 'sample' ? draw === null : flags.seed !== undefined || flags.size !== undefined) throw usage('--seed and --size go with a sample, and it with both');
  if (out.json && flags.out === undefined && flags.explain === undefined) throw usage('--json goes with --out or --explain: the report itself is written as --format says');
  // With --explain no file is written.
  const file = flags.out === undefined || flags.explain !== undefined ? null : resolve(session.cwd, flags.out);
  if (file !== null) requirePlace(file, 'Nothing was verified.');
  const known = kind === 'controls' ? await knownControls() : NO_CONTROLS;
  const wanted = new Set(flags.explain?.map((key) => key.replace(/\/records$/, '')));
  const verified = await verifiedFacts(session, path, flags, {
    controls: known.controls, isCounted: (atMs) => isWithin(span, atMs), isWanted: (framework, id) => wanted.has(controlKey({ framework, id })),
  });
  const { verification, trust, facts, asOfMs, exit } = verified;
  const head = headOf(verification, {
    required: REQUIRED_BY_DEFAULT, trust: trust.digest, filter: `${kind === 'sample' ? `a sample of ${draw!.size} with the seed “${draw!.seed}” ` : ''}${spanWordsOf(span)}`, asOf: formatTime(asOfMs), generatedAt: formatTime(session.nowMs()), tool: `countersign ${VERSION}`,
    command: commandOf(kind, path, flags), verifyCommand: verifyCommandOf(path, flags),
  })!;
  const made = makeReport(kind, { facts, verification, trust, span, asOfMs }, draw, head, known);
  if (flags.explain !== undefined) return explain(session, verified, flags, made, flags.explain);
  await write(session, made, head, flags.format, file);
  if (exit !== EXIT.ok) out.say(out.bad(head.conclusion));
  return exit;
}

function makeReport(kind: ReportKind, given: Given, draw: Draw | null, head: Head, { rulesOf }: Known): Report {
  switch (kind) {
    case 'population':
      return populationReport(given);
    case 'sample':
      return sampleReport(given, draw!, head.root);
    case 'gaps':
      return gapsReport(given);
    case 'controls':
      return controlsReport(given, rulesOf);
    case 'privilege':
      return privilegeReport(given);
  }
}

async function write({ out, stdout }: Session, made: Report, head: Head, format: keyof typeof FORMATS, path: string | null): Promise<void> {
  const pieces = FORMATS[format](made, head);
  if (path === null) {
    for (const piece of inChunks(pieces)) stdout.write(piece);
    return;
  }
  const { bytes, sha256 } = await writePieces(path, encoded(pieces));
  out.document({ v: 1, file: path, bytes, sha256, report: made.kind, rows: made.rowCount, size: head.size, root: head.root, exit: head.exit });
  out.line(`${path}  ${made.rowCount} rows  ${bytes} bytes  sha256:${sha256}`);
}

const NO_CONTROLS: Known = { controls: [], rulesOf: () => [] };
const CHUNK_CHARS = 65_536;

function* inChunks(pieces: Iterable<string>): Generator<string> {
  let chunk = '';
  for (const piece of pieces) {
    chunk += piece;
    if (chunk.length < CHUNK_CHARS) continue;
    yield chunk;
    chunk = '';
  }
  if (chunk !== '') yield chunk;
}

async function* encoded(pieces: Iterable<string>): AsyncGenerator<Uint8Array> {
  for (const chunk of inChunks(pieces)) yield Buffer.from(chunk);
}

/** What the numbers with these keys are from, and each record that says so, once, as a sentence. */
async function explain(session: Session, { named, verification, exit }: VerifiedFacts, { archive }: ReportFlags, made: Report, asked: readonly string[]): Promise<ExitCode> {
  const { out } = session;
  const numbers = asked.map((key) => {
    const figure = recordFigure(key, verification.head?.size ?? 0) ?? traced(made, key);
    if (figure === null) throw new CliError(EXIT.usage, 'no-such-key', { cause: `the report has no number with the key ${plain(key)}`, effect: 'Nothing was explained.', next: 'the keys stand beside the numbers of the report' });
    return { key: figure.key, label: figure.label, value: figure.value, of: [...figure.sources()] };
  });
  for (const { key, label, value, of } of numbers) {
    out.line(out.bold(plain(`${key} = ${value}: ${label}`)));
    for (const { what, records } of of) out.line(`${plain(what)}  ${out.dim(`records ${records.join(' ')}`)}`);
    out.line();
  }
  const told: ToldRecord[] = [];
  await tellRecords(session, named, archive, numbers.flatMap(({ of }) => of.flatMap(({ records }) => records)), (one) => {
    if (out.json) told.push(one);
    out.line(`${one.record}  ${out.dim(one.at)}  ${plain(one.text)}`);
  });
  out.document({ v: 1, report: made.kind, numbers, records: told });
  return exit;
}

/** A number alone is a record. */
function recordFigure(key: string, size: number): Figure | null {
  if (!/^(0|[1-9][0-9]{0,14})$/.test(key) || Number(key) >= size) return null;
  return { key, label: `record ${key}`, value: 1, sources: () => [{ what: `record ${key}`, records: [Number(key)] }] };
}

function commandOf(kind: ReportKind, path: string, { trust, from, to, seed, size, asOf, archive = [], replay, acceptObserved }: ReportFlags): string {
  return [
    'countersign', 'report', kind, path, '--trust', trust, ...(from === undefined ? [] : ['--from', from]), ...(to === undefined ? [] : ['--to', to]), ...(seed === undefined ? [] : ['--seed', seed]), ...(size === undefined ? [] : ['--size', String(size)]),
    ...(asOf === undefined ? [] : ['--as-of', formatTime(parseTime(asOf))]), ...archive.flatMap((folder) => ['--archive', folder]), ...(replay ? [] : ['--no-replay']), ...(acceptObserved === undefined ? [] : ['--accept-observed']),
  ].map(shellWord).join(' ');
}

function verifyCommandOf(path: string, { trust, asOf, archive = [], replay, acceptObserved }: ReportFlags): string {
  return ['countersign', 'verify', path, '--trust', trust, ...(asOf === undefined ? [] : ['--as-of', asOf]), ...archive.flatMap((folder) => ['--archive', folder]), ...(replay ? [] : ['--no-replay']), ...(acceptObserved === undefined ? [] : ['--accept-observed'])].map(shellWord).join(' ');
}

/** As a shell takes it for one word. */
function shellWord(word: string): string {
  return /^[A-Za-z0-9_./:@=+,-]+$/.test(word) ? word : `'${word.replaceAll('\'', '\'\\\'\'')}'`;
}
