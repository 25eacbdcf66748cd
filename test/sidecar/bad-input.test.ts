import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { GRANT, openTestSidecar, problemIn, type TestSidecar } from '../support/sidecar.ts';

const CALLER = 'nhi:prod/ci-deployer';
let sidecar: TestSidecar;
beforeAll(async () => {
  sidecar = await openTestSidecar();
});
afterAll(() => sidecar.close());

const post = (body: string | Uint8Array, headers?: Record<string, string>, path = '/v1/changes') => sidecar.send(CALLER, 'POST', path, body, headers);
const good = JSON.stringify(GRANT);
const bytes = (...parts: (string | number[])[]): Uint8Array => Buffer.concat(parts.map((part) => Buffer.from(part as string)));
const withField = (name: string, value: string): string => `{${JSON.stringify(name)}:${value},${good.slice(1)}`;
const nested = (depth: number): string => '['.repeat(depth) + ']'.repeat(depth);

/** What a request is, what is sent, and what must come back: status, code and the pointer that is named. */
const CORPUS: readonly (readonly [string, string | Uint8Array, number, string, string])[] = [
  ['an empty body', '', 400, 'malformed-json', ''],
  ['a text that is not JSON', 'hello', 400, 'malformed-json', ''],
  ['JSON with something after it', `${good} {}`, 400, 'malformed-json', ''],
  ['a JSON text in single quotes', good.replaceAll('"', "'"), 400, 'malformed-json', ''],
  ['a trailing comma', `${good.slice(0, -1)},}`, 400, 'malformed-json', ''],
  ['a comment', `/* */${good}`, 400, 'malformed-json', ''],
  ['a key twice', withField('kind', '"grant"'), 400, 'malformed-json', '/kind'],
  ['a key twice, once with an escape', withField('k\\u0069nd'.replace('\\\\', '\\'), '"grant"').replace('\\\\u', '\\u'), 400, 'malformed-json', '/kind'],
  ['a nested key twice', good.replace('"target":"app"', '"target":"app","target":"other"'), 400, 'malformed-json', '/entitlements/0/target'],
  ['a byte order mark', bytes([0xef, 0xbb, 0xbf], good), 400, 'malformed-json', ''],
  ['invalid UTF-8', bytes(good.slice(0, -2), [0xff, 0xfe], '"}'), 400, 'malformed-json', ''],
  ['an overlong encoding', bytes('{"reason":"', [0xc0, 0xaf], '"}'), 400, 'malformed-json', ''],
  ['a surrogate in UTF-8', bytes('{"reason":"', [0xed, 0xa0, 0x80], '"}'), 400, 'malformed-json', ''],
  ['an escaped lone surrogate', withField('note', '"\\ud800"'), 400, 'malformed-json', '/note'],
  ['UTF-16', Buffer.from(good, 'utf16le'), 400, 'malformed-json', ''],
  ['a raw NUL', bytes(good.slice(0, -2), [0], '"}'), 400, 'malformed-json', ''],
  ['__proto__', withField('__proto__', '{"polluted":true}'), 400, 'malformed-json', '/__proto__'],
  ['__proto__ further in', withField('note', '{"a":{"__proto__":{"polluted":true}}}'), 400, 'malformed-json', '/note/a/__proto__'],
  ['a depth of ten thousand', withField('note', nested(10_000)), 400, 'malformed-json', ''],
  ['a fraction', withField('n', '1.5'), 400, 'malformed-json', '/n'],
  ['a number beyond 2^53', withField('n', '9007199254740993'), 400, 'malformed-json', '/n'],
  ['NaN', withField('n', 'NaN'), 400, 'malformed-json', ''],
  ['constructor as a field', withField('constructor', '{"prototype":{"polluted":true}}'), 422, 'invalid-request', '/constructor'],
  ['null', 'null', 422, 'invalid-request', ''],
  ['a list', '[]', 422, 'invalid-request', ''],
  ['a string', '"grant"', 422, 'invalid-request', ''],
  ['nothing in it', '{}', 422, 'invalid-request', '/kind'],
  ['an unknown kind', good.replace('"grant"', '"elevate"'), 422, 'invalid-request', '/kind'],
  ['an unknown field', withField('priority', '"high"'), 422, 'invalid-request', '/priority'],
  ['an unknown field in an entitlement', good.replace('"target":"app"', '"target":"app","admin":true'), 422, 'invalid-request', '/entitlements/0/admin'],
  ['a status of the caller’s own', withField('state', '"approved"'), 422, 'invalid-request', '/state'],
  ['approvals of the caller’s own', withField('approvals', '[{"approver":"person:wei"}]'), 422, 'invalid-request', '/approvals'],
  ['a decision of the caller’s own', withField('decision', '{"effect":"allow"}'), 422, 'invalid-request', '/decision'],
  ['a plan digest of the caller’s own', withField('planDigest', `"sha256:${'0'.repeat(64)}"`), 422, 'invalid-request', '/planDigest'],
  ['a requester of the caller’s own', withField('requester', '["person:ana"]'), 422, 'invalid-request', '/requester'],
  ['a number where text is due', good.replace('"release 42"', '42'), 422, 'invalid-request', '/reason'],
  ['text where a list is due', good.replace(/"entitlements":\[.*\]/, '"entitlements":"all"'), 422, 'invalid-request', '/entitlements'],
  ['no entitlement', good.replace(/"entitlements":\[.*\]/, '"entitlements":[]'), 422, 'invalid-request', '/entitlements'],
  ['seventeen entitlements', good.replace(/"entitlements":\[(.*)\]/, (_all, one: string) => `"entitlements":[${Array<string>(17).fill(one).join(',')}]`), 422, 'invalid-request', '/entitlements'],
  ['a subject that is a person', good.replace('nhi:prod/ci-deployer', 'person:wei'), 422, 'invalid-request', '/subject'],
  ['a subject with a path in it', good.replace('nhi:prod/ci-deployer', 'nhi:prod/../root'), 422, 'invalid-request', '/subject'],
  ['a subject with a wildcard', good.replace('nhi:prod/ci-deployer', 'nhi:prod/*'), 422, 'invalid-request', '/subject'],
  ['a duration in months', good.replace('PT15M', 'P1M'), 422, 'invalid-request', '/duration'],
  ['a duration of nothing', good.replace('PT15M', 'PT0S'), 422, 'invalid-request', '/duration'],
  ['a negative duration', good.replace('PT15M', '-PT15M'), 422, 'invalid-request', '/duration'],
  ['a line break in the reason', good.replace('release 42', 'release\\n42'), 422, 'invalid-request', '/reason'],
  ['a terminal sequence in the reason', good.replace('release 42', '\\u001b[2J'), 422, 'invalid-request', '/reason'],
  ['a turn of direction in the reason', good.replace('release 42', '\\u202e24'), 422, 'invalid-request', '/reason'],
  ['a space of no width in the reason', good.replace('release 42', '\\u200b42'), 422, 'invalid-request', '/reason'],
  ['a NUL in the reason', good.replace('release 42', 'a\\u0000b'), 422, 'invalid-request', '/reason'],
  ['a reason of a thousand characters', good.replace('release 42', 'a'.repeat(1_000)), 422, 'invalid-request', '/reason'],
  ['two connectors', good.replace('"entitlements":[', '"entitlements":[{"connector":"pg-dev","target":"app","privilege":"role:deploy"},'), 422, 'mixed-targets', '/entitlements'],
  ['two targets', good.replace('"entitlements":[', '"entitlements":[{"connector":"pg-main","target":"other","privilege":"role:deploy"},'), 422, 'mixed-targets', '/entitlements'],
  ['one byte more than is allowed', `${good}${' '.repeat(65_537 - good.length)}`, 413, 'body-too-large', ''],
  ['a hundred thousand keys', `{${Array.from({ length: 100_000 }, (_, n) => `"k${n}":0`).join(',')}}`, 413, 'body-too-large', ''],
];

