import { Webhook } from 'standardwebhooks';
import { afterEach, describe, expect, it } from 'vitest';
import type { ChangeState } from '../../src/change/state.ts';
import { notificationOfProposal } from '../../src/notify/derive.ts';
import { startNotifier, type Notifier, type NotifierOptions } from '../../src/notify/notifier.ts';
import type { NotificationEnd, Receiver } from '../../src/notify/queue.ts';
import { webhookSender, type Message, type Outcome } from '../../src/notify/webhook.ts';
import { systemClock } from '../../src/sidecar/system.ts';
import { fakeClock, type FakeClock } from '../support/fake-clock.ts';
import { changeIdOf, decided, found, listen, LOG_ID, memoryLedger, memoryLogger, planOf, requested, ROTATE, SECRET, type Listening, type Logged, type MemoryLedger } from './support.ts';

const HOUR = 3_600_000;
const START = Date.parse('2026-11-23T19:00:00.000Z');
const NO: Outcome = { delivered: false, gone: false, reason: 'answered 500' };
const YES: Outcome = { delivered: true };

interface Bench {
  readonly clock: FakeClock;
  readonly ledger: MemoryLedger;
  readonly logger: Logged;
  /** A process: ends where the last one does. */
  start(receivers: readonly Receiver[], more?: Partial<NotifierOptions>): Notifier;
  /** Something is found wrong with that change, and taken by the notifier. */
  happen(n: number): void;
}

const closing: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

function bench(): Bench {
  const clock = fakeClock(START);
  const ledger = memoryLedger(() => clock.nowMs);
  const logger = memoryLogger();
  let notifier: Notifier | null = null;
  return {
    clock, ledger, logger,
    start(receivers, more = {}) {
      const port = clock.port();
      const started = startNotifier({
        logId: LOG_ID, receivers, history: (sinceMs) => ledger.history(sinceMs), durable: () => Promise.resolve(), glassReviewers: () => [], clock: port,
        random: (length) => Uint8Array.from({ length }, (_, index) => (index === 0 ? 128 : 0)), record: (changeId, end) => ledger.record(changeId, end), logger, ...more,
      });
      closing.push(() => started.close());
      return (notifier = started);
    },
    happen(n) {
      const { state, events } = ledger.add(changeIdOf(n), clock.nowMs, requested(ROTATE), found('policy-fault'));
      notifier?.take(state, events);
    },
  };
}

interface Scripted extends Receiver {
  readonly messages: readonly Message[];
  answer: Outcome;
}
/** A receiver that takes note and answers as it is told to. */
function scripted(name = 'ops', more: Partial<Pick<Receiver, 'events' | 'consumers'>> = {}): Scripted {
  const messages: Message[] = [];
  const receiver: Scripted = {
    name, events: null, consumers: null, ...more, messages, answer: YES,
    send: async (message) => {
      messages.push(message);
      return receiver.answer;
    },
  };
  return receiver;
}

