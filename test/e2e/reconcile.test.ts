/** A messy database, reconciled by command: a real sidecar, a real executor, and either a socket or a bus between them. */
import { appendFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { onApp } from '../../examples/demo/cases/story.ts';
import type { Installation } from '../../examples/demo/installation.ts';
import { isSettled, type ReconciliationList } from '../../src/client/index.ts';
import { hasNats, testNats, type TestNats } from '../support/nats.ts';
import { countersign, openBench, verificationTrouble, type Bench, type Ran } from './support/bench.ts';

let bench: Bench;
beforeAll(async () => {
  bench = await openBench({ fsync: 'off' });
  // What years leave behind: a login that nobody remembers, a privilege that was only for a day, and one of somebody who is not in the inventory.
  await bench.database.admin(`CREATE ROLE legacy_etl LOGIN PASSWORD 'x'`);
  await bench.database.admin('GRANT app_owner TO legacy_etl');
  await bench.database.admin('GRANT SELECT ON customers TO warehouse_sync');
  await bench.database.admin(`CREATE ROLE bob_contractor LOGIN PASSWORD 'x' VALID UNTIL '2099-01-01'`);
});
afterAll(() => bench.close());

const reconcile = (installation: Installation, ...more: string[]): Promise<Ran> =>
  countersign(['reconcile', '--connector', 'pg-main', '--as', 'person:sam', '--config', installation.paths.config, ...more]);

/** Whoever may see it is told what is wrong; what was given through Countersign is explained; and the auditor is told when somebody last looked. */
async function reconcilesTheMess(installation: Installation): Promise<void> {
  const pipeline = installation.as('nhi:prod/ci-deployer');
  const { id } = await pipeline.request({ kind: 'grant', subject: 'nhi:prod/ci-deployer', purpose: 'deploy-orders', reason: 'a deployment', duration: 'PT10M', entitlements: onApp('role:deploy') });
  const asked = await pipeline.wait(id, { until: isSettled, timeoutMs: 60_000 });
  await installation.as('person:wei').approve(id, asked.planDigest!);
  expect((await pipeline.wait(id, { until: ({ state }) => state === 'active', timeoutMs: 60_000 })).state).toBe('active');

  const shown = await reconcile(installation);
  if (process.env['COUNTERSIGN_SHOW'] === '1') process.stdout.write(shown.stdout);
  expect([shown.exitCode, shown.stderr]).toEqual([1, '']);
  const { reconciliations, findings } = JSON.parse((await reconcile(installation, '--json')).stdout) as ReconciliationList;
  expect(reconciliations).toMatchObject([{ state: 'done', complete: true, counts: { unknownAccounts: 2, pastEnd: 0, recorded: 1, missing: 0 } }]);
  const found = findings.map(({ code, account, privileges }) => [code, account, privileges.join()]).sort();
  expect(found).toContainEqual(['account-unknown', 'legacy_etl', 'role:app_owner']);
  expect(found).toContainEqual(['account-unknown', 'bob_contractor', '']);
  expect(found).toContainEqual(['access-unexplained', 'warehouse_sync', 'table:public.customers:SELECT']);
  expect(found.filter(([, account]) => account === 'ci_deployer')).toEqual([]);
  // Policy has proposed to take what its purpose does not need, and its owner decides.
  const proposed = findings.find(({ account }) => account === 'warehouse_sync')!.proposed!;
  expect(await installation.as('person:sam').get(proposed)).toMatchObject({ kind: 'revoke', state: 'pending', subject: 'nhi:prod/warehouse-sync' });
  // Whoever owns it may say that it is needed; then nobody is asked again about the same.
  const { planDigest } = await installation.as('person:ben').get(proposed);
  expect((await installation.as('person:ben').reject(proposed, planDigest!, 'the loader needs it')).state).toBe('rejected');
  const again = JSON.parse((await reconcile(installation, '--json')).stdout) as ReconciliationList;
  expect(again.findings.find(({ account }) => account === 'warehouse_sync')?.proposed).toBe(proposed);

  await installation.as('person:wei').revoke(id);
  await installation.as('person:wei').wait(id, { until: ({ state }) => state === 'revoked', timeoutMs: 60_000 });
  expect(await verificationTrouble(installation)).toBe('');
  const { stdout } = await countersign(['verify', installation.paths.ledger, '--trust', installation.paths.trust]);
  expect(stdout).toMatch(/- changes made outside Countersign since the last reconcile: (?:pg-dev never; )?pg-main at 20\d\d-[^;\n]+Z$/m);
}

test('over a socket', async () => {
  const installation = bench.install('reconcile');
  try {
    await installation.startExecutor();
    await installation.startSidecar();
    await reconcilesTheMess(installation);
    const listed = await countersign(['inventory', 'discover', '--as', 'person:sam', '--config', installation.paths.config]);
    if (process.env['COUNTERSIGN_SHOW'] === '1') process.stdout.write(listed.stdout);
    expect(listed.stdout).toMatch(/^account +legacy_etl +can log in +last use not known +role:app_owner$/m);
    expect(listed.stdout).toMatch(/^account +bob_contractor +can log in until 2099-/m);
  } finally {
    await installation.stop();
  }
});

describe.skipIf(!hasNats())('over a bus', () => {
  let nats: TestNats;
  afterAll(() => nats.close());

  test('the same', async () => {
    nats = await testNats(['executor:main']);
    const installation = bench.install('reconcile-nats', {
      config: { nats: { servers: [...nats.urls], seed: 'keys/nats.seed' }, executors: [{ id: 'executor:main', connectors: ['pg-main'] }], limits: { republishSeconds: 1 } },
    });
    const at = (file: string): string => join(installation.paths.directory, file);
    writeFileSync(at('keys/nats.seed'), `${nats.seeds.sidecar}\n`, { mode: 0o600 });
    writeFileSync(at('keys/nats-worker.seed'), `${nats.seeds.executors.get('executor:main')!}\n`, { mode: 0o600 });
    appendFileSync(installation.paths.executorConfig, stringify({ nats: { servers: [...nats.urls], seed: 'keys/nats-worker.seed' } }));
    try {
      expect((await countersign(['nats', 'setup', '--config', installation.paths.config])).exitCode).toBe(0);
      await installation.startExecutor();
      await installation.startSidecar();
      await reconcilesTheMess(installation);
    } finally {
      await installation.stop();
    }
  });
});
