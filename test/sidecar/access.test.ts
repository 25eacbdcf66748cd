import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ROUTES, type Route } from '../../src/sidecar/routes.ts';
import { answerOf, GRANT, openTestSidecar, PEOPLE, problemIn, PROVISION, tokenOf, type Answered, type TestSidecar } from '../support/sidecar.ts';
import type { ChangeView } from '../../src/sidecar/schemas.ts';
import { otherId } from '../support/ids.ts';

const CALLER = 'nhi:prod/ci-deployer';
let sidecar: TestSidecar;
let change: ChangeView;
beforeAll(async () => {
  sidecar = await openTestSidecar();
  change = await sidecar.change(CALLER, GRANT);
});
afterAll(() => sidecar.close());

const UNKNOWN = (): string => otherId(change.id);
const routes = Object.entries<Route>(ROUTES);
const concrete = (path: string): string => path.replace('/locks/{id}', '/locks/lck_01M8571XRWJ2028CSGVGJ3QSF9').replace('/nhis/{id}', '/nhis/nhi:prod%2Fci-deployer').replace('{id}', change.id).replace('{tile...}', 'entries/000.p/1').replace('{segment}', '0');
const guarded = routes.filter(([, route]) => route.roles !== 'public');

describe('who asks', () => {
  it.each(guarded)('%s needs a token', async (_id, route) => {
    const answered = await sidecar.send(null, route.method, concrete(route.path), route.body === null ? undefined : {});
    expect(problemIn(answered)).toMatchObject({ status: 401, code: 'unauthenticated' });
    expect(answered.headers.get('www-authenticate')).toBe('Bearer realm="countersign"');
  });

  it.each([
    ['an unknown token', 'Bearer cst_nobody'],
    ['a token cut short', `Bearer ${tokenOf(CALLER).slice(0, -1)}`],
    ['a token with something after it', `Bearer ${tokenOf(CALLER)}x`],
    ['a principal’s name', `Bearer ${CALLER}`],
    ['Basic', `Basic ${Buffer.from(`${CALLER}:${tokenOf(CALLER)}`).toString('base64')}`],
    ['Basic with the token itself', `Basic ${tokenOf(CALLER)}`],
    ['no scheme', tokenOf(CALLER)],
    ['two tokens', `Bearer ${tokenOf(CALLER)}, Bearer ${tokenOf('person:wei')}`],
    ['an unsigned JWT', `Bearer ${Buffer.from('{"alg":"none"}').toString('base64url')}.${Buffer.from('{"sub":"person:wei"}').toString('base64url')}.`],
    ['an empty one', 'Bearer '],
  ])('%s is nobody', async (_name, authorization) => {
    expect((await sidecar.send(null, 'GET', '/v1/changes', undefined, { authorization })).status).toBe(401);
  });

  it.each(['token', 'access_token', 'authorization'])('a token in the query is none: ?%s=', async (name) => {
    expect((await sidecar.send(null, 'GET', `/v1/changes?${name}=${tokenOf(CALLER)}`)).status).toBe(401);
  });

  it.each(guarded.filter(([, route]) => typeof route.roles !== 'string'))('%s refuses a token without its role', async (_id, route) => {
    const by = ['person:kim', 'person:wei', 'person:vera'].find((person) => !PEOPLE[person]!.some((role) => route.roles.includes(role)))!;
    const answered = await sidecar.send(by, route.method, concrete(route.path), route.body === null ? undefined : {});
    expect(problemIn(answered)).toMatchObject({ status: 403, code: 'role-required' });
  });

  it('never lets a machine identity approve, whatever its token says', async () => {
    for (const nhi of [CALLER, 'nhi:prod/billing-export']) {
      const answered = await sidecar.send(nhi, 'POST', `/v1/changes/${change.id}/approvals`, { verdict: 'approve', planDigest: change.planDigest });
      expect(problemIn(answered)).toMatchObject({ status: 403, code: 'nhi-cannot-approve' });
    }
  });

  it('serves the ledger to auditors only', async () => {
    await sidecar.log.sync();
    const checkpoint = await sidecar.send('person:kim', 'GET', '/ledger/checkpoint');
    expect(checkpoint.text).toBe(sidecar.log.checkpoint().text);
    const size = sidecar.log.checkpoint().size;
    expect((await sidecar.send('person:kim', 'GET', `/ledger/tile/entries/000.p/${size}`)).status).toBe(200);
    expect((await sidecar.send('person:kim', 'GET', `/ledger/tile/0/000.p/${size}`)).status).toBe(200);
    expect((await sidecar.send('person:olga', 'GET', '/ledger/checkpoint')).status).toBe(403);
  });

  it.each(['tile/../journal', 'tile/..%2F..%2Fjournal%2Flock', 'tile/entries/000.p/1%00', 'objects/..', 'objects/..%2Fcheckpoint', 'objects/0x0', 'tile/0/0', 'journal', 'lock'])(
    'the ledger’s directory is not left: /ledger/%s',
    async (rest) => {
      expect((await sidecar.send('person:kim', 'GET', `/ledger/${rest}`)).status).toBe(404);
    },
  );

  it('tells anybody that it lives, and what keeps it from working', async () => {
    expect((await sidecar.send(null, 'GET', '/healthz')).body).toEqual({ status: 'ok' });
    const ready = await sidecar.send(null, 'GET', '/readyz');
    expect(ready.status).toBe(200);
    expect(ready.body).toMatchObject({ ready: true, checks: expect.arrayContaining([expect.objectContaining({ check: 'ledger', ok: true }), expect.objectContaining({ check: 'executor:pg-1', required: false })]) as unknown });
  });
});

