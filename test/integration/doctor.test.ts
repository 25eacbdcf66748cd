/** What is proven of a bus before it is relied on, on real servers: set up as they should be, and each way in which they are not. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { jetstream, jetstreamManager } from '@nats-io/jetstream';
import { connect, headers, nanos, nkeyAuthenticator, type NatsConnection } from '@nats-io/transport-node';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Checked } from '../../src/doctor/check.ts';
import { systemClock } from '../../src/sidecar/system.ts';
import { act, API_PREFIX, arm, delivery, laneOf, result, revoke, STREAMS } from '../../src/transport/nats/bus-layout.ts';
import { checkClock, checkCopy, checkPayload, checkRoom, checkStreams, checkSync, checkVersion } from '../../src/transport/nats/bus-checks.ts';
import { probeDuties } from '../../src/transport/nats/bus-duties.ts';
import { probeWorker } from '../../src/transport/nats/bus-probes.ts';
import { planBus, setUpBus } from '../../src/transport/nats/bus-setup.ts';
import type { Claim } from '../../src/executor/claims.ts';
import { natsClaimBoard } from '../../src/transport/nats/claim-board.ts';
import { openBus, type Bus } from '../../src/transport/nats/connection.ts';
import { newBusUser, type BusUser } from '../../src/transport/nats/bus-user.ts';
import { inboxOf } from '../../src/transport/nats/server-config.ts';
import { until } from '../../examples/demo/check.ts';
import { makeInstallation } from '../support/installation.ts';
import { hasNats, testNats, type TestNats } from '../support/nats.ts';
import { openDesk } from '../support/world.ts';

const EXECUTOR = 'executor:pg-1';
const OTHER = 'executor:other';
const lane = laneOf(EXECUTOR);
const other = laneOf(OTHER);
const LOG = 'a'.repeat(16);
const TOKEN = 'b'.repeat(32);
const plan = planBus([EXECUTOR, OTHER], 1);
const as = (servers: readonly string[], seed: string, inboxPrefix = '_INBOX_test'): Promise<NatsConnection> =>
  connect({ servers: [...servers], authenticator: nkeyAuthenticator(new Uint8Array(Buffer.from(seed))), inboxPrefix });

describe.skipIf(!hasNats())('a bus', () => {
  let nats: TestNats;
  let sidecar: NatsConnection;
  let worker: NatsConnection;
  beforeAll(async () => {
    nats = await testNats([EXECUTOR, OTHER]);
    sidecar = await as(nats.urls, nats.seeds.sidecar);
    worker = await as(nats.urls, nats.seeds.executors.get(EXECUTOR)!, inboxOf(lane));
  });
  afterAll(async () => {
    await worker.close();
    await sidecar.close();
    await nats.close();
  });
  beforeEach(async () => {
    const manager = await jetstreamManager(sidecar);
    for (const name of Object.values(STREAMS)) await manager.streams.delete(name).catch(() => undefined);
    await setUpBus(sidecar, plan);
  });
  const messages = async (): Promise<Record<string, number>> => {
    const manager = await jetstreamManager(sidecar);
    const counted: Record<string, number> = {};
    for (const name of Object.values(STREAMS)) counted[name] = (await manager.streams.info(name)).state.messages;
    return counted;
  };

  test('as it should be passes every check, and is left as it was', async () => {
    const before = await messages();
    const checks: Checked[] = [
      checkVersion(sidecar), checkPayload(sidecar), await checkSync(nats.nodes.map(({ monitor }) => monitor), sidecar.info), await checkStreams(sidecar, plan), await checkRoom(sidecar), await checkClock(sidecar, () => Date.now()),
      await checkCopy(sidecar, LOG, () => Promise.resolve(null)),
      ...(await probeDuties({ worker, sidecar, lane, clock: systemClock, randomBytes })), ...(await probeWorker({ worker, sidecar, lane, otherLane: other, clock: systemClock, randomBytes })),
    ];
    expect(checks.filter(({ status }) => status !== 'ok')).toEqual([]);
    expect(checks.map(({ name }) => name)).toEqual(['server', 'payload', 'sync', 'streams', 'room', 'clock', 'copy', 'reach', 'permissions', 'headers', 'replies']);
    expect(await messages()).toEqual(before);
  });

  test('says what of its streams is missing or changed', async () => {
    const manager = await jetstreamManager(sidecar);
    await manager.streams.update(STREAMS.steps, { max_age: nanos(3_600_000) });
    await manager.streams.delete(STREAMS.ledger);
    expect(await checkStreams(sidecar, plan)).toMatchObject({ status: 'failed', message: 'CS_STEPS: max_age is 3600000000000, not 0; CS_LEDGER is not there' });
    expect(await checkStreams(sidecar, planBus([EXECUTOR, OTHER], 3))).toMatchObject({ status: 'failed', message: expect.stringContaining('num_replicas is 1, not 3') as string });
  });

  test('whose clock is another is told of', async () => {
    expect(await checkClock(sidecar, () => Date.now() - 60_000)).toMatchObject({ status: 'failed', message: expect.stringMatching(/^the clock of the server is (59|60)\d\d\d ms from this one$/) as string });
    expect(await checkClock(sidecar, () => Date.now() + 60_000)).toMatchObject({ status: 'failed' });
  });

  test.each([
    ['acknowledges before it syncs', '{"version":"2.15.1","jetstream":{"config":{}}}', 'failed'], ['is too old', '{"version":"2.14.9","jetstream":{"config":{"sync_always":true}}}', 'failed'],
    ['says nothing that can be read', 'hello', 'unknown'], ['does not say which it is', '{"version":"2.15.1","jetstream":{"config":{"sync_always":true}}}', 'unknown'],
  ])('that %s is not relied on', async (_what, varz, status) => {
    const monitor = createServer((_request, response) => response.end(varz));
    await new Promise<void>((resolve) => monitor.listen(0, '127.0.0.1', resolve));
    try {
      expect(await checkSync([`http://127.0.0.1:${(monitor.address() as AddressInfo).port}`], undefined)).toMatchObject({ name: 'sync', status });
    } finally {
      monitor.closeAllConnections();
      await new Promise((resolve) => monitor.close(resolve));
    }
  });

  test('without monitoring proves nothing of what it keeps', async () => {
    expect(await checkSync([], sidecar.info)).toMatchObject({ status: 'unknown' });
    expect(await checkSync([nats.nodes[0]!.monitor, 'http://127.0.0.1:9'], sidecar.info)).toMatchObject({ status: 'unknown' });
  });

  test('whose copy has more than the ledger, or was written by somebody else, is told of', async () => {
    await jetstream(sidecar).publish(`cs.ledger.${LOG}`, JSON.stringify({ checkpoint: null, first: 0, log: LOG, objects: [], records: ['{}', '{}'], v: 1 }));
    expect(await checkCopy(sidecar, LOG, () => Promise.resolve(1))).toMatchObject({ status: 'failed', message: 'the copy has 2 records, and the ledger 1' });
    expect(await checkCopy(sidecar, LOG, () => Promise.resolve(3))).toMatchObject({ status: 'ok', message: '2 of 3 records; the sidecar catches up while it runs' });
    await jetstream(sidecar).publish(`cs.ledger.${LOG}`, 'rubbish');
    expect(await checkCopy(sidecar, LOG, () => Promise.resolve(3))).toMatchObject({ status: 'failed' });
  });

  test('that does not let a worker do its work is told of, thing by thing', async () => {
    const told = async (by: NatsConnection): Promise<string[]> => (await probeDuties({ worker: by, sidecar, lane, clock: systemClock, randomBytes })).map(({ status, message }) => `${status} ${message.split(':')[0]!}`);
    // Another executor's worker may do none of it in this one's place.
    const stranger = await as(nats.urls, nats.seeds.executors.get(OTHER)!, inboxOf(other));
    try {
      expect(await told(stranger)).toEqual([
        'see its own queue of steps', 'pull steps', 'acknowledge steps', 'see its own queue of orders', 'pull orders', 'acknowledge orders', 'read claims', 'post claims', 'report', 'deliver',
        'answer sidecars', 'hear what became of its reports',
      ].map((what) => `failed it cannot ${what}`));
    } finally {
      await stranger.close();
    }
    const manager = await jetstreamManager(sidecar);
    await manager.consumers.delete(STREAMS.steps, `${lane}-revoke`);
    await manager.streams.delete(STREAMS.results);
    expect(await told(worker)).toEqual(['failed it cannot see its own queue of orders', 'failed it cannot pull orders', 'failed it cannot acknowledge orders', 'failed it cannot report']);
  });

  test('that one executor has nearly filled is told of, and whose it is', async () => {
    const manager = await jetstreamManager(sidecar);
    await manager.streams.update(STREAMS.results, { max_bytes: 4_096 });
    await jetstream(sidecar).publish(result(other, LOG, TOKEN), 'x');
    for (let n = 0; n < 2; n += 1) await jetstream(sidecar).publish(result(lane, LOG, String(n).padStart(32, '0')), 'x'.repeat(1_600));
    expect(await checkRoom(sidecar)).toMatchObject({ status: 'failed', message: expect.stringMatching(/^CS_RESULTS is 8\d % full, most of it by executor:pg-1$/) as string });
  });

  test('that is full of the claims of one executor takes no other, keeps each that is there, and lets it be changed', async () => {
    const manager = await jetstreamManager(sidecar);
    const openedAs = (id: string): Bus => openBus({ servers: nats.urls, seed: nats.seeds.executors.get(id)!, name: id, inboxPrefix: inboxOf(laneOf(id)), logger: { info: () => undefined, warn: () => undefined, error: () => undefined } });
    const [own, flooding] = [openedAs(EXECUTOR), openedAs(OTHER)];
    const given: Claim = { v: 1, worker: 'a'.repeat(16), state: 'given', untilMs: 0 };
    try {
      await until('both are connected', () => (own.isUp && flooding.isUp ? true : undefined), { timeoutMs: 20_000 });
      const board = natsClaimBoard(own, lane);
      const sequence = await board.post('lse_1', given, 0);
      await manager.streams.update(STREAMS.claims, { max_bytes: 16_384 });
      const flood = natsClaimBoard(flooding, other);
      let posted = 0;
      await expect((async () => {
        for (; posted < 1_000; posted += 1) await flood.post(`lse_${posted}`, given, 0);
      })()).rejects.toMatchObject({ code: 'unreachable' });
      expect(posted).toBeGreaterThan(10);
      await expect(board.post('lse_2', given, 0)).rejects.toMatchObject({ code: 'unreachable' });
      expect(await board.read('lse_1')).toEqual({ claim: given, sequence });
      const ended = await board.post('lse_1', { ...given, state: 'ended' }, sequence!);
      expect(await board.read('lse_1')).toEqual({ claim: { ...given, state: 'ended' }, sequence: ended });
      expect(await checkRoom(sidecar)).toMatchObject({ status: 'failed', message: expect.stringMatching(/^CS_CLAIMS is 9\d % full, most of it by executor:other$/) as string });
      // An order goes its way all the same: to arm one, and to send one.
      await jetstream(sidecar).publish(arm(lane, LOG, TOKEN), 'the order', { schedule: { specification: new Date(Date.now() + 3_600_000), target: revoke(lane, LOG, TOKEN) } });
      await jetstream(sidecar).publish(revoke(lane, LOG, TOKEN), 'the order');
    } finally {
      await own.close();
      await flooding.close();
    }
  });

  test('with a step on its way is tried without its being handed out or lost', async () => {
    await jetstream(sidecar).publish(act(lane, LOG, TOKEN), 'a step');
    expect(await probeDuties({ worker, sidecar, lane, clock: systemClock, randomBytes })).toMatchObject([{ name: 'reach', status: 'ok' }]);
    expect(await (await jetstreamManager(sidecar)).consumers.info(STREAMS.steps, `${lane}-act`)).toMatchObject({ num_pending: 1, num_ack_pending: 0, delivered: { consumer_seq: 0 }, num_waiting: 0 });
  });

  test('that takes schedules or roll-ups from workers is told of', async () => {
    const manager = await jetstreamManager(sidecar);
    await manager.streams.update(STREAMS.deliveries, { allow_rollup_hdrs: true });
    const checks = await probeWorker({ worker, sidecar, lane, otherLane: other, clock: systemClock, randomBytes });
    expect(checks.filter(({ status }) => status !== 'ok')).toMatchObject([{ name: 'headers', status: 'failed', message: `what ${lane} publishes can roll up` }]);
  });

  // The attacks of a worker on what is another's, one by one. `armed` must be there afterwards, and nothing else.
  describe('keeps an armed order of another executor, whatever a worker tries', () => {
    const victim = arm(other, LOG, TOKEN);
    const target = revoke(other, LOG, TOKEN);
    const withHeaders = (pairs: Readonly<Record<string, string>>): { headers: ReturnType<typeof headers> } => {
      const made = headers();
      for (const [name, value] of Object.entries(pairs)) made.set(name, value);
      return { headers: made };
    };
    const ownReport = result(lane, LOG, TOKEN);
    const attacks: readonly (readonly [string, (by: NatsConnection) => void])[] = [
      ['the reply of a report', (by) => by.publish(ownReport, 'x', { reply: victim })],
      ['the reply of a delivery', (by) => by.publish(delivery(lane, LOG, TOKEN), 'x', { reply: victim })],
      ['the reply of a claim', (by) => by.publish(`cs.claim.${lane}.lse_1`, 'x', { reply: victim })],
      ['the reply of what is said', (by) => by.publish(`cs.say.${lane}.all`, 'x', { reply: victim })],
      ['the reply of a pull', (by) => by.publish(`${API_PREFIX}.CONSUMER.MSG.NEXT.${STREAMS.steps}.${lane}-act`, '{"batch":1,"no_wait":true}', { reply: victim })],
      ['the reply of a pull, onto the subject where the order would come', (by) => by.publish(`${API_PREFIX}.CONSUMER.MSG.NEXT.${STREAMS.steps}.${lane}-act`, '{"batch":1,"no_wait":true}', { reply: target })],
      ['the reply of an acknowledgement', (by) => by.publish(`$JS.ACK.${STREAMS.steps}.${lane}-act.1.1.1.1.0`, '+NXT', { reply: victim })],
      ['a header that calls a schedule off', (by) => by.publish(ownReport, 'x', withHeaders({ 'Nats-Scheduler': victim, 'Nats-Schedule-Next': 'purge' }))],
      ['the same header, on a claim', (by) => by.publish(`cs.claim.${lane}.lse_1`, 'x', withHeaders({ 'Nats-Scheduler': victim, 'Nats-Schedule-Next': 'purge' }))],
      ['a schedule of its own for that subject', (by) => by.publish(ownReport, 'x', withHeaders({ 'Nats-Schedule': '@at 2099-01-01T00:00:00Z', 'Nats-Schedule-Target': target }))],
      ['a roll-up of everything', (by) => by.publish(ownReport, 'x', withHeaders({ 'Nats-Rollup': 'all' }))],
      ['a roll-up of the subject', (by) => by.publish(victim, 'x', withHeaders({ 'Nats-Rollup': 'sub' }))],
      ['a plain message on it', (by) => by.publish(victim, 'x')],
      ['a purge', (by) => by.publish(`$JS.API.STREAM.PURGE.${STREAMS.steps}`, '')],
      ['a purge by the other name', (by) => by.publish(`${API_PREFIX}.STREAM.PURGE.${STREAMS.steps}`, '')],
      ['a removal of the stream', (by) => by.publish(`$JS.API.STREAM.DELETE.${STREAMS.steps}`, '')],
      ['a consumer of its own', (by) => by.publish(`$JS.API.CONSUMER.CREATE.${STREAMS.steps}.mine`, JSON.stringify({ stream_name: STREAMS.steps, config: { name: 'mine', ack_policy: 'none', deliver_subject: `${inboxOf(lane)}.mine` } }))],
    ];
    test.each(attacks)('by %s', async (_what, attack) => {
      await jetstream(sidecar).publish(victim, 'the order', { schedule: { specification: new Date(Date.now() + 3_600_000), target } });
      // Something to be taken off its own queue, so that a pull has an answer to send.
      await jetstream(sidecar).publish(act(lane, LOG, TOKEN), 'a step');
      attack(worker);
      await worker.flush();
      // What it does on its own time is given that of a report which arrives.
      await jetstream(worker, { apiPrefix: API_PREFIX, checkAPI: false }).publish(result(lane, LOG, 'c'.repeat(32)), 'y');
      const manager = await jetstreamManager(sidecar);
      const { state } = await manager.streams.info(STREAMS.steps, { subjects_filter: '>' });
      expect(state.subjects).toEqual({ [victim]: 1, [act(lane, LOG, TOKEN)]: 1 });
      expect(Buffer.from((await manager.streams.getMessage(STREAMS.steps, { last_by_subj: victim }))!.data).toString()).toBe('the order');
      expect((await manager.consumers.list(STREAMS.steps).next()).map(({ name }) => name).sort()).toEqual([`${other}-act`, `${other}-revoke`, `${lane}-act`, `${lane}-revoke`].sort());
    });
  });

  describe('of one account for all', () => {
    let directory: string;
    let server: ChildProcess;
    let boss: NatsConnection;
    let insider: NatsConnection;
    const users: Readonly<Record<'sidecar' | 'worker', BusUser>> = { sidecar: newBusUser(), worker: newBusUser() };
    // The payload is that of before headers were counted.
    beforeAll(async () => {
      directory = await mkdtemp(join(tmpdir(), 'countersign-shared-'));
      const config = join(directory, 'shared.conf');
      // What the workers of a lane need, in the account of the sidecars: what `nats accounts` exists to avoid.
      await writeFile(config, [
        'listen: "127.0.0.1:-1"', `ports_file_dir: "${directory}"`, 'max_payload: 2097152', 'jetstream {', `  store_dir: "${join(directory, 'store')}"`, '}',
        `accounts { CS { jetstream: enabled, users: [{nkey: ${users.sidecar.publicKey}}, {nkey: ${users.worker.publicKey}}] } }`, '',
      ].join('\n'));
      server = spawn('nats-server', ['-c', config], { stdio: 'ignore' });
      const url = await portOf(directory, server);
      boss = await as([url], users.sidecar.seed);
      insider = await as([url], users.worker.seed, inboxOf(lane));
      await until('JetStream is there', () => setUpBus(boss, plan).then(() => true, () => undefined), { timeoutMs: 20_000 });
    });
    afterAll(async () => {
      await insider.close();
      await boss.close();
      const gone = new Promise((resolve) => server.once('exit', resolve));
      server.kill('SIGKILL');
      await gone;
      await rm(directory, { recursive: true, force: true });
    });

    test('whose messages are too small is told of, by doctor and to whoever connects', async () => {
      expect(checkPayload(boss)).toMatchObject({ name: 'payload', status: 'failed', message: 'the server takes no message of more than 2097152 bytes: large steps and reports would be refused' });
      const said: string[] = [];
      const logger = { info: () => undefined, warn: () => undefined, error: (_fields: object, message: string) => said.push(message) };
      const bus = openBus({ servers: [boss.getServer()], seed: users.worker.seed, name: 'worker', inboxPrefix: inboxOf(lane), logger });
      try {
        await until('it is connected', () => (bus.isUp ? true : undefined), { timeoutMs: 20_000 });
        expect(said).toEqual([expect.stringContaining('the bus refuses large messages')]);
      } finally {
        await bus.close();
      }
    });

    test('fails the checks of permissions and replies, and nothing of the trying is left', async () => {
      const checks = await probeWorker({ worker: insider, sidecar: boss, lane, otherLane: other, clock: systemClock, randomBytes });
      const wrong = checks.filter(({ status }) => status === 'failed').map(({ name, message }) => `${name}: ${message}`);
      expect(wrong).toContain('permissions: it can touch armed orders of another executor');
      expect(wrong).toContain('permissions: it can purge orders ($JS.API)');
      expect(wrong).toContain('permissions: it can make a consumer ($JS.API)');
      expect(wrong).toContain("permissions: it can see another executor's queue ($JS.API)");
      expect(wrong).toContain('permissions: it can write copies of ledgers');
      expect(wrong).toContain(`replies: the acknowledgement of what ${lane} publishes lands on another executor's orders: it can disarm them`);
      const manager = await jetstreamManager(boss);
      for (const name of [STREAMS.steps, STREAMS.deliveries, STREAMS.ledger]) expect((await manager.streams.info(name)).state.messages, name).toBe(0);
    });
  });
});

test('a bus that nobody reaches is a failed check, and what to do is said', async () => {
  const installation = await makeInstallation();
  const desk = openDesk();
  try {
    await installation.write('nats.seed', `${newBusUser().seed}\n`);
    await installation.write('countersign.yaml', `${await readFile(installation.configPath, 'utf8')}nats: {servers: ['nats://127.0.0.1:9'], seed: nats.seed}\n`);
    const { exit, stdout } = await desk.run('doctor', '--config', installation.configPath);
    expect(exit).toBe(1);
    expect(stdout).toContain('FAILED  bus           no server of nats://127.0.0.1:9 lets us in\n                      → is a nats-server running there');
    expect(stdout).toContain('unknown sync');
    expect((await desk.run('doctor', '--config', installation.configPath, '--monitor', 'file:///etc/passwd')).exit).toBe(2);
  } finally {
    desk.remove();
    await installation.remove();
  }
});

/** Where a server that chose its port listens: it says so in a file. */
function portOf(directory: string, server: ChildProcess): Promise<string> {
  return until('the server says where it listens', async () => {
    if (server.exitCode !== null) throw new Error('nats-server did not start');
    const file = (await readdir(directory)).find((name) => name.endsWith('.ports'));
    const text = file === undefined ? '' : await readFile(join(directory, file), 'utf8');
    return text === '' ? undefined : (JSON.parse(text) as { nats: string[] }).nats[0];
  }, { timeoutMs: 20_000 });
}
