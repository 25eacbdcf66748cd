import { appendFile, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { nodeDisk } from '../../ledger/index.ts';
import { verifyEvidence } from '../../src/evidence/verify.ts';
import { connect } from '../../src/client/index.ts';
import { makeAuthenticator } from '../../src/identity/authenticator.ts';
import { openIssuers } from '../../src/identity/issuers.ts';
import type { ChangeView } from '../../src/sidecar/schemas.ts';
import { startSidecar, type Sidecar } from '../../src/sidecar/start.ts';
import { systemClock } from '../../src/sidecar/system.ts';
import { EXECUTOR_ID, makeInstallation, TOKENS } from '../support/installation.ts';
import { scriptedExecutor } from '../support/scripted-executor.ts';
import { GRANT, openTestSidecar, problemIn, type Answered, type TestSidecar } from '../support/sidecar.ts';
import { ISSUER, issue, issuerConfig, issuerKey, writeKeys, type IssuerKey } from '../support/token-issuer.ts';

const WORKLOADS = 'https://cluster.example';
const AGENT = 'nhi:prod/ci-deployer';
let directory: string;
let key: IssuerKey;
let sidecar: TestSidecar;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'countersign-tokens-of-others-'));
  key = await issuerKey('k1');
  const jwks = { file: await writeKeys(directory, [key.jwk]) };
  sidecar = await openTestSidecar({
    facts: (facts) => ({ ...facts, directory: { ...facts.directory, people: facts.directory.people.map((person) => ({ ...person, logins: [{ issuer: ISSUER, value: person.id.replace('person:', 'u-') }] })) } }),
    authenticator: async (tokens, facts) => makeAuthenticator(tokens, await openIssuers([
      issuerConfig({ mapping: { kind: 'person', roles: ['caller', 'approver', 'eraser'] }, jwks, actors: [{ nhi: AGENT, subject: 'agent' }] }),
      issuerConfig({ issuer: WORKLOADS, mapping: { kind: 'kubernetes', rules: [{ nhi: AGENT, namespace: 'ci', serviceAccount: 'deployer' }] }, jwks }),
    ], { clock: systemClock, facts, userAgent: 'test', logger: { info: () => undefined, warn: () => undefined, error: () => undefined } })),
  });
});
afterAll(async () => {
  await sidecar.close();
  await rm(directory, { recursive: true });
});

const bearer = async (claims: Record<string, unknown>): Promise<Record<string, string>> => ({ authorization: `Bearer ${await issue(key, claims)}` });
const send = async (claims: Record<string, unknown>, method: string, path: string, body?: unknown, more: Record<string, string> = {}): Promise<Answered> => sidecar.send(null, method, path, body, { ...(await bearer(claims)), ...more });
const POD = { iss: WORKLOADS, sub: 'system:serviceaccount:ci:deployer' };
const ANA = { sub: 'u-ana' };
const AGENT_FOR_ANA = { sub: 'u-ana', act: { sub: 'agent' } };
const ask = async (claims: Record<string, unknown>, more: Record<string, string> = {}): Promise<ChangeView> => {
  const answered = await send(claims, 'POST', '/v1/changes?wait=PT10S', GRANT, more);
  expect(answered.status, answered.text).toBe(201);
  return answered.body as ChangeView;
};
const approve = (claims: Record<string, unknown>, { id, planDigest }: ChangeView): Promise<Answered> => send(claims, 'POST', `/v1/changes/${id}/approvals`, { verdict: 'approve', planDigest });
/** The bodies of one type of a change's records. */
async function recorded(id: string, type: string): Promise<Record<string, unknown>[]> {
  const found: Record<string, unknown>[] = [];
  await sidecar.log.durable();
  for await (const { record } of sidecar.log.entries(0)) if (record.change === id && record.type === type) found.push(record.body);
  return found;
}

