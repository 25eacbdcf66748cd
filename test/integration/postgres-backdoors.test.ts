import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { clientTokenOf } from '../../src/change/derive.ts';
import type { ChangeRequest } from '../../src/protocol/request.ts';
import { connectorTo, CONNECTOR, existingAccount, prepareDatabase, roleExists, SELECT_ORDERS, TARGET, twinAccount, USE_SALES } from '../support/postgres-cases.ts';
import { postgresInstallations, testPostgres, type TestPostgres } from '../support/postgres.ts';
import { openReconcileBench, OWNER, SECURITY, type ReconcileBench } from '../support/reconcile-bench.ts';
import { RECIPIENT } from '../support/sidecar.ts';

const [installation] = postgresInstallations().toReversed();

/** Ways in that somebody with rights at the server could leave behind. Each was once taken for access that is explained. */
describe.skipIf(installation === undefined)('a back door at a real PostgreSQL', () => {
  let server: TestPostgres;
  let bench: ReconcileBench;
  beforeEach(async () => {
    server = await testPostgres(installation);
    await prepareDatabase(server);
    await (await existingAccount(server, 'loader')).end();
    await server.sql('GRANT USAGE ON SCHEMA sales TO loader', TARGET);
    await twinAccount(server, 'orders');
    bench = await openReconcileBench(connectorTo(server), {
      connector: CONNECTOR, target: TARGET, privileges: [SELECT_ORDERS, 'role:deploy'],
      identities: { loader: { account: 'loader', standing: [USE_SALES] }, orders: { account: 'orders', standing: [USE_SALES, SELECT_ORDERS] }, maker: { account: 'maker_shared' } },
    });
  });
  afterEach(async () => {
    await bench.close();
    await server.remove();
  });

  const at = { connector: CONNECTOR, target: TARGET };
  const found = async (): Promise<unknown[]> => {
    const { found: now, complete } = await bench.engine.reconcile(CONNECTOR);
    expect(complete).toBe(true);
    return now.map(({ code, account, owner, privileges }) => [code, account, owner, privileges]);
  };
  const nothingIsLeft = async (): Promise<void> => expect((await bench.engine.reconcile(CONNECTOR)).open).toEqual([]);
  const given = async (request: ChangeRequest): Promise<string> => {
    const changeId = await bench.request(request);
    await bench.until(changeId, 'active');
    return changeId;
  };
  const grant = (): Promise<string> => given({ kind: 'grant', subject: 'nhi:prod/loader', purpose: 'run-loader', reason: 'a test', duration: 'PT1H', entitlements: [{ ...at, privilege: SELECT_ORDERS }] });
  const rotate = async (): Promise<void> => {
    const changeId = await bench.request({ kind: 'rotate', subject: 'nhi:prod/orders', ...at, purpose: 'run-orders', reason: 'a test', recipient: RECIPIENT, grace: 'PT1S', retire: 'endSessions' });
    await bench.until(changeId, 'staged');
    await bench.engine.acknowledgeDelivery(OWNER, changeId, bench.engine.get(changeId)!.delivery!.seal.ciphertext);
    await bench.until(changeId, 'done');
  };
  const drop = async (...roles: string[]): Promise<void> => {
    for (const role of roles) await server.sql(`DROP ROLE ${role}`);
  };

  test('a login that is called like one of a rotation that never was', async () => {
    await server.sql(`CREATE ROLE orders_b LOGIN PASSWORD 'x' IN ROLE orders; CREATE ROLE loader_a LOGIN PASSWORD 'x' IN ROLE loader`);
    // Which of the two logins of orders was there first nobody can tell.
    expect(new Set(await found())).toEqual(new Set([['account-unknown', 'orders_a', SECURITY, ['role:orders']], ['account-unknown', 'orders_b', SECURITY, ['role:orders']], ['account-unknown', 'loader_a', SECURITY, ['role:loader']]]));
    await drop('orders_b', 'loader_a');
    await nothingIsLeft();
  });

  test('a login that was retired and works again, also without its mark, and the account of the logins itself', async () => {
    await rotate();
    expect(await found()).toEqual([]);
    await server.sql(`ALTER ROLE orders_a LOGIN PASSWORD 'x' VALID UNTIL 'infinity'`);
    await (await server.login('orders_a', 'x', TARGET)).end();
    expect(await found()).toEqual([['access-returned', 'orders_a', OWNER, []]]);
    await server.sql('GRANT orders TO orders_a; COMMENT ON ROLE orders_a IS NULL; ALTER ROLE orders LOGIN');
    expect(await found()).toEqual([['access-unexplained', 'orders', OWNER, []]]);
    expect((await bench.engine.reconcile(CONNECTOR)).open.map(({ code, account, proposed }) => [code, account, proposed])).toEqual([['access-returned', 'orders_a', null], ['access-unexplained', 'orders', null]]);
    await server.sql('ALTER ROLE orders NOLOGIN; ALTER ROLE orders_a NOLOGIN; REVOKE orders FROM orders_a');
    await nothingIsLeft();
    const { verdicts } = await bench.verify();
    expect(verdicts.filter(({ status }) => status === 'fails')).toEqual([]);
  });

  test('a superuser whom a connection limit does not keep out, and one whose password alone has ended', async () => {
    await server.sql(`CREATE ROLE god LOGIN SUPERUSER CONNECTION LIMIT 0 PASSWORD 'x'; CREATE ROLE expired LOGIN PASSWORD 'x' VALID UNTIL '2001-01-01'; CREATE ROLE limited LOGIN CONNECTION LIMIT 0 PASSWORD 'x'`);
    await (await server.login('god', 'x', TARGET)).end();
    await expect(server.login('limited', 'x', TARGET)).rejects.toThrow(/too many connections/);
    expect(await found()).toEqual([['account-unknown', 'god', SECURITY, ['attribute:SUPERUSER']], ['account-unknown', 'expired', SECURITY, []]]);
    expect((await bench.engine.reconcile(CONNECTOR)).open.find(({ account }) => account === 'expired')?.message).toContain('its end was 2001-01-01');
    await drop('god', 'expired', 'limited');
    await nothingIsLeft();
  });

  test('a second login with the mark of a running lease, but not one that somebody renamed', async () => {
    const changeId = await given({
      kind: 'provision', subject: 'nhi:prod/maker', purpose: 'run-maker', reason: 'a test', duration: 'PT1H', recipient: RECIPIENT, entitlements: [{ ...at, privilege: 'role:deploy' }],
    });
    const { account, clientToken } = bench.engine.get(changeId)!.plan!.steps[0]!;
    await server.sql(`ALTER ROLE ${account} RENAME TO renamed`);
    expect(await found()).toEqual([]);
    await server.sql(`CREATE ROLE copycat LOGIN PASSWORD 'x' IN ROLE deploy; COMMENT ON ROLE copycat IS 'countersign ${clientToken}'`);
    expect(await found()).toEqual([['account-unknown', 'copycat', SECURITY, ['role:deploy']]]);
    await server.sql('COMMENT ON ROLE copycat IS NULL');
    await drop('copycat');
    await bench.engine.revoke(OWNER, changeId, null);
    await bench.until(changeId, 'revoked');
    await nothingIsLeft();
  });

  test('a login with the mark of what is only lent', async () => {
    const changeId = await grant();
    await server.sql(`CREATE ROLE copycat LOGIN PASSWORD 'x'; COMMENT ON ROLE copycat IS 'countersign ${clientTokenOf(changeId)}'`);
    expect(await found()).toEqual([['account-unknown', 'copycat', SECURITY, []]]);
    await drop('copycat');
    await bench.engine.revoke(OWNER, changeId, null);
    await bench.until(changeId, 'revoked');
    await nothingIsLeft();
  });

  test('the right to hand on what may stand', async () => {
    await server.sql('GRANT USAGE ON SCHEMA sales TO loader WITH GRANT OPTION', TARGET);
    expect(await found()).toEqual([['access-unexplained', 'loader', OWNER, ['schema:sales:USAGE*']]]);
    await server.sql('REVOKE GRANT OPTION FOR USAGE ON SCHEMA sales FROM loader', TARGET);
    await nothingIsLeft();
  });

  test('the right to hand on what is lent, which keeps nothing of it from being taken back, handed on or not', async () => {
    const changeId = await grant();
    const token = clientTokenOf(changeId);
    await server.sql(`CREATE ROLE heir NOLOGIN`);
    await server.sql(`GRANT SELECT ON sales.orders TO ${token} WITH GRANT OPTION; GRANT deploy TO ${token} WITH ADMIN OPTION; GRANT ${token} TO loader WITH ADMIN OPTION`, TARGET);
    await server.sql(`SET ROLE ${token}; GRANT SELECT ON sales.orders TO heir; GRANT deploy TO heir; RESET ROLE`, TARGET);
    expect(new Set(await found())).toEqual(new Set([
      ['access-unexplained', 'loader', OWNER, ['admin:deploy', 'role:deploy', `${SELECT_ORDERS}*`]], ['access-unexplained', 'loader', OWNER, [`admin:${token}`]],
    ]));
    await bench.engine.revoke(OWNER, changeId, null);
    await bench.until(changeId, 'revoked');
    expect(await roleExists(server, token)).toBe(false);
    expect(await server.sql(`SELECT has_table_privilege('loader', 'sales.orders', 'SELECT') AS has`, TARGET)).toEqual([{ has: false }]);
    await nothingIsLeft();
  });
});
