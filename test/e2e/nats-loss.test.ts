/**
 * What a three-node cluster, its streams or the ledger itself can lose, a real PostgreSQL behind it: all servers at once, their disks, the
 * room for reports, the sidecar's ledger. Access ends all the same, and nothing is given that should not be.
 */
import { randomBytes } from 'node:crypto';
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, type TestContext } from 'vitest';
import { until } from '../../examples/demo/check.ts';
import type { Installation, WorkerProcess } from '../../examples/demo/installation.ts';
import { wipe } from '../../examples/support/nats-servers.ts';
import { isSettled, type ChangeView } from '../../src/client/index.ts';
import { act, arm, laneOf, STREAMS } from '../../src/transport/nats/bus-layout.ts';
import { hasNats } from '../support/nats.ts';
import { countersign, countMarked } from './support/bench.ts';
import { entriesOf, openBusBench, setUp, whoGave, type BusBench } from './support/bus-bench.ts';
import { activeGrant, approvedGrant, deployGrant, isGone, isGoneOnTime, isRevoked, LATE_MS_MAX, published, REST_MS, tokenOf } from './support/grants.ts';

describe.skipIf(!hasNats())('on three servers', () => {
  let bus: BusBench;
  const start = async ({ onTestFinished }: TestContext, name: string): Promise<Installation> => {
    const installation = await bus.start(name);
    onTestFinished(() => installation.stop());
    return installation;
  };
  beforeAll(async () => {
    bus = await openBusBench(['before-due', 'by-hand', 'queued', 'about-to', 'wiped', 'no-ledger', 'full']);
  });
  afterAll(() => bus.close());
  const marked = (change: ChangeView): Promise<number> => countMarked(bus.bench.database, tokenOf(change));
  const logOf = ({ paths }: Installation, { name }: WorkerProcess): string => readFileSync(join(paths.logs, `${name}.log`), 'utf8');

  test('all are killed before an order is due, and sidecar and worker are gone: the servers hand it to the other worker once they are back', async (context) => {
    const installation = await start(context, 'before-due');
    const active = await activeGrant(bus.bench, installation, 'PT6S');
    await whoGave(installation, active).giver.running.kill9();
    await installation.sidecar.kill9();
    await bus.nats.kill9();
    const endMs = Date.parse(active.lease!.endsAt);
    expect(Date.now(), 'all dead before it was due').toBeLessThan(endMs);
    await until('it is due', () => (Date.now() > endMs + 500 ? true : undefined), { timeoutMs: REST_MS });
    expect(await marked(active), 'nobody who is alive knows of it').toBe(1);
    await bus.nats.start();
    const upMs = Date.now();
    expect((await isGone(bus.bench, active)) - upMs).toBeLessThan(LATE_MS_MAX);
    await installation.startSidecar();
    await isRevoked(bus.bench, installation, active);
  });

  test('all are dead: a live credential is revoked by hand in less than a minute, and its grant, queued once more, is refused when they are back', async (context) => {
    const installation = await start(context, 'by-hand');
    const active = await activeGrant(bus.bench, installation, 'PT10M');
    const { giver, other } = whoGave(installation, active);
    const [lane, log] = [laneOf(other.executorId), active.id.split('_')[1]!];
    await bus.manage(async (manager) => {
      const step = await manager.streams.getMessage(STREAMS.steps, { last_by_subj: act(lane, log, '*') });
      // Due while they are dead: handed over the moment that they are back.
      const [from, to] = [randomBytes(16).toString('hex'), randomBytes(16).toString('hex')];
      await manager.jetstream().publish(arm(lane, log, from), step!.data, { schedule: { specification: new Date(Date.now() + 1_500), target: act(lane, log, to) } });
    });
    await bus.nats.kill9();
    await giver.running.kill9();
    await installation.sidecar.kill9();

    const startMs = performance.now();
    const ran = await countersign(['revoke', '--now', '--change', active.id, '--config', installation.paths.config, '--executor', other.socket, '--wait', '30']);
    expect(ran, ran.stderr).toMatchObject({ exitCode: 0 });
    expect(await marked(active)).toBe(0);
    expect(performance.now() - startMs).toBeLessThan(60_000);

    await bus.nats.start();
    await until('the queued grant is refused', () => (/"outcome":"refused","code":"lease-ended"/.test(logOf(installation, other)) ? true : undefined), { timeoutMs: REST_MS });
    expect(await marked(active)).toBe(0);
    await giver.start();
    await installation.startSidecar();
    await isRevoked(bus.bench, installation, active);
  });

  test('all are dead: an extension that was queued for a lease that is revoked by hand meanwhile gives no later end when they are back', async (context) => {
    const installation = await start(context, 'queued');
    const active = await activeGrant(bus.bench, installation, 'PT10M');
    const { giver, other } = whoGave(installation, active);
    await giver.running.kill9();
    const [pipeline, wei] = [installation.as('nhi:prod/ci-deployer'), installation.as('person:wei')];
    const { id } = await pipeline.extend(active.id, { duration: 'PT20M', reason: 'it takes longer' });
    const asked = await pipeline.wait(id, { until: isSettled, timeoutMs: REST_MS });
    await wei.approve(id, asked.planDigest!);
    // Nobody but the worker that gave it takes it up: it waits on the bus, with its order armed.
    expect((await pipeline.wait(id, { until: ({ state }) => state === 'authorised', timeoutMs: REST_MS })).state).toBe('authorised');
    const [lane, log] = [laneOf(other.executorId), active.id.split('_')[1]!];
    await bus.manage(async (manager) => {
      const isQueued = async (): Promise<true | undefined> => {
        const step = await manager.streams.getMessage(STREAMS.steps, { last_by_subj: act(lane, log, '*') });
        return step !== null && Buffer.from(step.data).toString('utf8').includes(id) ? true : undefined;
      };
      await until('it is queued', isQueued, { timeoutMs: REST_MS });
    });
    await bus.nats.kill9();
    await installation.sidecar.kill9();
    const ran = await countersign(['revoke', '--now', '--change', active.id, '--config', installation.paths.config, '--executor', other.socket, '--wait', '30']);
    expect(ran, ran.stderr).toMatchObject({ exitCode: 0 });
    expect(await marked(active)).toBe(0);

    await bus.nats.start();
    await giver.start();
    await installation.startSidecar();
    const over = await wei.wait(id, { until: ({ state }) => ['failed', 'denied', 'expired'].includes(state), timeoutMs: REST_MS });
    expect(['failed', 'denied', 'expired']).toContain(over.state);
    expect(await marked(active)).toBe(0);
    await isRevoked(bus.bench, installation, active);
    expect((await wei.get(active.id)).lease!.endsAt).toBe(active.lease!.endsAt);
  });

  test('all are dead, and a worker died as it was about to give: what is revoked by hand meanwhile it does not give when it is back', async (context) => {
    const installation = await start(context, 'about-to');
    const { workers } = installation;
    const asked = await approvedGrant(installation, 'PT10M');
    const killed = await until('a worker is about to', () => workers.find((worker) => entriesOf(worker, 'claim') > 0), { timeoutMs: REST_MS, everyMs: 1 });
    await killed.running.kill9();
    await bus.nats.kill9();
    await published(installation.paths.ledger, await installation.as('person:wei').get(asked.id));
    await installation.sidecar.kill9();
    const other = workers.find((worker) => worker !== killed)!;
    const ran = await countersign(['revoke', '--now', '--change', asked.id, '--config', installation.paths.config, '--executor', other.socket, '--wait', '30']);
    expect(ran, ran.stderr).toMatchObject({ exitCode: 0 });
    await bus.nats.start();
    await installation.startSidecar();
    await isRevoked(bus.bench, installation, asked, false);
    // The one that is back alone goes on where it stopped before it takes the next step at the same target.
    await other.running.stop();
    await killed.start();
    const next = await activeGrant(bus.bench, installation, 'PT10M');
    expect(await marked(asked)).toBe(0);
    await installation.as('person:wei').revoke(next.id, 'enough');
    await isRevoked(bus.bench, installation, next);
  });

  test('their disks are wiped: what was given ends on time, and what nobody had taken up is published again', async (context) => {
    const installation = await start(context, 'wiped');
    const active = await activeGrant(bus.bench, installation, 'PT15S');
    await Promise.all(installation.workers.map(({ running }) => running.stop()));
    const asked = await installation.as('nhi:prod/ci-deployer').request(deployGrant('PT10M'));
    await installation.as('person:wei').wait(asked.id, { until: ({ length }) => length > 1, timeoutMs: REST_MS });
    await bus.nats.kill9();
    for (const node of bus.nats.nodes) wipe(node);
    await bus.nats.start();
    await setUp(installation);
    await Promise.all(installation.workers.map((worker) => worker.start()));
    await isGoneOnTime(bus.bench, active);
    await isRevoked(bus.bench, installation, active);
    const wei = installation.as('person:wei');
    const pending = await wei.wait(asked.id, { until: isSettled, timeoutMs: REST_MS });
    await wei.approve(asked.id, pending.planDigest!);
    expect((await wei.wait(asked.id, { until: ({ state }) => state === 'active', timeoutMs: REST_MS })).state).toBe('active');
    expect(await marked(pending)).toBe(1);
    await wei.revoke(asked.id, 'enough');
    await isRevoked(bus.bench, installation, pending);
  });

  test('the ledger is deleted while a lease lasts: it ends on time; a sidecar whose journal is gone as well gives nothing', async (context) => {
    const installation = await start(context, 'no-ledger');
    const active = await activeGrant(bus.bench, installation, 'PT8S');
    rmSync(installation.paths.ledger, { recursive: true });
    await installation.sidecar.kill9();
    await isGoneOnTime(bus.bench, active);
    // The journal is there: every byte comes again from it.
    await installation.startSidecar();
    await isRevoked(bus.bench, installation, active);

    await installation.sidecar.kill9();
    for (const lost of [installation.paths.ledger, installation.paths.journal]) rmSync(lost, { recursive: true });
    await installation.startSidecar({ ready: false });
    const pipeline = installation.as('nhi:prod/ci-deployer');
    // The bus has more of this log than is here: nothing is recorded, and so nothing given, until it is restored.
    await expect(pipeline.request(deployGrant('PT10M'))).rejects.toMatchObject({ code: 'ledger-unwritable' });
    const [given] = await bus.bench.database.admin(`SELECT count(*)::int AS n FROM pg_auth_members WHERE member = 'ci_deployer'::regrole`);
    expect(given).toEqual({ n: 0 });
  });

  test('there is no room for reports: what is given is taken back all the same, and reported once there is', async (context) => {
    const installation = await start(context, 'full');
    const active = await activeGrant(bus.bench, installation, 'PT10M');
    await bus.manage(async (manager) => {
      const { state } = await manager.streams.info(STREAMS.results);
      await manager.streams.update(STREAMS.results, { max_bytes: state.bytes });
    });
    const wei = installation.as('person:wei');
    await wei.revoke(active.id, 'enough');
    await isGone(bus.bench, active);
    await until('the report has found no room', () => (installation.workers.some((worker) => logOf(installation, worker).includes('maximum bytes exceeded')) ? true : undefined), { timeoutMs: REST_MS });
    expect((await wei.get(active.id)).state).toBe('revoking');
    await setUp(installation);
    await isRevoked(bus.bench, installation, active);
    const after = await approvedGrant(installation, 'PT5S');
    expect((await wei.wait(after.id, { until: ({ state }) => state === 'revoked', timeoutMs: REST_MS })).state).toBe('revoked');
  });
});
