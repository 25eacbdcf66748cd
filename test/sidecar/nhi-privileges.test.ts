/** What an identity is declared to need and was seen to use, beside what it holds: as the facts in force have it. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { factsOf } from '../../src/facts/facts.ts';
import { nhiListSchema, nhiViewSchema, type NhiView } from '../../src/sidecar/schemas.ts';
import { openTestSidecar, type TestSidecar } from '../support/sidecar.ts';

let sidecar: TestSidecar;
beforeAll(async () => {
  sidecar = await openTestSidecar();
});
afterAll(async () => sidecar.close());

const ask = async (id: string): Promise<NhiView> => nhiViewSchema.parse((await sidecar.send('person:kim', 'GET', `/v1/nhis/${encodeURIComponent(id)}`)).body);

it('is what its purposes need, and nothing is said of use that nobody has looked at', async () => {
  expect((await ask('nhi:prod/ci-deployer')).privileges).toEqual([{ connector: 'pg-main', account: 'ci_deployer', declared: ['role:deploy'], used: null }]);
  expect((await ask('nhi:prod/ci-deployer')).useObservedAt).toBeNull();
  // It has no account of its own: each run gets one.
  expect((await ask('nhi:prod/billing-export')).privileges).toEqual([expect.objectContaining({ connector: 'pg-main', account: null, used: null })]);
});

it('tells an account that was seen to use nothing from one that was not looked at, and takes rows of one account together', async () => {
  const row = (account: string, privileges: string[]): { connector: string; account: string; privileges: string[] } => ({ connector: 'pg-main', account, privileges });
  sidecar.load(factsOf({ ...sidecar.facts.value, usage: { v: 1, observedAtMs: Date.parse('2026-11-20T00:00:00.000Z'), usage: [row('ci_deployer', []), row('warehouse_sync', ['b']), row('warehouse_sync', ['a']), { ...row('ci_deployer', ['other']), connector: 'pg-dev' }] } }, Date.now()));
  const { nhis } = nhiListSchema.parse((await sidecar.send('person:kim', 'GET', '/v1/nhis')).body);
  const usedBy = (id: string): (string[] | null | undefined)[] => (nhis.find((one) => one.id === id)?.privileges ?? []).map(({ used }) => used);
  expect(usedBy('nhi:prod/ci-deployer')).toEqual([[]]);
  expect(usedBy('nhi:prod/warehouse-sync')).toEqual([['a', 'b']]);
  expect(usedBy('nhi:prod/legacy-admin')).toEqual([null]);
  expect(nhis[0]?.useObservedAt).toBe('2026-11-20T00:00:00.000Z');
});
