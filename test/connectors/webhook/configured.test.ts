import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { connectorConfigSchema, loadExecutorConfig } from '../../../src/executor/config.ts';
import { openConnector } from '../../../src/executor/registry.ts';
import { testReceiver, type TestReceiver } from '../../support/webhook-target.ts';

describe('a webhook connector that is configured', () => {
  let receiver: TestReceiver;
  let directory: string;
  beforeAll(async () => {
    receiver = await testReceiver();
    directory = mkdtempSync(join(tmpdir(), 'countersign-hook-'));
    writeFileSync(join(directory, 'hook.whsec'), `${receiver.signingSecret}\n`, { mode: 0o600 });
  });
  afterAll(async () => {
    await receiver.close();
    rmSync(directory, { recursive: true, force: true });
  });
  const hook = (fields: Record<string, unknown> = {}): Record<string, unknown> => ({ kind: 'webhook', url: `http://127.0.0.1:${receiver.port}/countersign`, allowHttp: true, signingSecretFile: 'hook.whsec', ...fields });
  const open = (fields: Record<string, unknown>): ReturnType<typeof openConnector> => openConnector('hook', connectorConfigSchema.parse(hook({ signingSecretFile: join(directory, 'hook.whsec'), ...fields })));
  const query = { connector: 'hook', target: 'orders', action: 'provision' as const, account: 'nobody', privileges: [], clientToken: 'cs_00000000000000000000000000' };
  const read = async (connector: Awaited<ReturnType<typeof openConnector>>): Promise<boolean> => (await connector.read(query, AbortSignal.timeout(10_000))).exists;

  test('finds its files beside executor.yaml', async () => {
    writeFileSync(join(directory, 'executor.yaml'), stringify({
      id: 'executor:main', socket: 's', key: 'k', trust: 't', state: 'st', fingerprintKey: 'f', connectors: { hook: hook({ caFile: 'ca.pem' }), own: { kind: 'module', file: 'own.js' } },
    }));
    const { connectors } = await loadExecutorConfig(join(directory, 'executor.yaml'));
    expect(connectors['hook']).toMatchObject({ signingSecretFile: join(directory, 'hook.whsec'), caFile: join(directory, 'ca.pem'), timeoutSeconds: 10, allowPrivate: false });
    expect(connectors['own']).toEqual({ kind: 'module', file: join(directory, 'own.js'), options: {} });
  });

  test('reads its signing secret from a private file, again each time', async () => {
    const connector = await open({});
    expect(await read(connector)).toBe(false);
    writeFileSync(join(directory, 'hook.whsec'), `whsec_${Buffer.alloc(32, 9).toString('base64')}\n`);
    await expect(read(connector)).rejects.toMatchObject({ kind: 'rejected', message: 'HTTP 401: not signed as it should be' });
    // Both sign, while the receiver changes over.
    writeFileSync(join(directory, 'hook.whsec'), `whsec_${Buffer.alloc(32, 9).toString('base64')}\n${receiver.signingSecret}\n`);
    expect(await read(connector)).toBe(false);
    writeFileSync(join(directory, 'hook.whsec'), 'no secret');
    await expect(read(connector)).rejects.toMatchObject({ kind: 'unreachable' });
    writeFileSync(join(directory, 'hook.whsec'), receiver.signingSecret);
    expect(await read(connector)).toBe(false);
  });

  test('is not opened with a secret that others can read, an address in clear, a deadline beyond the worker’s, or a field that it does not know', async () => {
    await expect(open({ url: 'http://orders.example/' })).rejects.toThrow(RangeError);
    await expect(open({ allowHttp: false })).rejects.toThrow(RangeError);
    chmodSync(join(directory, 'hook.whsec'), 0o644);
    await expect(open({})).rejects.toThrow('others can read');
    chmodSync(join(directory, 'hook.whsec'), 0o600);
    for (const fields of [{ timeoutSeconds: 15 }, { timeoutSeconds: 0 }, { signingSecret: 'x' }]) expect(() => connectorConfigSchema.parse(hook(fields))).toThrow();
  });
});
