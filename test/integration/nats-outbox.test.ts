/** Which orders a real bus holds, has handed over, or has lost; and which steps. */
import { jetstreamManager } from '@nats-io/jetstream';
import { connect, nkeyAuthenticator, type NatsConnection } from '@nats-io/transport-node';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { deriveRevokeOrder } from '../../src/change/derive.ts';
import type { Transport } from '../../src/engine/ports.ts';
import type { Dsse } from '../../src/protocol/signed.ts';
import { systemClock } from '../../src/sidecar/system.ts';
import { STREAMS, subjectTokens } from '../../src/transport/nats/bus-layout.ts';
import { planBus, setUpBus } from '../../src/transport/nats/bus-setup.ts';
import { openBus, type Bus } from '../../src/transport/nats/connection.ts';
import { natsOutbox, type NatsOutbox } from '../../src/transport/nats/outbox.ts';
import { connectNats } from '../../src/transport/nats/sidecar-end.ts';
import { until } from '../../examples/demo/check.ts';
import { makeStep } from '../support/envelopes.ts';
import { hasNats, testNats, type TestNats } from '../support/nats.ts';
import { EXECUTOR, keys, logId, sidecar, sign } from '../support/story.ts';

const logger = { info: () => undefined, warn: () => undefined, error: () => undefined };
const tokens = subjectTokens(keys.ticket);
const { plan, envelope } = makeStep();
const orderDueIn = (ms: number): Dsse => sign.order(deriveRevokeOrder(plan, EXECUTOR, Date.now() + ms, 'early', sidecar)!);

describe.skipIf(!hasNats())('a bus', () => {
  let nats: TestNats;
  let admin: NatsConnection;
  let bus: Bus;
  let outbox: NatsOutbox;
  let transport: Transport;
  const lost: string[] = [];
  const newStreams = async (): Promise<void> => {
    await (await jetstreamManager(admin)).streams.delete(STREAMS.steps).catch(() => undefined);
    await setUpBus(admin, planBus([EXECUTOR], 1));
  };
  beforeAll(async () => {
    nats = await testNats([EXECUTOR]);
    admin = await connect({ servers: [...nats.urls], authenticator: nkeyAuthenticator(new Uint8Array(Buffer.from(nats.seeds.sidecar))) });
  });
  afterAll(async () => {
    await admin.close();
    await nats.close();
  });
  beforeEach(async () => {
    lost.length = 0;
    await newStreams();
    bus = openBus({ servers: nats.urls, seed: nats.seeds.sidecar, name: 'sidecar', inboxPrefix: '_INBOX_sidecar', logger });
    outbox = natsOutbox({ log: logId, executors: [EXECUTOR], bus, tokens, clock: systemClock });
    outbox.onLost((changeId) => lost.push(changeId));
    transport = connectNats({ log: logId, executors: [EXECUTOR], bus, tokens, clock: systemClock, logger, answerMs: 50, lost: (changeId) => outbox.lost(changeId) });
    await until('the bus is up', () => (bus.isUp ? true : undefined), { timeoutMs: 20_000 });
  });
  afterEach(async () => {
    outbox.close();
    await transport.close();
  });

  test('holds what is armed, has handed over what was due, and lacks what was wiped', async () => {
    const [far, due, never] = [orderDueIn(600_000), orderDueIn(100), orderDueIn(700_000)].map((order) => ({ audience: EXECUTOR, order }));
    await transport.arm(EXECUTOR, far!.order);
    await transport.arm(EXECUTOR, due!.order);
    const manager = await jetstreamManager(admin);
    await until('it has fired', async () => ((await manager.streams.info(STREAMS.steps, { subjects_filter: 'cs.step.>' })).state.subjects === undefined ? undefined : true), { timeoutMs: 20_000 });
    expect(await outbox.missing([far!, due!, never!])).toEqual([never]);
    await newStreams();
    expect(await outbox.missing([far!, due!, never!])).toEqual([far, due, never]);
  });

  test('holds what was armed for a log that this one has adopted, where that log armed it', async () => {
    const order = { audience: EXECUTOR, order: orderDueIn(600_000) };
    const nextBus = openBus({ servers: nats.urls, seed: nats.seeds.sidecar, name: 'next', inboxPrefix: '_INBOX_next', logger });
    const next = natsOutbox({ log: 'ffffffffffffffff', executors: [EXECUTOR], bus: nextBus, tokens, clock: systemClock });
    const sent = connectNats({ log: 'ffffffffffffffff', adopted: [logId], executors: [EXECUTOR], bus: nextBus, tokens, clock: systemClock, logger });
    await until('the bus is up', () => (nextBus.isUp ? true : undefined), { timeoutMs: 20_000 });
    expect(await next.missing([order])).toEqual([order]);
    await transport.arm(EXECUTOR, order.order);
    expect(await next.missing([order])).toEqual([]);
    await sent.disarm(EXECUTOR, order.order);
    expect(await next.missing([order])).toEqual([order]);
    await sent.arm(EXECUTOR, order.order);
    expect(await outbox.missing([order])).toEqual([]);
    next.close();
    await sent.close();
  });

  test('that does not say what it holds is no bus that has lost anything', async () => {
    await (await jetstreamManager(admin)).streams.delete(STREAMS.steps);
    await expect(outbox.missing([{ audience: EXECUTOR, order: orderDueIn(600_000) }])).rejects.toMatchObject({ code: 'unreachable' });
  });

  test('is told of a step that it has lost, and of none that it holds', async () => {
    const publish = (): Promise<unknown> => transport.publishStep(EXECUTOR, envelope).catch(() => undefined);
    await publish();
    await publish();
    expect(lost).toEqual([]);
    await newStreams();
    await publish();
    expect(lost).toEqual([plan.changeId]);
  });

  test('in doubt is looked at each time that it has come up', async () => {
    let doubts = 0;
    outbox.onDoubt(() => (doubts += 1));
    expect(doubts).toBe(1);
    await nats.nodes[0]!.kill9();
    await nats.nodes[0]!.start();
    await admin.close();
    admin = await connect({ servers: [...nats.urls], authenticator: nkeyAuthenticator(new Uint8Array(Buffer.from(nats.seeds.sidecar))) });
    await until('it is up again', () => (doubts > 1 ? true : undefined), { timeoutMs: 20_000 });
  });
});
