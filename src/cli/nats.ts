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
import { compareBus, planBus, setUpBus, type Difference } from '../transport/nats/bus-setup.ts';
import type { Bus } from '../transport/nats/connection.ts';
import { publicKeyOf } from '../transport/nats/bus-user.ts';
import { formatAccounts } from '../transport/nats/server-config.ts';
import { findConfig, type ConnectFlags } from './connect.ts';
import { CliError, EXIT, type ExitCode } from './exit.ts';
import { readSecret } from './files.ts';
import { plain } from './output.ts';
import { QUIET } from './quiet.ts';
import type { Runner } from './runner.ts';
import type { Session } from './world.ts';

interface NatsFlags extends Pick<ConnectFlags, 'config'> {
  readonly dryRun?: boolean;
  readonly replicas: string;
  readonly worker?: readonly string[];
  readonly listener?: readonly string[];
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
    .option('--listener <key...>', 'the public nkey (U…) of who may hear what happens, and nothing else')
    .action(run(accounts));
  config(nats.command('setup'))
    .description('make the streams and consumers that are not there, and bring those that are to what they must be; what is in them stays')
    .option('--replicas <n>', '3 on a cluster', '1')
    .option('--dry-run', 'only say what would be done')
    .action(run(setup));
}

async function configured(session: Session, flags: NatsFlags): Promise<{ readonly config: Config; readonly nats: NonNullable<Config['nats']> }> {
  const path = findConfig(flags, session);
  if (path === null) throw new CliError(EXIT.usage, 'usage', { cause: 'it is not said which installation', next: 'give --config countersign.yaml' });
  const { config } = await loadConfig({ path });
  if (config.nats === undefined) throw new CliError(EXIT.usage, 'no-bus', { cause: `${path} names no bus`, next: 'say nats: {servers: […], seed: FILE} there' });
  return { config, nats: config.nats };
}

async function accounts(session: Session, flags: NatsFlags): Promise<ExitCode> {
  const { config, nats } = await configured(session, flags);
  const workers = new Map<string, string[]>(overBus(config).map((id) => [id, []]));
  for (const given of flags.worker ?? []) {
    const [id = '', key = ''] = given.split('=');
    if (!executorIdSchema.safeParse(id).success || !PUBLIC_KEY.test(key)) throw new CliError(EXIT.usage, 'usage', { cause: `${plain(given)} is not executor:<id>=U…`, next: 'countersign keygen nats   prints the public key' });
    workers.set(id, [...(workers.get(id) ?? []), key]);
  }
  const listeners = [...(flags.listener ?? [])];
  const bad = listeners.find((key) => !PUBLIC_KEY.test(key));
  if (bad !== undefined) throw new CliError(EXIT.usage, 'usage', { cause: `${plain(bad)} is not U…`, next: 'countersign keygen nats   prints the public key' });
  const without = [...workers].filter(([, keys]) => keys.length === 0).map(([id]) => id);
  if (without.length > 0) throw new CliError(EXIT.usage, 'usage', { cause: `no key is given for ${without.join(', ')}`, next: `--worker ${without[0]!}=U…` });
  const text = formatAccounts({ sidecars: [publicKeyOf(readSecret(nats.seed, 'the nkey seed').trim())], executors: workers, listeners });
  session.out.document({ accounts: text });
  for (const line of text.trimEnd().split('\n')) session.out.line(line);
  return EXIT.ok;
}

async function setup(session: Session, flags: NatsFlags): Promise<ExitCode> {
  const { config, nats } = await configured(session, flags);
  if (flags.replicas !== '1' && flags.replicas !== '3') throw new CliError(EXIT.usage, 'usage', { cause: '--replicas takes 1 or 3', effect: 'Nothing was done.' });
  const bus = await openNatsBus(nats, { name: 'countersign nats setup', inboxPrefix: '_INBOX_setup', logger: QUIET });
  try {
    await untilUp(bus, nats.servers);
    const plan = planBus(overBus(config), flags.replicas === '3' ? 3 : 1);
    const differences = flags.dryRun === true ? await compareBus(bus.up(), plan) : await setUpBus(bus.up(), plan);
    tell(session, differences, flags.dryRun === true);
    return EXIT.ok;
  } finally {
    await bus.close();
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

