/** Real OpenBao servers for tests, in memory, each on a port of its own. */
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { packageRoot } from '../../examples/demo/processes.ts';
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

/** A server of its own, with AppRole mounted and an audit log. */
export async function testOpenBao(program: string): Promise<TestOpenBao> {
  const directory = mkdtempSync(join(tmpdir(), 'countersign-bao-'));
  const rootToken = `root-canary-${String(process.pid)}`;
  const auditLog = join(directory, 'audit.log');
  for (let attempt = 1; ; attempt += 1) {
    const port = await freePort();
    const address = `http://127.0.0.1:${String(port)}`;
    // OpenBao takes audit devices from its configuration alone.
    const config = join(directory, 'audit.hcl');
    writeConfig(config, auditLog);
    const child = spawn(program, ['server', '-dev', `-dev-listen-address=127.0.0.1:${String(port)}`, '-dev-no-store-token', `-config=${config}`], {
      env: { PATH: process.env['PATH'] ?? '', HOME: directory, BAO_DEV_ROOT_TOKEN_ID: rootToken }, stdio: ['ignore', 'pipe', 'pipe'],
    });
    const output: Buffer[] = [];
    child.stdout.on('data', (bytes: Buffer) => output.push(bytes));
    child.stderr.on('data', (bytes: Buffer) => output.push(bytes));
    const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
    const said = (): string => Buffer.concat(output).toString('utf8');

    const call: TestOpenBao['call'] = async (method, path, body, token = rootToken) => {
      const response = await fetch(`${address}/v1/${path}${method === 'LIST' ? '?list=true' : ''}`, {
        method: method === 'LIST' ? 'GET' : method, headers: { 'x-vault-token': token }, ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      const text = await response.text();
      const answer = (text === '' ? {} : JSON.parse(text)) as { data?: Record<string, unknown> | null; auth?: BaoAnswer['auth']; errors?: string[] };
      return { status: response.status, data: answer.data ?? {}, auth: answer.auth ?? null, errors: answer.errors ?? [] };
    };
    if (await isReady(address, () => child.exitCode !== null)) {
      const mounted = await call('POST', 'sys/auth/approle', { type: 'approle' });
      if (mounted.status !== 204) throw new Error(`AppRole could not be mounted: ${mounted.errors.join('; ')}`);
      return {
        address, port, rootToken, call,
        logs: () => said() + (existsSync(auditLog) ? readFileSync(auditLog, 'utf8') : ''),
        async remove() {
          child.kill('SIGKILL');
          await ended;
          rmSync(directory, { recursive: true, force: true });
        },
      };
    }
    child.kill('SIGKILL');
    await ended;
    // Somebody else may have taken the port in between.
    if (attempt === 3) throw new Error(`OpenBao did not start: ${said().slice(-2_000)}`);
  }
}

function writeConfig(path: string, auditLog: string): void {
  writeFileSync(path, `audit "file" "to-file" {\n  options {\n    file_path = ${JSON.stringify(auditLog)}\n  }\n}\n`);
}

/** False once the process has ended, or after a minute. */
async function isReady(address: string, hasEnded: () => boolean): Promise<boolean> {
  const giveUpAtMs = Date.now() + 60_000;
  while (Date.now() < giveUpAtMs && !hasEnded()) {
    const healthy = await fetch(`${address}/v1/sys/health`).then((response) => response.status === 200, () => false);
    if (healthy) return true;
    await new Promise((later) => setTimeout(later, 50));
  }
  return false;
}

async function freePort(): Promise<number> {
  const listener = createServer();
  await new Promise<void>((ready) => listener.listen(0, '127.0.0.1', ready));
  const { port } = listener.address() as AddressInfo;
  await new Promise((closed) => listener.close(closed));
  return port;
}
