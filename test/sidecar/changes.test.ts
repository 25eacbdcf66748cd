import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { parseProof, verifyProof } from '../../ledger/index.ts';
import { planDigest } from '../../src/protocol/plan.ts';
import { changeListSchema, changeViewSchema, deliverySchema, evidenceSchema, leaseListSchema, nhiListSchema, nhiViewSchema, revokeAllAnswerSchema, revokeAnswerSchema, type ChangeView } from '../../src/sidecar/schemas.ts';
import { answerOf, GRANT, openTestSidecar, problemIn, PROVISION, RECIPIENT, type TestSidecar } from '../support/sidecar.ts';

const DEPLOYER = 'nhi:prod/ci-deployer';
let sidecar: TestSidecar;
beforeEach(async () => {
  sidecar = await openTestSidecar();
});
afterEach(() => sidecar.close());

const path = (change: ChangeView, rest = ''): string => `/v1/changes/${change.id}${rest}`;
const approve = async (change: ChangeView, by = 'person:wei'): Promise<ChangeView> => {
  const answered = await sidecar.send(by, 'POST', path(change, '/approvals'), { verdict: 'approve', planDigest: change.planDigest });
  expect(answered.status, answered.text).toBe(200);
  return changeViewSchema.parse(answered.body);
};
/** Long-polls until the change is in one of `states`. */
const until = async (change: ChangeView, by: string, ...states: ChangeView['state'][]): Promise<ChangeView> => {
  const deadlineMs = Date.now() + 15_000;
  let view = changeViewSchema.parse((await sidecar.send(by, 'GET', path(change))).body);
  // A sidecar that answers at once, again and again, would leave no turn for the test's own time limit.
  while (!states.includes(view.state) && Date.now() < deadlineMs) view = changeViewSchema.parse((await sidecar.send(by, 'GET', path(view, `?wait=PT10S&since=${view.length}`))).body);
  expect(states).toContain(view.state);
  return view;
};

