/** `countersign dev`: an installation in `.countersign/dev`, an executor that outlives this process, and a sidecar in it. `demo` beside it. */
import type { Command } from 'commander';
import { spawn } from 'node:child_process';
import { closeSync, existsSync, openSync } from 'node:fs';
import { connect as connectSocket } from 'node:net';
import { dirname, join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { CliError, EXIT, type ExitCode } from './exit.ts';
import { layOutExample } from './init.ts';
import { packageRoot } from './package.ts';
import type { Runner } from './runner.ts';
import { runSidecar } from './serve.ts';
import type { Session } from './world.ts';

interface DevFlags {
  readonly directory: string;
}

const START_MS = 10_000;

export function addDev(program: Command, run: Runner): void {
  program
    .command('dev')
    .description('an installation to try things in: made if it is not there, and served')
    .option('--directory <dir>', 'where it is', '.countersign/dev')
    .action(run(dev));
  program
    .command('demo')
    .description('the whole story on a database of its own, and then an offline verification')
    .allowUnknownOption()
    .argument('[options...]')
    .action(run(demo));
}

async function dev(session: Session, flags: DevFlags): Promise<ExitCode> {
  const { out } = session;
  const directory = resolve(session.cwd, flags.directory);
  const config = join(directory, 'countersign.yaml');
  if (!existsSync(config)) {
    await layOutExample({ directory, randomBytes: session.randomBytes });
    out.say(`installation made in ${directory}`);
  }
  const executorSocket = join(directory, 'run', 'executor.sock');
  if (await answers(executorSocket)) out.say('the executor is up already');
  else await startExecutor(session, directory, executorSocket);
  return runSidecar(session, config, false, () => {
    const cd = `cd ${dirname(config)}`;
    out.say('');
    out.say('ask for access (denied at once: no purpose needs this):');
    out.say(`  ${cd}`);
    out.say(`  curl --unix-socket run/countersign.sock http://localhost/v1/changes?wait=PT5S -H "content-type: application/json" \\`);
    out.say(`    -H "authorization: Bearer $(awk '/billing-export/ {print $2}' tokens.txt)" \\`);
    out.say(`    -d '{"kind":"grant","subject":"nhi:prod/billing-export","purpose":"nightly-billing","reason":"try it","duration":"PT15M","entitlements":[{"connector":"pg-main","target":"app","privilege":"role:nothing"}]}'`);
    out.say('or, with a database in executor.yaml:');
    out.say('  countersign request -f requests/billing-export.yaml --as nhi:prod/billing-export --wait');
    out.say('  countersign approve ID --as person:ana');
  });
}

/** Whether something listens there. */
function answers(socket: string): Promise<boolean> {
  return new Promise((resolvePromise) => {
    const connection = connectSocket(socket);
    connection.once('connect', () => {
      connection.destroy();
      resolvePromise(true);
    });
    connection.once('error', () => resolvePromise(false));
  });
}

/** In a session of its own: it takes access back on time whatever becomes of this process. */
async function startExecutor({ out }: Session, directory: string, socket: string): Promise<void> {
  const log = join(directory, 'executor.log');
  const output = openSync(log, 'a', 0o600);
  const child = spawn(process.execPath, [mainFile(), 'worker', '--config', join(directory, 'executor.yaml')], { cwd: directory, detached: true, stdio: ['ignore', output, output] });
  closeSync(output);
  child.unref();
  for (let waitedMs = 0; waitedMs < START_MS && child.exitCode === null; waitedMs += 50) {
    if (await answers(socket)) {
      out.say(`executor started (process ${child.pid ?? '?'}, log ${log}); it goes on when this ends`);
      return;
    }
    await delay(50);
  }
  throw new CliError(EXIT.io, 'executor-not-started', { cause: 'the executor did not start', next: `look at ${log}` });
}

function mainFile(): string {
  return join(packageRoot(), 'dist', 'src', 'main.js');
}

async function demo(session: Session, options: readonly string[]): Promise<ExitCode> {
  const main = join(packageRoot(), 'dist', 'examples', 'demo', 'main.js');
  if (!existsSync(main)) throw new CliError(EXIT.io, 'no-demo', { cause: 'the demo is not part of this installation', next: 'run it from a clone of the repository:  npm ci && npm run demo' });
  const child = spawn(process.execPath, [main, ...options, ...(session.out.json ? ['--json'] : [])], { stdio: 'inherit' });
  session.signal.addEventListener('abort', () => child.kill('SIGTERM'));
  const code = await new Promise<number>((resolvePromise) => child.once('exit', (exit) => resolvePromise(exit ?? 1)));
  if (code === 0) return EXIT.ok;
  return code === 1 ? EXIT.failed : EXIT.io;
}
