/**
 * Many orders, armed by a sidecar's end of the bus and carried out by a worker's, then let go as spent: when each came, and what the servers
 * weighed meanwhile.
 */
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { jetstreamManager } from '@nats-io/jetstream';
import { connect, nkeyAuthenticator, type NatsConnection } from '@nats-io/transport-node';
import { until } from '../../examples/demo/check.ts';
import { leaseIdOf } from '../../src/change/derive.ts';
import { newChangeId } from '../../src/engine/ids.ts';
import type { Clock } from '../../src/engine/ports.ts';
import { payloadDigest, readPayload } from '../../src/protocol/dsse.ts';
import { revokeOrderSchema, type Dsse } from '../../src/protocol/signed.ts';
import { formatTime, parseTime } from '../../src/protocol/values.ts';
import { workerKnows } from '../../src/protocol/worker-knows.ts';
import { laneOf, STREAMS, subjectTokens } from '../../src/transport/nats/bus-layout.ts';
import { planBus, setUpBus } from '../../src/transport/nats/bus-setup.ts';
import { openBus } from '../../src/transport/nats/connection.ts';
import { natsOutbox } from '../../src/transport/nats/outbox.ts';
import { publishedSteps } from '../../src/transport/nats/published-steps.ts';
import { listenNats } from '../../src/transport/nats/executor-end.ts';
import { inboxOf } from '../../src/transport/nats/server-config.ts';
import { connectNats } from '../../src/transport/nats/sidecar-end.ts';
import { makeStep } from './envelopes.ts';
import type { TestNats } from './nats.ts';
import { EXECUTOR, keys, logId, sign } from './story.ts';

export interface Fired {
  /** By order: how often it came. */
  readonly times: readonly number[];
  /** By order: how long after it was due it came first, in ms. */
  readonly lateMs: readonly number[];
  /** Orders armed in a second. */
  readonly armedPerSecond: number;
  /** Messages that the stream still held when what was spent should have been taken off it. */
  readonly left: number;
  /** Of all servers together, in bytes: before anything was armed, with everything armed, and when each tenth had fired. */
  readonly rss: { readonly before: number; readonly armed: number; readonly tenths: readonly number[] };
}

export interface ArmsOptions {
  readonly nats: TestNats;
  readonly count: number;
  /** They are due evenly within so long, from when all are armed on. */
  readonly windowMs: number;
  /** How long arming may take. */
  readonly armingMs: number;
}

const AT_A_TIME = 64;
/** How long the last may take to come. */
const LATEST_MS = 30_000;
/** How long it is watched whether one comes a second time. */
const QUIET_MS = 3_000;

const clock: Clock = {
  nowMs: () => Date.now(),
  after(delayMs, callback) {
    const timer = setTimeout(callback, delayMs);
    return () => clearTimeout(timer);
  },
};
const logger = { info: () => undefined, warn: () => undefined, error: () => undefined };

