/** Which orders a real bus holds, has handed over, or has lost; and which steps. */
import { jetstream, jetstreamManager } from '@nats-io/jetstream';
import { connect, nkeyAuthenticator, type NatsConnection } from '@nats-io/transport-node';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { canonicalBytes } from '../../ledger/index.ts';
import { deriveRevokeOrder } from '../../src/change/derive.ts';
import { TransportError, type Transport } from '../../src/engine/ports.ts';
import { payloadDigest } from '../../src/protocol/dsse.ts';
import type { Dsse } from '../../src/protocol/signed.ts';
import { systemClock } from '../../src/sidecar/system.ts';
import { arm, consumerOf, laneOf, revoke, STREAMS, subjectTokens } from '../../src/transport/nats/bus-layout.ts';
import { planBus, setUpBus } from '../../src/transport/nats/bus-setup.ts';
import { openBus, type Bus } from '../../src/transport/nats/connection.ts';
import { natsOutbox, type NatsOutbox } from '../../src/transport/nats/outbox.ts';
import { publishedSteps } from '../../src/transport/nats/published-steps.ts';
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
    const published = publishedSteps();
    outbox = natsOutbox({ log: logId, executors: [EXECUTOR], bus, tokens, clock: systemClock, logger, published });
    outbox.onLost((changeId) => lost.push(changeId));
    transport = connectNats({ log: logId, executors: [EXECUTOR], bus, tokens, clock: systemClock, logger, answerMs: 50, published, lost: (changeId) => outbox.lost(changeId) });
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
    const published = publishedSteps();
    const next = natsOutbox({ log: 'ffffffffffffffff', executors: [EXECUTOR], bus: nextBus, tokens, clock: systemClock, logger, published });
    const sent = connectNats({ log: 'ffffffffffffffff', adopted: [logId], executors: [EXECUTOR], bus: nextBus, tokens, clock: systemClock, logger, published });
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

  const subjectsLeft = async (): Promise<string[]> => Object.keys((await (await jetstreamManager(admin)).streams.info(STREAMS.steps, { subjects_filter: '>' })).state.subjects ?? {}).sort();
  const lane = laneOf(EXECUTOR);
  const tokenOf = (order: Dsse): string => tokens('revoke', EXECUTOR, payloadDigest(order));
  const hasFired = (order: Dsse): Promise<true> => until('it has fired', async () => ((await subjectsLeft()).includes(revoke(lane, logId, tokenOf(order))) ? true : undefined), { timeoutMs: 20_000 });

  test('lets go of what is spent, armed, fired or a step, and of nothing else', async () => {
    const [owed, far, due, owedDue] = [600_000, 700_000, 100, 101].map(orderDueIn) as [Dsse, Dsse, Dsse, Dsse];
    for (const order of [owed, far, due, owedDue]) await transport.arm(EXECUTOR, order);
    await transport.publishStep(EXECUTOR, envelope).catch(() => undefined);
    await hasFired(due);
    await hasFired(owedDue);
    const { stepId } = plan.steps[0]!;
    outbox.spent({ audience: EXECUTOR, order: far });
    outbox.spent({ audience: EXECUTOR, order: due });
    outbox.spent({ audience: EXECUTOR, stepId, issue: 0 });
    const kept = [arm(lane, logId, tokenOf(owed)), revoke(lane, logId, tokenOf(owedDue))].sort();
    await until('they are gone', async () => ((await subjectsLeft()).length === 3 ? true : undefined), { timeoutMs: 20_000 });
    // An issue that came after is not the one that was answered.
    expect((await subjectsLeft()).filter((subject) => !subject.includes('.act.'))).toEqual(kept);
    outbox.spent({ audience: EXECUTOR, stepId, issue: 1 });
    await until('the step is gone', async () => ((await subjectsLeft()).length === 2 ? true : undefined), { timeoutMs: 20_000 });
    expect(await subjectsLeft()).toEqual(kept);
    expect(lost).toEqual([]);
  });

  test('lets go of what is spent though its worker has not acknowledged it yet, and answers when it does', async () => {
    const due = orderDueIn(100);
    await transport.arm(EXECUTOR, due);
    const message = await (await jetstream(admin).consumers.get(STREAMS.steps, consumerOf(lane, 'revoke'))).next({ expires: 20_000 });
    outbox.spent({ audience: EXECUTOR, order: due });
    await until('it is gone', async () => ((await subjectsLeft()).length === 0 ? true : undefined), { timeoutMs: 20_000 });
    expect(await message!.ackAck()).toBe(true);
  });

  test('is swept once by a process that starts: what is spent is let go, what is owed or somebody else\'s stays', async () => {
    const [spent, owed, far, owedFar] = [100, 101, 600_000, 700_000].map(orderDueIn) as [Dsse, Dsse, Dsse, Dsse];
    for (const order of [spent, owed, far, owedFar]) await transport.arm(EXECUTOR, order);
    await transport.publishStep(EXECUTOR, envelope).catch(() => undefined);
    await Promise.all([hasFired(spent), hasFired(owed)]);
    const [misplaced, rubbish] = [revoke(lane, logId, 'f'.repeat(32)), revoke(lane, logId, 'e'.repeat(32))];
    await jetstream(admin).publish(misplaced, canonicalBytes(spent));
    await jetstream(admin).publish(rubbish, 'rubbish');
    const later = natsOutbox({ log: logId, executors: [EXECUTOR], bus, tokens, clock: systemClock, logger, published: publishedSteps() });
    try {
      later.sweep(async (held) => 'ticket' in held || [spent, far].some((order) => payloadDigest(order) === payloadDigest(held.order)));
      await until('it is swept', async () => ((await subjectsLeft()).length === 4 ? true : undefined), { timeoutMs: 20_000 });
      expect(await subjectsLeft()).toEqual([arm(lane, logId, tokenOf(owedFar)), revoke(lane, logId, tokenOf(owed)), misplaced, rubbish].sort());
    } finally {
      later.close();
    }
  });

  test('is swept again when the bus is back, where what is spent could not be taken off it', async () => {
    const far = orderDueIn(600_000);
    await transport.arm(EXECUTOR, far);
    const cameUp: (() => void)[] = [];
    let [isDown, isAnswered, warned] = [false, false, false];
    const unsteady: Bus = {
      ...bus, isUp: true, onUp: (callback) => void cameUp.push(() => callback(bus.up())),
      up() {
        if (isDown) throw new TransportError('unreachable', 'away');
        return bus.up();
      },
    };
    const later = natsOutbox({ log: logId, executors: [EXECUTOR], bus: unsteady, tokens, clock: systemClock, logger: { ...logger, warn: () => (warned = true) }, published: publishedSteps() });
    try {
      let looked = 0;
      later.sweep(async () => {
        looked += 1;
        return isAnswered;
      });
      await until('it has looked', () => (looked > 0 ? true : undefined), { timeoutMs: 20_000 });
      [isDown, isAnswered] = [true, true];
      later.spent({ audience: EXECUTOR, order: far });
      await until('it could not', () => (warned ? true : undefined), { timeoutMs: 20_000 });
      isDown = false;
      for (const callback of cameUp) callback();
      await until('it is swept', async () => ((await subjectsLeft()).length === 0 ? true : undefined), { timeoutMs: 20_000 });
    } finally {
      later.close();
    }
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
