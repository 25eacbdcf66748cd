/**
 * `countersign run --change c.yaml -- CMD…`: a command in any language, once the change allows it.
 *
 * For `grant` and `provision` an executor gives the access and takes it back when the command is through. For `rotate`, `revoke` and
 * `disable` the command is the change: it starts once the ticket for this very run was checked against the caller's own trust folder and its
 * claim is durable, and what became of it is recorded.
 */
import type { Command } from 'commander';
import { resolve } from 'node:path';
import { AccessError, withAccess, WorkError, type Access, type AccessOptions, type CalledRequest, type ChangeView, type LeasedRequest } from '../client/index.ts';
import { changeRequestSchema } from '../protocol/request.ts';
import { findConfig } from './find-config.ts';
import { announce, checkedRequest, fromFile, nameOf, waitMs } from './request.ts';
import { exitCodeOf, runCommand, startTrouble, type CommandEnd } from './command.ts';
import { connectTo, trustOf, withConnection, type ConnectFlags } from './connect.ts';
import { CliError, EXIT } from './exit.ts';
import { plain } from './output.ts';
import type { Runner } from './runner.ts';
import type { Session } from './world.ts';

interface RunFlags extends ConnectFlags {
  readonly change: string;
  readonly trust?: string;
  readonly wait: string;
  readonly timeout: string;
  readonly heads?: string;
}

const HELP = `
The command finds in its environment: COUNTERSIGN_CHANGE_ID, COUNTERSIGN_ACCOUNT, COUNTERSIGN_CONNECTOR, COUNTERSIGN_TARGET, and
COUNTERSIGN_CLIENT_TOKEN, which a credential that it makes is to be found again by. Never a secret, and neither COUNTERSIGN_TOKEN nor COUNTERSIGN_TOKEN_FILE.
What it writes is left alone; what countersign says goes to stderr. SIGINT and SIGTERM are passed on to it.

Exits as the command does once it ran (128 and the signal's number where a signal ended it); but 4 where it ended well and that could not be
recorded, or its access not be given back. Otherwise: 127 or 126 where there is no such command, or it may not be run: no change is asked for then;
1 denied or rejected, 2 usage, 4 a file or the sidecar, 5 not decided, or not its time, within --wait: the change is withdrawn then.`;

export function addRun(program: Command, run: Runner): void {
  withConnection(program.command('run').argument('<command...>'))
    .description('run a command once a change allows it: countersign run --change c.yaml -- ./rotate.sh')
    .requiredOption('--change <file>', 'the change in YAML or JSON; - for standard input')
    .option('--trust <folder>', "your own trust folder, for a change that the command makes (default: the configuration's)")
    .option('--wait <duration>', 'how long to wait for decision, window and target', 'PT10M')
    .option('--timeout <duration>', 'how long the command may take until its outcome is taken for unknown', 'PT10M')
    .option('--heads <file>', 'keeps the newest checkpoints seen, so that the next run notices a log that was rolled back')
    .addHelpText('after', HELP)
    .action(run(runIt));
}

async function runIt(session: Session, command: [string, ...string[]], flags: RunFlags): Promise<number> {
  const change = readChange(await fromFile(session, flags.change), flags);
  const options = optionsOf(session, change, flags);
  refuseWhatCannotStart(command[0], session);
  const client = connectTo(flags, session);
  const ended: CommandEnd[] = [];
  const work = async (access: Access): Promise<void> => {
    session.out.say(`${access.changeId} running ${plain(command[0])}`);
    const end = await runCommand(command, environmentFor(access, session.env), session);
    ended.push(end);
    failUnlessWell(end);
  };
  try {
    const { change: latest } = await withAccess(client, change, work, options);
    session.out.say(`${latest.id} ${latest.state}`);
  } catch (error) {
    const [end] = ended;
    if (end === undefined) throw error;
    return tellOfEnd(session, end, error);
  }
  return EXIT.ok;
}

/** Nobody is asked to approve a run that would come to nothing. @throws CliError `no-such-command` or `may-not-run` */
function refuseWhatCannotStart(file: string, session: Session): void {
  const trouble = startTrouble(file, session);
  if (trouble === null) return;
  const common = { cause: trouble.message, effect: 'No change was asked for.' };
  if (trouble.code === 126) throw new CliError(EXIT.mayNotRun, 'may-not-run', { ...common, next: `chmod +x ${file}` });
  throw new CliError(EXIT.noSuchCommand, 'no-such-command', { ...common, next: 'name a command of the PATH, or a file as ./file, seen from here' });
}

