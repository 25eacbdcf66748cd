/** The example receiver: what the protocol asks of every receiver. */
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Webhook } from 'standardwebhooks';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Accounts } from '../../../examples/webhook-target/accounts.ts';
import { createReceiver } from '../../../examples/webhook-target/receiver.ts';
import { newToken } from '../../support/postgres-cases.ts';

const SIGNING = `whsec_${Buffer.alloc(32, 7).toString('base64')}`;
const START_MS = Date.now();
let directory: string;
let port: number;
let nowMs = START_MS;
let close = (): Promise<void> => Promise.resolve();

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'countersign-receiver-'));
  const server = createReceiver({ accounts: await Accounts.open(join(directory, 'accounts.json')), signingSecret: SIGNING, adminToken: 'admin', nowMs: () => nowMs });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  port = (server.address() as AddressInfo).port;
  close = () => new Promise((closed) => void server.close(() => closed()));
});
afterAll(async () => {
  await close();
  rmSync(directory, { recursive: true, force: true });
});

interface Sent {
  readonly status: number;
  readonly body: Record<string, unknown>;
}
interface Message {
  readonly id: string;
  readonly at: Date;
  readonly text: string;
}

function message(operation: string, body: Record<string, unknown>, sentAtMs = nowMs, notAfterMs = sentAtMs + 10_000): Message {
  const text = JSON.stringify({ v: 1, operation, sentAt: new Date(sentAtMs).toISOString(), notAfter: new Date(notAfterMs).toISOString(), ...body });
  return { id: `msg_${randomBytes(16).toString('hex')}`, at: new Date(), text };
}
async function send({ id, at, text }: Message, secret = SIGNING): Promise<Sent> {
  const headers = { 'webhook-id': id, 'webhook-timestamp': String(Math.floor(at.getTime() / 1000)), 'webhook-signature': new Webhook(secret).sign(id, at, text) };
  const response = await fetch(`http://127.0.0.1:${port}/countersign`, { method: 'POST', headers, body: text });
  return { status: response.status, body: (await response.json()) as Record<string, unknown> };
}
const stepOf = (account: string, clientToken = newToken()): Record<string, unknown> => ({ action: 'provision', target: 'orders', account, privileges: ['orders:read'], clientToken });
const applyOf = (step: Record<string, unknown>, ...times: number[]): Message => message('apply', { step, validUntil: null, secret: 'a secret of the test', endSessions: false }, ...times);
const named = (name: string): unknown => (JSON.parse(readFileSync(join(directory, 'accounts.json'), 'utf8')) as { accounts: { name: string }[] }).accounts.find((account) => account.name === name);

test('acts on what is signed, and on nothing else', async () => {
  const good = applyOf(stepOf('signed'));
  expect(await send(good, `whsec_${Buffer.alloc(32, 8).toString('base64')}`)).toEqual({ status: 401, body: { v: 1, reason: 'not signed as it should be' } });
  expect((await send({ ...good, at: new Date(Date.now() - 600_000) })).status).toBe(401);
  expect(await send(good)).toEqual({ status: 200, body: { v: 1, outcome: 'done' } });
  expect(named('signed')).toBeDefined();
});

test('acts on a message once', async () => {
  const step = stepOf('replayed');
  const made = applyOf(step);
  expect((await send(made)).status).toBe(200);
  expect((await send(message('revoke', { order: step }, nowMs + 1))).body).toEqual({ v: 1, outcome: 'done' });
  expect(await send(made)).toEqual({ status: 422, body: { v: 1, reason: 'this message has come before' } });
  expect(named('replayed')).toBeUndefined();
});

test('does not begin what comes after its notAfter', async () => {
  const late = applyOf(stepOf('late'), START_MS - 20_000);
  expect((await send(late)).body).toEqual({ v: 1, reason: 'too late: its notAfter is over. Are the clocks right?' });
  expect(named('late')).toBeUndefined();
});

test('does not give what was taken back after it was asked for, and gives it again when it is asked for again', async () => {
  const step = stepOf('overtaken');
  const first = applyOf(step, nowMs);
  expect((await send(message('revoke', { order: step }, nowMs + 5))).body).toEqual({ v: 1, outcome: 'already-absent' });
  expect(await send(first)).toEqual({ status: 422, body: { v: 1, reason: 'this was taken back after it was asked for' } });
  expect((await send(applyOf(step, nowMs + 10))).body).toEqual({ v: 1, outcome: 'done' });
});

test('does not keep the secret', async () => {
  await send(applyOf(stepOf('secretive')));
  expect(readFileSync(join(directory, 'accounts.json'), 'utf8')).not.toContain('a secret of the test');
});

test('refuses what is too large, or goes to another door', async () => {
  expect((await send({ ...applyOf(stepOf('large')), text: JSON.stringify({ filler: 'x'.repeat(70_000) }) })).status).toBe(413);
  expect((await fetch(`http://127.0.0.1:${port}/elsewhere`, { method: 'POST' })).status).toBe(404);
  nowMs = START_MS;
});

test('gives a later end to what is there, never an earlier one, and brings nothing back that is over', async () => {
  const step = stepOf('extended');
  const [first, later] = [60_000, 120_000].map((ms) => new Date(nowMs + ms).toISOString());
  const extend = (validUntil: string | undefined): Promise<Sent> => send(message('apply', { step: { ...step, action: 'extend', gave: 'provision' }, validUntil, secret: null, endSessions: false }));
  const endOf = (): unknown => (named('extended') as { keys: { validUntil: string }[] }).keys[0]?.validUntil;
  await send(message('apply', { step, validUntil: first, secret: 'a secret of the test', endSessions: false }));
  expect((await extend(later)).body).toEqual({ v: 1, outcome: 'done' });
  expect(endOf()).toBe(later);
  await extend(first);
  expect(endOf()).toBe(later);
  nowMs += 130_000;
  expect(await extend(new Date(nowMs + 60_000).toISOString())).toMatchObject({ status: 422 });
  expect(endOf()).toBe(later);
});