export async function fireArms({ nats, count, windowMs, armingMs }: ArmsOptions): Promise<Fired> {
  await setUp(nats);
  const startMs = Date.now() + armingMs;
  const orders = Array.from({ length: count }, (_, index) => orderDue(startMs + Math.floor((index * windowMs) / count)));
  const indexOf = new Map(orders.map((order, index) => [payloadDigest(order), index]));
  const times = new Array<number>(count).fill(0);
  const lateMs = new Array<number>(count).fill(Number.NaN);
  let arrived = 0;
  const came = (order: Dsse): void => {
    // What was carried out is on record a moment later, and from then on nobody is owed the order.
    outbox.spent({ audience: EXECUTOR, order });
    const index = indexOf.get(payloadDigest(order))!;
    if (times[index] === 0) {
      lateMs[index] = Date.now() - parseTime(readPayload(order, revokeOrderSchema).notBefore);
      arrived += 1;
    }
    times[index] = times[index]! + 1;
  };

  const executorSeed = nats.seeds.executors.get(EXECUTOR)!;
  const listener = listenNats({
    executorId: EXECUTOR, clock, logger,
    bus: openBus({ servers: nats.urls, seed: executorSeed, name: 'worker', inboxPrefix: inboxOf(laneOf(EXECUTOR)), logger }),
    worker: {
      arm: () => Promise.resolve(), step: () => Promise.resolve({ accepted: true }), connected: () => undefined, carriedOut: () => Promise.resolve(), tellEnds: () => Promise.resolve(),
      revoke: (order) => Promise.resolve(came(order)), lock: () => Promise.resolve(), locks: () => [], state: () => ({ run: randomBytes(8).toString('hex') }), knows: () => workerKnows('0'.repeat(16), []), setAside: () => undefined,
    },
  });
  const common = { log: logId, executors: [EXECUTOR], tokens: subjectTokens(keys.ticket), clock, logger, bus: openBus({ servers: nats.urls, seed: nats.seeds.sidecar, name: 'sidecar', inboxPrefix: '_INBOX_sidecar', logger }) };
  const sidecar = connectNats(common);
  const outbox = natsOutbox({ ...common, published: publishedSteps() });
  try {
    await until('both ends are on the bus', () => (sidecar.isConnected(EXECUTOR) ? true : undefined), { timeoutMs: LATEST_MS });
    const before = rssOf(nats);
    const armingStartMs = Date.now();
    await atATime(orders, (order) => sidecar.arm(EXECUTOR, order));
    const armedInMs = Date.now() - armingStartMs;
    if (Date.now() > startMs) throw new Error(`arming took ${armedInMs} ms, and some were due meanwhile`);
    const armed = rssOf(nats);
    const tenths: number[] = [];
    await until('every order has come', () => {
      while (arrived * 10 >= (tenths.length + 1) * count) tenths.push(rssOf(nats));
      return arrived === count ? true : undefined;
    }, { timeoutMs: armingMs + windowMs + LATEST_MS, everyMs: 100 });
    const quietMs = Date.now() + QUIET_MS;
    await until('nothing more comes', () => (Date.now() > quietMs ? true : undefined), { timeoutMs: 2 * QUIET_MS, everyMs: 100 });
    const left = await leftIn(nats);
    return { times, lateMs, left, armedPerSecond: Math.round((count * 1000) / armedInMs), rss: { before, armed, tenths } };
  } finally {
    outbox.close();
    await sidecar.close();
    await listener.close();
  }
}

const asAdmin = (nats: TestNats): Promise<NatsConnection> => connect({ servers: [...nats.urls], authenticator: nkeyAuthenticator(new Uint8Array(Buffer.from(nats.seeds.sidecar))) });

/** How many messages there are once there are none, or once that has taken too long. */
async function leftIn(nats: TestNats): Promise<number> {
  const admin = await asAdmin(nats);
  try {
    const manager = await jetstreamManager(admin);
    const count = async (): Promise<number> => (await manager.streams.info(STREAMS.steps)).state.messages;
    await until('nothing is left', async () => ((await count()) === 0 ? true : undefined), { timeoutMs: LATEST_MS, everyMs: 100 }).catch(() => undefined);
    return await count();
  } finally {
    await admin.close();
  }
}

async function setUp(nats: TestNats): Promise<void> {
  const admin = await asAdmin(nats);
  try {
    await setUpBus(admin, planBus([EXECUTOR], nats.nodes.length === 3 ? 3 : 1));
  } finally {
    await admin.close();
  }
}

const template = makeStep().orderContent!;

function orderDue(atMs: number): Dsse {
  const changeId = newChangeId(logId, atMs, (length) => randomBytes(length));
  return sign.order({ ...template, changeId, leaseId: leaseIdOf(changeId), notBefore: formatTime(atMs) });
}

async function atATime<T>(all: readonly T[], act: (one: T) => Promise<void>): Promise<void> {
  const rest = all.values();
  await Promise.all(Array.from({ length: AT_A_TIME }, async () => {
    for (const one of rest) await act(one);
  }));
}

/** What all servers have in memory, in bytes; 0 where the system does not say. */
function rssOf({ nodes }: TestNats): number {
  return nodes.reduce((sum, { pid }) => {
    try {
      return sum + Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) * 1024;
    } catch {
      return sum;
    }
  }, 0);
}

/** The value that `share` (0 to 1) of the values do not exceed. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)]!;
}
