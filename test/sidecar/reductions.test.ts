/** `POST /v1/changes/{id}/reductions`, over HTTP. */
import { afterEach, beforeEach, expect, it } from 'vitest';
import { changeViewSchema, type ChangeView } from '../../src/sidecar/schemas.ts';
import { systemClock } from '../../src/sidecar/system.ts';
import { answerOf, GRANT, openTestSidecar, problemIn, type Answered, type TestSidecar } from '../support/sidecar.ts';

const DEPLOYER = 'nhi:prod/ci-deployer';
const at = (privilege: string) => ({ connector: 'pg-main', target: 'app', privilege });
const TWO = { ...GRANT, duration: 'PT8H', entitlements: [at('role:deploy'), at('role:app_owner')] };
let sidecar: TestSidecar;
let asked: number;
beforeEach(async () => {
  asked = 0;
  sidecar = await openTestSidecar({ decide: (input) => {
    asked += input.phase === 'request' ? 1 : 0;
    return answerOf('needsApproval', { anyOf: ['person:wei', 'person:ana'] });
  } });
});
afterEach(() => sidecar.close());

const reduce = (change: ChangeView, by: string, body: object): Promise<Answered> => sidecar.send(by, 'POST', `/v1/changes/${change.id}/reductions`, { planDigest: change.planDigest, ...body });
const pendingAgain = async (change: ChangeView): Promise<ChangeView> => {
  const deadlineMs = Date.now() + 15_000;
  let view = change;
  while (view.state === 'requested' && Date.now() < deadlineMs) view = changeViewSchema.parse((await sidecar.send(DEPLOYER, 'GET', `/v1/changes/${change.id}?wait=PT10S&since=${view.length}`)).body);
  return view;
};

it('plans and decides anew what an approver left of it, tells who asked, and takes her approval of that', async () => {
  const change = await sidecar.change(DEPLOYER, TWO);
  expect(change.reduced).toBeNull();
  const asWas = asked;
  const answered = await reduce(change, 'person:wei', { without: [at('role:app_owner')], duration: 'PT1H' });
  expect(answered.status, answered.text).toBe(200);
  const reduced = await pendingAgain(changeViewSchema.parse(answered.body));
  expect(reduced).toMatchObject({ state: 'pending', revision: 2, duration: 'PT1H', entitlements: [at('role:deploy')], requester: [DEPLOYER], reduced: { by: 'person:wei', revision: 1 } });
  expect(reduced.plan).toMatchObject({ requester: [DEPLOYER], entitlements: [at('role:deploy')], lease: { leaseSeconds: 3600 } });
  expect(asked).toBe(asWas * 2);
  expect(problemIn(await sidecar.send('person:wei', 'POST', `/v1/changes/${change.id}/approvals`, { verdict: 'approve', planDigest: change.planDigest }))).toMatchObject({ status: 409, code: 'plan-changed' });
  expect((await sidecar.send('person:wei', 'POST', `/v1/changes/${change.id}/approvals`, { verdict: 'approve', planDigest: reduced.planDigest })).status).toBe(200);
});

it.each<[string, string, object, number, string]>([
  ['for longer', 'person:wei', { duration: 'PT9H' }, 422, 'not-a-reduction'],
  ['of what was not asked for', 'person:wei', { without: [at('role:owner')] }, 422, 'not-a-reduction'],
  ['of everything', 'person:wei', { without: [at('role:deploy'), at('role:app_owner')] }, 422, 'not-a-reduction'],
  ['of nothing', 'person:wei', {}, 422, 'invalid-request'],
  ['that adds something', 'person:wei', { duration: 'PT1H', entitlements: [at('role:owner')] }, 422, 'invalid-request'],
  ['of a plan that is no more', 'person:wei', { duration: 'PT1H', planDigest: `sha256:${'1'.repeat(64)}` }, 409, 'plan-changed'],
  ['by who may look on only', 'person:olga', { duration: 'PT1H' }, 403, 'not-an-approver'],
  ['by a machine identity', 'nhi:prod/billing-export', { duration: 'PT1H' }, 403, 'nhi-cannot-approve'],
  ['by who asked', DEPLOYER, { duration: 'PT1H' }, 403, 'nhi-cannot-approve'],
])('a reduction %s is refused, and the change is what it was', async (_what, by, body, status, code) => {
  const change = await sidecar.change(DEPLOYER, TWO);
  expect(problemIn(await reduce(change, by, body))).toMatchObject({ status, code });
  expect((await sidecar.send(DEPLOYER, 'GET', `/v1/changes/${change.id}`)).body).toMatchObject(change);
});

it('a clock that is set back does not bring back the time to reduce: it is over by what is on record', async () => {
  let aheadMs = 0;
  const late = await openTestSidecar({ clock: { ...systemClock, nowMs: () => systemClock.nowMs() + aheadMs }, decide: () => answerOf('needsApproval', { anyOf: ['person:wei', 'person:ana'] }) });
  try {
    const { id, planDigest, approvalsBy } = await late.change(DEPLOYER, TWO);
    aheadMs = Date.parse(approvalsBy!) - Date.now() + 1_000;
    expect((await late.send('person:olga', 'POST', '/v1/locks', { connector: 'pg-other', reason: 'looked into' })).status).toBe(201);
    aheadMs = 0;
    expect(problemIn(await late.send('person:wei', 'POST', `/v1/changes/${id}/reductions`, { planDigest, duration: 'PT1H' }))).toMatchObject({ status: 409, code: 'approval-expired' });
  } finally {
    await late.close();
  }
});
