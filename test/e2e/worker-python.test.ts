/** A sidecar, a real bus, and the worker in Python: nothing of ours is on the executor's side. */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { randomBytes } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { jetstreamManager } from '@nats-io/jetstream';
import { connect as connectBus, nkeyAuthenticator, type NatsConnection } from '@nats-io/transport-node';
import { afterEach, describe, expect, test } from 'vitest';
import { until } from '../../examples/demo/check.ts';
import { startNode, type Running } from '../../examples/demo/processes.ts';
import { canonicalBytes, generateSignerKey, logIdOf, parseSigner } from '../../ledger/index.ts';
import { EXAMPLE_PRINCIPALS, exampleFacts, layOut, type Layout } from '../../src/cli/init.ts';
import { deriveRevokeOrder } from '../../src/change/derive.ts';
import { newLockId } from '../../src/engine/ids.ts';
import { LOCK_TYPE } from '../../src/protocol/lock.ts';
import { formatTime } from '../../src/protocol/values.ts';
import { connect, isSettled, type ChangeView, type Client } from '../../src/client/index.ts';
import { stepEnvelopeSchema, type StepEnvelope } from '../../src/protocol/envelope.ts';
import { readPayload, signDsse } from '../../src/protocol/dsse.ts';
import { actTicketSchema, REVOKE_ORDER_TYPE, TICKET_TYPE, type RevokeOrder } from '../../src/protocol/signed.ts';
import { writeArmour } from '../../src/protocol/ssh-signature.ts';
import { ack, act, laneOf, revoke, say, STREAMS } from '../../src/transport/nats/bus-layout.ts';
import { saidSchema } from '../../src/transport/nats/said.ts';
import { hasNats, testNats, type TestNats } from '../support/nats.ts';
import { hasPython, runPython, startPythonWorker, type PythonWorker } from '../support/python.ts';
import { testSshKey } from '../support/ssh.ts';
import { countersign } from './support/bench.ts';

const EXECUTOR = 'executor:python.accounts';
const LANE = laneOf(EXECUTOR);
const REST_MS = 60_000;
const CLI = join(import.meta.dirname, '../../dist/src/main.js');

/** The example's identities, with their accounts in an SQLite file. */
const facts = (name: string): string => readFileSync(join(exampleFacts(), name), 'utf8').replaceAll('pg-main', 'accounts');

