/** One change on a real bus: asked, escalated and decided, as whoever listens hears it and as the stream holds it. */
import { jetstreamManager } from '@nats-io/jetstream';
import { connect, nkeyAuthenticator, type Msg } from '@nats-io/transport-node';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { recentHistory } from '../../src/notify/history.ts';
import { startNotifier, type Notifier } from '../../src/notify/notifier.ts';
import { notificationSchema } from '../../src/notify/payload.ts';
import type { ChangeView } from '../../src/sidecar/schemas.ts';
import { systemRandom } from '../../src/sidecar/system.ts';
import { event, STREAMS } from '../../src/transport/nats/bus-layout.ts';
import { planBus, setUpBus } from '../../src/transport/nats/bus-setup.ts';
import { openBus, type Bus } from '../../src/transport/nats/connection.ts';
import { BUS_RECEIVER, cloudEventSchema, eventSender } from '../../src/transport/nats/events.ts';
import { eventually } from '../conformance/transport.ts';
import { movedClock } from '../support/moved-clock.ts';
import { hasNats, testNats, type TestNats } from '../support/nats.ts';
import { answerOf, GRANT, openTestSidecar, type TestSidecar } from '../support/sidecar.ts';

const EXECUTOR = 'executor:main';
const logger = { info: () => undefined, warn: () => undefined, error: () => undefined };
const EVENTS = ['approval.requested', 'approval.escalated', 'approval.decided'] as const;

describe.skipIf(!hasNats())('on a real bus', () => {
  let nats: TestNats;
  let bus: Bus;
  let sidecar: TestSidecar;
  let notifier: Notifier | null = null;
  const clock = movedClock();
  beforeAll(async () => {
    nats = await testNats([EXECUTOR]);
    bus = openBus({ servers: nats.urls, seed: nats.seeds.sidecar, name: 'sidecar', inboxPrefix: '_INBOX_a', logger });
    await eventually(() => bus.isUp);
    await setUpBus(bus.up(), planBus([EXECUTOR], 1));
    sidecar = await openTestSidecar({
      clock, onEvents: (state, events) => notifier?.take(state, events),
      decide: () => {
        const asked = answerOf('needsApproval', { anyOf: ['person:wei', 'person:ana'] });
        return { ...asked, obligations: { ...asked.obligations, escalation: { afterSeconds: 600, to: ['person:sam'] } } };
      },
    });
    const { engine, log } = sidecar;
    notifier = startNotifier({
      logId: log.logId, clock, random: systemRandom, logger, durable: () => log.sync(), glassReviewers: (state) => engine.glassReviewers(state), history: (sinceMs) => recentHistory(log, engine.index.recordsSince(sinceMs)),
      receivers: [{ name: BUS_RECEIVER, events: EVENTS, consumers: null, send: eventSender(bus, log.logId) }], record: (changeId, end) => engine.recordNotification(changeId, end),
    });
  });
  afterAll(async () => {
    await notifier?.close();
    await sidecar.close();
    await bus.close();
    await nats.close();
  });

  test('who listens hears that a change waits, that further people are told, and that it is decided, in that order', async () => {
    const { logId } = sidecar.log;
    const listener = await connect({ servers: [...nats.urls], inboxPrefix: '_INBOX_l', authenticator: nkeyAuthenticator(new Uint8Array(Buffer.from(nats.seeds.listener))) });
    try {
      const heard: Msg[] = [];
      listener.subscribe(`cs.event.${logId}.>`, { callback: (_error, message) => void heard.push(message) });
      await listener.flush();
      const change = await sidecar.change('nhi:prod/ci-deployer', GRANT);
      await eventually(() => heard.length === 1);
      clock.move(600_000);
      await eventually(() => heard.length === 2);
      await sidecar.send('person:wei', 'POST', change.links.approvals, { verdict: 'approve', planDigest: change.planDigest });
      await eventually(() => heard.length === 3);

      expect(heard.map(({ subject }) => subject)).toEqual(EVENTS.map((type) => event(logId, type)));
      expect(new Set(heard.map((message) => message.headers?.get('content-type')))).toEqual(new Set(['application/cloudevents+json; charset=utf-8']));
      const told = heard.map((message) => cloudEventSchema.parse(message.json()));
      expect(told.map(({ type, source, subject }) => [type, source, subject])).toEqual(EVENTS.map((type) => [`dev.countersign.${type}`, `urn:countersign:${logId}`, change.id]));
      const [asked, escalated, decided] = told.map(({ type, time, data }) => notificationSchema.parse({ type: type.slice('dev.countersign.'.length), timestamp: time, data }).data);
      const view = (await sidecar.send('person:wei', 'GET', change.links.self)).body as ChangeView;
      expect(asked).toMatchObject({ approvers: ['person:wei', 'person:ana'], planDigest: change.planDigest });
      expect(escalated).toMatchObject({ to: ['person:sam'], approvers: ['person:wei', 'person:ana'], planDigest: change.planDigest, dueAt: view.escalation!.dueAt, approvalsBy: change.approvalsBy });
      expect(decided).toMatchObject({ approver: 'person:wei', verdict: 'approve', pending: false });
      expect(asked!.record).toBeLessThan(escalated!.record);
      expect(escalated!.record).toBeLessThan(decided!.record);

      // What the stream holds is what was heard, for whoever comes later.
      const held = await (await jetstreamManager(bus.up())).streams.info(STREAMS.events);
      expect(held.state.messages).toBe(3);
      const stored = await Promise.all(heard.map(async (_, n) => (await (await jetstreamManager(bus.up())).streams.getMessage(STREAMS.events, { seq: held.state.first_seq + n }))?.string()));
      expect(stored).toEqual(heard.map((message) => message.string()));
    } finally {
      await listener.close();
    }
  });
});
