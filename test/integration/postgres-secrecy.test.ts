import { readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { inspect } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { postgresConnector } from '../../src/connectors/postgres/connector.ts';
import { scramVerifier } from '../../src/connectors/postgres/scram.ts';
import {
  apply, connectorTo, CONNECTOR, deadline, disableStep, existingAccount, orderOf, prepareDatabase, provisionStep, READ_ORDERS, replaceStep, rotationSteps, SECRET, TARGET,
  twinAccount,
} from '../support/postgres-cases.ts';
import { cutProxy } from '../support/cut-proxy.ts';
import { postgresInstallations, testPostgres } from '../support/postgres.ts';
import type { TestPostgres } from '../support/postgres.ts';

/** Set by an operator, in clear: the server's log shows it. */
const OPERATORS = 'set-by-an-operator';

/** The forms in which a secret may turn up. */
function spellings(secret: string): string[] {
  const bytes = Buffer.from(secret);
  return [secret, bytes.toString('base64').replaceAll('=', ''), bytes.toString('base64url'), bytes.toString('hex'), encodeURIComponent(secret), bytes.toString('utf16le')];
}

describe.skipIf(postgresInstallations().length === 0)('no secret is written down', () => {
  let server: TestPostgres;
  beforeAll(async () => {
    server = await testPostgres();
    await prepareDatabase(server);
  });
  afterAll(() => server.remove());

  test('by a server that logs everything, through a whole life and its failures', async () => {
    const connector = connectorTo(server);
    const step = provisionStep('canary');
    await apply(connector, step, { validUntil: new Date(Date.now() + 3_600_000).toISOString() });
    expect(await connector.tryUse(step, SECRET, deadline())).toBe('works');
    expect(await connector.tryUse(step, `${SECRET}x`, deadline())).toBe('fails');
    await expect(apply(connector, provisionStep('canary'))).rejects.toMatchObject({ kind: 'rejected' });
    await expect(apply(connector, provisionStep('canary2', [...READ_ORDERS, 'role:nobody-here']))).rejects.toMatchObject({ kind: 'rejected' });
    await connector.revoke(orderOf(step), deadline());
    expect(await connector.tryUse(step, SECRET, deadline())).toBe('fails');
    const log = readFileSync(server.logFile, 'latin1');
    expect(log).toContain('CREATE ROLE "canary"');
    for (const spelling of spellings(SECRET)) expect(log).not.toContain(spelling);
    for (const spelling of spellings(server.adminPassword)) expect(log).not.toContain(spelling);
  });

  test('by a server that logs everything, through a rotation and its failures', async () => {
    const connector = connectorTo(server);
    await twinAccount(server, 'rotated', OPERATORS);
    await (await existingAccount(server, 'in-place', OPERATORS)).end();
    const [twinSecret, soloSecret] = ['canary-twin/Kq+7&x=Z9', 'canary-solo/Kq+7&x=Z9'];
    const { stage, cutover, retire } = rotationSteps('rotated', 'rotated_a', 'rotated_b');
    for (const step of [stage, cutover, retire]) await apply(connector, step, { secret: twinSecret });
    expect(await connector.tryUse(stage, twinSecret, deadline())).toBe('works');
    await expect(apply(connector, stage, { secret: twinSecret })).rejects.toMatchObject({ kind: 'rejected' });
    await connector.revoke(orderOf(stage), deadline());
    expect(await connector.tryUse(stage, twinSecret, deadline())).toBe('fails');
    const replace = replaceStep('in-place');
    await apply(connector, replace, { secret: soloSecret });
    expect(await connector.tryUse(replace, soloSecret, deadline())).toBe('works');
    await apply(connector, disableStep('in-place'));
    const log = readFileSync(server.logFile, 'latin1');
    expect(log).toContain('CREATE ROLE "rotated_b"');
    for (const secret of [twinSecret, soloSecret]) for (const spelling of spellings(secret)) expect(log).not.toContain(spelling);
  });

  test('in an error, whatever fails and wherever', async () => {
    const password = 'canary-admin-Password/7';
    await server.sql(`CREATE ROLE limited LOGIN PASSWORD '${password}'`);
    const salt = Buffer.alloc(16, 7);
    const base = { host: server.host, port: server.port, database: TARGET, user: 'limited', password };
    const failures: unknown[] = [];
    const collect = async (call: Promise<unknown>): Promise<void> => {
      failures.push(await call.then(() => 'no failure', (error: unknown) => error));
    };
    const limited = postgresConnector({ id: CONNECTOR, connection: base, randomBytes: () => salt });
    const step = provisionStep('echoed');
    const input = { step, validUntil: null, secret: SECRET, endSessions: false };
    await collect(limited.apply({ ...input, signal: deadline() }));
    await collect(postgresConnector({ id: CONNECTOR, connection: { ...base, password: `${password}x` } }).apply({ ...input, signal: deadline() }));
    await collect(postgresConnector({ id: CONNECTOR, connection: { ...base, port: 1 } }).apply({ ...input, signal: deadline() }));
    await collect(postgresConnector({ id: CONNECTOR, connection: { ...base, sslmode: 'verify-full' } }).apply({ ...input, signal: deadline() }));
    for (const [word, when] of [['CREATE ROLE', 'before'], ['CREATE ROLE', 'after'], ['COMMIT', 'after']] as const) {
      const proxy = await cutProxy(server.port, word, when);
      await collect(connectorTo(server, proxy.port).apply({ step: provisionStep(`echoed-${word}-${when}`), validUntil: null, secret: SECRET, endSessions: false, signal: deadline() }));
      await proxy.close();
    }
    // A server that repeats the statement in its complaint, as some do.
    await collect(connectorTo(server).apply({ ...input, validUntil: `not a time ${SECRET}`, signal: deadline() }));
    await twinAccount(server, 'echoing', OPERATORS);
    await (await existingAccount(server, 'echoing-solo', OPERATORS)).end();
    const { stage } = rotationSteps('echoing', 'echoing_a', 'echoing_b');
    for (const [rotated, word] of [[stage, 'CREATE ROLE'], [replaceStep('echoing-solo'), 'ALTER ROLE']] as const) {
      await collect(limited.apply({ ...input, step: rotated, signal: deadline() }));
      await collect(connectorTo(server).apply({ ...input, step: { ...rotated, account: 'nobody' }, signal: deadline() }));
      for (const cut of [word, 'COMMIT']) {
        const proxy = await cutProxy(server.port, cut, 'before');
        const cutOff = postgresConnector({ id: CONNECTOR, connection: { ...base, port: proxy.port, user: server.adminUser, password: server.adminPassword }, randomBytes: () => salt });
        await collect(cutOff.apply({ ...input, step: rotated, signal: deadline() }));
        await proxy.close();
      }
    }
    expect(failures).toHaveLength(16);
    for (const failure of failures) {
      expect(failure).toMatchObject({ kind: expect.stringMatching(/rejected|unreachable|ambiguous/) as string });
      const shown = inspect(failure, { depth: 20, showHidden: true }) + JSON.stringify(failure);
      for (const secret of [SECRET, password, server.adminPassword, scramVerifier(SECRET, salt)]) for (const spelling of spellings(secret)) expect(shown).not.toContain(spelling);
      expect(shown).not.toContain('SCRAM-SHA-256$');
    }
  });

  test('to a server that asks for the secret in clear or by MD5', async () => {
    for (const [request, name] of [[3, 'clear'], [5, 'MD5']] as const) {
      const heard: Buffer[] = [];
      const impostor = createServer((socket) => {
        socket.on('error', () => undefined);
        socket.once('data', () => {
          const salt = request === 5 ? [1, 2, 3, 4] : [];
          // AuthenticationCleartextPassword, AuthenticationMD5Password: 'R', length, code, salt.
          socket.write(Buffer.from([0x52, 0, 0, 0, 8 + salt.length, 0, 0, 0, request, ...salt]));
          socket.on('data', (bytes) => heard.push(bytes));
        });
      });
      await new Promise<void>((ready) => impostor.listen(0, '127.0.0.1', ready));
      const connector = connectorTo(server, (impostor.address() as AddressInfo).port);
      await expect(connector.tryUse(provisionStep('lured'), SECRET, deadline(5_000)), name).rejects.toMatchObject({ kind: 'unreachable' });
      expect(Buffer.concat(heard).toString('latin1')).not.toMatch(/canary|md5/);
      await new Promise((closed) => impostor.close(closed));
    }
  });

  test('by trusting a server that asks for nothing: such a login proves nothing', async () => {
    const hba = String((await server.sql('SHOW hba_file'))[0]?.['hba_file']);
    const strict = readFileSync(hba);
    const step = provisionStep('trusted');
    await apply(connectorTo(server), step);
    writeFileSync(hba, `host all trusted 127.0.0.1/32 trust\n${strict.toString()}`);
    await server.sql('SELECT pg_reload_conf()');
    await expect(connectorTo(server).tryUse(step, SECRET, deadline())).rejects.toMatchObject({ kind: 'rejected' });
    writeFileSync(hba, strict);
    await server.sql('SELECT pg_reload_conf()');
  });
});
