import { execFileSync } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createServer } from 'node:tls';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { connectorConfigSchema } from '../../src/executor/config.ts';
import { openConnector } from '../../src/executor/registry.ts';
import { connectorTo, existingRole, prepareSecrets, rotateQuery, rotationSteps, stepOf } from '../support/openbao-cases.ts';
import { openbaoProgram, testOpenBao } from '../support/openbao.ts';
import type { TestOpenBao } from '../support/openbao.ts';
import { apply, deadline, newToken, orderOf, SECRET } from '../support/postgres-cases.ts';

const program = openbaoProgram();

describe.skipIf(program === null)('an OpenBao connector that is configured', () => {
  let bao: TestOpenBao;
  let directory: string;
  beforeAll(async () => {
    bao = await testOpenBao(program!);
    await existingRole(bao, 'worker');
    directory = mkdtempSync(join(tmpdir(), 'countersign-bao-config-'));
    writeFileSync(join(directory, 'token'), `${bao.rootToken}\n`, { mode: 0o600 });
  });
  afterAll(async () => {
    await bao.remove();
    rmSync(directory, { recursive: true, force: true });
  });

  const configured = (fields: Record<string, unknown>): ReturnType<typeof openConnector> =>
    openConnector('bao-main', connectorConfigSchema.parse({ kind: 'openbao', tokenFile: join(directory, 'token'), ...fields }));
  const query = stepOf('grant', 'worker', []);

  test('reads its token from a private file, again each time', async () => {
    const connector = await configured({ address: bao.address, allowHttp: true });
    expect(await connector.read(query, deadline())).toMatchObject({ exists: true });
    const { auth } = await bao.call('POST', 'auth/token/create', {});
    writeFileSync(join(directory, 'token'), auth!.client_token);
    await bao.call('POST', 'auth/token/revoke-self', {}, auth!.client_token);
    await expect(connector.read(query, deadline())).rejects.toMatchObject({ kind: 'rejected' });
    for (const nothing of ['', 'two words', 'a\nb']) {
      writeFileSync(join(directory, 'token'), nothing);
      await expect(connector.read(query, deadline())).rejects.toMatchObject({ kind: 'unreachable' });
    }
    writeFileSync(join(directory, 'token'), bao.rootToken);
    expect(await connector.read(query, deadline())).toMatchObject({ exists: true });
  });

  test('is not opened with a token that others can read, an address in clear, or a field that it does not know', async () => {
    await expect(configured({ address: bao.address })).rejects.toThrow(RangeError);
    chmodSync(join(directory, 'token'), 0o644);
    await expect(configured({ address: bao.address, allowHttp: true })).rejects.toThrow('others can read');
    chmodSync(join(directory, 'token'), 0o600);
    expect(() => configured({ address: bao.address, tokenfile: 'x' })).toThrow();
  });

  test('trusts the authorities in its file over TLS, and no others', async () => {
    const [key, cert] = [join(directory, 'key.pem'), join(directory, 'cert.pem')];
    execFileSync('openssl', [
      'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2', '-subj', '/CN=bao', '-addext', 'subjectAltName=IP:127.0.0.1', '-keyout', key, '-out', cert,
    ], { stdio: 'ignore' });
    const front = createServer({ key: readFileSync(key), cert: readFileSync(cert) }, (client) => {
      const upstream = connect(bao.port, '127.0.0.1');
      client.on('error', () => upstream.destroy()).pipe(upstream).on('error', () => client.destroy()).pipe(client);
    });
    await new Promise<void>((ready) => front.listen(0, '127.0.0.1', ready));
    const address = `https://127.0.0.1:${String((front.address() as AddressInfo).port)}`;
    const trusting = await configured({ address, caFile: cert });
    expect(await trusting.read(query, deadline())).toMatchObject({ exists: true });
    const wary = await configured({ address });
    await expect(wary.read(query, deadline())).rejects.toMatchObject({ kind: 'unreachable', message: expect.stringContaining('SELF_SIGNED') as string });
    await new Promise<void>((closed) => front.close(() => closed()));
  });

  test('works in a namespace of its own, and sees nothing outside it', async () => {
    await bao.call('POST', 'sys/namespaces/team', {});
    await bao.call('POST', 'team/sys/auth/machines', { type: 'approle' });
    await bao.call('POST', 'team/sys/policies/acl/own', { policy: 'path "secret/*" { capabilities = ["read"] }' });
    const connector = await configured({ address: bao.address, allowHttp: true, namespace: 'team', mount: 'machines' });
    const step = { ...stepOf('provision', 'inside', ['policy:own']), target: 'machines' };
    await connector.apply({ step, validUntil: null, secret: 'inside-secret-id', endSessions: false, signal: deadline() });
    expect(await connector.tryUse(step, 'inside-secret-id', deadline())).toBe('works');
    expect((await bao.call('GET', 'team/auth/machines/role/inside')).status).toBe(200);
    expect((await bao.call('GET', 'auth/approle/role/inside')).status).toBe(404);
    const order = { ...step, action: 'provision' as const };
    expect(await connector.revoke(order, deadline())).toBe('done');
    expect(await connector.tryUse(step, 'inside-secret-id', deadline())).toBe('fails');
  });

  test('does all that it does with the policy that its page gives it', async () => {
    const page = readFileSync('docs/connectors/openbao.md', 'utf8');
    const policy = /```hcl\n(.*?)```/s.exec(page)![1]!;
    expect((await bao.call('POST', 'sys/policies/acl/countersign', { policy })).status).toBe(204);
    await prepareSecrets(bao);
    const { auth } = await bao.call('POST', 'auth/token/create', { policies: ['countersign'] });
    const connector = connectorTo(bao, bao.port, auth!.client_token);
    const provision = stepOf('provision', 'made');
    await apply(connector, provision);
    expect(await connector.tryUse(provision, SECRET, deadline())).toBe('works');
    const clientToken = newToken();
    const { stage, cutover, retire } = rotationSteps((await connector.read(rotateQuery('made', clientToken), deadline())).touched, clientToken);
    for (const step of [stage, cutover, retire]) await apply(connector, step, { secret: 'the-next-secret' });
    expect(await connector.revoke(orderOf(stage), deadline())).toBe('done');
    expect(await connector.revoke(orderOf(provision), deadline())).toBe('done');
    const grant = stepOf('grant', 'worker');
    await apply(connector, grant);
    const { entries } = await connector.discover!({ connector: 'bao-main', after: null }, deadline());
    expect(entries.map((entry) => (entry.kind === 'account' ? entry.account : entry.clientToken)).sort()).toEqual([grant.clientToken, 'worker'].sort());
    await apply(connector, stepOf('revoke', 'worker'));
    expect(await connector.revoke(orderOf(grant), deadline())).toBe('done');
    const disable = stepOf('disable', 'worker', []);
    await apply(connector, disable);
    expect(await connector.probe(disable, deadline())).toBe('applied');
    // And not what it is not for.
    expect((await bao.call('GET', 'secret/data/app', undefined, auth!.client_token)).status).toBe(403);
  });
});
