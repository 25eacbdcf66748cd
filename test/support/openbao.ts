/** Real OpenBao servers for tests, in memory, each on a port of its own. */
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { packageRoot } from '../../examples/demo/processes.ts';
import { freePort } from '../../examples/support/free-port.ts';
import { findProgram } from '../../examples/support/programs.ts';

/** Whether a missing server fails the run instead of skipping its tests. */
const REQUIRED = process.env['CI'] === 'true' || process.env['COUNTERSIGN_REQUIRE'] === 'all';

/** The server's program; null, and said so on stderr, where there is none and none is required. */
export function openbaoProgram(): string | null {
  const program = findProgram(packageRoot(import.meta.dirname), 'bao');
  if (program !== null) return program;
  if (REQUIRED) throw new Error('no OpenBao on this machine, and CI requires one');
  process.stderr.write('SKIPPED: no OpenBao on this machine; the OpenBao connector was not tested\n');
  return null;
}

export interface BaoAnswer {
  readonly status: number;
  readonly data: Record<string, unknown>;
  readonly auth: { readonly client_token: string; readonly accessor: string; readonly policies: readonly string[]; readonly entity_id: string } | null;
  readonly errors: readonly string[];
}

export interface TestOpenBao {
  readonly address: string;
  readonly port: number;
  readonly rootToken: string;
  /** Whatever it wrote to its own log, and its audit log. */
  logs(): string;
  /** An answer to the request, as the administrator unless `token` says otherwise. */
  call(method: 'GET' | 'POST' | 'LIST' | 'DELETE', path: string, body?: unknown, token?: string): Promise<BaoAnswer>;
  /** Stopped, and its files removed. */
  remove(): Promise<void>;
}

/** A server of its own, with AppRole mounted and an audit log; in memory, for as long as it runs. */
export async function testOpenBao(program: string): Promise<TestOpenBao> {
  const directory = mkdtempSync(join(tmpdir(), 'countersign-bao-'));
  const rootToken = `root-canary-${String(process.pid)}`;
  const auditLog = join(directory, 'audit.log');
  for (let attempt = 1; ; attempt += 1) {
    const port = await freePort();
    // OpenBao takes audit devices from its configuration alone.
    const config = join(directory, 'audit.hcl');
    writeConfig(config, auditLog);
    const server = startProgram(program, directory, ['-dev', `-dev-listen-address=127.0.0.1:${String(port)}`, '-dev-no-store-token', `-config=${config}`], { BAO_DEV_ROOT_TOKEN_ID: rootToken });
    const address = `http://127.0.0.1:${String(port)}`;
    const call = callsTo(address, rootToken);
    if (await isReady(address, server.hasEnded)) {
      const mounted = await call('POST', 'sys/auth/approle', { type: 'approle' });
      if (mounted.status !== 204) throw new Error(`AppRole could not be mounted: ${mounted.errors.join('; ')}`);
      return {
        address, port, rootToken, call,
        logs: () => server.said() + (existsSync(auditLog) ? readFileSync(auditLog, 'utf8') : ''),
        async remove() {
          await server.kill();
          rmSync(directory, { recursive: true, force: true });
        },
      };
    }
    await server.kill();
    // Somebody else may have taken the port in between.
    if (attempt === 3) throw new Error(`OpenBao did not start: ${server.said().slice(-2_000)}`);
  }
}

export interface LastingOpenBao extends TestOpenBao {
  /** Ended as by a crash, started again on its port with what it had kept, and unsealed. */
  restart(): Promise<void>;
}

