/** `countersign verify`: what a ledger proves to whoever brings their own trust, one line a verdict, and what it does not prove. */
import { InvalidArgumentError, type Command } from 'commander';
import { resolve } from 'node:path';
import { LedgerError, parseSigner, REQUIRED_BY_DEFAULT, type Signer, type Verdict } from '../../ledger/index.ts';
import { attest } from '../evidence/attest.ts';
import type { PackVerification } from '../evidence/pack-verify.ts';
import { populationCsv } from '../evidence/population.ts';
import { conclusionOf, documentOf, exitOf, requiredUnder, STATUS_MARKS, STATUS_WORDS } from '../evidence/verification-document.ts';
import type { EvidenceVerification } from '../evidence/verify.ts';
import type { LoadedTrust } from '../protocol/trust-folder.ts';
import { VERSION } from '../version.ts';
import { archives } from './archived.ts';
import { CliError, EXIT, type ExitCode } from './exit.ts';
import { readSecret, requireNew, writeNew } from './files.ts';
import { plain, type Output } from './output.ts';
import { packLine } from './pack-file.ts';
import type { Runner } from './runner.ts';
import { evidenceAt, openTrust, threadCount, verifyNamed, type VerifyPathFlags } from './verify-path.ts';
import type { Session } from './world.ts';

interface VerifyFlags extends VerifyPathFlags {
  readonly require?: readonly string[];
  readonly attest?: string;
  readonly attestKey?: string;
  readonly population?: string;
}

const NAMES = ['INTEGRITY', 'SIGNATURE', 'WITNESS', 'COMPLETENESS', 'WORKFLOW', 'TIME', 'REPLAY'] as const;

export function addVerify(program: Command, run: Runner): void {
  program
    .command('verify')
    .argument('<path>', 'a ledger folder (with checkpoint, tile/ and objects/), or its parent; or an evidence pack')
    .description('verify a ledger or an evidence pack, offline, under your own trust')
    .option('--trust <path>', 'your trust folder, or a lone trust.policy')
    .option('--require <names>', `verdicts that must hold, separated by commas (default ${REQUIRED_BY_DEFAULT.join(',')})`, names)
    .option('--pinned <file>', 'a checkpoint that you kept: the ledger must have grown from it')
    .option('--min-size <n>', 'there must be at least so many records', count)
    .option('--old-ledger <path>', 'the ledger that this one goes on for, or a copy of it: whether it holds itself, and all that was open there was adopted')
    .option('--archive <dir>', 'where bundles and object files of it were moved to (countersign ledger archive); may be given again', archives)
    .option('--no-replay', 'run no recorded policy again: REPLAY is not asked')
    .option('--accept-observed', 'take effects under observe as they are: WORKFLOW may hold, and says how many there were')
    .option('--as-of <time>', 'judge lateness as of then (default: the last record)')
    .option('--threads <n>', 'threads beside the one that has the last word (default: one for each other core, at most 8)', threadCount)
    .option('--attest <file>', 'where all that is required holds, write what does as an in-toto statement (SVR) in a DSSE envelope')
    .option('--attest-key <file>', 'your key that signs it, as of countersign keygen, which only you can read')
    .option('--population <file>', 'write the changes that WORKFLOW is about to this file, as CSV')
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
  const named = evidenceAt(session, given, flags);
  const { path: directory, isPack } = named;
  const opened = await openTrust(session, flags.trust);
  const { trust, wholeFolder } = opened;
  const population = flags.population === undefined ? null : resolve(session.cwd, flags.population);
  if (population !== null) requireNew(population, 'Nothing was verified.');
  const required = flags.require ?? requiredUnder(trust !== null, wholeFolder);
  // A statement that WORKFLOW holds would not say beside which effects that nobody approved.
  if (flags.attest !== undefined && flags.acceptObserved === true) throw new CliError(EXIT.usage, 'usage', { cause: '--attest goes with no --accept-observed', effect: 'Nothing was verified.' });
  if (flags.attest !== undefined && (isPack || flags.asOf !== undefined)) {
    // The statement names a log, its size and root: it would speak of more than was looked at, or of another time.
    throw new CliError(EXIT.usage, 'usage', { cause: `--attest is for a whole ledger${isPack ? ', and this is an evidence pack' : ' as of its last record, and goes with no --as-of'}`, effect: 'Nothing was verified.' });
  }
  const attestation = attestationOf(session, flags, trust);
  const verification = await verifyNamed(session, named, opened, flags, { listChanges: population !== null });
  if (population !== null) writePopulation(session, population, verification);
  const exit = exitOf(verification, required);
  if (exit === EXIT.ok) attestation?.write(verification);
  out.document(documentOf({ verification, required, directory, exit, trust: trust?.digest ?? null, attestation: exit === EXIT.ok ? (attestation?.path ?? null) : null }));
  for (const line of linesOf(verification, required, out)) out.line(line);
  const conclusion = conclusionOf(verification, required, exit);
  out.line(exit === 0 ? out.good(conclusion) : out.bad(conclusion));
  if (attestation !== null) out.say(exit === EXIT.ok ? `${attestation.path} attests it, signed by ${attestation.by}` : 'Nothing was attested.');
  return exit;
}

