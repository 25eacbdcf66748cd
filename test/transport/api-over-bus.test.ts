/** What a sidecar and a console say to each other over the bus: what is believed, what is looked at, and that nothing is looked at twice. */
import { describe, expect, it } from 'vitest';
import { generateSignerKey, logIdOf, parseSigner, parseVerifier } from '../../ledger/index.ts';
import { API_RECIPIENT_TYPE, apiCallSchema, CALL_MS_MAX, openApiRecipient } from '../../src/protocol/api-call.ts';
import { signDsse } from '../../src/protocol/dsse.ts';
import { formatTime } from '../../src/protocol/values.ts';
import { createApiGate } from '../../src/transport/nats/api-gate.ts';
import { newApiIdentity, openBytes, openStream, sealBytes, sealStream } from '../../src/transport/nats/api-seal.ts';
import { formatAccounts } from '../../src/transport/nats/server-config.ts';

const LOG = logIdOf('example.org/countersign');
const NONCE = 'ab'.repeat(16);
const AGE = `age1${'q'.repeat(58)}`;
const signer = parseSigner(generateSignerKey('example.org/tickets', new Uint8Array(32).fill(1)).skey);
const thief = parseSigner(generateSignerKey('example.org/tickets', new Uint8Array(32).fill(2)).skey);
const keys = [parseVerifier(signer.vkey)];

describe('to whom calls are sealed', () => {
  const content = { v: 1, log: LOG, nonce: NONCE, recipient: AGE };
  const open = (envelope: ReturnType<typeof signDsse>): string => openApiRecipient(envelope, { log: LOG, nonce: NONCE, keys });

  it('is what the sidecar of that log has signed for this very asking', () => {
    expect(open(signDsse(API_RECIPIENT_TYPE, content, signer))).toBe(AGE);
  });

  it.each([
    ['another key', 'bad-signature', signDsse(API_RECIPIENT_TYPE, content, thief)],
    ['the key of another document', 'bad-signature', signDsse('application/vnd.countersign.ticket+json', content, signer)],
    ['the key of another log', 'wrong-audience', signDsse(API_RECIPIENT_TYPE, { ...content, log: logIdOf('other.example') }, signer)],
    ['an asking of before', 'outside-window', signDsse(API_RECIPIENT_TYPE, { ...content, nonce: 'cd'.repeat(16) }, signer)],
    ['what is no recipient', 'malformed', signDsse(API_RECIPIENT_TYPE, { ...content, recipient: 'age1x' }, signer)],
  ])('is nobody by %s', (_what, code, envelope) => {
    expect(() => open(envelope)).toThrow(expect.objectContaining({ code }) as Error);
  });
});

describe('a sealed call', () => {
  const call = { v: 1, log: LOG, id: NONCE, expiresAt: '2026-11-23T19:05:00.000Z', answerTo: AGE, method: 'GET', path: '/v1/changes', query: 'limit=5', headers: { authorization: 'Bearer x' }, body: null };

  it.each([
    ['a header of its own', { headers: { host: 'elsewhere.example' } }],
    ['a peer', { headers: { 'x-forwarded-for': '127.0.0.1' } }],
    ['two lines in a header', { headers: { authorization: 'Bearer x\r\nhost: elsewhere' } }],
    ['another method', { method: 'DELETE' }],
    ['a whole URL', { path: 'http://elsewhere.example/v1/changes' }],
    ['a query in its path', { path: '/v1/changes?limit=5' }],
    ['a fragment', { query: 'a#b' }],
    ['a body of more than HTTP takes', { body: Buffer.alloc(65_540).toString('base64') }],
    ['more than there is', { as: 'person:wei' }],
  ])('has not %s', (_what, edit) => {
    expect(apiCallSchema.safeParse(call).success).toBe(true);
    expect(apiCallSchema.safeParse({ ...call, ...edit }).success).toBe(false);
  });

  it('tells nobody else what is in it, and is opened whole or not at all', async () => {
    const [own, other] = [await newApiIdentity(), await newApiIdentity()];
    const sealed = await sealBytes(Buffer.from('Bearer cst_secret'), own.recipient);
    expect(Buffer.from(sealed).includes('cst_secret')).toBe(false);
    expect(Buffer.from(await openBytes(sealed, own.identity)).toString()).toBe('Bearer cst_secret');
    await expect(openBytes(sealed, other.identity)).rejects.toThrow();
    for (const at of [0, 40, sealed.length - 20, sealed.length - 1]) {
      const altered = Uint8Array.from(sealed);
      altered[at]! ^= 1;
      await expect(openBytes(altered, own.identity)).rejects.toThrow();
    }
    await expect(openBytes(Buffer.from('GET /v1/changes'), own.identity)).rejects.toThrow();
  });

  it('is sealed to one key: a header with more to try, or of another form, is not worked through', async () => {
    const own = await newApiIdentity();
    const sealed = Buffer.from(await sealBytes(Buffer.from('Bearer cst_secret'), own.recipient));
    const [version, stanza, body, mac] = sealed.toString('latin1').split('\n') as [string, string, string, string];
    const rest = sealed.subarray([version, stanza, body, mac].join('\n').length);
    const headed = (...lines: string[]): Buffer => Buffer.concat([Buffer.from(lines.join('\n')), rest]);
    expect(headed(version, stanza, body, mac)).toEqual(sealed);
    const wrong = [headed(version, stanza, body, stanza, body, mac), headed(version, '-> grease x', '', stanza, body, mac), headed(version, ...Array.from({ length: 1_300 }, () => [stanza, body]).flat(), mac), sealed.subarray(0, 100), Buffer.alloc(0)];
    for (const one of wrong) {
      await expect(openBytes(one, own.identity)).rejects.toThrow('not sealed as calls are');
      await expect(openStream(streamOf([one.subarray(0, 7), one.subarray(7)]), own.identity)).rejects.toThrow('not sealed as calls are');
    }
  });

  it('has an answer of which no part can be left out, doubled or put elsewhere', async () => {
    const { identity, recipient } = await newApiIdentity();
    const parts: Uint8Array[] = [];
    for await (const part of (await sealStream(streamOf([Buffer.alloc(200_000, 'a')]), recipient)) as unknown as AsyncIterable<Uint8Array>) parts.push(part);
    const read = async (some: readonly Uint8Array[]): Promise<number> => {
      let length = 0;
      for await (const piece of (await openStream(streamOf(some), identity)) as unknown as AsyncIterable<Uint8Array>) length += piece.length;
      return length;
    };
    expect(parts.length).toBeGreaterThan(3);
    expect(await read(parts)).toBe(200_000);
    const last = parts.length - 1;
    for (const wrong of [parts.slice(0, last), parts.toSpliced(last - 1, 1), parts.toSpliced(last - 1, 0, parts[last - 1]!), parts.toSpliced(last - 2, 2, parts[last - 1]!, parts[last - 2]!)]) await expect(read(wrong)).rejects.toThrow();
  });
});

