/** What comes at once is told together: nobody is flooded, and nobody is left untold. */
import { Webhook } from 'standardwebhooks';
import { afterEach, describe, expect, it } from 'vitest';
import type { NewEvent } from '../../src/change/events.ts';
import { notificationsOf } from '../../src/notify/derive.ts';
import { startNotifier, type Notifier } from '../../src/notify/notifier.ts';
import { COALESCED_EVENTS, COALESCED_MAX, notificationMessageSchema, type NotificationMessage } from '../../src/notify/payload.ts';
import { keyOf, type NotificationEnd, type Receiver } from '../../src/notify/queue.ts';
import { webhookSender, type Message, type Outcome } from '../../src/notify/webhook.ts';
import type { ChangeRequest } from '../../src/protocol/request.ts';
import { systemClock } from '../../src/sidecar/system.ts';
import { randomOf } from '../fault/power-disk.ts';
import { fakeClock, type FakeClock } from '../support/fake-clock.ts';
import { changeIdOf, decided, found, listen, LOG_ID, memoryLedger, memoryLogger, OFFBOARD, planOf, requested, ROTATE, SECRET, verdictOf, type Logged, type MemoryLedger } from './support.ts';

const START = Date.parse('2026-11-23T19:00:00.000Z');
const SPELL_MS = 5_000;
const coalescing = { withinMs: SPELL_MS, events: COALESCED_EVENTS };
const EMERGENCY: ChangeRequest = { ...ROTATE, urgency: 'emergency' } as ChangeRequest;

const closing: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

interface Bench {
  readonly clock: FakeClock;
  readonly ledger: MemoryLedger;
  readonly logger: Logged;
  start(receivers: readonly Receiver[]): Notifier;
  happen(changeId: string, ...events: readonly NewEvent[]): void;
  /** That change comes to wait for these people. */
  ask(n: number, approvers?: readonly string[], request?: ChangeRequest): void;
}

function bench(): Bench {
  const clock = fakeClock(START);
  const ledger = memoryLedger(() => clock.nowMs);
  const logger = memoryLogger();
  let notifier: Notifier | null = null;
  const one: Bench = {
    clock, ledger, logger,
    start(receivers) {
      const started = startNotifier({
        logId: LOG_ID, receivers, history: (sinceMs) => ledger.history(sinceMs), durable: () => Promise.resolve(), glassReviewers: () => [], clock: clock.port(), publicUrl: 'https://cs.example.org',
        random: (length) => Uint8Array.from({ length }, (_, index) => (index === 0 ? 128 : 0)), record: (changeId, end) => ledger.record(changeId, end), logger,
      });
      closing.push(() => started.close());
      return (notifier = started);
    },
    happen(changeId, ...events) {
      const added = ledger.add(changeId, clock.nowMs, ...events);
      notifier?.take(added.state, added.events);
    },
    ask(n, approvers = ['person:wei'], request = ROTATE) {
      one.happen(changeIdOf(n), requested(request), decided(planOf(changeIdOf(n), request), 'needsApproval', { approvers, approvalsBy: '2026-11-24T19:00:00.000Z' }));
    },
  };
  return one;
}

interface Scripted extends Receiver {
  readonly messages: readonly Message[];
  answer: Outcome;
}
function scripted(): Scripted {
  const messages: Message[] = [];
  const receiver: Scripted = {
    name: 'ops', events: null, consumers: null, coalescing, messages, answer: { delivered: true },
    send: async (message) => {
      messages.push(message);
      return receiver.answer;
    },
  };
  return receiver;
}
const read = ({ body }: Pick<Message, 'body'>): NotificationMessage => notificationMessageSchema.parse(JSON.parse(body));
const typesOf = (messages: readonly Message[]): string[] => messages.map((one) => read(one).type);
/** What a message tells of: the record, and the event. */
function toldIn(message: NotificationMessage): string[] {
  if (message.type !== 'notifications.coalesced') return [keyOf(message.data.record, message.type)];
  const { event, first, rest } = message.data;
  return [...first.map(({ data }) => data), ...rest].map(({ record }) => keyOf(record, event));
}
const keyOfEnd = (end: NotificationEnd): string => ('delivered' in end ? keyOf(end.delivered.about, end.delivered.event) : keyOf(end.failed.about, end.failed.event));