describe('a token of an issuer', () => {
  it('asks and approves, and the records say whose word it is who did, and nothing of the token', async () => {
    const change = await ask(POD);
    expect(change.requester).toEqual([AGENT]);
    expect((await approve({ sub: 'u-wei' }, change)).status).toBe(200);
    const [asked] = await recorded(change.id, 'change.requested');
    const [approved] = await recorded(change.id, 'approval.recorded');
    expect(asked).toMatchObject({ requester: [AGENT], authentication: { kind: 'kubernetes', issuer: WORKLOADS, subject: POD.sub } });
    expect(approved).toMatchObject({ authentication: { kind: 'person', issuer: ISSUER, subject: 'u-wei' } });
    expect(Object.keys(asked!['authentication'] as object).sort()).toEqual(['issuer', 'key', 'kind', 'subject']);
    await sidecar.log.sync();
    const { verdicts, workflow } = await verifyEvidence({ disk: nodeDisk(sidecar.directory), directory: 'ledger', trust: sidecar.trust, wholeFolder: true });
    expect(workflow?.violations).toEqual([]);
    expect(verdicts.find(({ name }) => name === 'WORKFLOW')?.status).toBe('holds');
  });

  it('is told apart from one of the sidecar’s own, which still counts, and is told in no record', async () => {
    const own = await sidecar.change(AGENT, GRANT);
    const [asked] = await recorded(own.id, 'change.requested');
    expect(asked).not.toHaveProperty('authentication');
  });

  it('rejects on record, too', async () => {
    const change = await ask(POD);
    expect((await send({ sub: 'u-wei' }, 'POST', `/v1/changes/${change.id}/approvals`, { verdict: 'reject', planDigest: change.planDigest, comment: 'not now' })).status).toBe(200);
    expect(await recorded(change.id, 'approval.rejected')).toEqual([expect.objectContaining({ authentication: expect.objectContaining({ subject: 'u-wei' }) as unknown })]);
  });

  it('of a machine identity approves nothing', async () => {
    expect(problemIn(await approve(POD, await ask(POD)))).toMatchObject({ status: 403, code: 'nhi-cannot-approve' });
  });

  it('that does not hold is 401, one that stands for nobody 403, and nothing is recorded', async () => {
    const size = sidecar.log.size;
    const refused = await send({ ...POD, aud: 'another' }, 'POST', '/v1/changes', GRANT);
    expect(problemIn(refused)).toMatchObject({ status: 401, code: 'token-refused', detail: 'the token is refused: its claim aud does not hold' });
    expect(refused.headers.get('www-authenticate')).toBe('Bearer realm="countersign", error="invalid_token"');
    expect(problemIn(await send({ ...POD, sub: 'system:serviceaccount:ci:other' }, 'POST', '/v1/changes', GRANT))).toMatchObject({ status: 403, code: 'token-not-mapped' });
    expect(problemIn(await send({ sub: 'u-kim' }, 'GET', '/v1/changes'))).toMatchObject({ status: 403, code: 'token-not-mapped' });
    expect(sidecar.log.size).toBe(size);
  });

  it('is one in Authorization: Bearer, once, and nowhere else', async () => {
    const token = await issue(key, POD);
    for (const authorization of [`Basic ${token}`, token, `Bearer ${token}, Bearer ${token}`, `Bearer  ${token}`, `Bearer ${token}.${token}`, `DPoP ${token}`, `Bearer ${token.slice(0, token.lastIndexOf('.') + 1)}`, `Bearer ${'a'.repeat(17_000)}.a.a`]) {
      expect(problemIn(await sidecar.send(null, 'GET', '/v1/changes', undefined, { authorization })), authorization.slice(0, 12)).toMatchObject({ status: 401, code: 'unauthenticated' });
    }
    expect((await sidecar.send(null, 'GET', `/v1/changes?access_token=${token}`)).status).toBe(401);
    expect((await sidecar.send(null, 'GET', '/v1/changes', undefined, { authorization: `bearer ${token}` })).status).toBe(200);
  });

  it('answers AuthZEN’s questions as any other, and is refused there as the standard says', async () => {
    const evaluation = { subject: { type: 'nhi', id: AGENT }, action: { name: 'grant' }, resource: { type: 'entitlement', id: 'x' } };
    const refused = await send({ ...POD, aud: 'another' }, 'POST', '/access/v1/evaluation', evaluation);
    expect([refused.status, refused.text]).toEqual([401, 'token-refused: the token is refused: its claim aud does not hold\n']);
    expect((await send(POD, 'POST', '/access/v1/evaluation', evaluation)).status).toBe(200);
  });
});

describe('a sidecar that takes tokens of others', () => {
  const started = async (jwks: string, use: (starting: Promise<Sidecar>, directory: string) => Promise<void>): Promise<void> => {
    const installation = await makeInstallation();
    try {
      await appendFile(installation.configPath, `identity: {issuers: [{issuer: '${ISSUER}', audience: countersign, algorithms: [ES256], jwks: ${jwks}, mapping: {kind: person, roles: [caller]}}]}\n`);
      const transport = scriptedExecutor(EXECUTOR_ID, installation.executorSigner, () => Date.now());
      await use(startSidecar(await installation.config(), { transport }), installation.directory);
    } finally {
      await installation.remove();
    }
  };

  it('does not start without the file of their keys, which is sought beside the configuration', async () => {
    await started('{file: keys.json}', async (starting, at) => {
      await expect(starting).rejects.toMatchObject({ code: 'no-issuer-keys', message: `identity.issuers: ${at}/keys.json cannot be read (ENOENT)` });
    });
  });

  it('starts with their issuer down, takes its own tokens, and says of others that they cannot be verified now', async () => {
    await started("{url: 'https://localhost:1/jwks', allowPrivate: true}", async (starting) => {
      const running = await starting;
      try {
        expect((await connect({ url: running.url!, token: TOKENS['person:wei']! }).list()).changes).toEqual([]);
        const token = await issue(key, { sub: 'u-wei', aud: 'countersign' });
        await expect(connect({ url: running.url!, token }).list()).rejects.toMatchObject({ code: 'issuer-unavailable', status: 503 });
      } finally {
        await running.close();
      }
    });
  });
});

