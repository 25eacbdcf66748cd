/** `GET /v1/changes?waitingForMe=true`. */
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { ChangeList, ChangeView } from '../../src/sidecar/schemas.ts';
import { answerOf, GRANT, openTestSidecar, problemIn, type TestSidecar } from '../support/sidecar.ts';

const DEPLOYER = 'nhi:prod/ci-deployer';
let sidecar: TestSidecar;
beforeEach(async () => {
  sidecar = await openTestSidecar({ decide: ({ change }) => (change.leaseSeconds === 60 ? answerOf('allow') : answerOf('needsApproval', { allOf: ['person:wei', { anyOf: ['person:ana', 'person:olga'] }] })) });
});
afterEach(() => sidecar.close());

const list = async (by: string, more = ''): Promise<ChangeList> => (await sidecar.send(by, 'GET', `/v1/changes?waitingForMe=true${more}`)).body as ChangeList;
const waiting = async (by: string, more = ''): Promise<string[]> => (await list(by, more)).changes.map(({ id }) => id);
const decide = async (by: string, { id, planDigest }: ChangeView, verdict: object = { verdict: 'approve' }): Promise<number> => (await sidecar.send(by, 'POST', `/v1/changes/${id}/approvals`, { planDigest, ...verdict })).status;

it('has what waits for her, newest first, and nothing that she has decided, asked for, or need not decide any more', async () => {
  const first = await sidecar.change(DEPLOYER, { ...GRANT, reason: 'first' });
  const second = await sidecar.change(DEPLOYER, { ...GRANT, reason: 'second' });
  await sidecar.change(DEPLOYER, { ...GRANT, reason: 'needs nobody', duration: 'PT1M' });
  const own = await sidecar.change('person:wei', { ...GRANT, reason: 'her own' });
  expect(await waiting('person:wei')).toEqual([second.id, first.id]);
  expect(await waiting('person:ana')).toEqual([own.id, second.id, first.id]);
  // Who sees them all is not therefore asked.
  expect(await waiting('person:sam')).toEqual([]);
  expect(await waiting(DEPLOYER)).toEqual([]);

  expect(await decide('person:ana', first)).toBe(200);
  expect(await waiting('person:ana')).toEqual([own.id, second.id]);
  expect(await waiting('person:olga')).toEqual([own.id, second.id]);
  expect(await waiting('person:wei')).toEqual([second.id, first.id]);
  expect(await decide('person:wei', second, { verdict: 'reject', comment: 'no' })).toBe(200);
  expect(await waiting('person:wei')).toEqual([first.id]);
});

it('has a reduced change again for who approved it before', async () => {
  const change = await sidecar.change(DEPLOYER, GRANT);
  expect(await decide('person:wei', change)).toBe(200);
  expect(await waiting('person:wei')).toEqual([]);
  expect((await sidecar.send('person:ana', 'POST', `/v1/changes/${change.id}/reductions`, { planDigest: change.planDigest, duration: 'PT5M' })).status).toBe(200);
  await sidecar.engine.changed(change.id, (await sidecar.engine.find(change.id))!.length, 10_000);
  const until = Date.now() + 10_000;
  while ((await sidecar.engine.find(change.id))!.name === 'requested' && Date.now() < until) await sidecar.engine.changed(change.id, (await sidecar.engine.find(change.id))!.length, 1_000);
  expect(await waiting('person:wei')).toEqual([change.id]);
});

it('is paged and filtered like the list, and takes no other word', async () => {
  const ids: string[] = [];
  for (const reason of ['a', 'b', 'c']) ids.push((await sidecar.change(DEPLOYER, { ...GRANT, reason })).id);
  const page = await list('person:wei', '&limit=2');
  expect([page.changes.map(({ id }) => id), page.next]).toEqual([[ids[2], ids[1]], ids[1]]);
  expect(await waiting('person:wei', `&limit=2&cursor=${page.next!}`)).toEqual([ids[0]]);
  expect(await waiting('person:wei', '&kind=rotate')).toEqual([]);
  expect(problemIn(await sidecar.send('person:wei', 'GET', '/v1/changes?waitingForMe=yes')).code).toBe('malformed-query');
});

it('says how many there are, and has those first that end soonest where that is asked for', async () => {
  const [late, soon] = [await sidecar.change(DEPLOYER, { ...GRANT, reason: 'late' }), await sidecar.change(DEPLOYER, { ...GRANT, reason: 'soon' })];
  expect(late.approvalsBy! < soon.approvalsBy!).toBe(true);
  const { changes, count, next } = await list('person:wei', '&order=soonest&limit=1');
  expect([changes.map(({ id }) => id), count, next]).toEqual([[late.id], 2, null]);
  expect([await waiting('person:wei'), (await list('person:wei', '&limit=1')).count]).toEqual([[soon.id, late.id], 2]);
  expect(problemIn(await sidecar.send('person:wei', 'GET', '/v1/changes?order=soonest')).code).toBe('malformed-query');
  expect(problemIn(await sidecar.send('person:wei', 'GET', `/v1/changes?waitingForMe=true&order=soonest&cursor=${late.id}`)).code).toBe('malformed-query');
});
