/** What the standard asks of the wire, line by line: the certification scenario of AuthZEN 1.0, and what it leaves to us. */
import { Hono } from 'hono';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { hashToken, makeTokens } from '../../src/identity/tokens.ts';
import type { EvaluationRequest, EvaluationResponse } from '../../src/sidecar/authzen/schemas.ts';
import { evaluateList } from '../../src/sidecar/authzen/evaluations.ts';
import { authzenRefusal, createAuthzenRouter } from '../../src/sidecar/authzen/router.ts';
import { problemOf } from '../../src/sidecar/context.ts';
import { ALLOWED, decisionIn, decisionsIn, DENIED, DEPLOYER, DEV, MANY, NEEDS_APPROVAL, ONE, openEvaluating } from '../support/authzen.ts';
import { tokenOf, type TestSidecar } from '../support/sidecar.ts';

let sidecar: TestSidecar;
beforeAll(async () => {
  sidecar = await openEvaluating();
});
afterAll(() => sidecar.close());

const { subject, action, resource, context } = ALLOWED;
const post = (path: string, body?: unknown, headers?: Record<string, string>, by: string | null = DEV) => sidecar.send(by, 'POST', path, body, headers);
const many = async (body: object): Promise<EvaluationResponse[]> => decisionsIn(await post(MANY, body));
/** An error as the standard has it: no decision, a string. */
const refused = async (answered: ReturnType<typeof post>): Promise<{ status: number; code: string }> => {
  const { status, headers, text } = await answered;
  expect(headers.get('content-type')).toBe('text/plain; charset=utf-8');
  expect(text).not.toContain('decision');
  return { status, code: /^([a-z-]+): .+\n$/.exec(text)![1]! };
};
const BAD: [string, unknown][] = [
  ['no subject', { action, resource, context }], ['no action', { subject, resource, context }], ['no resource', { subject, action, context }],
  ['a subject without a type', { ...ALLOWED, subject: { id: DEV } }], ['a subject without an id', { ...ALLOWED, subject: { type: 'nhi' } }],
  ['an action without a name', { ...ALLOWED, action: {} }], ['a resource without a type', { ...ALLOWED, resource: { id: 'x' } }], ['a resource without an id', { ...ALLOWED, resource: { type: 'entitlement' } }],
  ['a subject that is text', { ...ALLOWED, subject: DEV }], ['a name that is a number', { ...ALLOWED, action: { name: 123 } }], ['an id that is empty', { ...ALLOWED, subject: { type: 'nhi', id: '' } }],
  ['properties that are a list', { ...ALLOWED, subject: { ...subject, properties: [] } }], ['a context that is text', { ...ALLOWED, context: 'x' }], ['a context that is null', { ...ALLOWED, context: null }],
  ['a list', [ALLOWED]], ['null', null], ['text', '"grant"'],
];

describe('a request that is none', () => {
  it.each(BAD)('%s is 400 on the one endpoint and, without evaluations, on the other', async (_name, body) => {
    const text = JSON.stringify(body);
    expect(await refused(post(ONE, text))).toEqual({ status: 400, code: 'invalid-request' });
    expect(await refused(post(MANY, text))).toEqual({ status: 400, code: 'invalid-request' });
    if (typeof body === 'object' && body !== null && !Array.isArray(body)) expect(await refused(post(MANY, { ...body, evaluations: [] }))).toEqual({ status: 400, code: 'invalid-request' });
  });

  it.each([
    ['an empty body', '', 'malformed-json'], ['no JSON', '{"subject":', 'malformed-json'], ['a key twice', JSON.stringify(ALLOWED).replace('{', '{"action":{"name":"grant"},'), 'malformed-json'],
    ['a lone surrogate', JSON.stringify(ALLOWED).replace('"preview-reports"', '"\\ud800"'), 'malformed-json'], ['bytes that are not UTF-8', Buffer.from([0x7b, 0xff, 0x7d]), 'malformed-json'],
    ['a number beyond what a double holds', JSON.stringify(ALLOWED).replace('"PT15M"', '1e999'), 'malformed-json'], ['__proto__', JSON.stringify(ALLOWED).replace('{', '{"__proto__":{"decision":true},'), 'malformed-json'],
    ['a depth of a thousand', JSON.stringify(ALLOWED).replace('"PT15M"', `${'['.repeat(1000)}${']'.repeat(1000)}`), 'malformed-json'],
  ])('%s is 400', async (_name, body, code) => {
    for (const path of [ONE, MANY]) expect(await refused(post(path, body))).toEqual({ status: 400, code });
  });

  it.each(['text/plain', 'application/x-www-form-urlencoded', 'application/jsonp', 'application/authzen+json', ''])('Content-Type %j is 400', async (type) => {
    expect(await refused(post(ONE, JSON.stringify(ALLOWED), { 'content-type': type }))).toEqual({ status: 400, code: 'unsupported-media-type' });
  });

  it('Content-Type with a charset is fine', async () => {
    expect(decisionIn(await post(ONE, ALLOWED, { 'content-type': 'application/json; charset=utf-8' })).decision).toBe(true);
  });

  it('more than 64 KiB is 413', async () => {
    for (const path of [ONE, MANY]) expect(await refused(post(path, { ...ALLOWED, padding: 'x'.repeat(65_536) }))).toEqual({ status: 413, code: 'body-too-large' });
  });

  it('another method is 405', async () => {
    for (const path of [ONE, MANY]) {
      const answered = await sidecar.send(DEV, 'GET', path);
      expect([answered.status, answered.headers.get('allow')]).toEqual([405, 'POST']);
    }
  });
});