describe('what happens', () => {
  it('is told once, and recorded with the change', async () => {
    const { clock, ledger, start, happen } = bench();
    const ops = scripted();
    start([ops]);
    happen(1);
    await clock.advance(72 * HOUR);
    expect(ops.messages).toHaveLength(1);
    expect(JSON.parse(ops.messages[0]!.body)).toMatchObject({ type: 'change.stuck', timestamp: '2026-11-23T19:00:00.000Z', data: { record: 1, code: 'policy-fault' } });
    expect(ledger.ends()).toEqual([{ delivered: { webhook: 'ops', event: 'change.stuck', about: 1, attempts: 1 } }]);
    expect(ledger.told.at(-1)!.event.changeId).toBe(changeIdOf(1));
  });

  it('is told to who is asked once standing approvals have had their try: to nobody of what they approve, and to whoever is still needed', async () => {
    const use = (approver: string, seq = 90) => ({ approval: { approvalId: `apr_${'1'.repeat(32)}`, proofClass: 'ssh', envelope: { payloadType: 'x', payload: '', signatures: [] }, use: 1 }, statement: { approver }, seq });
    const after: Record<string, (state: ChangeState) => Partial<ChangeState>> = {
      [changeIdOf(1)]: () => ({ name: 'scheduled', approvals: [use('person:ana')] as unknown as ChangeState['approvals'] }),
      [changeIdOf(2)]: () => ({ requirement: { approvers: { allOf: ['person:ana', 'person:wei'] }, proofClass: 'session' }, approvals: [use('person:ana')] as unknown as ChangeState['approvals'] }),
      // A person was faster than the message: that is told as ever.
      [changeIdOf(3)]: () => ({ name: 'scheduled' }),
    };
    const { clock, ledger, start } = bench();
    const ops = scripted('ops', { events: ['approval.requested'] });
    const states = new Map<string, ChangeState>();
    let release = (): void => undefined;
    const held = new Promise<void>((resolve) => (release = resolve));
    const tried = async (changeId: string): Promise<ChangeState> => {
      await held;
      return { ...states.get(changeId)!, ...after[changeId]!(states.get(changeId)!) };
    };
    const notifier = start([ops], { tried });
    for (const n of [1, 2, 3]) {
      const { state, events } = ledger.add(changeIdOf(n), clock.nowMs, requested(ROTATE), decided(planOf(changeIdOf(n), ROTATE), 'needsApproval', { approvers: ['person:ana', 'person:wei'] }));
      states.set(changeIdOf(n), state);
      notifier.take(state, events);
    }
    await clock.advance(HOUR);
    expect(ops.messages).toEqual([]);
    release();
    await clock.advance(HOUR);
    const told = (): unknown[] => ops.messages.map(({ body }) => JSON.parse(body) as { data: { changeId: string; approvers: string[] } }).map(({ data }) => [data.changeId, data.approvers]);
    expect(told()).toEqual([[changeIdOf(2), ['person:wei']], [changeIdOf(3), ['person:ana', 'person:wei']]]);
    // Nor after a start again, when it is read out of the ledger.
    await notifier.close();
    start([ops], { tried });
    await clock.advance(HOUR);
    expect(told()).toHaveLength(2);
  });

  it('is told of a policy bundle as well, which no change records; and of none that has waited for too long', async () => {
    const { clock, ledger, logger, start } = bench();
    const ops = scripted();
    const notifier = start([ops]);
    const proposal = { proposalId: `prp_${'0'.repeat(26)}`, bundle: `sha256:${'1'.repeat(64)}`, revision: '7', listing: null, signature: null, approvals: [], outcome: 'waiting', rejected: null, seq: 9 } as const;
    ops.answer = NO;
    notifier.tell(notificationOfProposal({ ...proposal, atMs: START - 72 * HOUR }, ['person:ana']));
    notifier.tell(notificationOfProposal({ ...proposal, atMs: START }, ['person:ana']));
    await clock.settle();
    ops.answer = YES;
    await clock.advance(72 * HOUR);
    expect(ops.messages.map(({ body }) => (JSON.parse(body) as { timestamp: string }).timestamp)).toEqual(['2026-11-23T19:00:00.000Z', '2026-11-23T19:00:00.000Z']);
    expect(new Set(ops.messages.map(({ id }) => id)).size).toBe(1);
    expect(ledger.ends()).toEqual([]);
    expect(logger.lines.filter(({ message }) => message.includes('could not be recorded'))).toEqual([]);
  });

  it('is told to each receiver by an id of its own', async () => {
    const { clock, ledger, start, happen } = bench();
    const [ops, audit] = [scripted('ops'), scripted('audit')];
    start([ops, audit]);
    happen(1);
    await clock.settle();
    expect(ledger.ends()).toHaveLength(2);
    expect(ops.messages[0]!.id).not.toBe(audit.messages[0]!.id);
    expect(ops.messages[0]!.body).toBe(audit.messages[0]!.body);
  });

  it('is told to those who want to hear of it', async () => {
    const { clock, ledger, start } = bench();
    const [all, overdue, shop, stranger] = [scripted('all'), scripted('overdue', { events: ['revoke.overdue'] }), scripted('shop', { consumers: ['shop', 'other'] }), scripted('stranger', { consumers: ['other'] })];
    const notifier = start([all, overdue, shop, stranger]);
    const window = { calendar: 'nights', opensAt: '2026-11-23T22:00:00.000Z', closesAt: '2026-11-23T23:00:00.000Z', onMissed: 'expire' as const, consumers: ['shop'] };
    const { state, events } = ledger.add(changeIdOf(1), clock.nowMs, requested(ROTATE), found('policy-fault'), found('revoke-overdue'), { type: 'window.opened', actor: 'sidecar:x', body: window });
    notifier.take(state, events);
    await clock.settle();
    const told = ({ messages }: Scripted): unknown[] => messages.map(({ body }) => (JSON.parse(body) as { type: string }).type);
    expect([all, overdue, shop, stranger].map(told)).toEqual([['change.stuck', 'revoke.overdue', 'window.opened'], ['revoke.overdue'], ['window.opened'], []]);
  });

  it('is told only once its record is durable', async () => {
    const { clock, start, happen } = bench();
    const ops = scripted();
    const waiting: (() => void)[] = [];
    start([ops], { durable: () => new Promise((resolve) => void waiting.push(resolve)) });
    happen(1);
    await clock.settle();
    expect([waiting.length, ops.messages.length]).toEqual([2, 0]);
    for (const durable of waiting) durable();
    await clock.settle();
    expect(ops.messages).toHaveLength(1);
  });

  it('is told once where the history says it before it has been heard to be durable', async () => {
    const { clock, start, happen, ledger } = bench();
    const ops = scripted();
    const waiting: (() => void)[] = [];
    start([ops], { durable: () => new Promise((resolve) => void waiting.push(resolve)) });
    happen(1);
    const [beforeHistory, beforeTaken] = waiting;
    beforeHistory!();
    await clock.settle();
    beforeTaken!();
    await clock.settle();
    expect(ops.messages).toHaveLength(1);
    expect(ledger.ends()).toHaveLength(1);
  });

  it('is not told while its record may yet be lost, which is said aloud', async () => {
    const { clock, start, happen, logger } = bench();
    const ops = scripted();
    start([ops], { durable: () => Promise.reject(new Error('the disk is full')) });
    happen(1);
    await clock.advance(HOUR);
    expect(ops.messages).toHaveLength(0);
    expect(new Set(logger.lines.map(({ level }) => level))).toEqual(new Set(['error']));
    expect(logger.lines.map(({ message }) => message)).toContain('receivers are not told of a record that may not be durable');
  });

  it('is told though it was sequenced before anybody listened', async () => {
    const { clock, ledger, start } = bench();
    const ops = scripted();
    let durable = (): void => undefined;
    const late = new Promise<void>((resolve) => (durable = resolve));
    start([ops], { durable: () => late });
    // In the ledger only once it is durable, and given to no `take`.
    ledger.add(changeIdOf(1), clock.nowMs, requested(ROTATE), found('policy-fault'));
    durable();
    await clock.settle();
    expect(ledger.ends()).toHaveLength(1);
  });

  it('is told few at a time, and all of it', async () => {
    const { clock, ledger, start, happen } = bench();
    let [now, most] = [0, 0];
    const waiting: (() => void)[] = [];
    const slow: Receiver = {
      name: 'slow', events: null, consumers: null,
      send: () => new Promise((resolve) => {
        most = Math.max(most, (now += 1));
        waiting.push(() => {
          now -= 1;
          resolve(YES);
        });
      }),
    };
    const quick = scripted('quick');
    start([slow, quick]);
    for (let n = 0; n < 20; n += 1) happen(n);
    await clock.settle();
    expect(quick.messages).toHaveLength(20);
    expect(waiting).toHaveLength(4);
    while (waiting.length > 0) {
      waiting.shift()!();
      await clock.settle();
    }
    expect([most, ledger.ends().length]).toEqual([4, 40]);
  });

  it('costs nothing where nobody is to be told', async () => {
    const { start, happen, ledger } = bench();
    const notifier = start([], { history: () => { throw new Error('read for nobody'); } });
    happen(1);
    await notifier.close();
    expect(ledger.ends()).toEqual([]);
  });
});

