/** What receivers are told, by the real sidecar: signed, again until it is on record that they know, and without anything waiting for them. */
import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { until } from '../../examples/demo/check.ts';
import { onApp } from '../../examples/demo/cases/story.ts';
import type { Installation } from '../../examples/demo/installation.ts';
import { isSettled, type ChangeView } from '../../src/client/index.ts';
import { openBench, verificationTrouble, WEBHOOK_SECRET_FILE, type Bench } from './support/bench.ts';
import { run } from './support/kill.ts';
import { offboardingScenario } from './support/offboarding.ts';
import { openRotation, type Rotation } from './support/rotation.ts';
import { openSink, type Message, type Sink } from './support/sink.ts';

const REST_MS = 60_000;
const secret = `whsec_${randomBytes(32).toString('base64')}`;

let bench: Bench;
let rotation: Rotation;
const sinks: Sink[] = [];
beforeAll(async () => {
  bench = await openBench({ fsync: 'off' });
  rotation = openRotation(bench);
});
afterAll(async () => {
  await rotation.prober.close();
  await bench.close();
  for (const sink of sinks) await sink.close();
});

async function newSink(...args: Parameters<typeof openSink>): Promise<Sink> {
  const sink = await openSink(...args);
  sinks.push(sink);
  return sink;
}

async function start(name: string, receivers: Readonly<Record<string, Sink>>): Promise<Installation> {
  const webhooks = Object.entries(receivers).map(([webhook, { url }]) => ({ name: webhook, url, secret: WEBHOOK_SECRET_FILE, allowHttp: true, allowPrivate: true }));
  const installation = bench.install(name, { windowMinutes: 15, webhookSecret: secret, config: { webhooks, limits: { republishSeconds: 1, overdueSeconds: 1 } } });
  await installation.startExecutor();
  await installation.startSidecar();
  return installation;
}

/** What the ledger says about what receivers were told: `<webhook> <event> <record>`, once for each record that says so. */
async function told(installation: Installation): Promise<readonly string[]> {
  const olga = installation.as('person:olga');
  const { changes } = await olga.list({ limit: 200 });
  const evidence = await Promise.all(changes.map(({ id }) => olga.evidence(id)));
  return evidence.flatMap(({ records }) => records.filter(({ type }) => type === 'notification.delivered').map(({ body }) => {
    const { webhook, event, about } = body as { webhook: string; event: string; about: number };
    return `${webhook} ${event} ${about}`;
  }));
}

const nameOf = (webhook: string, { type, data }: Message): string => `${webhook} ${type} ${String(data['record'])}`;

/** A grant whose end nobody can see to: its executor is away when it is taken back. */
async function overdueRevoke(installation: Installation): Promise<ChangeView> {
  const [pipeline, wei] = [installation.as('nhi:prod/ci-deployer'), installation.as('person:wei')];
  const { id } = await pipeline.request({ kind: 'grant', subject: 'nhi:prod/ci-deployer', purpose: 'deploy-orders', reason: 'overdue', duration: 'PT10M', entitlements: onApp('role:deploy') });
  const asked = await pipeline.wait(id, { until: isSettled, timeoutMs: REST_MS });
  await wei.approve(id, asked.planDigest!);
  await pipeline.wait(id, { until: ({ state }) => state === 'active', timeoutMs: REST_MS });
  await installation.executor.kill9();
  await wei.revoke(id, 'now');
  await wei.wait(id, { until: ({ findings }) => findings.some(({ code }) => code === 'revoke-overdue'), timeoutMs: REST_MS });
  await installation.startExecutor();
  const revoked = await wei.wait(id, { until: ({ state }) => state === 'revoked', timeoutMs: REST_MS });
  expect(revoked.state).toBe('revoked');
  return revoked;
}

