import { afterAll, beforeAll, beforeEach, afterEach, describe, expect, test } from 'vitest';
import { clientTokenOf } from '../../src/change/derive.ts';
import { readBundle } from '../../src/pdp/bundle.ts';
import { inlinePdp } from '../../src/pdp/inline.ts';
import type { ChangeRequest } from '../../src/protocol/request.ts';
import { defaultPolicyDirectory } from '../../src/sidecar/default-policy.ts';
import { connectorTo, CONNECTOR, prepareDatabase, roleExists, SECRET, SELECT_ORDERS, TARGET, USE_SALES } from '../support/postgres-cases.ts';
import { postgresInstallations, testPostgres, type TestPostgres } from '../support/postgres.ts';
import { openReconcileBench, OWNER, SECURITY, type ReconcileBench } from '../support/reconcile-bench.ts';
import { RECIPIENT } from '../support/sidecar.ts';

const [installation] = postgresInstallations().toReversed();

describe.skipIf(installation === undefined)('reconciling a real PostgreSQL', () => {
  let server: TestPostgres;
  let bench: ReconcileBench;
  beforeAll(async () => {
    server = await testPostgres(installation);
    await prepareDatabase(server);
    await server.sql(`CREATE ROLE loader LOGIN PASSWORD '${SECRET}'`);
    await server.sql('GRANT USAGE ON SCHEMA sales TO loader', TARGET);
  });
  afterAll(() => server.remove());
  beforeEach(async () => {
    bench = await openReconcileBench(connectorTo(server), {
      connector: CONNECTOR, target: TARGET, privileges: [SELECT_ORDERS, 'role:deploy'],
      identities: { loader: { account: 'loader', standing: [USE_SALES] }, maker: { account: 'maker_shared' } },
    });
  });
  afterEach(() => bench.close());

  const entitlements = (...privileges: string[]): { connector: string; target: string; privilege: string }[] => privileges.map((privilege) => ({ connector: CONNECTOR, target: TARGET, privilege }));
  const grant = (duration = 'PT1H'): ChangeRequest => ({ kind: 'grant', subject: 'nhi:prod/loader', purpose: 'run-loader', reason: 'a test', duration, entitlements: entitlements(SELECT_ORDERS) });
  const provision = (duration = 'PT1H'): ChangeRequest => ({
    kind: 'provision', subject: 'nhi:prod/maker', purpose: 'run-maker', reason: 'a test', duration, recipient: RECIPIENT, entitlements: entitlements(USE_SALES, SELECT_ORDERS),
  });
  const given = async (request: ChangeRequest): Promise<string> => {
    const changeId = await bench.request(request);
    await bench.until(changeId, 'active');
    return changeId;
  };

  test('finds nothing where all is as it is recorded, and says how much there is', async () => {
    const [granted, made] = [await given(grant()), await given(provision())];
    const { found, open, complete, counts } = await bench.engine.reconcile(CONNECTOR);
    expect([found, open]).toEqual([[], []]);
    expect(complete).toBe(true);
    // The login of the identity and the one that was made; one privilege of its own, one lent, two made.
    expect(counts).toEqual({ accounts: 2, unknownAccounts: 0, held: 4, explained: 4, unexplained: 0, pastEnd: 0, undecided: 0, standing: 1, recorded: 2, missing: 0 });
    for (const changeId of [granted, made]) {
      await bench.engine.revoke(OWNER, changeId, null);
      await bench.until(changeId, 'revoked');
    }
    expect((await bench.engine.reconcile(CONNECTOR)).open).toEqual([]);
  });

  test('a login that nobody knows has a finding and an owner, once, until it is gone', async () => {
    await server.sql(`CREATE ROLE planted LOGIN PASSWORD '${SECRET}'`);
    await server.sql('GRANT SELECT ON sales.orders TO planted', TARGET);
    const first = await bench.engine.reconcile(CONNECTOR);
    expect(first.found).toHaveLength(1);
    expect(first.found[0]).toMatchObject({ code: 'account-unknown', account: 'planted', owner: SECURITY, nhi: null, change: null, privileges: [SELECT_ORDERS] });
    expect(first.counts).toMatchObject({ unknownAccounts: 1, unexplained: 1, standing: 2 });
    const second = await bench.engine.reconcile(CONNECTOR);
    expect([second.found.length, second.open.length]).toEqual([0, 1]);
    // Nothing of it is touched.
    expect(await roleExists(server, 'planted')).toBe(true);
    await server.sql('DROP OWNED BY planted', TARGET);
    await server.sql('DROP ROLE planted');
    const third = await bench.engine.reconcile(CONNECTOR);
    expect(third.cleared.map(({ account }) => account)).toEqual(['planted']);
    expect(third.open).toEqual([]);
  });

  test('what an identity holds beyond its purposes is its owner’s to look at', async () => {
    await server.sql('GRANT deploy TO loader');
    const { found } = await bench.engine.reconcile(CONNECTOR);
    expect(found).toMatchObject([{ code: 'access-unexplained', account: 'loader', nhi: 'nhi:prod/loader', owner: OWNER, privileges: ['role:deploy'] }]);
    await server.sql('REVOKE deploy FROM loader');
    expect((await bench.engine.reconcile(CONNECTOR)).open).toEqual([]);
  });

  test('what policy has proposed is asked for once, for its owner to approve, and ends what was found', async () => {
    await bench.close();
    bench = await openReconcileBench(connectorTo(server), {
      connector: CONNECTOR, target: TARGET, privileges: [SELECT_ORDERS, 'role:deploy'], identities: { loader: { account: 'loader', standing: [USE_SALES] } },
    }, {}, inlinePdp(await readBundle(defaultPolicyDirectory())));
    await server.sql('GRANT deploy TO loader');
    const [finding] = (await bench.engine.reconcile(CONNECTOR)).open;
    const proposed = finding!.proposed!;
    await bench.until(proposed, 'pending');
    const change = bench.engine.get(proposed)!;
    expect(change.requester).toEqual([`sidecar:${bench.log.logId}`]);
    expect(change.request).toMatchObject({ kind: 'revoke', subject: 'nhi:prod/loader', entitlements: [{ privilege: 'role:deploy' }] });
    expect(change.requirement.approvers).toEqual({ anyOf: [OWNER] });
    expect((await bench.engine.reconcile(CONNECTOR)).open.map(({ proposed: again }) => again)).toEqual([proposed]);

    await bench.engine.decideApproval(OWNER, proposed, 'approve', change.planDigest!, null);
    await bench.until(proposed, 'done');
    expect((await bench.engine.reconcile(CONNECTOR)).open).toEqual([]);
    const { verdicts } = await bench.verify();
    expect(verdicts.filter(({ status }) => status === 'fails')).toEqual([]);
  });

  test('access that is recorded and was dropped at the target is missed, until it has ended on record as well', async () => {
    const changeId = await given(grant());
    await server.sql(`DROP OWNED BY ${clientTokenOf(changeId)}`, TARGET);
    await server.sql(`DROP ROLE ${clientTokenOf(changeId)}`);
    const { found, counts } = await bench.engine.reconcile(CONNECTOR);
    expect(found).toMatchObject([{ code: 'access-missing', account: 'loader', change: changeId, owner: OWNER }]);
    expect(counts).toMatchObject({ recorded: 1, missing: 1 });
    await bench.engine.revoke(OWNER, changeId, null);
    await bench.until(changeId, 'revoked');
    expect((await bench.engine.reconcile(CONNECTOR)).cleared).toHaveLength(1);
  });

  test('what came back after it was taken back, as from a backup, is taken back again at once', async () => {
    const changeId = await given(grant('PT2S'));
    const token = clientTokenOf(changeId);
    await bench.until(changeId, 'revoked');
    expect(await roleExists(server, token)).toBe(false);
    await server.sql(`CREATE ROLE ${token} NOLOGIN`);
    await server.sql(`COMMENT ON ROLE ${token} IS 'countersign ${token}'`);
    await server.sql(`GRANT SELECT ON sales.orders TO ${token}`, TARGET);
    await server.sql(`GRANT ${token} TO loader`);
    const { found } = await bench.engine.reconcile(CONNECTOR);
    expect(found).toMatchObject([{ code: 'access-past-end', account: 'loader', change: changeId }]);
    await expect.poll(() => roleExists(server, token), { timeout: 20_000 }).toBe(false);
    expect((await bench.engine.reconcile(CONNECTOR)).open).toEqual([]);
    // The evidence of all of it verifies.
    const { verdicts } = await bench.verify();
    expect(verdicts.filter(({ status }) => status === 'fails')).toEqual([]);
  });

  test('a lease whose order was lost with its worker ends all the same, and leaves no finding', async () => {
    const changeId = await given(grant('PT4S'));
    await bench.replaceWorker();
    await bench.until(changeId, 'revoked');
    expect(await roleExists(server, clientTokenOf(changeId))).toBe(false);
    expect((await bench.engine.reconcile(CONNECTOR)).open).toEqual([]);
  });

  test('an account that somebody else made anew under the name of ours is never touched', async () => {
    const changeId = await given(provision('PT5S'));
    const account = bench.engine.get(changeId)!.plan!.steps[0]!.account;
    await server.sql(`DROP OWNED BY ${account}`, TARGET);
    await server.sql(`DROP ROLE ${account}`);
    await server.sql(`CREATE ROLE ${account} LOGIN PASSWORD 'theirs'`);
    await expect.poll(() => bench.engine.get(changeId)?.findings.has('revoke-mismatch'), { timeout: 20_000 }).toBe(true);
    const { found, open } = await bench.engine.reconcile(CONNECTOR);
    expect(found.map(({ code, account: name }) => [code, name])).toEqual([['account-unknown', account]]);
    expect(open).toHaveLength(1);
    await bench.engine.reconcile(CONNECTOR);
    const client = await server.login(account, 'theirs', TARGET);
    await client.end();
    await server.sql(`DROP ROLE ${account}`);
  });
});