describe('who asks', () => {
  it('nobody is 401 with a challenge, before the body is looked at', async () => {
    for (const path of [ONE, MANY]) {
      const answered = await post(path, 'no json', {}, null);
      expect([answered.status, answered.headers.get('www-authenticate')]).toEqual([401, 'Bearer realm="countersign"']);
      expect(await refused(post(path, ALLOWED, { authorization: 'Bearer made-up' }, null))).toEqual({ status: 401, code: 'unauthenticated' });
    }
  });

  it('somebody who may not ask for changes is 403', async () => {
    for (const by of ['person:sam', 'person:kim', 'person:vera']) expect(await refused(post(ONE, ALLOWED, {}, by))).toEqual({ status: 403, code: 'role-required' });
  });

  it('a web page is 403, and another name 421', async () => {
    expect(await refused(post(ONE, ALLOWED, { origin: 'https://evil.example' }))).toEqual({ status: 403, code: 'origin-refused' });
    expect(await refused(post(ONE, ALLOWED, { host: 'evil.example' }))).toEqual({ status: 421, code: 'misdirected' });
  });
});

describe('fields that nobody knows', () => {
  it('are ignored, whatever they hold', async () => {
    const told = {
      ...ALLOWED, foo: 'bar', future: { nested: [true, null, 0.5, -1.25e-7, 9007199254740993] }, subject: { ...subject, more: 1.5 }, action: { ...action, more: {} }, resource: { ...resource, more: null },
      context: { ...context, time: '2025-06-27T18:03-07:00', risk: 0.73, ip: '192.168.1.1', decision: true },
    };
    expect(decisionIn(await post(ONE, JSON.stringify(told)))).toEqual(decisionIn(await post(ONE, ALLOWED)));
    expect(await many({ ...told, evaluations: [{}], options: { evaluations_semantic: 'execute_all', another_option: 'value' } })).toMatchObject([{ decision: true }]);
  });

  it('do not make a no a yes', async () => {
    for (const told of [{ decision: true }, { effect: 'allow' }, { approvals: ['person:wei'] }, { options: { decision: true } }]) expect(decisionIn(await post(ONE, { ...DENIED, ...told }, {}, DEPLOYER)).decision).toBe(false);
  });
});

describe('the name of a request', () => {
  it.each([
    ['a decision', (id: string) => post(ONE, ALLOWED, { 'x-request-id': id })], ['decisions', (id: string) => post(MANY, { evaluations: [ALLOWED] }, { 'x-request-id': id })],
    ['a body that is none', (id: string) => post(ONE, 'x', { 'x-request-id': id })], ['nobody', (id: string) => post(ONE, ALLOWED, { 'x-request-id': id }, null)],
    ['a web page', (id: string) => post(ONE, ALLOWED, { 'x-request-id': id, origin: 'https://evil.example' })], ['a search', (id: string) => post('/access/v1/search/subject', {}, { 'x-request-id': id })],
    ['another method', (id: string) => sidecar.send(DEV, 'GET', ONE, undefined, { 'x-request-id': id })],
  ])('comes back with what is answered to %s', async (_name, send) => {
    for (const id of ['bfe9eb29-ab87-4ca3-be83-a1d5d8305716', 'an arbitrary "string"; really']) expect((await send(id)).headers.get('x-request-id')).toBe(id);
  });

  it('is not made up', async () => {
    expect((await post(ONE, ALLOWED)).headers.has('x-request-id')).toBe(false);
  });
});

