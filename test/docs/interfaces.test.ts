/** What breaks somebody who keeps to an interface as it was, rule by rule: each is seen to be told, and its opposite to be let pass. */
import { execFileSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { breaksOfAsyncApi, breaksOfOpenApi, breaksOfSchema } from '../../.ci/breaking.mjs';

type Json = Readonly<Record<string, unknown>>;
const ROOT = join(import.meta.dirname, '../..');
const read = (name: string): Json => JSON.parse(readFileSync(join(ROOT, 'docs', name), 'utf8')) as Json;
const between = (was: Json, is: Json, direction: 'in' | 'out'): string[] => breaksOfSchema(was, is, direction, { was: {}, is: {} }, 'it');

const object = (properties: Json, more: Json = {}): Json => ({ type: 'object', properties, ...more });
const a = { type: 'string' };
const kinds = (...names: readonly string[]): Json => ({ oneOf: names.map((name) => object({ kind: { const: name }, a }, { required: ['kind'] })) });

/** What was, what is, and what is said of it where others send it, and where we do. */
const CASES: readonly (readonly [rule: string, was: Json, is: Json, taken: readonly string[], sent: readonly string[]])[] = [
  ['nothing has changed', object({ a }), object({ a }), [], []],
  ['prose has changed', { type: 'string', description: 'one' }, { type: 'string', description: 'another' }, [], []],
  ['a member is gone', object({ a, b: a }), object({ a }), ['it.b: is gone'], ['it.b: is gone']],
  ['a member is new', object({ a }), object({ a, b: a }), [], []],
  ['a member is required now', object({ a }), object({ a }, { required: ['a'] }), ['it.a: is required now'], []],
  ['a new member is required', object({}), object({ a }, { required: ['a'] }), ['it.a: is required now'], []],
  ['a member may be absent now', object({ a }, { required: ['a'] }), object({ a }), [], ['it.a: may be absent now']],
  ['a value is gone', { enum: ['x', 'y'] }, { enum: ['x'] }, ['it: "y" is gone'], ['it: "y" is gone']],
  ['a value is new', { enum: ['x'] }, { enum: ['x', 'y'] }, [], ['it: may be "y" now']],
  ['a value is another', { const: 'x' }, { const: 'y' }, ['it: "x" is gone'], ['it: "x" is gone', 'it: may be "y" now']],
  ['only some values are taken', { type: 'string' }, { type: 'string', enum: ['x'] }, ['it: only 1 values are taken now'], []],
  ['any value may be sent', { type: 'string', enum: ['x'] }, { type: 'string' }, [], ['it: may be any value now']],
  ['the type is another', { type: 'string' }, { type: 'integer' }, ['it: string is not taken any more'], ['it: may be integer now']],
  ['a type is new', { type: 'string' }, { type: ['string', 'null'] }, [], ['it: may be null now']],
  ['integers alone', { type: 'number' }, { type: 'integer' }, ['it: number is not taken any more'], []],
  ['a type where there was none', {}, { type: 'string' }, ['it: only string is taken now'], []],
  ['null beside it', { type: 'string' }, { anyOf: [{ type: 'string' }, { type: 'null' }] }, [], ['it: may be null now']],
  ['null no more', { anyOf: [{ type: 'string' }, { type: 'null' }] }, { type: 'string' }, ['it: null is gone'], ['it: null is gone']],
  ['a kind is gone', kinds('x', 'y'), kinds('x'), ['it: kind "y" is gone'], ['it: kind "y" is gone']],
  ['a kind is new', kinds('x'), kinds('x', 'y'), [], []],
  ['the limit of one that is told by its members alone', { anyOf: [object({ all: { maxItems: 1 } }), object({ any: { maxItems: 1 } })] }, { anyOf: [object({ all: { maxItems: 1 } }), object({ any: { maxItems: 2 } })] }, [], ['it.any: maxItems is 2 now']],
  ['inside a kind', kinds('x', 'y'), { oneOf: [object({ kind: { const: 'x' } }, { required: ['kind'] }), object({ kind: { const: 'y' }, a }, { required: ['kind'] })] }, ['it.a: is gone'], ['it.a: is gone']],
  ['the longest is shorter', { maxLength: 9 }, { maxLength: 8 }, ['it: maxLength is 8 now'], []],
  ['the longest is longer', { maxLength: 8 }, { maxLength: 9 }, [], ['it: maxLength is 9 now']],
  ['there are more', { maxItems: 8 }, { maxItems: 9 }, [], ['it: maxItems is 9 now']],
  ['there are fewer', { minItems: 1 }, { minItems: 0 }, [], ['it: minItems is 0 now']],
  ['the greatest is greater', { maximum: 8 }, { maximum: 9 }, [], ['it: maximum is 9 now']],
  ['the least is less', { minimum: 1 }, { minimum: -1 }, [], ['it: minimum is -1 now']],
  ['a limit is no more', { type: 'array', maxItems: 3 }, { type: 'array' }, [], ['it: maxItems is not said any more']],
  ['a limit of 0 is no more', { minimum: 0 }, {}, [], ['it: minimum is not said any more']],
  ['a limit is new', { type: 'array' }, { type: 'array', maxItems: 3 }, ['it: maxItems is 3 now'], []],
  ['the least is more', { minimum: 0 }, { minimum: 1 }, ['it: minimum is 1 now'], []],
  ['each once', { type: 'array' }, { type: 'array', uniqueItems: true }, ['it: uniqueItems is asked now'], []],
  ['more than once', { type: 'array', uniqueItems: true }, { type: 'array' }, [], ['it: uniqueItems is not said any more']],
  ['another pattern', { pattern: 'a' }, { pattern: 'b' }, ['it: pattern is another now'], ['it: pattern is another now']],
  ['a pattern is new', {}, { pattern: 'b' }, ['it: pattern is another now'], []],
  ['a pattern is no more', { pattern: 'a' }, {}, [], ['it: pattern is not said any more']],
  ['nothing else any more', object({ a }), object({ a }, { additionalProperties: false }), ['it.*: nothing else is taken any more'], []],
  ['anything else', object({ a }, { additionalProperties: a }), object({ a }), [], ['it.*: may be anything now']],
  ['what else there is', object({}, { additionalProperties: { maxLength: 2 } }), object({}, { additionalProperties: { maxLength: 1 } }), ['it.*: maxLength is 1 now'], []],
  ['names', { propertyNames: { maxLength: 2 } }, { propertyNames: { maxLength: 1 } }, ['it.(name): maxLength is 1 now'], []],
  ['items', { items: { enum: [1, 2] } }, { items: { enum: [1] } }, ['it[]: 2 is gone'], ['it[]: 2 is gone']],
  ['any names', { propertyNames: { maxLength: 1 } }, {}, [], ['it.(name): may be any now']],
  ['names, where any were', {}, { propertyNames: { maxLength: 1 } }, ['it.(name): only some are taken now'], []],
  ['items, where any were', {}, { items: { enum: [1] } }, ['it[]: only some are taken now'], []],
  ['any items', { items: { enum: [1] } }, {}, [], ['it[]: may be anything now']],
  ['what is not understood', { not: { type: 'string' } }, { not: { type: 'null' } }, ['it: not has changed'], ['it: not has changed']],
];

describe('a schema', () => {
  it.each(CASES)('%s', (_rule, was, is, taken, sent) => {
    expect(between(was, is, 'in')).toEqual(taken);
    expect(between(was, is, 'out')).toEqual(sent);
  });

  it('that has a name is told of by it where it is one of several as well', () => {
    const document = (maxItems: number): Json => ({ components: { schemas: { One: { anyOf: [{ type: 'string' }, object({ all: { maxItems } })] } } } });
    const orNone = { anyOf: [{ $ref: '#/components/schemas/One' }, { type: 'null' }] };
    expect(breaksOfSchema(object({ left: orNone, right: orNone }), object({ left: orNone, right: orNone }), 'out', { was: document(4), is: document(5) }, 'it')).toEqual(['One (sent).all: maxItems is 5 now']);
  });

  it('that has a name is told of once, by that name, and one that holds itself comes to an end', () => {
    const document = (node: Json): Json => ({ components: { schemas: { Node: node } } });
    const [was, is] = [document(object({ next: { $ref: '#/components/schemas/Node' }, a })), document(object({ next: { $ref: '#/components/schemas/Node' } }))];
    const twice = object({ left: { $ref: '#/components/schemas/Node' }, right: { $ref: '#/components/schemas/Node' } });
    expect(breaksOfSchema(twice, twice, 'out', { was, is }, 'it')).toEqual(['Node (sent).a: is gone']);
  });
});

type Path = readonly (string | number)[];
/** The document with what is at the path changed. */
function edited(document: Json, path: Path, edit: (holder: Record<string | number, unknown>, last: string | number) => void): Json {
  const copy = structuredClone(document);
  edit(path.slice(0, -1).reduce<Record<string | number, unknown>>((node, name) => node[name] as Record<string, unknown>, copy), path.at(-1)!);
  return copy;
}

const without = (document: Json, ...path: Path): Json => edited(document, path, (holder, last) => {
  if (Array.isArray(holder)) holder.splice(Number(last), 1);
  else delete holder[last];
});
const having = (document: Json, value: unknown, ...path: Path): Json => edited(document, path, (holder, last) => (holder[last] = value));

describe('the HTTP API', () => {
  const now = read('openapi.json');
  const gone = (...path: Path): string[] => breaksOfOpenApi(now, without(now, ...path));
  const other = (value: unknown, ...path: Path): string[] => breaksOfOpenApi(now, having(now, value, ...path));
  const ask = ['paths', '/v1/changes', 'post'] as const;

  it('breaks nobody as it is', () => expect(breaksOfOpenApi(now, now)).toEqual([]));

  it('breaks who uses what is gone, or what is asked for now', () => {
    expect(gone('paths', '/v1/locks')).toEqual(expect.arrayContaining(['GET /v1/locks: is gone', 'POST /v1/locks: is gone']));
    expect(gone(...ask)).toEqual(['POST /v1/changes: is gone']);
    expect(gone(...ask, 'responses', '409')).toEqual(['POST /v1/changes 409: is gone']);
    expect(gone(...ask, 'responses', '400', 'content', 'application/problem+json')).toEqual(['POST /v1/changes 400 application/problem+json: is gone']);
    expect(gone(...ask, 'requestBody')).toEqual(['POST /v1/changes request: is gone']);
    expect(gone(...ask, 'parameters', 0)).toEqual(['POST /v1/changes query wait: is gone']);
    expect(other(true, ...ask, 'parameters', 1, 'required')).toEqual(['POST /v1/changes header Idempotency-Key: is required now']);
    expect(other([], ...ask, 'security')).toEqual(['POST /v1/changes: security has changed']);
    expect(gone('components', 'securitySchemes', 'token')).toEqual(['security scheme token: is gone']);
    expect(other('basic', 'components', 'securitySchemes', 'token', 'scheme')).toEqual(['security scheme token: has changed']);
    expect(other([{ token: [] }], 'security')).toEqual(['security has changed']);
    expect(gone('components', 'schemas', 'Change', 'properties', 'state')).toEqual(['Change (sent).state: is gone']);
    expect(gone('components', 'schemas', 'Problem', 'properties', 'code', 'enum', 0)).toEqual(['Problem (sent).code: "malformed-json" is gone']);
    expect(gone('components', 'schemas', 'ChangeRequest', 'oneOf', 0)).toEqual(['ChangeRequest (taken): kind "provision", urgency "emergency" is gone']);
  });

  it('breaks who reads a header that is gone, may be absent, or says something else', () => {
    const at = [...ask, 'responses', '429', 'headers'] as const;
    const stated = having(now, { 'Retry-After': { required: true, schema: { type: 'integer' } } }, ...at);
    const said = (headers: unknown): string[] => breaksOfOpenApi(stated, having(stated, headers, ...at));
    expect(said({})).toEqual(['POST /v1/changes 429 header Retry-After: is gone']);
    expect(said({ 'Retry-After': { schema: { type: 'integer' } } })).toEqual(['POST /v1/changes 429 header Retry-After: may be absent now']);
    expect(said({ 'Retry-After': { required: true, schema: { type: 'string' } } })).toEqual(['POST /v1/changes 429 header Retry-After: may be string now']);
    expect(said({ 'Retry-After': { required: true } })).toEqual(['POST /v1/changes 429 header Retry-After: schema has changed']);
    expect(said({ 'retry-after': { required: true, schema: { type: 'integer', description: 'seconds' } }, more: {} })).toEqual([]);
    const named = having(having(stated, { 'Retry-After': { $ref: '#/components/headers/After' } }, ...at), { After: { required: true, schema: { type: 'string' } } }, 'components', 'headers');
    expect(breaksOfOpenApi(stated, named)).toEqual(['POST /v1/changes 429 header Retry-After: may be string now']);
  });

  it('breaks nobody by what is new', () => {
    expect(other({ get: { responses: {} } }, 'paths', '/v1/new')).toEqual([]);
    expect(other({ name: 'more', in: 'query', required: false, schema: a }, ...ask, 'parameters', 2)).toEqual([]);
    expect(other(a, 'components', 'schemas', 'Change', 'properties', 'more')).toEqual([]);
  });
});

describe('the bus', () => {
  const now = read('asyncapi.json');
  const gone = (...path: Path): string[] => breaksOfAsyncApi(now, without(now, ...path));
  const other = (value: unknown, ...path: Path): string[] => breaksOfAsyncApi(now, having(now, value, ...path));

  it('breaks nobody as it is', () => expect(breaksOfAsyncApi(now, now)).toEqual([]));

  it('breaks who uses what is gone, and who sends or reads what is another', () => {
    expect(gone('channels', 'events')).toEqual(['channel events: is gone']);
    expect(other('elsewhere', 'channels', 'steps', 'address')).toEqual(['channel steps: address has changed']);
    expect(gone('channels', 'steps', 'messages', 'step')).toEqual(['channel steps message step: is gone']);
    expect(gone('operations', 'takeStep')).toEqual(['operation takeStep: is gone']);
    expect(other('send', 'operations', 'takeStep', 'action')).toEqual(['operation takeStep: has changed']);
    expect(gone('channels', 'steps', 'parameters', 'token')).toEqual(['channel steps parameter token: is gone']);
    expect(other({ enum: ['x'] }, 'components', 'parameters', 'lane')).toEqual(expect.arrayContaining(['channel steps parameter lane: has changed']));
    expect(gone('operations', 'callApi', 'reply')).toEqual(['operation callApi reply: is gone']);
    expect(gone('operations', 'callApi', 'reply', 'messages', 0)).toEqual(['operation callApi reply answer: is gone']);
    expect(gone('operations', 'takeStep', 'messages', 0)).toEqual(['operation takeStep step: is gone']);
    expect(other('Who it is for', 'components', 'parameters', 'lane', 'description')).toEqual([]);
    expect(other('text/plain', 'components', 'messages', 'step', 'contentType')).toEqual(['message step: contentType has changed']);
    expect(gone('components', 'messages', 'step', 'headers')).toEqual(['message step headers: has changed']);
    // What a worker is sent holds no less; what it sends is taken as before.
    expect(gone('components', 'schemas', 'StepEnvelope', 'properties', 'receipt')).toEqual(['StepEnvelope (sent).receipt: is gone']);
    expect(gone('components', 'schemas', 'Said', 'oneOf', 0)).toEqual([expect.stringMatching(/^Said \(taken\): t "/)]);
  });
});

describe('npm run check', () => {
  const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string };
  let directory: string;
  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), 'cs-interfaces-'));
    for (const name of ['.ci/breaking.mjs', '.ci/interfaces.mjs', 'package.json', 'test/interfaces', 'docs/openapi.json', 'docs/asyncapi.json']) cpSync(join(ROOT, name), join(directory, name), { recursive: true });
  });
  afterAll(() => rmSync(directory, { recursive: true, force: true }));
  const check = (...more: string[]): { readonly exit: number; readonly said: string } => {
    try {
      return { exit: 0, said: execFileSync(process.execPath, [join(directory, '.ci/interfaces.mjs'), ...more], { encoding: 'utf8' }) };
    } catch (error) {
      const { status, stdout } = error as { status: number; stdout: string };
      return { exit: status, said: stdout };
    }
  };

  it('refuses what breaks and is not listed, and a list of what does not break; a release takes what there is', () => {
    const listed = join(directory, 'test/interfaces/breaking.json');
    const path = join(directory, 'docs/openapi.json');
    expect(check()).toEqual({ exit: 0, said: '' });
    writeFileSync(path, readFileSync(path, 'utf8').replaceAll('"Idempotency-Key"', '"Once-Key"'));
    const what = 'openapi.json: POST /v1/changes header Idempotency-Key: is gone';
    const broken = check();
    expect(broken.exit).toBe(1);
    expect(broken.said).toContain(`breaks who keeps to ${version}: ${what}`);
    const before = JSON.parse(readFileSync(listed, 'utf8')) as { readonly what: string; readonly why: string }[];
    const all = [...before, ...broken.said.trim().split('\n').map((line) => ({ what: line.replace(`breaks who keeps to ${version}: `, ''), why: 'a test' }))];
    writeFileSync(listed, JSON.stringify(all));
    expect(check()).toEqual({ exit: 0, said: '' });
    writeFileSync(listed, JSON.stringify([...all, { what: 'openapi.json: POST /v1/locks: is gone', why: 'not so' }]));
    expect(check().said).toContain('and not so: openapi.json: POST /v1/locks: is gone');
    writeFileSync(listed, JSON.stringify(all.map(({ what: one }) => ({ what: one, why: ' ' }))));
    expect(check().said).toContain(`without why: ${what}`);
    expect(check('--take').exit).toBe(0);
    expect(check()).toEqual({ exit: 0, said: '' });
    expect(JSON.parse(readFileSync(listed, 'utf8'))).toEqual([]);
  });
});
