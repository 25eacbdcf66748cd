/** Sidecar and executor as processes that meet on a real bus only, a real PostgreSQL behind them: each of the three is killed with -9. */
import { appendFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { parse, stringify } from 'yaml';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { until } from '../../examples/demo/check.ts';
import { onApp } from '../../examples/demo/cases/story.ts';
import type { Installation } from '../../examples/demo/installation.ts';
import { startNode, type Running } from '../../examples/demo/processes.ts';
import { isSettled, type ChangeView } from '../../src/client/index.ts';
import { hasNats, testNats, type TestNats } from '../support/nats.ts';
import { countersign, countMarked, openBench, verificationTrouble, type Bench } from './support/bench.ts';
import { seeThrough } from './support/people.ts';
import { grantScenario, provisionScenario } from './support/scenarios.ts';

const EXECUTOR = 'executor:main';
const REST_MS = 60_000;

describe.skipIf(!hasNats())('over a bus', () => {
  let bench: Bench;
  let nats: TestNats;
  let installation: Installation;
  beforeAll(async () => {
    bench = await openBench({ fsync: 'off' });
  });
  afterAll(() => bench.close());
  afterEach(async () => {
    await installation.stop();
    await nats.close();
  });

  /** An installation whose two processes have no socket in common that is used: the executor's is not in the sidecar's configuration. */
  const start = async (name: string, setUp = true): Promise<void> => {
    nats = await testNats([EXECUTOR]);
    installation = bench.install(name, { config: { nats: { servers: [...nats.urls], seed: 'keys/nats.seed' }, executors: [{ id: EXECUTOR, connectors: ['pg-main'] }], limits: { republishSeconds: 1 } } });
    const at = (file: string): string => join(installation.paths.directory, file);
    writeFileSync(at('keys/nats.seed'), `${nats.seeds.sidecar}\n`, { mode: 0o600 });
    writeFileSync(at('keys/nats-worker.seed'), `${nats.seeds.executors.get(EXECUTOR)!}\n`, { mode: 0o600 });
    appendFileSync(installation.paths.executorConfig, stringify({ nats: { servers: [...nats.urls], seed: 'keys/nats-worker.seed' } }));
    if (setUp) expect((await countersign(['nats', 'setup', '--config', installation.paths.config])).exitCode).toBe(0);
    await installation.startExecutor();
    await installation.startSidecar();
  };
  const tokenOf = (change: ChangeView): string => change.plan!.steps[0]!.clientToken;
  const isGone = (change: ChangeView): Promise<true> =>
    until('the access is gone', async () => ((await countMarked(bench.database, tokenOf(change))) === 0 ? true : undefined), { timeoutMs: REST_MS });
  const isRevoked = async (change: ChangeView): Promise<void> => {
    const revoked = await installation.as('person:wei').wait(change.id, { until: ({ state }) => state === 'revoked', timeoutMs: REST_MS });
    expect(revoked.state).toBe('revoked');
    expect(await verificationTrouble(installation)).toBe('');
  };
  const activeGrant = async (duration: `PT${number}${'S' | 'M'}`): Promise<ChangeView> => {
    const pipeline = installation.as('nhi:prod/ci-deployer');
    const { id } = await pipeline.request({ kind: 'grant', subject: 'nhi:prod/ci-deployer', purpose: 'deploy-orders', reason: 'a deployment', duration, entitlements: onApp('role:deploy') });
    const asked = await pipeline.wait(id, { until: isSettled, timeoutMs: REST_MS });
    await installation.as('person:wei').approve(id, asked.planDigest!);
    const active = await pipeline.wait(id, { until: (change) => change.state === 'active', timeoutMs: REST_MS });
    expect(active.state).toBe('active');
    expect(await countMarked(bench.database, tokenOf(active))).toBe(1);
    return active;
  };

  test.each([provisionScenario(), grantScenario()])('a $kind is made, used and taken back', async (scenario) => {
    await start(`nats-${scenario.kind}`);
    const cast = await scenario.start(bench, installation, 'over a bus');
    await scenario.over(bench, await seeThrough(cast, performance.now() + REST_MS), cast);
    expect(await verificationTrouble(installation)).toBe('');
  });

  test('access ends on time though the sidecar is dead from just after the grant on', async () => {
    await start('nats-sidecar-dead');
    const active = await activeGrant('PT8S');
    await installation.sidecar.kill9();
    await isGone(active);
    expect(Date.now() - Date.parse(active.lease!.endsAt)).toBeLessThan(15_000);
    await installation.startSidecar();
    await isRevoked(active);
  });

  test('access ends on time though the bus is dead, and is reported once it is back', async () => {
    await start('nats-bus-dead');
    const active = await activeGrant('PT8S');
    await nats.nodes[0]!.kill9();
    await isGone(active);
    expect(Date.now() - Date.parse(active.lease!.endsAt)).toBeLessThan(15_000);
    await nats.nodes[0]!.start();
    await isRevoked(active);
  });

  test('what is asked while no executor runs is held, and done once when it does', async () => {
    await start('nats-executor-dead');
    await installation.executor.kill9();
    const pipeline = installation.as('nhi:prod/ci-deployer');
    const { id } = await pipeline.request({ kind: 'grant', subject: 'nhi:prod/ci-deployer', purpose: 'deploy-orders', reason: 'held', duration: 'PT10M', entitlements: onApp('role:deploy') });
    await installation.startExecutor();
    const asked = await pipeline.wait(id, { until: isSettled, timeoutMs: REST_MS });
    await installation.executor.kill9();
    await installation.as('person:wei').approve(id, asked.planDigest!);
    await installation.startExecutor();
    const active = await pipeline.wait(id, { until: (change) => change.state === 'active', timeoutMs: REST_MS });
    expect(await countMarked(bench.database, tokenOf(active))).toBe(1);
    await installation.as('person:wei').revoke(id, 'early');
    await isGone(active);
    await isRevoked(active);
  });

  describe('with two workers of the executor', () => {
    const second = (): string => join(installation.paths.directory, 'executor-2.yaml');
    let other: Running;
    const startOther = async (): Promise<void> => {
      const state = join(installation.paths.directory, 'executor-2');
      const socket = join(dirname(installation.paths.executorSocket), 'worker-2.sock');
      const config = parse(readFileSync(installation.paths.executorConfig, 'utf8')) as Record<string, unknown>;
      writeFileSync(second(), stringify({ ...config, state, socket }));
      other = startNode({ name: 'executor-2', args: [installation.paths.cli, 'worker', '--config', second()], logs: installation.paths.logs, run: installation.paths.run, env: {} });
      await until('the other worker listens', async () => (existsSync(join(state, 'pid')) ? true : undefined), { timeoutMs: REST_MS });
    };
    afterEach(() => other.stop());

    test.each([true, false])('access is given once and taken back on time; the one that gave it is dead by then: %s', async (dead) => {
      await start(`nats-two-workers-${dead}`);
      await startOther();
      const active = await activeGrant('PT8S');
      const gave = readFileSync(join(installation.paths.executorState, 'lease-book'), 'latin1').includes('"t":"attempt"') ? installation.executor : other;
      if (dead) await gave.kill9();
      await isGone(active);
      expect(Date.now() - Date.parse(active.lease!.endsAt)).toBeLessThan(15_000);
      await isRevoked(active);
    });

    test('an early revoke is carried out by whoever is left, and both books agree when the other is back', async () => {
      await start('nats-two-workers-early');
      await startOther();
      for (const kill of [true, false]) {
        const active = await activeGrant('PT10M');
        if (kill) await installation.executor.kill9();
        await installation.as('person:wei').revoke(active.id, 'early');
        await isGone(active);
        await isRevoked(active);
        if (kill) await installation.startExecutor();
      }
    });
  });

  test('a bus that was never set up gives nothing, and goes on once it is', async () => {
    await start('nats-not-set-up', false);
    const pipeline = installation.as('nhi:prod/ci-deployer');
    const { id } = await pipeline.request({ kind: 'grant', subject: 'nhi:prod/ci-deployer', purpose: 'deploy-orders', reason: 'too early', duration: 'PT10M', entitlements: onApp('role:deploy') });
    expect((await pipeline.wait(id, { until: ({ length }) => length > 1, timeoutMs: 5_000 })).state).toBe('requested');
    const dry = await countersign(['nats', 'setup', '--dry-run', '--config', installation.paths.config]);
    expect(dry.stdout).toContain('would create CS_STEPS\n');
    expect((await countersign(['nats', 'setup', '--config', installation.paths.config])).stdout).toContain('create CS_STEPS\n');
    expect((await countersign(['nats', 'setup', '--config', installation.paths.config])).stdout).toBe('as it must be\n');
    expect((await pipeline.wait(id, { until: isSettled, timeoutMs: REST_MS })).state).toBe('pending');
  });
});
