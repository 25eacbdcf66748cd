/** `countersign evidence`: packs that somebody else checks offline, and proofs of single records; from the sidecar, or from a ledger folder that nobody writes. */
import { InvalidArgumentError, type Command } from 'commander';
import { basename, resolve } from 'node:path';
import { formatProof, LedgerError, NotEvidence, readDirectory } from '../../ledger/index.ts';
import { askedSchema, type PackAsked } from '../evidence/pack-format.ts';
import { PackRefused, planPack, type PackPlan, type PackSource } from '../evidence/pack-plan.ts';
import { writePack } from '../evidence/pack-write.ts';
import { isMalformed } from '../evidence/workflow.ts';
import { archives, withArchived } from './archived.ts';
import { connectTo, withConnection, type ConnectFlags } from './connect.ts';
import { addEvidenceOcsf } from './evidence-ocsf.ts';
import { CliError, EXIT, type ExitCode } from './exit.ts';
import type { Runner } from './runner.ts';
import { progressOf } from './verify-progress.ts';
import { ledgerFolder } from './verify-path.ts';
import type { Session } from './world.ts';
import { requirePlace, writePieces } from './write-pieces.ts';

interface Flags extends ConnectFlags {
  readonly ledger?: string;
  readonly archive?: readonly string[];
  readonly out?: string;
}
interface ExportFlags extends Flags {
  readonly change?: string;
  readonly nhi?: string;
  readonly from?: string;
  readonly to?: string;
}
interface ProveFlags extends Flags {
  readonly seq: number;
}

export function addEvidence(program: Command, run: Runner): void {
  const evidence = program.command('evidence').description('evidence for somebody who has nothing else of yours');
  withConnection(evidence.command('export'))
    .description('write an evidence pack: one file, which `countersign verify` takes offline')
    .option('--change <id>', 'of this change, from its first record to its last')
    .option('--nhi <id>', 'of every change of this machine identity')
    .option('--from <time>', 'of all records from then …')
    .option('--to <time>', '… to then, which is not included')
    .option('--ledger <path>', 'from a ledger folder, and not from the sidecar; it is only read')
    .option('--archive <dir>', 'with --ledger: where bundles and object files of it were moved to; may be given again', archives)
    .option('--out <file>', 'where to write it (default: named after what was asked for)')
    .action(run(exportPack));
  withConnection(evidence.command('prove'))
    .description('write the proof that a record is in the ledger (C2SP tlog-proof)')
    .requiredOption('--seq <n>', 'the index of the record', index)
    .option('--ledger <path>', 'from a ledger folder, and not from the sidecar; it is only read')
    .option('--archive <dir>', 'with --ledger: where bundles and object files of it were moved to; may be given again', archives)
    .option('--out <file>', 'where to write it (default: <n>.tlog-proof)')
    .action(run(prove));
  addEvidenceOcsf(evidence, run);
}

function index(text: string): number {
  if (!/^(0|[1-9][0-9]{0,14})$/.test(text)) throw new InvalidArgumentError('not the index of a record');
  return Number(text);
}

function askedOf({ change, nhi, from, to }: ExportFlags): PackAsked {
  const given = { ...(change === undefined ? {} : { change }), ...(nhi === undefined ? {} : { nhi }), ...(from === undefined ? {} : { from }), ...(to === undefined ? {} : { to }) };
  const parsed = askedSchema.safeParse(given);
  const isTime = parsed.success && (!('from' in parsed.data) || parsed.data.from < parsed.data.to);
  if (isTime) return parsed.data;
  throw new CliError(EXIT.usage, 'usage', { cause: 'give --change ID, --nhi ID, or --from and a later --to, with times such as 2026-11-23T19:05:00.000Z', effect: 'Nothing was written.' });
}

function fileFor(asked: PackAsked): string {
  return `${'change' in asked ? asked.change : 'nhi' in asked ? asked.nhi.replaceAll(/[:/]/g, '-') : `${asked.from}_${asked.to}`.replaceAll(':', '')}.pack`;
}

function checkFlags({ ledger, archive }: Flags): void {
  if (archive !== undefined && ledger === undefined) throw new CliError(EXIT.usage, 'usage', { cause: '--archive goes with --ledger: a sidecar knows where its archive is', effect: 'Nothing was written.' });
}

