/**
 * One installation, as `countersign init` lays it out, and its processes: started, killed and asked. Nothing here decides anything.
 *
 * Sidecar and executor meet at a socket; or, with a bus, on that alone, and then each executor has two workers.
 */
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect as connectSocket } from 'node:net';
import { tmpdir } from 'node:os';
import { isAbsolute, join, relative } from 'node:path';
import { parse, stringify } from 'yaml';
import { generateSignerKey } from '../../ledger/index.ts';
import { EXAMPLE_PRINCIPALS, exampleFacts, layOut, type Principal as Role } from '../../src/cli/init.ts';
import { connect, type Client } from '../../src/client/index.ts';
import type { Ask } from './asking.ts';
import { check, until } from './check.ts';
import { DATABASE, type Server } from './database.ts';
import { startNode, type Running } from './processes.ts';

export interface Paths {
  readonly directory: string;
  /** What verification needs, and nothing else. */
  readonly ledger: string;
  readonly journal: string;
  readonly trust: string;
  readonly trustPolicy: string;
  readonly logVkey: string;
  readonly tokens: string;
  readonly revokerKey: string;
  readonly config: string;
  readonly executorConfig: string;
  /** The executor's lease book: its first worker's. */
  readonly executorState: string;
  readonly logs: string;
  /** Ids of the processes. */
  readonly run: string;
  readonly socket: string;
  readonly executorSocket: string;
  /** The built `countersign`. */
  readonly cli: string;
}

/** A client of the sidecar, and who it speaks for. `ask`: she is asked before she approves. */
export type Principal = Client & { readonly principal: string; readonly ask: Ask | null };

export interface Installation {
  readonly paths: Paths;
  as(principal: string): Principal;
  /** For what is not this client: a command of its own. */
  tokenOf(principal: string): string;
  /** Starts it and waits until it is ready, or, with `ready: false`, until it answers at all. */
  startSidecar(options?: { readonly env?: Readonly<Record<string, string>>; readonly ready?: boolean }): Promise<Running>;
  /** The first worker of the first executor, which without a bus is the only one. */
  startExecutor(): Promise<Running>;
  /** The one that was started last. @throws Error before that */
  readonly sidecar: Running;
  readonly executor: Running;
  /** Every worker of every executor, two of each over a bus. */
  readonly workers: readonly WorkerProcess[];
  /** Ends all, the sidecar first, and what else was made outside the directory. */
  stop(): Promise<void>;
}

/** A worker's place, whether or not its process runs. */
export interface WorkerProcess {
  /** Of its log. */
  readonly name: string;
  readonly executorId: string;
  readonly config: string;
  /** The directory of its lease book. */
  readonly state: string;
  readonly socket: string;
  start(): Promise<Running>;
  /** The one that was started last. @throws Error before that */
  readonly running: Running;
}

export interface ExecutorOptions {
  readonly id: string;
  /** By connector id, as executor.yaml says it. */
  readonly connectors: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  /** On a bus, its workers' nkey seed. */
  readonly seed?: string;
}

/** How sidecar and workers reach the bus; each may have a way of its own. */
export interface InstallBus {
  readonly servers: readonly string[];
  /** The sidecar's nkey seed. */
  readonly seed: string;
  /** Instead of `servers`, for the first and the second worker. */
  readonly workerServers?: readonly (readonly string[])[];
}

export interface InstallOptions {
  /** The package, built. */
  readonly root: string;
  /** Absent or empty. */
  readonly directory: string;
  readonly origin: string;
  readonly server: Server;
  readonly randomBytes: (length: number) => Uint8Array;
  /** Added to countersign.yaml. */
  readonly config?: Readonly<Record<string, unknown>>;
  /** A calendar file, as YAML; left out: none is kept. */
  readonly calendar?: string;
  /** Of the webhook `demo` in the configuration: `whsec_…`. */
  readonly webhookSecret?: string;
  /** How long starting may take on a slow machine, in ms. */
  readonly readyMs?: number;
  readonly bus?: InstallBus;
  /** Asks whoever is to approve. Left out: nobody is asked. */
  readonly ask?: Ask;
  /** More than one only over a bus. Left out: `executor:main`, for the database. */
  readonly executors?: readonly [ExecutorOptions, ...ExecutorOptions[]];
}