interface Attestation {
  readonly path: string;
  readonly by: string;
  write(verification: EvidenceVerification): void;
}

/** Ready to be written before anything is verified: a key that cannot be used, or a file that is there, is told at once. */
function attestationOf({ cwd, nowMs }: Session, { attest: file, attestKey }: VerifyFlags, trust: LoadedTrust | null): Attestation | null {
  const usage = (cause: string): CliError => new CliError(EXIT.usage, 'usage', { cause, effect: 'Nothing was verified.' });
  if (file === undefined && attestKey === undefined) return null;
  if (file === undefined || attestKey === undefined) throw usage('--attest and --attest-key go together');
  if (trust === null) throw usage('--attest takes --trust: it says under which');
  const path = resolve(cwd, file);
  requireNew(path, 'Nothing was verified.');
  const signer = signerIn(resolve(cwd, attestKey));
  return {
    path, by: signer.keyName,
    write: (verification) => writeNew(path, `${JSON.stringify(attest({ verification, trust: trust.digest, version: VERSION, atMs: nowMs() }, signer))}\n`),
  };
}

function signerIn(path: string): Signer {
  const text = readSecret(path, 'the key');
  try {
    return parseSigner(text);
  } catch (cause) {
    if (!(cause instanceof LedgerError)) throw cause;
    throw new CliError(EXIT.usage, 'malformed', { cause: `${path} holds no key to sign with: ${cause.message}`, effect: 'Nothing was verified.', next: 'make one:  countersign keygen revoker --name person:YOU --out FILE' }, { cause });
  }
}

/** A list of what was not looked at would be taken for one of what was. */
function writePopulation({ out }: Session, path: string, { population }: EvidenceVerification): void {
  if (population === null) return out.say(`${path} was not written: no change was followed`);
  writeNew(path, populationCsv(population));
}

function linesOf(verification: EvidenceVerification | PackVerification, required: readonly string[], out: Output): string[] {
  const paint = { holds: out.good, fails: out.bad, notEstablished: out.dim };
  const verdicts = verification.verdicts.filter(({ name }) => name !== 'NOT PROVEN');
  const line = ({ name, status, message }: Verdict): string =>
    `${paint[status](STATUS_MARKS[status])} ${name.padEnd(12)} ${paint[status](STATUS_WORDS[status].padEnd(15))} ${plain(message)}${required.includes(name) ? '' : out.dim(' (not required)')}`;
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

function summaryOf(verification: EvidenceVerification | PackVerification): string[] {
  const { head, firstAt, lastAt, objects, erased } = verification;
  if (head === null) return [];
  return [
    ...('pack' in verification ? packLine(verification) : []),
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