describe('a flood of requests', () => {
  it('is one signed request to a receiver at the end of the spell, which names the first and says where the others are; and each is on record', async () => {
    const { clock, ledger, start, ask } = bench();
    const listening = await listen((_request, response) => response.writeHead(204).end());
    closing.push(() => listening.close());
    const send = webhookSender({ url: `http://127.0.0.1:${listening.port}/`, secrets: [SECRET], allowHttp: true, allowPrivate: true, clock: { ...systemClock, nowMs: () => clock.nowMs }, userAgent: 'countersign/test' });
    start([{ name: 'ops', events: null, consumers: null, coalescing, send }]);
    for (let n = 1; n <= 12; n += 1) ask(n, ['person:wei', 'person:ana']);
    await clock.advance(SPELL_MS - 1);
    expect(listening.received).toEqual([]);
    await clock.advance(1);
    await listening.until(1);
    await expect.poll(() => ledger.ends().length, { timeout: 10_000 }).toBe(12);
    const [{ headers, body }, ...others] = listening.received as [(typeof listening.received)[0], ...typeof listening.received];
    expect(others).toEqual([]);
    expect(new Webhook(SECRET).sign(headers['webhook-id']!, new Date(Number(headers['webhook-timestamp']) * 1000), body)).toBe(headers['webhook-signature']);
    expect(read({ body })).toMatchObject({
      type: 'notifications.coalesced', timestamp: '2026-11-23T19:00:00.000Z',
      data: {
        event: 'approval.requested', to: ['person:wei', 'person:ana'], count: 12,
        first: [1, 2, 3].map((n) => ({ type: 'approval.requested', data: { changeId: changeIdOf(n), record: 2 * n - 1, link: `https://cs.example.org/approve#${changeIdOf(n)}` } })),
        rest: Array.from({ length: 9 }, (_, index) => ({ changeId: changeIdOf(index + 4), record: 2 * index + 7 })),
      },
    });
    expect(ledger.ends()).toEqual(Array.from({ length: 12 }, (_, index) => ({ delivered: { webhook: 'ops', event: 'approval.requested', about: 2 * index + 1, attempts: 1, message: headers['webhook-id'] } })));
  });

  it('is told to other people by itself, and by at most so many a message', async () => {
    const { clock, start, ask } = bench();
    const ops = scripted();
    start([ops]);
    for (let n = 1; n <= COALESCED_MAX + 50; n += 1) ask(n, n % 25 === 0 ? ['person:ben'] : ['person:wei']);
    await clock.advance(SPELL_MS);
    const of = ops.messages.map((one) => read(one)).map((one) => (one.type === 'notifications.coalesced' ? [one.data.to, one.data.count] : one.type));
    expect(of).toEqual([[['person:wei'], COALESCED_MAX], [['person:wei'], 40], [['person:ben'], 10]]);
  });

  it('is told one by one where it is no more than three', async () => {
    const { clock, ledger, start, ask } = bench();
    const ops = scripted();
    start([ops]);
    for (const n of [1, 2, 3]) ask(n);
    await clock.advance(SPELL_MS);
    expect(typesOf(ops.messages)).toEqual(['approval.requested', 'approval.requested', 'approval.requested']);
    expect(ledger.ends().some((end) => 'message' in Object.values(end)[0]!)).toBe(false);
  });

  it('is told at once, each by itself, to a receiver that does not want it together', async () => {
    const { clock, start, ask } = bench();
    const ops = { ...scripted(), coalescing: undefined };
    start([ops]);
    for (let n = 1; n <= 12; n += 1) ask(n);
    await clock.settle();
    expect(ops.messages).toHaveLength(12);
  });

  it('holds up nothing that is urgent, and hides nothing of it', async () => {
    const { clock, start, ask, happen } = bench();
    const ops = scripted();
    start([ops]);
    for (let n = 1; n <= 12; n += 1) ask(n);
    for (let n = 21; n <= 30; n += 1) ask(n, ['person:wei'], EMERGENCY);
    for (let n = 31; n <= 35; n += 1) happen(changeIdOf(n), requested(ROTATE), found('policy-fault'), found('revoke-overdue'));
    happen(changeIdOf(40), requested(OFFBOARD), decided(planOf(changeIdOf(40), OFFBOARD), 'allow'), { type: 'item.settled', actor: 'sidecar:x', body: { item: 0, outcome: 'open', owner: 'person:olga', detail: 'still there' } });
    await clock.settle();
    const now = typesOf(ops.messages);
    expect(now.filter((type) => type === 'approval.requested')).toHaveLength(10);
    expect(now.filter((type) => type === 'change.stuck')).toHaveLength(5);
    expect(now.filter((type) => type === 'revoke.overdue')).toHaveLength(5);
    expect(now).toContain('offboarding.item');
    expect(now).not.toContain('notifications.coalesced');
    await clock.advance(SPELL_MS);
    expect(typesOf(ops.messages).filter((type) => type === 'notifications.coalesced')).toHaveLength(1);
  });
});

