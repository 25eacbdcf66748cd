/** The door for signed orders, with a real server and a real worker behind it; only the worker's target, disk and clock are the bench's. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { request as httpsRequest, type RequestOptions } from 'node:https';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, test } from 'vitest';
import type { Verifier } from '../../ledger/index.ts';
import { deriveRevokeOrder } from '../../src/change/derive.ts';
import { orderOverHttps } from '../../src/cli/order-over-https.ts';
import type { Worker } from '../../src/executor/worker.ts';
import { openDsse } from '../../src/protocol/dsse.ts';
import type { ReportMessage } from '../../src/protocol/envelope.ts';
import { reportSchema, REPORT_TYPE, type Dsse, type RevokeOrder } from '../../src/protocol/signed.ts';
import { formatTime } from '../../src/protocol/values.ts';
import { listenHttps, ORDER_BYTES_MAX, type Door } from '../../src/transport/https/executor-end.ts';
import { CERTIFICATE, KEY, OTHER_CERTIFICATE } from '../support/door-certificate.ts';
import { makeStep, type Made } from '../support/envelopes.ts';
import { signedLock } from '../support/locks.ts';
import { EXECUTOR, keys, sidecar, sign, START_MS, storyTrust } from '../support/story.ts';
import { createBench, type Bench } from '../support/worker-bench.ts';

const QUIET = { info: () => undefined, warn: () => undefined, error: () => undefined };

interface Answer {
  readonly status: number;
  readonly body: { readonly code?: string; readonly report?: ReportMessage | null };
}

interface Place {
  readonly bench: Bench;
  readonly worker: Worker;
  readonly door: Door;
  readonly made: Made;
  ask(path: string, options?: RequestOptions, body?: string | Buffer): Promise<Answer>;
  order(envelope: unknown, waitSeconds?: number): Promise<Answer>;
}

let open: Place | null = null;
afterEach(async () => {
  await open?.door.close();
  open = null;
});

/** A worker that has given one account, and its door. */
async function place(): Promise<Place> {
  const ends: { door: Door | null } = { door: null };
  const bench = createBench({ observe: (message) => ends.door?.tell(message) });
  const worker = await bench.start();
  const made = makeStep();
  await worker.step(made.envelope);
  await bench.clock.until(() => bench.of('acted').some(({ outcome }) => outcome === 'done'));
  const clock = { nowMs: () => bench.clock.nowMs, after: (delayMs: number, callback: () => void) => { const timer = setTimeout(callback, delayMs); return () => clearTimeout(timer); } };
  const door = await listenHttps({ host: '127.0.0.1', port: 0, tls: { cert: CERTIFICATE, key: KEY }, worker, clock, logger: QUIET });
  ends.door = door;
  const ask: Place['ask'] = (path, options = {}, body) => new Promise((resolve, reject) => {
    const request = httpsRequest(new URL(path, door.url), { method: body === undefined ? 'GET' : 'POST', ca: CERTIFICATE, agent: false, headers: { 'content-type': 'application/json' }, ...options }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk)).on('end', () => resolve({ status: response.statusCode!, body: JSON.parse(text) as Answer['body'] }));
    });
    request.on('error', reject);
    request.end(body);
  });
  const order: Place['order'] = (envelope, waitSeconds = 30) => ask('/v1/orders', { headers: { 'content-type': 'application/json', 'prefer': `wait=${waitSeconds}` } }, JSON.stringify(envelope));
  open = { bench, worker, door, made, ask, order };
  return open;
}

function early({ plan }: Made, edit: Partial<RevokeOrder> = {}, by = keys.revoker): Dsse {
  return sign.order({ ...deriveRevokeOrder(plan, EXECUTOR, START_MS, 'early', by === keys.revoker ? 'person:sam' : sidecar)!, ...edit }, by);
}

const executorKey = (): Verifier => storyTrust().executors.get(EXECUTOR)!.key;
const isOver = (bench: Bench) => (): boolean => bench.target.accounts.size === 0;

/** Lets the bench's clock go on until the answer is there: what the worker does takes its time. */
async function answered<T>({ bench }: Place, asked: Promise<T>): Promise<T> {
  const state = { over: false };
  const answer = asked.finally(() => {
    state.over = true;
  });
  while (!state.over) await bench.clock.settle();
  return answer;
}