describe('several evaluations', () => {
  const [yes, no, waits] = [{}, { subject: DENIED.subject, resource: DENIED.resource }, { subject: NEEDS_APPROVAL.subject, resource: NEEDS_APPROVAL.resource, context: NEEDS_APPROVAL.context }];

  it('are answered in their order, without a decision of the whole', async () => {
    const answers = await many({ ...ALLOWED, evaluations: [yes, no, yes, waits] });
    expect(answers.map(({ decision }) => decision)).toEqual([true, false, true, false]);
  });

  it('take what they lack from the top, each key as a whole', async () => {
    expect((await many({ subject, action, evaluations: [{ resource, context }] }))[0]!.decision).toBe(true);
    expect((await many({ evaluations: [ALLOWED, ALLOWED] })).map(({ decision }) => decision)).toEqual([true, true]);
    // A context of its own takes the place of the other, and is not mixed with it: this one has no duration.
    expect(await many({ ...ALLOWED, evaluations: [{ context: { purpose: 'preview-reports' } }] })).toMatchObject([{ decision: false, context: { code: 'not-a-change' } }]);
    expect(await many({ ...ALLOWED, evaluations: [{ subject: { type: 'nhi' } }] })).toMatchObject([{ decision: false, context: { error: { status: 400, message: expect.stringContaining('subject.id') as string } } }]);
  });

  it.each([
    ['no resource', { subject, action, context }, {}], ['text', ALLOWED, 'grant'], ['null', ALLOWED, null], ['a list', ALLOWED, []], ['a number', ALLOWED, 1],
    ['a subject that is null', ALLOWED, { subject: null }], ['an action that is text', ALLOWED, { action: 'grant' }], ['a kind that nobody knows', ALLOWED, { action: { name: 'read' } }],
    ['a context that is none', ALLOWED, { context: [] }],
  ])('one with %s is a no of its own, and spoils no other', async (_name, top, bad) => {
    const answers = await many({ ...top, evaluations: [{ resource, context }, bad, { resource, context }] });
    expect(answers.map(({ decision }) => decision)).toEqual([true, false, true]);
    expect(answers[1]!.context).toMatchObject({ code: 'not-a-change', error: { status: expect.any(Number) as number, message: expect.any(String) as string } });
  });

  it.each([
    ['left out', undefined, [true, false, true, false]], ['execute_all', 'execute_all', [true, false, true, false]], ['deny_on_first_deny', 'deny_on_first_deny', [true, false]],
    ['permit_on_first_permit', 'permit_on_first_permit', [true]],
  ])('with the semantic %s, end where it says', async (_name, semantic, decisions) => {
    const options = semantic === undefined ? {} : { options: { evaluations_semantic: semantic } };
    expect((await many({ ...ALLOWED, ...options, evaluations: [yes, no, yes, waits] })).map(({ decision }) => decision)).toEqual(decisions);
  });

  it('a no that is an error ends deny_on_first_deny, and not permit_on_first_permit', async () => {
    const list = { ...ALLOWED, evaluations: [null, yes, no] };
    expect((await many({ ...list, options: { evaluations_semantic: 'deny_on_first_deny' } })).map(({ decision }) => decision)).toEqual([false]);
    expect((await many({ ...list, options: { evaluations_semantic: 'permit_on_first_permit' } })).map(({ decision }) => decision)).toEqual([false, true]);
  });

  it.each(['all', 'EXECUTE_ALL', '', 1, null])('with the semantic %j are 400', async (semantic) => {
    expect(await refused(post(MANY, { evaluations: [ALLOWED], options: { evaluations_semantic: semantic } }))).toEqual({ status: 400, code: 'invalid-request' });
  });

  it('that are no list, or more than fifty, are 400, and so are defaults of another form', async () => {
    for (const evaluations of [{}, 'all', null, Array.from({ length: 51 }, () => ALLOWED)]) expect(await refused(post(MANY, { ...ALLOWED, evaluations }))).toEqual({ status: 400, code: 'invalid-request' });
    expect(await refused(post(MANY, { subject: DEV, evaluations: [ALLOWED] }))).toEqual({ status: 400, code: 'invalid-request' });
    expect(await many({ ...ALLOWED, evaluations: Array.from({ length: 50 }, () => ({})) })).toHaveLength(50);
  });

  it('that take more than ten seconds together are no from then on', async () => {
    let nowMs = 0;
    const clock = { nowMs: () => nowMs };
    const slow = async (): Promise<EvaluationResponse> => {
      nowMs += 4_000;
      return { decision: true };
    };
    const answers = await evaluateList(slow, { ...ALLOWED, evaluations: [{}, {}, {}, {}, {}] }, { ...clock, failed: () => undefined });
    expect(answers.map(({ decision, context: told }) => told?.code ?? decision)).toEqual([true, true, true, 'timed-out', 'timed-out']);
  });

  it('none of them, or no list, is a single evaluation', async () => {
    for (const body of [ALLOWED, { ...ALLOWED, evaluations: [] }]) expect(decisionIn(await post(MANY, body)).decision).toBe(true);
  });
});

