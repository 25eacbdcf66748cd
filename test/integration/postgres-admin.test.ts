import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { postgresConnector } from '../../src/connectors/postgres/connector.ts';
import type { Connector } from '../../src/executor/connector.ts';
import {
  apply, CONNECTOR, deadline, disableStep, existingAccount, grantStep, orderOf, prepareDatabase, provisionStep, READ_ORDERS, replaceStep, roleExists, rotateQuery,
  rotationSteps, SECRET, SELECT_ORDERS, TARGET, twinAccount,
} from '../support/postgres-cases.ts';
import { postgresInstallations, testPostgres } from '../support/postgres.ts';
import type { TestPostgres } from '../support/postgres.ts';

const installation = postgresInstallations().find(({ major }) => major >= 16);

describe.skipIf(installation === undefined)('a connector that is no superuser', () => {
  let server: TestPostgres;
  let connector: Connector;
  beforeAll(async () => {
    server = await testPostgres(installation);
    await prepareDatabase(server);
    // As in docs/connectors/postgres.md.
    await server.sql("CREATE ROLE countersign LOGIN CREATEROLE NOINHERIT PASSWORD 'pw'");
    await server.sql('GRANT pg_signal_backend, pg_read_all_stats TO countersign WITH INHERIT TRUE');
    await server.sql('GRANT USAGE, CREATE ON SCHEMA sales TO countersign WITH GRANT OPTION', TARGET);
    await server.sql('GRANT SELECT ON sales.orders TO countersign WITH GRANT OPTION', TARGET);
    await server.sql('GRANT deploy TO countersign WITH ADMIN TRUE, INHERIT FALSE, SET FALSE');
    connector = postgresConnector({ id: CONNECTOR, connection: { host: server.host, port: server.port, database: TARGET, user: 'countersign', password: 'pw' } });
  });
  afterAll(() => server.remove());

  test('tells what is there, what it lends and to whom', async () => {
    const open = await existingAccount(server, 'found');
    const step = grantStep('found');
    await apply(connector, step);
    const { entries } = await connector.discover!({ connector: CONNECTOR, after: null }, deadline());
    expect(entries).toContainEqual(expect.objectContaining({ kind: 'account', account: 'found', canLogin: true, isOwn: false, held: [], sessions: 1 }));
    expect(entries).toContainEqual(expect.objectContaining({ kind: 'account', account: 'countersign', isOwn: true }));
    expect(entries).toContainEqual(expect.objectContaining({ kind: 'grant', clientToken: step.clientToken, accounts: ['found'], held: [...READ_ORDERS].sort() }));
    await connector.revoke(orderOf(step), deadline());
    await open.end();
  });

  test('makes an account, tries it, and takes it back with its sessions', async () => {
    const step = provisionStep('temp', [...READ_ORDERS, 'role:deploy']);
    await apply(connector, step);
    expect(await connector.tryUse(step, SECRET, deadline())).toBe('works');
    const open = await server.login('temp', SECRET, TARGET);
    const lost = new Promise((settle) => open.once('end', settle));
    expect(await connector.revoke(orderOf(step), deadline())).toBe('done');
    await lost;
    expect(await roleExists(server, 'temp')).toBe(false);
    expect(await connector.revoke(orderOf(step), deadline())).toBe('already-absent');
  });

  test('grants to an account of others and takes it back, leaving idle sessions and ending open transactions', async () => {
    const idle = await existingAccount(server, 'theirs');
    const busy = await server.login('theirs', SECRET, TARGET);
    const lost = new Promise((settle) => busy.once('end', settle));
    const step = grantStep('theirs', [...READ_ORDERS, 'role:deploy']);
    await apply(connector, step);
    await busy.query('BEGIN');
    await busy.query('DECLARE c CURSOR FOR SELECT id FROM sales.orders');
    expect(await connector.revoke(orderOf(step), deadline())).toBe('done');
    await lost;
    expect((await connector.read(step, deadline())).held).toEqual([]);
    await expect(idle.query('SELECT id FROM sales.orders')).rejects.toMatchObject({ code: '42501' });
    expect((await idle.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }]);
    await idle.end();
  });

  test('keeps tables that the account made', async () => {
    const step = provisionStep('author', [...READ_ORDERS, 'schema:sales:CREATE']);
    await apply(connector, step);
    const client = await server.login('author', SECRET, TARGET);
    await client.query('CREATE TABLE sales.results AS SELECT 1 AS n');
    await client.end();
    expect(await connector.revoke(orderOf(step), deadline())).toBe('done');
    expect(await server.sql('SELECT n FROM sales.results', TARGET)).toEqual([{ n: 1 }]);
    expect(await roleExists(server, 'author')).toBe(false);
  });

  test('rotates between logins, of which an operator made the first, and back', async () => {
    await twinAccount(server, 'shop');
    // As in docs/connectors/postgres.md.
    await server.sql('GRANT shop, shop_a TO countersign WITH ADMIN TRUE, INHERIT FALSE, SET FALSE');
    await server.sql('GRANT shop TO shop_a GRANTED BY countersign');
    await server.sql(`REVOKE shop FROM shop_a GRANTED BY "${server.adminUser}"`);
    let current = { name: 'shop_a', secret: SECRET };
    for (const next of [{ name: 'shop_b', secret: `${SECRET}b` }, { name: 'shop_a', secret: `${SECRET}a` }]) {
      expect((await connector.read(rotateQuery('shop'), deadline())).touched).toMatchObject({ overlap: 'twin', currentName: current.name, nextName: next.name });
      const { stage, cutover, retire } = rotationSteps('shop', current.name, next.name);
      await apply(connector, stage, { secret: next.secret });
      expect(await connector.tryUse(stage, next.secret, deadline())).toBe('works');
      const open = await server.login(current.name, current.secret, TARGET);
      const lost = new Promise((settle) => open.once('end', settle));
      await expect(apply(connector, cutover)).rejects.toMatchObject({ kind: 'notYet' });
      await apply(connector, cutover, { endSessions: true });
      await apply(connector, retire, { endSessions: true });
      await lost;
      expect(await connector.probe(retire, deadline())).toBe('applied');
      await expect(server.login(current.name, current.secret, TARGET)).rejects.toMatchObject({ code: '28P01' });
      current = next;
    }
    const { stage } = rotationSteps('shop', 'shop_a', 'shop_b');
    await apply(connector, stage);
    expect(await connector.revoke(orderOf(stage), deadline())).toBe('done');
  });

  test('changes nothing where it may not take the role from the old login, and says so', async () => {
    await twinAccount(server, 'theirs2');
    await server.sql('GRANT theirs2, theirs2_a TO countersign WITH ADMIN TRUE, INHERIT FALSE, SET FALSE');
    const { stage, retire } = rotationSteps('theirs2', 'theirs2_a', 'theirs2_b');
    await apply(connector, stage);
    await expect(apply(connector, retire)).rejects.toMatchObject({ kind: 'rejected', message: expect.stringContaining('42501') as string });
    await (await server.login('theirs2_a', SECRET, TARGET)).end();
  });

  test('replaces the secret of an account that it administers, and of no other', async () => {
    await (await existingAccount(server, 'solo')).end();
    await expect(apply(connector, replaceStep('solo'), { secret: `${SECRET}2` })).rejects.toMatchObject({ kind: 'rejected' });
    await server.sql('GRANT solo TO countersign WITH ADMIN TRUE, INHERIT FALSE, SET FALSE');
    const step = replaceStep('solo');
    await apply(connector, step, { secret: `${SECRET}2` });
    expect(await connector.tryUse(step, `${SECRET}2`, deadline())).toBe('works');
  });

  test('shuts an account out, of which it takes what it gave; what others gave keeps it from saying that it is done', async () => {
    const open = await existingAccount(server, 'gone');
    const lost = new Promise((settle) => open.once('end', settle));
    await server.sql('GRANT gone TO countersign WITH ADMIN TRUE, INHERIT FALSE, SET FALSE');
    await server.sql('GRANT deploy TO gone GRANTED BY countersign');
    await server.sql('BEGIN; SET LOCAL ROLE countersign; GRANT SELECT ON sales.orders TO gone; COMMIT', TARGET);
    await server.sql('GRANT INSERT ON sales.orders TO gone', TARGET);
    const step = disableStep('gone');
    await expect(apply(connector, step)).rejects.toMatchObject({ kind: 'ambiguous', message: expect.stringMatching(/^shut out.*42501/) as string });
    await lost;
    await expect(server.login('gone', SECRET, TARGET)).rejects.toMatchObject({ code: '28P01' });
    expect(await connector.probe(step, deadline())).toBe('absent');
    await server.sql('REVOKE INSERT ON sales.orders FROM gone', TARGET);
    await apply(connector, step);
    expect(await connector.probe(step, deadline())).toBe('applied');
    expect(await connector.read(step, deadline())).toMatchObject({ held: [], touched: { canLogin: false } });
    await expect(apply(connector, disableStep('countersign'))).rejects.toMatchObject({ kind: 'rejected' });
    await expect(apply(connector, disableStep(server.adminUser))).rejects.toMatchObject({ kind: 'rejected' });
  });

  test('is told when it may not give a privilege, and nothing is left', async () => {
    // It holds SELECT with the right to give it, so that the server only warns about DELETE.
    for (const step of [provisionStep('beyond', [SELECT_ORDERS, 'table:sales.orders:DELETE']), grantStep('theirs', [SELECT_ORDERS, 'table:sales.orders:DELETE'])]) {
      await expect(apply(connector, step)).rejects.toMatchObject({ kind: 'rejected' });
      expect(await connector.probe(step, deadline())).toBe('absent');
      expect(await roleExists(server, step.clientToken)).toBe(false);
    }
    expect(await roleExists(server, 'beyond')).toBe(false);
  });

  test('does not take what the account has already for what it gave', async () => {
    await (await existingAccount(server, 'provided-for')).end();
    await server.sql('GRANT DELETE ON sales.orders TO "provided-for"', TARGET);
    const step = grantStep('provided-for', ['table:sales.orders:DELETE']);
    await expect(apply(connector, step)).rejects.toMatchObject({ kind: 'rejected' });
    expect(await roleExists(server, step.clientToken)).toBe(false);
  });
});
