/** A lease that is extended, with processes of their own and a real PostgreSQL: over a socket and over a bus, with each of them killed with -9. */
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

const EXECUTOR = 'executor:main';
const REST_MS = 60_000;
const CALLER = 'nhi:prod/ci-deployer';

let bench: Bench;
let installation: Installation;
beforeAll(async () => {
  bench = await openBench({ fsync: 'off' });
});
afterAll(() => bench.close());

const tokenOf = (change: ChangeView): string => change.plan!.steps[0]!.clientToken;
const isThere = async (change: ChangeView): Promise<boolean> => (await countMarked(bench.database, tokenOf(change))) === 1;
const passed = (time: string, byMs = 0): Promise<true> => until(`${time} has passed`, async () => (Date.now() > Date.parse(time) + byMs ? true : undefined), { timeoutMs: REST_MS });
const isGone = async (change: ChangeView, endsAt: string): Promise<void> => {
  await until('the access is gone', async () => ((await isThere(change)) ? undefined : true), { timeoutMs: REST_MS });
  expect(Date.now() - Date.parse(endsAt)).toBeLessThan(15_000);
};
const as = (principal: string): Record<string, string> => ({ COUNTERSIGN_SOCKET: installation.paths.socket, COUNTERSIGN_TOKEN: installation.tokenOf(principal) });
const approved = async (id: string): Promise<void> => {
  const asked = await installation.as(CALLER).wait(id, { until: isSettled, timeoutMs: REST_MS });
  await installation.as('person:wei').approve(id, asked.planDigest!);
};
const reached = async (id: string, ...states: ChangeView['state'][]): Promise<ChangeView> => {
  const change = await installation.as('person:wei').wait(id, { until: ({ state }) => states.includes(state), timeoutMs: REST_MS });
  expect(states).toContain(change.state);
  return change;
};
const activeGrant = async (duration: string): Promise<ChangeView> => {
  const { id } = await installation.as(CALLER).request({ kind: 'grant', subject: CALLER, purpose: 'deploy-orders', reason: 'a deployment', duration, entitlements: onApp('role:deploy') });
  await approved(id);
  return reached(id, 'active');
};
const isRevoked = async (id: string): Promise<void> => {
  await reached(id, 'revoked');
  expect(await verificationTrouble(installation)).toBe('');
};

describe('over a socket', () => {
  afterEach(() => installation.stop());
  const start = async (name: string): Promise<void> => {
    installation = bench.install(name);
    await installation.startExecutor();
    await installation.startSidecar();
  };

  test('`countersign extend` asks; once it is approved the access outlives its first end and is taken back at the later one, by an executor that was killed in between', async () => {
    await start('extend-socket');
    const change = await activeGrant('PT12S');
    const asked = await countersign(['extend', change.id, '--duration', 'PT25S', '--reason', 'it takes longer', '--json'], as(CALLER));
    expect(asked.exitCode, asked.stderr).toBe(0);
    const extension = JSON.parse(asked.stdout) as ChangeView;
    expect(extension).toMatchObject({ kind: 'extend', extends: { change: change.id } });
    await approved(extension.id);
    const { extends: fixed } = await reached(extension.id, 'done');
    const { leases } = await installation.as(CALLER).leases();
    expect(leases).toMatchObject([{ changeId: change.id, endsAt: fixed!.endsAt }]);
    await installation.executor.kill9();
    await passed(change.lease!.endsAt, 1_000);
    await installation.startExecutor();
    await until('the executor is at work', async () => ((await installation.as(CALLER).ready()).checks.some(({ check, ok }) => check === EXECUTOR && ok) ? true : undefined), { timeoutMs: REST_MS });
    expect(await isThere(change)).toBe(true);
    await isGone(change, fixed!.endsAt!);
    await isRevoked(change.id);
    const why = await countersign(['changes', 'why', change.id], as(CALLER));
    expect(why.stdout).toContain(`by ${extension.id}`);
  });

  test('an extension that nobody approves leaves the first end, and one after it is refused', async () => {
    await start('extend-unapproved');
    const change = await activeGrant('PT6S');
    const extension = await installation.as(CALLER).extend(change.id, { duration: 'PT5M', reason: 'longer' });
    await isGone(change, change.lease!.endsAt);
    await reached(change.id, 'revoked');
    await approved(extension.id);
    const denied = await reached(extension.id, 'denied');
    expect(denied.decision?.reasons.map(({ code }) => code)).toContain('lease-not-running');
    await expect(installation.as(CALLER).extend(change.id, { duration: 'PT5M', reason: 'again' })).rejects.toMatchObject({ code: 'not-extendable', status: 409 });
    await isRevoked(change.id);
  });
});