/** The same on disk, as it is run where it matters: initialised, and unsealed at each start. */
export async function lastingOpenBao(program: string): Promise<LastingOpenBao> {
  const directory = mkdtempSync(join(tmpdir(), 'countersign-bao-'));
  const config = join(directory, 'server.hcl');
  const data = join(directory, 'data');
  mkdirSync(data);
  const port = await freePort();
  const address = `http://127.0.0.1:${String(port)}`;
  writeFileSync(config, [
    `storage "raft" {\n  path = ${JSON.stringify(data)}\n  node_id = "one"\n  performance_multiplier = 1\n}`, `listener "tcp" {\n  address = "127.0.0.1:${String(port)}"\n  tls_disable = true\n}`,
    `api_addr = ${JSON.stringify(address)}`, `cluster_addr = "http://127.0.0.1:${String(await freePort())}"`, '',
  ].join('\n'));
  const start = (): Program => startProgram(program, directory, [`-config=${config}`], {});
  let server = start();
  const post = async (path: string, body: unknown): Promise<Record<string, unknown>> => (await fetch(`${address}/v1/${path}`, { method: 'POST', body: JSON.stringify(body) })).json() as Promise<Record<string, unknown>>;
  // 501: not initialised; 503: sealed; 200: at work.
  const awaitHealth = async (status: number): Promise<void> => {
    if (await isReady(address, server.hasEnded, status)) return;
    await server.kill();
    throw new Error(`OpenBao did not start: ${server.said().slice(-2_000)}`);
  };
  await awaitHealth(501);
  const { keys, root_token: rootToken } = (await post('sys/init', { secret_shares: 1, secret_threshold: 1 })) as { keys: string[]; root_token: string };
  const call = callsTo(address, rootToken);
  const unseal = async (): Promise<void> => {
    await awaitHealth(503);
    await post('sys/unseal', { key: keys[0] });
    await awaitHealth(200);
  };
  // Mounts are made ready in the background.
  const awaitSecrets = async (): Promise<void> => {
    while ((await call('POST', 'secret/data/ready', { data: {} })).status !== 200) await new Promise((later) => setTimeout(later, 20));
  };
  await unseal();
  await call('POST', 'sys/auth/approle', { type: 'approle' });
  await call('POST', 'sys/mounts/secret', { type: 'kv', options: { version: '2' } });
  await awaitSecrets();
  return {
    address, port, rootToken, call, logs: () => server.said(),
    async restart() {
      await server.kill();
      server = start();
      await unseal();
      await awaitSecrets();
    },
    async remove() {
      await server.kill();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

interface Program {
  /** Whatever it wrote. */
  said(): string;
  hasEnded(): boolean;
  kill(): Promise<void>;
}

function startProgram(program: string, directory: string, args: readonly string[], env: Readonly<Record<string, string>>): Program {
  const child = spawn(program, ['server', ...args], { env: { PATH: process.env['PATH'] ?? '', HOME: directory, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
  const output: Buffer[] = [];
  child.stdout.on('data', (bytes: Buffer) => output.push(bytes));
  child.stderr.on('data', (bytes: Buffer) => output.push(bytes));
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  return {
    said: () => Buffer.concat(output).toString('utf8'),
    hasEnded: () => child.exitCode !== null || child.signalCode !== null,
    async kill() {
      child.kill('SIGKILL');
      await ended;
    },
  };
}

function callsTo(address: string, rootToken: string): TestOpenBao['call'] {
  return async (method, path, body, token = rootToken) => {
    const response = await fetch(`${address}/v1/${path}${method === 'LIST' ? '?list=true' : ''}`, {
      method: method === 'LIST' ? 'GET' : method, headers: { 'x-vault-token': token }, ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    const answer = (text === '' ? {} : JSON.parse(text)) as { data?: Record<string, unknown> | null; auth?: BaoAnswer['auth']; errors?: string[] };
    return { status: response.status, data: answer.data ?? {}, auth: answer.auth ?? null, errors: answer.errors ?? [] };
  };
}

function writeConfig(path: string, auditLog: string): void {
  writeFileSync(path, `audit "file" "to-file" {\n  options {\n    file_path = ${JSON.stringify(auditLog)}\n  }\n}\n`);
}

/** False once the process has ended, or after a minute. */
async function isReady(address: string, hasEnded: () => boolean, status = 200): Promise<boolean> {
  const giveUpAtMs = Date.now() + 60_000;
  while (Date.now() < giveUpAtMs && !hasEnded()) {
    const healthy = await fetch(`${address}/v1/sys/health`).then((response) => response.status === status, () => false);
    if (healthy) return true;
    await new Promise((later) => setTimeout(later, 50));
  }
  return false;
}