/** The connector of the demo's database. Its password is in the installation's secrets. */
export function databaseConnector({ host, port, adminUser }: Server): Readonly<Record<string, unknown>> {
  return { kind: 'postgres', host, port, database: DATABASE, user: adminUser, passwordFile: 'secrets/postgres.password' };
}

/** Who acts in the demo beside the example's own cast: the partner's warehouse, and the owner under her second account. */
const PRINCIPALS: readonly Role[] = [
  ...EXAMPLE_PRINCIPALS,
  { principal: 'nhi:prod/warehouse-sync', roles: ['caller'] },
  { principal: 'nhi:prod/orders-api', roles: ['caller'] },
  { principal: 'nhi:prod/freight-sync', roles: ['caller'] },
  { principal: 'person:ana-adm', roles: ['approver', 'caller'] },
];

/** The longest path of a unix socket, less the longest name of one here. */
const SOCKET_DIRECTORY_BYTES_MAX = 103 - '/countersign.sock'.length;

/** Lays out an installation with `ledger/` right below its directory. Nothing is started. */
export function install(options: InstallOptions): Installation {
  const { root, directory, server, bus, readyMs = 30_000 } = options;
  const executors = options.executors ?? [{ id: 'executor:main', connectors: { 'pg-main': databaseConnector(server) } }];
  const [first, ...more] = executors;
  const run = join(directory, 'run');
  const sockets = Buffer.byteLength(run) <= SOCKET_DIRECTORY_BYTES_MAX ? run : mkdtempSync(join(tmpdir(), 'countersign-'));
  const layout = layOut({
    directory, origin: options.origin, randomBytes: options.randomBytes, operator: 'person:sam', principals: PRINCIPALS, facts: exampleFacts(), executorId: first.id, sockets,
    connectors: first.connectors,
    config: {
      data: '.',
      ...(bus === undefined ? {} : { nats: { servers: [...bus.servers], seed: 'keys/nats.seed' }, executors: executors.map(({ id, connectors }) => ({ id, connectors: Object.keys(connectors) })) }),
      ...options.config,
    },
  });
  const at = (...names: string[]): string => join(directory, ...names);
  writeFileSync(at('secrets', 'postgres.password'), `${server.adminPassword}\n`, { mode: 0o600 });
  copyFileSync(join(layout.trust, 'trust.policy'), at('trust.policy'));
  const paths: Paths = {
    directory, ledger: at('ledger'), journal: at('journal'), trust: layout.trust, trustPolicy: at('trust.policy'), logVkey: at('log.vkey'), tokens: at('tokens.txt'),
    revokerKey: layout.revokerKey, config: layout.config, executorConfig: layout.executorConfig, executorState: at('executor'), logs: at('logs'), run,
    socket: layout.socket, executorSocket: layout.executorSocket, cli: join(root, 'dist', 'src', 'main.js'),
  };
  if (options.calendar !== undefined) writeFileSync(at('facts', 'calendar.yaml'), options.calendar);
  if (options.webhookSecret !== undefined) writeFileSync(at('secrets', 'demo.whsec'), `${options.webhookSecret}\n`, { mode: 0o600 });
  for (const executor of more) addExecutor(executor, paths, sockets, options.randomBytes);
  if (bus !== undefined) writeFileSync(at('keys', 'nats.seed'), `${bus.seed}\n`, { mode: 0o600 });

  const tokenOf = (principal: string): string => {
    const token = layout.tokens.get(principal);
    check(`${principal} has a token`, token !== undefined, [...layout.tokens.keys()]);
    return token;
  };
  const as = (principal: string): Principal => ({ ...connect({ socket: layout.socket, token: tokenOf(principal) }), principal, ask: options.ask ?? null });
  const started = new Map<string, Running>();
  const start = async (name: string, args: readonly string[], env: Readonly<Record<string, string>>, isReady: () => Promise<boolean>): Promise<Running> => {
    const process = startNode({ name, args: [paths.cli, ...args], logs: paths.logs, run, env });
    started.set(name, process);
    await until(`the ${name} is ready (its log is ${join(paths.logs, name)}.log)`, async () => {
      check(`the ${name} goes on running`, process.isAlive(), `it has ended: see ${join(paths.logs, name)}.log`);
      return (await isReady()) ? true : undefined;
    }, { timeoutMs: readyMs });
    return process;
  };
  const running = (name: string): Running => {
    const process = started.get(name);
    if (process === undefined) throw new Error(`no ${name} was started`);
    return process;
  };
  const workers = executors.flatMap((executor, index) => {
    const named = index === 0 ? 'executor' : nameOf(executor);
    const layouts = bus === undefined ? [{ name: named, config: at(`${named}.yaml`) }] : layOutWorkers(executor, named, paths, sockets, bus);
    return layouts.map(({ name, config }): WorkerProcess => {
      const { state, socket } = parse(readFileSync(config, 'utf8')) as { readonly state: string; readonly socket: string };
      const listening = isAbsolute(socket) ? socket : at(socket);
      return {
        name, executorId: executor.id, config, state: at(state), socket: listening,
        start: () => start(name, ['worker', '--config', config], {}, () => accepts(listening)),
        get running() {
          return running(name);
        },
      };
    });
  });

  return {
    paths, as, tokenOf, workers,
    startExecutor: () => workers[0]!.start(),
    startSidecar: ({ env = {}, ready: wanted = true } = {}) =>
      start('sidecar', ['serve', '--config', paths.config], env, async () => (await as('person:sam').ready()).ready || !wanted),
    get sidecar() {
      return running('sidecar');
    },
    get executor() {
      return running('executor');
    },
    async stop() {
      await started.get('sidecar')?.stop();
      await Promise.all(workers.map(async ({ name }) => started.get(name)?.stop()));
      if (sockets !== run) rmSync(sockets, { recursive: true, force: true });
    },
  };
}