describe('a receiver that does not take it in', () => {
  it('is told again, ever more slowly, between 5 seconds and an hour, and by the same id', async () => {
    const { clock, ledger, start, happen } = bench();
    const at: number[] = [];
    const ops = scripted();
    ops.answer = NO;
    start([{ ...ops, send: (message, signal) => (at.push(clock.nowMs), ops.send(message, signal)) }]);
    happen(1);
    await clock.advance(71 * HOUR);
    const waits = at.slice(1).map((ms, index) => ms - at[index]!);
    expect(waits.slice(0, 4)).toEqual([7_500, 15_000, 30_000, 60_000]);
    expect(waits.slice(12).every((ms) => ms === 2_700_000)).toBe(true);
    expect(new Set(ops.messages.map(({ id }) => id)).size).toBe(1);
    ops.answer = YES;
    await clock.advance(HOUR - 1);
    expect(ledger.ends()).toEqual([{ delivered: { webhook: 'ops', event: 'change.stuck', about: 1, attempts: ops.messages.length } }]);
  });

  it.each([[0, 5_000, 1_800_000], [255, 10_000, 3_600_000]])('is given time by chance, within bounds (%i)', async (byte, first, longest) => {
    const { clock, start, happen } = bench();
    const at: number[] = [];
    start([{ name: 'ops', events: null, consumers: null, send: async () => (at.push(clock.nowMs), NO) }], { random: (length) => new Uint8Array(length).fill(byte) });
    happen(1);
    await clock.advance(71 * HOUR);
    const waits = at.slice(1).map((ms, index) => ms - at[index]!);
    expect([Math.min(...waits), Math.max(...waits)]).toEqual([first, longest]);
  });

  it('for three days is told no more: that is recorded, and said aloud', async () => {
    const { clock, ledger, logger, start, happen } = bench();
    const ops = scripted();
    ops.answer = NO;
    start([ops]);
    happen(1);
    await clock.advance(72 * HOUR - 1);
    expect(ledger.ends()).toEqual([]);
    await clock.advance(1);
    const attempts = ops.messages.length;
    expect(ledger.ends()).toEqual([{ failed: { webhook: 'ops', event: 'change.stuck', about: 1, attempts, reason: 'answered 500' } }]);
    await clock.advance(72 * HOUR);
    expect(ops.messages).toHaveLength(attempts);
    expect(logger.lines.map(({ level }) => level)).toEqual(['warn', 'error']);
    expect(logger.lines.at(-1)!.fields).toMatchObject({ webhook: 'ops', event: 'change.stuck', changeId: changeIdOf(1), reason: 'answered 500' });
  });

  it('and says Gone is asked no more', async () => {
    const { clock, ledger, start, happen } = bench();
    const ops = scripted();
    ops.answer = { delivered: false, gone: true, reason: 'answered 410' };
    start([ops]);
    happen(1);
    await clock.advance(72 * HOUR);
    expect(ops.messages).toHaveLength(1);
    expect(ledger.ends()).toEqual([{ failed: { webhook: 'ops', event: 'change.stuck', about: 1, attempts: 1, reason: 'answered 410' } }]);
  });

  it('holds up no other, nor what comes after', async () => {
    const { clock, ledger, start, happen } = bench();
    const bad: Receiver = { name: 'bad', events: null, consumers: null, send: async ({ body }) => (body.includes(changeIdOf(1)) ? NO : YES) };
    const good = scripted('good');
    start([bad, good]);
    for (const n of [1, 2, 3]) happen(n);
    await clock.settle();
    expect(ledger.ends()).toHaveLength(5);
  });

  it('is said to fail once, and to be well again once', async () => {
    const { clock, logger, start, happen } = bench();
    const ops = scripted();
    ops.answer = NO;
    start([ops]);
    for (const n of [1, 2, 3]) happen(n);
    await clock.advance(HOUR);
    ops.answer = YES;
    await clock.advance(2 * HOUR);
    expect(logger.lines.map(({ level, message }) => [level, message])).toEqual([['warn', 'a receiver cannot be told; it is tried again'], ['info', 'a receiver can be told again']]);
  });
});

