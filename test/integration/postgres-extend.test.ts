/** A later end at a real PostgreSQL: of accounts that end by themselves, and of what was lent, which is there or is not. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Connector } from '../../src/executor/connector.ts';
import type { LentAction, PlanStep } from '../../src/protocol/plan.ts';
import { apply, connectorTo, deadline, existingAccount, grantStep, newToken, orderOf, prepareDatabase, provisionStep, roleExists, SECRET, TARGET } from '../support/postgres-cases.ts';
import { postgresInstallations, testPostgres, type TestPostgres } from '../support/postgres.ts';

const installations = postgresInstallations().filter(({ major }, index, all) => all.findIndex((other) => other.major === major) === index);

/** The step that extends what `given` gave. */
const extendStep = (given: PlanStep): PlanStep => ({ ...given, action: 'extend', gave: given.action as LentAction });
const inMs = (ms: number): string => new Date(Date.now() + ms).toISOString();

describe.each(installations)('PostgreSQL $major', (installation) => {
  let server: TestPostgres;
  let connector: Connector;
  beforeAll(async () => {
    server = await testPostgres(installation);
    await prepareDatabase(server);
    connector = connectorTo(server);
  });
  afterAll(() => server.remove());

  const validity = async (account: string): Promise<string> => {
    const [row] = await server.sql(`SELECT to_char(rolvaliduntil AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS until FROM pg_roles WHERE rolname = '${account}'`);
    return String(row?.['until']);
  };

  test('an account lives past its first end, and still ends by itself at the later one', async () => {
    const given = provisionStep('longer');
    await apply(connector, given, { validUntil: inMs(2_000) });
    const until = inMs(6_000);
    const before = await connector.read({ ...extendStep(given) }, deadline());
    expect(before).toMatchObject({ exists: true, seen: { validUntil: await validity('longer') }, touched: { lent: expect.any(Number) as number } });
    await apply(connector, extendStep(given), { validUntil: until });
    expect(await validity('longer')).toBe(until);
    expect(await connector.probe(extendStep(given), deadline(), until)).toBe('applied');
    expect(await connector.read(extendStep(given), deadline())).toMatchObject({ held: before.held, touched: before.touched, seen: { validUntil: until } });
    await expect.poll(async () => Date.now() > Date.parse(until) - 2_500, { timeout: 10_000 }).toBe(true);
    expect(await connector.tryUse(given, SECRET, deadline())).toBe('works');
    await expect.poll(() => connector.tryUse(given, SECRET, deadline()), { timeout: 15_000 }).toBe('fails');
  });

  test('the secret and the privileges stay what they are, and the same again changes nothing', async () => {
    const given = provisionStep('steady');
    await apply(connector, given, { validUntil: inMs(600_000) });
    const [before] = await server.sql("SELECT oid, rolpassword FROM pg_authid WHERE rolname = 'steady'");
    const until = inMs(1_200_000);
    await apply(connector, extendStep(given), { validUntil: until });
    await apply(connector, extendStep(given), { validUntil: until });
    expect(await server.sql("SELECT oid, rolpassword FROM pg_authid WHERE rolname = 'steady'")).toEqual([before]);
    expect(await connector.tryUse(extendStep(given), null, deadline())).toBe('notTried');
  });

  test('an end that is not there yet is not taken for one that is', async () => {
    const given = provisionStep('not-yet');
    const until = inMs(600_000);
    await apply(connector, given, { validUntil: until });
    expect(await connector.probe(extendStep(given), deadline(), inMs(1_200_000))).toBe('absent');
    expect(await connector.probe(extendStep(given), deadline(), until)).toBe('applied');
  });

  test('what was lent has no end of its own: it is there, or it is not', async () => {
    const client = await existingAccount(server, 'borrower');
    const given = grantStep('borrower');
    await apply(connector, given);
    await apply(connector, extendStep(given), { validUntil: inMs(600_000) });
    expect(await connector.probe(extendStep(given), deadline(), inMs(600_000))).toBe('applied');
    expect(await connector.tryUse(extendStep(given), null, deadline())).toBe('notTried');
    expect((await client.query('SELECT count(*)::int AS n FROM sales.orders')).rows).toEqual([{ n: 50_000 }]);
    await connector.revoke(orderOf(given), deadline());
    await expect(apply(connector, extendStep(given), { validUntil: inMs(600_000) })).rejects.toMatchObject({ kind: 'rejected' });
    expect(await connector.probe(extendStep(given), deadline(), inMs(600_000))).toBe('absent');
    await client.end();
  });

  test.each(['provision', 'grant'] as const)('what was taken back stays so, however late an extension of the %s arrives', async (action) => {
    const account = `late-${action}`;
    const client = action === 'grant' ? await existingAccount(server, account) : null;
    const given = action === 'grant' ? grantStep(account) : provisionStep(account);
    await apply(connector, given, { validUntil: inMs(600_000) });
    await connector.revoke(orderOf(given), deadline());
    await expect(apply(connector, extendStep(given), { validUntil: inMs(1_200_000) })).rejects.toMatchObject({ kind: 'rejected' });
    await expect(connector.read(extendStep(given), deadline())).rejects.toMatchObject({ kind: 'rejected' });
    expect(await roleExists(server, account)).toBe(action === 'grant');
    await client?.end();
  });

  test('an account of that name that this lease did not make is left alone', async () => {
    const given = provisionStep('remade');
    await apply(connector, given, { validUntil: inMs(600_000) });
    await server.sql('DROP OWNED BY "remade"', TARGET);
    await server.sql('DROP ROLE "remade"');
    await server.sql(`CREATE ROLE "remade" LOGIN PASSWORD '${SECRET}' VALID UNTIL '2030-01-01T00:00:00Z'`);
    await expect(apply(connector, extendStep(given), { validUntil: inMs(1_200_000) })).rejects.toMatchObject({ kind: 'rejected' });
    expect(await validity('remade')).toBe('2030-01-01T00:00:00.000Z');
    await server.sql('DROP ROLE "remade"');
  });

  test('nor is one that was shut out let in again', async () => {
    const given = provisionStep('shut-out');
    await apply(connector, given, { validUntil: inMs(600_000) });
    await server.sql('ALTER ROLE "shut-out" NOLOGIN');
    await expect(apply(connector, extendStep(given), { validUntil: inMs(1_200_000) })).rejects.toMatchObject({ kind: 'rejected' });
    expect((await server.sql("SELECT rolcanlogin FROM pg_roles WHERE rolname = 'shut-out'"))[0]).toEqual({ rolcanlogin: false });
  });

  test('an extension that does not say what it extends is refused', async () => {
    const { gave: _, ...step } = extendStep(provisionStep('unsaid', undefined, newToken()));
    await expect(apply(connector, step, { validUntil: inMs(600_000) })).rejects.toMatchObject({ kind: 'rejected' });
    await expect(connector.read(step, deadline())).rejects.toMatchObject({ kind: 'rejected' });
  });
});
