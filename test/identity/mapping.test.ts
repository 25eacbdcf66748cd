import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openIssuers, type TokenIssuers } from '../../src/identity/issuers.ts';
import { identitySchema } from '../../src/identity/issuer-config.ts';
import { requesterOf, type Authenticated, type Refused } from '../../src/identity/tokens.ts';
import { ISSUER, issue, issuerConfig, issuerKey, writeKeys, type IssuerKey } from '../support/token-issuer.ts';

const NOW_MS = Date.UTC(2026, 0, 2);
const DIRECTORY = {
  v: 1 as const,
  people: [...['ana', 'ben', 'wei'].map((name) => ({ id: `person:${name}`, name, active: true, linked: [], logins: [{ issuer: ISSUER, value: `u-${name}` }] })),
    { id: 'person:ana-adm', name: 'ana', active: true, linked: ['person:ana'], logins: [{ issuer: ISSUER, value: 'u-ana-adm' }] }],
  teams: [{ id: 'security' as const, members: ['person:wei'] }],
};
let directory: string;
let key: IssuerKey;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'countersign-mapping-'));
  key = await issuerKey('k1');
});
afterAll(() => rm(directory, { recursive: true }));

async function open(given: { mapping: object; issuer?: string; actors?: { nhi: string; subject: string; issuer?: string }[] }, use?: string): Promise<TokenIssuers> {
  const jwk = use === undefined ? key.jwk : { ...key.jwk, use };
  const config = issuerConfig({ ...given, jwks: { file: await writeKeys(directory, [jwk]) } });
  return openIssuers([config], {
    clock: { nowMs: () => NOW_MS, after: () => () => undefined }, facts: () => ({ directory: DIRECTORY }), userAgent: 'test', logger: { info: () => undefined, warn: () => undefined, error: () => undefined },
  });
}
const ask = async (at: TokenIssuers, claims: Record<string, unknown>): Promise<Authenticated | Refused> => at.authenticate(await issue(key, claims, { nowMs: NOW_MS }));
const NOT_MAPPED = expect.objectContaining({ refused: 'token-not-mapped' }) as unknown;

describe('a token of GitHub Actions', () => {
  const RULE = { nhi: 'nhi:prod/ci-deployer', repository: 'acme/billing', environment: 'production' };
  const CLAIMS = {
    sub: 'repo:acme/billing:environment:production', repository: 'acme/billing', repository_id: '11', repository_owner_id: '7', environment: 'production', ref: 'refs/heads/main',
    workflow_ref: 'acme/billing/.github/workflows/rotate.yml@refs/heads/main', event_name: 'workflow_dispatch',
  };
  const withRules = (...rules: object[]): Promise<TokenIssuers> => open({ mapping: { kind: 'github-actions', rules } });

  it('stands for the machine identity whose rule it meets in all', async () => {
    expect(await ask(await withRules(RULE), CLAIMS)).toMatchObject({ principal: 'nhi:prod/ci-deployer', roles: new Set(['caller']), authentication: { kind: 'github-actions', subject: CLAIMS.sub } });
    const all = { ...RULE, repositoryId: '11', repositoryOwnerId: '7', ref: 'refs/heads/main', workflow: CLAIMS.workflow_ref, event: 'workflow_dispatch' };
    expect(await ask(await withRules(all), CLAIMS)).toMatchObject({ principal: 'nhi:prod/ci-deployer' });
  });

  it.each([
    ['repository', 'acme/billing-fork'], ['repository', 'ACME/billing'], ['repository', undefined], ['repository', ['acme/billing']], ['repository_id', '12'], ['repository_owner_id', '8'],
    ['environment', 'staging'], ['environment', undefined], ['ref', 'refs/heads/mainx'], ['ref', 'refs/pull/1/merge'], ['workflow_ref', 'acme/billing/.github/workflows/other.yml@refs/heads/main'],
    ['event_name', 'push'],
  ])('with another %s (%s) stands for nobody', async (claim, value) => {
    const all = { ...RULE, repositoryId: '11', repositoryOwnerId: '7', ref: 'refs/heads/main', workflow: CLAIMS.workflow_ref, event: 'workflow_dispatch' };
    expect(await ask(await withRules(all), { ...CLAIMS, [claim]: value })).toEqual(NOT_MAPPED);
  });

  it.each(['pull_request', 'pull_request_target', 'pull_request_review', 'issue_comment', 'issues', 'discussion', 'discussion_comment', 'workflow_run', 'fork', 'watch', 'gollum', undefined])('of the event %s counts only where a rule names it', async (event_name) => {
    expect(await ask(await withRules(RULE), { ...CLAIMS, event_name })).toEqual(NOT_MAPPED);
    if (event_name !== undefined) expect(await ask(await withRules({ ...RULE, event: event_name }), { ...CLAIMS, event_name })).toMatchObject({ principal: 'nhi:prod/ci-deployer' });
  });

  it('that meets the rules of two identities stands for neither', async () => {
    expect(await ask(await withRules(RULE, { ...RULE, nhi: 'nhi:prod/other', environment: undefined, ref: 'refs/heads/main' }), CLAIMS)).toEqual(NOT_MAPPED);
    expect(await ask(await withRules(RULE, { ...RULE, environment: undefined, ref: 'refs/heads/main' }), CLAIMS)).toMatchObject({ principal: 'nhi:prod/ci-deployer' });
  });
});