/** As a configuration says it: from its own directory, where it is inside. */
function socketIn(sockets: string, directory: string, name: string): string {
  const local = relative(directory, join(sockets, `${name}.sock`));
  return local.startsWith('..') ? join(sockets, `${name}.sock`) : local;
}

const nameOf = ({ id }: ExecutorOptions): string => id.slice('executor:'.length);

/** Another executor beside the one that `init` makes: a key of its own, trusted as the first is, and a configuration. */
function addExecutor(executor: ExecutorOptions, { directory, trust }: Paths, sockets: string, randomBytes: InstallOptions['randomBytes']): void {
  const name = nameOf(executor);
  const { skey, vkey } = generateSignerKey(executor.id, randomBytes(32));
  writeFileSync(join(directory, 'keys', `${name}.key`), `${skey}\n`, { mode: 0o600 });
  mkdirSync(join(directory, name), { mode: 0o700 });
  const known = JSON.parse(readFileSync(join(trust, 'executors.json'), 'utf8')) as unknown[];
  const connectors = Object.keys(executor.connectors);
  writeFileSync(join(trust, 'executors.json'), `${JSON.stringify([...known, { id: executor.id, key: vkey, connectors }], null, 2)}\n`);
  writeFileSync(join(directory, `${name}.yaml`), stringify({
    id: executor.id, socket: socketIn(sockets, directory, name), key: `keys/${name}.key`, trust: 'trust', state: name, fingerprintKey: 'keys/fingerprint.key', connectors: executor.connectors,
  }));
}

/** Two workers of one executor: key, trust and seed in common; a lease book, a socket and a configuration for each. */
function layOutWorkers(executor: ExecutorOptions, named: string, { directory }: Paths, sockets: string, bus: InstallBus): { readonly name: string; readonly config: string }[] {
  if (executor.seed === undefined) throw new Error(`${executor.id} has no seed for the bus`);
  const seed = `keys/nats-${nameOf(executor)}.seed`;
  writeFileSync(join(directory, seed), `${executor.seed}\n`, { mode: 0o600 });
  const common = parse(readFileSync(join(directory, `${named}.yaml`), 'utf8')) as Readonly<Record<string, unknown>>;
  return [named, `${named}-2`].map((name, index) => {
    const config = join(directory, `${name}.yaml`);
    const own = index === 0 ? {} : { state: name, socket: socketIn(sockets, directory, name) };
    writeFileSync(config, stringify({ ...common, ...own, nats: { servers: [...(bus.workerServers?.[index] ?? bus.servers)], seed } }));
    return { name, config };
  });
}

/** Whether somebody listens at a unix socket. */
export function accepts(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connectSocket(path);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
