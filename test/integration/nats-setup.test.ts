/** Setting up a bus, with the commands that an operator has, on real servers: one, three, and one that has too little room. */
import { readFile } from 'node:fs/promises';
import { DiscardPolicy, jetstreamManager, type JetStreamManager } from '@nats-io/jetstream';
import { connect, nanos, nkeyAuthenticator, type NatsConnection } from '@nats-io/transport-node';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { laneOf, STREAMS } from '../../src/transport/nats/bus-layout.ts';
import { newBusUser } from '../../src/transport/nats/bus-user.ts';
import { formatAccounts } from '../../src/transport/nats/server-config.ts';
import { EXECUTOR_ID, makeInstallation, type Installation } from '../support/installation.ts';
import { hasNats, loneNats, testNats, type TestNats } from '../support/nats.ts';
import { openDesk, type Ran } from '../support/world.ts';

const lane = laneOf(EXECUTOR_ID);
const GIB = 1024 ** 3;

interface Operator {
  readonly installation: Installation;
  countersign(...argv: string[]): Promise<Ran>;
  remove(): Promise<void>;
}

/** An installation whose executor is reached over that bus, and its operator. */
async function operatorOf(servers: readonly string[], seed: string): Promise<Operator> {
  const installation = await makeInstallation();
  const desk = openDesk();
  await installation.write('nats.seed', `${seed}\n`);
  const text = (await readFile(installation.configPath, 'utf8')).replace(', socket: pg-1.sock', '');
  await installation.write('countersign.yaml', `${text}nats: {servers: [${servers.map((url) => `'${url}'`).join(', ')}], seed: nats.seed}\n`);
  return {
    installation,
    countersign: (...argv) => desk.run(...argv, '--config', installation.configPath),
    async remove() {
      desk.remove();
      await installation.remove();
    },
  };
}

const as = (servers: readonly string[], seed: string): Promise<NatsConnection> =>
  connect({ servers: [...servers], authenticator: nkeyAuthenticator(new Uint8Array(Buffer.from(seed))), inboxPrefix: '_INBOX_test' });

const streamsLine = ({ stdout }: Ran): string => /^\S+ +streams +.*\n(?: +→.*\n)?/m.exec(stdout)![0];

let nats: TestNats;
let operator: Operator;
let connection: NatsConnection;
let manager: JetStreamManager;
/** A bus with so many servers for the tests of this block, and an operator who sets it up. */
function startBefore(servers: 1 | 3): void {
  beforeAll(async () => {
    nats = await testNats([EXECUTOR_ID], servers);
    operator = await operatorOf(nats.urls, nats.seeds.sidecar);
    connection = await as(nats.urls, nats.seeds.sidecar);
    manager = await jetstreamManager(connection);
  });
  afterAll(async () => {
    await connection.close();
    await operator.remove();
    await nats.close();
  });
}

describe.skipIf(!hasNats())('a cluster of three', () => {
  startBefore(3);
  const replicas = async (name: string): Promise<number> => (await manager.streams.info(name)).config.num_replicas;

  test('keeps three copies of everything unless somebody says otherwise, and doctor says what to type', async () => {
    expect((await operator.countersign('nats', 'setup')).exit).toBe(0);
    for (const name of Object.values(STREAMS)) expect(await replicas(name), name).toBe(3);
    expect((await operator.countersign('nats', 'setup')).stdout).toBe('as it must be\n');

    expect((await operator.countersign('nats', 'setup', '--replicas', '1')).stdout).toContain('update CS_STEPS\n  num_replicas: 3 → 1\n');
    expect(await replicas(STREAMS.steps)).toBe(1);
    const told = streamsLine(await operator.countersign('doctor'));
    expect(told).toMatch(/^FAILED {2}streams .*CS_STEPS: num_replicas is 1, not 3/);
    expect(told).toContain('→ countersign nats setup   brings');
    expect(streamsLine(await operator.countersign('doctor', '--replicas', '1'))).toMatch(/^ok {6}streams/);

    expect((await operator.countersign('nats', 'setup')).stdout).toContain('update CS_STEPS\n  num_replicas: 1 → 3\n');
    expect(streamsLine(await operator.countersign('doctor'))).toMatch(/^ok {6}streams/);
    expect(streamsLine(await operator.countersign('doctor', '--replicas', '1'))).toContain('→ countersign nats setup --replicas 1   brings');
  });

  test('is proven to sync by all of its servers, each once, and by no other', async () => {
    const monitors = nats.nodes.map(({ monitor }) => monitor);
    const said = async (...given: string[]): Promise<readonly [number, string]> => {
      const { exit, stdout } = await operator.countersign('doctor', ...given.flatMap((url) => ['--monitor', url]));
      return [exit, /^\S+ +sync +.*$/m.exec(stdout)![0]];
    };
    await operator.countersign('nats', 'setup');
    expect(await said(...monitors)).toEqual([0, 'ok      sync          all 3 servers sync before acknowledging']);
    expect(await said(monitors[0]!)).toEqual([3, 'unknown sync          1 of 3 servers of the cluster syncs before acknowledging; the others were not asked']);
    expect(await said(monitors[0]!, monitors[0]!, monitors[0]!)).toEqual([3, 'unknown sync          1 of 3 servers of the cluster syncs before acknowledging; the others were not asked']);
    const stranger = await testNats([EXECUTOR_ID]);
    try {
      expect(await said(...monitors, stranger.nodes[0]!.monitor)).toEqual([3, `unknown sync          ${stranger.nodes[0]!.monitor} is the monitoring of another bus`]);
    } finally {
      await stranger.close();
    }
  });
});

