import { createHmac, createPublicKey, KeyObject, sign } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { calculateJwkThumbprint } from 'jose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Directory } from '../../src/facts/schemas.ts';
import { openIssuers, type TokenIssuers } from '../../src/identity/issuers.ts';
import type { IssuerConfig } from '../../src/identity/issuer-config.ts';
import type { Authenticated, Refused } from '../../src/identity/tokens.ts';
import { AUDIENCE, ISSUER, issue, issuerConfig, issuerKey, writeKeys, type IssuerKey } from '../support/token-issuer.ts';

const NOW_MS = Date.UTC(2026, 0, 2);
const NOW = NOW_MS / 1000;
const SECRET_WORD = 'echo-me-not';
const person = (id: string, value: string | null, more: Partial<Directory['people'][number]> = {}): Directory['people'][number] =>
  ({ id, name: id, active: true, linked: [], ...(value === null ? {} : { logins: [{ issuer: ISSUER, value }] }), ...more });
const DIRECTORY: Directory = {
  v: 1,
  people: [
    person('person:ana', 'u-ana', { linked: ['person:ana-adm'] }), person('person:ana-adm', 'u-ana-adm'), person('person:kim', 'u-kim', { active: false }), person('person:wei', 'u-wei'),
    person('person:two', 'u-shared'), person('person:three', 'u-shared'), person('person:olga', 'u-olga', { linked: ['person:olga-old'] }), person('person:olga-old', 'u-olga-old', { active: false }),
  ],
  teams: [{ id: 'security', members: ['person:wei'] }],
};

let directory: string;
let key: IssuerKey;
let other: IssuerKey;
let rsa: IssuerKey;
let issuers: TokenIssuers;
const open = (...configs: IssuerConfig[]): Promise<TokenIssuers> => openIssuers(configs, {
  clock: { nowMs: () => NOW_MS, after: () => () => undefined }, facts: () => ({ directory: DIRECTORY }), userAgent: 'test', logger: { info: () => undefined, warn: () => undefined, error: () => undefined },
});
const PEOPLE = { kind: 'person', roles: ['caller', 'approver'], teams: [{ team: 'security', roles: ['operator'] }] };
const make = async (given: object = {}, kinds: readonly IssuerKey[] = [key, rsa]): Promise<TokenIssuers> =>
  open(issuerConfig({ mapping: PEOPLE, jwks: { file: await writeKeys(directory, kinds.map((one) => one.jwk), `${Math.random()}.json`) }, ...given }));
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'countersign-issuers-'));
  [key, other, rsa] = [await issuerKey('k1'), await issuerKey('k1'), await issuerKey('k2', 'RS256')];
  issuers = await make();
});
afterAll(() => rm(directory, { recursive: true }));

const ask = async (claims: Record<string, unknown>, header: Record<string, unknown> = {}, by = key, at = issuers): Promise<Authenticated | Refused> => at.authenticate(await issue(by, claims, { nowMs: NOW_MS, header }));
const refusedFor = (why: string | RegExp, code: Refused['refused'] = 'token-refused'): unknown => ({ refused: code, detail: expect.stringMatching(why) as unknown });
const segment = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');