describe.skipIf(!hasNats())('over a bus', () => {
  let nats: TestNats;
  let other: Running | null = null;
  afterEach(async () => {
    await other?.stop();
    other = null;
    await installation.stop();
    await nats.close();
  });
  const start = async (name: string): Promise<void> => {
    nats = await testNats([EXECUTOR]);
    installation = bench.install(name, { config: { nats: { servers: [...nats.urls], seed: 'keys/nats.seed' }, executors: [{ id: EXECUTOR, connectors: ['pg-main'] }], limits: { republishSeconds: 1 } } });
    const at = (file: string): string => join(installation.paths.directory, file);
    writeFileSync(at('keys/nats.seed'), `${nats.seeds.sidecar}\n`, { mode: 0o600 });
    writeFileSync(at('keys/nats-worker.seed'), `${nats.seeds.executors.get(EXECUTOR)!}\n`, { mode: 0o600 });
    appendFileSync(installation.paths.executorConfig, stringify({ nats: { servers: [...nats.urls], seed: 'keys/nats-worker.seed' } }));
    expect((await countersign(['nats', 'setup', '--config', installation.paths.config])).exitCode).toBe(0);
    await installation.startExecutor();
    await installation.startSidecar();
  };
  const startOther = async (): Promise<void> => {
    const state = join(installation.paths.directory, 'executor-2');
    const file = join(installation.paths.directory, 'executor-2.yaml');
    const config = parse(readFileSync(installation.paths.executorConfig, 'utf8')) as Record<string, unknown>;
    writeFileSync(file, stringify({ ...config, state, socket: join(dirname(installation.paths.executorSocket), 'worker-2.sock') }));
    other = startNode({ name: 'executor-2', args: [installation.paths.cli, 'worker', '--config', file], logs: installation.paths.logs, run: installation.paths.run, env: {} });
    await until('the other worker listens', async () => (existsSync(join(state, 'pid')) ? true : undefined), { timeoutMs: REST_MS });
  };
  const extended = async (change: ChangeView, duration: string): Promise<string> => {
    const { id } = await installation.as(CALLER).extend(change.id, { duration, reason: 'it takes longer' });
    await approved(id);
    return (await reached(id, 'done')).extends!.endsAt!;
  };
  const isDisarmed = async (change: ChangeView): Promise<void> => {
    await until('the earlier order is disarmed', async () => {
      const { records } = await installation.as(CALLER).evidence(change.id);
      return records.some(({ type }) => type === 'lease.disarmed') ? true : undefined;
    }, { timeoutMs: REST_MS });
  };

  test('of two workers the one that gave it extends it; no earlier order fires for the other, and the later one does with the sidecar dead', async () => {
    await start('extend-bus');
    await startOther();
    const change = await activeGrant('PT15S');
    const endsAt = await extended(change, 'PT22S');
    await isDisarmed(change);
    await installation.sidecar.kill9();
    await passed(change.lease!.endsAt, 2_000);
    expect(await isThere(change)).toBe(true);
    await isGone(change, endsAt);
    await installation.startSidecar();
    await isRevoked(change.id);
  });

  test('the worker that gave and extended it dies for good: the other takes it back at the later end', async () => {
    await start('extend-bus-dead');
    const change = await activeGrant('PT15S');
    const endsAt = await extended(change, 'PT25S');
    await isDisarmed(change);
    await installation.executor.kill9();
    await startOther();
    await passed(change.lease!.endsAt, 2_000);
    expect(await isThere(change)).toBe(true);
    await isGone(change, endsAt);
    await isRevoked(change.id);
  });

  test('an extension that waits on the bus while its executor is dead comes too late, and the first end holds', async () => {
    await start('extend-bus-late');
    const change = await activeGrant('PT12S');
    const { id } = await installation.as(CALLER).extend(change.id, { duration: 'PT5M', reason: 'longer' });
    const asked = await installation.as(CALLER).wait(id, { until: isSettled, timeoutMs: REST_MS });
    await installation.executor.kill9();
    await installation.as('person:wei').approve(id, asked.planDigest!);
    await reached(id, 'authorised', 'executing');
    await passed(change.lease!.endsAt);
    await installation.startExecutor();
    await isGone(change, change.lease!.endsAt);
    expect((await reached(id, 'failed', 'denied')).state).not.toBe('done');
    await isRevoked(change.id);
  });
});