describe.skipIf(!hasNats())('a server that is alone', () => {
  startBefore(1);
  afterEach(async () => {
    for (const name of [...Object.values(STREAMS), 'ELSEWHERE']) await manager.streams.delete(name).catch(() => undefined);
  });
  const setUp = async (): Promise<void> => expect((await operator.countersign('nats', 'setup')).exit).toBe(0);

  test('cannot keep three copies, and is not asked to', async () => {
    expect(await operator.countersign('nats', 'setup', '--replicas', '3')).toMatchObject({ exit: 2, stderr: expect.stringMatching(/^error \(usage\): --replicas 3 takes a cluster of three, and 127\.0\.0\.1:\d+ is alone\nNothing was done\.\n/) as string });
    expect(await manager.streams.names().next()).toEqual([]);
  });

  test('is compared without being changed, and whether there was anything is the exit code', async () => {
    expect(await operator.countersign('nats', 'setup', '--diff')).toMatchObject({ exit: 1, stdout: expect.stringContaining(`CS_STEPS: is not there\n`) as string });
    expect(await manager.streams.names().next()).toEqual([]);
    await setUp();
    expect(await operator.countersign('nats', 'setup', '--diff')).toMatchObject({ exit: 0, stdout: 'as it must be\n' });
    await manager.streams.update(STREAMS.steps, { max_age: nanos(3_600_000) });
    await manager.consumers.update(STREAMS.steps, `${lane}-act`, { max_deliver: 3 });
    const differences = [{ what: STREAMS.steps, change: 'update', fields: [{ field: 'max_age', is: 3_600_000_000_000, must: 0 }] }, { what: `${STREAMS.steps}/${lane}-act`, change: 'update', fields: [{ field: 'max_deliver', is: 3, must: -1 }] }];
    for (let n = 0; n < 2; n += 1) {
      const { exit, stdout } = await operator.countersign('nats', 'setup', '--diff', '--json');
      expect([exit, JSON.parse(stdout)]).toEqual([1, { differences, done: false }]);
    }
    expect((await operator.countersign('nats', 'setup', '--diff')).stdout).toBe(`CS_STEPS: max_age: 3600000000000 → 0\nCS_STEPS/${lane}-act: max_deliver: 3 → -1\n`);
    expect(await operator.countersign('nats', 'setup', '--dry-run')).toMatchObject({ exit: 0, stdout: expect.stringContaining('would update CS_STEPS\n') as string });
  });

  const OUTSIDE = { name: 'ELSEWHERE', subjects: ['elsewhere.>'] };
  test.each([
    ['republish', STREAMS.steps, { republish: { src: '>', dest: 'copy.>' } }],
    ['subject_transform', STREAMS.steps, { subject_transform: { src: 'cs.step.>', dest: 'moved.>' } }],
    ['sources', STREAMS.results, { sources: [{ name: 'ELSEWHERE' }] }],
    ['no_ack', STREAMS.ledger, { no_ack: true }],
  ])('whose streams have %s is told of, and set right', async (field, stream, config) => {
    await setUp();
    await manager.streams.add(OUTSIDE);
    await manager.streams.update(stream, config);
    expect(streamsLine(await operator.countersign('doctor'))).toMatch(new RegExp(`^FAILED  streams .*${stream}: ${field} is `));
    await setUp();
    expect(streamsLine(await operator.countersign('doctor'))).toMatch(/^ok {6}streams/);
  });

  test('whose stream of steps is the mirror of another is told of, and set right', async () => {
    await setUp();
    await manager.streams.delete(STREAMS.steps);
    await manager.streams.add(OUTSIDE);
    await manager.streams.add({ name: STREAMS.steps, mirror: { name: 'ELSEWHERE' } });
    expect(streamsLine(await operator.countersign('doctor'))).toMatch(/^FAILED {2}streams .*CS_STEPS: .*mirror is \{"name":"ELSEWHERE"\}, not null/);
    const { exit, stderr } = await operator.countersign('nats', 'setup');
    expect([exit, stderr]).toEqual([0, '']);
    expect(streamsLine(await operator.countersign('doctor'))).toMatch(/^ok {6}streams/);
  });

  test('that acknowledges steps before it keeps them is told of; what cannot be mended is said, and the rest is mended', async () => {
    await setUp();
    await manager.streams.delete(STREAMS.steps);
    await manager.streams.add({ name: STREAMS.steps, subjects: ['cs.arm.>', 'cs.step.>'], allow_msg_schedules: true, persist_mode: 'async', max_age: nanos(3_600_000) });
    const told = streamsLine(await operator.countersign('doctor'));
    expect(told).toMatch(/^FAILED {2}streams .*persist_mode is "async", not null/);
    expect(told).toContain('→ CS_STEPS.persist_mode cannot be changed: take the stream away');
    const ran = await operator.countersign('nats', 'setup');
    expect(ran.exit).toBe(4);
    expect(ran.stderr).toContain('error (bus-refused): CS_STEPS: CS_STEPS.persist_mode cannot be changed of a stream that is there\n');
    const { config } = await manager.streams.info(STREAMS.steps);
    expect(config.max_age).toBe(0);
    expect((await manager.consumers.list(STREAMS.steps).next()).length).toBe(2);
  });

  test('whose orders are paused is told of, and goes on handing them out', async () => {
    await setUp();
    const consumer = `${lane}-revoke`;
    await manager.consumers.pause(STREAMS.steps, consumer, new Date(Date.now() + 3_600_000));
    expect(streamsLine(await operator.countersign('doctor'))).toMatch(new RegExp(`^FAILED  streams .*CS_STEPS/${consumer}: paused is true, not false`));
    expect((await operator.countersign('nats', 'setup')).stdout).toBe(`update CS_STEPS/${consumer}\n  paused: true → false\n`);
    expect((await manager.consumers.info(STREAMS.steps, consumer)).paused ?? false).toBe(false);
    expect(streamsLine(await operator.countersign('doctor'))).toMatch(/^ok {6}streams/);
  });

  test('room for reports is what was chosen, and stays so', async () => {
    const room = async (): Promise<number> => (await manager.streams.info(STREAMS.results)).config.max_bytes;
    await setUp();
    expect(await room()).toBe(4 * GIB);
    expect((await operator.countersign('nats', 'setup', '--results-max', '2GiB')).exit).toBe(0);
    expect(await room()).toBe(2 * GIB);
    expect((await operator.countersign('nats', 'setup')).stdout).toBe('as it must be\n');
    expect(streamsLine(await operator.countersign('doctor'))).toMatch(/^ok {6}streams/);
    await manager.streams.update(STREAMS.results, { max_bytes: 1024 });
    expect(streamsLine(await operator.countersign('doctor'))).toMatch(/^FAILED {2}streams .*max_bytes is 1024/);
    for (const size of ['2', '2GB', '0GiB', '63MiB', '-1GiB']) expect((await operator.countersign('nats', 'setup', `--results-max=${size}`)).exit, size).toBe(2);
  });

  test('takes no claim that is larger than a claim, and none in place of another', async () => {
    await setUp();
    // As it was set up before.
    await manager.streams.update(STREAMS.claims, { discard: DiscardPolicy.Old, max_bytes: -1, max_msg_size: 2_097_152 });
    await setUp();
    expect((await manager.streams.info(STREAMS.claims)).config).toMatchObject({ max_msg_size: 2_048, max_msgs_per_subject: 1, max_age: 0, max_msgs: -1, discard: 'new' });
  });
});

