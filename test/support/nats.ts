/** Real nats-servers: one alone, or three that are a cluster, each with accounts and a store of its own. */
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execFileSync } from 'node:child_process';
import { newBusUser } from '../../src/transport/nats/bus-user.ts';
import { formatAccounts } from '../../src/transport/nats/server-config.ts';

export function hasNats(): boolean {
  try {
    execFileSync('nats-server', ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    return process.env['CI'] === 'true';
  }
}

export interface NatsNode {
  readonly url: string;
  readonly store: string;
  isUp(): boolean;
  start(): Promise<void>;
  kill9(): Promise<void>;
}

export interface TestNats {
  readonly urls: readonly string[];
  readonly nodes: readonly NatsNode[];
  /** nkey seeds: of the sidecars, and by executor id. */
  readonly seeds: { readonly sidecar: string; readonly executors: ReadonlyMap<string, string>; readonly listener: string };
  close(): Promise<void>;
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise<void>((resolve) => server.close(() => resolve()));
  return port;
}

/** Started, with JetStream ready. `size` 3: a cluster with a leader. */
export async function testNats(executors: readonly string[], size: 1 | 3 = 1): Promise<TestNats> {
  const directory = await mkdtemp(join(tmpdir(), 'countersign-nats-'));
  const sidecar = newBusUser();
  const listener = newBusUser();
  const users = new Map(executors.map((id) => [id, newBusUser()]));
  const accounts = formatAccounts({ sidecars: [sidecar.publicKey], executors: new Map([...users].map(([id, { publicKey }]) => [id, [publicKey]])), listeners: [listener.publicKey] });
  const ports = await Promise.all(Array.from({ length: size }, async () => ({ client: await freePort(), monitor: await freePort(), route: await freePort() })));
  const nodes: Node[] = [];
  for (const [index, port] of ports.entries()) {
    const store = join(directory, `n${index + 1}`);
    await mkdir(store);
    const config = join(directory, `n${index + 1}.conf`);
    const cluster = size === 1 ? [] : ['cluster {', '  name: cs', `  listen: "127.0.0.1:${port.route}"`, `  routes: [${ports.map(({ route }) => `"nats://127.0.0.1:${route}"`).join(', ')}]`, '}'];
    await writeFile(config, [
      `server_name: n${index + 1}`, `listen: "127.0.0.1:${port.client}"`, `http: "127.0.0.1:${port.monitor}"`,
      'jetstream {', `  store_dir: "${store}"`, '  sync_interval: always', '  strict: true', '}', ...cluster, accounts,
    ].join('\n'));
    nodes.push(nodeOf(config, store, port.client, port.monitor));
  }
  const close = async (): Promise<void> => {
    await Promise.all(nodes.map((node) => node.kill9()));
    await rm(directory, { recursive: true, force: true });
  };
  try {
    await Promise.all(nodes.map((node) => node.start()));
  } catch (error) {
    await close();
    throw error;
  }
  return { urls: nodes.map(({ url }) => url), nodes, seeds: { sidecar: sidecar.seed, executors: new Map([...users].map(([id, { seed }]) => [id, seed])), listener: listener.seed }, close };
}

type Node = NatsNode;

function nodeOf(config: string, store: string, client: number, monitor: number): Node {
  let child: ChildProcess | null = null;
  let output = '';
  const isReady = async (): Promise<boolean> => {
    const answer = await fetch(`http://127.0.0.1:${monitor}/healthz`).catch(() => null);
    return answer?.ok === true;
  };
  return {
    url: `nats://127.0.0.1:${client}`, store,
    isUp: () => child !== null && child.exitCode === null && child.signalCode === null,
    async start() {
      const started = spawn('nats-server', ['-c', config], { stdio: ['ignore', 'pipe', 'pipe'] });
      child = started;
      for (const stream of [started.stdout, started.stderr]) stream.on('data', (data: Buffer) => (output = (output + data.toString()).slice(-4_000)));
      const deadline = performance.now() + 30_000;
      while (!(await isReady())) {
        if (started.exitCode !== null || performance.now() > deadline) throw new Error(`nats-server did not start: ${output}`);
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    },
    async kill9() {
      const running = child;
      if (running === null || running.exitCode !== null || running.signalCode !== null) return;
      const gone = new Promise((resolve) => running.once('exit', resolve));
      running.kill('SIGKILL');
      await gone;
    },
  };
}