/**
 * The fixture that a certification runs against, by its own eight rules: alice and bob, records 1 and 2. This sidecar's own evaluator knows access changes and
 * nothing else, so the router is given one that knows the fixture.
 */
describe('the certification fixture', () => {
  const user = (id: string, properties?: Record<string, unknown>): EvaluationRequest['subject'] => ({ type: 'user', id, ...(properties === undefined ? {} : { properties }) });
  const record = (id: string, status?: string): EvaluationRequest['resource'] => ({ type: 'record', id, ...(status === undefined ? {} : { properties: { status } }) });
  const does = (name: string, properties?: Record<string, unknown>): EvaluationRequest['action'] => ({ name, ...(properties === undefined ? {} : { properties }) });
  const rules = async ({ subject: who, action: what, resource: which }: EvaluationRequest): Promise<EvaluationResponse> => {
    const isAdmin = who.properties?.['role'] === 'admin';
    if (what.name === 'read') return { decision: true };
    if (what.name === 'write') return { decision: which.properties?.['status'] === 'archived' ? isAdmin : who.id === 'alice' };
    return { decision: what.name === 'delete' && what.properties?.['soft'] === true };
  };
  const tokens = makeTokens([{ principal: DEV, roles: ['caller'], tokenSha256: hashToken(tokenOf(DEV)) }]);
  const app = new Hono();
  app.route('/', createAuthzenRouter({ tokens, clock: { nowMs: () => 0 }, logger: { info: () => undefined, warn: () => undefined, error: () => undefined }, evaluatorFor: () => rules }));
  app.onError((error, c) => authzenRefusal(problemOf(error), c.req.raw));
  const decide = async (path: string, body: unknown): Promise<unknown> => {
    const response = await app.request(path, { method: 'POST', body: JSON.stringify(body), headers: { authorization: `Bearer ${tokenOf(DEV)}`, 'content-type': 'application/json' } });
    expect(response.status).toBe(200);
    return response.json();
  };

  const RULES: [string, EvaluationRequest, boolean][] = [
    ['alice reads record-1', { subject: user('alice'), action: does('read'), resource: record('record-1') }, true],
    ['alice writes record-1', { subject: user('alice'), action: does('write'), resource: record('record-1') }, true],
    ['bob reads record-1', { subject: user('bob'), action: does('read'), resource: record('record-1') }, true],
    ['bob does not write record-1', { subject: user('bob'), action: does('write'), resource: record('record-1') }, false],
    ['alice does not write what is archived', { subject: user('alice'), action: does('write'), resource: record('record-2', 'archived') }, false],
    ['an admin does', { subject: user('bob', { role: 'admin' }), action: does('write'), resource: record('record-2', 'archived') }, true],
    ['alice deletes softly', { subject: user('alice'), action: does('delete', { soft: true }), resource: record('record-1') }, true],
    ['and not for good', { subject: user('alice'), action: does('delete', { soft: false }), resource: record('record-1') }, false],
  ];
  it.each(RULES)('%s', async (_name, evaluation, decision) => {
    expect(await decide(ONE, evaluation)).toEqual({ decision });
    expect(await decide(ONE, { ...evaluation, context: { time: '2025-06-27T18:03-07:00' } })).toEqual({ decision });
    // This sidecar, which knows no records, says no to all of it, in the same form.
    expect(decisionIn(await post(ONE, evaluation))).toMatchObject({ decision: false, context: { code: 'not-a-change' } });
  });

  it('and in batches: fully said, by defaults, and overridden as a whole', async () => {
    expect(await decide(MANY, { evaluations: RULES.map(([, evaluation]) => evaluation) })).toEqual({ evaluations: RULES.map(([, , decision]) => ({ decision })) });
    const archived = record('record-2', 'archived');
    expect(await decide(MANY, { action: does('write'), resource: archived, evaluations: [{ subject: user('alice') }, { subject: user('bob', { role: 'admin' }) }] })).toEqual({ evaluations: [{ decision: false }, { decision: true }] });
    expect(await decide(MANY, { subject: user('alice'), action: does('write'), resource: record('record-1', 'active'), evaluations: [{}, { resource: archived }] })).toEqual({ evaluations: [{ decision: true }, { decision: false }] });
    // A subject of its own brings none of the properties of the default along.
    expect(await decide(MANY, { subject: user('bob', { role: 'admin' }), action: does('write'), resource: archived, evaluations: [{ subject: user('bob') }] })).toEqual({ evaluations: [{ decision: false }] });
  });
});
