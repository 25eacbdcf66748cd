/** Real nats-servers for tests: one alone, or three that are a cluster, with accounts for one sidecar and any number of executors. */
import { spawn } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { until } from '../../examples/demo/check.ts';
import { packageRoot } from '../../examples/demo/processes.ts';
import { layOutNats, type NatsNode, type NatsServers } from '../../examples/support/nats-servers.ts';
import { findProgram } from '../../examples/support/programs.ts';
import { newBusUser } from '../../src/transport/nats/bus-user.ts';
import { formatAccounts } from '../../src/transport/nats/server-config.ts';

export type { NatsNode };

const root = packageRoot(import.meta.dirname);

export function hasNats(): boolean {
  return findProgram(root, 'nats-server') !== null || process.env['CI'] === 'true';
}

export interface TestNats extends NatsServers {
  /** nkey seeds: of the sidecars, and by executor id. */
  readonly seeds: { readonly sidecar: string; readonly executors: ReadonlyMap<string, string>; readonly listener: string; readonly console: string; readonly otherConsole: string };
  /** Ended, and their files removed. */
  close(): Promise<void>;
}

/** Started, with JetStream ready. `size` 3: a cluster with a leader. @throws CheckFailed when it does not come up, with what its log says */
export async function testNats(executors: readonly string[], size: 1 | 3 = 1): Promise<TestNats> {
  const program = findProgram(root, 'nats-server');
  if (program === null) throw new Error('no nats-server on this machine, and CI requires one');
  const directory = await mkdtemp(join(tmpdir(), 'countersign-nats-'));
  const sidecar = newBusUser();
  const listener = newBusUser();
  const console = newBusUser();
  const otherConsole = newBusUser();
  const users = new Map(executors.map((id) => [id, newBusUser()]));
  const servers = await layOutNats({ program, directory, size, logs: join(directory, 'logs'), run: join(directory, 'run') });
  const close = async (): Promise<void> => {
    await servers.kill9();
    await rm(directory, { recursive: true, force: true });
  };
  try {
    await servers.start(formatAccounts({ sidecars: [sidecar.publicKey], executors: new Map([...users].map(([id, { publicKey }]) => [id, [publicKey]])), listeners: [listener.publicKey], consoles: [console.publicKey, otherConsole.publicKey] }));
  } catch (error) {
    await close();
    throw error;
  }
  return { ...servers, seeds: { sidecar: sidecar.seed, executors: new Map([...users].map(([id, { seed }]) => [id, seed])), listener: listener.seed, console: console.seed, otherConsole: otherConsole.seed }, close };
}

/** One server with a configuration of the test's own, whose port it chose itself. */
export async function loneNats(lines: readonly string[]): Promise<{ readonly url: string; close(): Promise<void> }> {
  const program = findProgram(root, 'nats-server');
  if (program === null) throw new Error('no nats-server on this machine');
  const directory = await mkdtemp(join(tmpdir(), 'countersign-lone-'));
  const config = join(directory, 'lone.conf');
  await writeFile(config, ['listen: "127.0.0.1:-1"', `ports_file_dir: "${directory}"`, ...lines.map((line) => line.replaceAll('STORE', join(directory, 'store'))), ''].join('\n'));
  const server = spawn(program, ['-c', config], { stdio: 'ignore' });
  const close = async (): Promise<void> => {
    const gone = server.exitCode === null ? new Promise((resolve) => server.once('exit', resolve)) : Promise.resolve();
    server.kill('SIGKILL');
    await gone;
    await rm(directory, { recursive: true, force: true });
  };
  try {
    const url = await until('the server says where it listens', async () => {
      const file = (await readdir(directory)).find((name) => name.endsWith('.ports'));
      if (file === undefined) return undefined;
      const text = await readFile(join(directory, file), 'utf8');
      return text === '' ? undefined : (JSON.parse(text) as { readonly nats: readonly string[] }).nats[0];
    }, { timeoutMs: 20_000 });
    return { url, close };
  } catch (error) {
    await close();
    throw error;
  }
}
