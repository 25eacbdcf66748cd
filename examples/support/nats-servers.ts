/**
 * Real nats-servers of one cluster, or one alone: JetStream that syncs before it acknowledges, each with a store and a log of its own, and
 * the accounts that keep executors apart. They can be killed and started again where they were.
 */
import { mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { join } from 'node:path';
import { CheckFailed, until } from '../demo/check.ts';
import { startProgram, type Running } from '../demo/processes.ts';
import { freePorts } from './free-port.ts';

export interface NatsNode {
  readonly name: string;
  /** Where clients connect. */
  readonly url: string;
  /** Its monitoring: `/healthz`, `/varz`, `/jsz`. */
  readonly monitor: string;
  /** Its JetStream store. */
  readonly store: string;
  isUp(): boolean;
  /** Whether JetStream is ready for everything that it has. */
  isHealthy(): Promise<boolean>;
  /** Its process. @throws Error while it is not up */
  readonly pid: number;
  /**
   * Starts it where it was, and waits until JetStream has a leader for everything it knows: two of three must be up for that.
   *
   * @throws CheckFailed when that takes more than a minute, or it ends
   */
  start(): Promise<void>;
  kill9(): Promise<void>;
  stop(): Promise<void>;
}

export interface NatsServers {
  readonly urls: readonly string[];
  readonly nodes: readonly NatsNode[];
  /** All that are not up, at once. `accounts`: what `countersign nats accounts` prints, needed before the first start. */
  start(accounts?: string): Promise<void>;
  stop(): Promise<void>;
  kill9(): Promise<void>;
}

export interface NatsServersOptions {
  /** Of nats-server, 2.15 or later. */
  readonly program: string;
  /** Takes configurations and stores. */
  readonly directory: string;
  readonly size: 1 | 3;
  readonly logs: string;
  /** Takes process ids. */
  readonly run: string;
}

const READY_MS = 60_000;
const ANSWER_MS = 3_000;
const ACCOUNTS = 'accounts.conf';

/** Chooses ports and writes configurations; nothing is started. */
export async function layOutNats({ program, directory, size, logs, run }: NatsServersOptions): Promise<NatsServers> {
  mkdirSync(directory, { recursive: true });
  const free = await freePorts(3 * size);
  const ports = Array.from({ length: size }, (_, n) => ({ client: free[3 * n]!, monitor: free[3 * n + 1]!, route: free[3 * n + 2]! }));
  const routes = ports.map(({ route }) => `"nats://127.0.0.1:${route}"`).join(', ');
  const nodes = ports.map(({ client, monitor, route }, index): NatsNode => {
    const name = `nats-${index + 1}`;
    const store = join(directory, name);
    const config = join(directory, `${name}.conf`);
    // Clients are told of no other server than those they are configured with: who stands between them and a server must not be gone round.
    const cluster = size === 1 ? [] : ['cluster {', '  name: countersign', `  listen: "127.0.0.1:${route}"`, `  routes: [${routes}]`, '  no_advertise: true', '}'];
    writeFileSync(config, [
      `server_name: ${name}`, `listen: "127.0.0.1:${client}"`, `http: "127.0.0.1:${monitor}"`,
      'jetstream {', `  store_dir: "${store}"`, '  sync_interval: always', '  strict: true', '}', ...cluster, `include ${ACCOUNTS}`, '',
    ].join('\n'));
    return nodeOf({ program, name, config, store, client, monitor, logs, run });
  });
  const all = async (act: (node: NatsNode) => Promise<void>): Promise<void> => {
    await Promise.all(nodes.map(act));
  };
  return {
    urls: nodes.map(({ url }) => url), nodes,
    async start(accounts) {
      if (accounts !== undefined) writeFileSync(join(directory, ACCOUNTS), accounts, { mode: 0o600 });
      await all((node) => (node.isUp() ? Promise.resolve() : node.start()));
    },
    stop: () => all((node) => node.stop()),
    kill9: () => all((node) => node.kill9()),
  };
}

interface NodeOptions extends Pick<NatsServersOptions, 'program' | 'logs' | 'run'> {
  readonly name: string;
  readonly config: string;
  readonly store: string;
  readonly client: number;
  readonly monitor: number;
}

function nodeOf({ program, name, config, store, client, monitor, logs, run }: NodeOptions): NatsNode {
  const log = join(logs, `${name}.log`);
  const monitorUrl = `http://127.0.0.1:${monitor}`;
  let running: Running | null = null;
  // It must not outlive whoever started it by more than a kill -9; then the next start ends it.
  const endWithUs = (): void => {
    if (running?.isAlive() === true) process.kill(running.pid, 'SIGKILL');
  };
  const isHealthy = async (): Promise<boolean> => (await fetch(`${monitorUrl}/healthz`, { signal: AbortSignal.timeout(ANSWER_MS) }).catch(() => null))?.ok === true;
  const sizeOf = (): number => statSync(log, { throwIfNoEntry: false })?.size ?? 0;
  const ended = (end: (one: Running) => Promise<void>) => async (): Promise<void> => {
    process.off('exit', endWithUs);
    if (running?.isAlive() === true) await end(running);
  };
  return {
    name, url: `nats://127.0.0.1:${client}`, monitor: monitorUrl, store, isHealthy,
    isUp: () => running?.isAlive() === true,
    get pid() {
      if (running?.isAlive() !== true) throw new Error(`${name} is not up`);
      return running.pid;
    },
    async start() {
      const from = sizeOf();
      const starting = (): Running => startProgram(program, { name, args: ['-c', config], logs, run });
      running = starting();
      process.once('exit', endWithUs);
      const said = (): string => readFileSync(log).subarray(from).toString('utf8').slice(-1_000);
      await until(`${name} is ready (its log is ${log})`, async () => {
        if (running?.isAlive() === false) {
          // Its port was free, and somebody else has it for a moment.
          if (!said().includes('address already in use')) throw new CheckFailed(`${name} goes on running`, said());
          await delay(200);
          running = starting();
        }
        if (!(await isHealthy())) throw new Error(said());
        return true;
      }, { timeoutMs: READY_MS });
    },
    kill9: ended((one) => one.kill9()),
    stop: ended((one) => one.stop()),
  };
}

/** What a server keeps, gone, as with its disk. It is down. */
export function wipe({ store }: NatsNode): void {
  rmSync(store, { recursive: true, force: true });
}
