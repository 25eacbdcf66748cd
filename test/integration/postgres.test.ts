import { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Connector } from '../../src/executor/connector.ts';
import { TargetError } from '../../src/executor/connector.ts';
import {
  apply, connectorTo, deadline, existingAccount, grantStep, newToken, orderOf, prepareDatabase, provisionStep, READ_ORDERS, revokeStep,
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
    test('ends a session in the middle of a long statement', async () => {
      const step = provisionStep('busy');
      await apply(connector, step);
      const open = await server.login('busy', SECRET, TARGET);
      const statement = open.query('SELECT pg_sleep(60)');
      const failure = expect(statement).rejects.toMatchObject({ code: '57P01' });
      expect(await connector.revoke(orderOf(step), deadline())).toBe('done');
      await failure;
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
  });

  describe('grant', () => {
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