test('everything is told, signed; a receiver that hangs and one that answers 500 hold up nothing and nobody', async () => {
  const good = await newSink(secret, 'ok');
  const hanging = await newSink(secret, 'hang');
  const broken = await newSink(secret, 'error');
  const installation = await start('told', { good, hanging, broken });
  const startedMs = performance.now();
  await run(rotation.scenario, bench, installation, 'rotation', null);
  await run(offboardingScenario(), bench, installation, 'offboarding', null);
  const overdue = await overdueRevoke(installation);
  // One attempt at the receiver that hangs takes 10 s; there was one for each of some twenty messages.
  expect(performance.now() - startedMs).toBeLessThan(60_000);

  await until('the last is told', () => good.messages.find(({ type, data }) => type === 'revoke.overdue' && data['changeId'] === overdue.id), { timeoutMs: REST_MS });
  const types = good.messages.map(({ type }) => type);
  expect(types).toEqual(expect.arrayContaining([
    'approval.requested', 'window.opened', 'credential.staged', 'window.closed', 'offboarding.started', 'offboarding.item', 'offboarding.finished', 'revoke.overdue',
  ]));
  expect(types.indexOf('window.opened')).toBeLessThan(types.indexOf('credential.staged'));
  expect(good.messages.filter(({ signed }) => !signed)).toEqual([]);
  // A receiver that answers is told each thing once.
  expect(new Set(good.messages.map(({ id }) => id)).size).toBe(good.messages.length);
  await until('what is delivered is on record', async () => {
    const recorded = await told(installation);
    return good.messages.every((message) => recorded.includes(nameOf('good', message))) ? true : undefined;
  }, { timeoutMs: REST_MS });
  expect((await told(installation)).filter((one) => !one.startsWith('good '))).toEqual([]);

  // The one that answered 500 is told the same again, under the same id, and then that is on record too.
  const refused = broken.messages[0]!;
  broken.answer('ok');
  await until('it is told again', () => (broken.messages.filter(({ id }) => id === refused.id).length > 1 ? true : undefined), { timeoutMs: REST_MS });
  await until('that is on record', async () => ((await told(installation)).includes(nameOf('broken', refused)) ? true : undefined), { timeoutMs: REST_MS });
  expect(await verificationTrouble(installation)).toBe('');
  await installation.stop();
}, 180_000);

test('a receiver that answered nothing before the sidecar was killed with -9 is told the same again, under the same id', async () => {
  const sink = await newSink(secret, 'hang');
  const installation = await start('told-again', { sink });
  await run(rotation.scenario, bench, installation, 'rotation', null);
  const wanted = ['approval.requested', 'window.opened', 'credential.staged', 'window.closed'];
  const first = await until('all has come', () => (wanted.every((type) => sink.messages.some((message) => message.type === type)) ? [...sink.messages] : undefined), { timeoutMs: REST_MS });
  expect(await told(installation)).toEqual([]);
  await installation.sidecar.kill9();
  sink.answer('ok');
  await installation.startSidecar();
  await until('all is on record', async () => {
    const recorded = await told(installation);
    return first.every((message) => recorded.includes(nameOf('sink', message))) ? true : undefined;
  }, { timeoutMs: REST_MS });
  for (const { id, type } of first) expect(sink.messages.filter((message) => message.id === id && message.type === type).length, type).toBeGreaterThan(1);
  expect(sink.messages.every(({ signed }) => signed)).toBe(true);
  expect(await verificationTrouble(installation)).toBe('');
  await installation.stop();
}, 180_000);

test('kill -9 of the sidecar the moment that something arrives: it comes again or it is on record, and nothing is on record twice', async () => {
  const sink = await newSink(secret, 'ok');
  const installation = await start('killed-telling', { sink });
  // Not everything that can be told, but each kind of moment: before anything is done, in the middle, and when all is done.
  const awaited = ['approval.requested', 'window.opened', 'credential.staged', 'window.closed'];
  const kills: Promise<unknown>[] = [];
  let restarting = Promise.resolve();
  sink.onMessage(({ type }) => {
    if (awaited[0] !== type) return;
    awaited.shift();
    restarting = restarting.then(() => installation.sidecar.kill9()).then(() => installation.startSidecar()).then(() => undefined);
    kills.push(restarting);
  });
  await run(rotation.scenario, bench, installation, 'rotation', null);
  await until('it was killed at each', () => (awaited.length === 0 ? true : undefined), { timeoutMs: REST_MS });
  await Promise.all(kills);
  await until('all is on record', async () => {
    const recorded = await told(installation);
    return sink.messages.every((message) => recorded.includes(nameOf('sink', message))) ? true : undefined;
  }, { timeoutMs: REST_MS });
  const recorded = await told(installation);
  expect(new Set(recorded).size).toBe(recorded.length);
  // One id for one thing, however often it came.
  const ids = new Map(sink.messages.map((message) => [message.id, nameOf('sink', message)]));
  expect(new Set(ids.values()).size).toBe(ids.size);
  expect(await verificationTrouble(installation)).toBe('');
  await installation.stop();
}, 180_000);
