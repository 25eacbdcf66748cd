/**
 * `npm run bench:nats [-- COUNT]`: so many grants (40), one after another, from request to evidence, on a cluster of three servers that sync, a
 * PostgreSQL that syncs, a sidecar and two workers, each a process. Held against the floor: what of disk, bus and target is on that path and
 * cannot be left out, each measured by itself after every grant. docs/benchmarks.md says what is counted, and why.
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
import { measureTarget, rawBus, rawDisk } from './raw.ts';

const EXECUTOR = 'executor:bench';
/** Of each thing by itself, after every grant. */
const RAW_EACH = 5;
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

const asSidecar = ({ urls, seeds }: TestNats): Promise<NatsConnection> => connectNats({ servers: [...urls], authenticator: nkeyAuthenticator(new Uint8Array(Buffer.from(seeds.sidecar))) });

const bench = await openBench();
const nats = await testNats([EXECUTOR], 3);
try {
  const installation = bench.install('bench', { bus: { servers: nats.urls, seed: nats.seeds.sidecar, executorId: EXECUTOR, executorSeed: nats.seeds.executors.get(EXECUTOR)! } });
  const ran = await countersign(['nats', 'setup', '--replicas', '3', '--config', installation.paths.config]);
  if (ran.exitCode !== 0) throw new Error(ran.stderr);
  await Promise.all(installation.workers.map((worker) => worker.start()));
  await installation.startSidecar();
  await grant(installation);

  const [publisher, worker] = [await asSidecar(nats), await asSidecar(nats)];
  const [disk, bus] = [rawDisk(installation.paths.directory), await rawBus(publisher, worker)];
  const target = { read: [] as number[], apply: [] as number[], try: [] as number[] };
  const connectors = await openConnectors(await loadExecutorConfig(installation.workers[0]!.config));
  const runs: Awaited<ReturnType<typeof grant>>[] = [];
  for (let n = 0; n < count; n += 1) {
    const run = await grant(installation);
    runs.push(run);
    // By turns with what is held against it: what else the machine does slows both.
    await disk.measure(RAW_EACH);
    await bus.measure(RAW_EACH);
    await measureTarget(connectors.get('pg-main')!, run.change.plan!.steps[0]!, target);
  }
  for (const connector of connectors.values()) await connector.close();
  await disk.close();
  await bus.close();
  await publisher.close();
  await worker.close();

  // What the path waits for, one after another. What goes on beside something longer is not here: docs/benchmarks.md says what.
  const floor = [
    { what: 'ledger: write and fdatasync', times: 8, took: disk.took.sync },
    { what: 'lease book: write and fdatasync', times: 4, took: disk.took.sync },
    { what: 'bus: publish to the worker or sidecar that waits', times: 4, took: bus.took.hop },
    { what: 'bus: publish and its acknowledgement', times: 5, took: bus.took.ack },
    { what: 'bus: a claim, asked for', times: 1, took: bus.took.ask },
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