describe('a restart', () => {
  it('while others are waited for tells of all of them, in one message', async () => {
    const { clock, ledger, start, ask } = bench();
    const ops = scripted();
    const first = start([ops]);
    for (let n = 1; n <= 6; n += 1) ask(n);
    await clock.settle();
    await first.close();
    expect(ops.messages).toEqual([]);
    start([ops]);
    await clock.advance(SPELL_MS);
    expect(ops.messages.map(read)).toMatchObject([{ data: { count: 6 } }]);
    expect(ledger.ends()).toHaveLength(6);
  });

  it('before what was told is on record tells it again by the same id, however much later', async () => {
    const { clock, ledger, start, ask } = bench();
    const ops = scripted();
    ledger.broken = true;
    const first = start([ops]);
    for (let n = 1; n <= 6; n += 1) ask(n);
    await clock.advance(SPELL_MS);
    expect(ops.messages).toHaveLength(1);
    await first.close();
    ledger.broken = false;
    await clock.advance(3_600_000);
    start([ops]);
    await clock.advance(SPELL_MS);
    expect(ops.messages).toHaveLength(2);
    expect(ops.messages[0]).toEqual(ops.messages[1]);
    expect(ledger.ends()).toHaveLength(6);
  });
});

it('is told by another id together with what was late for its spell: what is known by an id is not looked at again', async () => {
  const { clock, ledger, start, ask } = bench();
  const ops = scripted();
  ledger.broken = true;
  const first = start([ops]);
  for (let n = 1; n <= 4; n += 1) ask(n);
  await clock.advance(SPELL_MS);
  await first.close();
  ledger.broken = false;
  ledger.add(changeIdOf(5), START, requested(ROTATE), decided(planOf(changeIdOf(5), ROTATE), 'needsApproval', { approvers: ['person:wei'], approvalsBy: '2026-11-24T19:00:00.000Z' }));
  start([ops]);
  await clock.settle();
  await clock.advance(1);
  expect(ops.messages.map(read)).toMatchObject([{ data: { count: 4 } }, { data: { count: 5 } }]);
  expect(ops.messages[0]!.id).not.toBe(ops.messages[1]!.id);
});

it('tells each of them, in one message or another, and records each once, whatever fails in whatever order', async () => {
  for (let seed = 1; seed <= 12; seed += 1) {
    const random = randomOf(seed);
    const chance = (of: number): boolean => random() < of;
    const { clock, ledger, start, ask, happen } = bench();
    const ops = scripted();
    const accepted: NotificationMessage[] = [];
    const seen = new Set<string>();
    const receiver: Receiver = {
      ...ops,
      send: async (message) => {
        if (chance(0.2)) return { delivered: false, gone: false, reason: 'answered 500' };
        // As the page says: what is known by its id is not looked at again.
        if (!seen.has(message.id)) accepted.push(read(message));
        seen.add(message.id);
        // Taken in, and the answer lost.
        return chance(0.1) ? { delivered: false, gone: false, reason: 'was cut off' } : { delivered: true };
      },
    };
    let running = start([receiver]);
    let n = 0;
    for (let turn = 0; turn < 25; turn += 1) {
      ledger.broken = chance(0.15);
      const people = chance(0.5) ? ['person:wei'] : ['person:ana', 'person:ben'];
      for (let left = Math.floor(random() * 8); left > 0; left -= 1) {
        n += 1;
        ask(n, people, chance(0.1) ? EMERGENCY : ROTATE);
        if (chance(0.3)) happen(changeIdOf(n), verdictOf(planOf(changeIdOf(n), ROTATE), people[0]!, 'reject'));
        else if (chance(0.2)) happen(changeIdOf(n), { type: 'change.withdrawn', actor: 'person:ana', body: { comment: null } });
        else if (chance(0.1)) happen(changeIdOf(n), found('policy-fault'));
        if (chance(0.5)) await clock.advance(Math.floor(random() * 2_000));
      }
      await clock.advance(Math.floor(random() * 8_000));
      if (chance(0.25)) {
        await running.close();
        running = start([receiver]);
      }
    }
    ledger.broken = false;
    await clock.advance(12 * 3_600_000);
    const all = ledger.told.flatMap((told) => notificationsOf(told, () => [])).map(({ about, payload }) => keyOf(about, payload.type)).sort();
    const said = accepted.flatMap(toldIn);
    expect([seed, [...new Set(said)].sort()]).toEqual([seed, all]);
    expect([seed, ledger.ends().map(keyOfEnd).sort()]).toEqual([seed, all]);
    for (const message of accepted) {
      const records = toldIn(message).map((key) => Number(key.split(' ')[0]));
      expect(records).toEqual([...records].sort((a, b) => a - b));
    }
    expect(accepted.some(({ type }) => type === 'notifications.coalesced')).toBe(true);
    for (const close of closing.splice(0).reverse()) await close();
  }
});
