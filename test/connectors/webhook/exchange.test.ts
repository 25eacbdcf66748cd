import { createServer as createSecureServer } from 'node:https';
import { createServer, type IncomingMessage, type RequestListener, type Server } from 'node:http';
import type { AddressInfo, LookupFunction } from 'node:net';
import { inspect } from 'node:util';
import { Webhook } from 'standardwebhooks';
import { afterEach, describe, expect, test } from 'vitest';
import { webhookConnector, type WebhookOptions } from '../../../src/connectors/webhook/connector.ts';
import { RETRY_AFTER_MS_MAX } from '../../../src/connectors/webhook/exchange.ts';
import { webhookRequestSchema, type WebhookRequest } from '../../../src/connectors/webhook/protocol.ts';
import type { ApplyInput, Connector } from '../../../src/executor/connector.ts';
import type { PlanStep } from '../../../src/protocol/plan.ts';
import { CERTIFICATE, KEY } from '../../notify/certificate.ts';
import { fakeClock } from '../../support/fake-clock.ts';
import { systemClock } from '../../../src/executor/system-clock.ts';

const SIGNING = `whsec_${Buffer.alloc(32, 7).toString('base64')}`;
const SECRET = 'canary-Zr8/Kq+3xW_v5=Nn7&t%1';
const STEP: PlanStep = {
  stepId: 'stp_0123456789abcdef_01JD0000000000000000000000_r1_1', action: 'provision', connector: 'hook', target: 'orders', account: 'billing', privileges: ['orders:read'],
  clientToken: 'cs_01jd0000000000000000000000',
};
const STATED = { v: 1, actions: { provision: { expiry: 'external', endsSessions: true, residualMs: 0, findable: true } } };

interface Reply {
  readonly status?: number;
  readonly headers?: Record<string, string>;
  readonly body?: unknown;
  readonly text?: string;
}
interface Heard {
  readonly headers: IncomingMessage['headers'];
  readonly text: string;
  readonly request: WebhookRequest;
}

const closing: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

