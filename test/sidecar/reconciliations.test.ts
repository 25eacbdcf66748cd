import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { FoundAccount } from '../../src/protocol/discovery.ts';
import { discoverySchema, findingListSchema, reconciliationListSchema, type ReconciliationList } from '../../src/sidecar/schemas.ts';
import { answerOf, openTestSidecar, problemIn, type TestSidecar } from '../support/sidecar.ts';

const OPERATOR = 'person:sam';
let sidecar: TestSidecar;
beforeEach(async () => {
  sidecar = await openTestSidecar({ decide: () => answerOf('allow'), limits: { republishMs: 200 } });
});
afterEach(() => sidecar.close());

const login = (account: string, held: readonly string[] = []): FoundAccount => ({
  kind: 'account', key: account, account, nativeId: account, canLogin: true, isOwn: false, endsAt: null, held: [...held], heldLeftOut: 0, marks: [], credentials: [], credentialsLeftOut: 0,
  sessions: 0, lastUsedAt: null,
});
const reconcile = async (by = OPERATOR, body: object = { connector: 'pg-main' }, wait = 'PT30S'): Promise<ReconciliationList> => {
  const answered = await sidecar.send(by, 'POST', `/v1/reconciliations?wait=${wait}`, body);
  expect(answered.status, answered.text).toBe(200);
  return reconciliationListSchema.parse(answered.body);
};

describe('reconciling by the sidecar', () => {
  it('finds what nobody knows, once, shows it to whom it concerns, and clears it when it is gone', async () => {
    sidecar.executor.found = [login('planted', ['role:app_owner']), login('ci_deployer', ['role:app_owner'])];
    const first = await reconcile();
    expect(first.reconciliations).toMatchObject([{ connector: 'pg-main', state: 'done', target: 'app', complete: true, found: 2, cleared: 0, counts: { accounts: 2, unknownAccounts: 1, unexplained: 2 } }]);
    expect(first.findings.map(({ code, account }) => [code, account])).toEqual([['account-unknown', 'planted'], ['access-unexplained', 'ci_deployer']]);
    expect((await reconcile()).reconciliations).toMatchObject([{ found: 0, cleared: 0 }]);

    const seenBy = async (by: string): Promise<string[]> => findingListSchema.parse((await sidecar.send(by, 'GET', '/v1/findings')).body).findings.map(({ account }) => account);
    expect(await seenBy(OPERATOR)).toEqual(['planted', 'ci_deployer']);
    // Wei owns the identity; Mallory nothing; the identity itself is told of its own.
    expect(await seenBy('person:wei')).toEqual(['ci_deployer']);
    expect(await seenBy('person:mallory')).toEqual([]);
    expect(await seenBy('nhi:prod/ci-deployer')).toEqual(['ci_deployer']);

    sidecar.executor.found = [login('ci_deployer')];
    const third = await reconcile();
    expect(third.reconciliations).toMatchObject([{ found: 0, cleared: 2 }]);
    expect(third.findings).toEqual([]);
  });

  it('does not believe what only the first look shows', async () => {
    // The second look may follow within the turn in which the first is answered.
    Object.defineProperty(sidecar.executor, 'found', { get: () => (sidecar.executor.steps.length === 1 ? [login('passing')] : []) });
    expect((await reconcile()).findings).toEqual([]);
    expect(sidecar.executor.steps).toHaveLength(2);
  });

  it('shows what was there, to those who may see all of it', async () => {
    expect(problemIn(await sidecar.send(OPERATOR, 'GET', '/v1/discoveries/pg-main'))).toMatchObject({ code: 'no-such-connector' });
    sidecar.executor.found = [login('ci_deployer')];
    await reconcile();
    expect(discoverySchema.parse((await sidecar.send(OPERATOR, 'GET', '/v1/discoveries/pg-main')).body)).toMatchObject({ connector: 'pg-main', target: 'app', complete: true, entries: [{ account: 'ci_deployer' }] });
    for (const [method, path, body] of [['GET', '/v1/discoveries/pg-main', undefined], ['GET', '/v1/reconciliations', undefined], ['POST', '/v1/reconciliations', {}]] as const) {
      expect(problemIn(await sidecar.send('person:mallory', method, path, body)), path).toMatchObject({ status: 403, code: 'not-allowed' });
    }
  });

  it('says of each connector what became of it: one that will not tell has failed, and one nobody looked at was never', async () => {
    const listed = async (): Promise<ReconciliationList> => reconciliationListSchema.parse((await sidecar.send(OPERATOR, 'GET', '/v1/reconciliations')).body);
    expect((await listed()).reconciliations).toMatchObject([{ connector: 'pg-dev', state: 'never', at: null }, { connector: 'pg-main', state: 'never', at: null }]);
    sidecar.executor.found = null;
    const { reconciliations } = await reconcile(OPERATOR, {});
    expect(reconciliations).toMatchObject([{ connector: 'pg-dev', state: 'failed' }, { connector: 'pg-main', state: 'failed', at: null }]);
    expect(reconciliations[0]!.reason).toContain('it will not tell');
    expect(problemIn(await sidecar.send(OPERATOR, 'POST', '/v1/reconciliations', { connector: 'nowhere' }))).toMatchObject({ code: 'no-such-connector' });
  });

  it('goes on after the wait is over, and whoever asks then waits for the same', async () => {
    sidecar.executor.acting = false;
    expect((await reconcile(OPERATOR, { connector: 'pg-main' }, 'PT1S')).reconciliations).toMatchObject([{ state: 'running' }]);
    sidecar.executor.acting = true;
    expect((await reconcile()).reconciliations).toMatchObject([{ state: 'done' }]);
    const asked = new Set(sidecar.executor.steps.map(({ ticket }) => ticket.payload));
    expect(asked.size).toBe(1);
  });
});