describe('a change, from request to end', () => {
  it('is created with a location, waits for its approver, becomes active, and is revoked', async () => {
    const answered = await sidecar.send(DEPLOYER, 'POST', '/v1/changes?wait=PT10S', GRANT);
    expect(answered.status, answered.text).toBe(201);
    const change = changeViewSchema.parse(answered.body);
    expect(answered.headers.get('location')).toBe(`/v1/changes/${change.id}`);
    expect(change).toMatchObject({ state: 'pending', kind: 'grant', requester: [DEPLOYER], revision: 1, duration: 'PT15M', approvals: [] });
    expect(change.planDigest).toBe(planDigest(change.plan!));

    expect((await approve(change)).approvals).toMatchObject([{ approver: 'person:wei', verdict: 'approve' }]);
    const active = await until(change, DEPLOYER, 'active');
    expect(active.lease).toMatchObject({ armed: true, active: true });
    expect(active.result).toMatchObject({ outcome: 'done' });

    const revoked = revokeAnswerSchema.parse((await sidecar.send('person:wei', 'POST', path(change, '/revoke'), { comment: 'done early' })).body);
    expect(revoked.recorded).toBe(true);
    expect(await until(change, DEPLOYER, 'revoked')).toMatchObject({ ended: { outcome: 'done' } });
  });

  it('is provisioned, its sealed secret fetched by the caller alone, and forgotten once acknowledged', async () => {
    const change = await sidecar.change('nhi:prod/billing-export', PROVISION);
    expect(change).toMatchObject({ state: 'active', delivery: { status: 'sealed' } });
    const delivery = deliverySchema.parse((await sidecar.send('nhi:prod/billing-export', 'GET', path(change, '/delivery'))).body);
    expect(delivery).toEqual({ ciphertext: Buffer.from(`sealed for ${change.id}`).toString('base64'), digest: change.delivery!.digest, recipient: RECIPIENT });
    // Its owner may see the change, and still not the ciphertext.
    expect((await sidecar.send('person:ana', 'GET', path(change, '/delivery'))).status).toBe(404);

    const acknowledged = await sidecar.send('nhi:prod/billing-export', 'POST', path(change, '/delivery'), { digest: delivery.digest });
    expect(changeViewSchema.parse(acknowledged.body).delivery).toMatchObject({ status: 'acknowledged' });
    expect(problemIn(await sidecar.send('nhi:prod/billing-export', 'GET', path(change, '/delivery'))).code).toBe('no-delivery');
  });

  it('says when policy denies, with what was too much and what would do', async () => {
    await sidecar.close();
    const counterOffer = { entitlements: GRANT.entitlements, leaseSeconds: 600 };
    sidecar = await openTestSidecar({ decide: () => answerOf('deny', null, { excess: GRANT.entitlements, counterOffer }) });
    const change = await sidecar.change(DEPLOYER, GRANT);
    expect(change).toMatchObject({ state: 'denied', decision: { effect: 'deny', reasons: [{ code: 'exceeds-purpose' }], excess: GRANT.entitlements, counterOffer } });
  });

  it('records what it cannot do as a denial, not as an error', async () => {
    await sidecar.close();
    sidecar = await openTestSidecar({ decide: () => answerOf('deny') });
    const change = await sidecar.change(DEPLOYER, { ...GRANT, entitlements: [{ connector: 'nowhere', target: 'app', privilege: 'role:deploy' }] });
    expect(change).toMatchObject({ state: 'denied', plan: null, executor: null });
  });

  it('is rejected with a reason, and not without one', async () => {
    const change = await sidecar.change(DEPLOYER, GRANT);
    const silent = problemIn(await sidecar.send('person:wei', 'POST', path(change, '/approvals'), { verdict: 'reject', planDigest: change.planDigest }));
    expect(silent).toMatchObject({ code: 'invalid-request', errors: [{ pointer: '/comment' }] });
    const answered = await sidecar.send('person:wei', 'POST', path(change, '/approvals'), { verdict: 'reject', planDigest: change.planDigest, comment: 'not today' });
    expect(changeViewSchema.parse(answered.body).state).toBe('rejected');
    const late = problemIn(await sidecar.send('person:ana', 'POST', path(change, '/approvals'), { verdict: 'approve', planDigest: change.planDigest }));
    expect(late).toMatchObject({ status: 409, code: 'already-decided', change: { state: 'rejected', revision: 1 } });
    const withdrawn = problemIn(await sidecar.send(DEPLOYER, 'POST', path(change, '/withdraw'), {}));
    expect(withdrawn).toMatchObject({ status: 409, code: 'too-late', change: late.change });
    expect(late.change?.lastRecord).toBe(changeViewSchema.parse(answered.body).lastRecord);
  });

  it('is withdrawn by who asked, or who may revoke, and by nobody else', async () => {
    const change = await sidecar.change(DEPLOYER, GRANT);
    expect(problemIn(await sidecar.send('person:kim', 'POST', path(change, '/withdraw'), {})).code).toBe('not-requester');
    const other = await sidecar.change(DEPLOYER, { ...GRANT, reason: 'another' });
    expect(changeViewSchema.parse((await sidecar.send('person:wei', 'POST', path(other, '/withdraw'), { comment: 'not now' })).body).state).toBe('withdrawn');
    expect(changeViewSchema.parse((await sidecar.send(DEPLOYER, 'POST', path(change, '/withdraw'), { comment: 'no longer needed' })).body).state).toBe('withdrawn');
  });

  it('voids approvals when it is revised, and refuses a verdict on the plan that was', async () => {
    const change = await sidecar.change(DEPLOYER, GRANT);
    const answered = await sidecar.send(DEPLOYER, 'POST', path(change, '/revisions'), { ...GRANT, reason: 'release 43' });
    expect(answered.status, answered.text).toBe(200);
    const revised = await until(changeViewSchema.parse(answered.body), DEPLOYER, 'pending');
    expect(revised).toMatchObject({ revision: 2, reason: 'release 43', approvals: [] });
    expect(revised.planDigest).not.toBe(change.planDigest);
    const stale = problemIn(await sidecar.send('person:wei', 'POST', path(change, '/approvals'), { verdict: 'approve', planDigest: change.planDigest }));
    expect(stale).toMatchObject({ status: 409, code: 'plan-changed', change: { state: 'pending', revision: 2 } });
  });
});

