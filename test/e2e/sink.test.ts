/** A secret that its executor keeps where its users look for it, with every process and server real. */
import { appendFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { onApp } from '../../examples/demo/cases/story.ts';
import { isSettled } from '../../src/client/index.ts';
import { openbaoProgram, testOpenBao, type TestOpenBao } from '../support/openbao.ts';
import { openBench, refusal, verificationTrouble, type Bench } from './support/bench.ts';
import { searchFiles } from './support/search.ts';

const program = openbaoProgram();
const SELECT = 'SELECT count(*) FROM orders';
const REST_MS = 60_000;

describe.skipIf(program === null)('a secret that is kept in a sink', () => {
  let bench: Bench;
  let bao: TestOpenBao;
  beforeAll(async () => {
    [bench, bao] = await Promise.all([openBench({ fsync: 'off' }), testOpenBao(program!)]);
  });
  afterAll(async () => {
    await Promise.all([bench.close(), bao.remove()]);
  });

  test('is found there once it opens something, fetched by nobody, gone with the access, and in no file of either side', async () => {
    const installation = bench.install('sink');
    const { directory, executorConfig } = installation.paths;
    writeFileSync(join(directory, 'kv.token'), bao.rootToken, { mode: 0o600 });
    appendFileSync(executorConfig, `\nsinks:\n  app-kv: {kind: openbao-kv, address: '${bao.address}', tokenFile: '${join(directory, 'kv.token')}', allowHttp: true}\n`);
    await installation.startExecutor();
    await installation.startSidecar();
    const found = async (): Promise<{ secret: string } | null> => ((await bao.call('GET', 'secret/data/billing/export')).data['data'] as { secret: string } | undefined) ?? null;

    const requester = installation.as('nhi:prod/billing-export');
    const { id } = await requester.request({
      kind: 'provision', subject: 'nhi:prod/billing-export', purpose: 'nightly-billing', reason: 'kept in a sink', duration: 'PT15M',
      entitlements: onApp('table:public.orders:SELECT'), recipient: 'kv:app-kv/billing/export',
    });
    const asked = await requester.wait(id, { until: isSettled, timeoutMs: REST_MS });
    expect(await found()).toBeNull();
    await installation.as('person:ana').approve(id, asked.planDigest!);
    const active = await requester.wait(id, { until: (change) => change.state === 'active', timeoutMs: REST_MS });
    expect(active.delivery?.status).toBe('acknowledged');
    const { account } = active.plan!.steps[0]!;
    const { secret } = (await found())!;
    expect(await refusal(bench.database, { user: account, password: secret }, SELECT)).toBe('works');

    await installation.as('person:ana').revoke(id, 'done with it');
    await requester.wait(id, { until: (change) => change.state === 'revoked', timeoutMs: REST_MS });
    expect(await refusal(bench.database, { user: account, password: secret }, SELECT)).toBe('28P01');
    await expect.poll(found, { timeout: 10_000 }).toBeNull();
    expect(await verificationTrouble(installation)).toBe('');
    await installation.stop();
    expect(searchFiles([directory], [secret]).hits).toEqual([]);
  });
});