describe('a token of a workload', () => {
  it('is its service account’s', async () => {
    const at = await open({ mapping: { kind: 'kubernetes', roles: ['caller', 'auditor'], rules: [{ nhi: 'nhi:prod/billing-export', namespace: 'billing', serviceAccount: 'export' }] } });
    expect(await ask(at, { sub: 'system:serviceaccount:billing:export' })).toMatchObject({ principal: 'nhi:prod/billing-export', roles: new Set(['caller', 'auditor']) });
    for (const sub of ['system:serviceaccount:billing:export2', 'system:serviceaccount:billing2:export', 'system:serviceaccount:billing', 'export', 'system:node:billing:export', 'SYSTEM:serviceaccount:billing:export']) {
      expect(await ask(at, { sub }), sub).toEqual(NOT_MAPPED);
    }
  });

  it('is its SPIFFE ID’s, with an issuer or, as SPIRE issues them, without', async () => {
    const mapping = { kind: 'spiffe', rules: [{ nhi: 'nhi:prod/billing-export', id: 'spiffe://acme.example/billing/export' }] };
    const named = await open({ mapping }, 'jwt-svid');
    expect(await ask(named, { sub: 'spiffe://acme.example/billing/export' })).toMatchObject({ principal: 'nhi:prod/billing-export' });
    const domain = await open({ issuer: 'spiffe://acme.example', mapping }, 'jwt-svid');
    expect(await ask(domain, { sub: 'spiffe://acme.example/billing/export', iss: undefined })).toMatchObject({ principal: 'nhi:prod/billing-export', authentication: { issuer: 'spiffe://acme.example' } });
    expect(await ask(domain, { sub: 'spiffe://acme.example/billing/other', iss: undefined })).toEqual(NOT_MAPPED);
    for (const claims of [{ sub: 'spiffe://evil.example/billing/export', iss: undefined }, { sub: 'spiffe://evil.example/x', iss: 'spiffe://acme.example' }, { sub: 'spiffe://acme.example/billing/export', iss: undefined, aud: undefined }]) {
      expect(await ask(domain, claims)).toMatchObject({ refused: 'token-refused' });
    }
    expect(await ask(await open({ mapping }, 'x509-svid'), { sub: 'spiffe://acme.example/billing/export' })).toMatchObject({ refused: 'token-refused' });
  });
});

