/** Two sidecars on a real bus, each with a log of its own: people decide at one on what the other asks, and whoever listens hears of it. */
import { randomBytes } from 'node:crypto';
import { appendFileSync, readFileSync, writeFileSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import { join } from 'node:path';
import { jetstreamManager } from '@nats-io/jetstream';
import { connect as connectBus, nkeyAuthenticator, type NatsConnection } from '@nats-io/transport-node';
import { stringify } from 'yaml';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { until } from '../../examples/demo/check.ts';
import { onApp } from '../../examples/demo/cases/story.ts';
import type { Installation } from '../../examples/demo/installation.ts';
import { startNode } from '../../examples/demo/processes.ts';
import { EXAMPLE_PRINCIPALS, exampleFacts, layOut, type Layout } from '../../src/cli/init.ts';
import { connect, isSettled, type ChangeView } from '../../src/client/index.ts';
import { publicKeyOf } from '../../src/transport/nats/bus-user.ts';
import { event, STREAMS } from '../../src/transport/nats/bus-layout.ts';
import { cloudEventSchema, type CloudEvent } from '../../src/transport/nats/events.ts';
import { hasNats, testNats, type TestNats } from '../support/nats.ts';
import { countersign, openBench, verificationTrouble, type Bench } from './support/bench.ts';

const EXECUTOR = 'executor:main';
const REST_MS = 60_000;

describe.skipIf(!hasNats())('two sidecars on a bus', () => {
  let bench: Bench;
  let nats: TestNats;
  let home: Installation;
  let there: Layout;
  const heard: CloudEvent[] = [];
  const ended: (() => Promise<unknown>)[] = [];
  beforeAll(async () => {
    bench = await openBench({ fsync: 'off' });
  });
  afterAll(() => bench.close());
  afterEach(async () => {
    for (const end of ended.splice(0).reverse()) await end();
    heard.length = 0;
  });

  const asBus = async (seed: string): Promise<NatsConnection> => {
    const connection = await connectBus({ servers: [...nats.urls], inboxPrefix: '_INBOX_test', authenticator: nkeyAuthenticator(new Uint8Array(Buffer.from(seed))) });
    ended.push(() => connection.close());
    return connection;
  };
  const setUp = async (): Promise<void> => expect((await countersign(['nats', 'setup', '--config', home.paths.config])).exitCode).toBe(0);
  const start = async (name: string): Promise<void> => {
    nats = await testNats([EXECUTOR]);
    ended.push(() => nats.close());
    const origin = `countersign.test/there-${randomBytes(4).toString('hex')}`;
    there = layOut({
      directory: join(bench.directory, `${name}-there`), origin, randomBytes: (length) => randomBytes(length), operator: 'person:sam', principals: EXAMPLE_PRINCIPALS, facts: exampleFacts(), executorId: EXECUTOR, connectors: {},
      config: { data: '.', nats: { servers: [...nats.urls], seed: 'keys/nats.seed' } },
    });
    writeFileSync(join(there.directory, 'keys/nats.seed'), `${nats.seeds.sidecar}\n`, { mode: 0o600 });
    home = bench.install(name, {
      config: {
        nats: { servers: [...nats.urls], seed: 'keys/nats.seed', events: ['approval.requested', 'approval.decided'], relays: [origin] }, executors: [{ id: EXECUTOR, connectors: ['pg-main'] }], limits: { republishSeconds: 1 },
      },
    });
    const at = (file: string): string => join(home.paths.directory, file);
    // Whose word counts is said in the trust folder, and that it counts for who has decided in the configuration.
    appendFileSync(join(home.paths.trust, 'trust.policy'), `log ${there.vkeys.log}\n`);
    const sidecars = join(home.paths.trust, 'sidecars.json');
    writeFileSync(sidecars, JSON.stringify([...(JSON.parse(readFileSync(sidecars, 'utf8')) as object[]), { origin, key: there.vkeys.ticket }]));
    writeFileSync(at('keys/nats.seed'), `${nats.seeds.sidecar}\n`, { mode: 0o600 });
    writeFileSync(at('keys/nats-worker.seed'), `${nats.seeds.executors.get(EXECUTOR)!}\n`, { mode: 0o600 });
    appendFileSync(home.paths.executorConfig, stringify({ nats: { servers: [...nats.urls], seed: 'keys/nats-worker.seed' } }));
    await setUp();
    (await asBus(nats.seeds.listener)).subscribe('cs.event.>', { callback: (_error, message) => void heard.push(cloudEventSchema.parse(message.json())) });
    await home.startExecutor();
    await home.startSidecar();
    ended.push(() => home.stop());
    const other = startNode({ name: 'there', args: [home.paths.cli, 'serve', '--config', there.config], logs: home.paths.logs, run: home.paths.run });
    ended.push(() => other.stop());
    const sam = connect({ socket: there.socket, token: there.tokens.get('person:sam')! });
    await until('the other sidecar answers', async () => ((await sam.ready()).ready ? true : undefined), { timeoutMs: REST_MS });
  };
  /** As the person at the other sidecar. */
  const decideThere = (person: string, body: object): Promise<{ readonly status: number; readonly body: Record<string, unknown> }> => new Promise((resolve, reject) => {
    const data = JSON.stringify(body);
    const sent = httpRequest({ socketPath: there.socket, path: '/v1/verdicts', method: 'POST', headers: { host: 'localhost', 'content-type': 'application/json', 'content-length': Buffer.byteLength(data), authorization: `Bearer ${there.tokens.get(person)!}` } }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (part: string) => (text += part)).on('end', () => resolve({ status: response.statusCode!, body: JSON.parse(text) as Record<string, unknown> }));
    });
    sent.once('error', reject);
    sent.end(data);
  });
  const pending = async (): Promise<ChangeView> => {
    const pipeline = home.as('nhi:prod/ci-deployer');
    const { id } = await pipeline.request({ kind: 'grant', subject: 'nhi:prod/ci-deployer', purpose: 'deploy-orders', reason: 'a deployment', duration: 'PT10M', entitlements: onApp('role:deploy') });
    return pipeline.wait(id, { until: isSettled, timeoutMs: REST_MS });
  };
  const told = (change: ChangeView, type: string): Promise<CloudEvent> =>
    until(`${type} is heard`, () => heard.find((one) => one.subject === change.id && one.type === `dev.countersign.${type}`), { timeoutMs: REST_MS });

  test('what one asks is heard, decided at the other, and made; the ledger that owns it verifies', async () => {
    await start('verdicts');
    const key = publicKeyOf(nats.seeds.listener);
    const accounts = ['nats', 'accounts', '--config', home.paths.config, '--worker', `${EXECUTOR}=${publicKeyOf(nats.seeds.executors.get(EXECUTOR)!)}`];
    expect((await countersign([...accounts, '--listener', key])).stdout).toContain(`{nkey: ${key}, permissions: {publish: {deny: [">"]}, subscribe: {allow: ["cs.event.>"]}}}`);
    expect((await countersign(accounts)).stdout).not.toContain('LISTENERS');
    expect((await countersign([...accounts, '--listener', 'U'])).exitCode).toBe(2);

    const change = await pending();
    expect(change.state).toBe('pending');
    expect((await told(change, 'approval.requested')).data).toMatchObject({ planDigest: change.planDigest, requester: ['nhi:prod/ci-deployer'] });
    const decision = { changeId: change.id, planDigest: change.planDigest, verdict: 'approve' };

    expect(await decideThere('person:olga', decision)).toMatchObject({ status: 403, body: { code: 'not-an-approver' } });
    expect(await decideThere('person:wei', { ...decision, planDigest: `sha256:${'0'.repeat(64)}` })).toMatchObject({ status: 409, body: { code: 'plan-changed' } });
    expect(await decideThere('person:wei', { ...decision, changeId: `chg_${'0'.repeat(16)}${change.id.slice(20)}` })).toMatchObject({ status: 503, body: { code: 'unreachable' } });
    expect(await decideThere('person:mallory', decision)).toMatchObject({ status: 403, body: { code: 'role-required' } });
    expect(await decideThere('person:wei', decision)).toMatchObject({ status: 200, body: { changeId: change.id } });
    expect((await told(change, 'approval.decided')).data).toMatchObject({ approver: 'person:wei', verdict: 'approve', pending: false });

    const active = await home.as('nhi:prod/ci-deployer').wait(change.id, { until: ({ state }) => state === 'active', timeoutMs: REST_MS });
    expect(active.state).toBe('active');
    await home.as('person:wei').revoke(change.id, 'enough');
    expect((await home.as('person:wei').wait(change.id, { until: ({ state }) => state === 'revoked', timeoutMs: REST_MS })).state).toBe('revoked');
    const { records } = await home.as('nhi:prod/ci-deployer').evidence(change.id);
    expect(records.filter(({ type }) => type === 'approval.recorded')).toMatchObject([{ actor: 'person:wei', body: { relayed: { payloadType: 'application/vnd.countersign.relayed-verdict+json' } } }]);
    expect(records.filter(({ type }) => type === 'notification.delivered').map(({ body }) => [body['webhook'], body['event']])).toEqual([['nats', 'approval.requested'], ['nats', 'approval.decided']]);
    expect(await verificationTrouble(home)).toBe('');
  });

  test('what is locked at one is locked at the other, and is evidence there', async () => {
    await start('verdicts-lock');
    const olga = connect({ socket: there.socket, token: there.tokens.get('person:olga')! });
    const { lockId } = await olga.lock({ nhi: 'nhi:prod/ci-deployer' }, 'a leak is looked into');
    const isLocked = async (): Promise<boolean> => (await home.as('person:olga').locks()).locks.some((lock) => lock.lockId === lockId);
    await until('the lock is held here', async () => ((await isLocked()) ? true : undefined), { timeoutMs: REST_MS });
    await olga.unlock(lockId, 'it was nothing');
    await until('the lock is lifted here', async () => ((await isLocked()) ? undefined : true), { timeoutMs: REST_MS });
    expect(await verificationTrouble(home)).toBe('');
  });

  test('a stream that is gone holds nothing up, and what was not told is told after a kill -9', async () => {
    await start('verdicts-untold');
    const manager = await jetstreamManager(await asBus(nats.seeds.sidecar));
    await manager.streams.delete(STREAMS.events);
    const change = await pending();
    expect(change.state).toBe('pending');
    const onRecord = async (): Promise<unknown[]> => (await home.as('nhi:prod/ci-deployer').evidence(change.id)).records.filter(({ type }) => type === 'notification.delivered').map(({ body }) => body['event']);
    expect(await onRecord()).toEqual([]);
    await home.sidecar.kill9();
    await setUp();
    await home.startSidecar();
    const held = (type: string): Promise<CloudEvent> => until(`the stream holds ${type}`, async () => {
      const found = await manager.streams.getMessage(STREAMS.events, { last_by_subj: event(change.id.slice(4, 20), type) });
      return found === null ? undefined : cloudEventSchema.parse(JSON.parse(Buffer.from(found.data).toString('utf8')));
    }, { timeoutMs: REST_MS });
    expect(await held('approval.requested')).toMatchObject({ subject: change.id, data: { planDigest: change.planDigest } });
    await home.as('person:wei').approve(change.id, change.planDigest!);
    expect(await held('approval.decided')).toMatchObject({ subject: change.id, data: { approver: 'person:wei' } });
    await until('both are on record', async () => ((await onRecord()).length === 2 ? true : undefined), { timeoutMs: REST_MS });
    expect(await onRecord()).toEqual(['approval.requested', 'approval.decided']);
    expect(await verificationTrouble(home)).toBe('');
  });
});
