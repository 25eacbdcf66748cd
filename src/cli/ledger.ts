/** `countersign ledger`: `compact` gives up the writer's second copy of what `ledger/` has for good; `archive` moves what is old out of `ledger/` as well. */
import { InvalidArgumentError, type Command } from 'commander';
import { existsSync } from 'node:fs';
import { join, resolve, sep } from 'node:path';
import { compactJournal, LedgerError, nodeDisk } from '../../ledger/index.ts';
import { loadConfig } from '../config/load.ts';
import type { Config } from '../config/schema.ts';
import { parseTime, timeSchema } from '../protocol/values.ts';
import { archiveOld, type Archiving } from '../sidecar/archive.ts';
import { holdData } from '../sidecar/data-lock.ts';
import type { ConnectFlags } from './connect.ts';
import { CliError, EXIT, type ExitCode } from './exit.ts';
import { findConfig } from './find-config.ts';
import { keysOf, UNTOUCHED } from './not-restored.ts';
import type { Runner } from './runner.ts';
import { progressOf } from './verify-progress.ts';
import type { Session } from './world.ts';

type Flags = Pick<ConnectFlags, 'config'>;
interface ArchiveFlags extends Flags {
  readonly before: { readonly seq: number } | { readonly atMs: number };
  readonly to: string;
}

export function addLedger(program: Command, run: Runner): void {
  const ledger = program.command('ledger').description("looks after a ledger's files");
  ledger
    .command('compact')
    .description('remove the oldest of the journal, whose records are in ledger/ for good; every byte is read first, and the sidecar must be stopped')
    .option('--config <file>', 'countersign.yaml of the installation (default: ./countersign.yaml)')
    .action(run(compact));
  ledger
    .command('archive')
    .description('move old entry bundles and object files out of ledger/, under the same paths; verify then takes --archive. Compacts first; the sidecar must be stopped')
    .requiredOption('--before <seq|time>', 'only records below this one, or older than this time', beforeOf)
    .requiredOption('--to <dir>', 'where to; it is made if it is not there, and the sidecar reads from it what it is asked for, as long as it can')
    .option('--config <file>', 'countersign.yaml of the installation (default: ./countersign.yaml)')
    .addHelpText('after', '\nWhat is open, and what may have to be taken back, stays. What was copied is read again and held to its hashes before it is removed.\nCut short, the same command goes on.')
    .action(run(archive));
}

function beforeOf(text: string): ArchiveFlags['before'] {
  if (/^(0|[1-9][0-9]{0,14})$/.test(text)) return { seq: Number(text) };
  if (timeSchema.safeParse(text).success) return { atMs: parseTime(text) };
  throw new InvalidArgumentError('neither the index of a record nor a time such as 2026-11-23T19:05:00.000Z');
}

async function configOf(session: Session, flags: Flags): Promise<Config> {
  const path = findConfig(flags, session);
  if (path === null) throw new CliError(EXIT.usage, 'usage', { cause: 'it is not said which installation', next: 'give --config countersign.yaml' });
  return (await loadConfig({ path, env: session.env })).config;
}

async function compact(session: Session, flags: Flags): Promise<ExitCode> {
  const config = await configOf(session, flags);
  const disk = nodeDisk(config.data);
  const signer = (await keysOf(config)).log;
  let release: (() => Promise<void>) | null = null;
  try {
    release = await holdData(disk);
    const done = await compactJournal({ origin: config.origin, disk, directory: 'ledger', journal: 'journal', signer, now: session.nowMs, archive: nodeDisk });
    session.out.document({ ...done });
    if (done.files === 0) session.out.line(`nothing to remove: the journal begins with record ${done.from}, and what it holds is not in full files of ledger/ yet`);
    else session.out.line(`removed ${done.files} files, ${done.bytes} bytes; the journal of ${done.size} records begins with record ${done.from}`);
    return EXIT.ok;
  } catch (cause) {
    throw refusal(cause, UNTOUCHED);
  } finally {
    await release?.();
  }
}

async function archive(session: Session, flags: ArchiveFlags): Promise<ExitCode> {
  const config = await configOf(session, flags);
  const to = resolve(session.cwd, flags.to);
  const isInside = (folder: string): boolean => `${to}${sep}`.startsWith(`${join(config.data, folder)}${sep}`);
  if (isInside('ledger') || isInside('journal')) throw new CliError(EXIT.usage, 'usage', { cause: `${to} is a part of what is to be moved out of`, effect: UNTOUCHED });
  if (existsSync(join(to, 'checkpoint'))) throw new CliError(EXIT.usage, 'usage', { cause: `${to} is a ledger itself, and not an archive`, effect: UNTOUCHED });
  const signer = (await keysOf(config)).log;
  let moved = 0;
  const show = progressOf(session, 'files');
  try {
    const done = await archiveOld({
      data: config.data, origin: config.origin, signer, nowMs: session.nowMs, before: flags.before, to,
      progress: (count, of) => show((moved = count), of),
    });
    session.out.progress('');
    session.out.document({ ...done, to });
    for (const line of linesOf(done, to)) session.out.line(line);
    return EXIT.ok;
  } catch (cause) {
    throw refusal(cause, moved > 0 ? 'What was moved by then is in the archive, all else is where it was: the same command goes on.' : 'Nothing was moved.');
  }
}

function linesOf({ bundles, objectFiles, bytes, below, kept, asked, journalFrom, size }: Archiving, to: string): string[] {
  const held = kept === 0 ? '' : `; ${kept} of the bundles below record ${below} stay: the first, and those with records of what is open or may have to be taken back`;
  const moved = bundles + objectFiles === 0
    ? [`nothing to move: the journal of ${size} records begins with record ${journalFrom}, and below record ${Math.min(asked, journalFrom)} no whole bundle is left but what stays`]
    : [`moved ${bundles} bundles and ${objectFiles} object files, ${bytes} bytes, to ${to}${held}`, `countersign verify PATH --archive ${to}   verifies all of it`];
  return asked > journalFrom ? [...moved, `records from ${journalFrom} on can go once more have come: the journal goes on in a new file from here`] : moved;
}

function refusal(cause: unknown, effect: string): unknown {
  if (!(cause instanceof LedgerError)) return cause;
  const next = cause.code === 'locked' ? 'stop the sidecar first' : cause.code === 'archived' ? 'make the archive reachable where it was' : 'countersign verify PATH --trust FOLDER   says what is wrong with it';
  return new CliError(EXIT.io, cause.code, { cause: cause.message, effect, next }, { cause });
}