async function listen(make: (listener: RequestListener) => Server, reply: (heard: Heard) => Reply | null): Promise<{ readonly port: number; readonly heard: Heard[] }> {
  const heard: Heard[] = [];
  const server = make((request, response) => {
    let text = '';
    request.on('data', (part: Buffer) => (text += part.toString('utf8')));
    request.on('end', () => {
      const one = { headers: request.headers, text, request: JSON.parse(text) as WebhookRequest };
      heard.push(one);
      const said = one.request.operation === 'describe' ? { body: STATED } : reply(one);
      if (said === null) return void response.socket?.destroy();
      response.writeHead(said.status ?? 200, { 'content-type': 'application/json', ...said.headers }).end(said.text ?? JSON.stringify(said.body ?? {}));
    });
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  closing.push(() => new Promise((closed) => {
    server.close(() => closed());
    server.closeAllConnections();
  }));
  return { port: (server.address() as AddressInfo).port, heard };
}

const connectorAt = (port: number, options: Partial<WebhookOptions> = {}): Connector => webhookConnector({
  id: 'hook', url: `http://127.0.0.1:${port}/hook`, allowHttp: true, signingSecrets: () => Promise.resolve([SIGNING]), clock: systemClock, userAgent: 'countersign/test', ...options,
});
const signal = (): AbortSignal => AbortSignal.timeout(15_000);
const { stepId: _, ...QUERY } = STEP;
const input = (): ApplyInput => ({ step: STEP, validUntil: null, secret: SECRET, endSessions: false, signal: signal() });
const failureOf = (call: Promise<unknown>): Promise<unknown> => call.then(() => 'no failure', (error: unknown) => error);

/** Each operation as the connector is called for it. */
const CALLS: Readonly<Record<Exclude<WebhookRequest['operation'], 'describe'>, (connector: Connector) => Promise<unknown>>> = {
  read: (connector) => connector.read(QUERY, signal()),
  apply: (connector) => connector.apply(input()),
  probe: (connector) => connector.probe(STEP, signal()),
  tryUse: (connector) => connector.tryUse(STEP, SECRET, signal()),
  revoke: (connector) => connector.revoke({ ...STEP, action: 'provision' }, signal()),
};
const ANSWERS = {
  read: { v: 1, exists: false, touched: { account: null }, held: [] }, apply: { v: 1, outcome: 'done' }, probe: { v: 1, found: 'absent' }, tryUse: { v: 1, byUse: 'works' }, revoke: { v: 1, outcome: 'done' },
} as const;
const OPERATIONS = Object.keys(CALLS) as (keyof typeof CALLS)[];

describe('a request', () => {
  test.each(OPERATIONS)('to %s is signed as Standard Webhooks says, and is what its schema says', async (operation) => {
    const { port, heard } = await listen(createServer, () => ({ body: ANSWERS[operation] }));
    const beganMs = Date.now();
    await CALLS[operation](connectorAt(port));
    const { headers, text, request } = heard.at(-1)!;
    expect(request.operation).toBe(operation);
    expect(webhookRequestSchema.safeParse(JSON.parse(text)).error).toBeUndefined();
    expect(new Webhook(SIGNING).verify(text, headers as Record<string, string>)).toEqual(request);
    expect(() => new Webhook(SIGNING).verify(text.replace('billing', 'root'), headers as Record<string, string>)).toThrow();
    expect(Date.parse(request.sentAt)).toBeGreaterThanOrEqual(beganMs);
    expect(Date.parse(request.notAfter) - Date.parse(request.sentAt)).toBe(10_000);
    expect(JSON.stringify(headers)).not.toContain(SECRET);
    expect(headers['user-agent']).toBe('countersign/test');
  });

  test('has an id of its own each time, and both signatures while the secret changes', async () => {
    const { port, heard } = await listen(createServer, () => ({ body: ANSWERS.probe }));
    let secrets = [SIGNING];
    const connector = connectorAt(port, { signingSecrets: () => Promise.resolve(secrets) });
    await CALLS.probe(connector);
    secrets = [`whsec_${Buffer.alloc(32, 8).toString('base64')}`, SIGNING];
    await CALLS.probe(connector);
    expect(new Set(heard.map(({ headers }) => headers['webhook-id'])).size).toBe(2);
    for (const secret of secrets) expect(() => new Webhook(secret).verify(heard[1]!.text, heard[1]!.headers as Record<string, string>)).not.toThrow();
  });

  test('that no plan could have is not sent', async () => {
    const { port, heard } = await listen(createServer, () => ({ body: ANSWERS.probe }));
    for (const account of ['', 'two\nlines', 'x'.repeat(129)]) {
      expect(await failureOf(connectorAt(port).probe({ ...STEP, account }, signal()))).toMatchObject({ kind: 'rejected' });
    }
    expect(heard).toEqual([]);
  });

  test('whose signing secret cannot be had is not sent, and may be later', async () => {
    const { port, heard } = await listen(createServer, () => ({ body: ANSWERS.probe }));
    expect(await failureOf(connectorAt(port, { signingSecrets: () => Promise.reject(new Error('cannot be read (ENOENT)')) }).probe(STEP, signal()))).toMatchObject({ kind: 'unreachable' });
    expect(heard).toEqual([]);
  });
});

describe('an answer', () => {
  test('is what the connector says', async () => {
    const { port } = await listen(createServer, ({ request }) => ({ body: ANSWERS[request.operation as keyof typeof ANSWERS] }));
    const connector = connectorAt(port);
    expect(await CALLS.read(connector)).toEqual({ connector: 'hook', target: 'orders', account: 'billing', exists: false, touched: { account: null }, held: [] });
    expect(await CALLS.apply(connector)).toBeUndefined();
    expect([await CALLS.probe(connector), await CALLS.tryUse(connector), await CALLS.revoke(connector)]).toEqual(['absent', 'works', 'done']);
    expect(connector.describe('provision')).toEqual(STATED.actions.provision);
  });

  const meant = (kind: string, changing = kind): Record<keyof typeof CALLS, string> => ({ read: kind, probe: kind, tryUse: kind, apply: changing, revoke: changing });
  test.each([
    ['429', { status: 429 }, meant('unreachable')], ['503', { status: 503 }, meant('unreachable')],
    ['500', { status: 500 }, meant('unreachable', 'ambiguous')], ['502', { status: 502 }, meant('unreachable', 'ambiguous')], ['504', { status: 504 }, meant('unreachable', 'ambiguous')],
    ['408', { status: 408 }, meant('unreachable', 'ambiguous')], ['a redirect', { status: 302, headers: { location: 'http://127.0.0.1:1/' } }, meant('unreachable', 'ambiguous')],
    ['400', { status: 400 }, meant('rejected')], ['401', { status: 401 }, meant('rejected')], ['404', { status: 404, text: '<html>' }, meant('rejected')], ['422', { status: 422, body: { v: 1, reason: 'no' } }, meant('rejected')],
    ['201', { status: 201, body: { v: 1, outcome: 'done', found: 'applied' } }, meant('rejected', 'ambiguous')],
    ['no JSON', { text: 'fine' }, meant('rejected', 'ambiguous')], ['other JSON', { body: { v: 2, outcome: 'done' } }, meant('rejected', 'ambiguous')],
    ['a field too many', { body: { ...ANSWERS.apply, ...ANSWERS.read, ...ANSWERS.probe, more: 1 } }, meant('rejected', 'ambiguous')],
    ['a key twice', { text: '{"v":1,"outcome":"done","outcome":"done"}' }, meant('rejected', 'ambiguous')],
    ['too much', { text: `{"v":1,"outcome":"${'x'.repeat(600_000)}"}` }, meant('rejected', 'ambiguous')],
    ['no answer', null, meant('unreachable', 'ambiguous')],
  ] as const)('of %s is taken for what it may have done', async (_what, reply, kinds) => {
    for (const operation of OPERATIONS) {
      const { port } = await listen(createServer, () => reply);
      expect(await failureOf(CALLS[operation](connectorAt(port))), operation).toMatchObject({ name: 'TargetError', kind: kinds[operation] });
    }
  });

  test.each([['rejected', 'rejected'], ['notYet', 'notYet']] as const)('to apply of %s is a failure of that kind, with its reason', async (outcome, kind) => {
    const { port } = await listen(createServer, () => ({ body: { v: 1, outcome, reason: '3 sessions of the old key' } }));
    expect(await failureOf(CALLS.apply(connectorAt(port)))).toMatchObject({ kind, message: '3 sessions of the old key' });
  });

  test.each([
    ['many attributes', { exists: true, touched: Object.fromEntries(Array.from({ length: 65 }, (_v, n) => [`a${n}`, n])), held: [] }],
    ['a fraction', { exists: true, touched: { rank: 0.5 }, held: [] }], ['an object', { exists: true, touched: { a: { b: 1 } }, held: [] }],
    ['control characters', { exists: true, touched: {}, held: ['a\u001b[2J'] }], ['another account', { exists: true, touched: {}, held: [], account: 'root' }],
  ])('to read with %s is refused', async (_what, state) => {
    const { port } = await listen(createServer, () => ({ body: { v: 1, ...state } }));
    expect(await failureOf(CALLS.read(connectorAt(port)))).toMatchObject({ kind: 'rejected', message: 'HTTP 200: the answer is not one of the protocol' });
  });

  test('that repeats the secret, in any spelling, is not repeated', async () => {
    const bytes = Buffer.from(SECRET);
    for (const spelling of [SECRET, bytes.toString('base64'), bytes.toString('base64url'), bytes.toString('hex').toUpperCase(), encodeURIComponent(SECRET), SIGNING]) {
      for (const reply of [{ status: 422, body: { v: 1, reason: `bad: ${spelling}` } }, { body: { v: 1, outcome: 'rejected', reason: `bad: ${spelling}` } }, { status: 500, text: spelling }, { text: spelling }]) {
        const { port } = await listen(createServer, () => reply);
        const failure = await failureOf(CALLS.apply(connectorAt(port)));
        expect(failure).toMatchObject({ name: 'TargetError' });
        expect(inspect(failure, { depth: 20, showHidden: true })).not.toContain(spelling);
      }
    }
  });
});

describe('a receiver that asks to be left alone', () => {
  test.each([['7', 7_000], ['86400', RETRY_AFTER_MS_MAX], ['soon', 0], ['-1', 0], ['1.5', 0]])('for %s is, and no longer', async (retryAfter, ms) => {
    const clock = fakeClock(Date.parse('2026-11-23T19:00:00.000Z'));
    let busy = true;
    const { port, heard } = await listen(createServer, () => (busy ? { status: 429, headers: { 'retry-after': retryAfter } } : { body: ANSWERS.probe }));
    const connector = connectorAt(port, { clock: clock.port() });
    expect(await failureOf(CALLS.probe(connector))).toMatchObject({ kind: 'unreachable', message: 'HTTP 429: it asks to be asked later' });
    busy = false;
    if (ms > 0) {
      clock.jump(ms - 1);
      for (const operation of OPERATIONS) expect(await failureOf(CALLS[operation](connector))).toMatchObject({ kind: 'unreachable', message: expect.stringContaining('left alone for another 1 s') as string });
      expect(heard).toHaveLength(1);
      clock.jump(1);
    }
    expect(await CALLS.probe(connector)).toBe('absent');
  });

  test('until a date is, and a clock that is set back does not make it longer', async () => {
    const startMs = Date.parse('2026-11-23T19:00:00.000Z');
    const clock = fakeClock(startMs);
    let busy = true;
    const { port } = await listen(createServer, () => (busy ? { status: 503, headers: { 'retry-after': new Date(startMs + 10_000).toUTCString() } } : { body: ANSWERS.probe }));
    const connector = connectorAt(port, { clock: clock.port() });
    await failureOf(CALLS.probe(connector));
    busy = false;
    clock.jump(9_999);
    expect(await failureOf(CALLS.probe(connector))).toMatchObject({ kind: 'unreachable' });
    clock.jump(-3_600_000);
    expect(await failureOf(CALLS.probe(connector))).toMatchObject({ kind: 'unreachable' });
    clock.jump(RETRY_AFTER_MS_MAX);
    expect(await CALLS.probe(connector)).toBe('absent');
  });
});

describe('what the receiver states', () => {
  test('is asked before the first action, not before a probe or a revoke, and once', async () => {
    const { port, heard } = await listen(createServer, ({ request }) => ({ body: ANSWERS[request.operation as keyof typeof ANSWERS] }));
    const connector = connectorAt(port);
    expect(connector.describe('provision')).toBeNull();
    await CALLS.revoke(connector);
    await CALLS.probe(connector);
    expect(heard.map(({ request }) => request.operation)).toEqual(['revoke', 'probe']);
    await CALLS.apply(connector);
    await CALLS.read(connector);
    expect(heard.map(({ request }) => request.operation)).toEqual(['revoke', 'probe', 'describe', 'apply', 'read']);
  });

  test('is all that is asked of it: another action is refused, and looked for again', async () => {
    const { port, heard } = await listen(createServer, () => ({ body: ANSWERS.apply }));
    const connector = connectorAt(port);
    for (const _time of [1, 2]) expect(await failureOf(connector.apply({ ...input(), step: { ...STEP, action: 'grant' } }))).toMatchObject({ kind: 'rejected', message: 'the receiver does not state that it does grant' });
    expect(await failureOf(connector.read({ ...QUERY, action: 'rotate' }, signal()))).toMatchObject({ kind: 'rejected', message: 'the receiver does not state that it does stage or replace' });
    expect(heard.map(({ request }) => request.operation)).toEqual(['describe', 'describe', 'describe']);
  });
});

describe('where it is sent', () => {
  test('over TLS to whose certificate is believed, and to nobody else', async () => {
    const { port, heard } = await listen((listener) => createSecureServer({ cert: CERTIFICATE, key: KEY }, listener), () => ({ body: ANSWERS.apply }));
    const lookup: LookupFunction = (_name, options, callback) => (options.all === true ? callback(null, [{ address: '127.0.0.1', family: 4 }]) : callback(null, '127.0.0.1', 4));
    const secure = { url: `https://receiver.test:${port}/hook`, allowHttp: false, allowPrivate: true, lookup };
    expect(await failureOf(CALLS.apply(connectorAt(port, secure)))).toMatchObject({ kind: 'unreachable' });
    expect(heard).toEqual([]);
    await CALLS.apply(connectorAt(port, { ...secure, ca: CERTIFICATE }));
    expect(heard).toHaveLength(2);
    // The name resolves to a private address, which must be allowed.
    expect(await failureOf(CALLS.apply(connectorAt(port, { ...secure, ca: CERTIFICATE, allowPrivate: false })))).toMatchObject({ kind: 'unreachable', message: 'no answer: the address is not allowed' });
    expect(heard).toHaveLength(2);
  });

  test('in clear to this machine alone, whatever a name resolves to', async () => {
    const { port, heard } = await listen(createServer, () => ({ body: ANSWERS.apply }));
    const away: LookupFunction = (_name, options, callback) => (options.all === true ? callback(null, [{ address: '10.0.0.1', family: 4 }]) : callback(null, '10.0.0.1', 4));
    expect(await failureOf(CALLS.apply(connectorAt(port, { url: `http://localhost:${port}/`, allowPrivate: true, lookup: away })))).toMatchObject({ kind: 'unreachable' });
    expect(heard).toEqual([]);
  });

  test.each([
    ['http://10.0.0.1/', 'http is for loopback'], ['http://example.com/', 'http is for loopback'], ['ftp://127.0.0.1/', 'not an address of a receiver'], ['nonsense', 'not an address'],
    ['https://user:secret@example.com/', 'no password'], ['https://10.0.0.1/', 'allowPrivate'], ['https://169.254.169.254/', 'allowPrivate'], ['https://127.0.0.1/', 'allowPrivate'],
  ])('%s is refused before anything is sent', (url, message) => {
    expect(() => connectorAt(1, { url, allowHttp: true })).toThrow(message);
  });

  test('http on this machine must be allowed, and a link-local address never is', () => {
    expect(() => connectorAt(1, { allowHttp: false })).toThrow('allowHttp: true');
    expect(() => connectorAt(1, { url: 'https://169.254.169.254/', allowPrivate: true })).toThrow(RangeError);
  });
});
