import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Connector } from '../../src/executor/connector.ts';
import {
  apply, connectorTo, deadline, disableStep, existingAccount, grantStep, orderOf, prepareDatabase, provisionStep, replaceStep, revokeStep, roleExists, rotateQuery, rotationSteps,
  SECRET, TARGET, twinAccount,
} from '../support/postgres-cases.ts';
import { postgresInstallations, testPostgres } from '../support/postgres.ts';
import type { TestPostgres } from '../support/postgres.ts';

describe.skipIf(postgresInstallations().length === 0)('names at PostgreSQL', () => {
  let server: TestPostgres;
  let connector: Connector;
  beforeAll(async () => {
    server = await testPostgres();
    await prepareDatabase(server);
    connector = connectorTo(server);
    await (await existingAccount(server, 'worker')).end();
  });
  afterAll(() => server.remove());

  const names = [
    'Robert"); DROP TABLE sales.orders;--', "o'brien", 'a;b', '--comment', '$(id)', '`id`', '-leading', 'with space', 'Grüße', '名前', '🔑key', 'back\\slash',
    '%s', 'cs_', 'CURRENT_USER', 'session_user', 'x'.repeat(63), 'é'.repeat(31), 'a:b.c', '$1', "E'\\n'",
  ];

  test.each(names)('are taken literally: %j', async (name) => {
    const [provision, table] = [provisionStep(name), name.replaceAll('.', '·')];
    await server.sql(`CREATE SCHEMA "s ${table.replaceAll('"', '""').slice(0, 20)}"`, TARGET);
    await server.sql(`CREATE TABLE "s ${table.replaceAll('"', '""').slice(0, 20)}"."${table.replaceAll('"', '""')}" (n int)`, TARGET);
    const schema = `s ${table.replaceAll('"', '""').slice(0, 20)}`.replaceAll('""', '"');
    const privileges = [`schema:${schema}:USAGE`, `table:${schema}.${table}:SELECT`];
    const before = (await server.sql('SELECT rolname::text FROM pg_roles ORDER BY 1')).map((row) => row['rolname'] as string);
    const step = { ...provision, privileges };
    await apply(connector, step);
    const after = (await server.sql('SELECT rolname::text FROM pg_roles ORDER BY 1')).map((row) => row['rolname'] as string);
    expect(after.filter((role) => !before.includes(role))).toEqual([name]);
    expect((await connector.read(step, deadline())).held).toEqual([...privileges].sort());
    expect(await connector.tryUse(step, SECRET, deadline())).toBe('works');

    const grant = grantStep(name, ['role:deploy', 'table:sales.orders:TRUNCATE']);
    await apply(connector, grant);
    expect((await connector.read(grant, deadline())).held).toContain('table:sales.orders:TRUNCATE');
    expect(await connector.revoke(orderOf(grant), deadline())).toBe('done');
    expect(await connector.revoke(orderOf(step), deadline())).toBe('done');
    expect((await server.sql('SELECT rolname::text FROM pg_roles ORDER BY 1')).map((row) => row['rolname'])).toEqual(before);
    expect(await server.sql('SELECT 1 AS one FROM sales.orders LIMIT 1', TARGET)).toEqual([{ one: 1 }]);
  });

  test.each(names.filter((name) => Buffer.byteLength(name) <= 61))('of logins are taken literally through a rotation, and by a disable: %j', async (name) => {
    await twinAccount(server, name);
    const others = async (): Promise<unknown> => server.sql("SELECT rolname::text, rolcanlogin FROM pg_roles WHERE rolname NOT LIKE '%\\_a' AND rolname NOT LIKE '%\\_b' ORDER BY 1");
    const before = await others();
    const { touched } = await connector.read(rotateQuery(name), deadline());
    expect(touched).toMatchObject({ currentName: `${name}_a`, nextName: `${name}_b`, privilege: `role:${name}` });
    const { stage, cutover, retire } = rotationSteps(name, `${name}_a`, `${name}_b`);
    for (const step of [stage, cutover, retire]) await apply(connector, step);
    expect(await connector.tryUse(stage, SECRET, deadline())).toBe('works');
    await expect(server.login(`${name}_a`, SECRET, TARGET)).rejects.toMatchObject({ code: '28P01' });
    const replace = replaceStep(`${name}_b`);
    await apply(connector, replace, { secret: `${SECRET}2` });
    expect(await connector.tryUse(replace, `${SECRET}2`, deadline())).toBe('works');
    expect(await connector.revoke(orderOf(stage), deadline())).toBe('done');
    expect(await others()).toEqual(before);
    await apply(connector, disableStep(name));
    expect((await connector.read(disableStep(name), deadline())).held).toEqual([]);
    for (const role of [`${name}_a`, `${name}_b`, name]) await server.sql(`DROP ROLE "${role.replaceAll('"', '""')}"`, TARGET);
    expect(await server.sql('SELECT 1 AS one FROM sales.orders LIMIT 1', TARGET)).toEqual([{ one: 1 }]);
  });

  test('of logins that would be too long are refused before anything is done', async () => {
    const name = 'y'.repeat(62);
    await server.sql(`CREATE ROLE "${name}" NOLOGIN`);
    await server.sql(`CREATE ROLE elsewhere LOGIN IN ROLE "${name}"`);
    await expect(connector.read(rotateQuery(name), deadline())).rejects.toMatchObject({ kind: 'rejected', message: expect.stringContaining('63 bytes') as string });
  });

  test('that no plan can say are refused for a login in use', async () => {
    await server.sql('CREATE ROLE plain NOLOGIN');
    await server.sql('CREATE ROLE "over\u202eride" LOGIN IN ROLE plain');
    await expect(connector.read(rotateQuery('plain'), deadline())).rejects.toMatchObject({ kind: 'rejected', message: expect.stringContaining('no plan may have') as string });
  });

  test.each(['', 'two\nlines', 'nul\0', 'tab\t', 'bell\u0007', 'next\u0085line', 'x'.repeat(64), 'é'.repeat(32), 'public', 'none', '\ud800', 'pg_reserved'])(
    'that a server would cut, change or read otherwise are refused: %j',
    async (name) => {
      for (const step of [provisionStep(name), provisionStep('innocent', [`role:${name}`]), grantStep(name), grantStep('worker', [`table:${name}.x:SELECT`]), revokeStep(name), replaceStep(name),
        rotationSteps(name, 'worker', 'innocent').stage, rotationSteps('worker', name, 'innocent').stage, rotationSteps('worker', name, 'innocent').retire]) {
        await expect(apply(connector, step)).rejects.toMatchObject({ kind: 'rejected' });
      }
      expect(await roleExists(server, 'innocent')).toBe(false);
    },
  );
});