describe('an order at the door', () => {
  test.each([['a revoker of the floor', keys.revoker], ['the sidecar', keys.ticket]])('of %s is carried out, and answered with the signed report', async (_who, by) => {
    const here = await place();
    const { status, body } = await answered(here, here.order(early(here.made, {}, by)));
    expect(status).toBe(200);
    expect(openDsse(body.report!.report, REPORT_TYPE, reportSchema, [executorKey()])).toMatchObject({ kind: 'revoked', outcome: 'done', leaseId: here.made.plan.lease!.leaseId });
    expect(here.bench.target.accounts.size).toBe(0);
    // The same again is answered the same, and touches nothing.
    expect((await answered(here, here.order(early(here.made, {}, by)))).status).toBe(200);
  });

  test('is carried out though the lease book cannot be written', async () => {
    const here = await place();
    here.bench.disk.watch = () => {
      throw new Error('no space left');
    };
    const { status, body } = await answered(here, here.order(early(here.made)));
    expect([status, here.bench.target.accounts.size]).toEqual([200, 0]);
    expect(body.report).not.toBeNull();
  });

  test('that is not due is held, and carried out when it is', async () => {
    const here = await place();
    const { status, body } = await here.order(early(here.made, { notBefore: formatTime(START_MS + 60_000) }));
    expect([status, body]).toEqual([202, { report: null }]);
    expect(here.bench.target.accounts.size).toBe(1);
    here.bench.kill();
    await here.bench.start();
    await here.bench.clock.until(isOver(here.bench));
    expect(here.bench.clock.nowMs).toBe(START_MS + 60_000);
  });

  test('that is not due and cannot be written down is not held, and that is said', async () => {
    const here = await place();
    here.bench.disk.watch = () => {
      throw new Error('no space left');
    };
    const { status, body } = await here.order(early(here.made, { notBefore: formatTime(START_MS + 60_000) }));
    expect([status, body.code]).toEqual([503, 'not-held']);
  });

  test('whose target does not answer is held: 202 once the wait is over, and it goes on', async () => {
    const here = await place();
    here.bench.target.always('revoke', 'unreachable');
    const { status, body } = await answered(here, here.order(early(here.made), 1));
    expect(status).toBe(202);
    expect(openDsse(body.report!.report, REPORT_TYPE, reportSchema, [executorKey()])).toMatchObject({ outcome: 'failed', code: 'target-unreachable' });
    here.bench.target.always('revoke', null);
    await here.bench.clock.until(isOver(here.bench));
  });

  test.each<[string, (made: Made) => unknown, number, string]>([
    ['of a stranger', (made) => early(made, {}, keys.stranger), 403, 'bad-signature'],
    ['of a revoker in another name', (made) => early(made, { orderedBy: 'person:eve' }), 403, 'bad-signature'],
    ['for another executor', (made) => early(made, { audience: 'executor:other' }), 403, 'wrong-audience'],
    ['that was altered', (made) => ({ ...early(made), payload: Buffer.from(Buffer.from(early(made).payload, 'base64').toString().replace('"early"', '"compensation"')).toString('base64') }), 403, 'bad-signature'],
    ['whose ids do not agree', (made) => early(made, { clientToken: `cs_${'0'.repeat(26)}` }), 403, 'order-mismatch'],
    ['that is a ticket', (made) => made.envelope.ticket, 403, 'malformed'],
    ['that is a step', (made) => made.envelope, 400, 'malformed-json'],
    ['of no form', () => ({ hello: 'world' }), 400, 'malformed-json'],
  ])('%s is refused, and nothing is touched', async (_what, make, status, code) => {
    const here = await place();
    const said = await here.order(make(here.made));
    expect([said.status, said.body.code]).toEqual([status, code]);
    await here.bench.clock.settle();
    expect(here.bench.target.accounts.size).toBe(1);
  });
});

describe('a lock at the door', () => {
  test.each([['a revoker of the floor', keys.revoker], ['the sidecar', keys.ticket]])('of %s is held', async (_who, by) => {
    const here = await place();
    const { status, body } = await here.order(signedLock({}, by));
    expect([status, body]).toEqual([200, { report: null }]);
    expect(here.worker.locks()).toHaveLength(1);
  });

  test('of a stranger is refused, and one that cannot be kept is said not to be', async () => {
    const here = await place();
    expect(await here.order(signedLock({}, keys.stranger))).toMatchObject({ status: 403, body: { code: 'bad-signature' } });
    here.bench.disk.watch = () => {
      throw new Error('no space left');
    };
    expect(await here.order(signedLock())).toMatchObject({ status: 503, body: { code: 'not-held' } });
  });
});