describe('a restart', () => {
  it('tells what was not told, by the id that it had, and nothing that was', async () => {
    const { clock, ledger, start, happen } = bench();
    const ops = scripted();
    const first = start([ops]);
    happen(1);
    await clock.settle();
    ops.answer = NO;
    happen(2);
    await clock.advance(HOUR);
    await first.close();
    const before = ops.messages.at(-1)!;
    const count = ops.messages.length;
    await clock.advance(HOUR);
    expect(ops.messages).toHaveLength(count);
    ops.answer = YES;
    start([ops]);
    await clock.advance(HOUR);
    expect(ops.messages.slice(count)).toEqual([before]);
    expect(ledger.ends().map((end) => ('delivered' in end ? end.delivered.about : null))).toEqual([1, 4]);
    start([ops]);
    await clock.advance(HOUR);
    expect(ops.messages).toHaveLength(count + 1);
  });

  it('while a receiver is being told waits for nobody, and tells it again', async () => {
    const { clock, ledger, logger, start, happen } = bench();
    let aborted = false;
    const hanging: Receiver = {
      name: 'ops', events: null, consumers: null,
      send: (_message, signal) => new Promise((resolve) => signal.addEventListener('abort', () => {
        aborted = true;
        resolve({ delivered: false, gone: false, reason: 'the sidecar is closing' });
      })),
    };
    const first = start([hanging]);
    happen(1);
    await clock.settle();
    await first.close();
    expect([aborted, ledger.ends(), logger.lines]).toEqual([true, [], []]);
    const ops = scripted();
    start([ops]);
    await clock.settle();
    expect(ledger.ends()).toEqual([{ delivered: { webhook: 'ops', event: 'change.stuck', about: 1, attempts: 1 } }]);
  });

  it('tells nothing that is older than three days', async () => {
    const { clock, ledger, start, happen } = bench();
    happen(1);
    await clock.advance(HOUR);
    happen(2);
    await clock.advance(71 * HOUR);
    const ops = scripted();
    start([ops]);
    await clock.settle();
    expect(ledger.ends()).toEqual([{ delivered: { webhook: 'ops', event: 'change.stuck', about: 3, attempts: 1 } }]);
  });

  it('tells nothing older of a change that something has happened to since', async () => {
    const { clock, ledger, start, happen } = bench();
    happen(1);
    await clock.advance(72 * HOUR);
    ledger.add(changeIdOf(1), clock.nowMs, found('revoke-overdue'));
    start([scripted()]);
    await clock.settle();
    expect(ledger.ends()).toEqual([{ delivered: { webhook: 'ops', event: 'revoke.overdue', about: 2, attempts: 1 } }]);
  });

  it('gives up at the end of the three days since the record, not since the restart', async () => {
    const { clock, ledger, start, happen } = bench();
    happen(1);
    await clock.advance(71 * HOUR);
    const ops = scripted();
    ops.answer = NO;
    start([ops]);
    await clock.advance(HOUR);
    expect(ledger.ends()).toEqual([{ failed: { webhook: 'ops', event: 'change.stuck', about: 1, attempts: ops.messages.length, reason: 'answered 500' } }]);
  });

  it('whose ledger cannot be read at once tells what comes, and what was once it can', async () => {
    const { clock, ledger, logger, start, happen } = bench();
    happen(1);
    let readable = false;
    const ops = scripted();
    start([ops], { history: (sinceMs) => { if (!readable) throw new Error('EIO'); return ledger.history(sinceMs); } });
    happen(2);
    await clock.settle();
    expect(ledger.ends()).toHaveLength(1);
    readable = true;
    await clock.advance(HOUR);
    expect(ledger.ends().map((end) => ('delivered' in end ? end.delivered.about : null))).toEqual([3, 1]);
    expect(ops.messages).toHaveLength(2);
    expect(logger.lines.filter(({ level }) => level === 'error')).toHaveLength(1);
  });

  it('tells nothing twice that comes while the ledger is still being read', async () => {
    const { clock, ledger, start, happen } = bench();
    happen(1);
    let go = (): void => undefined;
    const gate = new Promise<void>((resolve) => (go = resolve));
    const ops = scripted();
    start([ops], {
      history: async function* (sinceMs) {
        await Promise.resolve();
        const snapshot = [];
        for await (const told of ledger.history(sinceMs)) snapshot.push(told);
        await gate;
        yield* snapshot;
      },
    });
    // Sequenced before the snapshot is taken, told before it has been read.
    happen(2);
    await clock.settle();
    expect(ledger.ends()).toHaveLength(1);
    go();
    await clock.advance(HOUR);
    expect(ops.messages).toHaveLength(2);
    expect(ledger.ends()).toHaveLength(2);
  });
});