describe.skipIf(!hasNats())('a server with little room', () => {
  test('makes what it can, says what it could not and why, and does the rest with less', async () => {
    const sidecar = newBusUser();
    const accounts = formatAccounts({ sidecars: [sidecar.publicKey], executors: new Map([[EXECUTOR_ID, [newBusUser().publicKey]]]) });
    const lone = await loneNats(['jetstream { store_dir: "STORE", max_file_store: 3GB, sync_interval: always }', accounts]);
    const operator = await operatorOf([lone.url], sidecar.seed);
    try {
      const ran = await operator.countersign('nats', 'setup');
      expect(ran.exit).toBe(4);
      expect(ran.stderr).toContain('error (bus-refused): CS_RESULTS: it reserves 4 GiB, which the server does not have for it (insufficient storage resources available)\n');
      expect(ran.stderr).toContain('Made or changed: CS_STEPS, CS_DELIVERY, CS_EVENTS, CS_CLAIMS, CS_LEDGER, CS_LOCKS, CS_STEPS/');
      expect(ran.stderr).toContain('As it was: CS_RESULTS.\nnext: give JetStream of every server more room');
      expect((await operator.countersign('nats', 'setup', '--results-max', '1GiB')).stdout).toBe('create CS_RESULTS\n');
      expect((await operator.countersign('nats', 'setup', '--diff')).exit).toBe(0);
    } finally {
      await operator.remove();
      await lone.close();
    }
  });
});