describe('the gate', () => {
  const good = (nowMs: number, id: string): { id: string; expiresAt: string } => ({ id, expiresAt: formatTime(nowMs + CALL_MS_MAX / 2) });

  it('lets a call through once, for as long as it is good', () => {
    let nowMs = Date.parse('2026-11-23T19:00:00.000Z');
    const gate = createApiGate(() => nowMs);
    const call = good(nowMs, NONCE);
    expect(gate.refusalOf(call)).toBe(null);
    // A POST or a GET: the same bytes are not answered again, not even when they are good no more.
    for (const after of [0, CALL_MS_MAX / 2 - 1, 1, CALL_MS_MAX / 2, 1, 1_000]) {
      nowMs += after;
      expect(gate.refusalOf(call)).not.toBe(null);
      expect(gate.refusalOf(good(nowMs, String(nowMs)))).toBe(null);
    }
  });

  it('lets none through again that was forgotten, when the clock is put forward and back', () => {
    const startMs = Date.parse('2026-11-23T19:00:00.000Z');
    let nowMs = startMs;
    const gate = createApiGate(() => nowMs);
    const call = good(nowMs, NONCE);
    expect(gate.refusalOf(call)).toBe(null);
    nowMs += 24 * 3_600_000;
    expect(gate.refusalOf(good(nowMs, 'forward'))).toBe(null);
    nowMs = startMs + 1_000;
    expect(gate.refusalOf(call)).not.toBe(null);
    // Those that were made since are looked at, as soon as they can be none of the forgotten ones.
    expect(gate.refusalOf(good(nowMs, 'back'))).toBe(null);
    // And they are forgotten in their time, whatever came by the clock of before.
    const late = good(nowMs, 'late');
    expect(gate.refusalOf(late)).toBe(null);
    nowMs += CALL_MS_MAX + 1;
    expect(gate.refusalOf(late)).toBe('outside-window');
  });

  it.each([[-1, 'outside-window'], [0, 'outside-window'], [1, null], [CALL_MS_MAX, null], [CALL_MS_MAX + 1, 'outside-window'], [3_600_000, 'outside-window']] as const)('takes one that is good for %d ms more as %s', (more, refusal) => {
    const nowMs = Date.parse('2026-11-23T19:00:00.000Z');
    expect(createApiGate(() => nowMs).refusalOf({ id: NONCE, expiresAt: formatTime(nowMs + more) })).toBe(refusal);
  });

  it('opens no more than there is time for, and answers so many at a time', () => {
    let nowMs = 0;
    const gate = createApiGate(() => nowMs);
    const enter = (): number => Array.from({ length: 1_000 }, () => gate.mayEnter()).filter(Boolean).length;
    expect(enter()).toBe(200);
    nowMs += 100;
    expect(enter()).toBe(10);
    nowMs += 60_000;
    // The 210 are still inside.
    expect(enter()).toBe(46);
    gate.left();
    expect(enter()).toBe(1);
  });
});

describe('the user of a console on the bus', () => {
  const accounts = formatAccounts({ sidecars: ['USIDECAR'], executors: new Map([['executor:main', ['UWORKER']]]), consoles: ['UCONSOLE', 'UOTHER'] });

  it('has an account of its own, which imports the API and nothing else', () => {
    const own = accounts.slice(accounts.indexOf('  CONSOLES {'), accounts.indexOf('  W_main {'));
    expect(own).toContain('{nkey: UCONSOLE, permissions: {publish: {allow: ["cs.api.>"]}, subscribe: {allow: ["_INBOX_console.UCONSOLE.>"]}}}');
    expect(own).toContain('{nkey: UOTHER, permissions: {publish: {allow: ["cs.api.>"]}, subscribe: {allow: ["_INBOX_console.UOTHER.>"]}}}');
    expect(own.match(/subject: "[^"]*"/g)).toEqual(['subject: "cs.api.>"']);
    expect(accounts.match(/accounts: \[CONSOLES\]/g)).toHaveLength(1);
  });

  it('is not there, and nothing is exported, where there is no console', () => {
    expect(formatAccounts({ sidecars: ['USIDECAR'], executors: new Map() })).not.toContain('cs.api');
  });
});

function streamOf(parts: readonly Uint8Array[]): ReadableStream<Uint8Array> {
  const left = [...parts];
  return new ReadableStream<Uint8Array>({
    pull(controller) {
      const next = left.shift();
      if (next === undefined) controller.close();
      else controller.enqueue(next);
    },
  });
}