describe('a token of a configured issuer', () => {
  it('is its person’s, with the roles that the configuration gives, and says whose word it is', async () => {
    expect(await ask({ sub: 'u-wei', roles: ['auditor'], groups: ['admins'], scope: 'eraser' })).toEqual({
      principal: 'person:wei', roles: new Set(['caller', 'approver', 'operator']), isDelegated: false, actsFor: [],
      authentication: { kind: 'person', issuer: ISSUER, subject: 'u-wei', key: `sha256:${Buffer.from(await calculateJwkThumbprint(key.jwk), 'base64url').toString('hex')}` },
    });
  });

  it.each([
    ['another audience', { aud: 'another' }, 'claim aud'],
    ['no audience', { aud: undefined }, 'claim aud'],
    ['another issuer', { iss: 'https://another.example' }, 'none of those configured'],
    ['an issuer but for a slash', { iss: `${ISSUER}/` }, 'none of those configured'],
    ['no issuer', { iss: undefined }, 'none of those configured'],
    ['an issuer that is a list', { iss: [ISSUER] }, 'none of those configured'],
    ['its end behind it', { exp: NOW - 31 }, 'expired'],
    ['no end', { exp: undefined }, 'claim exp'],
    ['an end that is a text', { exp: `${NOW + 60}` }, 'claim exp'],
    ['an end too far away', { exp: NOW + 86_431 }, 'longer than is taken'],
    ['its beginning before it', { nbf: NOW + 31 }, 'claim nbf'],
    ['no subject', { sub: undefined }, 'claim sub'],
    ['an empty subject', { sub: '' }, 'claim sub'],
    ['a subject that turns text around', { sub: 'u-wei‮' }, 'claim sub'],
    ['a key that its bearer must show', { cnf: { jkt: 'x' } }, 'bound to a key'],
  ])('with %s is refused', async (_name, claims, why) => {
    expect(await ask({ sub: 'u-wei', ...claims })).toEqual(refusedFor(why));
  });

  it('may be off by what the configuration tolerates, and no more', async () => {
    for (const claims of [{ exp: NOW - 29 }, { nbf: NOW + 30 }]) expect(await ask({ sub: 'u-wei', ...claims })).toMatchObject({ principal: 'person:wei' });
    expect(await ask({ sub: 'u-wei', exp: NOW - 1 }, {}, key, await make({ clockToleranceSeconds: 0 }))).toEqual(refusedFor('expired'));
  });

  it.each([
    ['jku', { jku: 'https://evil.example/jwks' }, 'says itself'],
    ['x5u', { x5u: 'https://evil.example/cert' }, 'says itself'],
    ['x5c', { x5c: ['MIIB'] }, 'says itself'],
    ['jwk', { jwk: { kty: 'EC' } }, 'says itself'],
    ['another type', { typ: 'logout+jwt' }, 'another type'],
    ['a type that is no text', { typ: 5 }, 'another type'],
    ['a type that is a list', { typ: ['JWT'] }, 'another type'],
    ['a key that is no text', { kid: { a: 1 } }, 'key is none'],
    ['a DPoP proof’s type', { typ: 'dpop+jwt' }, 'another type'],
    ['a key that nobody has', { kid: 'k9' }, 'key is none'],
    ['a key that is a path', { kid: '../../../../dev/null' }, 'key is none'],
    ['a key that is a query', { kid: "' OR 1=1 --" }, 'key is none'],
    ['a key of the prototype', { kid: '__proto__' }, 'key is none'],
  ])('whose header names %s is refused', async (_name, header, why) => {
    expect(await ask({ sub: 'u-wei' }, header)).toEqual(refusedFor(why));
  });

  it('by a key of somebody else is refused, under the issuer’s kid too, and with the key in its header', async () => {
    expect(await ask({ sub: 'u-wei' }, {}, other)).toEqual(refusedFor('signature does not hold'));
    expect(await ask({ sub: 'u-wei' }, { jwk: other.jwk }, other)).toEqual(refusedFor('says itself'));
  });

  it('that asks for what is not understood is refused', async () => {
    const token = await issue(key, { sub: 'u-wei' }, { nowMs: NOW_MS });
    const [, payload] = token.split('.');
    for (const header of [{ alg: 'ES256', kid: 'k1', crit: ['exp-x'], 'exp-x': 1 }, { alg: 'ES256', kid: 'k1', crit: [] }, { alg: 'ES256', kid: 'k1', crit: 5 }, { alg: 'ES256', kid: 'k1', crit: ['b64'], b64: false }]) {
      const input = `${segment(header)}.${payload!}`;
      const signature = sign('sha256', Buffer.from(input), { key: KeyObject.from(key.secret), dsaEncoding: 'ieee-p1363' }).toString('base64url');
      expect(await issuers.authenticate(`${input}.${signature}`)).toEqual(refusedFor('none that can be verified'));
    }
  });

  it('without a signature, or by an algorithm that is not configured, is refused before any key is looked at', async () => {
    const payload = segment({ iss: ISSUER, aud: AUDIENCE, sub: 'u-wei', exp: NOW + 60 });
    for (const alg of ['none', 'None', 'NONE', '', 'HS256', 'ES256K', 'RS256', null, ['ES256']]) {
      expect(await issuers.authenticate(`${segment({ alg, kid: 'k2' })}.${payload}.AA`), JSON.stringify(alg)).toEqual(refusedFor('algorithm is none of those configured|no JSON Web Token'));
    }
    expect(await ask({ sub: 'u-wei' }, {}, rsa)).toEqual(refusedFor('algorithm'));
  });

  it('that is a MAC by the issuer’s public key is refused', async () => {
    const at = await make({ algorithms: ['RS256'] });
    const publicKey = createPublicKey({ key: { ...rsa.jwk }, format: 'jwk' });
    const input = `${segment({ alg: 'HS256', kid: 'k2' })}.${segment({ iss: ISSUER, aud: AUDIENCE, sub: 'u-wei', exp: NOW + 60 })}`;
    for (const secret of [publicKey.export({ type: 'spki', format: 'pem' }), JSON.stringify(rsa.jwk)]) {
      expect(await at.authenticate(`${input}.${createHmac('sha256', secret).update(input).digest('base64url')}`)).toEqual(refusedFor('algorithm'));
    }
    expect(await ask({ sub: 'u-wei' }, {}, rsa, at)).toMatchObject({ principal: 'person:wei' });
  });

  it('with a bit changed anywhere is refused', async () => {
    const token = await issue(key, { sub: 'u-wei' }, { nowMs: NOW_MS });
    for (const at of [2, token.indexOf('.') + 5, token.lastIndexOf('.') + 3]) {
      const changed = token.slice(0, at) + (token[at] === 'A' ? 'B' : 'A') + token.slice(at + 1);
      expect(await issuers.authenticate(changed), String(at)).toMatchObject({ refused: 'token-refused' });
    }
  });

  it('of a type that the configuration names may be of no other', async () => {
    const at = await make({ typ: 'at+jwt' });
    expect(await ask({ sub: 'u-wei' }, { typ: 'application/at+JWT' }, key, at)).toMatchObject({ principal: 'person:wei' });
    for (const typ of ['JWT', undefined]) expect(await ask({ sub: 'u-wei' }, { typ }, key, at)).toEqual(refusedFor('another type'));
  });

  it('is held to its own issuer’s keys: those of another configured one prove nothing', async () => {
    const file = await writeKeys(directory, [key.jwk], 'one.json');
    const second = await writeKeys(directory, [other.jwk], 'two.json');
    const at = await open(issuerConfig({ mapping: PEOPLE, jwks: { file } }), issuerConfig({ issuer: 'https://second.example', mapping: PEOPLE, jwks: { file: second } }));
    expect(await ask({ sub: 'u-wei', iss: 'https://second.example' }, {}, key, at)).toEqual(refusedFor('signature'));
    expect(await ask({ sub: 'u-wei', iss: 'https://second.example' }, {}, other, at)).toEqual(refusedFor('nobody in the directory', 'token-not-mapped'));
    expect(await ask({ sub: 'u-wei' }, {}, key, at)).toMatchObject({ principal: 'person:wei' });
  });
});