describe('somebody who acts for another', () => {
  it('asks for all of them, and none of them approves it by whatever token or account', async () => {
    const change = await ask(AGENT_FOR_ANA);
    expect(change.requester).toEqual([AGENT, 'person:ana']);
    expect(problemIn(await approve(AGENT_FOR_ANA, change))).toMatchObject({ status: 403, code: 'nhi-cannot-approve' });
    for (const sub of ['u-ana', 'u-ana-adm']) expect(problemIn(await approve({ sub }, change)), sub).toMatchObject({ status: 403, code: 'self-approval' });
    const own = await sidecar.send('person:ana', 'POST', `/v1/changes/${change.id}/approvals`, { verdict: 'approve', planDigest: change.planDigest });
    expect(problemIn(own)).toMatchObject({ status: 403, code: 'self-approval' });
    expect((await approve({ sub: 'u-wei' }, change)).status).toBe(200);
  });

  it.each([1, 2, 3, 4])('does not approve what others asked for, with %i between', async (length) => {
    const change = await ask(POD);
    const people = ['u-ben', 'u-olga', 'u-mallory', 'u-wei'].slice(0, length);
    const act = people.reduceRight<{ act?: object }>((inner, sub) => ({ act: { sub, ...inner } }), {});
    expect(problemIn(await approve({ ...ANA, ...act }, change))).toMatchObject({ status: 403, code: 'acting-for-another' });
    expect((await recorded(change.id, 'approval.recorded'))).toEqual([]);
    expect((await approve(ANA, change)).status).toBe(200);
  });

  it('breaks no glass, reviews none, and makes no request less', async () => {
    const change = await ask(POD);
    const { planDigest } = change;
    const act = { ...ANA, act: { sub: 'u-wei' } };
    const signed = { expiresAt: '2026-11-23T19:00:00.000Z', signature: 'AAAA' };
    const tried: readonly [rest: string, body: object][] = [
      ['break-glass', { planDigest, reason: 'nobody answers', salt: 'A'.repeat(22), ssh: signed }], ['break-glass/review', { verdict: 'justified', comment: 'looked at it' }], ['reductions', { planDigest, duration: 'PT1M' }],
    ];
    for (const [rest, body] of tried) expect(problemIn(await send(act, 'POST', `/v1/changes/${change.id}/${rest}`, body)), rest).toMatchObject({ status: 403, code: 'acting-for-another' });
  });

  it('erases, confirms and lifts nothing', async () => {
    const act = { sub: 'u-olga', act: { sub: 'u-wei' } };
    const change = await ask(POD);
    expect(problemIn(await send(act, 'POST', '/v1/erasures', {}))).toMatchObject({ code: 'acting-for-another' });
    expect(problemIn(await send(act, 'POST', `/v1/changes/${change.id}/confirmations`, { consumer: 'x' }))).toMatchObject({ code: 'acting-for-another' });
    const lock = await sidecar.send('person:olga', 'POST', '/v1/locks', { nhi: 'nhi:dev/report-preview', reason: 'look first' });
    const { lockId } = lock.body as { lockId: string };
    const lift = async (claims: Record<string, unknown>): Promise<Answered> => send(claims, 'POST', `/v1/locks/${lockId}/lift`, { reason: 'looked' });
    expect(problemIn(await lift({ sub: 'u-ana', act: { sub: 'u-olga' } }))).toMatchObject({ code: 'acting-for-another' });
    expect((await lift({ sub: 'u-olga' })).status).toBe(200);
  });

  it('revises only what everybody in the chain asked for: whom it is for now could otherwise approve it', async () => {
    const change = await ask(AGENT_FOR_ANA);
    const revise = (claims: Record<string, unknown>): Promise<Answered> => send(claims, 'POST', `/v1/changes/${change.id}/revisions`, { ...GRANT, reason: 'another' });
    expect(problemIn(await revise({ sub: 'u-wei', act: { sub: 'agent' } }))).toMatchObject({ status: 403, code: 'not-requester' });
    expect((await revise(AGENT_FOR_ANA)).status).toBe(200);
  });

  it('does not get, for one, what it asked for another with the same Idempotency-Key', async () => {
    const more = { 'idempotency-key': '"run-1"' };
    const [forAna, again, forWei, own] = [await ask(AGENT_FOR_ANA, more), await ask(AGENT_FOR_ANA, more), await ask({ sub: 'u-wei', act: { sub: 'agent' } }, more), await ask(POD, more)];
    expect(again.id).toBe(forAna.id);
    expect(new Set([forAna.id, forWei.id, own.id]).size).toBe(3);
  });
});
