/** Leases and identities a page at a time: walked to the end they are what the whole list is, and what is looked for is looked for by the sidecar. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { leaseListSchema, nhiListSchema, type LeaseList, type NhiList } from '../../src/sidecar/schemas.ts';
import { answerOf, GRANT, openTestSidecar, problemIn, type TestSidecar } from '../support/sidecar.ts';
import { settled } from '../support/replayed.ts';

let sidecar: TestSidecar;
beforeAll(async () => {
  sidecar = await openTestSidecar({ decide: () => answerOf('allow') });
  for (const [subject, duration] of [['nhi:prod/ci-deployer', 'PT15M'], ['nhi:prod/ci-deployer', 'PT5M'], ['nhi:prod/ci-deployer', 'PT10M']] as const) {
    await settled(sidecar, subject, await sidecar.change(subject, { ...GRANT, duration, reason: duration }), 'active');
  }
});
afterAll(() => sidecar.close());

const leases = async (query = '', by = 'person:sam'): Promise<LeaseList> => leaseListSchema.parse((await sidecar.send(by, 'GET', `/v1/leases?${query}`)).body);
const nhis = async (query = '', by = 'person:kim'): Promise<NhiList> => nhiListSchema.parse((await sidecar.send(by, 'GET', `/v1/nhis?${query}`)).body);

async function walked<T>(ask: (query: string) => Promise<{ readonly next?: string | null | undefined; readonly all: T[] }>): Promise<T[]> {
  const found: T[] = [];
  for (let cursor: string | null = ''; cursor !== null;) {
    const { next, all } = await ask(`limit=1${cursor === '' ? '' : `&cursor=${encodeURIComponent(cursor)}`}`);
    expect(all).toHaveLength(1);
    found.push(...all);
    cursor = next ?? null;
  }
  return found;
}

it('leases: soonest to end first or by identity, narrowed by words, with how many there are', async () => {
  const { leases: all, next, count } = await leases();
  expect([all.length, next, count]).toEqual([3, null, 3]);
  expect(all.map(({ endsAt }) => endsAt)).toEqual(all.map(({ endsAt }) => endsAt).sort());
  for (const order of ['', '&order=identity']) expect(await walked(async (query) => ({ ...(await leases(query + order)), all: (await leases(query + order)).leases }))).toEqual(all);
  const one = all[1]!;
  expect(await leases(`limit=1&q=${one.changeId.toUpperCase()}%20deploy`)).toEqual({ leases: [one], next: null, count: 1, all: 3 });
  expect(await leases('q=no-such')).toEqual({ leases: [], next: null, count: 0, all: 3 });
  // What is gone meanwhile moves none of the others.
  expect((await leases(`limit=1&cursor=${encodeURIComponent(`${one.endsAt} lse_0`)}`)).leases).toEqual([one]);
  expect((await leases('', 'person:mallory')).all).toBe(0);
});

it('identities: by their ids, narrowed by words, environment, risk and what is the matter with them', async () => {
  const whole = await nhis();
  expect(whole.nhis.map(({ id }) => id)).toEqual([...sidecar.facts.inventory.keys()].sort());
  expect([whole.all, whole.count, whole.next]).toEqual([whole.nhis.length, whole.nhis.length, null]);
  expect(await walked(async (query) => ({ ...(await nhis(query)), all: (await nhis(query)).nhis }))).toEqual(whole.nhis);
  const wanted = async (query: string): Promise<string[]> => (await nhis(query)).nhis.map(({ id }) => id);
  expect(await wanted('with=leases')).toEqual(['nhi:prod/ci-deployer']);
  expect(await wanted('riskTier=high')).toEqual(whole.nhis.filter(({ riskTier }) => riskTier === 'high').map(({ id }) => id));
  expect(await wanted('q=DEPLOYER%20prod')).toEqual(['nhi:prod/ci-deployer']);
  expect(await wanted('environment=nowhere')).toEqual([]);
  expect(whole.environments).toEqual([...new Set(whole.nhis.map(({ environment }) => environment))].sort());
  expect((await nhis('', 'nhi:prod/ci-deployer')).nhis.map(({ id }) => id)).toEqual(['nhi:prod/ci-deployer']);
  expect(problemIn(await sidecar.send('person:kim', 'GET', '/v1/nhis?limit=201')).code).toBe('malformed-query');
});
