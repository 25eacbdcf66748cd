/**
 * `countersign nats`: what a bus needs before sidecars and executors meet on it.
 *
 *     countersign nats accounts   the part of a nats-server configuration that keeps executors apart
 *     countersign nats setup      streams and consumers, made or brought to what they must be
 */
import type { Command } from 'commander';
import { loadConfig } from '../config/load.ts';
import type { Config } from '../config/schema.ts';
import { openNatsBus, overBus } from '../sidecar/reach.ts';
import { executorIdSchema } from '../protocol/values.ts';
import { ANEW, BusRefused, compareBus, formatBytes, planBus, replicasOn, RESULTS_BYTES_LEAST, setUpBus, type BusPlan, type Difference } from '../transport/nats/bus-setup.ts';
import type { Bus } from '../transport/nats/connection.ts';
import { publicKeyOf } from '../transport/nats/bus-user.ts';
import { formatAccounts } from '../transport/nats/server-config.ts';
import type { ConnectFlags } from './connect.ts';
import { CliError, EXIT, type ExitCode } from './exit.ts';
import { readSecret } from './files.ts';
import { findConfig } from './find-config.ts';
import { plain } from './output.ts';
import { QUIET } from './quiet.ts';
import type { Runner } from './runner.ts';
import type { Session } from './world.ts';

interface NatsFlags extends Pick<ConnectFlags, 'config'> {
  readonly dryRun?: boolean;
  readonly diff?: boolean;
  readonly replicas?: string;
  readonly resultsMax?: string;
  readonly sidecar?: readonly string[];
  readonly worker?: readonly string[];
  readonly listener?: readonly string[];
  readonly console?: readonly string[];
}

const PUBLIC_KEY = /^U[A-Z2-7]{55}$/;
/** How long the bus may take to be there, in ms. */
const UP_MS = 10_000;

export function addNats(program: Command, run: Runner): void {
  const nats = program.command('nats').description('set up the bus: accounts, streams, consumers');
  const config = (command: Command): Command => command.option('--config <file>', 'countersign.yaml of the installation (default: ./countersign.yaml)');
  config(nats.command('accounts'))
    .description('print the accounts of a nats-server configuration: one for the sidecar, one for each executor')
    .option('--worker <executor=key...>', "an executor and the public nkey (U…) of its workers; several of one executor's are several users of its account")
    .option('--sidecar <key...>', "the public nkey (U…) of each further sidecar on this bus; the one of this installation is in it anyway")
    .option('--listener <key...>', 'the public nkey (U…) of who may hear what happens, and nothing else')
    .option('--console <key...>', 'the public nkey (U…) of a console, which may call the API of the sidecars, and nothing else')
    .action(run(accounts));
  config(nats.command('setup'))
    .description('make the streams and consumers that are not there, and bring those that are to what they must be; what is in them stays')
    .option('--replicas <n>', '1 or 3, exactly (default: at least 3 where the server is one of a cluster)')
    .option('--results-max <size>', 'room for reports that nobody has fetched, such as 512MiB or 2GiB (default: as it is; 4GiB where it is made)')
    .option('--dry-run', 'only say what would be done')
    .option('--diff', 'only say what is not as it must be; exits 1 where that is anything')
    .action(run(setup));
}

async function configured(session: Session, flags: NatsFlags): Promise<{ readonly config: Config; readonly nats: NonNullable<Config['nats']> }> {
  const path = findConfig(flags, session);
  if (path === null) throw new CliError(EXIT.usage, 'usage', { cause: 'it is not said which installation', next: 'give --config countersign.yaml' });
  const { config } = await loadConfig({ path });
  if (config.nats === undefined) throw new CliError(EXIT.usage, 'no-bus', { cause: `${path} names no bus`, next: 'say nats: {servers: […], seed: FILE} there' });
  return { config, nats: config.nats };
}

const KEYS = 'countersign keygen nats   prints the public key';
const usage = (cause: string, next: string = KEYS): CliError => new CliError(EXIT.usage, 'usage', { cause, effect: 'Nothing was printed.', next });

async function accounts(session: Session, flags: NatsFlags): Promise<ExitCode> {
  const { config, nats } = await configured(session, flags);
  const own = publicKeyOf(readSecret(nats.seed, 'the nkey seed').trim());
  const sidecars = [...new Set([own, ...(flags.sidecar ?? [])])];
  const listeners = [...new Set(flags.listener ?? [])];
  const consoles = [...new Set(flags.console ?? [])];
  const workers = new Map<string, string[]>(overBus(config).map((id) => [id, []]));
  for (const given of flags.worker ?? []) {
    const [id = '', key = ''] = given.split('=');
    if (!executorIdSchema.safeParse(id).success || !PUBLIC_KEY.test(key)) throw usage(`${plain(given)} is not executor:<id>=U…`);
    const keys = workers.get(id);
    if (keys === undefined) throw usage(`${id} is no executor that is reached over the bus`, `${workers.size === 0 ? 'there is none' : `there are ${[...workers.keys()].join(', ')}`}: name it under executors, without a socket, or correct --worker`);
    if (!keys.includes(key)) keys.push(key);
  }
  const bad = [...sidecars, ...listeners, ...consoles].find((key) => !PUBLIC_KEY.test(key));
  if (bad !== undefined) throw usage(`${plain(bad)} is not U…`);
  const without = [...workers].filter(([, keys]) => keys.length === 0).map(([id]) => id);
  if (without.length > 0) throw usage(`no key is given for ${without.join(', ')}`, `--worker ${without[0]!}=U…`);
  mustBeApart([['a sidecar', sidecars], ...workers, ['a listener', listeners], ['a console', consoles]]);
  const text = formatAccounts({ sidecars, executors: workers, listeners, consoles });
  session.out.document({ accounts: text });
  for (const line of text.trimEnd().split('\n')) session.out.line(line);
  return EXIT.ok;
}