describe('the door', () => {
  test.each<[string, string, RequestOptions, string | Buffer | undefined, number, string | undefined]>([
    ['says that it runs', '/healthz', {}, undefined, 200, undefined],
    ['has no other route', '/v1/changes', {}, '{}', 404, 'not-found'],
    ['is not asked with a query', '/v1/orders?wait=1', {}, '{}', 404, 'not-found'],
    ['is not read', '/v1/orders', {}, undefined, 405, 'method-not-allowed'],
    ['takes JSON only', '/v1/orders', { headers: { 'content-type': 'text/plain' } }, '{}', 415, 'unsupported-media-type'],
    ['takes strict JSON only', '/v1/orders', {}, '{"payloadType":"a","payloadType":"b"}', 400, 'malformed-json'],
    ['takes no rubbish', '/v1/orders', {}, Buffer.from([0xff, 0xfe, 0]), 400, 'malformed-json'],
    ['takes nothing large', '/v1/orders', {}, ' '.repeat(ORDER_BYTES_MAX + 1), 413, 'body-too-large'],
  ])('%s', async (_what, path, options, body, status, code) => {
    const here = await place();
    const said = await here.ask(path, options, body);
    expect([said.status, said.body.code]).toEqual([status, code]);
  });

  test('does not listen to who rattles at it, for a while', async () => {
    const here = await place();
    const statuses: number[] = [];
    for (let n = 0; n < 8; n += 1) statuses.push((await here.order(early(here.made, {}, keys.stranger))).status);
    expect(statuses.slice(0, 4)).toEqual([403, 403, 403, 403]);
    expect(statuses.at(-1)).toBe(429);
    // An order of somebody else there is heard meanwhile.
    expect((await answered(here, here.order(early(here.made)))).status).toBe(200);
  });

  test('hears each order of somebody behind a proxy that others rattle through, and limits them alone', async () => {
    const here = await place();
    const statuses: number[] = [];
    for (let n = 0; n < 80; n += 1) statuses.push((await here.ask('/v1/orders', {}, '{}')).status);
    expect(statuses.filter((status) => status === 400).length).toBeLessThan(10);
    expect(statuses.at(-1)).toBe(429);
    for (let n = 0; n < 80; n += 1) expect((await answered(here, here.order(early(here.made)))).status).toBe(200);
    for (const path of ['/v1/changes', '/v1/orders']) expect((await here.ask(path)).status).toBe(429);
    expect((await here.ask('/v1/orders', { headers: { 'content-type': 'text/plain' } }, '{}')).status).toBe(429);
    expect((await here.order(signedLock())).status).toBe(200);
  });

  test('outlives what is no HTTP, and connections that say nothing', async () => {
    const here = await place();
    const { port } = new URL(here.door.url);
    const silent = connect(Number(port), '127.0.0.1');
    const rude = connect(Number(port), '127.0.0.1', () => rude.write('GET / HTTP/1.1\r\n\r\n'));
    await new Promise((resolve) => rude.once('close', resolve));
    expect((await here.ask('/healthz')).status).toBe(200);
    silent.destroy();
  });

  test('keeps a few connections of one address, and lets them go', async () => {
    const here = await place();
    const { port } = new URL(here.door.url);
    const open = Array.from({ length: 40 }, () => connect(Number(port), '127.0.0.1'));
    const closed = new Set<unknown>();
    for (const socket of open) socket.on('error', () => undefined).once('close', () => closed.add(socket));
    await expect.poll(() => closed.size, { timeout: 10_000 }).toBe(8);
    await expect(here.ask('/healthz')).rejects.toThrow();
    for (const socket of open) socket.destroy();
    await expect.poll(() => here.ask('/healthz').then(({ status }) => status, () => null), { timeout: 10_000 }).toBe(200);
  });

  test('speaks plain HTTP only where it is told to', async () => {
    const here = await place();
    const clock = { nowMs: () => 0, after: () => () => undefined };
    const plain = await listenHttps({ host: '127.0.0.1', port: 0, tls: null, worker: here.worker, clock, logger: QUIET });
    expect(await (await fetch(new URL('/healthz', plain.url))).json()).toEqual({ status: 'ok' });
    await plain.close();
    await expect(fetch(here.door.url.replace('https:', 'http:'))).rejects.toThrow();
  });
});

describe('who brings an order', () => {
  const directory = mkdtempSync(join(tmpdir(), 'cs-door-'));
  afterAll(() => rmSync(directory, { recursive: true, force: true }));
  const file = (name: string, text: string): string => {
    writeFileSync(join(directory, name), text);
    return join(directory, name);
  };
  const options = { answerMs: 5_000, waitMs: 5_000, signal: new AbortController().signal };

  test('hears what became of it', async () => {
    const here = await place();
    const order = { leaseId: here.made.plan.lease!.leaseId };
    const reported = await answered(here, orderOverHttps({ url: here.door.url, caFile: file('door.crt', CERTIFICATE) }, early(here.made), order, options));
    expect(reported?.report).toMatchObject({ outcome: 'done', leaseId: order.leaseId });
    await expect(orderOverHttps({ url: here.door.url, caFile: file('door.crt', CERTIFICATE) }, early(here.made, {}, keys.stranger), order, options)).rejects.toMatchObject({ code: 'rejected' });
  });

  test('gives it to nobody with another certificate, and to no other name', async () => {
    const here = await place();
    const order = { leaseId: here.made.plan.lease!.leaseId };
    for (const door of [{ url: here.door.url, caFile: file('other.crt', OTHER_CERTIFICATE) }, { url: here.door.url, caFile: null }, { url: here.door.url, caFile: join(directory, 'gone.crt') }, { url: here.door.url.replace('127.0.0.1', '127.0.0.2'), caFile: file('door.crt', CERTIFICATE) }]) {
      await expect(orderOverHttps(door, early(here.made), order, options), JSON.stringify(door)).rejects.toMatchObject({ code: 'unreachable' });
    }
    await here.bench.clock.settle();
    expect(here.bench.target.accounts.size).toBe(1);
  });
});