describe('a chain of actors', () => {
  const actors = [1, 2, 3, 4, 5, 6, 7].map((n) => ({ nhi: `nhi:prod/agent-${n}`, subject: `agent-${n}` }));
  const at = (): Promise<TokenIssuers> => open({ mapping: { kind: 'person', roles: ['caller', 'approver', 'eraser'] }, actors });
  /** The last one acted first. */
  const chain = (subjects: readonly string[]): Record<string, unknown> => subjects.reduceRight<{ act?: object }>((inner, sub) => ({ act: { sub, ...inner } }), {});

  it.each([1, 2, 3, 4, 5, 6, 7])('of %i is kept whole, who acts now first and whom it is for last', async (length) => {
    const who = await ask(await at(), { sub: 'u-ana', ...chain(actors.slice(0, length).map((one) => one.subject)) });
    expect(who).toMatchObject({ principal: 'nhi:prod/agent-1', isDelegated: true, roles: new Set(['caller']), authentication: { subject: 'u-ana' } });
    expect(requesterOf(who as Authenticated)).toEqual([...actors.slice(0, length).map((one) => one.nhi), 'person:ana']);
  });

  it('that is longer is no chain', async () => {
    expect(await ask(await at(), { sub: 'u-ana', ...chain(['agent-1', 'agent-2', 'agent-3', 'agent-4', 'agent-5', 'agent-6', 'agent-7', 'agent-1']) })).toMatchObject({ refused: 'token-refused' });
  });

  it.each<[string, unknown]>([
    ['nothing', null], ['a text', 'agent-1'], ['a list', [{ sub: 'agent-1' }]], ['nobody', {}], ['a number', { sub: 1 }], ['an issuer that is none', { sub: 'agent-1', iss: 1 }],
    ['somebody and then nobody', { sub: 'agent-1', act: {} }], ['somebody and then nothing', { sub: 'agent-1', act: null }],
  ])('with %s in it is none', async (_name, act) => {
    expect(await ask(await at(), { sub: 'u-ana', act })).toMatchObject({ refused: 'token-refused' });
  });

  it('in which one is nobody stands for nobody', async () => {
    for (const subjects of [['agent-9'], ['agent-1', 'agent-9'], ['agent-9', 'agent-1']]) expect(await ask(await at(), { sub: 'u-ana', ...chain(subjects) })).toEqual(NOT_MAPPED);
    expect(await ask(await at(), { sub: 'u-nobody', ...chain(['agent-1']) })).toEqual(NOT_MAPPED);
  });

  it('of people gives nobody what only she herself may do, even where she acts for her other account', async () => {
    expect(await ask(await at(), { sub: 'u-ana', act: { sub: 'u-ben' } })).toMatchObject({ principal: 'person:ben', actsFor: ['person:ana'], roles: new Set(['caller']) });
    // Of two accounts of one person, it is the one that the directory lists first.
    expect(await ask(await at(), { sub: 'u-ana-adm', act: { sub: 'u-ana' } })).toMatchObject({ principal: 'person:ana', actsFor: [], isDelegated: true, roles: new Set(['caller']) });
  });

  it('has the roles that all of them have', async () => {
    const team = await open({ mapping: { kind: 'person', roles: ['auditor'], teams: [{ team: 'security', roles: ['caller', 'operator'] }] } });
    expect(await ask(team, { sub: 'u-wei' })).toMatchObject({ roles: new Set(['auditor', 'caller', 'operator']) });
    expect(await ask(team, { sub: 'u-ana', act: { sub: 'u-wei' } })).toMatchObject({ principal: 'person:wei', roles: new Set(['auditor']) });
  });

  it('names accounts of other issuers only where the configuration does', async () => {
    const act = { sub: 'u-ben', iss: 'https://other.example' };
    expect(await ask(await at(), { sub: 'u-ana', act })).toEqual(NOT_MAPPED);
    const other = await open({ mapping: { kind: 'person', roles: ['caller'] }, actors: [{ nhi: 'nhi:prod/agent-1', subject: 'u-ben', issuer: 'https://other.example' }] });
    expect(await ask(other, { sub: 'u-ana', act })).toMatchObject({ principal: 'nhi:prod/agent-1', actsFor: ['person:ana'] });
    expect(await ask(other, { sub: 'u-ana', act: { sub: 'u-ben' } })).toMatchObject({ principal: 'person:ben' });
  });
});

describe('the configuration of an issuer', () => {
  const good = { issuer: ISSUER, audience: 'a', algorithms: ['RS256'], jwks: { file: 'k.json' }, mapping: { kind: 'person' } };
  const read = (change: object): boolean => identitySchema.safeParse({ issuers: [{ ...good, ...change }] }).success;
  it.each<[string, object]>([
    ['a symmetric algorithm', { algorithms: ['HS256'] }], ['none', { algorithms: ['none'] }], ['no algorithm', { algorithms: [] }], ['no audience', { audience: undefined }],
    ['an issuer over http', { issuer: 'http://issuer.example' }], ['keys over http', { jwks: { url: 'http://issuer.example/jwks' } }], ['keys at a metadata service', { jwks: { url: 'https://169.254.169.254/jwks', allowPrivate: true } }],
    ['keys at a private address', { jwks: { url: 'https://10.0.0.1/jwks' } }], ['keys from nowhere', { jwks: {} }], ['keys from two places', { jwks: { file: 'k', url: 'https://issuer.example/k' } }],
    ['keys that end before they are asked for', { jwks: { file: 'k', refreshSeconds: 600, keepSeconds: 60 } }], ['a machine that approves', { mapping: { kind: 'kubernetes', roles: ['approver'], rules: [{ nhi: 'nhi:a/b', namespace: 'n', serviceAccount: 's' }] } }],
    ['a person as a machine', { mapping: { kind: 'spiffe', rules: [{ nhi: 'person:ana', id: 'spiffe://a/b' }] } }], ['a whole repository', { mapping: { kind: 'github-actions', rules: [{ nhi: 'nhi:a/b', repository: 'a/b' }] } }],
    ['no rules', { mapping: { kind: 'kubernetes', rules: [] } }], ['a trust domain for people', { issuer: 'spiffe://a' }], ['an unknown key', { jwksUri: 'https://a' }],
  ])('may not say %s', (_name, change) => {
    expect(read({})).toBe(true);
    expect(read(change)).toBe(false);
  });

  it('may not name an issuer twice', () => {
    expect(identitySchema.safeParse({ issuers: [good, good] }).success).toBe(false);
  });
});