/** A key is one user of one account. @throws CliError `usage` */
function mustBeApart(groups: readonly (readonly [string, readonly string[]])[]): void {
  const whose = new Map<string, string>();
  for (const [who, keys] of groups) {
    for (const key of keys) {
      const other = whose.get(key);
      if (other !== undefined) throw usage(`${key} is the key of ${other} and of ${who}: whoever has it would be let into one account, and which is chance`, 'countersign keygen nats   makes another');
      whose.set(key, who);
    }
  }
}

async function setup(session: Session, flags: NatsFlags): Promise<ExitCode> {
  const replicas = flags.replicas === undefined ? undefined : flags.replicas === '1' ? 1 : flags.replicas === '3' ? 3 : null;
  if (replicas === null) throw new CliError(EXIT.usage, 'usage', { cause: '--replicas takes 1 or 3', effect: 'Nothing was done.' });
  const resultsBytes = flags.resultsMax === undefined ? undefined : parseSize(flags.resultsMax);
  const { config, nats } = await configured(session, flags);
  const bus = await openNatsBus(nats, { name: 'countersign nats setup', inboxPrefix: '_INBOX_setup', logger: QUIET });
  try {
    await untilUp(bus, nats.servers);
    const connection = bus.up();
    if (replicas === 3 && replicasOn(connection) === 1) {
      throw new CliError(EXIT.usage, 'usage', { cause: `--replicas 3 takes a cluster of three, and ${connection.getServer()} is alone`, effect: 'Nothing was done.', next: 'countersign nats setup   makes what one server can hold' });
    }
    const plan = planBus(overBus(config), replicas ?? replicasOn(connection), { replicas, resultsBytes });
    if (flags.diff === true) return tellDifferences(session, await compareBus(connection, plan));
    if (flags.dryRun === true) tell(session, await compareBus(connection, plan), true);
    else tell(session, await setUp(connection, plan), false);
    return EXIT.ok;
  } finally {
    await bus.close();
  }
}

/** @throws CliError `usage` */
function parseSize(text: string): number {
  const [, count, unit] = /^([1-9]\d{0,5})(MiB|GiB)$/.exec(text) ?? [];
  const bytes = Number(count) * 1024 ** (unit === 'GiB' ? 3 : 2);
  if (!(bytes >= RESULTS_BYTES_LEAST)) throw new CliError(EXIT.usage, 'usage', { cause: `--results-max takes a size such as 512MiB or 2GiB, of ${formatBytes(RESULTS_BYTES_LEAST)} or more`, effect: 'Nothing was done.' });
  return bytes;
}

/** @throws CliError `bus-refused` that says what was made and what was not */
async function setUp(connection: ReturnType<Bus['up']>, plan: BusPlan): Promise<Difference[]> {
  try {
    return await setUpBus(connection, plan);
  } catch (error) {
    if (!(error instanceof BusRefused)) throw error;
    const { done, refused } = error;
    const room = 'give JetStream of every server more room (max_file_store, a larger disk), or less to reports (--results-max 512MiB); --replicas 3 takes three servers';
    throw new CliError(EXIT.io, 'bus-refused', {
      cause: error.message,
      effect: `${done.length === 0 ? 'Nothing was changed' : `Made or changed: ${done.map(({ what }) => what).join(', ')}`}. As it was: ${refused.map(({ what }) => what).join(', ')}.`,
      next: `${refused.some(({ isFull }) => isFull) ? room : ANEW}, and run it again: what was done stays`,
    }, { cause: error });
  }
}

/** @throws CliError `unreachable` */
export async function untilUp(bus: Bus, servers: readonly string[]): Promise<void> {
  const deadline = AbortSignal.timeout(UP_MS);
  await new Promise<void>((done, failed) => {
    bus.onUp(() => done());
    deadline.addEventListener('abort', () => failed(new CliError(EXIT.io, 'unreachable', { cause: `no server of ${servers.join(', ')} lets us in`, effect: 'Nothing was done.', next: 'is it running, and does its configuration have the accounts?' })));
  });
}

function tell({ out }: Session, differences: readonly Difference[], isDry: boolean): void {
  out.document({ differences, done: !isDry });
  if (differences.length === 0) out.line('as it must be');
  for (const { what, change, fields } of differences) {
    out.line(`${isDry ? 'would ' : ''}${change} ${what}`);
    for (const { field, is, must } of fields) out.line(`  ${field}: ${JSON.stringify(is)} → ${JSON.stringify(must)}`);
  }
}

function tellDifferences({ out }: Session, differences: readonly Difference[]): ExitCode {
  out.document({ differences, done: false });
  if (differences.length === 0) out.line('as it must be');
  for (const { what, change, fields } of differences) {
    if (change === 'create') out.line(`${what}: is not there`);
    for (const { field, is, must } of fields) out.line(`${what}: ${field}: ${JSON.stringify(is)} → ${JSON.stringify(must)}`);
  }
  return differences.length === 0 ? EXIT.ok : EXIT.failed;
}