/** @throws WorkError with what is to be recorded, for anything but exit 0 */
function failUnlessWell(end: CommandEnd): void {
  if (end.kind === 'exited' && end.code === 0) return;
  // Whoever is killed in the middle of it has said nothing about what was done.
  if (end.kind === 'killed') throw new WorkError('ambiguous', `signal-${end.signal}`, `the command was ended by ${end.signal}`);
  throw new WorkError('failed', `exit-${end.code}`, end.kind === 'exited' ? `the command exited ${end.code}` : end.message);
}

/** The command's exit code is the answer; what went wrong beside it is said, and spoils a good one. */
function tellOfEnd({ out }: Session, end: CommandEnd, error: unknown): number {
  const exit = exitCodeOf(end);
  if (error instanceof WorkError) {
    out.say(plain(error.message));
    return exit;
  }
  out.say(`${out.bad('error')}${error instanceof AccessError ? ` (${error.code})` : ''}: ${plain(error instanceof Error ? error.message : String(error))}`);
  if (error instanceof AccessError) out.say(`next: countersign changes show ${error.change.id}`);
  return exit === 0 ? EXIT.io : exit;
}

/** A key that nobody has: the run's own is made when it is asked for. */
const NO_KEY = `${'A'.repeat(43)}=`;

/** The change in the file, whole. @throws CliError `usage` or `invalid-request`: nothing was sent */
function readChange(given: unknown, flags: RunFlags): LeasedRequest | CalledRequest {
  const { kind, ...rest } = typeof given === 'object' && given !== null ? (given as Record<string, unknown>) : {};
  waitMs('--timeout', flags.timeout);
  switch (kind) {
    case 'grant':
    case 'provision': {
      if (rest['duration'] === undefined) throw new CliError(EXIT.usage, 'usage', { cause: 'the change has no duration: nothing would end its access', effect: 'Nothing was sent.' });
      return checkedRequest(given, { what: nameOf(flags.change) }) as LeasedRequest;
    }
    case 'rotate':
    case 'revoke':
    case 'disable': {
      const theirs = ['caller', 'recipient'].find((field) => rest[field] !== undefined);
      if (theirs !== undefined) {
        const why = theirs === 'caller' ? 'each run makes a key of its own' : 'the command makes the secret, and keeps it where it belongs';
        throw new CliError(EXIT.usage, 'usage', { cause: `leave ${theirs} out: ${why}`, effect: 'Nothing was sent.' });
      }
      checkedRequest({ ...(given as object), caller: { key: NO_KEY, timeout: flags.timeout } }, { what: nameOf(flags.change) });
      return given as CalledRequest;
    }
    default: {
      const known = changeRequestSchema.options.map((option) => option.shape.kind.value).filter((one) => one !== 'offboard' && one !== 'extend');
      const found = kind === undefined ? `${nameOf(flags.change)} says no kind of change` : `${JSON.stringify(kind).slice(0, 64)} is no kind that a command is run for`;
      throw new CliError(EXIT.usage, 'usage', { cause: `${found}: it is one of ${known.join(', ')}`, effect: 'Nothing was sent.', next: 'countersign request -f FILE   asks for anything else' });
    }
  }
}

function optionsOf(session: Session, change: LeasedRequest | CalledRequest, flags: RunFlags): AccessOptions {
  const seen: (seen: ChangeView) => void = announce(session, flags.as);
  const common: AccessOptions = { timeoutMs: waitMs('--wait', flags.wait), signal: session.signal, seen };
  if (change.kind === 'grant' || change.kind === 'provision') return common;
  const config = findConfig(flags, session);
  const trust = flags.trust === undefined ? (config === null ? null : trustOf(config)) : resolve(session.cwd, flags.trust);
  if (trust === null) throw new CliError(EXIT.usage, 'no-trust', { cause: 'it is not said whose tickets to believe', effect: 'Nothing was sent.', next: 'give --trust FOLDER: a trust folder of your own' });
  return { ...common, trust, workTimeout: flags.timeout, ...(flags.heads === undefined ? {} : { heads: resolve(session.cwd, flags.heads) }) };
}

/** The environment as it is, without the token or where it is: the command asks the sidecar for nothing. */
function environmentFor(access: Access, env: Session['env']): Record<string, string | undefined> {
  const { COUNTERSIGN_TOKEN: _token, COUNTERSIGN_TOKEN_FILE: _file, ...rest } = env;
  return {
    ...rest, COUNTERSIGN_CHANGE_ID: access.changeId, COUNTERSIGN_CLIENT_TOKEN: access.clientToken, COUNTERSIGN_ACCOUNT: access.account,
    COUNTERSIGN_CONNECTOR: access.connector, COUNTERSIGN_TARGET: access.target,
  };
}
