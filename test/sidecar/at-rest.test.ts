/** Changes at rest are read again when somebody asks: every route says of them what it said while they were in memory. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { isAtRest } from '../../src/change/at-rest.ts';
import type { Authenticated } from '../../src/identity/tokens.ts';
import type { ChangeRequest } from '../../src/protocol/request.ts';
import type { ChangeView } from '../../src/sidecar/schemas.ts';
import { maySeeAtRest, maySeeChange } from '../../src/sidecar/visibility.ts';
import { answerOf, openTestSidecar, type TestSidecar } from '../support/sidecar.ts';

const GRANT: ChangeRequest = {
  kind: 'grant', subject: 'nhi:prod/ci-deployer', purpose: 'deploy-orders', reason: 'deploy', duration: 'PT30M',
  entitlements: [{ connector: 'pg-main', target: 'app', privilege: 'role:deploy' }],
};
const SYNC: ChangeRequest = {
  kind: 'revoke', subject: 'nhi:prod/warehouse-sync', purpose: 'warehouse-sync', reason: 'over', entitlements: [{ connector: 'pg-main', target: 'app', privilege: 'table:public.orders:SELECT' }],
};
const PEOPLE: readonly [string, Authenticated['roles']][] = [
  ['person:wei', new Set(['caller', 'approver'])], ['person:olga', new Set(['caller', 'approver'])], ['person:kim', new Set(['auditor'])], ['person:mallory', new Set(['caller'])],
  ['nhi:prod/ci-deployer', new Set(['caller'])], ['nhi:prod/warehouse-sync', new Set(['caller'])],
] as never;

let sidecar: TestSidecar;
beforeEach(async () => {
  sidecar = await openTestSidecar({ atRestMax: 1, decide: () => answerOf('deny') });
});
afterEach(() => sidecar.close());

async function denied(count: number): Promise<ChangeView[]> {
  const made: ChangeView[] = [];
  for (let n = 0; n < count; n += 1) made.push(n % 3 === 2 ? await sidecar.change('person:olga', { ...SYNC, reason: `over ${n}` }) : await sidecar.change('person:wei', { ...GRANT, reason: `deploy ${n}` }));
  await sidecar.log.sync();
  return made;
}
const listed = async (by: string, query: string): Promise<{ changes: ChangeView[]; next: string | null }> => (await sidecar.send(by, 'GET', `/v1/changes?${query}`)).body as never;
const idsOf = (views: readonly ChangeView[]): string[] => views.map(({ id }) => id).sort().reverse();

describe('changes at rest', () => {
  it('leave memory, but for the last', async () => {
    await denied(7);
    expect([...sidecar.engine.all()].filter(isAtRest).length).toBeLessThanOrEqual(2);
  });

  it('are listed page by page, and by state, kind and subject, to those who may see them', async () => {
    const made = await denied(9);
    const found: ChangeView[] = [];
    for (let cursor: string | null = ''; cursor !== null; ) {
      const page = await listed('person:kim', `limit=2${cursor === '' ? '' : `&cursor=${cursor}`}`);
      found.push(...page.changes);
      cursor = page.next;
    }
    expect(found.map(({ id }) => id)).toEqual(idsOf(made));
    expect(found).toEqual(idsOf(made).map((id) => made.find((one) => one.id === id)));
    const grants = made.filter(({ kind }) => kind === 'grant');
    expect((await listed('person:kim', 'kind=grant&state=denied')).changes.map(({ id }) => id)).toEqual(idsOf(grants));
    expect((await listed('person:kim', 'subject=nhi:prod/warehouse-sync')).changes.map(({ id }) => id)).toEqual(idsOf(made.filter(({ kind }) => kind === 'revoke')));
    expect((await listed('person:kim', 'state=active')).changes).toEqual([]);
    expect((await listed('person:mallory', '')).changes).toEqual([]);
    expect((await listed('nhi:prod/ci-deployer', '')).changes.map(({ id }) => id)).toEqual(idsOf(grants));
  });

  it('are shown, with their evidence, as they were', async () => {
    const [first, ...others] = await denied(5);
    expect((await sidecar.send('person:kim', 'GET', `/v1/changes/${first!.id}`)).body).toMatchObject(first!);
    const { records } = (await sidecar.send('person:kim', 'GET', `/v1/changes/${first!.id}/evidence`)).body as { records: { change: string; type: string }[] };
    expect(records.map(({ type }) => type)).toEqual(['change.requested', 'step.authorised', 'state.read', 'policy.decided']);
    expect(new Set(records.map(({ change }) => change))).toEqual(new Set([first!.id]));
    expect(others).toHaveLength(4);
    expect((await sidecar.send('person:wei', 'POST', `/v1/changes/${first!.id}/withdraw`, {})).status).toBe(409);
  });

  it('answer the Idempotency-Key that made them', async () => {
    const key = { 'idempotency-key': 'the-same-again' };
    const made = (await sidecar.send('person:wei', 'POST', '/v1/changes?wait=PT10S', GRANT, key)).body as ChangeView;
    await denied(4);
    const size = sidecar.log.size;
    const again = await sidecar.send('person:wei', 'POST', '/v1/changes?wait=PT10S', GRANT, key);
    expect((again.body as ChangeView).id).toBe(made.id);
    expect((await sidecar.send('person:wei', 'POST', '/v1/changes', { ...GRANT, reason: 'another' }, key)).status).toBe(422);
    expect(sidecar.log.size).toBe(size);
  });

  it('are never left out of a list by what is known of them without reading them', async () => {
    // She is nobody to the identity: that she asked is all that lets her see it.
    await sidecar.change('person:mallory', GRANT);
    await denied(6);
    let seen = 0;
    for (const [principal, roles] of PEOPLE) {
      const by = { principal, roles } as Authenticated;
      const listed = new Set(sidecar.engine.index.newest(undefined, maySeeAtRest(by, sidecar.facts)));
      for (const changeId of sidecar.engine.index.newest()) {
        if (!maySeeChange(by, (await sidecar.engine.find(changeId))!, sidecar.facts)) continue;
        seen += 1;
        expect(listed.has(changeId)).toBe(true);
      }
    }
    expect(seen).toBeGreaterThan(6);
  });

  it('are known by their subject', async () => {
    await denied(3);
    expect(sidecar.engine.index.knowsSubject('nhi:prod/warehouse-sync')).toBe(true);
    expect(sidecar.engine.index.knowsSubject('nhi:prod/orders-web')).toBe(false);
  });
});
