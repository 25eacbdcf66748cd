/** `countersign verify`: what a ledger proves to whoever brings their own trust, one line a verdict, and what it does not prove. */
import { InvalidArgumentError, type Command } from 'commander';
import { existsSync, statSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { exitCodeOf, LedgerError, nodeDisk, REQUIRED_BY_DEFAULT, type Verdict } from '../../ledger/index.ts';
import { verifyEvidence, type EvidenceVerification } from '../evidence/verify.ts';
import { createReplayer } from '../pdp/replayer.ts';
import { loadTrustFolder, TrustError, type Trust } from '../protocol/trust-folder.ts';
import { parseTime, timeSchema } from '../protocol/values.ts';
import { VERSION } from '../version.ts';
import { CliError, EXIT, type ExitCode } from './exit.ts';
import { readText } from './files.ts';
import { formatSpan, plain, type Output } from './output.ts';
import type { Runner } from './runner.ts';
import type { Session } from './world.ts';

interface VerifyFlags {
  readonly trust?: string;
  readonly require?: readonly string[];
  readonly pinned?: string;
  readonly minSize?: number;
  readonly asOf?: string;
  readonly oldLedger?: string;
  readonly replay: boolean;
}

const NAMES = ['INTEGRITY', 'SIGNATURE', 'WITNESS', 'COMPLETENESS', 'WORKFLOW', 'TIME', 'REPLAY'] as const;
/** A lone `trust.policy` says nothing of tickets and executors: WORKFLOW is not asked of it by default. */
const REQUIRED_ALONE = REQUIRED_BY_DEFAULT.filter((name) => name !== 'WORKFLOW');

export function addVerify(program: Command, run: Runner): void {
  program
    .command('verify')
    .argument('<path>', 'a ledger folder (with checkpoint, tile/ and objects/), or its parent')
    .description('verify a ledger, offline, under your own trust')
    .option('--trust <path>', 'your trust folder, or a lone trust.policy')
    .option('--require <names>', `verdicts that must hold, separated by commas (default ${REQUIRED_BY_DEFAULT.join(',')})`, names)
    .option('--pinned <file>', 'a checkpoint that you kept: the ledger must have grown from it')
    .option('--min-size <n>', 'there must be at least so many records', count)
    .option('--old-ledger <path>', 'the ledger that this one goes on for, or a copy of it: whether it holds itself, and all that was open there was adopted')
    .option('--no-replay', 'run no recorded policy again: REPLAY is not asked')
    .option('--as-of <time>', 'judge lateness as of then (default: the last record)')
    .action(run(verify));
}

function names(text: string): string[] {
  const asked = text.split(',').map((name) => name.trim().toUpperCase().replace(/^WITNESS.*/, 'WITNESS')).filter((name) => name !== '');
  const unknown = asked.find((name) => !(NAMES as readonly string[]).includes(name));
  if (unknown !== undefined || asked.length === 0) throw new InvalidArgumentError(`${unknown ?? 'nothing'} is not a verdict; they are ${NAMES.join(', ')}`);
  return asked;
}

function count(text: string): number {
  if (!/^(0|[1-9][0-9]{0,14})$/.test(text)) throw new InvalidArgumentError('not a number of records');
  return Number(text);
}

async function verify(session: Session, given: string, flags: VerifyFlags): Promise<ExitCode> {
  const { out } = session;
  if (flags.asOf !== undefined && !timeSchema.safeParse(flags.asOf).success) throw new CliError(EXIT.usage, 'usage', { cause: '--as-of takes a time such as 2026-11-23T19:05:00.000Z' });
  const directory = ledgerFolder(resolve(session.cwd, given));
  const { trust, wholeFolder } = await openTrust(session, flags);
  const pinned = flags.pinned === undefined ? null : readText(resolve(session.cwd, flags.pinned), 'the pinned checkpoint');
  const old = flags.oldLedger === undefined ? null : ledgerFolder(resolve(session.cwd, flags.oldLedger));
  const required = flags.require ?? (trust !== null && !wholeFolder ? REQUIRED_ALONE : REQUIRED_BY_DEFAULT);
  const verification = await guarded(() => verifyEvidence({
    disk: nodeDisk(dirname(directory)), directory: basename(directory), trust, wholeFolder, pinned, progress: progressOf(session), signal: session.signal,
    ...(flags.replay ? { replayer: createReplayer() } : {}),
    ...(old === null ? {} : { old: { disk: nodeDisk(dirname(old)), directory: basename(old), signal: session.signal } }),
    ...(flags.minSize === undefined ? {} : { minSize: flags.minSize }), ...(flags.asOf === undefined ? {} : { asOfMs: parseTime(flags.asOf) }),
  }));
  out.progress('');
  const exit = exitCodeOf(verification.verdicts, required);
  out.document(documentOf(verification, required, directory, exit));
  for (const line of linesOf(verification, required, out)) out.line(line);
  out.line(conclusion(verification, required, exit, out));
  return exit;
}

/** The ledger folder itself, whether it or its parent was named. @throws CliError `no-ledger` */
function ledgerFolder(path: string): string {
  if (!existsSync(path)) throw new CliError(EXIT.io, 'no-ledger', { cause: `${path} is not there`, effect: 'Nothing was verified.' });
  if (!statSync(path).isDirectory()) throw new CliError(EXIT.usage, 'no-ledger', { cause: `${path} is not a folder`, effect: 'Nothing was verified.' });
  const isLedger = (folder: string): boolean => ['checkpoint', 'tile', 'objects'].some((name) => existsSync(join(folder, name)));
  const candidates = [path, join(path, 'ledger'), join(path, 'data', 'ledger')];
  const found = candidates.find((folder) => existsSync(folder) && isLedger(folder));
  if (found === undefined) throw new CliError(EXIT.notEstablished, 'no-ledger', { cause: `there is no ledger in ${path}: neither checkpoint, tile/ nor objects/`, effect: 'Nothing was verified.', next: 'name the folder that holds them, or its parent' });
  return found;
}

async function openTrust(session: Session, flags: VerifyFlags): Promise<{ trust: Trust | null; wholeFolder: boolean }> {
  if (flags.trust === undefined) {
    session.out.say('no --trust: nobody’s signature is believed, so little can be established');
    return { trust: null, wholeFolder: false };
  }
  const path = resolve(session.cwd, flags.trust);
  try {
    return { trust: await loadTrustFolder(path), wholeFolder: statSync(path).isDirectory() };
  } catch (cause) {
    if (!(cause instanceof TrustError)) throw cause;
    throw new CliError(EXIT.notEstablished, 'no-trust', { cause: `the trust cannot be used: ${cause.message}`, effect: 'Nothing was verified.' }, { cause });
  }
}

/** What is wrong with the evidence is a verdict; what is thrown is about the auditor's own files. */
async function guarded(work: () => Promise<EvidenceVerification>): Promise<EvidenceVerification> {
  try {
    return await work();
  } catch (cause) {
    if (!(cause instanceof LedgerError)) throw cause;
    throw new CliError(EXIT.notEstablished, 'bad-pinned-checkpoint', { cause: `the pinned checkpoint is itself no good: ${cause.message}`, effect: 'Nothing was verified.' }, { cause });
  }
}

/** Shown once there is something to wait for. */
const PROGRESS_AFTER_MS = 500;
const PROGRESS_EVERY_MS = 100;
const BAR_WIDTH = 24;

function progressOf({ out, nowMs }: Session): (done: number, size: number) => void {
  const startedMs = nowMs();
  let shownMs = startedMs + PROGRESS_AFTER_MS - PROGRESS_EVERY_MS;
  return (done, size) => {
    const atMs = nowMs();
    if (atMs - shownMs < PROGRESS_EVERY_MS || size === 0) return;
    shownMs = atMs;
    const rate = done / Math.max(0.001, (atMs - startedMs) / 1000);
    const filled = Math.floor((done / size) * BAR_WIDTH);
    const left = rate === 0 ? '' : `, ${formatSpan(((size - done) / rate) * 1000)} left`;
    out.progress(`[${'#'.repeat(filled)}${'.'.repeat(BAR_WIDTH - filled)}] ${done}/${size} records, ${Math.round(rate)}/s${left}`);
  };
}

const MARKS = { holds: '✓', fails: '✗', notEstablished: '–' } as const;
const WORDS = { holds: 'holds', fails: 'FAILS', notEstablished: 'not established' } as const;

function linesOf(verification: EvidenceVerification, required: readonly string[], out: Output): string[] {
  const paint = { holds: out.good, fails: out.bad, notEstablished: out.dim };
  const verdicts = verification.verdicts.filter(({ name }) => name !== 'NOT PROVEN');
  const line = ({ name, status, message }: Verdict): string =>
    `${paint[status](MARKS[status])} ${name.padEnd(12)} ${paint[status](WORDS[status].padEnd(15))} ${plain(message)}${required.includes(name) ? '' : out.dim(' (not required)')}`;
  const lines = verdicts.map(line);
  const more = verification.workflow?.violations.slice(1, 11) ?? [];
  const below = (name: string, details: readonly string[]): void => {
    const at = lines.indexOf(line(verdicts.find((verdict) => verdict.name === name) ?? { name, status: 'notEstablished', message: '' }));
    if (at !== -1) lines.splice(at + 1, 0, ...details);
  };
  below('WORKFLOW', more.map(({ seq, code, message }) => `    record ${seq}: ${plain(message)} (${code})`));
  below('REPLAY', (verification.replay?.kept.slice(1, 11) ?? []).map(({ seq, message }) => `    record ${seq}: ${plain(message)}`));
  lines.push('', 'NOT PROVEN', ...verification.notProven.map((item) => `  - ${plain(item)}`), '', ...summaryOf(verification));
  return lines;
}

function summaryOf({ head, firstAt, lastAt, objects, erased }: EvidenceVerification): string[] {
  if (head === null) return [];
  return [
    `log      ${plain(head.origin)}`,
    `size     ${head.size} records, ${objects.count} objects${objects.erased === 0 ? '' : ` (${objects.erased} erased)`}`,
    ...erasedLines(erased, objects.erased),
    `root     ${Buffer.from(head.root).toString('hex')}`,
    `key      ${head.keyName === null ? 'none that is trusted' : plain(head.keyName)}`,
    `records  ${firstAt ?? '?'} to ${lastAt ?? '?'}`,
    `by       countersign ${VERSION}`,
  ];
}

const ERASED_SHOWN = 10;

/** `erased   plan of chg_… (record 4): erased under seq 40`. */
function erasedLines(erased: EvidenceVerification['erased'], count: number): string[] {
  const lines = erased.slice(0, ERASED_SHOWN).map(({ kind, change, namedBy, seq }) => `erased   ${kind}${change === null ? '' : ` of ${plain(change)}`} (record ${namedBy}): erased under seq ${seq}`);
  return count > lines.length ? [...lines, `erased   ${count - lines.length} more (--json lists them)`] : lines;
}

function conclusion({ verdicts }: EvidenceVerification, required: readonly string[], exit: 0 | 1 | 3, out: Output): string {
  if (exit === 0) return out.good(`verified: ${required.join(', ')}`);
  const status = exit === 1 ? 'fails' : 'notEstablished';
  const those = required.filter((name) => (verdicts.find((verdict) => verdict.name === name)?.status ?? 'notEstablished') === status);
  return exit === 1 ? out.bad(`NOT VERIFIED: ${those.join(', ')} failed`) : out.bad(`NOT VERIFIED: ${those.join(', ')} could not be established`);
}

function documentOf(verification: EvidenceVerification, required: readonly string[], directory: string, exit: ExitCode): unknown {
  const { verdicts, notProven, head, objects, firstAt, lastAt, workflow, replay, erased } = verification;
  return {
    v: 1, exit, required, directory, verifier: `countersign ${VERSION}`,
    verdicts: verdicts.filter(({ name }) => name !== 'NOT PROVEN'), notProven,
    head: head === null ? null : { origin: head.origin, size: head.size, root: Buffer.from(head.root).toString('base64'), key: head.keyName },
    objects, erased, firstAt, lastAt,
    workflow: workflow === null ? null : { counts: workflow.counts, violationCount: workflow.violationCount, violations: workflow.violations, erasedPlans: workflow.erasedPlans },
    replay: replay === null ? null : { decisions: replay.decisions, same: replay.same, engineDenied: replay.engineDenied, differing: replay.differing, kept: replay.kept, unreplayed: replay.unreplayed },
  };
}
