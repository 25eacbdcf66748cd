/**
 * `npm run demo`: six changes for real and what must not work, then the evidence verified offline. Exits 0 only if every check held.
 *
 *     npm run demo -- --case 2     one case, and the verification
 *     npm run demo -- --nats       over a cluster of three NATS servers, with two workers
 *     npm run demo -- --interactive   you approve, or reject, at a terminal
 *     npm run demo -- --keep       leaves everything running until Ctrl-C
 *     npm run demo -- --directory DIR   instead of .countersign/demo; what is there is replaced
 */
import { randomBytes } from 'node:crypto';
import { existsSync, realpathSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { askAtTerminal, atTerminal, Rejected } from './asking.ts';
import { audit } from './cases/audit.ts';
import { newCredential } from './cases/credential.ts';
import { deployAccess } from './cases/deploy.ts';
import { offboardThirdParty } from './cases/offboarding.ts';
import { overBroad } from './cases/overbroad.ts';
import { mustNotWork } from './cases/refusals.ts';
import { rotateInWindow } from './cases/rotation.ts';
import { existingScript } from './cases/script.ts';
import type { Told } from './cases/story.ts';
import { CheckFailed, checksHeld } from './check.ts';
import { packageRoot } from './processes.ts';
import { bold, dim, red, say, short } from './say.ts';
import { openWorld, type World } from './world.ts';

const CASES: readonly ((world: World) => Promise<Told | undefined>)[] = [
  newCredential, deployAccess, overBroad, rotateInWindow, offboardThirdParty, existingScript, async (world) => {
    await mustNotWork(world);
    return undefined;
  },
];

/** What a shell says of a program that Ctrl-C ended. */
const INTERRUPTED = 130;

interface Options {
  /** 1 to 7; null for all. */
  readonly only: number | null;
  readonly keep: boolean;
  readonly nats: boolean;
  readonly interactive: boolean;
  /** null: `.countersign/demo` of the package. */
  readonly directory: string | null;
}

/** Runs the demo. Resolves with the exit code, everything it started ended. */
export async function runDemo(args: readonly string[]): Promise<number> {
  const options = readOptions(args);
  if (options === null) {
    process.stderr.write(`usage: npm run demo -- [--case 1..${CASES.length}] [--interactive] [--nats] [--keep] [--directory DIR]\n`);
    return 2;
  }
  if (options.interactive && !atTerminal()) {
    process.stderr.write('--interactive asks you at each decision, and there is no terminal to ask at. Run it in one (with ssh: ssh -t), or without --interactive: then nobody is asked.\n');
    return 2;
  }
  const root = packageRoot(import.meta.dirname);
  const directory = options.directory ?? join(root, '.countersign', 'demo');
  const interrupted = new AbortController();
  const interrupt = (): void => interrupted.abort();
  // Each time: a second Ctrl-C would else end this in the middle of ending what it started, which would go on by itself.
  process.on('SIGINT', interrupt).on('SIGTERM', interrupt).on('SIGHUP', interrupt);
  // `npm run demo | head`: whoever reads has had enough; what was started is ended all the same.
  process.stdout.on('error', interrupt);
  const stopped = new Promise<'interrupted'>((resolve) => interrupted.signal.addEventListener('abort', () => resolve('interrupted')));
  let world: World | null = null;
  const opening = openWorld({ root, directory, randomBytes: (length) => randomBytes(length), nats: options.nats, ask: options.interactive ? askAtTerminal({ signal: interrupted.signal, leave: interrupt }) : null });
  try {
    world = await Promise.race([opening, stopped.then(() => null)]);
    const run = world === null ? stopped : tellAll(world, options, root);
    run.catch(() => undefined);
    if ((await Promise.race([run, stopped])) === 'interrupted') {
      process.stderr.write('\ninterrupted: ending what was started\n');
      return INTERRUPTED;
    }
    if (options.keep && world !== null) await keepRunning(world, stopped);
    return 0;
  } catch (error) {
    explain(error, join(directory, 'logs'), root);
    return 1;
  } finally {
    world ??= await opening.catch(() => null);
    await world?.close();
    process.off('SIGINT', interrupt).off('SIGTERM', interrupt).off('SIGHUP', interrupt);
  }
}

function readOptions(args: readonly string[]): Options | null {
  try {
    const { values } = parseArgs({ args: [...args], options: { case: { type: 'string' }, keep: { type: 'boolean', default: false }, interactive: { type: 'boolean', default: false }, nats: { type: 'boolean', default: false }, directory: { type: 'string' } } });
    const only = values.case === undefined ? null : Number(values.case);
    if (only !== null && !(Number.isInteger(only) && only >= 1 && only <= CASES.length)) return null;
    return { only, keep: values.keep, nats: values.nats, interactive: values.interactive, directory: values.directory === undefined ? null : resolve(values.directory) };
  } catch {
    return null;
  }
}

async function tellAll(world: World, { only, keep, nats }: Options, root: string): Promise<void> {
  const startMs = performance.now();
  const executor = nats ? 'three NATS servers that hold what they acknowledge, two workers' : 'an executor process';
  say(bold(`Countersign, with everything real: PostgreSQL, a sidecar, ${executor} with a key and a trust folder of ${nats ? 'their' : 'its'} own`));
  const told: Told[] = [];
  for (const [index, run] of CASES.entries()) {
    if (only !== null && only !== index + 1) continue;
    const one = await run(world).catch((error: unknown) => {
      if (!(error instanceof Rejected)) throw error;
      say(`   ${red('rejected')}     by you, as ${error.who}: nothing is given, and the case ends here`);
      return undefined;
    });
    if (one !== undefined) told.push(one);
  }
  await world.stopSidecar();
  await audit(world);
  if (keep) await world.startSidecar();

  const here = (path: string): string => pathFrom(root, path);
  say();
  for (const { who, what, when, policy } of told) say(`At ${when}, ${who} ${what}, by policy ${short(policy)}.`);
  say(`${checksHeld()} checks held in ${((performance.now() - startMs) / 1000).toFixed(1)} s.`);
  say();
  say(`ledger        ${here(world.paths.ledger)}/   (checkpoint, tile/, objects/)`);
  say(`its key       ${here(world.paths.logVkey)}`);
  say(`trust         ${here(world.paths.trustPolicy)}, ${here(world.paths.trust)}/`);
  say(`logs          ${here(world.paths.logs)}/`);
  say();
  say(dim('next:'));
  say(`  npx countersign verify ${here(world.paths.ledger)} --trust ${here(world.paths.trust)}`);
  say('  npx countersign dev');
  say('  npm run demo -- --keep');
}

async function keepRunning(world: World, stopped: Promise<unknown>): Promise<void> {
  say();
  const { tokens, socket } = world.paths;
  say('Running until Ctrl-C. Ask it something as person:ana:');
  // The token goes by standard input: arguments are seen by every process of the machine.
  say(`  awk '$1 == "person:ana" {print "Authorization: Bearer " $2}' ${tokens} | curl -s -H @- --unix-socket ${socket} http://localhost/v1/changes`);
  await stopped;
}

/** As short as it can be said from `root`. */
function pathFrom(root: string, path: string): string {
  const local = relative(root, path);
  return local.startsWith('..') ? path : local;
}

function explain(error: unknown, logs: string, root: string): void {
  const line = (text: string): void => void process.stderr.write(`${text}\n`);
  line('');
  if (error instanceof CheckFailed) {
    line(red(`This did not hold: ${error.message}`));
    line(`  seen: ${error.seen.slice(0, 4_000)}`);
  } else {
    line(red(`The demo could not go on: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`));
  }
  line(`  logs: ${pathFrom(root, logs)}/`);
}

const invoked = process.argv[1];
if (invoked !== undefined && existsSync(invoked) && realpathSync(invoked) === fileURLToPath(import.meta.url)) {
  // Whatever a case that failed left open must not keep it from ending; both outputs have been written by now.
  process.exit(await runDemo(process.argv.slice(2)));
}
