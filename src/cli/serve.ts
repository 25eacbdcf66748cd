/** `countersign serve` and `countersign worker`: the two processes. Neither starts the other. */
import type { Command } from 'commander';
import { resolve } from 'node:path';
import { LedgerError } from '../../ledger/index.ts';
import { ConfigError, loadConfig } from '../config/load.ts';
import { formatConfig } from '../config/print.ts';
import { CliError, EXIT, type ExitCode } from './exit.ts';
import { findConfig } from './find-config.ts';
import type { Runner } from './runner.ts';
import type { ApplyFlags } from './worker-apply.ts';
import type { Session } from './world.ts';

interface ServeFlags {
  readonly config?: string;
  readonly printConfig?: boolean;
}

/** Each of the three loads what it needs once it is asked for: a sidecar nothing of an executor, and the other way round. */
export function addServe(program: Command, run: Runner): void {
  program
    .command('serve')
    .description('run the sidecar')
    .option('--config <file>', 'countersign.yaml (default: ./countersign.yaml)')
    .option('--print-config', 'print the configuration in force, and where each value comes from, instead of running')
    .action(run(serve));
  const executor = program
    .command('worker')
    .description('run an executor')
    .option('--config <file>', 'executor.yaml', 'executor.yaml')
    .action(run(worker));
  executor
    .command('apply')
    .argument('<file>', 'signed orders and locks, one a line, as  countersign revoke --now --write FILE  writes them')
    .description('carry out what was signed elsewhere and carried here, whether or not the executor runs')
    .option('--config <file>', 'executor.yaml', 'executor.yaml')
    .option('--wait <seconds>', 'how long the target may take', '30')
    .action(run(async (session: Session, file: string, flags: ApplyFlags) => (await import('./worker-apply.ts')).apply(session, file, flags)));
}

async function serve(session: Session, flags: ServeFlags): Promise<ExitCode> {
  const path = findConfig(flags, session);
  if (path === null) throw new CliError(EXIT.usage, 'no-config', { cause: 'there is no countersign.yaml here', next: 'countersign init DIR   makes an installation' });
  return runSidecar(session, path, flags.printConfig === true);
}

/** Runs until the session is told to stop. `started` is called once it listens. */
export async function runSidecar(session: Session, path: string, printOnly = false, started: () => void = () => undefined): Promise<ExitCode> {
  const { out } = session;
  const loaded = await loadConfig({ path, env: session.env }).catch((cause: unknown) => {
    if (!(cause instanceof ConfigError)) throw cause;
    throw new CliError(cause.code === 'unreadable' ? EXIT.io : EXIT.usage, `config-${cause.code}`, { cause: cause.message, effect: 'Nothing was started.' }, { cause });
  });
  for (const warning of loaded.warnings) out.say(warning);
  if (printOnly) {
    session.stdout.write(formatConfig(loaded));
    return EXIT.ok;
  }
  // Loaded here, so that `verify` and its like do not pay for a server.
  const { startSidecar } = await import('../sidecar/start.ts');
  const sidecar = await startSidecar(loaded.config).catch((cause: unknown) => {
    throw notStarted(cause);
  });
  out.document({ socket: sidecar.socket, url: sidecar.url });
  if (sidecar.socket !== null) out.line(`listening ${sidecar.socket}`);
  if (sidecar.url !== null) out.line(`listening ${sidecar.url}`);
  started();
  const stopReloading = session.onReload(() => {
    sidecar.reload().catch((error: unknown) => out.say(`the facts were not read again: ${String(error)}`));
  });
  await aborted(session.signal);
  stopReloading();
  out.say('stopping: requests in flight are answered first');
  await sidecar.close();
  return EXIT.ok;
}

function notStarted(cause: unknown): CliError {
  const message = cause instanceof Error ? cause.message : String(cause);
  const code = (cause as { code?: unknown }).code;
  const effect = 'The sidecar was not started.';
  if (cause instanceof LedgerError && cause.code === 'locked') return new CliError(EXIT.io, 'locked', { cause: message, effect, next: 'another sidecar has this ledger: stop it first' }, { cause });
  if (cause instanceof LedgerError && cause.code === 'copied') return new CliError(EXIT.io, 'copied', { cause: message, effect: `${effect} Nothing was changed.`, next: 'see to it that no sidecar goes on where it came from, then:  countersign restore --moved' }, { cause });
  if (cause instanceof LedgerError) return new CliError(EXIT.io, cause.code, { cause: `the ledger cannot be opened: ${message}`, effect: `${effect} Nothing was changed; revokes work without it:  countersign revoke --now`, next: 'countersign verify PATH --trust FOLDER   says what is wrong with it' }, { cause });
  return new CliError(EXIT.io, typeof code === 'string' ? code : 'not-started', { cause: message, effect }, { cause });
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolvePromise) => {
    if (signal.aborted) resolvePromise();
    else signal.addEventListener('abort', () => resolvePromise(), { once: true });
  });
}

/** The executor's own module says when it listens, and drains at SIGTERM. */
async function worker(session: Session, flags: { readonly config: string }): Promise<ExitCode> {
  const { runWorker } = await import('../executor/main.ts');
  try {
    await runWorker(resolve(session.cwd, flags.config));
  } catch (cause) {
    const message = cause instanceof Error ? cause.message : String(cause);
    const code = cause instanceof LedgerError ? cause.code : 'not-started';
    throw new CliError(EXIT.io, code, { cause: message, effect: 'The executor was not started; what is due to be taken back waits.', ...(code === 'locked' ? { next: 'another executor has this state directory: stop it first' } : {}) }, { cause });
  }
  return EXIT.ok;
}
