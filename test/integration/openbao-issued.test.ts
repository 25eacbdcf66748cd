/** Tokens and dynamic database credentials: chosen by the server, got once, ended by themselves or by an order. On a real OpenBao, with a real PostgreSQL behind it. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openbaoTokenConnector } from '../../src/connectors/openbao/token-connector.ts';
import { connectorConfigSchema } from '../../src/executor/config.ts';
import type { Connector, Issued } from '../../src/executor/connector.ts';
import { openConnector } from '../../src/executor/registry.ts';
import type { PlanStep } from '../../src/protocol/plan.ts';
import { cutProxy } from '../support/cut-proxy.ts';
import { isAlive, mayRead, prepareSecrets, READ_APP } from '../support/openbao-cases.ts';
import { openbaoProgram, testOpenBao, type TestOpenBao } from '../support/openbao.ts';
import { deadline, newToken, orderOf } from '../support/postgres-cases.ts';
import { postgresInstallations, testPostgres, type TestPostgres } from '../support/postgres.ts';

const program = openbaoProgram();
const [installation] = postgresInstallations();

const inAnHour = (): string => new Date(Date.now() + 3_600_000).toISOString();

function stepAt(connector: string, target: string, account: string, privileges: readonly string[]): PlanStep {
  const clientToken = newToken();
  return { stepId: `stp_0123456789abcdef_${clientToken.slice(3).toUpperCase()}_r1_1`, action: 'provision', connector, target, account, privileges: [...privileges], clientToken };
}

function issue(connector: Connector, step: PlanStep, validUntil: string | null = inAnHour()): Promise<Issued> {
  return connector.issue!({ step, validUntil, secret: null, endSessions: false, signal: deadline() });
}

describe.skipIf(program === null)('tokens of OpenBao', () => {
  let bao: TestOpenBao;
  let connector: Connector;
  beforeAll(async () => {
    bao = await testOpenBao(program!);
    await prepareSecrets(bao);
    connector = openbaoTokenConnector({ id: 'bao-tokens', connection: { address: bao.address, token: () => bao.rootToken, allowHttp: true } });
  });
  afterAll(() => bao.remove());
  const stepFor = (account: string, privileges: readonly string[] = [READ_APP]): PlanStep => stepAt('bao-tokens', 'token', account, privileges);

  test('a token is made with the policies and no others, outlives the connector’s own, and is found by the client token', async () => {
    const step = stepFor('exporter_1');
    expect(await connector.read(step, deadline())).toMatchObject({ exists: false, held: [], touched: { account: null } });
    const { secret } = await issue(connector, step);
    expect(await mayRead(bao, secret, 'app')).toBe(true);
    expect(await mayRead(bao, secret, 'ops')).toBe(false);
    expect(await connector.tryUse(step, secret, deadline())).toBe('works');
    expect(await connector.tryUse(step, `${secret}x`, deadline())).toBe('fails');
    expect(await connector.probe(step, deadline())).toBe('applied');
    expect(await connector.read(step, deadline())).toMatchObject({ exists: true, held: [READ_APP] });
    const { data } = await bao.call('GET', 'auth/token/lookup-self', undefined, secret);
    expect(data).toMatchObject({ orphan: true, renewable: false, meta: { countersign: step.clientToken, account: 'exporter_1' } });
    expect(data['explicit_max_ttl']).toBeLessThanOrEqual(3_600);
  });

  test('it ends by itself, with nothing else running', async () => {
    const { secret } = await issue(connector, stepFor('short_1'), new Date(Date.now() + 2_500).toISOString());
    expect(await isAlive(bao, secret)).toBe(true);
    await expect.poll(() => isAlive(bao, secret), { timeout: 15_000 }).toBe(false);
  });

  test('an order ends it and what it made, and finds nothing the second time', async () => {
    const step = stepFor('leaver_1');
    const { secret } = await issue(connector, step);
    const other = await issue(connector, stepFor('stayer_1'));
    expect(await connector.revoke(orderOf(step), deadline())).toBe('done');
    expect(await isAlive(bao, secret)).toBe(false);
    expect(await connector.tryUse(step, secret, deadline())).toBe('fails');
    expect(await isAlive(bao, other.secret)).toBe(true);
    expect(await connector.probe(step, deadline())).toBe('absent');
    expect(await connector.revoke(orderOf(step), deadline())).toBe('already-absent');
  });

  test('nothing is made for standing access, a policy that is not there, or an account that has one', async () => {
    const before = (await bao.call('LIST', 'auth/token/accessors')).data['keys'] as string[];
    await expect(issue(connector, stepFor('standing_1'), null)).rejects.toMatchObject({ kind: 'rejected' });
    await expect(issue(connector, stepFor('none_1', ['policy:none']))).rejects.toMatchObject({ kind: 'rejected' });
    await expect(issue(connector, stepFor('root_1', ['policy:root']))).rejects.toMatchObject({ kind: 'rejected' });
    expect((await bao.call('LIST', 'auth/token/accessors')).data['keys']).toHaveLength(before.length);
    await issue(connector, stepFor('twice_1'));
    await expect(issue(connector, stepFor('twice_1'))).rejects.toThrow('a token of that account is there');
  });

  test('every other action is refused, whatever asks for it', async () => {
    for (const action of ['grant', 'revoke', 'stage', 'cutover', 'retire', 'replace', 'disable', 'call'] as const) {
      const step: PlanStep = { ...stepFor('whole_1'), action };
      await expect(connector.apply({ step, validUntil: null, secret: null, endSessions: false, signal: deadline() })).rejects.toMatchObject({ kind: 'rejected' });
      await expect(issue(connector, step)).rejects.toMatchObject({ kind: 'rejected' });
      await expect(connector.read(step, deadline())).rejects.toMatchObject({ kind: 'rejected' });
    }
    await expect(connector.read({ ...stepFor('whole_1'), target: 'approle' }, deadline())).rejects.toMatchObject({ kind: 'rejected' });
  });
});

describe.skipIf(program === null || installation === undefined)('dynamic database credentials of OpenBao', () => {
  let bao: TestOpenBao;
  let postgres: TestPostgres;
  let connector: Connector;
  let directory: string;
  beforeAll(async () => {
    [bao, postgres] = await Promise.all([testOpenBao(program!), testPostgres(installation)]);
    directory = mkdtempSync(join(tmpdir(), 'countersign-bao-db-'));
    writeFileSync(join(directory, 'token'), bao.rootToken, { mode: 0o600 });
    const done = async (...asked: Parameters<TestOpenBao['call']>): Promise<void> => {
      const { status, errors } = await bao.call(...asked);
      if (status >= 300) throw new Error(`${asked[1]}: ${errors.join('; ')}`);
    };
    await done('POST', 'sys/mounts/database', { type: 'database' });
    await done('POST', 'database/config/shop', {
      plugin_name: 'postgresql-database-plugin', allowed_roles: ['reporting', 'broken'], username: postgres.adminUser, password: postgres.adminPassword,
      connection_url: `postgresql://{{username}}:{{password}}@${postgres.host}:${String(postgres.port)}/postgres?sslmode=disable`,
    });
    await done('POST', 'database/roles/reporting', {
      db_name: 'shop', default_ttl: '1h', max_ttl: '24h',
      creation_statements: [`CREATE ROLE "{{name}}" LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}'`],
    });
    await done('POST', 'database/roles/broken', { db_name: 'shop', creation_statements: ['CREATE NONSENSE "{{name}}"'] });
    await done('POST', 'sys/policies/acl/countersign-database', { policy: 'path "database/creds/*" { capabilities = ["read"] }' });
    connector = await openConnector('bao-db', connectorConfigSchema.parse({
      kind: 'openbao-database', address: bao.address, tokenFile: join(directory, 'token'), allowHttp: true, policy: 'countersign-database',
    }));
  });
  afterAll(async () => {
    await Promise.all([bao.remove(), postgres.remove()]);
    rmSync(directory, { recursive: true, force: true });
  });

  const stepFor = (account: string, role = 'reporting'): PlanStep => stepAt('bao-db', 'database', account, [`role:${role}`]);
  const logsIn = async ({ secret }: Issued): Promise<boolean> => {
    const { username, password } = JSON.parse(secret) as { username: string; password: string };
    return postgres.login(username, password).then(async (client) => {
      await client.end();
      return true;
    }, () => false);
  };
  const leases = async (): Promise<number> => ((await bao.call('LIST', 'sys/leases/lookup/database/creds/reporting')).data['keys'] as string[] | undefined ?? []).length;

  test('a credential logs in to the database, is found by the client token, and an order ends it there', async () => {
    const step = stepFor('reports_1');
    expect(await connector.read(step, deadline())).toMatchObject({ exists: false, held: [], touched: { account: null } });
    const issued = await issue(connector, step);
    expect(await logsIn(issued)).toBe(true);
    expect(await connector.probe(step, deadline())).toBe('applied');
    expect(await connector.read(step, deadline())).toMatchObject({ exists: true, held: ['role:reporting'] });
    expect(await connector.revoke(orderOf(step), deadline())).toBe('done');
    expect(await logsIn(issued)).toBe(false);
    expect(await connector.probe(step, deadline())).toBe('absent');
    expect(await connector.read(step, deadline())).toMatchObject({ exists: false, held: [] });
    expect(await connector.revoke(orderOf(step), deadline())).toBe('already-absent');
    expect(await leases()).toBe(0);
  });

  test('it ends at the database by itself at the end of its lease, sooner than the role’s own time', async () => {
    const issued = await issue(connector, stepFor('brief_1'), new Date(Date.now() + 3_500).toISOString());
    expect(await logsIn(issued)).toBe(true);
    await expect.poll(() => logsIn(issued), { timeout: 20_000 }).toBe(false);
  });

  test('ending one leaves another of the same role alone', async () => {
    const [one, two] = [stepFor('one_1'), stepFor('two_1')];
    const [, kept] = [await issue(connector, one), await issue(connector, two)];
    expect(await connector.revoke(orderOf(one), deadline())).toBe('done');
    expect(await logsIn(kept)).toBe(true);
    expect(await connector.revoke(orderOf(two), deadline())).toBe('done');
  });

  test('a database that cannot be reached does not let a revoke say done, and the next one ends it', async () => {
    const step = stepFor('outage_1');
    const issued = await issue(connector, step);
    await postgres.sql(`ALTER ROLE "${postgres.adminUser}" CONNECTION LIMIT -1`);
    const role = (JSON.parse(issued.secret) as { username: string }).username;
    // What it owns keeps the server from dropping it.
    await postgres.sql(`CREATE SCHEMA held AUTHORIZATION "${role}"`);
    await expect(connector.revoke(orderOf(step), deadline())).rejects.toMatchObject({ name: 'TargetError' });
    expect(await connector.probe(step, deadline())).toBe('applied');
    await postgres.sql('DROP SCHEMA held');
    await expect.poll(() => connector.revoke(orderOf(step), deadline()).catch(() => 'not yet'), { timeout: 30_000 }).toBe('done');
    expect(await logsIn(issued)).toBe(false);
  });

  test('a role that cannot be made leaves nothing behind', async () => {
    const step = stepFor('broken_1', 'broken');
    await expect(issue(connector, step)).rejects.toMatchObject({ name: 'TargetError' });
    await connector.revoke(orderOf(step), deadline());
    expect(await connector.probe(step, deadline())).toBe('absent');
    expect(await leases()).toBe(0);
  });

  const CUTS = [['POST /v1/auth/token/create-orphan', 'before'], ['POST /v1/auth/token/create-orphan', 'after'], ['GET /v1/database/creds/', 'before'], ['GET /v1/database/creds/', 'after']] as const;

  test.each(CUTS)('a connection cut at %s, %s the server has it, leaves nobody with a credential, and the next attempt is whole', async (word, when) => {
    const step = stepFor('cut_1');
    const proxy = await cutProxy(bao.port, word, when);
    const throughCut = await openConnector('bao-db', connectorConfigSchema.parse({
      kind: 'openbao-database', address: `http://127.0.0.1:${String(proxy.port)}`, tokenFile: join(directory, 'token'), allowHttp: true, policy: 'countersign-database',
    }));
    await expect(issue(throughCut, step)).rejects.toMatchObject({ name: 'TargetError' });
    await proxy.close();
    expect(await connector.probe(step, deadline())).toBe('absent');
    expect(await connector.read(step, deadline())).toMatchObject({ exists: false, touched: { account: null } });
    const issued = await issue(connector, step);
    expect(await logsIn(issued)).toBe(true);
    // What the first attempt made at the database, if it came so far, goes at the server's own pace.
    await expect.poll(async () => (await postgres.sql("SELECT 1 FROM pg_roles WHERE rolname LIKE 'v-%'")).length, { timeout: 15_000 }).toBe(1);
    expect(await connector.revoke(orderOf(step), deadline())).toBe('done');
    expect(await logsIn(issued)).toBe(false);
  });

  test('a role that is rewritten after it was approved shows, and one that is not there is refused', async () => {
    const step = stepFor('drift_1');
    const { touched } = await connector.read(step, deadline());
    await bao.call('POST', 'database/roles/reporting', { db_name: 'shop', creation_statements: [`CREATE ROLE "{{name}}" SUPERUSER LOGIN PASSWORD '{{password}}'`], default_ttl: '1h' });
    expect((await connector.read(step, deadline())).touched).not.toEqual(touched);
    await expect(issue(connector, stepFor('nowhere_1', 'nowhere'))).rejects.toMatchObject({ kind: 'rejected' });
    await expect(issue(connector, { ...stepFor('two_2'), privileges: ['role:reporting', 'role:broken'] })).rejects.toMatchObject({ kind: 'rejected' });
  });

  test('no secret is in an error, nor in the server’s logs in clear', async () => {
    const issued = await issue(connector, stepFor('quiet_1'));
    const { password } = JSON.parse(issued.secret) as { password: string };
    const error: unknown = await issue(connector, stepFor('quiet_1')).catch((thrown: unknown) => thrown);
    expect(String(error)).not.toContain(password);
    expect(bao.logs()).not.toContain(password);
  });
});