describe('a ledger that cannot be written', () => {
  it('has it recorded later, without telling it again', async () => {
    const { clock, ledger, start, happen } = bench();
    const ops = scripted();
    start([ops]);
    ledger.broken = true;
    happen(1);
    await clock.advance(HOUR);
    expect([ops.messages.length, ledger.ends().length]).toEqual([1, 0]);
    ledger.broken = false;
    await clock.advance(HOUR);
    expect(ledger.ends()).toEqual([{ delivered: { webhook: 'ops', event: 'change.stuck', about: 1, attempts: 1 } }]);
    expect(ops.messages).toHaveLength(1);
  });

  it('means that it is told again after a restart, by the same id', async () => {
    const { clock, ledger, start, happen } = bench();
    const ops = scripted();
    ledger.broken = true;
    const first = start([ops]);
    happen(1);
    await clock.settle();
    await first.close();
    ledger.broken = false;
    start([ops]);
    await clock.settle();
    expect(ops.messages).toHaveLength(2);
    expect(ops.messages[0]).toEqual(ops.messages[1]);
  });
});

describe('over real connections', () => {
  /** A notifier whose days are made up, and whose connections are not. */
  async function real(answer: Parameters<typeof listen>[0]): Promise<Bench & { listening: Listening; receiver: Receiver; pass: (ms: number) => Promise<void> }> {
    const listening = await listen(answer);
    closing.push(() => listening.close());
    const one = bench();
    let busy = 0;
    const sender = webhookSender({ url: `http://127.0.0.1:${listening.port}/`, secrets: [SECRET], allowHttp: true, allowPrivate: true, clock: { ...systemClock, nowMs: () => one.clock.nowMs }, userAgent: 'countersign/test' });
    const receiver: Receiver = {
      name: 'ops', events: null, consumers: null,
      send: async (message, signal) => {
        busy += 1;
        try {
          return await sender(message, signal);
        } finally {
          busy -= 1;
        }
      },
    };
    return {
      ...one, listening, receiver,
      // Half an hour holds at most one attempt once it has failed for a while; each is waited for.
      async pass(ms) {
        for (const endMs = one.clock.nowMs + ms; one.clock.nowMs < endMs;) {
          await one.clock.advance(Math.min(1_700_000, endMs - one.clock.nowMs));
          while (busy > 0) await new Promise((resolve) => setImmediate(resolve));
          await one.clock.settle();
        }
      },
    };
  }
  const signedRight = ({ headers, body }: Listening['received'][number]): boolean =>
    new Webhook(SECRET).sign(headers['webhook-id']!, new Date(Number(headers['webhook-timestamp']) * 1000), body) === headers['webhook-signature'];

  it('a receiver that answers 500 for a day, across a restart, is told when it is well, by one id and a new timestamp each time', async () => {
    let well = false;
    const { listening, receiver, start, happen, pass, ledger } = await real((_request, response) => response.writeHead(well ? 200 : 500).end());
    const first = start([receiver]);
    happen(1);
    await pass(12 * HOUR);
    await first.close();
    const before = listening.received.length;
    expect(before).toBeGreaterThan(10);
    start([receiver]);
    await pass(12 * HOUR);
    expect(listening.received.length).toBeGreaterThan(before + 10);
    expect(ledger.ends()).toEqual([]);
    well = true;
    await pass(2 * HOUR);
    expect(ledger.ends()).toMatchObject([{ delivered: { about: 1 } }]);
    expect(new Set(listening.received.map(({ headers }) => headers['webhook-id'])).size).toBe(1);
    expect(new Set(listening.received.map(({ headers }) => headers['webhook-timestamp'])).size).toBe(listening.received.length);
    expect(listening.received.every(signedRight)).toBe(true);
    const count = listening.received.length;
    await pass(24 * HOUR);
    expect(listening.received).toHaveLength(count);
  });

  it('a receiver that answers 500 for four days is given up, on record', async () => {
    const { start, happen, pass, ledger, receiver, listening } = await real((_request, response) => response.writeHead(500).end());
    start([receiver]);
    happen(1);
    await pass(96 * HOUR);
    const ends: NotificationEnd[] = ledger.ends();
    expect(ends).toEqual([{ failed: { webhook: 'ops', event: 'change.stuck', about: 1, attempts: listening.received.length, reason: 'answered 500' } }]);
  });
});
