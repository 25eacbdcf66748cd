import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ERROR_CODES } from '../../src/sidecar/errors.ts';
import { isCanonicalPath, readIdempotencyKey } from '../../src/sidecar/edge.ts';
import { testRun } from '../support/run.ts';
import { GRANT, openTestSidecar, problemIn, type TestSidecar } from '../support/sidecar.ts';

const CALLER = 'nhi:prod/ci-deployer';
let sidecar: TestSidecar;
let prototype: string;
const prototypes = (): string => JSON.stringify([Object.prototype, Array.prototype, Function.prototype].map((one) => Object.getOwnPropertyNames(one)));
beforeAll(async () => {
  sidecar = await openTestSidecar();
  prototype = prototypes();
});
afterAll(() => sidecar.close());

/** Keys that some code somewhere takes for more than keys. */
const key = fc.oneof(fc.constantFrom('__proto__', 'constructor', 'prototype', 'toString', 'kind', 'entitlements', 'a.__proto__.b', '', '/', '~', 'hasOwnProperty'), fc.string());
const tree = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof({ maxDepth: 4, withCrossShrink: true }, fc.constantFrom(null, true, 0, -0, 1.5, 2 ** 53, '', 'grant', '\u202e', '\ud800'), fc.string(), fc.array(tie('value'), { maxLength: 4 }),
    fc.array(fc.tuple(key, tie('value')), { maxLength: 5 }).map((entries) => Object.fromEntries(entries))),
})).value;

describe('whatever is sent', () => {
  it('is answered with a problem of the closed list, records nothing and changes no prototype', async () => {
    const size = sidecar.log.size;
    await fc.assert(
      fc.asyncProperty(fc.oneof(tree.map((value) => JSON.stringify(value)), tree.map((value) => JSON.stringify({ ...GRANT, extra: value })), fc.string(), fc.uint8Array({ maxLength: 200 })), async (body) => {
        const problem = problemIn(await sidecar.send(CALLER, 'POST', '/v1/changes', body));
        expect(ERROR_CODES).toContain(problem.code);
        expect([400, 422]).toContain(problem.status);
      }),
      { numRuns: 1_500 },
    );
    expect(sidecar.log.size).toBe(size);
    expect(prototypes()).toBe(prototype);
  });

  it('and wherever, is answered without an internal error', async () => {
    const segment = fc.oneof(fc.constantFrom('v1', 'changes', 'nhis', 'leases', 'ledger', 'tile', 'entries', 'objects', 'approvals', '%2F', '..', '__proto__', 'constructor'), fc.string().map(encodeURIComponent));
    await fc.assert(
      fc.asyncProperty(fc.array(segment, { maxLength: 5 }), fc.constantFrom('GET', 'POST', 'PUT', 'HEAD'), fc.string(), async (segments, method, query) => {
        const path = `/${segments.join('/')}?${encodeURIComponent(query)}`;
        const answered = await sidecar.send('person:kim', method, path, method === 'POST' || method === 'PUT' ? {} : undefined);
        expect(answered.status, path).toBeLessThan(500);
      }),
      { numRuns: 1_500 },
    );
    expect(sidecar.logged.filter((line) => line.level === 'error')).toEqual([]);
  });
});

describe('whatever is sent about a change that is there', () => {
  const dsse = fc.record({ payloadType: fc.oneof(fc.constant('application/vnd.countersign.report+json'), fc.string()), payload: tree.map((value) => Buffer.from(JSON.stringify(value)).toString('base64')), signatures: fc.constant([{ keyid: 'caller:x', sig: 'AAAA' }]) });
  const message = fc.record({ v: fc.constant(1), report: dsse, objects: fc.array(fc.string(), { maxLength: 3 }), ciphertext: fc.constantFrom(null, 'AAAA'), order: fc.oneof(fc.constant(null), dsse) });

  it('on any route that takes a body, is answered with a problem, and records nothing', async () => {
    const run = testRun();
    const called = await sidecar.change(CALLER, { kind: 'rotate', subject: CALLER, connector: 'pg-main', target: 'app', purpose: 'deploy-orders', reason: 'by script', caller: { key: run.key, timeout: 'PT5M' } });
    const lock = (await sidecar.send('person:wei', 'POST', '/v1/locks', { nhi: 'nhi:prod/ci-deployer', reason: 'a test' })).body as { lockId: string };
    const size = sidecar.log.size;
    const routes = fc.constantFrom(
      ...['revisions', 'approvals', 'withdraw', 'revoke', 'delivery', 'confirmations', 'reports'].map((rest) => `/v1/changes/${called.id}/${rest}`),
      `/v1/nhis/${encodeURIComponent(CALLER)}/revoke`, '/v1/locks', `/v1/locks/${lock.lockId}/lift`,
    );
    // Nothing in it is a field of any of these bodies but by chance; so that none is what it takes, there is always one too many.
    const body = fc.oneof(tree.map((value) => JSON.stringify({ surplus: value })), tree.filter((value) => typeof value !== 'object').map((value) => JSON.stringify(value)), message.map((value) => JSON.stringify(value)), fc.string().map((text) => `[${text}`));
    await fc.assert(
      fc.asyncProperty(routes, fc.constantFrom(CALLER, 'person:wei', 'person:mallory'), body, async (path, by, sent) => {
        const problem = problemIn(await sidecar.send(by, 'POST', path, sent));
        expect(ERROR_CODES).toContain(problem.code);
        expect(problem.status, `${path} ${sent}`).toBeLessThan(500);
      }),
      { numRuns: 1_500 },
    );
    expect(sidecar.log.size).toBe(size);
    expect(sidecar.logged.filter((line) => line.level === 'error')).toEqual([]);
    expect(prototypes()).toBe(prototype);
  });
});

describe('one spelling', () => {
  it('every path made of encoded segments is canonical, and no other spelling of it is', () => {
    fc.assert(
      fc.property(fc.array(fc.string({ minLength: 1 }).filter((text) => text !== '.' && text !== '..' && !text.includes('\0')), { minLength: 1, maxLength: 4 }), (texts) => {
        const segments = texts.map(encodeURIComponent);
        const path = `/${segments.join('/')}`;
        fc.pre(path.length <= 2048);
        expect(isCanonicalPath(path)).toBe(true);
        expect(isCanonicalPath(`${path}/`)).toBe(false);
        expect(isCanonicalPath(`/${path}`)).toBe(false);
        const first = path.codePointAt(1)!;
        if (first !== 0x25 && first !== 0x3a) expect(isCanonicalPath(`/%${first.toString(16).padStart(2, '0')}${path.slice(2)}`)).toBe(false);
      }),
    );
  });

  it('a key survives being quoted, whatever printable characters it has', () => {
    fc.assert(
      fc.property(fc.string({ minLength: 1, maxLength: 100, unit: fc.integer({ min: 0x20, max: 0x7e }).map((code) => String.fromCharCode(code)) }), (text) => {
        const headers = new Headers({ 'idempotency-key': `"${text.replaceAll(/["\\]/g, (character) => `\\${character}`)}"` });
        expect(readIdempotencyKey(headers)).toBe(text);
      }),
    );
  });
});