describe('looking', () => {
  it('answers a long poll when something happens, and at once when it has', async () => {
    const change = await sidecar.change(DEPLOYER, GRANT);
    const waiting = sidecar.send(DEPLOYER, 'GET', path(change, `?wait=PT30S&since=${change.length}`));
    await approve(change);
    expect(changeViewSchema.parse((await waiting).body).length).toBeGreaterThan(change.length);
    expect(changeViewSchema.parse((await sidecar.send(DEPLOYER, 'GET', path(change, '?wait=PT30S&since=1'))).body).length).toBeGreaterThan(1);
  });

  it('answers those who wait when it is stopped', async () => {
    const change = await sidecar.change(DEPLOYER, GRANT);
    const waiting = sidecar.send(DEPLOYER, 'GET', path(change, `?wait=PT30S&since=${change.length}`));
    sidecar.draining.abort();
    expect((await waiting).status).toBe(200);
  });

  it('pages through changes newest first, without gap or repetition, and filters', async () => {
    sidecar.executor.acting = false;
    const ids: string[] = [];
    for (let n = 0; n < 5; n += 1) ids.push(changeViewSchema.parse((await sidecar.send(DEPLOYER, 'POST', '/v1/changes', { ...GRANT, reason: `release ${n}` })).body).id);
    const seen: string[] = [];
    let cursor: string | null = null;
    do {
      const query: string = cursor === null ? '?limit=2' : `?limit=2&cursor=${cursor}`;
      const list: { changes: ChangeView[]; next: string | null } = changeListSchema.parse((await sidecar.send(DEPLOYER, 'GET', `/v1/changes${query}`)).body);
      seen.push(...list.changes.map((change) => change.id));
      cursor = list.next;
    } while (cursor !== null);
    expect(seen).toEqual([...ids].sort().reverse());

    const filtered = async (query: string): Promise<number> => changeListSchema.parse((await sidecar.send(DEPLOYER, 'GET', `/v1/changes?${query}`)).body).changes.length;
    expect(await filtered('state=requested')).toBe(5);
    expect(await filtered('state=active')).toBe(0);
    expect(await filtered('kind=grant')).toBe(5);
    expect(await filtered('kind=revoke')).toBe(0);
    expect(await filtered('subject=nhi:prod/billing-export')).toBe(0);
  });

  it('gives the records of a change, chained, with a proof that holds under the log’s key', async () => {
    await sidecar.change('nhi:prod/billing-export', PROVISION);
    const change = await sidecar.change(DEPLOYER, GRANT);
    await approve(change);
    const active = await until(change, DEPLOYER, 'active');
    const { records, proof, checkpoint } = evidenceSchema.parse((await sidecar.send('person:wei', 'GET', path(change, '/evidence'))).body);
    expect(records).toHaveLength(active.length);
    expect(records.map((record) => record.changeSeq)).toEqual(records.map((_, index) => index));
    expect(records.every((record) => record.change === change.id)).toBe(true);
    expect(records.at(-1)!.seq).toBe(active.lastRecord);
    expect(parseProof(proof)).toMatchObject({ index: active.lastRecord, checkpoint });
    let last: Uint8Array = new Uint8Array();
    for await (const entry of sidecar.log.entries(active.lastRecord, active.lastRecord + 1)) last = entry.bytes;
    expect(() => verifyProof(last, parseProof(proof), sidecar.trust.policy)).not.toThrow();
    last[10]! ^= 1;
    expect(() => verifyProof(last, parseProof(proof), sidecar.trust.policy)).toThrow();
  });

  it('lists leases and identities to those who answer for them', async () => {
    const change = await sidecar.change('nhi:prod/billing-export', PROVISION);
    const { leases } = leaseListSchema.parse((await sidecar.send('person:ana', 'GET', '/v1/leases')).body);
    expect(leases).toMatchObject([{ changeId: change.id, subject: 'nhi:prod/billing-export', target: 'app', active: true }]);
    const nhi = nhiViewSchema.parse((await sidecar.send('person:ana', 'GET', '/v1/nhis/nhi:prod%2Fbilling-export')).body);
    expect(nhi).toMatchObject({ owner: 'person:ana', leases });
    expect((await sidecar.send('person:ana', 'GET', '/v1/nhis/nhi%3Aprod%2Fbilling-export')).status).toBe(200);
    const { nhis } = nhiListSchema.parse((await sidecar.send('person:ana', 'GET', '/v1/nhis')).body);
    expect(nhis.map((one) => one.id)).toEqual(['nhi:dev/report-preview', 'nhi:prod/billing-export', 'nhi:prod/warehouse-sync']);
  });

  it('takes back everything that an identity holds, at the word of its owner', async () => {
    const change = await sidecar.change('nhi:prod/billing-export', PROVISION);
    const answered = await sidecar.send('person:ana', 'POST', '/v1/nhis/nhi:prod%2Fbilling-export/revoke', { comment: 'leaked' });
    expect(answered.status, answered.text).toBe(202);
    expect(revokeAllAnswerSchema.parse(answered.body)).toEqual({ nhi: 'nhi:prod/billing-export', revokes: [{ changeId: change.id, recorded: true }] });
    await until(change, 'person:ana', 'revoked');
    expect(leaseListSchema.parse((await sidecar.send('person:ana', 'GET', '/v1/leases')).body).leases).toEqual([]);
  });
});
