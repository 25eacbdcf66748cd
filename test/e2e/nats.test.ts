/** Sidecar and executor as processes that meet on a real bus only, a real PostgreSQL behind them: each of the three is killed with -9. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { Installation } from '../../examples/demo/installation.ts';
import { jetstreamManager } from '@nats-io/jetstream';
import { connect, nkeyAuthenticator } from '@nats-io/transport-node';
import { until } from '../../examples/demo/check.ts';
import { STREAMS } from '../../src/transport/nats/bus-layout.ts';
import { isSettled } from '../../src/client/index.ts';
import { hasNats, testNats, type TestNats } from '../support/nats.ts';
import { countersign, countMarked, openBench, verificationTrouble, type Bench } from './support/bench.ts';
import { whoGave } from './support/bus-bench.ts';
import { activeGrant, deployGrant, isGone, isGoneOnTime, isRevoked, REST_MS, tokenOf } from './support/grants.ts';
import { seeThrough } from './support/people.ts';
import { grantScenario, provisionScenario } from './support/scenarios.ts';

const EXECUTOR = 'executor:main';

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
    installation = bench.install(name, {
      config: { limits: { republishSeconds: 1 } },
      bus: { servers: nats.urls, seed: nats.seeds.sidecar, executorId: EXECUTOR, executorSeed: nats.seeds.executors.get(EXECUTOR)! },
    });
    if (setUp) expect((await countersign(['nats', 'setup', '--config', installation.paths.config])).exitCode).toBe(0);
    await installation.startExecutor();
    await installation.startSidecar();
  };
  test.each([provisionScenario(), grantScenario()])('a $kind is made, used and taken back', async (scenario) => {
    await start(`nats-${scenario.kind}`);
    const cast = await scenario.start(bench, installation, 'over a bus');
    await scenario.over(bench, await seeThrough(cast, performance.now() + REST_MS), cast);
    expect(await verificationTrouble(installation)).toBe('');
  });

  test('access ends on time though the sidecar is dead from just after the grant on', async () => {
    await start('nats-sidecar-dead');
    const active = await activeGrant(bench, installation, 'PT8S');
    await installation.sidecar.kill9();
    await isGoneOnTime(bench, active);
    await installation.startSidecar();
    await isRevoked(bench, installation, active);
  });

  test('access ends on time though the bus is dead, and is reported once it is back', async () => {
    await start('nats-bus-dead');
    const active = await activeGrant(bench, installation, 'PT8S');
    await nats.nodes[0]!.kill9();
    await isGoneOnTime(bench, active);
    await nats.nodes[0]!.start();
    await isRevoked(bench, installation, active);
  });

  test('what is asked while no executor runs is held, and done once when it does', async () => {
    await start('nats-executor-dead');
    await installation.executor.kill9();
    const pipeline = installation.as('nhi:prod/ci-deployer');
    const { id } = await pipeline.request(deployGrant('PT10M'));
    await installation.startExecutor();
    const asked = await pipeline.wait(id, { until: isSettled, timeoutMs: REST_MS });
    await installation.executor.kill9();
    await installation.as('person:wei').approve(id, asked.planDigest!);
    await installation.startExecutor();
    const active = await pipeline.wait(id, { until: (change) => change.state === 'active', timeoutMs: REST_MS });
    expect(await countMarked(bench.database, tokenOf(active))).toBe(1);
    await installation.as('person:wei').revoke(id, 'early');
    await isGone(bench, active);
    await isRevoked(bench, installation, active);
  });

  test('nothing of what is over is left on the bus, though the sidecar dies before it has seen to that', async () => {
    await start('nats-cleared');
    const admin = await connect({ servers: [...nats.urls], authenticator: nkeyAuthenticator(new Uint8Array(Buffer.from(nats.seeds.sidecar))) });
    try {
      const manager = await jetstreamManager(admin);
      const held = async (): Promise<string[]> => Object.keys((await manager.streams.info(STREAMS.steps, { subjects_filter: '>' })).state.subjects ?? {});
      const isLeft = (what: string, is: (subjects: readonly string[]) => boolean): Promise<true> => until(what, async () => (is(await held()) ? true : undefined), { timeoutMs: REST_MS });
      const active = await activeGrant(bench, installation, 'PT10M');
      await isLeft('only the armed order is held', (subjects) => subjects.length === 1 && subjects[0]!.startsWith('cs.arm.'));
      await installation.as('person:wei').revoke(active.id, 'early');
      await isRevoked(bench, installation, active);
      await installation.sidecar.kill9();
      await installation.startSidecar();
      await isLeft('nothing is held', (subjects) => subjects.length === 0);
    } finally {
      await admin.close();
    }
  });

  describe('with two workers of the executor', () => {
    test.each([true, false])('access is given once and taken back on time; the one that gave it is dead by then: %s', async (dead) => {
      await start(`nats-two-workers-${dead}`);
      await installation.workers[1]!.start();
      const active = await activeGrant(bench, installation, 'PT8S');
      if (dead) await whoGave(installation, active).giver.running.kill9();
      await isGoneOnTime(bench, active);
      await isRevoked(bench, installation, active);
    });

    test('an early revoke is carried out by whoever is left, and both books agree when the other is back', async () => {
      await start('nats-two-workers-early');
      await installation.workers[1]!.start();
      for (const kill of [true, false]) {
        const active = await activeGrant(bench, installation, 'PT10M');
        if (kill) await installation.executor.kill9();
        await installation.as('person:wei').revoke(active.id, 'early');
        await isGone(bench, active);
        await isRevoked(bench, installation, active);
        if (kill) await installation.startExecutor();
      }
    });
  });

  test('a bus that was never set up gives nothing, and goes on once it is', async () => {
    await start('nats-not-set-up', false);
    const pipeline = installation.as('nhi:prod/ci-deployer');
    const { id } = await pipeline.request(deployGrant('PT10M'));
    expect((await pipeline.wait(id, { until: ({ length }) => length > 1, timeoutMs: 5_000 })).state).toBe('requested');
    const dry = await countersign(['nats', 'setup', '--dry-run', '--config', installation.paths.config]);
    expect(dry.stdout).toContain('would create CS_STEPS\n');
    expect((await countersign(['nats', 'setup', '--config', installation.paths.config])).stdout).toContain('create CS_STEPS\n');
    expect((await countersign(['nats', 'setup', '--config', installation.paths.config])).stdout).toBe('as it must be\n');
    expect((await pipeline.wait(id, { until: isSettled, timeoutMs: REST_MS })).state).toBe('pending');
  });
});
