/**
 * `npm run bench:nats [-- COUNT]`: so many grants (40), one after another, from request to evidence, on a cluster of three servers that sync, a
 * PostgreSQL that syncs, a sidecar and two workers, each a process. Held against the floor: what of disk, bus and target is on that path and
 * cannot be left out, each measured by itself in the same run. docs/benchmarks.md says what is counted, and why.
 */
import { connect as connectNats, nkeyAuthenticator, type NatsConnection } from '@nats-io/transport-node';
import { onApp } from '../../examples/demo/cases/story.ts';
import type { Installation } from '../../examples/demo/installation.ts';
import type { ChangeView } from '../../src/client/index.ts';
import { loadExecutorConfig } from '../../src/executor/config.ts';
import { openConnectors } from '../../src/executor/prepare.ts';
import { countersign, openBench } from '../e2e/support/bench.ts';
import { quantile } from '../support/arms.ts';
import { testNats, type TestNats } from '../support/nats.ts';
import { rawBus, rawSync, timed } from './raw.ts';

const EXECUTOR = 'executor:bench';
const RAW_COUNT = 300;
const REST_MS = 60_000;

const count = Number(process.argv[2] ?? 40);
const say = (text = ''): void => void process.stdout.write(`${text}\n`);
const ms = (value: number): string => value.toFixed(2).padStart(8);

/** One grant, from its request until it is in force and on record; then, unmeasured, taken back. */
async function grant(installation: Installation): Promise<{ readonly askedMs: number; readonly givenMs: number; readonly change: ChangeView }> {
  const [pipeline, owner] = [installation.as('nhi:prod/ci-deployer'), installation.as('person:wei')];
  const startMs = performance.now();
  const { id } = await pipeline.request({ kind: 'grant', subject: 'nhi:prod/ci-deployer', purpose: 'deploy-orders', reason: 'bench', duration: 'PT10M', entitlements: onApp('role:deploy') });
  const asked = await pipeline.wait(id, { until: ({ state }) => state === 'pending', timeoutMs: REST_MS });
  const askedMs = performance.now() - startMs;
  await owner.approve(id, asked.planDigest!);
  const change = await pipeline.wait(id, { until: ({ state }) => state === 'active', timeoutMs: REST_MS });
  if (change.state !== 'active') throw new Error(`${id} is ${change.state}`);
  const givenMs = performance.now() - startMs - askedMs;
  await owner.revoke(id, 'bench');
  const revoked = await owner.wait(id, { until: ({ state }) => state === 'revoked', timeoutMs: REST_MS });
  if (revoked.state !== 'revoked') throw new Error(`${id} is ${revoked.state}`);
  return { askedMs, givenMs, change };
}

/** What the connector itself takes for each call that a worker makes, on the account and step of a change that is over. */
async function rawTarget(configPath: string, change: ChangeView): Promise<Readonly<Record<'read' | 'apply' | 'try', number[]>>> {
  const connectors = await openConnectors(await loadExecutorConfig(configPath));
  const connector = connectors.get('pg-main')!;
  const step = change.plan!.steps[0]!;
  const { signal } = new AbortController();
  const { stepId: _, ...query } = step;
  const took = { read: [] as number[], apply: [] as number[], try: [] as number[] };
  try {
    for (let n = 0; n < 50; n += 1) {
      took.read.push(...(await timed(1, () => connector.read(query, signal))));
      took.apply.push(...(await timed(1, () => connector.apply({ step, validUntil: null, secret: null, endSessions: false, signal }))));
      took.try.push(...(await timed(1, () => connector.tryUse(step, null, signal))));
      await connector.revoke({ ...step, action: 'grant' }, signal);
    }
  } finally {
    await connector.close();
  }
  return took;
}

const asSidecar = ({ urls, seeds }: TestNats): Promise<NatsConnection> => connectNats({ servers: [...urls], authenticator: nkeyAuthenticator(new Uint8Array(Buffer.from(seeds.sidecar))) });

const bench = await openBench();
const nats = await testNats([EXECUTOR], 3);
try {
  const installation = bench.install('bench', { bus: { servers: nats.urls, seed: nats.seeds.sidecar, executorId: EXECUTOR, executorSeed: nats.seeds.executors.get(EXECUTOR)! } });
  const ran = await countersign(['nats', 'setup', '--replicas', '3', '--config', installation.paths.config]);
  if (ran.exitCode !== 0) throw new Error(ran.stderr);
  await Promise.all(installation.workers.map((worker) => worker.start()));
  await installation.startSidecar();
  const last = await grant(installation);

  const runs: Awaited<ReturnType<typeof grant>>[] = [];
  for (let n = 0; n < count; n += 1) runs.push(await grant(installation));
  const [publisher, worker] = [await asSidecar(nats), await asSidecar(nats)];
  const sync = await rawSync(installation.paths.directory, RAW_COUNT);
  const bus = await rawBus(publisher, worker, RAW_COUNT);
  await publisher.close();
  await worker.close();
  const target = await rawTarget(installation.workers[0]!.config, last.change);

  // Each is on the path: what it waits for is before it, what waits for it after.
  const floor = [
    { what: 'ledger: write and fdatasync', times: 9, took: sync },
    { what: 'lease book: write and fdatasync', times: 4, took: sync },
    { what: 'bus: publish to the worker or sidecar that waits', times: 4, took: bus.hop },
    { what: 'bus: publish and its acknowledgement', times: 3, took: bus.ack },
    { what: 'bus: a claim, asked for', times: 2, took: bus.ask },
    { what: 'target: read', times: 3, took: target.read },
    { what: 'target: apply', times: 1, took: target.apply },
    { what: 'target: try', times: 1, took: target.try },
  ];
  say(`the floor, ms                                       times   p50 each   p50 all`);
  for (const { what, times, took } of floor) say(`  ${what.padEnd(48)} ${String(times).padStart(5)}   ${ms(quantile(took, 0.5))}  ${ms(times * quantile(took, 0.5))}`);
  const floorMs = floor.reduce((sum, { times, took }) => sum + times * quantile(took, 0.5), 0);
  const whole = runs.map(({ askedMs, givenMs }) => askedMs + givenMs);
  say(`  ${'together'.padEnd(48)} ${' '.repeat(5)}   ${' '.repeat(8)}  ${ms(floorMs)}`);
  say();
  say(`${count} grants, ms                 p50        p99`);
  for (const [what, values] of [['request to pending', runs.map(({ askedMs }) => askedMs)], ['approval to active', runs.map(({ givenMs }) => givenMs)], ['together', whole]] as const) {
    say(`  ${what.padEnd(22)} ${ms(quantile(values, 0.5))}   ${ms(quantile(values, 0.99))}`);
  }
  say();
  say(`p50 is ${(quantile(whole, 0.5) / floorMs).toFixed(2)} times the floor`);
} finally {
  await bench.close();
  await nats.close();
}
