import { readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { inspect } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { postgresConnector } from '../../src/connectors/postgres/connector.ts';
import { scramVerifier } from '../../src/connectors/postgres/scram.ts';
import { apply, connectorTo, CONNECTOR, deadline, orderOf, prepareDatabase, provisionStep, READ_ORDERS, SECRET, TARGET } from '../support/postgres-cases.ts';
import { cutProxy } from '../support/cut-proxy.ts';
import { postgresInstallations, testPostgres } from '../support/postgres.ts';
import type { TestPostgres } from '../support/postgres.ts';

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
    expect(failures).toHaveLength(8);
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
