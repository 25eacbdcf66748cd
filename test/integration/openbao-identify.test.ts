/** What OpenBao has issued and leaks is known for what it is: a token, and of a database credential the password alone. */
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openbaoDatabaseConnector } from '../../src/connectors/openbao/database-connector.ts';
import { openbaoTokenConnector } from '../../src/connectors/openbao/token-connector.ts';
import type { Connector } from '../../src/executor/connector.ts';
import { prepareSecrets, READ_APP } from '../support/openbao-cases.ts';
import { openbaoProgram, testOpenBao, type TestOpenBao } from '../support/openbao.ts';
import { postgresInstallations, testPostgres, type TestPostgres } from '../support/postgres.ts';
import { openReconcileBench } from '../support/reconcile-bench.ts';
import { RECIPIENT } from '../support/sidecar.ts';
import { openDesk, type Desk } from '../support/world.ts';

const program = openbaoProgram();
const [installation] = postgresInstallations();

describe.skipIf(program === null || installation === undefined)('identify', () => {
  let bao: TestOpenBao;
  let postgres: TestPostgres;
  let desk: Desk;
  beforeAll(async () => {
    [bao, postgres] = await Promise.all([testOpenBao(program!), testPostgres(installation)]);
    desk = openDesk();
    await prepareSecrets(bao);
    await bao.call('POST', 'sys/mounts/database', { type: 'database' });
    await bao.call('POST', 'database/config/shop', {
      plugin_name: 'postgresql-database-plugin', allowed_roles: ['reporting'], username: postgres.adminUser, password: postgres.adminPassword,
      connection_url: `postgresql://{{username}}:{{password}}@${postgres.host}:${String(postgres.port)}/postgres?sslmode=disable`,
    });
    await bao.call('POST', 'database/roles/reporting', { db_name: 'shop', creation_statements: [`CREATE ROLE "{{name}}" LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}'`] });
    await bao.call('POST', 'sys/policies/acl/countersign-database', { policy: 'path "database/creds/*" { capabilities = ["read"] }' });
  });
  afterAll(async () => {
    await Promise.all([bao.remove(), postgres.remove()]);
    desk.remove();
  });

  /** Has one issued, and gives back what each of the texts, once found, says of it. */
  const identified = async (connector: Connector, at: { readonly connector: string; readonly target: string }, privilege: string, leaks: (secret: string) => string[]): Promise<void> => {
    const secrets: string[] = [];
    const noting: Connector = {
      ...connector,
      async issue(input) {
        const issued = await connector.issue!(input);
        secrets.push(issued.secret);
        return issued;
      },
    };
    const bench = await openReconcileBench(noting, { ...at, privileges: [privilege], identities: { maker: { account: 'maker' } } });
    try {
      const changeId = await bench.request({ kind: 'provision', subject: 'nhi:prod/maker', purpose: 'run-maker', reason: 'a test', duration: 'PT1H', recipient: RECIPIENT, entitlements: [{ ...at, privilege }] });
      await bench.until(changeId, 'active');
      await bench.log.sync();
      writeFileSync(join(desk.directory, 'fingerprint.key'), `${Buffer.alloc(32).toString('base64')}\n`, { mode: 0o600 });
      expect(secrets).toHaveLength(1);
      for (const text of leaks(secrets[0]!)) {
        const { exit, stdout, stderr } = await desk.with({ readStdin: () => Promise.resolve(Buffer.from(text)) })
          .run('identify', '--json', '--ledger', join(bench.directory, 'ledger'), '--fingerprint-key', join(desk.directory, 'fingerprint.key'));
        expect(exit, stderr).toBe(0);
        expect(JSON.parse(stdout)).toMatchObject({ credentials: [{ changeId, subject: 'nhi:prod/maker', connector: at.connector, endedBy: null, opens: [{ changeId }] }] });
        expect(stdout + stderr).not.toContain(text);
      }
      const { account } = bench.engine.get(changeId)!.plan!.steps[0]!;
      const { exit } = await desk.with({ readStdin: () => Promise.resolve(Buffer.from(account)) }).run('identify', '--ledger', join(bench.directory, 'ledger'), '--fingerprint-key', join(desk.directory, 'fingerprint.key'));
      expect(exit).toBe(1);
    } finally {
      rmSync(join(desk.directory, 'fingerprint.key'), { force: true });
      await bench.close();
    }
  };

  test('knows an issued token', async () => {
    const connector = openbaoTokenConnector({ id: 'bao-tokens', connection: { address: bao.address, token: () => bao.rootToken, allowHttp: true } });
    await identified(connector, { connector: 'bao-tokens', target: 'token' }, READ_APP, (secret) => [secret]);
  });

  test('knows an issued database password, alone and as it was delivered', async () => {
    const connector = openbaoDatabaseConnector({ id: 'bao-db', connection: { address: bao.address, token: () => bao.rootToken, allowHttp: true }, mount: 'database', policy: 'countersign-database' });
    await identified(connector, { connector: 'bao-db', target: 'database' }, 'role:reporting', (secret) => [(JSON.parse(secret) as { password: string }).password, secret]);
  });
});