describe.skipIf(!hasNats() || !hasPython())('a worker in another language', () => {
  let nats: TestNats;
  let layout: Layout;
  let sidecar: Running;
  let worker: PythonWorker;
  let directory: string;
  const ended: (() => unknown)[] = [];
  const at = (...names: string[]): string => join(directory, ...names);
  afterEach(async () => {
    for (const end of ended.splice(0).reverse()) await end();
  });

  /** Rows of the accounts' file, as JSON. */
  const ask = (sql: string): unknown[][] => JSON.parse(runPython(['-c', [
    'import json, sqlite3, sys', 'from countersign_worker.accounts import SCHEMA', 'c = sqlite3.connect(sys.argv[1])', 'c.executescript(SCHEMA)',
    'r = c.execute(sys.argv[2]).fetchall()', 'c.commit()', 'print(json.dumps(r))',
  ].join('\n'), at('accounts.db'), sql]).stdout) as unknown[][];
  const lent = (change: ChangeView): unknown[] => ask(`SELECT privilege FROM privileges WHERE client_token = '${change.plan!.steps[0]!.clientToken}'`).flat();
  const as = (principal: string): Client => connect({ socket: layout.socket, token: layout.tokens.get(principal)! });
  const startSidecar = async (): Promise<void> => {
    sidecar = startNode({ name: 'sidecar', args: [CLI, 'serve', '--config', layout.config], logs: at('logs'), run: at('run') });
    await until('the sidecar is ready', async () => ((await as('person:sam').ready()).ready ? true : undefined), { timeoutMs: REST_MS });
  };
  const startWorker = (): void => {
    worker = startPythonWorker(at('worker.json'), at('worker.log'));
  };

  /** @param trusting changes the trust folder before anybody has read it */
  const start = async (trusting: () => void = () => undefined): Promise<void> => {
    directory = mkdtempSync(join(tmpdir(), 'countersign-python-'));
    ended.push(() => rmSync(directory, { recursive: true, force: true }));
    nats = await testNats([EXECUTOR]);
    ended.push(() => nats.close());
    rmSync(directory, { recursive: true });
    layout = layOut({
      directory, origin: `countersign.test/python-${randomBytes(4).toString('hex')}`, randomBytes: (length) => randomBytes(length), operator: 'person:sam', principals: EXAMPLE_PRINCIPALS, facts: exampleFacts(),
      ownFacts: { 'inventory.yaml': facts('inventory.yaml'), 'catalogue.yaml': facts('catalogue.yaml'), 'usage.yaml': null },
      executorId: EXECUTOR, connectors: { accounts: {} },
      config: { data: '.', nats: { servers: [...nats.urls], seed: 'keys/nats.seed' }, executors: [{ id: EXECUTOR, connectors: ['accounts'] }], limits: { republishSeconds: 1 } },
    });
    mkdirSync(at('logs'), { recursive: true });
    writeFileSync(at('keys/nats.seed'), `${nats.seeds.sidecar}\n`, { mode: 0o600 });
    writeFileSync(at('keys/nats-worker.seed'), `${nats.seeds.executors.get(EXECUTOR)!}\n`, { mode: 0o600 });
    writeFileSync(at('worker.json'), JSON.stringify({
      id: EXECUTOR, key: 'keys/executor.key', trust: 'trust', state: 'worker', nats: { servers: [...nats.urls], seed: 'keys/nats-worker.seed' }, connectors: { accounts: { target: 'app', file: 'accounts.db' } },
    }));
    ask(`INSERT INTO accounts (name) VALUES ('ci_deployer')`);
    trusting();
    expect((await countersign(['nats', 'setup', '--config', layout.config])).exitCode).toBe(0);
    startWorker();
    ended.push(() => worker.stop());
    await startSidecar();
    ended.push(() => sidecar.stop());
  };
  const requested = (duration: `PT${number}${'S' | 'M'}`, idempotencyKey?: string): Promise<ChangeView> => as('nhi:prod/ci-deployer').request({
    kind: 'grant', subject: 'nhi:prod/ci-deployer', purpose: 'deploy-orders', reason: 'a deployment', duration, entitlements: [{ connector: 'accounts', target: 'app', privilege: 'role:deploy' }],
  }, idempotencyKey === undefined ? {} : { idempotencyKey });
  const wait = (change: ChangeView, state: ChangeView['state']): Promise<ChangeView> => as('person:wei').wait(change.id, { until: (seen) => seen.state === state, timeoutMs: REST_MS });
  const approved = async (change: ChangeView): Promise<void> => {
    const asked = await as('person:wei').wait(change.id, { until: isSettled, timeoutMs: REST_MS });
    expect(asked.state).toBe('pending');
    await as('person:wei').approve(asked.id, asked.planDigest!);
  };
  const active = async (duration: `PT${number}${'S' | 'M'}`): Promise<ChangeView> => {
    const change = await requested(duration);
    await approved(change);
    const given = await wait(change, 'active');
    expect(given.state).toBe('active');
    expect(lent(given)).toEqual(['role:deploy']);
    return given;
  };
  const isGone = (change: ChangeView): Promise<true> => until('the access is gone', () => (lent(change).length === 0 ? true : undefined), { timeoutMs: REST_MS });
  const isRevoked = async (change: ChangeView): Promise<void> => {
    expect((await wait(change, 'revoked')).state).toBe('revoked');
    const { exitCode, stdout } = await countersign(['verify', layout.ledger, '--trust', layout.trust, '--require', 'INTEGRITY,SIGNATURE,COMPLETENESS,WORKFLOW']);
    expect([exitCode, stdout]).toEqual([0, expect.stringContaining('WORKFLOW') as string]);
  };
  const late = (change: ChangeView): number => Date.now() - Date.parse(change.lease!.endsAt);

  test('gives a grant, and takes it back on time with the sidecar dead', async () => {
    await start();
    const change = await active('PT8S');
    await sidecar.kill9();
    await isGone(change);
    expect(late(change)).toBeGreaterThanOrEqual(0);
    expect(late(change)).toBeLessThan(15_000);
    await startSidecar();
    await isRevoked(change);
  });

  test('gives a grant that a person signed with her own SSH key, where the floor asks for that', async () => {
    const key = testSshKey();
    await start(() => {
      const requirements = JSON.parse(readFileSync(at('trust/requirements.json'), 'utf8')) as { floors: object[] };
      writeFileSync(at('trust/requirements.json'), JSON.stringify({ ...requirements, floors: [{ connector: '*', target: '*', privilege: '*', quorum: 1, proofClass: 'ssh', approvers: ['person:wei'], maxLeaseSeconds: 3_600 }] }));
      writeFileSync(at('trust/allowed_signers'), `person:wei namespaces="approval@countersign" ${key.publicLine}\n`);
    });
    const { id } = await requested('PT10M');
    const { planDigest } = await as('person:wei').wait(id, { until: isSettled, timeoutMs: REST_MS });
    const { statement } = await as('person:wei').statement(id, 'approve');
    await as('person:wei').approve(id, planDigest!, undefined, { ssh: { expiresAt: statement.expiresAt, signature: writeArmour(key.sign(canonicalBytes(statement))) } });
    const change = await as('person:wei').wait(id, { until: ({ state }) => state === 'active' || state === 'failed', timeoutMs: REST_MS });
    expect([change.state, lent(change), change.approvals.map(({ proofClass }) => proofClass)]).toEqual(['active', ['role:deploy'], ['ssh']]);
    await as('person:wei').revoke(id, 'early');
    await isGone(change);
    await isRevoked(change);
  });

  test('takes it back on time with the bus dead, and says so once it is back', async () => {
    await start();
    const change = await active('PT8S');
    await nats.nodes[0]!.kill9();
    await isGone(change);
    expect(late(change)).toBeLessThan(15_000);
    await nats.nodes[0]!.start();
    await isRevoked(change);
  });

  test('killed with -9 once it has written each kind of entry in its lease book, it gives once and takes back when it is told to', async () => {
    await start();
    for (const entry of ['claim', 'attempt', 'applied', 'resolved', 'ended']) {
      const change = await requested('PT10M');
      const book = (): number => readFileSync(at('worker/lease-book'), 'latin1').split(`"t":"${entry}"`).length;
      const before = book();
      const killed = until(`the ${entry} is written`, () => (book() > before ? true : undefined), { timeoutMs: REST_MS, everyMs: 1 }).then(() => worker.kill9()).then(startWorker);
      await approved(change);
      if (entry !== 'ended') await killed;
      const given = await wait(change, 'active');
      expect([given.state, lent(given)], entry).toEqual(['active', ['role:deploy']]);
      await as('person:wei').revoke(change.id, 'early');
      await killed;
      await isGone(given);
      await isRevoked(change);
    }
  }, 300_000);

  test('has a second worker beside it: access is given once, and taken back on time by whoever is left', async () => {
    await start();
    const config = JSON.parse(readFileSync(at('worker.json'), 'utf8')) as object;
    writeFileSync(at('worker-2.json'), JSON.stringify({ ...config, state: 'worker-2' }));
    const second = startPythonWorker(at('worker-2.json'), at('worker-2.log'));
    ended.push(() => second.stop());
    const attempts = (state: string): number => readFileSync(at(state, 'lease-book'), 'latin1').split('"t":"attempt"').length - 1;
    await until('both have a lease book', () => (existsSync(at('worker-2/lease-book')) ? true : undefined), { timeoutMs: REST_MS });
    const change = await active('PT10S');
    expect(attempts('worker') + attempts('worker-2')).toBe(1);
    await (attempts('worker') === 1 ? worker : second).kill9();
    await isGone(change);
    expect(late(change)).toBeGreaterThanOrEqual(0);
    expect(late(change)).toBeLessThan(15_000);
    await isRevoked(change);
  });

  test('refuses a forged ticket, and goes on', async () => {
    await start();
    const genuine = await active('PT10M');
    const admin: NatsConnection = await connectBus({ servers: [...nats.urls], authenticator: nkeyAuthenticator(new Uint8Array(Buffer.from(nats.seeds.sidecar))) });
    ended.push(() => admin.close());
    const manager = await jetstreamManager(admin);
    const log = logIdOf(layout.origin);
    const { data } = await until('the genuine step is in the stream', async () => (await manager.streams.getMessage(STREAMS.steps, { seq: await lastStep(manager) })) ?? undefined, { timeoutMs: REST_MS });
    const envelope: StepEnvelope = stepEnvelopeSchema.parse(JSON.parse(Buffer.from(data).toString('utf8')));
    const ticket = readPayload(envelope.ticket, actTicketSchema);
    const forger = parseSigner(generateSignerKey(`${layout.origin}/ticket`, randomBytes(32)).skey);
    const forged = signDsse(TICKET_TYPE, { ...ticket, issue: 7 }, forger);
    const known = envelope.ticket.signatures[0]!.keyid;
    const tried: readonly [string, StepEnvelope, string][] = [
      ['a'.repeat(32), { ...envelope, ticket: forged }, 'unknown-sidecar'],
      ['b'.repeat(32), { ...envelope, ticket: { ...forged, signatures: [{ ...forged.signatures[0]!, keyid: known }] } }, 'bad-signature'],
    ];
    const said: string[] = [];
    admin.subscribe(say(LANE, log), { callback: (_error, message) => void said.push(message.string()) });
    await admin.flush();
    for (const [token, step] of tried) admin.publish(act(LANE, log, token), canonicalBytes(step));
    admin.publish(act(LANE, log, 'c'.repeat(32)), 'no step');
    await until('each is refused', () => (said.filter((one) => one.includes('"refused"')).length >= 3 ? true : undefined), { timeoutMs: REST_MS });
    for (const [token, , code] of tried) expect(said.find((one) => one.includes(token))).toContain(code);
    expect(said.find((one) => one.includes('c'.repeat(32)))).toContain('malformed');
    admin.publish(ack(LANE, log), canonicalBytes({ t: 'knows', log }));
    const knows = await until('it says what can be proven to it', () => said.find((one) => one.includes('"knows"')), { timeoutMs: REST_MS });
    const { floors } = JSON.parse(readFileSync(at('trust/requirements.json'), 'utf8')) as { floors: object[] };
    expect(saidSchema.parse(JSON.parse(knows))).toMatchObject({ proofs: ['standing'], floors });
    expect(lent(genuine)).toEqual(['role:deploy']);
    expect(ask('SELECT count(*) FROM privileges')).toEqual([[1]]);
    await as('person:wei').revoke(genuine.id, 'early');
    await isGone(genuine);
    const next = await active('PT10M');
    await as('person:wei').revoke(next.id, 'early');
    await isGone(next);
    await isRevoked(next);
    expect((await manager.consumers.info(STREAMS.steps, `${LANE}-act`)).num_ack_pending).toBe(0);
  });

  const entries = (kind: string): number => readFileSync(at('worker/lease-book'), 'latin1').split(`"t":"${kind}"`).length - 1;

  test('holds a lock that a sidecar sets until it is lifted', async () => {
    await start();
    const lock = await as('person:sam').lock({ connector: 'accounts' }, 'something is wrong there');
    await until('the lock is in the lease book', () => (entries('lock') === 1 ? true : undefined), { timeoutMs: REST_MS });
    await as('person:sam').unlock(lock.lockId, 'it was not');
    await until('so is its lift', () => (entries('lock') === 2 ? true : undefined), { timeoutMs: REST_MS });
    const change = await active('PT10M');
    await as('person:wei').revoke(change.id, 'early');
    await isGone(change);
    await isRevoked(change);
  });

  test('gives nothing under a lock that its sidecar has not heard of, and shows it the lock', async () => {
    await start();
    const change = await requested('PT10M');
    await as('person:wei').wait(change.id, { until: isSettled, timeoutMs: REST_MS });
    await worker.kill9();
    const admin: NatsConnection = await connectBus({ servers: [...nats.urls], authenticator: nkeyAuthenticator(new Uint8Array(Buffer.from(nats.seeds.sidecar))) });
    ended.push(() => admin.close());
    const manager = await jetstreamManager(admin);
    const waiting = async (): Promise<number> => (await manager.consumers.info(STREAMS.steps, `${LANE}-act`)).num_pending;
    await approved(change);
    await until('the step waits on the bus', async () => ((await waiting()) > 0 ? true : undefined), { timeoutMs: REST_MS });
    await sidecar.kill9();
    const revoker = generateSignerKey('person:sam', randomBytes(32));
    const requirements = JSON.parse(readFileSync(at('trust/requirements.json'), 'utf8')) as { revokers: unknown[] };
    writeFileSync(at('trust/requirements.json'), JSON.stringify({ ...requirements, revokers: [{ principal: 'person:sam', key: revoker.vkey }] }));
    const lockId = newLockId(Date.now(), randomBytes);
    const lock = signDsse(LOCK_TYPE, { op: 'set', v: 1, log: null, lockId, by: 'person:sam', at: formatTime(Date.now()), nhi: null, connector: 'accounts', reason: 'the bus is dead' }, parseSigner(revoker.skey));
    writeFileSync(at('lock.json'), JSON.stringify(lock));
    expect(runPython(['-c', [
      'import json, sys', 'from pathlib import Path', 'from countersign_worker.book import Book', 'Book(Path(sys.argv[1]), sys.argv[2]).append({"t": "lock", "lock": json.load(open(sys.argv[3]))})',
    ].join('\n'), at('worker'), EXECUTOR, at('lock.json')]).exitCode).toBe(0);
    startWorker();
    await until('it is refused', () => (readFileSync(at('worker.log'), 'utf8').includes('"code": "locked"') ? true : undefined), { timeoutMs: REST_MS });
    expect(entries('attempt')).toBe(0);
    await startSidecar();
    const refused = await as('person:wei').wait(change.id, { until: ({ state }) => state === 'failed', timeoutMs: REST_MS });
    expect([refused.state, lent(refused)]).toEqual(['failed', []]);
    await until('the sidecar holds it as well', async () => ((await as('person:sam').locks()).locks.some((one) => one.lockId === lockId) ? true : undefined), { timeoutMs: REST_MS });
  });

  test('takes back once more what is found there, for each order that says so; and an order alone moves no end', async () => {
    await start();
    const change = await active('PT10M');
    const { clientToken } = change.plan!.steps[0]!;
    const admin: NatsConnection = await connectBus({ servers: [...nats.urls], authenticator: nkeyAuthenticator(new Uint8Array(Buffer.from(nats.seeds.sidecar))) });
    ended.push(() => admin.close());
    const log = logIdOf(layout.origin);
    const ticketKey = parseSigner(readFileSync(at('keys/ticket.key'), 'utf8').trim());
    const send = async (cause: RevokeOrder['cause'], inMs: number, epoch: number): Promise<void> => {
      const order = deriveRevokeOrder(change.plan!, EXECUTOR, Date.now() + inMs, cause, `sidecar:${log}`, epoch)!;
      const orders = entries('order');
      admin.publish(revoke(LANE, log, randomBytes(16).toString('hex')), canonicalBytes(signDsse(REVOKE_ORDER_TYPE, order, ticketKey)));
      await until('the order is in the lease book', () => (entries('order') > orders ? true : undefined), { timeoutMs: REST_MS });
    };
    const planted = (): unknown => ask(`INSERT INTO privileges SELECT id, 'role:deploy', '${clientToken}' FROM accounts`);
    await send('leaseEnd', 3_600_000, 9);
    await send('leaseEnd', 1_000, 1);
    await isGone(change);
    for (const n of [1, 2]) {
      await until('it is written that it is over', () => (entries('ended') >= n ? true : undefined), { timeoutMs: REST_MS });
      planted();
      await send('reconcile', 0, 1);
      await isGone(change);
    }
  });

  test('cannot tell what is there, says so, and goes on', async () => {
    await start();
    const { reconciliations } = await as('person:sam').reconcile({ connector: 'accounts' });
    expect(reconciliations).toEqual([expect.objectContaining({ connector: 'accounts', state: 'failed', reason: expect.stringContaining('target-rejected') as string })]);
    expect(readFileSync(at('worker.log'), 'utf8')).not.toContain('set aside');
    const change = await active('PT10M');
    await as('person:wei').revoke(change.id, 'early');
    await isGone(change);
    await isRevoked(change);
  });

  test('says no to what it cannot do, and the change ends', async () => {
    await start();
    const { id } = await as('nhi:prod/ci-deployer').request({
      kind: 'revoke', subject: 'nhi:prod/ci-deployer', purpose: 'deploy-orders', reason: 'no more', entitlements: [{ connector: 'accounts', target: 'app', privilege: 'role:deploy' }],
    });
    const change = await as('person:wei').wait(id, { until: ({ state }) => ['denied', 'failed'].includes(state), timeoutMs: REST_MS });
    expect(['denied', 'failed']).toContain(change.state);
    expect(ask('SELECT count(*) FROM privileges')).toEqual([[0]]);
  });
});

/** The last message that is a step to be taken up. */
async function lastStep(manager: Awaited<ReturnType<typeof jetstreamManager>>): Promise<number> {
  const { state } = await manager.streams.info(STREAMS.steps, { subjects_filter: `cs.step.${LANE}.act.>` });
  const found = await Promise.all(Object.keys(state.subjects ?? {}).map((subject) => manager.streams.getMessage(STREAMS.steps, { last_by_subj: subject })));
  return Math.max(...found.map((one) => one?.seq ?? 0));
}
