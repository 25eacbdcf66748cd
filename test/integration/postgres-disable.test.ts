import type { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Connector } from '../../src/executor/connector.ts';
import {
  apply, connectorTo, deadline, disableStep, existingAccount, grantStep, orderOf, prepareDatabase, rotationSteps, SECRET, TARGET, twinAccount,
} from '../support/postgres-cases.ts';
import { cutProxy } from '../support/cut-proxy.ts';
import { postgresInstallations, testPostgres } from '../support/postgres.ts';
import type { TestPostgres } from '../support/postgres.ts';

const installations = postgresInstallations().filter(({ major }, index, all) => all.findIndex((other) => other.major === major) === index);

describe.each(installations)('disable at PostgreSQL $major', (installation) => {
  let server: TestPostgres;
  let connector: Connector;
  beforeAll(async () => {
    server = await testPostgres(installation);
    await prepareDatabase(server);
    connector = connectorTo(server);
  });
  afterAll(() => server.remove());

  const login = async (account: string): Promise<string> =>
    server.login(account, SECRET, TARGET).then(
      async (client) => {
        await client.end();
        return 'let in';
      },
      (error: unknown) => (error as { code: string }).code,
    );
  const oidOf = async (name: string): Promise<unknown> => (await server.sql(`SELECT oid FROM pg_roles WHERE rolname = '${name}'`))[0]?.['oid'];
  const closed = (client: Client): Promise<unknown> => new Promise((settle) => client.once('end', settle));
  /** Mentions of the role in anybody's access lists, in this database and in what the cluster shares. */
  const grantsTo = async (name: string): Promise<unknown> =>
    server.sql(`SELECT d.classid::regclass::text AS in, d.objid FROM pg_shdepend d WHERE d.refobjid = '"${name}"'::regrole AND d.deptype = 'a'`, TARGET);

  test('shuts an account out, ends its sessions, and leaves it nothing but what it owns', async () => {
    const open = await existingAccount(server, 'leaver');
    const lost = closed(open);
    await server.sql('GRANT deploy TO leaver');
    await server.sql('GRANT SELECT ON sales.orders TO leaver', TARGET);
    await server.sql('CREATE TABLE sales.drafts (n int)', TARGET);
    await server.sql('ALTER TABLE sales.drafts OWNER TO leaver', TARGET);
    await server.sql('ALTER ROLE leaver CREATEDB BYPASSRLS');
    await server.sql("COMMENT ON ROLE leaver IS 'left in June'");
    const lease = grantStep('leaver', ['table:sales.orders:DELETE']);
    await apply(connector, lease);
    const step = disableStep('leaver');
    const before = await connector.read(step, deadline());
    expect(before).toMatchObject({ touched: { account: await oidOf('leaver'), canLogin: true }, seen: { sessions: { leaver: 1 } } });
    expect(before.held).toEqual(expect.arrayContaining(['attribute:BYPASSRLS', 'attribute:CREATEDB', 'role:deploy', 'table:sales.orders:SELECT', 'table:sales.orders:DELETE']));
    expect(await connector.probe(step, deadline())).toBe('absent');
    await apply(connector, step);
    await lost;
    expect(await login('leaver')).toBe('28P01');
    const after = await connector.read(step, deadline());
    expect(after).toMatchObject({ exists: true, touched: { account: before.touched['account'], canLogin: false }, seen: { sessions: { leaver: 0 } } });
    expect(after.held.length).toBeGreaterThan(0);
    expect(after.held.filter((held) => !held.startsWith('table:sales.drafts:'))).toEqual([]);
    expect(await connector.probe(step, deadline())).toBe('applied');
    expect(await connector.tryUse(step, null, deadline())).toBe('notTried');
    expect(await server.sql("SELECT rolpassword, rolvaliduntil FROM pg_authid WHERE rolname = 'leaver'")).toEqual([{ rolpassword: null, rolvaliduntil: new Date(0) }]);
    expect(await server.sql("SELECT shobj_description('leaver'::regrole, 'pg_authid') AS comment")).toEqual([{ comment: `left in June\ncountersign disabled ${step.clientToken}` }]);
    await apply(connector, step);
    expect(await connector.probe(step, deadline())).toBe('applied');
    // The lease that lent it something can still be ended.
    expect(await connector.revoke(orderOf(lease), deadline())).toBe('done');
  });

  test('takes grants on every kind of thing, whoever made them', async () => {
    await (await existingAccount(server, 'collector')).end();
    await server.sql('CREATE ROLE delegate NOLOGIN');
    for (const statement of [
      'GRANT USAGE ON SCHEMA sales TO delegate', 'GRANT SELECT ON sales.orders TO delegate WITH GRANT OPTION',
      'BEGIN; SET LOCAL ROLE delegate; GRANT SELECT ON sales.orders TO collector; COMMIT', 'GRANT SELECT ON sales.orders TO collector',
      'GRANT UPDATE (note), INSERT ON sales.orders TO collector', 'GRANT USAGE ON SEQUENCE sales.order_ids TO collector', 'GRANT CREATE ON SCHEMA sales TO collector',
      'GRANT CREATE ON DATABASE app TO collector', 'GRANT CONNECT ON DATABASE postgres TO collector',
      "CREATE FUNCTION sales.\"odd;name\"(text, int) RETURNS int LANGUAGE sql AS 'SELECT 1'", 'GRANT EXECUTE ON FUNCTION sales."odd;name"(text, int) TO collector',
      "CREATE PROCEDURE sales.tidy() LANGUAGE sql AS 'SELECT 1'", 'GRANT EXECUTE ON PROCEDURE sales.tidy() TO collector',
      "CREATE TYPE sales.mood AS ENUM ('ok')", 'GRANT USAGE ON TYPE sales.mood TO collector', 'GRANT USAGE ON LANGUAGE plpgsql TO collector',
      'CREATE FOREIGN DATA WRAPPER wrapper', 'CREATE SERVER "far away" FOREIGN DATA WRAPPER wrapper', 'GRANT USAGE ON FOREIGN DATA WRAPPER wrapper TO collector',
      'GRANT USAGE ON FOREIGN SERVER "far away" TO collector', 'GRANT CREATE ON TABLESPACE pg_default TO collector', 'SELECT lo_create(4711)', 'GRANT SELECT ON LARGE OBJECT 4711 TO collector',
      ...(installation.major >= 15 ? ['GRANT SET ON PARAMETER log_statement TO collector'] : []),
    ]) await server.sql(statement, TARGET);
    expect(await grantsTo('collector')).toHaveLength(installation.major >= 15 ? 15 : 14);
    await apply(connector, disableStep('collector'));
    expect(await grantsTo('collector')).toEqual([]);
    expect(await server.sql("SELECT has_table_privilege('delegate', 'sales.orders', 'SELECT') AS has", TARGET)).toEqual([{ has: true }]);
  });

  test('an account that is not there is nothing to do', async () => {
    const step = disableStep('never-was');
    expect(await connector.read(step, deadline())).toMatchObject({ exists: false, held: [], touched: { account: null, canLogin: null } });
    await apply(connector, step);
    expect(await connector.read(step, deadline())).toMatchObject({ exists: false });
  });

  test('a superuser and the connector\'s own login are refused, and left as they are', async () => {
    await server.sql(`CREATE ROLE chief SUPERUSER LOGIN PASSWORD '${SECRET}'`);
    for (const name of ['chief', server.adminUser]) {
      await expect(apply(connector, disableStep(name)), name).rejects.toMatchObject({ kind: 'rejected' });
      expect(await server.sql(`SELECT rolcanlogin FROM pg_roles WHERE rolname = '${name}'`)).toEqual([{ rolcanlogin: true }]);
    }
  });

  test('takes the logins of an account with it that cannot log in, and puts everybody else out of it', async () => {
    await twinAccount(server, 'shop');
    const { stage } = rotationSteps('shop', 'shop_a', 'shop_b');
    await apply(connector, stage);
    const person = await existingAccount(server, 'alice');
    await server.sql('GRANT shop TO alice');
    await person.query('SET ROLE shop');
    const lost = closed(person);
    const step = disableStep('shop');
    expect((await connector.read(step, deadline())).seen).toEqual({ sessions: { shop: 0, shop_a: 0, shop_b: 0 } });
    await apply(connector, step);
    await lost;
    expect([await login('shop_a'), await login('shop_b'), await login('alice')]).toEqual(['28P01', '28P01', 'let in']);
    expect(await server.sql("SELECT 1 FROM pg_auth_members WHERE roleid = 'shop'::regrole")).toEqual([]);
    expect((await connector.read(step, deadline())).held).toEqual([]);
    expect(await connector.probe(step, deadline())).toBe('applied');
    // What was shut out for good is not given a new life by a rotation of its name.
    await server.sql('GRANT shop TO alice');
    await expect(connector.read({ ...step, action: 'rotate' }, deadline())).rejects.toMatchObject({ kind: 'rejected', message: expect.stringContaining('neither made nor retired') as string });
  });

  test.each(['pg_terminate_backend', 'SELECT DISTINCT l.kind', 'REVOKE ALL', 'RESET ROLE'])('cut short at %s is shut out already, is no drift, and is finished', async (word) => {
    for (const when of ['before', 'after'] as const) {
      // The proxy must not find the word in a name.
      const name = `half ${Buffer.from(word).toString('hex')} ${when}`.slice(0, 63);
      const open = await existingAccount(server, name);
      const lost = closed(open);
      await server.sql(`GRANT deploy TO "${name}"`);
      await server.sql('CREATE ROLE giver NOLOGIN').catch(() => undefined);
      await server.sql('GRANT USAGE ON SCHEMA sales TO giver', TARGET);
      await server.sql('GRANT SELECT ON sales.orders TO giver WITH GRANT OPTION', TARGET);
      await server.sql(`BEGIN; SET LOCAL ROLE giver; GRANT SELECT ON sales.orders TO "${name}"; COMMIT`, TARGET);
      const step = disableStep(name);
      const before = await connector.read(step, deadline());
      const proxy = await cutProxy(server.port, word, when);
      await expect(apply(connectorTo(server, proxy.port), step)).rejects.toMatchObject({ kind: 'ambiguous', message: expect.stringMatching(/^shut out/) as string });
      expect(proxy.cuts()).toBe(1);
      await proxy.close();
      expect(await login(name)).toBe('28P01');
      expect(await connector.probe(step, deadline())).toBe('absent');
      const half = await connector.read(step, deadline());
      expect(half.touched).toEqual({ account: before.touched['account'] });
      expect(half.seen).toMatchObject({ canLogin: false });
      await apply(connector, step);
      await lost;
      expect(await connector.probe(step, deadline())).toBe('applied');
      expect((await connector.read(step, deadline())).touched).toEqual({ account: before.touched['account'], canLogin: false });
    }
  });

  test('what it handed on keeps its grants from being taken, and it is shut out all the same', async () => {
    await (await existingAccount(server, 'broker')).end();
    await server.sql('GRANT USAGE ON SCHEMA sales TO broker', TARGET);
    await server.sql('GRANT SELECT ON sales.orders TO broker WITH GRANT OPTION', TARGET);
    await server.sql('BEGIN; SET LOCAL ROLE broker; GRANT SELECT ON sales.orders TO deploy; COMMIT', TARGET);
    const step = disableStep('broker');
    await expect(apply(connector, step)).rejects.toMatchObject({ kind: 'ambiguous', message: expect.stringContaining('dependent privileges exist') as string });
    expect(await login('broker')).toBe('28P01');
    expect(await connector.probe(step, deadline())).toBe('absent');
    await server.sql('BEGIN; SET LOCAL ROLE broker; REVOKE SELECT ON sales.orders FROM deploy; COMMIT', TARGET);
    await apply(connector, step);
    expect(await connector.probe(step, deadline())).toBe('applied');
  });

  test('sees by oid that there is another account of the same name, and finds the one it began with by its mark', async () => {
    await (await existingAccount(server, 'replaced')).end();
    const step = disableStep('replaced');
    const before = await connector.read(step, deadline());
    await apply(connector, step);
    await server.sql('ALTER ROLE replaced RENAME TO "replaced (old)"');
    expect(await connector.probe(step, deadline())).toBe('applied');
    await (await existingAccount(server, 'replaced')).end();
    expect((await connector.read(step, deadline())).touched['account']).not.toBe(before.touched['account']);
    expect(await connector.probe(step, deadline())).toBe('absent');
    expect(await login('replaced')).toBe('let in');
  });

  test('an account that holds more than a state may list can be shut out, and the list says how much it leaves out', async () => {
    await (await existingAccount(server, 'hoarder')).end();
    await server.sql('CREATE SCHEMA attic', TARGET);
    await server.sql("DO $$ BEGIN FOR i IN 1..400 LOOP EXECUTE format('CREATE TABLE attic.t%s (n int)', i); END LOOP; END $$", TARGET);
    await server.sql('GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA attic TO hoarder', TARGET);
    const step = disableStep('hoarder');
    const { held } = await connector.read(step, deadline());
    expect(held).toHaveLength(1024);
    expect(held.at(-1)).toBe('(177 more)');
    await apply(connector, step);
    expect((await connector.read(step, deadline())).held).toEqual([]);
  });
});