test('accounts are printed for several sidecars, and for keys that are each one user of one account', async () => {
  const operator = await operatorOf(['nats://127.0.0.1:9'], newBusUser().seed);
  const [worker, other, second] = [newBusUser().publicKey, newBusUser().publicKey, newBusUser().publicKey];
  const accounts = (...more: string[]): Promise<Ran> => operator.countersign('nats', 'accounts', '--worker', `${EXECUTOR_ID}=${worker}`, ...more);
  try {
    const own = /CS \{\n.*\n {4}users: \[\{nkey: (U\w+)\}\]/.exec((await accounts()).stdout)![1]!;
    expect((await accounts('--sidecar', second, '--sidecar', other, '--sidecar', own)).stdout).toContain(`    users: [{nkey: ${own}}, {nkey: ${second}}, {nkey: ${other}}]\n`);
    expect((await accounts('--worker', `${EXECUTOR_ID}=${other}`)).stdout).toContain(`{nkey: ${other}, permissions`);
    const refused = async (cause: string, ...more: string[]): Promise<void> => {
      const { exit, stdout, stderr } = await accounts(...more);
      expect([exit, stdout]).toEqual([2, '']);
      expect(stderr).toContain(cause);
    };
    await refused('executor:mian is no executor that is reached over the bus\n', '--worker', `executor:mian=${other}`);
    await refused(`${own} is the key of a sidecar and of ${EXECUTOR_ID}`, '--worker', `${EXECUTOR_ID}=${own}`);
    await refused(`${worker} is the key of a sidecar and of ${EXECUTOR_ID}`, '--sidecar', worker);
    await refused(`${worker} is the key of ${EXECUTOR_ID} and of a listener`, '--listener', worker);
    await refused(`${own} is the key of a sidecar and of a console`, '--console', own);
    await refused('UNO is not U…', '--sidecar', 'UNO');
    const text = (await readFile(operator.installation.configPath, 'utf8')).replace(`{id: ${EXECUTOR_ID}, connectors: [pg-main]}`, `{id: ${EXECUTOR_ID}, connectors: [pg-main]}, {id: 'executor:two', connectors: [pg-two]}`);
    await operator.installation.write('countersign.yaml', text);
    await refused(`${worker} is the key of ${EXECUTOR_ID} and of executor:two`, '--worker', `executor:two=${worker}`);
  } finally {
    await operator.remove();
  }
});

test('executors whose names look alike have accounts of their own', () => {
  const ids = ['executor:a.b', 'executor:a__dot__b', 'executor:a_b', 'executor:a_ub', 'executor:a_db', 'executor:a-b', 'executor:a_.b', 'executor:a._b'];
  const text = formatAccounts({ sidecars: ['UA'], executors: new Map(ids.map((id, n) => [id, [`U${n}`]])) });
  expect(new Set([...text.matchAll(/^ {2}(W_[A-Za-z0-9_-]+) \{$/gm)].map(([, name]) => name)).size).toBe(ids.length);
});