async function exportPack(session: Session, flags: ExportFlags): Promise<ExitCode> {
  const { out } = session;
  checkFlags(flags);
  const asked = askedOf(flags);
  const path = resolve(session.cwd, flags.out ?? fileFor(asked));
  requirePlace(path, 'Nothing was asked for.');
  const { pieces, plan } = flags.ledger === undefined
    ? { pieces: await connectTo(flags, session).pack(asked, { signal: session.signal }), plan: null }
    : await offline(session, { ...flags, ledger: flags.ledger }, asked);
  const { bytes, sha256 } = await writePieces(path, pieces);
  out.progress('');
  out.document({ v: 1, file: path, bytes, sha256, asked, ...(plan === null ? {} : { records: plan.seqs.length, changes: plan.changes, headsSeq: plan.headsSeq, movedOn: plan.movedOn }) });
  out.line(`${path}  ${bytes} bytes  sha256:${sha256}`);
  if (plan !== null && !('from' in asked)) sayHowWhole(session, plan);
  return EXIT.ok;
}

/** A folder is not written to: what its ledger has not stated by now, a pack of it cannot show. */
function sayHowWhole({ out }: Session, { headsSeq, movedOn, heads, changes }: PackPlan): void {
  const next = 'ask the sidecar for the pack: it states the heads first';
  if (headsSeq === null || heads.length < changes.length) out.say(`The ledger states no head of ${headsSeq === null ? 'any change' : 'every change in it'}: that the last record shown is the last, the pack does not show (${next}).`);
  else if (movedOn > 0) out.say(`It has moved on since record ${headsSeq} stated its head, by ${movedOn} ${movedOn === 1 ? 'record' : 'records'}: they are in the pack, and that none is missing after them it does not show (${next}).`);
}

async function offline(session: Session, given: FolderFlags, asked: PackAsked): Promise<{ readonly pieces: AsyncIterable<Uint8Array>; readonly plan: PackPlan }> {
  const source = await readFolder(session, given);
  const plan = await planPack(source, asked, { progress: progressOf(session, 'records'), signal: session.signal }).catch(refused);
  return { pieces: guarded(writePack(source, plan, session.signal)), plan };
}

type FolderFlags = Pick<Flags, 'archive'> & { readonly ledger: string };

async function readFolder(session: Session, { ledger, archive }: FolderFlags): Promise<PackSource> {
  const folder = ledgerFolder(resolve(session.cwd, ledger));
  return readDirectory(withArchived(session, folder, archive), basename(folder)).catch(refused);
}

async function* guarded(pieces: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  try {
    yield* pieces;
  } catch (error) {
    refused(error);
  }
}

function refused(cause: unknown): never {
  const effect = 'Nothing was written.';
  if (cause instanceof PackRefused) throw new CliError(cause.code === 'too-large' ? EXIT.usage : EXIT.failed, cause.code === 'too-large' ? 'pack-too-large' : 'nothing-there', { cause: cause.message, effect }, { cause });
  if (cause instanceof LedgerError || cause instanceof NotEvidence || isMalformed(cause)) throw new CliError(EXIT.failed, 'no-evidence', { cause: `the ledger does not hold: ${cause.message}`, effect, next: 'countersign verify   says what is wrong with it' }, { cause });
  throw cause;
}

async function prove(session: Session, flags: ProveFlags): Promise<ExitCode> {
  checkFlags(flags);
  const path = resolve(session.cwd, flags.out ?? `${flags.seq}.tlog-proof`);
  requirePlace(path, 'Nothing was asked for.');
  const pieces = flags.ledger === undefined ? await connectTo(flags, session).proof(flags.seq) : proofFrom(await readFolder(session, { ...flags, ledger: flags.ledger }), flags.seq);
  const { bytes } = await writePieces(path, pieces);
  session.out.document({ v: 1, file: path, bytes, seq: flags.seq });
  session.out.line(path);
  return EXIT.ok;
}

async function* proofFrom({ head, prove: proveAt }: PackSource, seq: number): AsyncGenerator<Uint8Array> {
  if (seq >= head.size) throw new CliError(EXIT.failed, 'nothing-there', { cause: `the checkpoint covers ${head.size} records, and ${seq} is none of them`, effect: 'Nothing was written.' });
  yield Buffer.from(formatProof({ index: seq, hashes: proveAt(seq), checkpoint: head.text }));
}
