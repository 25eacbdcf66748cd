/**
 * Sidecar, workers and servers of a three-node cluster, killed with -9 or cut off one after another, a real PostgreSQL behind them. What is
 * asserted is what the database itself has, and a ledger that verifies.
 */
import { afterAll, beforeAll, describe, expect, test, type TestContext } from 'vitest';
import { until } from '../../examples/demo/check.ts';
import type { Installation, WorkerProcess } from '../../examples/demo/installation.ts';
import { openGate, type Gate } from '../support/gate.ts';
import { hasNats } from '../support/nats.ts';
import { countMarked, verificationTrouble } from './support/bench.ts';
import { entriesOf, openBusBench, whoGave, type BusBench } from './support/bus-bench.ts';
import { activeGrant, approvedGrant, isGone, isGoneOnTime, isRevoked, REST_MS, tokenOf } from './support/grants.ts';
import { seeThrough } from './support/people.ts';
import { grantScenario, provisionScenario } from './support/scenarios.ts';

const POINTS = ['claim', 'attempt', 'applied', 'resolved'] as const;

describe.skipIf(!hasNats())('on three servers', () => {
  let bus: BusBench;
  const start = async ({ onTestFinished }: TestContext, ...args: Parameters<BusBench['start']>): Promise<Installation> => {
    const installation = await bus.start(...args);
    onTestFinished(() => installation.stop());
    return installation;
  };
  beforeAll(async () => {
    bus = await openBusBench(['sidecar', ...POINTS, 'nodes', 'worker-cut', 'sidecar-cut']);
  });
  afterAll(() => bus.close());

  test.concurrent('the sidecar is dead from just after the grant to past its end: the access ends on time', async (context) => {
    const installation = await start(context, 'sidecar');
    const active = await activeGrant(bus.bench, installation, 'PT8S');
    await installation.sidecar.kill9();
    await isGoneOnTime(bus.bench, active);
    await installation.startSidecar();
    await isRevoked(bus.bench, installation, active);
  });

  test.concurrent.for(POINTS)('a worker is killed right after its entry "%s": the other takes back, and it gives nothing when it is back', async (point, context) => {
    const installation = await start(context, point);
    const { workers } = installation;
    const asked = await approvedGrant(installation, 'PT10M');
    const killed = await until('a worker is there', () => workers.find((worker) => entriesOf(worker, point) > 0), { timeoutMs: REST_MS, everyMs: 1 });
    await killed.running.kill9();
    await installation.as('person:wei').revoke(asked.id, 'enough');
    await isGone(bus.bench, asked);
    await isRevoked(bus.bench, installation, asked, false);
    // The one that is back alone goes on where it stopped before it takes the next step at the same target.
    await killed.start();
    await workers.find((worker) => worker !== killed)!.running.stop();
    const next = await activeGrant(bus.bench, installation, 'PT10M');
    expect(await countMarked(bus.bench.database, tokenOf(asked))).toBe(0);
    await installation.as('person:wei').revoke(next.id, 'enough');
    await isRevoked(bus.bench, installation, next);
  });

  test('each server and then the leader is killed while changes are made: all come to rest, each with one effect', async (context) => {
    const installation = await start(context, 'nodes');
    const { nodes } = bus.nats;
    const leader = (): Promise<string> => bus.manage(async (manager) => (await manager.streams.info('CS_STEPS')).cluster!.leader!);
    const victims = [...nodes.map(({ name }) => () => Promise.resolve(name)), leader];
    for (const [round, victimOf] of victims.entries()) {
      const victim = await victimOf();
      const killed = nodes.find(({ name }) => name === victim)!;
      const scenario = round % 2 === 0 ? grantScenario() : provisionScenario();
      const cast = await scenario.start(bus.bench, installation, `round ${round}`);
      const driven = seeThrough(cast, performance.now() + REST_MS);
      await killed.kill9();
      await scenario.over(bus.bench, await driven, cast);
      await killed.start();
    }
    expect(await verificationTrouble(installation)).toBe('');
  });

  const each = (gates: readonly Gate[], act: (gate: Gate) => void): void => {
    for (const gate of gates) act(gate);
  };
  /** Ways to all servers that can be shut together. */
  const gatesToAll = async ({ onTestFinished }: TestContext): Promise<{ readonly urls: readonly string[]; readonly shut: () => void; readonly open: () => void }> => {
    const own = await Promise.all(bus.nats.urls.map((url) => openGate(Number(new URL(url).port))));
    onTestFinished(async () => {
      for (const gate of own) await gate.close();
    });
    return { urls: own.map(({ port }) => `nats://127.0.0.1:${port}`), shut: () => each(own, (gate) => gate.shut()), open: () => each(own, (gate) => gate.open()) };
  };

  test.concurrent('a worker is cut off with what it gave: it ends on time, the other reports it, and both agree when it is back', async (context) => {
    const ways = [await gatesToAll(context), await gatesToAll(context)] as const;
    const installation = await start(context, 'worker-cut', { ways: { workers: ways.map(({ urls }) => urls) } });
    const active = await activeGrant(bus.bench, installation, 'PT8S');
    const { giver, other } = whoGave(installation, active);
    const way = ways[installation.workers.indexOf(giver)]!;
    way.shut();
    await isGoneOnTime(bus.bench, active);
    await isRevoked(bus.bench, installation, active);
    way.open();
    await bothSay(installation, giver, other);
    await isRevoked(bus.bench, installation, active);
    // It takes part again.
    expect(await countMarked(bus.bench.database, tokenOf(await activeGrant(bus.bench, installation, 'PT1M')))).toBe(1);
  });

  const bothSay = async ({ workers }: Installation, ...of: readonly WorkerProcess[]): Promise<void> => {
    expect(of.length).toBe(workers.length);
    await until('both books have the end', () => (of.every((worker) => entriesOf(worker, 'ended') > 0) ? true : undefined), { timeoutMs: REST_MS });
  };

  test.concurrent('the sidecar is cut off: what was given ends on time, nothing new is given, and the rest follows when it is back', async (context) => {
    const way = await gatesToAll(context);
    const installation = await start(context, 'sidecar-cut', { ways: { sidecar: way.urls } });
    const active = await activeGrant(bus.bench, installation, 'PT8S');
    way.shut();
    const asked = await installation.as('nhi:prod/ci-deployer').request({
      kind: 'grant', subject: 'nhi:prod/ci-deployer', purpose: 'deploy-orders', reason: 'while it is cut off', duration: 'PT10M', entitlements: active.entitlements,
    });
    await isGoneOnTime(bus.bench, active);
    expect((await installation.as('person:wei').get(asked.id)).state).toBe('requested');
    way.open();
    await isRevoked(bus.bench, installation, active);
    const wei = installation.as('person:wei');
    const pending = await wei.wait(asked.id, { until: ({ state }) => state === 'pending', timeoutMs: REST_MS });
    expect(pending.state).toBe('pending');
  });
});
