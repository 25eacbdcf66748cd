/** People who are asked one after the other, through the API. */
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { ChangeList, ChangeView } from '../../src/sidecar/schemas.ts';
import { answerOf, GRANT, openTestSidecar, problemIn, type Answered, type TestSidecar } from '../support/sidecar.ts';

const DEPLOYER = 'nhi:prod/ci-deployer';
let sidecar: TestSidecar;
beforeEach(async () => {
  const asked = answerOf('needsApproval', { stages: [{ anyOf: ['person:wei', 'person:ana'] }, { anyOf: ['person:olga', 'person:mallory'] }] });
  sidecar = await openTestSidecar({ decide: () => ({ ...asked, obligations: { ...asked.obligations, rejections: 2 } }) });
});
afterEach(() => sidecar.close());

const decide = (by: string, { id, planDigest }: ChangeView, verdict = 'approve'): Promise<Answered> => sidecar.send(by, 'POST', `/v1/changes/${id}/approvals`, { planDigest, verdict, ...(verdict === 'reject' ? { comment: 'no' } : {}) });
const view = async (id: string): Promise<ChangeView> => (await sidecar.send('person:wei', 'GET', `/v1/changes/${id}`)).body as ChangeView;
const waitsFor = async (by: string): Promise<boolean> => ((await sidecar.send(by, 'GET', '/v1/changes?waitingForMe=true')).body as ChangeList).changes.length > 0;

it('says whose turn it is and who is asked then, and takes an approval when its stage is open', async () => {
  const change = await sidecar.change(DEPLOYER, GRANT);
  expect(change.turns).toEqual({ now: ['person:wei', 'person:ana'], then: ['person:olga', 'person:mallory'] });
  expect([await waitsFor('person:wei'), await waitsFor('person:olga')]).toEqual([true, false]);
  const early = await decide('person:olga', change);
  expect(early.status).toBe(409);
  expect(problemIn(early)).toMatchObject({ code: 'approval-out-of-stage', detail: 'person:olga is asked once those before have approved: it waits for person:wei, person:ana', change: { state: 'pending', lastRecord: change.lastRecord } });
  expect((await view(change.id)).length).toBe(change.length);

  expect((await decide('person:wei', change)).status).toBe(200);
  expect((await view(change.id)).turns).toEqual({ now: ['person:ana', 'person:olga', 'person:mallory'], then: [] });
  expect([await waitsFor('person:ana'), await waitsFor('person:olga')]).toEqual([false, true]);
  const approved = await decide('person:olga', change);
  expect(approved.status).toBe(200);
  expect((approved.body as ChangeView).state).not.toBe('pending');
  expect((approved.body as ChangeView).turns).toBeUndefined();
});

it('shows one rejection of two, and is over with the second', async () => {
  const change = await sidecar.change(DEPLOYER, GRANT);
  const first = (await decide('person:olga', change, 'reject')).body as ChangeView;
  expect(first).toMatchObject({ state: 'pending', rejectionsDue: 2, approvals: [{ approver: 'person:olga', verdict: 'reject' }], turns: { then: ['person:mallory'] } });
  expect(problemIn(await decide('person:olga', change)).code).toBe('already-decided');
  expect((await decide('person:olga', change, 'reject')).status).toBe(200);
  expect((await view(change.id)).length).toBe(first.length);
  expect((await decide('person:ana', change, 'reject')).body).toMatchObject({ state: 'rejected' });
});