describe('who may see a change', () => {
  /** The change itself, made out to be the unknown one, so that any other difference shows. */
  const anonymous = (answered: Answered, id: string): unknown => [answered.status, [...answered.headers], answered.text.replaceAll(id, '<id>')];

  it.each(['person:mallory', 'nhi:dev/report-preview', 'nhi:prod/billing-export'])('%s cannot tell it from one that is not there', async (stranger) => {
    const ofChange = routes.filter(([, route]) => route.path.startsWith('/v1/changes/{id}'));
    const bodies: Record<string, unknown> = {
      reviseChange: GRANT, decideApproval: { verdict: 'approve', planDigest: change.planDigest }, withdrawChange: {}, revokeChange: {}, acknowledgeDelivery: { digest: change.planDigest },
      extendChange: { duration: 'PT15M', reason: 'a little longer' }, reduceChange: { planDigest: change.planDigest, duration: 'PT1M' },
      confirmConsumer: { consumer: 'deploy-pipeline' },
      breakGlass: { planDigest: change.planDigest, reason: 'nobody answers', salt: 'AAAAAAAAAAAAAAAAAAAAAA', ssh: { expiresAt: '2026-11-23T19:00:00.000Z', signature: 'AAAA' } }, reviewBreakGlass: { verdict: 'justified', comment: 'so it was' },
      postReport: { v: 1, report: { payloadType: 'x', payload: 'AAAA', signatures: [{ keyid: 'k', sig: 'AAAA' }] }, objects: [], ciphertext: null, order: null },
    };
    for (const [operation, route] of ofChange) {
      const send = (id: string): Promise<Answered> => sidecar.send(stranger, route.method, `${route.path.replace('{id}', id)}${operation === 'getStatement' ? '?verdict=approve' : ''}`, bodies[operation]);
      const [there, notThere] = [await send(change.id), await send(UNKNOWN())];
      expect(anonymous(there, change.id), operation).toEqual(anonymous(notThere, UNKNOWN()));
      // A machine identity is told that it cannot approve before anything is looked up.
      expect(there.status, operation).toBe(['decideApproval', 'reduceChange', 'getStatement', 'getBreakGlassReview', 'reviewBreakGlass'].includes(operation) && stranger.startsWith('nhi:') ? 403 : 404);
    }
    const list = await sidecar.send(stranger, 'GET', '/v1/changes');
    expect(list.body).toEqual({ changes: [], next: null });
  });

  it.each([
    ['who asked', CALLER], ['an approver', 'person:wei'], ['another approver', 'person:ana'], ['security', 'person:olga'], ['on call', 'person:sam'], ['an auditor', 'person:kim'],
  ])('%s sees the plan', async (_why, by) => {
    const answered = await sidecar.send(by, 'GET', `/v1/changes/${change.id}`);
    expect(answered.status, answered.text).toBe(200);
    expect((answered.body as ChangeView).plan).toEqual(change.plan);
  });

  it('hides identities from those who do not answer for them, and revokes nothing for them', async () => {
    const given = await sidecar.change('nhi:prod/billing-export', PROVISION);
    for (const id of ['nhi:prod%2Fbilling-export', 'nhi:prod%2Fnobody']) {
      expect(problemIn(await sidecar.send('person:mallory', 'GET', `/v1/nhis/${id}`))).toMatchObject({ status: 404, code: 'no-such-nhi' });
      expect(problemIn(await sidecar.send('person:mallory', 'POST', `/v1/nhis/${id}/revoke`, {}))).toMatchObject({ status: 404, code: 'no-such-nhi' });
    }
    expect((await sidecar.send('person:mallory', 'GET', '/v1/leases')).body).toEqual({ leases: [], next: null, count: 0, all: 0 });
    expect(sidecar.executor.orders).toEqual([]);
    // Who sees a change is not thereby allowed to end it.
    expect(problemIn(await sidecar.send('person:kim', 'POST', `/v1/changes/${given.id}/revoke`, {}))).toMatchObject({ status: 403, code: 'not-allowed' });
  });

  it('does not let who asked approve, nor whoever is not asked', async () => {
    const own = await sidecar.change('person:wei', { ...GRANT, reason: 'mine' });
    const approve = (by: string): Promise<Answered> => sidecar.send(by, 'POST', `/v1/changes/${own.id}/approvals`, { verdict: 'approve', planDigest: own.planDigest });
    expect(problemIn(await approve('person:wei'))).toMatchObject({ status: 403, code: 'self-approval' });
    expect(problemIn(await approve('person:olga'))).toMatchObject({ status: 403, code: 'not-an-approver' });
  });

  it('nor whoever asked under another of their ids, by whatever policy', async () => {
    const linked = await openTestSidecar({
      decide: ({ change: { subject } }) => answerOf('needsApproval', { atLeast: subject === CALLER ? 1 : 2, of: ['person:wei', 'person:ana', 'person:mallory'] }),
      facts: (facts) => ({ ...facts, directory: { ...facts.directory, people: facts.directory.people.map((person) => (person.id === 'person:wei' ? { ...person, linked: ['person:mallory'] } : person)) } }),
    });
    try {
      for (const [asks, other] of [['person:wei', 'person:mallory'], ['person:mallory', 'person:wei']] as const) {
        const own = await linked.change(asks, { ...GRANT, subject: 'nhi:prod/ci-deployer', reason: asks });
        expect(own.state).toBe('pending');
        const says = (by: string, verdict: 'approve' | 'reject'): Promise<Answered> => linked.send(by, 'POST', `/v1/changes/${own.id}/approvals`, { verdict, planDigest: own.planDigest, comment: 'x' });
        for (const verdict of ['approve', 'reject'] as const) expect(problemIn(await says(other, verdict)), `${other} ${verdict}`).toMatchObject({ status: 403, code: 'self-approval' });
        expect((await says('person:ana', 'approve')).status).toBe(200);
      }
      // Nor are two ids of one person two people.
      const two = await linked.change(CALLER, { ...GRANT, subject: 'nhi:prod/orders-api', reason: 'two' });
      const approve = (by: string): Promise<Answered> => linked.send(by, 'POST', `/v1/changes/${two.id}/approvals`, { verdict: 'approve', planDigest: two.planDigest });
      expect((await approve('person:mallory')).status).toBe(200);
      expect(problemIn(await approve('person:wei'))).toMatchObject({ status: 409, code: 'already-decided', detail: expect.stringContaining('the same person as person:mallory') as unknown });
      expect((await approve('person:mallory')).status).toBe(200);
      expect(((await approve('person:ana')).body as ChangeView).state).not.toBe('pending');
    } finally {
      await linked.close();
    }
  });
});

describe('what goes wrong inside', () => {
  it('is not shown to the caller, and is in the log', async () => {
    const broken = await openTestSidecar({ decide: () => answerOf('allow') });
    broken.engine.index.newest = () => {
      throw new Error('a secret of the inside');
    };
    const answered = await broken.send('person:wei', 'GET', '/v1/changes');
    expect(problemIn(answered)).toMatchObject({ status: 500, code: 'internal' });
    expect(answered.text).not.toContain('secret of the inside');
    expect(JSON.stringify(broken.logged)).toContain('secret of the inside');
    await broken.close();
  });

  it('is never a token in the log', async () => {
    await sidecar.send(CALLER, 'GET', '/v1/changes?nope=1');
    await sidecar.send(null, 'GET', '/v1/changes', undefined, { authorization: 'Bearer cst_wrong-and-secret' });
    const text = JSON.stringify(sidecar.logged);
    for (const principal of [CALLER, 'person:wei', 'person:mallory']) expect(text).not.toContain(tokenOf(principal));
    expect(text).not.toContain('wrong-and-secret');
  });
});
