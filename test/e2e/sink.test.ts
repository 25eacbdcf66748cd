/** A secret that its executor keeps where its users look for it, with every process and server real. */
import { appendFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { onApp } from '../../examples/demo/cases/story.ts';
import { isSettled, type ChangeView } from '../../src/client/index.ts';
import { openbaoProgram, testOpenBao, type TestOpenBao } from '../support/openbao.ts';
import { openBench, refusal, verificationTrouble, WINDOW, type Bench } from './support/bench.ts';
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

  test('of a rotation is found from its stage on, and the one before again where that is taken back; each of them works when it is found', async () => {
    const installation = bench.install('sink-rotation', { windowMinutes: 15 });
    const { directory, executorConfig } = installation.paths;
    writeFileSync(join(directory, 'kv.token'), bao.rootToken, { mode: 0o600 });
    appendFileSync(executorConfig, `\nsinks:\n  app-kv: {kind: openbao-kv, address: '${bao.address}', tokenFile: '${join(directory, 'kv.token')}', allowHttp: true}\n`);
    await installation.startExecutor();
    await installation.startSidecar();
    const found = async (): Promise<{ secret: string; change: string } | null> => ((await bao.call('GET', 'secret/data/orders/db')).data['data'] as { secret: string; change: string } | undefined) ?? null;
    const requester = installation.as('nhi:prod/orders-api');
    const secrets: string[] = [];
    const staged = async (reason: string): Promise<ChangeView> => {
      const { id } = await requester.request({
        kind: 'rotate', subject: 'nhi:prod/orders-api', connector: 'pg-main', target: 'app', purpose: 'serve-orders', reason, recipient: 'kv:app-kv/orders/db', grace: 'PT1M', window: { calendar: WINDOW },
      });
      const asked = await requester.wait(id, { until: isSettled, timeoutMs: REST_MS });
      for (const approver of ['person:wei', 'person:olga']) await installation.as(approver).approve(id, asked.planDigest!);
      const change = await requester.wait(id, { until: ({ state }) => state === 'staged', timeoutMs: REST_MS });
      expect(change.delivery?.status).toBe('acknowledged');
      const { secret } = (await found())!;
      secrets.push(secret);
      expect(await refusal(bench.database, { user: change.plan!.steps[0]!.account, password: secret }, SELECT)).toBe('works');
      return change;
    };

    const first = await staged('kept in a sink');
    const [before] = secrets;
    await requester.confirm(first.id, 'orders-api');
    await requester.wait(first.id, { until: ({ state }) => state === 'done', timeoutMs: REST_MS });
    expect((await found())?.secret).toBe(before);

    const second = await staged('and taken back');
    expect(secrets[1]).not.toBe(before);
    await requester.withdraw(second.id);
    await requester.wait(second.id, { until: ({ state }) => state === 'withdrawn', timeoutMs: REST_MS });
    await expect.poll(async () => (await found())?.secret, { timeout: 10_000 }).toBe(before);
    expect(await refusal(bench.database, { user: first.plan!.steps[0]!.account, password: before! }, SELECT)).toBe('works');
    expect(await refusal(bench.database, { user: second.plan!.steps[0]!.account, password: secrets[1]! }, SELECT)).toBe('28P01');
    expect(await verificationTrouble(installation)).toBe('');
    await installation.stop();
    expect(searchFiles([directory], secrets).hits).toEqual([]);
  });
});
