import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { postgresConnector } from '../../src/connectors/postgres/connector.ts';
import type { Connector } from '../../src/executor/connector.ts';
import {
  apply, CONNECTOR, deadline, existingAccount, grantStep, orderOf, prepareDatabase, provisionStep, READ_ORDERS, roleExists, SECRET, SELECT_ORDERS, TARGET,
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
