import { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Connector } from '../../src/executor/connector.ts';
import { TargetError } from '../../src/executor/connector.ts';
import {
  apply, connectorTo, CONNECTOR, deadline, existingAccount, grantStep, newToken, orderOf, prepareDatabase, provisionStep, READ_ORDERS, revokeStep,
  roleExists, SECRET, SELECT_ORDERS, TARGET, USE_SALES,
} from '../support/postgres-cases.ts';
import { postgresInstallations, testPostgres } from '../support/postgres.ts';
import type { TestPostgres } from '../support/postgres.ts';

const installations = postgresInstallations().filter(({ major }, index, all) => all.findIndex((other) => other.major === major) === index);

describe.each(installations)('PostgreSQL $major', (installation) => {
  let server: TestPostgres;
  let connector: Connector;
  beforeAll(async () => {
    server = await testPostgres(installation);
    await prepareDatabase(server);
    connector = connectorTo(server);
  });
  afterAll(() => server.remove());

  const refusedLogin = (account: string): Promise<unknown> =>
    server.login(account, SECRET, TARGET).then(
      async (client) => {
        await client.end();
        return 'let in';
      },
      (error: unknown) => (error as { code: string }).code,
    );

  describe('provision', () => {
    test('makes an account that logs in with the secret and has the privileges and no others', async () => {
      const step = provisionStep('billing-export');
      expect(await connector.read(step, deadline())).toMatchObject({ exists: false, held: [], touched: { account: null } });
      await apply(connector, step);
      expect(await connector.tryUse(step, SECRET, deadline())).toBe('works');
      expect(await connector.probe(step, deadline())).toBe('applied');
      const state = await connector.read(step, deadline());
      expect(state).toMatchObject({ connector: CONNECTOR, target: TARGET, account: 'billing-export', exists: true });
      expect(state.held).toEqual([...READ_ORDERS].sort());
      const client = await server.login('billing-export', SECRET, TARGET);
      expect((await client.query('SELECT count(*)::int AS n FROM sales.orders')).rows).toEqual([{ n: 50_000 }]);
      await expect(client.query('DELETE FROM sales.orders')).rejects.toMatchObject({ code: '42501' });
      await client.end();
    });

    test('stores a verifier of the secret with 4096 iterations, and no power of its own', async () => {
      await apply(connector, provisionStep('plain'));
      const [role] = await server.sql("SELECT * FROM pg_authid WHERE rolname = 'plain'");
      expect(role).toMatchObject({ rolsuper: false, rolcreaterole: false, rolcreatedb: false, rolreplication: false, rolbypassrls: false });
      expect(role?.['rolpassword']).toMatch(/^SCRAM-SHA-256\$4096:/);
    });

    test('does nothing where one of the privileges is on something that is not there', async () => {
      const step = provisionStep('nowhere', [...READ_ORDERS, 'table:sales.invoices:SELECT']);
      expect((await connector.read(step, deadline())).touched).toMatchObject({ 'table:sales.invoices:SELECT': null });
      await expect(apply(connector, step)).rejects.toMatchObject({ kind: 'rejected' });
      expect(await roleExists(server, 'nowhere')).toBe(false);
      expect(await connector.probe(step, deadline())).toBe('absent');
    });

    test('is refused where the name is taken, and leaves that account alone', async () => {
      const other = await existingAccount(server, 'taken');
      await expect(apply(connector, provisionStep('taken'))).rejects.toMatchObject({ kind: 'rejected' });
      expect((await other.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }]);
      await other.end();
    });

    test('lets nobody in after validUntil, with nothing else running', async () => {
      const step = provisionStep('short-lived');
      const validUntil = new Date(Date.now() + 1500).toISOString();
      await apply(connector, step, { validUntil });
      expect(await connector.tryUse(step, SECRET, deadline())).toBe('works');
      await expect.poll(() => connector.tryUse(step, SECRET, deadline()), { timeout: 10_000 }).toBe('fails');
      expect(Date.now()).toBeGreaterThan(Date.parse(validUntil));
    });

    test('fails by use with another secret', async () => {
      const step = provisionStep('other-secret');
      await apply(connector, step);
      expect(await connector.tryUse(step, `${SECRET}x`, deadline())).toBe('fails');
    });

    test('fails by use where the schema of a granted table may not be entered', async () => {
      const step = provisionStep('no-way-in', [SELECT_ORDERS]);
      await apply(connector, step);
      expect(await connector.tryUse(step, SECRET, deadline())).toBe('fails');
    });

    test('gives memberships whose privileges are in force at once', async () => {
      const step = provisionStep('deployer', ['role:deploy', 'database:TEMPORARY', 'sequence:sales.order_ids:USAGE']);
      await apply(connector, step);
      expect(await connector.tryUse(step, SECRET, deadline())).toBe('works');
      expect((await connector.read(step, deadline())).held).toEqual(['database:TEMPORARY', 'role:deploy', 'sequence:sales.order_ids:USAGE']);
      const client = await server.login('deployer', SECRET, TARGET);
      expect((await client.query('INSERT INTO sales.orders VALUES (0)')).rowCount).toBe(1);
      await client.end();
      expect(await connector.revoke(orderOf(step), deadline())).toBe('done');
    });
  });

  describe('revoke of a provisioned account', () => {
    test('drops it, ends its open sessions, and says so again when asked again', async () => {
      const step = provisionStep('leaver');
      await apply(connector, step);
      const open = await server.login('leaver', SECRET, TARGET);
      const lost = new Promise((settle) => open.once('end', settle));
      expect(await connector.revoke(orderOf(step), deadline())).toBe('done');
      await lost;
      expect(await refusedLogin('leaver')).toBe('28P01');
      expect(await roleExists(server, 'leaver')).toBe(false);
      expect(await connector.probe(step, deadline())).toBe('absent');
      expect(await connector.read(step, deadline())).toMatchObject({ exists: false, held: [] });
      expect(await connector.revoke(orderOf(step), deadline())).toBe('already-absent');
    });

    test('ends a session in the middle of a long statement', async () => {
      const step = provisionStep('busy');
      await apply(connector, step);
      const open = await server.login('busy', SECRET, TARGET);
      const statement = open.query('SELECT pg_sleep(60)');
      const failure = expect(statement).rejects.toMatchObject({ code: '57P01' });
      expect(await connector.revoke(orderOf(step), deadline())).toBe('done');
      await failure;
    });

    test('finds nothing to do where the account never was', async () => {
      expect(await connector.revoke(orderOf(provisionStep('never-was')), deadline())).toBe('already-absent');
    });

    test('leaves an account of the same name alone that was made anew by someone else', async () => {
      const step = provisionStep('reborn');
      await apply(connector, step);
      await server.sql('DROP OWNED BY reborn', TARGET);
      await server.sql('DROP ROLE reborn');
      const other = await existingAccount(server, 'reborn');
      expect(await connector.revoke(orderOf(step), deadline())).toBe('mismatch');
      expect((await other.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }]);
      await other.end();
      expect(await refusedLogin('reborn')).toBe('let in');
    });

    test('takes back a renamed account, which its secret still opened', async () => {
      const step = provisionStep('before-rename');
      await apply(connector, step);
      await server.sql('ALTER ROLE "before-rename" RENAME TO "after rename"');
      expect(await refusedLogin('after rename')).toBe('let in');
      expect(await connector.revoke(orderOf(step), deadline())).toBe('done');
      expect(await roleExists(server, 'after rename')).toBe(false);
    });

    test('succeeds for two workers at once', async () => {
      for (let round = 0; round < 5; round++) {
        const step = provisionStep('contested');
        await apply(connector, step);
        const outcomes = await Promise.all([1, 2, 3].map(() => connectorTo(server).revoke(orderOf(step), deadline())));
        expect(outcomes).toContain('done');
        expect(outcomes.filter((outcome) => outcome === 'mismatch')).toEqual([]);
        expect(await roleExists(server, 'contested')).toBe(false);
      }
    });

    test('keeps what the account made, owned by a role that can do nothing', async () => {
      const step = provisionStep('maker', [...READ_ORDERS, 'schema:sales:CREATE']);
      await apply(connector, step);
      const client = await server.login('maker', SECRET, TARGET);
      await client.query('CREATE VIEW sales.planted AS SELECT * FROM sales.orders');
      await client.query('GRANT SELECT ON sales.planted TO PUBLIC');
      await client.end();
      expect(await connector.revoke(orderOf(step), deadline())).toBe('done');
      expect(await roleExists(server, 'maker')).toBe(false);
      expect(await server.sql("SELECT pg_get_userbyid(relowner) AS owner FROM pg_class WHERE relname = 'planted'", TARGET)).toEqual([{ owner: step.clientToken }]);
      // The view would still read the orders if it had fallen to an administrator.
      await server.sql('GRANT USAGE ON SCHEMA sales TO deploy', TARGET);
      const reader = provisionStep('planted-reader', [USE_SALES]);
      await apply(connector, reader);
      const other = await server.login('planted-reader', SECRET, TARGET);
      await expect(other.query('SELECT * FROM sales.planted')).rejects.toMatchObject({ code: '42501' });
      await other.end();
      expect(await connector.revoke(orderOf(step), deadline())).toBe('already-absent');
    });

    test('shuts an account out that has objects in another database, and drops it when they are gone', async () => {
      const step = provisionStep('elsewhere');
      await apply(connector, step);
      await server.sql('CREATE TABLE public.abroad (n int)', 'postgres');
      await server.sql('ALTER TABLE public.abroad OWNER TO elsewhere', 'postgres');
      await server.sql('GRANT deploy TO elsewhere');
      expect(await connector.revoke(orderOf(step), deadline())).toBe('done');
      expect(await refusedLogin('elsewhere')).toBe('28P01');
      expect(await server.sql("SELECT rolcanlogin, rolpassword FROM pg_authid WHERE rolname = 'elsewhere'")).toEqual([{ rolcanlogin: false, rolpassword: null }]);
      expect(await connector.read(step, deadline())).toMatchObject({ exists: true, held: [] });
      expect(await connector.probe(step, deadline())).toBe('absent');
      await server.sql('DROP TABLE public.abroad', 'postgres');
      expect(await connector.revoke(orderOf(step), deadline())).toBe('done');
      expect(await roleExists(server, 'elsewhere')).toBe(false);
    });

    test('is found again by its token alone', async () => {
      const step = provisionStep('forgotten');
      await apply(connector, step);
      const fresh = connectorTo(server);
      expect(await fresh.probe({ ...step, account: 'misremembered' }, deadline())).toBe('applied');
      expect(await fresh.revoke(orderOf({ ...step, account: 'misremembered' }), deadline())).toBe('done');
      expect(await roleExists(server, 'forgotten')).toBe(false);
    });
  });

  describe('grant', () => {
    test('gives an existing account the privileges, and takes them back', async () => {
      const account = await existingAccount(server, 'worker');
      const step = grantStep('worker');
      const before = await connector.read(step, deadline());
      expect(before).toMatchObject({ exists: true, held: [], touched: { canLogin: true } });
      await apply(connector, step);
      expect(await connector.tryUse(step, null, deadline())).toBe('notTried');
      expect(await connector.probe(step, deadline())).toBe('applied');
      const state = await connector.read(step, deadline());
      expect(state.held).toEqual([...READ_ORDERS].sort());
      expect(state.touched).toEqual(before.touched);
      expect((await account.query('SELECT id FROM sales.orders LIMIT 1')).rowCount).toBe(1);
      expect(await connector.revoke(orderOf(step), deadline())).toBe('done');
      expect((await connector.read(step, deadline())).held).toEqual([]);
      expect(await roleExists(server, step.clientToken)).toBe(false);
      expect(await connector.probe(step, deadline())).toBe('absent');
      expect(await connector.revoke(orderOf(step), deadline())).toBe('already-absent');
      await account.end();
      const again = await server.login('worker', SECRET, TARGET);
      await expect(again.query('SELECT id FROM sales.orders')).rejects.toMatchObject({ code: '42501' });
      await again.end();
    });

    test('that overlaps another is counted: the access ends with the last of them', async () => {
      await (await existingAccount(server, 'overlapping')).end();
      const [first, second] = [grantStep('overlapping'), grantStep('overlapping')];
      await Promise.all([apply(connector, first), apply(connector, second)]);
      expect(await connector.revoke(orderOf(first), deadline())).toBe('done');
      expect((await connector.read(second, deadline())).held).toEqual([...READ_ORDERS].sort());
      expect(await connector.probe(second, deadline())).toBe('applied');
      expect(await connector.revoke(orderOf(second), deadline())).toBe('done');
      expect((await connector.read(second, deadline())).held).toEqual([]);
    });

    test('leaves a grant of the same privilege that somebody else made', async () => {
      await (await existingAccount(server, 'already')).end();
      await server.sql('GRANT SELECT ON sales.orders TO already', TARGET);
      const step = grantStep('already', [SELECT_ORDERS]);
      await apply(connector, step);
      expect(await connector.revoke(orderOf(step), deadline())).toBe('done');
      expect((await connector.read(step, deadline())).held).toEqual([SELECT_ORDERS]);
    });

    test('to an account that was made anew since does not come back', async () => {
      await (await existingAccount(server, 'regrown')).end();
      const step = grantStep('regrown');
      await apply(connector, step);
      await server.sql('DROP ROLE regrown');
      await (await existingAccount(server, 'regrown')).end();
      expect(await connector.probe(step, deadline())).toBe('absent');
      expect((await connector.read(step, deadline())).held).toEqual([]);
      expect(await connector.revoke(orderOf(step), deadline())).toBe('done');
      expect(await roleExists(server, 'regrown')).toBe(true);
    });

    test('is mismatched, and untouched, where a role without our mark has its name', async () => {
      const step = grantStep('worker');
      await server.sql(`CREATE ROLE ${step.clientToken}`);
      expect(await connector.revoke(orderOf(step), deadline())).toBe('mismatch');
      expect(await roleExists(server, step.clientToken)).toBe(true);
    });

    test('to nobody is refused, and leaves no holder behind', async () => {
      const step = grantStep('not-there');
      expect(await connector.read(step, deadline())).toMatchObject({ exists: false, touched: { account: null, canLogin: null } });
      await expect(apply(connector, step)).rejects.toMatchObject({ kind: 'rejected' });
      expect(await roleExists(server, step.clientToken)).toBe(false);
    });

    test('of a membership leaves no session behind that switched to the role', async () => {
      const name = 'switcher';
      const account = await existingAccount(server, name);
      const lost = new Promise((settle) => account.once('end', settle));
      const step = grantStep(name, ['role:deploy']);
      await apply(connector, step);
      const switched = await account.query('SET ROLE deploy').then(() => true, () => false);
      // Before 16 a membership cannot be given without SET ROLE; there the sessions are ended instead.
      expect(switched).toBe(installation.major < 16);
      expect((await account.query('INSERT INTO sales.orders VALUES (0)')).rowCount).toBe(1);
      expect(await connector.revoke(orderOf(step), deadline())).toBe('done');
      if (switched) await lost;
      else await expect(account.query('INSERT INTO sales.orders VALUES (0)')).rejects.toMatchObject({ code: '42501' });
      await account.end().catch(() => undefined);
    });

    test('ends a transaction that began under it, with its open cursor', async () => {
      const account = await existingAccount(server, 'cursor');
      const lost = new Promise((settle) => account.once('end', settle));
      const step = grantStep('cursor');
      await apply(connector, step);
      await account.query('BEGIN');
      await account.query('DECLARE c CURSOR FOR SELECT id FROM sales.orders');
      expect((await account.query('FETCH 1 FROM c')).rowCount).toBe(1);
      expect(await connector.revoke(orderOf(step), deadline())).toBe('done');
      await lost;
    });

    test('taken back by several workers at once is taken back once', async () => {
      await (await existingAccount(server, 'many-workers')).end();
      const step = grantStep('many-workers');
      await apply(connector, step);
      const outcomes = await Promise.all([1, 2, 3].map(() => connectorTo(server).revoke(orderOf(step), deadline())));
      expect(outcomes.filter((outcome) => outcome === 'mismatch')).toEqual([]);
      expect(await roleExists(server, step.clientToken)).toBe(false);
    });
  });

  describe('revoke of what was not ours', () => {
    test('takes the privileges from the account, whoever granted them, and nothing else', async () => {
      await (await existingAccount(server, 'over-privileged')).end();
      await server.sql('CREATE ROLE delegate NOLOGIN');
      await server.sql('GRANT USAGE ON SCHEMA sales TO delegate', TARGET);
      await server.sql('GRANT SELECT, DELETE ON sales.orders TO delegate WITH GRANT OPTION', TARGET);
      await server.sql('GRANT SELECT, DELETE ON sales.orders TO "over-privileged"', TARGET);
      await server.sql('BEGIN; SET LOCAL ROLE delegate; GRANT DELETE ON sales.orders TO "over-privileged"; COMMIT', TARGET);
      await server.sql('GRANT deploy TO "over-privileged"');
      const step = revokeStep('over-privileged', ['table:sales.orders:DELETE', 'role:deploy']);
      expect((await connector.read(step, deadline())).held).toEqual(['role:deploy', 'table:sales.orders:DELETE', SELECT_ORDERS]);
      expect(await connector.probe(step, deadline())).toBe('absent');
      await apply(connector, step);
      expect((await connector.read(step, deadline())).held).toEqual([SELECT_ORDERS]);
      expect(await connector.probe(step, deadline())).toBe('applied');
      await apply(connector, step);
    });

    test('takes it from a running lease too, and the lease can still be ended', async () => {
      await (await existingAccount(server, 'leased')).end();
      const grant = grantStep('leased');
      await apply(connector, grant);
      const step = revokeStep('leased', [SELECT_ORDERS]);
      await apply(connector, step);
      expect((await connector.read(step, deadline())).held).toEqual([USE_SALES]);
      expect(await connector.revoke(orderOf(grant), deadline())).toBe('done');
      expect((await connector.read(step, deadline())).held).toEqual([]);
    });

    test('is refused where the account would keep the privilege through another role', async () => {
      await (await existingAccount(server, 'through-role')).end();
      await server.sql('GRANT deploy TO "through-role"');
      await server.sql('GRANT INSERT ON sales.orders TO "through-role"', TARGET);
      const step = revokeStep('through-role', ['table:sales.orders:INSERT']);
      await expect(apply(connector, step)).rejects.toMatchObject({ kind: 'rejected' });
      expect((await connector.read(step, deadline())).held).toEqual(['role:deploy', 'table:sales.orders:INSERT']);
    });

    test('ends sessions that may have switched to the role', async () => {
      const account = await existingAccount(server, 'was-deploying');
      const lost = new Promise((settle) => account.once('end', settle));
      await server.sql('GRANT deploy TO "was-deploying"');
      await account.query('SET ROLE deploy');
      await apply(connector, revokeStep('was-deploying', ['role:deploy']));
      await lost;
    });
  });

  test('another target than the connector\'s database is refused by every method', async () => {
    const step = { ...provisionStep('astray'), target: 'postgres' };
    const calls = [
      () => connector.read(step, deadline()), () => apply(connector, step), () => connector.probe(step, deadline()),
      () => connector.tryUse(step, SECRET, deadline()), () => connector.revoke(orderOf(step), deadline()),
    ];
    for (const call of calls) await expect(call()).rejects.toMatchObject({ kind: 'rejected' });
  });

  test('the superuser is shown as such', async () => {
    expect((await connector.read(grantStep(server.adminUser), deadline())).held).toContain('attribute:SUPERUSER');
  });

  test('a function of the same name in a writable schema does not stand in for the server\'s own', async () => {
    await server.sql("CREATE OR REPLACE FUNCTION public.pg_has_role(oid, oid, text) RETURNS boolean LANGUAGE sql AS 'SELECT 1/0 = 1'", TARGET);
    await server.sql("ALTER DATABASE app SET search_path = public, pg_catalog");
    const step = provisionStep('shadowed', ['role:deploy']);
    await apply(connector, step);
    expect(await connector.revoke(orderOf(step), deadline())).toBe('done');
    await server.sql('ALTER DATABASE app RESET search_path');
  });

  test('connections name themselves, and none stays open', async () => {
    const count = async (): Promise<unknown> => (await server.sql("SELECT count(*)::int AS n FROM pg_stat_activity WHERE application_name = 'countersign'"))[0]?.['n'];
    await connector.read(provisionStep('counted'), deadline());
    await expect.poll(count, { timeout: 10_000 }).toBe(0);
    const blocker = new Client({ connectionString: server.connectionString(TARGET), ssl: false });
    await blocker.connect();
    await blocker.query('BEGIN');
    await blocker.query('LOCK TABLE pg_authid IN ACCESS EXCLUSIVE MODE');
    const stuck = connector.read(provisionStep('counted'), AbortSignal.timeout(400)).catch((error: unknown) => error);
    const failure = await stuck;
    await blocker.query('ROLLBACK');
    await blocker.end();
    expect(failure).toBeInstanceOf(TargetError);
    expect(failure).toMatchObject({ kind: 'unreachable' });
  });

  test('tokens of the tests have the form of the protocol', () => {
    expect(newToken()).toMatch(/^cs_[0-7][0-9a-hjkmnp-tv-z]{25}$/);
  });
});
