/** The receiver of `examples/webhook-target`, in this process or in one of its own, and the adapter of it. */
import { spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Accounts, PRIVILEGES } from '../../examples/webhook-target/accounts.ts';
import { freePort } from '../../examples/support/free-port.ts';
import { createReceiver } from '../../examples/webhook-target/receiver.ts';
import { webhookConnector, type WebhookOptions } from '../../src/connectors/webhook/connector.ts';
import type { Connector } from '../../src/executor/connector.ts';
import type { KitAction, TargetAdapter } from '../../src/executor/kit/index.ts';
import { systemClock } from '../../src/executor/system-clock.ts';

export const CONNECTOR = 'orders-hook';
export const TARGET = 'orders';
export const ACTIONS: readonly KitAction[] = ['provision', 'grant', 'extend', 'revoke', 'stage', 'cutover', 'retire', 'disable'];

export interface TestReceiver {
  readonly port: number;
  readonly signingSecret: string;
  readonly adapter: TargetAdapter;
  /** A connector to it, through another port where one is given. */
  connectorTo(port?: number, options?: Partial<WebhookOptions>): Connector;
  /** Of a receiver in a process of its own: ended without a word, and started again on its port. */
  restart(): Promise<void>;
  close(): Promise<void>;
}

type Running = { readonly port: number; stop(): Promise<void> };

/** @param own in a process of its own, which needs the built package */
export async function testReceiver(own = false): Promise<TestReceiver> {
  const directory = mkdtempSync(join(tmpdir(), 'countersign-receiver-'));
  const signingSecret = `whsec_${randomBytes(32).toString('base64')}`;
  const adminToken = randomBytes(16).toString('hex');
  writeFileSync(join(directory, 'signing.secret'), signingSecret, { mode: 0o600 });
  writeFileSync(join(directory, 'admin.token'), adminToken, { mode: 0o600 });
  const start = (port: number): Promise<Running> => (own ? startProcess(directory, port) : startHere(directory, signingSecret, adminToken));
  let running = await start(0);
  const { port } = running;
  const post = async (door: string, body: unknown, token = ''): Promise<{ readonly status: number; readonly body: Record<string, unknown> }> => {
    const response = await fetch(`http://127.0.0.1:${port}${door}`, { method: 'POST', body: JSON.stringify(body), headers: { authorization: `Bearer ${token}` } });
    return { status: response.status, body: (await response.json()) as Record<string, unknown> };
  };
  const connectorTo: TestReceiver['connectorTo'] = (through = port, options = {}) => webhookConnector({
    id: CONNECTOR, url: `http://127.0.0.1:${through}/countersign`, allowHttp: true, signingSecrets: () => Promise.resolve([signingSecret]), clock: systemClock, userAgent: 'countersign/test', ...options,
  });
  const kept = (): { readonly accounts: Accounts['accounts'] } => JSON.parse(readFileSync(join(directory, 'accounts.json'), 'utf8')) as { accounts: Accounts['accounts'] };
  const logIn = async (name: string, secret: string): Promise<string | null> => {
    // Of a key, its account.
    const account = /^(.*)#(?:[0-9a-f]{16}|cs_[0-9a-z]{26})$/su.exec(name)?.[1] ?? name;
    const { status, body } = await post('/login', { account, secret });
    return status === 200 ? String(body['session']) : null;
  };
  // The file is there from the first change on.
  await post('/admin', { remove: 'nobody' }, adminToken);
  return {
    port, signingSecret, connectorTo,
    adapter: {
      open: () => connectorTo(), connector: CONNECTOR, target: TARGET, privileges: PRIVILEGES,
      takes: (name) => name !== '' && name.length <= 80 && !/[\p{Cc}\p{Cs}]/u.test(name),
      async makeAccount(name, secret, privileges) {
        await post('/admin', { make: { name, secret, privileges } }, adminToken);
      },
      async makeTwin(name, secret) {
        await post('/admin', { make: { name, secret, privileges: [] } }, adminToken);
      },
      async use(name, secret) {
        const session = await logIn(name, secret);
        return session === null ? null : ((await post('/orders', {}, session)).body['may'] as string[]);
      },
      async openSession(name, secret) {
        const session = (await logIn(name, secret)) ?? '';
        return async () => (await post('/orders', {}, session)).status !== 401;
      },
      list: () => Promise.resolve(kept().accounts.flatMap(({ name, id, keys, grants }) => [`${name} ${id}`, ...keys.map((key) => `${name}#${key.id} ${key.token ?? ''}`), ...grants.map(({ token }) => `${name} ${token}`)]).sort()),
    },
    async restart() {
      await running.stop();
      running = await start(port);
    },
    async close() {
      await running.stop();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

async function startHere(directory: string, signingSecret: string, adminToken: string): Promise<Running> {
  const server = createReceiver({ accounts: await Accounts.open(join(directory, 'accounts.json')), signingSecret, adminToken });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  return {
    port: (server.address() as AddressInfo).port,
    stop: () => new Promise((closed) => {
      server.close(() => closed());
      server.closeAllConnections();
    }),
  };
}

async function startProcess(directory: string, wanted: number): Promise<Running> {
  const port = wanted === 0 ? await freePort() : wanted;
  const child: ChildProcess = spawn(process.execPath, [join(import.meta.dirname, '../../dist/examples/webhook-target/main.js'), directory, String(port)], { stdio: ['ignore', 'pipe', 'inherit'] });
  const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  await Promise.race([new Promise((listening) => child.stdout!.once('data', listening)), gone.then(() => {
    throw new Error('the receiver did not start: npm run build?');
  })]);
  return {
    port,
    async stop() {
      child.kill('SIGKILL');
      await gone;
    },
  };
}