describe('a person', () => {
  it('is one principal, whichever of her accounts she comes with', async () => {
    for (const sub of ['u-ana', 'u-ana-adm']) expect(await ask({ sub })).toMatchObject({ principal: 'person:ana' });
  });

  it.each([
    ['u-nobody', 'nobody in the directory'], ['person:wei', 'nobody in the directory'], ['u-shared', 'several people'], ['u-kim', 'disabled'], ['u-olga-old', 'disabled'],
  ])('%s is nobody', async (sub, why) => {
    expect(await ask({ sub })).toEqual(refusedFor(why, 'token-not-mapped'));
  });

  it('is known by an email only where her issuer has verified it', async () => {
    const at = await make({ mapping: { ...PEOPLE, claim: 'email' } });
    for (const claims of [{}, { email_verified: false }, { email_verified: 'true' }]) expect(await ask({ sub: 'x', email: 'u-wei', ...claims }, {}, key, at)).toEqual(refusedFor('not verified', 'token-not-mapped'));
    expect(await ask({ sub: 'x', email: 'u-wei', email_verified: true }, {}, key, at)).toMatchObject({ principal: 'person:wei' });
    expect(await ask({ sub: 'u-wei' }, {}, key, at)).toEqual(refusedFor('no claim email', 'token-not-mapped'));
  });

  it('has no role by default', async () => {
    expect(await ask({ sub: 'u-ana' }, {}, key, await make({ mapping: { kind: 'person' } }))).toMatchObject({ principal: 'person:ana', roles: new Set() });
  });
});

describe('a refusal', () => {
  it('holds nothing of the token', async () => {
    const claims = { sub: SECRET_WORD, aud: SECRET_WORD, repository: SECRET_WORD };
    const tokens = [
      await issue(key, claims, { nowMs: NOW_MS }), await issue(key, { ...claims, aud: AUDIENCE }, { nowMs: NOW_MS }), await issue(key, { ...claims, iss: SECRET_WORD }, { nowMs: NOW_MS }),
      await issue(key, claims, { nowMs: NOW_MS, header: { kid: SECRET_WORD, typ: SECRET_WORD } }), `${segment({ alg: SECRET_WORD })}.${segment({ iss: ISSUER })}.AA`, `${SECRET_WORD}.${SECRET_WORD}.AA`,
      await issue(key, { sub: 'u-wei', act: { sub: SECRET_WORD } }, { nowMs: NOW_MS }),
    ];
    for (const token of tokens) {
      const answered = JSON.stringify(await issuers.authenticate(token));
      expect(answered).toContain('refused');
      expect(answered).not.toContain(SECRET_WORD);
      for (const part of token.split('.').filter((one) => one.length > 8)) expect(answered).not.toContain(part);
    }
  });
});
