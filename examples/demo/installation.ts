/**
 * One installation, as `countersign init` lays it out, and its two processes: started, killed and asked. Nothing here decides anything.
 */
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect as connectSocket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { EXAMPLE_PRINCIPALS, exampleFacts, layOut, type Principal as Role } from '../../src/cli/init.ts';
import { connect, type Client } from '../../src/client/index.ts';
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
  /** The executor's lease book. */
  readonly executorState: string;
  readonly logs: string;
  /** Ids of the processes. */
  readonly run: string;
  readonly socket: string;
  readonly executorSocket: string;
  /** The built `countersign`. */
  readonly cli: string;
}

/** A client of the sidecar, and who it speaks for. */
export type Principal = Client & { readonly principal: string };

export interface Installation {
  readonly paths: Paths;
  as(principal: string): Principal;
  /** For what is not this client: a command of its own. */
  tokenOf(principal: string): string;
  /** Starts it and waits until it is ready, or, with `ready: false`, until it answers at all. */
  startSidecar(options?: { readonly env?: Readonly<Record<string, string>>; readonly ready?: boolean }): Promise<Running>;
  startExecutor(): Promise<Running>;
  /** The one that was started last. @throws Error before that */
  readonly sidecar: Running;
  readonly executor: Running;
  /** Ends both, in order, and what else was made outside the directory. */
  stop(): Promise<void>;
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
}

/** Names of the processes' logs and of the files with their ids. */
export const PROCESSES = ['executor', 'sidecar'] as const;

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
  const { root, directory, server, readyMs = 30_000 } = options;
  const run = join(directory, 'run');
  const sockets = Buffer.byteLength(run) <= SOCKET_DIRECTORY_BYTES_MAX ? run : mkdtempSync(join(tmpdir(), 'countersign-'));
  const layout = layOut({
    directory, origin: options.origin, randomBytes: options.randomBytes, operator: 'person:sam', principals: PRINCIPALS, facts: exampleFacts(), executorId: 'executor:main', sockets,
    connectors: {
      'pg-main': { kind: 'postgres', host: server.host, port: server.port, database: DATABASE, user: server.adminUser, passwordFile: 'secrets/postgres.password' },
    },
    config: { data: '.', ...options.config },
  });
  writeFileSync(join(directory, 'secrets', 'postgres.password'), `${server.adminPassword}\n`, { mode: 0o600 });
  copyFileSync(join(layout.trust, 'trust.policy'), join(directory, 'trust.policy'));
  const at = (...names: string[]): string => join(directory, ...names);
  const paths: Paths = {
    directory, ledger: at('ledger'), journal: at('journal'), trust: layout.trust, trustPolicy: at('trust.policy'), logVkey: at('log.vkey'), tokens: at('tokens.txt'),
    revokerKey: layout.revokerKey, config: layout.config, executorConfig: layout.executorConfig, executorState: at('executor'), logs: at('logs'), run,
    socket: layout.socket, executorSocket: layout.executorSocket, cli: join(root, 'dist', 'src', 'main.js'),
  };
  if (options.calendar !== undefined) writeFileSync(at('facts', 'calendar.yaml'), options.calendar);
  if (options.webhookSecret !== undefined) writeFileSync(at('secrets', 'demo.whsec'), `${options.webhookSecret}\n`, { mode: 0o600 });
  const tokenOf = (principal: string): string => {
    const token = layout.tokens.get(principal);
    check(`${principal} has a token`, token !== undefined, [...layout.tokens.keys()]);
    return token;
  };
  const as = (principal: string): Principal => ({ ...connect({ socket: layout.socket, token: tokenOf(principal) }), principal });
  const started = new Map<(typeof PROCESSES)[number], Running>();
  const start = async (name: (typeof PROCESSES)[number], args: readonly string[], env: Readonly<Record<string, string>>, isReady: () => Promise<boolean>): Promise<Running> => {
    const process = startNode({ name, args: [paths.cli, ...args], logs: paths.logs, run, env });
    started.set(name, process);
    await until(`the ${name} is ready (its log is ${join(paths.logs, name)}.log)`, async () => {
      check(`the ${name} goes on running`, process.isAlive(), `it has ended: see ${join(paths.logs, name)}.log`);
      return (await isReady()) ? true : undefined;
    }, { timeoutMs: readyMs });
    return process;
  };
  const running = (name: (typeof PROCESSES)[number]): Running => {
    const process = started.get(name);
    if (process === undefined) throw new Error(`no ${name} was started`);
    return process;
  };

  return {
    paths, as, tokenOf,
    startExecutor: () => start('executor', ['worker', '--config', paths.executorConfig], {}, () => accepts(paths.executorSocket)),
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
      await started.get('executor')?.stop();
      if (sockets !== run) rmSync(sockets, { recursive: true, force: true });
    },
  };
}

/** Whether somebody listens at a unix socket. */
function accepts(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connectSocket(path);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
