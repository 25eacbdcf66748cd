import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Connector } from '../../src/executor/connector.ts';
import { LISTED_MAX } from '../../src/protocol/discovery.ts';
import { finder } from '../support/found.ts';
import {
  apply, connectorTo, CONNECTOR, deadline, disableStep, existingAccount, grantStep, newToken, orderOf, prepareDatabase, provisionStep, READ_ORDERS, replaceStep, revokeStep, rotationSteps, SECRET, TARGET,
  twinAccount,
} from '../support/postgres-cases.ts';
import { postgresInstallations, testPostgres, type TestPostgres } from '../support/postgres.ts';

const installations = postgresInstallations().filter(({ major }, index, all) => all.findIndex((other) => other.major === major) === index);

describe.each(installations)('what the connector finds at PostgreSQL $major', (installation) => {
  let server: TestPostgres;
  let connector: Connector;
  beforeAll(async () => {
    server = await testPostgres(installation);
    await prepareDatabase(server);
    connector = connectorTo(server);
  });
  afterAll(() => server.remove());

  const { everything, accountOf, grantOf } = finder(() => connector, CONNECTOR, TARGET);

  test('an account that nobody told us of, with what was granted to it, its end and its open session', async () => {
    const client = await existingAccount(server, 'legacy-etl');
    await server.sql('GRANT SELECT ON sales.orders TO "legacy-etl"', TARGET);
    await server.sql('GRANT deploy TO "legacy-etl"');
    await server.sql(`ALTER ROLE "legacy-etl" VALID UNTIL '2099-01-02T03:04:05Z'`);
    const found = await accountOf('legacy-etl');
    expect(found).toMatchObject({ canLogin: true, isOwn: false, marks: [], held: ['role:deploy', 'table:sales.orders:SELECT'], heldLeftOut: 0, endsAt: '2099-01-02T03:04:05.000Z', sessions: 1 });
    expect(found?.lastUsedAt).toMatch(/^20\d\d-/);
    await client.end();
    await expect.poll(async () => (await accountOf('legacy-etl'))?.sessions, { timeout: 10_000 }).toBe(0);
    expect((await accountOf('legacy-etl'))?.lastUsedAt).toBeNull();
  });

  test('an account past its VALID UNTIL may get somebody in without a password; one without login or connections gets nobody in, unless a limit does not hold for it', async () => {
    await server.sql(`CREATE ROLE past LOGIN PASSWORD '${SECRET}' VALID UNTIL '2001-01-01'`);
    expect(await accountOf('past')).toMatchObject({ canLogin: true, endsAt: '2001-01-01T00:00:00.000Z' });
    expect(await accountOf('deploy')).toMatchObject({ canLogin: false });
    for (const attribute of ['NOSUPERUSER', 'SUPERUSER', 'REPLICATION']) await server.sql(`CREATE ROLE limited_${attribute} LOGIN ${attribute} CONNECTION LIMIT 0 PASSWORD '${SECRET}'`);
    await expect(server.login('limited_nosuperuser', SECRET, TARGET)).rejects.toThrow(/too many connections/);
    await (await server.login('limited_superuser', SECRET, TARGET)).end();
    expect(await accountOf('limited_nosuperuser')).toMatchObject({ canLogin: false });
    expect(await accountOf('limited_superuser')).toMatchObject({ canLogin: true });
    expect(await accountOf('limited_replication')).toMatchObject({ canLogin: true });
  });

  test('the right to hand on what is held, as a word of its own', async () => {
    await server.sql('CREATE ROLE generous LOGIN');
    await server.sql('GRANT deploy TO generous WITH ADMIN OPTION');
    await server.sql('GRANT CONNECT ON DATABASE app TO generous WITH GRANT OPTION; GRANT USAGE ON SCHEMA sales TO generous WITH GRANT OPTION', TARGET);
    await server.sql('GRANT SELECT ON sales.orders TO generous WITH GRANT OPTION; GRANT INSERT ON sales.orders TO generous; GRANT USAGE ON SEQUENCE sales.order_ids TO generous WITH GRANT OPTION', TARGET);
    const held = [
      'admin:deploy', 'database:CONNECT', 'database:CONNECT*', 'role:deploy', 'schema:sales:USAGE', 'schema:sales:USAGE*', 'sequence:sales.order_ids:USAGE', 'sequence:sales.order_ids:USAGE*',
      'table:sales.orders:INSERT', 'table:sales.orders:SELECT', 'table:sales.orders:SELECT*',
    ];
    expect((await accountOf('generous'))?.held).toEqual(held);
    // What is read before and after a change says the same, and nobody can ask for it.
    const query = { connector: CONNECTOR, target: TARGET, action: 'grant' as const, account: 'generous', privileges: ['table:sales.orders:SELECT'], clientToken: newToken() };
    expect((await connector.read(query, deadline())).held).toEqual(held);
    await expect(connector.read({ ...query, privileges: ['table:sales.orders:SELECT*'] }, deadline())).rejects.toThrow('not a privilege of this connector');
    await expect(connector.read({ ...query, privileges: ['admin:deploy'] }, deadline())).rejects.toThrow('not a privilege of this connector');
    // Taking the privilege takes the right with it.
    await apply(connector, revokeStep('generous', ['table:sales.orders:SELECT', 'role:deploy']));
    expect((await accountOf('generous'))?.held).toEqual(held.filter((one) => !one.startsWith('table:sales.orders:SELECT') && !one.endsWith(':deploy')));
  });

  test('the connector’s own login, as such, and none of the server’s predefined roles', async () => {
    expect(await accountOf(server.adminUser)).toMatchObject({ isOwn: true });
    expect((await everything()).filter((entry) => entry.kind === 'account' && entry.account.startsWith('pg_'))).toEqual([]);
  });

  test('what Countersign made, lent, replaced and shut out, each by its client token', async () => {
    const made = provisionStep('made-here');
    await apply(connector, made);
    expect(await accountOf('made-here')).toMatchObject({ canLogin: true, marks: [{ clientToken: made.clientToken, what: 'made' }], held: [...READ_ORDERS].sort() });

    const client = await existingAccount(server, 'borrower');
    await client.end();
    const lent = grantStep('borrower');
    await apply(connector, lent);
    expect(await grantOf(lent.clientToken)).toMatchObject({ accounts: ['borrower'], held: [...READ_ORDERS].sort() });
    // What is lent is an entry of its own, and not what the account holds in its own name.
    expect(await accountOf('borrower')).toMatchObject({ held: [], marks: [] });

    const replaced = replaceStep('borrower');
    await apply(connector, replaced);
    expect(await accountOf('borrower')).toMatchObject({ marks: [{ clientToken: replaced.clientToken, what: 'replaced' }] });
    const disabled = disableStep('borrower');
    await apply(connector, disabled);
    expect(await accountOf('borrower')).toMatchObject({ canLogin: false, marks: [{ clientToken: disabled.clientToken, what: 'disabled' }] });
    await connector.revoke(orderOf(lent), deadline());
    expect(await grantOf(lent.clientToken)).toBeUndefined();
  });

  test('a holder that somebody renamed is still found by its mark', async () => {
    await (await existingAccount(server, 'renamed-borrower')).end();
    const lent = grantStep('renamed-borrower');
    await apply(connector, lent);
    await server.sql(`ALTER ROLE ${lent.clientToken} RENAME TO innocent`);
    expect(await grantOf(lent.clientToken)).toMatchObject({ accounts: ['renamed-borrower'] });
  });

  test('both logins of a rotation', async () => {
    await twinAccount(server, 'twins');
    const steps = rotationSteps('twins', 'twins_a', 'twins_b');
    await apply(connector, steps.stage);
    expect(await accountOf('twins_b')).toMatchObject({ canLogin: true, held: ['role:twins'], marks: [{ clientToken: steps.stage.clientToken, what: 'made' }] });
    await apply(connector, steps.retire, { endSessions: true });
    expect(await accountOf('twins_a')).toMatchObject({ canLogin: false, marks: [{ clientToken: steps.stage.clientToken, what: 'retired' }] });
  });

  test('every role once over several pages, though some are made meanwhile', async () => {
    await server.sql(`DO $$ BEGIN FOR n IN 1..150 LOOP EXECUTE format('CREATE ROLE many_%s LOGIN', n); END LOOP; END $$`);
    const first = await connector.discover!({ connector: CONNECTOR, after: null }, deadline());
    expect(first.next).not.toBeNull();
    await server.sql('CREATE ROLE made_meanwhile LOGIN');
    const found = await everything();
    const names = found.map((entry) => (entry.kind === 'account' ? entry.account : entry.clientToken));
    expect(new Set(names).size).toBe(names.length);
    expect(names.filter((name) => name.startsWith('many_'))).toHaveLength(150);
    expect(names).toContain('made_meanwhile');
  });

  test('more than can be listed is cut and counted, and names that a report cannot hold are shown', async () => {
    await server.sql('CREATE ROLE hoarder LOGIN');
    await server.sql(`DO $$ BEGIN FOR n IN 1..200 LOOP EXECUTE format('CREATE TABLE sales.t%s ()', n); EXECUTE format('GRANT SELECT ON sales.t%s TO hoarder', n); END LOOP; END $$`, TARGET);
    const found = await accountOf('hoarder');
    expect(found?.held).toHaveLength(LISTED_MAX);
    expect(found?.heldLeftOut).toBe(200 - LISTED_MAX);
    await server.sql(`DO $$ BEGIN EXECUTE format('CREATE ROLE %I LOGIN', E'line\nbreak'); END $$`);
    expect(await accountOf('line\\u{a}break')).toBeDefined();
  });

  test('and never a secret or its verifier', async () => {
    const text = JSON.stringify(await everything());
    expect(text).not.toContain('SCRAM');
    expect(text).not.toContain(SECRET);
  });
});
