/** The caller in Python against a sidecar that answers what a test says: what becomes of its change when things go another way than well. */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ROOT } from '../support/fences.ts';

const ID = 'chg_0123456789abcdef_01JDE7XQ0M4N5P6Q7R8S9T0V1W';
const GIVEN = { plan: { steps: [{ account: 'ci_deployer', privileges: ['role:deploy'] }] }, lease: { endsAt: '2026-11-30T12:00:00.000Z' } };

describe('a caller in Python', () => {
  let directory: string;
  let server: Server;
  /** The state that is answered, each once; the last from then on. null: no answer. */
  let states: (string | null)[];
  let refused: Readonly<Record<string, string>>;
  let orders: string[];
  let waiting: (() => void) | null;

  beforeEach(async () => {
    directory = mkdtempSync(join(tmpdir(), 'cs-py-'));
    [states, refused, orders, waiting] = [['active'], {}, [], null];
    writeFileSync(join(directory, 'token'), 'cst_test\n');
    server = createServer((request, response) => {
      const order = /\/(withdraw|revoke)$/.exec(request.url!)?.[1];
      if (order !== undefined) orders.push(order);
      const code = order === undefined ? undefined : refused[order];
      const state = order === undefined && request.method === 'GET' ? (states.length > 1 ? states.shift() : states[0]) : 'pending';
      request.resume().on('end', () => {
        if (state === null) return waiting?.();
        response.writeHead(code === undefined ? 200 : 409, { 'content-type': 'application/json' });
        response.end(JSON.stringify(code === undefined ? { id: ID, state, length: 1, ...GIVEN } : { code, detail: 'no' }));
      });
    });
    await new Promise<void>((resolve) => void server.listen(join(directory, 's'), resolve));
  });
  afterEach(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    rmSync(directory, { recursive: true, force: true });
  });

  function start(script: string): { readonly kill: (signal: NodeJS.Signals) => void; readonly exit: Promise<number | null> } {
    const env = { ...process.env, COUNTERSIGN_SOCKET: join(directory, 's'), COUNTERSIGN_TOKEN_FILE: join(directory, 'token'), PYTHONDONTWRITEBYTECODE: '1' };
    const child = spawn('python3', [join(ROOT, 'examples/python-caller/deploy.py'), '1', '--', 'sh', '-c', script], { env, stdio: 'ignore' });
    return { kill: (signal) => void child.kill(signal), exit: new Promise((resolve) => child.once('close', resolve)) };
  }

  it('gives back what it had, and exits as its command does, also where somebody took it back before', async () => {
    refused = { revoke: 'nothing-to-revoke' };
    expect(await start('exit 7').exit).toBe(7);
    expect(orders).toEqual(['revoke']);
  });

  it.each(['revoking', 'revoked', 'withdrawing'])('does not wait for what is %s, and does not begin', async (state) => {
    states = [state];
    expect(await start('exit 7').exit).toBe(1);
    expect(orders).toEqual([]);
  });

  it.each(['SIGTERM', 'SIGINT'] as const)('that %s ends while it waits leaves nothing that somebody may still approve', async (signal) => {
    states = [null];
    const isWaiting = new Promise<void>((resolve) => (waiting = resolve));
    const { kill, exit } = start('exit 7');
    await isWaiting;
    kill(signal);
    expect(await exit).not.toBe(0);
    expect(orders).toEqual(['withdraw']);
  });

  it('that ends while the access is on its way has that taken back', async () => {
    states = [null];
    refused = { withdraw: 'too-late' };
    const isWaiting = new Promise<void>((resolve) => (waiting = resolve));
    const { kill, exit } = start('exit 7');
    await isWaiting;
    kill('SIGTERM');
    expect(await exit).toBe(143);
    expect(orders).toEqual(['withdraw', 'revoke']);
  });
});
