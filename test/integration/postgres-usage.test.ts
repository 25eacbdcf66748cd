/** `countersign inventory usage`: what PostgreSQL says was used becomes a usage file, whole or not at all. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { usageFileSchema } from '../../src/facts/schemas.ts';
import { fencesIn, textOf } from '../support/fences.ts';
import { openDesk, type Desk } from '../support/world.ts';
import { postgresInstallations, testPostgres, type TestPostgres } from '../support/postgres.ts';

const [installation] = postgresInstallations();
const INVENTORY = `v: 1
nhis:
  - {id: 'nhi:prod/orders-api', owner: person:ana, environment: prod, purposes: [], riskTier: low, custody: vault, humanUse: false, consumers: [], accounts: {pg-main: orders_api}}
`;

describe.skipIf(installation === undefined)('usage from a query', () => {
  let server: TestPostgres;
  let desk: Desk;
  beforeAll(async () => {
    server = await testPostgres(installation);
    await server.sql('CREATE SCHEMA audit');
    await server.sql('CREATE TABLE audit.uses (at timestamptz, who text, privilege text)');
    await server.sql(`INSERT INTO audit.uses VALUES ('2026-01-02 03:04:05+02', 'orders_api', 'table:sales.orders:SELECT'), ('2026-01-01 03:04:05+02', 'orders_api', 'table:sales.orders:SELECT'), ('2026-01-01 00:00:00+00', 'orders_api', 'role:deploy'), (NULL, 'idle', NULL)`);
    await server.sql(`CREATE ROLE reader LOGIN PASSWORD 'usage-reader-1'`);
    await server.sql('GRANT USAGE ON SCHEMA audit TO reader');
    await server.sql('GRANT SELECT ON audit.uses TO reader');
    await server.sql(`CREATE FUNCTION audit.touch() RETURNS text LANGUAGE sql SECURITY DEFINER AS $$ INSERT INTO audit.uses VALUES (now(), 'a', 'b'); SELECT 'a' $$`);
    await server.sql('GRANT CREATE ON SCHEMA audit TO reader');
  });
  afterAll(() => server.remove());
  beforeEach(() => {
    desk = openDesk();
    writeFileSync(join(desk.directory, 'url'), server.connectionString('postgres', 'reader', 'usage-reader-1'), { mode: 0o600 });
    writeFileSync(join(desk.directory, 'inventory.yaml'), INVENTORY);
    writeFileSync(join(desk.directory, 'usage.yaml'), 'what was there\n');
  });
  afterEach(() => desk.remove());

  const ask = (sql: string, ...more: string[]): ReturnType<Desk['run']> => {
    writeFileSync(join(desk.directory, 'query.sql'), sql);
    return desk.run('inventory', 'usage', '--postgres', 'url', '--query', 'query.sql', '--into', 'usage.yaml', '--json', ...more);
  };
  const written = (): string => readFileSync(join(desk.directory, 'usage.yaml'), 'utf8');
  const USES = 'SELECT who AS account, privilege, max(at) AS "lastUsedAt" FROM audit.uses GROUP BY who, privilege';

  test('is a usage file, of every account once, looked at when the last of it was used', async () => {
    const { exit, stdout } = await ask(`${USES} -- nightly`, '--connector', 'pg-main');
    expect([exit, JSON.parse(stdout)]).toEqual([0, { into: 'usage.yaml', written: true, accounts: 2, privileges: 2, observedAtMs: Date.parse('2026-01-02T01:04:05Z') }]);
    expect(usageFileSchema.parse(parse(written()))).toEqual({
      v: 1, observedAtMs: Date.parse('2026-01-02T01:04:05Z'),
      usage: [{ connector: 'pg-main', account: 'idle', privileges: [] }, { connector: 'pg-main', account: 'orders_api', privileges: ['role:deploy', 'table:sales.orders:SELECT'] }],
    });
    expect(readdirSync(desk.directory).sort()).toEqual(['inventory.yaml', 'query.sql', 'url', 'usage.yaml']);
  });

  test('is what the query of the page asks for', async () => {
    await server.sql('CREATE TABLE audit.statements (log_time timestamptz, usename text, object_name text, command text)');
    await server.sql(`INSERT INTO audit.statements SELECT now() - age, 'orders_api', 'sales.orders', 'SELECT' FROM (VALUES (interval '1 day'), (interval '100 days')) AS seen (age)`);
    await server.sql('GRANT SELECT ON audit.statements TO reader');
    const { text } = fencesIn(textOf('docs/inventory.md')).find(({ language }) => language === 'sql')!;
    expect((await ask(text, '--connector', 'pg-main')).exit).toBe(0);
    expect((parse(written()) as { usage: unknown }).usage).toEqual([{ connector: 'pg-main', account: 'orders_api', privileges: ['table:sales.orders:SELECT'] }]);
  });

  test('may name identities, which the inventory has accounts for, and columns as SQL folds them', async () => {
    expect((await ask(`SELECT 'pg-main' AS connector, 'nhi:prod/orders-api' AS nhi, privilege, at AS lastUsedAt FROM audit.uses WHERE who = 'orders_api';\n`, '--inventory', 'inventory.yaml')).exit).toBe(0);
    expect((parse(written()) as { usage: unknown }).usage).toEqual([{ connector: 'pg-main', account: 'orders_api', privileges: ['role:deploy', 'table:sales.orders:SELECT'] }]);
  });

  test.each([
    ['an identity that the inventory does not have', `SELECT 'nhi:prod/other' AS nhi, 'x' AS privilege`, 'bad-rows', /query\.sql:1: \/nhi: "nhi:prod\/other" has no account at pg-main/],
    ['a time without a zone', `SELECT 'a' AS account, timestamp '2026-01-01 00:00:00' AS lastusedat`, 'bad-rows', /a time such as/],
    ['a time that is yet to come', `SELECT 'a' AS account, 'x' AS privilege, now() + interval '3 days' AS lastusedat`, 'bad-rows', /yet to come/],
    ['a column that means nothing', `SELECT 'a' AS account, 1 AS prvilege`, 'bad-rows', /\/prvilege: no such column/],
    ['a row of nobody', `SELECT 'x' AS privilege`, 'bad-rows', /\/account/],
    ['a table that is not there', 'SELECT * FROM uses', 'query-refused', /42P01/],
    ['one that writes', `SELECT audit.touch() AS account, 'x' AS privilege`, 'query-refused', /25006/],
    ['two statements', `SELECT 1) AS usage; CREATE TABLE audit.left_behind (a int); SELECT (1`, 'query-refused', /42601/],
    ['nothing', '', 'query-refused', /42601/],
  ])('%s: nothing is written', async (_what, sql, code, message) => {
    const { exit, stdout } = await ask(sql, '--connector', 'pg-main', '--inventory', 'inventory.yaml');
    expect(exit).not.toBe(0);
    expect((JSON.parse(stdout) as { error: unknown }).error).toMatchObject({ code, cause: expect.stringMatching(message) as string });
    expect(written()).toBe('what was there\n');
    expect(await server.sql(`SELECT count(*)::int AS n FROM pg_class WHERE relname = 'left_behind'`)).toEqual([{ n: 0 }]);
    expect(await server.sql('SELECT count(*)::int AS n FROM audit.uses')).toEqual([{ n: 4 }]);
  });

  test('a row beyond what one question fetches counts as well', async () => {
    const { stdout } = await ask(`SELECT 'a' || i AS account, 'x' AS privilege FROM generate_series(1, 2500) AS i`, '--connector', 'pg-main', '--dry-run');
    expect(JSON.parse(stdout)).toMatchObject({ accounts: 2500, written: false });
    expect(written()).toBe('what was there\n');
  });

  test('neither a file that others can read nor a wrong password is of use, and the password is told to nobody', async () => {
    writeFileSync(join(desk.directory, 'url'), server.connectionString('postgres', 'reader', 'not-the-word-9'), { mode: 0o600 });
    const refused = await ask(USES, '--connector', 'pg-main');
    expect([refused.exit, refused.stdout + refused.stderr]).toEqual([4, expect.stringMatching(/28P01/) as string]);
    expect(refused.stdout + refused.stderr).not.toContain('not-the-word-9');
    const open = openDesk();
    writeFileSync(join(open.directory, 'url'), 'x', { mode: 0o644 });
    writeFileSync(join(open.directory, 'query.sql'), USES);
    expect((await open.run('inventory', 'usage', '--postgres', 'url', '--query', 'query.sql', '--json')).stdout).toContain('too-open');
    open.remove();
  });
});