describe('a body that is not what it should be', () => {
  it('but a lock is set whatever was pasted into its reason', async () => {
    expect((await sidecar.send('person:olga', 'POST', '/v1/locks', { connector: 'pg-dev', reason: 'leaked\u200b' })).status).toBe(201);
  });

  it.each(CORPUS)('%s is refused with the place that is wrong, and nothing is recorded', async (_name, body, status, code, pointer) => {
    const size = sidecar.log.size;
    const problem = problemIn(await post(body));
    expect(problem).toMatchObject({ status, code, type: `https://countersign.dev/errors/${code}`, instance: '/v1/changes' });
    if (pointer !== '') expect(problem.errors?.map((error) => error.pointer)).toContain(pointer);
    expect(sidecar.log.size).toBe(size);
    expect(Object.hasOwn(Object.prototype, 'polluted')).toBe(false);
  });

  it('is taken at exactly the limit', async () => {
    expect((await post(`${good}${' '.repeat(65_536 - good.length)}`)).status).toBe(201);
  });

  it.each([
    ['no Content-Type', { 'content-type': '' }],
    ['a form', { 'content-type': 'application/x-www-form-urlencoded' }],
    ['plain text, as a web page can send unasked', { 'content-type': 'text/plain' }],
    ['JSON by another name', { 'content-type': 'application/problem+json' }],
    ['another character set', { 'content-type': 'application/json; charset=utf-16' }],
    ['a compressed body', { 'content-encoding': 'gzip' }],
  ])('%s is 415', async (_name, headers) => {
    const size = sidecar.log.size;
    expect(problemIn(await post(good, headers))).toMatchObject({ status: 415, code: 'unsupported-media-type' });
    expect(sidecar.log.size).toBe(size);
  });

  it('is taken with its character set spelled out', async () => {
    expect((await post(good, { 'content-type': 'application/json; charset=UTF-8' })).status).toBe(201);
  });

  it.each([
    ['approvals', '{"verdict":"approve"}', '/planDigest'],
    ['approvals', '{"verdict":"maybe","planDigest":"sha256:0"}', '/verdict'],
    ['approvals', `{"verdict":"approve","planDigest":"sha256:${'0'.repeat(64)}","approver":"person:ana"}`, '/approver'],
  ])('an approval that is not one is refused: %s %s', async (route, body, pointer) => {
    const change = await sidecar.change(CALLER, GRANT);
    const size = sidecar.log.size;
    const problem = problemIn(await sidecar.send('person:wei', 'POST', `/v1/changes/${change.id}/${route}`, body));
    expect(problem.errors?.map((error) => error.pointer)).toContain(pointer);
    expect(sidecar.log.size).toBe(size);
  });

  it('does not come back in the answer at length', async () => {
    const answered = await post(withField('x'.repeat(30_000), '1'));
    expect(answered.text.length).toBeLessThan(2_000);
  });
});

describe('a query that is not what it should be', () => {
  it.each([
    '/v1/changes?limit=0', '/v1/changes?limit=201', '/v1/changes?limit=1e2', '/v1/changes?limit=-1', '/v1/changes?limit=', '/v1/changes?limit=1&limit=2',
    '/v1/changes?state=nope', '/v1/changes?cursor=1', '/v1/changes?order=asc', '/v1/changes?__proto__=1', '/v1/changes?subject=wei', '/v1/changes?subject=team:x',
    '/v1/changes?kind=prolong', '/v1/leases?state=active', '/v1/nhis?limit=0', '/v1/nhis?page=1',
  ])('%s is 400', async (path) => {
    expect(problemIn(await sidecar.send(CALLER, 'GET', path))).toMatchObject({ status: 400, code: 'malformed-query' });
  });

  it.each(['wait=10', 'wait=PT61S', 'wait=P1D', 'since=-1', 'since=x'])('?%s on a change is 400', async (query) => {
    const change = await sidecar.change(CALLER, GRANT);
    expect(problemIn(await sidecar.send(CALLER, 'GET', `/v1/changes/${change.id}?${query}`)).code).toBe('malformed-query');
  });
});
