/** `countersign witness`: cosigns the checkpoints of logs that others run, over HTTP, until it is told to stop. */
import { InvalidArgumentError, type Command } from 'commander';
import { resolve } from 'node:path';
import { pino } from 'pino';
import { LedgerError, nodeDisk, openWitness, parseCosigner, parseTrustPolicy, type Cosigner, type TrustedLog, type Witness } from '../../ledger/index.ts';
import { serveWitness, type WitnessServer } from '../witness/server.ts';
import { CliError, EXIT, type ExitCode } from './exit.ts';
import { readSecret, readText } from './files.ts';
import type { Runner } from './runner.ts';
import type { Session } from './world.ts';

interface WitnessFlags {
  readonly key: string;
  readonly logs: string;
  readonly state: string;
  readonly listen: Listen;
  readonly new?: boolean;
}

interface Listen {
  readonly host: string;
  readonly port: number;
}

const DRAIN_MS = 10_000;
/** Below the folder that is named: a witness's state, and nothing else. */
const DIRECTORY = 'witness';
const UNTOUCHED = 'The witness was not started, and nothing was changed.';

export function addWitness(program: Command, run: Runner): void {
  program
    .command('witness')
    .description('cosign the checkpoints of logs that others run (c2sp.org/tlog-witness)')
    .requiredOption('--key <file>', 'the witness key:  countersign keygen witness')
    .requiredOption('--logs <file>', 'a trust.policy whose log lines are the logs to cosign; read again at SIGHUP')
    .requiredOption('--state <folder>', 'what was cosigned last; of one witness alone')
    .option('--listen <host:port>', 'where to listen (default 127.0.0.1:7380)', address, { host: '127.0.0.1', port: 7380 })
    .option('--new', 'this key has never cosigned anything: make the state')
    .action(run(witness));
}

function address(text: string): Listen {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^\s:[\]]+)):([0-9]{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  if (match === null || port > 65_535) throw new InvalidArgumentError('not host:port, such as 127.0.0.1:7380 or [::1]:7380');
  return { host: match[1] ?? match[2]!, port };
}

async function witness(session: Session, flags: WitnessFlags): Promise<ExitCode> {
  const { out, nowMs } = session;
  const cosigner = readKey(resolve(session.cwd, flags.key));
  const policy = resolve(session.cwd, flags.logs);
  let logs = readLogs(policy);
  const logger = pino({ base: null, timestamp: () => `,"time":"${new Date(nowMs()).toISOString()}"` }, { write: (line: string) => void session.stderr.write(line) });
  const stopped = new AbortController();
  const opened = await openWitness({
    disk: nodeDisk(resolve(session.cwd, flags.state)), directory: DIRECTORY, cosigner, logs: () => logs, nowMs, isNew: flags.new === true,
    onUnwritable(cause) {
      logger.error({ cause: String(cause) }, 'the state cannot be written: nothing is cosigned any more');
      stopped.abort();
    },
  }).catch((cause: unknown) => {
    throw notOpened(cause, flags.state);
  });
  const server = await serve(opened, flags.listen, logger, nowMs);
  out.document({ url: server.address, vkey: cosigner.vkey, logs: logs.map(({ verifier }) => verifier.vkey) });
  out.line(`listening ${server.address}`);
  out.line(`policy witness ${cosigner.name} ${cosigner.vkey}`);
  const stopReloading = session.onReload(() => {
    try {
      logs = readLogs(policy);
      logger.info({ logs: logs.map(({ verifier }) => verifier.keyName) }, 'the logs were read again');
    } catch (error) {
      logger.error({ cause: error instanceof Error ? error.message : String(error) }, 'the logs were not read again: those from before stay');
    }
  });
  await aborted(AbortSignal.any([session.signal, stopped.signal]));
  stopReloading();
  await server.close(DRAIN_MS);
  await opened.close();
  if (!stopped.signal.aborted) return EXIT.ok;
  throw new CliError(EXIT.io, 'unwritable', { cause: `the state in ${flags.state} cannot be written`, effect: 'The witness has stopped. What it had answered is there.', next: 'look at that disk, then start it again' });
}

function readKey(path: string): Cosigner {
  const text = readSecret(path, 'the witness key');
  try {
    return parseCosigner(text);
  } catch (cause) {
    if (!(cause instanceof LedgerError)) throw cause;
    throw new CliError(EXIT.usage, 'bad-key', { cause: `${path} is not the key of a witness: ${cause.message}`, effect: UNTOUCHED, next: 'countersign keygen witness --name NAME   makes one' }, { cause });
  }
}

function readLogs(path: string): readonly TrustedLog[] {
  const text = readText(path, 'the list of logs');
  try {
    const { logs } = parseTrustPolicy(text);
    if (logs.length > 0) return logs;
  } catch (cause) {
    if (!(cause instanceof LedgerError)) throw cause;
    throw new CliError(EXIT.usage, 'bad-policy', { cause: `${path}: ${cause.message}`, effect: UNTOUCHED }, { cause });
  }
  throw new CliError(EXIT.usage, 'no-logs', { cause: `${path} lists no log`, effect: UNTOUCHED, next: 'a line `log <vkey>` for each log, and `quorum none`' });
}

function notOpened(cause: unknown, state: string): unknown {
  if (!(cause instanceof LedgerError)) return cause;
  const trouble = { cause: `the state in ${state}: ${cause.message}`, effect: UNTOUCHED };
  switch (cause.code) {
    case 'locked':
      return new CliError(EXIT.io, 'locked', { ...trouble, next: 'another witness has this state: stop it first' }, { cause });
    case 'not-found':
      return new CliError(EXIT.io, 'no-state', { ...trouble, next: 'countersign witness … --new   if this key has never cosigned anything; else bring the state back' }, { cause });
    case 'forked':
      return new CliError(EXIT.usage, 'has-state', { ...trouble, next: 'leave --new away, or name the state of this key' }, { cause });
    default:
      return new CliError(EXIT.io, cause.code, { ...trouble, next: 'bring the newest state back, or begin again under a new key: a state that is older than what was cosigned lets a log be rewritten' }, { cause });
  }
}

async function serve(opened: Witness, listen: Listen, logger: Parameters<typeof serveWitness>[1]['logger'], nowMs: () => number): Promise<WitnessServer> {
  try {
    return await serveWitness(opened, { ...listen, logger, nowMs });
  } catch (cause) {
    await opened.close();
    throw new CliError(EXIT.io, 'cannot-listen', { cause: `cannot listen on ${listen.host}:${listen.port}: ${cause instanceof Error ? cause.message : String(cause)}`, effect: 'The witness was not started.' }, { cause });
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolvePromise) => {
    if (signal.aborted) resolvePromise();
    else signal.addEventListener('abort', () => resolvePromise(), { once: true });
  });
}
