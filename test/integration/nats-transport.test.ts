/** The `nats` transport on a real server: what every transport owes, and what only a bus can do wrong. */
import { randomBytes } from 'node:crypto';
import { jetstream, jetstreamManager } from '@nats-io/jetstream';
import { connect, headers, nanos, nkeyAuthenticator, type MsgHdrs, type NatsConnection } from '@nats-io/transport-node';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { until } from '../../examples/demo/check.ts';
import { canonicalBytes } from '../../ledger/index.ts';
import { deriveRevokeOrder } from '../../src/change/derive.ts';
import type { Clock, Transport } from '../../src/engine/ports.ts';
import type { Claim } from '../../src/executor/claims.ts';
import { WorkerError, type Worker } from '../../src/executor/worker.ts';
import { reportMaker } from '../../src/executor/reports.ts';
import { payloadDigest, readPayload } from '../../src/protocol/dsse.ts';
import type { ReportMessage } from '../../src/protocol/envelope.ts';
import { ProtocolError } from '../../src/protocol/errors.ts';
import { revokeOrderSchema, type Dsse } from '../../src/protocol/signed.ts';
import { parseTime } from '../../src/protocol/values.ts';
import { workerKnows } from '../../src/protocol/worker-knows.ts';
import { ack, act, API_PREFIX, arm, claim, delivery, laneOf, result, revoke, say, STREAMS, subjectTokens } from '../../src/transport/nats/bus-layout.ts';
import { natsClaimBoard } from '../../src/transport/nats/claim-board.ts';
import { compareBus, planBus, setUpBus } from '../../src/transport/nats/bus-setup.ts';
import { hear, openBus, type Bus } from '../../src/transport/nats/connection.ts';
import { listenNats, type NatsListener } from '../../src/transport/nats/executor-end.ts';
import { openReporting, type Reporting } from '../../src/transport/nats/reporting.ts';
import { inboxOf } from '../../src/transport/nats/server-config.ts';
import { connectNats } from '../../src/transport/nats/sidecar-end.ts';
import { eventually, farEnd, transportConformance, type FarEnd, type Pair } from '../conformance/transport.ts';
import { makeStep } from '../support/envelopes.ts';
import { signedLock } from '../support/locks.ts';
import { movedClock } from '../support/moved-clock.ts';
import { hasNats, testNats, type TestNats } from '../support/nats.ts';
import { EXECUTOR, keys, logId, sidecar, sign, START_MS } from '../support/story.ts';
import { createBench } from '../support/worker-bench.ts';

const OTHER = 'executor:other';
const clock: Clock = {
  nowMs: () => Date.now(),
  after(delayMs, callback) {
    const timer = setTimeout(callback, delayMs);
    return () => clearTimeout(timer);
  },
};
/** The sidecar's does not move with it. */
const workerClock = movedClock();
const logger = { info: () => undefined, warn: () => undefined, error: () => undefined };
const { plan, order } = makeStep();
const envelopes = Array.from({ length: 20 }, (_, n) => makeStep({ issue: n + 1 }).envelope);
const report = reportMaker(EXECUTOR, keys.executor, { ...clock, nowMs: () => START_MS });
const claimed = (issue: number): ReportMessage => report({ kind: 'claimed', log: logId, changeId: plan.changeId, stepId: plan.steps[0]!.stepId, issue });
const tokens = subjectTokens(keys.ticket);
const lane = laneOf(EXECUTOR);

describe.skipIf(!hasNats())('over a real nats-server', () => {
  let nats: TestNats;
  let admin: NatsConnection;
  const asAdmin = (): Promise<NatsConnection> => connect({ servers: [...nats.urls], authenticator: nkeyAuthenticator(new Uint8Array(Buffer.from(nats.seeds.sidecar))) });
  beforeAll(async () => {
    nats = await testNats([EXECUTOR, OTHER]);
    admin = await asAdmin();
  });
  afterAll(async () => {
    await admin.close();
    await nats.close();
  });

  const newStreams = async (): Promise<void> => {
    const manager = await jetstreamManager(admin);
    for (const name of Object.values(STREAMS)) await manager.streams.delete(name).catch(() => undefined);
    await setUpBus(admin, planBus([EXECUTOR, OTHER], 1));
  };
  const dial = (log = logId): Transport => connectNats({
    log, executors: [EXECUTOR], tokens, clock, logger, answerMs: 2_000,
    bus: openBus({ servers: nats.urls, seed: nats.seeds.sidecar, name: 'sidecar', inboxPrefix: '_INBOX_sidecar', logger }),
  });
  /** Digests of orders for connectors that the worker does not have. */
  const foreign = new Set<string>();
  /** What the worker was asked to tell others and to take up, in order. */
  const told: ('ends' | 'step')[] = [];
  const listen = (far: FarEnd): NatsListener => {
    const fail = (): void => {
      if (far.refusal === null) return;
      far.turnedDown += 1;
      throw far.refusal;
    };
    far.state = { run: randomBytes(8).toString('hex') };
    return listenNats({
      executorId: EXECUTOR, clock: workerClock, logger, ackMs: 1_000,
      bus: openBus({ servers: nats.urls, seed: nats.seeds.executors.get(EXECUTOR)!, name: 'worker', inboxPrefix: inboxOf(lane), logger }),
      worker: {
        async arm(one) {
          fail();
          far.armed.push(one);
        },
        async revoke(one, traceparent) {
          fail();
          far.traceparents.push(traceparent);
          if (foreign.has(payloadDigest(one))) throw new WorkerError('connector', 'no such connector here');
          far.revoked.push(one);
        },
        async lock(one) {
          fail();
          far.locked.push(one);
        },
        locks: () => far.locks,
        state: () => far.state, knows: () => workerKnows(far.state.run, far.floors),
        setAside() {
          far.unreadable += 1;
        },
        step(one, traceparent) {
          told.push('step');
          far.traceparents.push(traceparent);
          far.steps.push(one);
          return far.answer(one);
        },
        connected() {
          far.connections += 1;
        },
        carriedOut: () => Promise.resolve(),
        async tellEnds() {
          told.push('ends');
        },
      },
    });
  };
  const openPair = async (): Promise<Pair> => {
    await newStreams();
    const far = farEnd();
    let listener = listen(far);
    let transport = dial();
    return {
      audience: EXECUTOR, far, holds: true, sidecar: () => transport,
      report: (message) => listener.send(message),
      showLock: (lock) => listener.tellLock(lock),
      async restartExecutor() {
        await listener.close();
        listener = listen(far);
      },
      async restartSidecar() {
        await transport.close();
        transport = dial();
      },
      stopExecutor: () => listener.close(),
      async close() {
        await transport.close();
        await listener.close();
      },
    };
  };

  transportConformance('nats', openPair, { envelope: (n) => envelopes[n]!, order: order!, orderDue: (n, dueMs) => sign.order(deriveRevokeOrder(plan, EXECUTOR, dueMs, 'leaseEnd', `person:n${n}`)!), lock: signedLock(), reports: [claimed(1), claimed(2)] });

  test('a lock that one sidecar sets is held by every worker that is there, by one that comes later, and shown to the other sidecars', async () => {
    await newStreams();
    const open: { close(): Promise<void> }[] = [];
    const startWorker = async (): Promise<Worker> => {
      const ends: { listener: NatsListener | null } = { listener: null };
      const bench = createBench({ heard: (lock) => ends.listener?.tellLock(lock) });
      const worker = await bench.start();
      // On the bench all chance is the same.
      const run = randomBytes(8).toString('hex');
      ends.listener = listenNats({
        executorId: EXECUTOR, clock, logger, ackMs: 1_000, worker: { ...worker, state: () => ({ ...worker.state(), run }) },
        bus: openBus({ servers: nats.urls, seed: nats.seeds.executors.get(EXECUTOR)!, name: 'worker', inboxPrefix: inboxOf(lane), logger }),
      });
      open.push(ends.listener);
      return worker;
    };
    const [a, b] = [dial(), dial('b'.repeat(16))];
    open.push(a, b);
    const heard: Dsse[] = [];
    b.onLock((one) => heard.push(one));
    let connections = 0;
    a.onConnected(() => (connections += 1));
    const workers = [await startWorker(), await startWorker()];
    await eventually(() => connections === 2 && b.isConnected(EXECUTOR));
    const lock = signedLock();
    await a.publishLock(EXECUTOR, lock);
    expect(workers.map((worker) => worker.locks())).toEqual([[lock], [lock]]);
    await eventually(() => heard.length > 0);
    expect(heard[0]).toEqual(lock);
    // One whose book is new hears of it when the sidecar finds it: it is told again.
    const third = await startWorker();
    await eventually(() => connections === 3);
    await a.publishLock(EXECUTOR, lock);
    expect(third.locks()).toEqual([lock]);
    // A stranger's is turned down by all of them.
    await expect(a.publishLock(EXECUTOR, signedLock({}, keys.stranger))).rejects.toMatchObject({ code: 'rejected' });
    for (const one of open.reverse()) await one.close();
  });

  describe('a bus', () => {
    let pair: Pair;
    afterEach(() => pair.close());
    const opened = async (): Promise<Pair> => {
      pair = await openPair();
      await eventually(() => pair.sidecar().isConnected(EXECUTOR));
      return pair;
    };
    const dueIn = (ms: number): Dsse => sign.order(deriveRevokeOrder(plan, EXECUTOR, Date.now() + ms, 'early', sidecar)!);
    /** A connection of a worker: all that its account lets it do, it may try. */
    const asWorker = (executor: string): Promise<NatsConnection> => connect({
      servers: [...nats.urls], authenticator: nkeyAuthenticator(new Uint8Array(Buffer.from(nats.seeds.executors.get(executor)!))), inboxPrefix: inboxOf(laneOf(executor)),
    });
    const messagesIn = async (stream: string): Promise<number> => (await (await jetstreamManager(admin)).streams.info(stream)).state.messages;

    test('hands an armed order over when it is due and not before, once, with no sidecar alive', async () => {
      const { far, sidecar: end } = await opened();
      const armed = dueIn(1_000);
      await end().arm(EXECUTOR, armed);
      await end().arm(EXECUTOR, armed);
      await end().close();
      expect(far.revoked).toEqual([]);
      await eventually(() => far.revoked.length > 0);
      expect(Date.now()).toBeGreaterThanOrEqual(parseTime(readPayload(armed, revokeOrderSchema).notBefore));
      expect(far.revoked).toEqual([armed]);
      // Armed once more, as after a restart: it has fired already, and does not fire again.
      const again = dial();
      await eventually(() => again.isConnected(EXECUTOR));
      await again.arm(EXECUTOR, armed);
      await again.publishStep(EXECUTOR, envelopes[0]!);
      expect(far.revoked).toEqual([armed]);
      await again.close();
    });

    test('keeps what it has said that it holds when it is killed with -9', async () => {
      const { far, sidecar: end, stopExecutor, restartExecutor } = await opened();
      const armed = dueIn(300);
      await stopExecutor();
      await end().arm(EXECUTOR, armed);
      await end().publishStep(EXECUTOR, envelopes[3]!).catch(() => undefined);
      await nats.nodes[0]!.kill9();
      await expect(end().publishRevoke(EXECUTOR, armed)).rejects.toMatchObject({ code: 'unreachable' });
      await nats.nodes[0]!.start();
      await admin.close();
      admin = await asAdmin();
      await restartExecutor();
      await eventually(() => far.revoked.length > 0 && far.steps.length > 0);
      expect([far.revoked[0], far.steps[0]]).toEqual([armed, envelopes[3]]);
    });

    test('that was gone for a moment is told what was taken back meanwhile before a step is taken off it', async () => {
      const { sidecar: end } = await opened();
      await end().publishStep(EXECUTOR, envelopes[5]!);
      expect(told.splice(0).at(-1)).toBe('step');
      await nats.nodes[0]!.kill9();
      await nats.nodes[0]!.start();
      await admin.close();
      admin = await asAdmin();
      await until('the step is taken up', () => end().publishStep(EXECUTOR, envelopes[6]!), { timeoutMs: 15_000 });
      expect(told.indexOf('ends')).toBe(0);
      expect(told).toContain('step');
    });

    test('that was wiped is set up and filled again', async () => {
      const { far, sidecar: end } = await opened();
      await end().publishStep(EXECUTOR, envelopes[0]!);
      await newStreams();
      const armed = dueIn(200);
      await eventually(() => true);
      const arming = async (): Promise<void> => end().arm(EXECUTOR, armed).catch(arming);
      await arming();
      await eventually(() => far.revoked.length > 0);
      const received: ReportMessage[] = [];
      end().onReport(async (_audience, message) => void received.push(message));
      const reporting = async (): Promise<void> => pair.report(claimed(1)).catch(reporting);
      await reporting();
      expect(received[0]).toEqual(claimed(1));
    });

    describe('holds one message of a report', () => {
      const tries = async (count: number): Promise<void> => {
        for (let n = 0; n < count; n += 1) await expect(pair.report(claimed(1))).rejects.toThrow();
      };
      const fetched = (end: Transport): ReportMessage[] => {
        const received: ReportMessage[] = [];
        end.onReport(async (_audience, message) => void received.push(message));
        return received;
      };
      const untilTaken = async (): Promise<void> => pair.report(claimed(1)).catch(untilTaken);

      test('however long its sidecar is away, however often the worker starts, and whichever other sidecar comes', async () => {
        const { far, sidecar: end, restartExecutor, restartSidecar } = await opened();
        await end().close();
        await tries(2);
        // A hello that was on its way asks for it once more.
        const held = await messagesIn(STREAMS.results);
        expect(held).toBeLessThanOrEqual(2);
        await tries(3);
        expect(await messagesIn(STREAMS.results)).toBe(held);
        await restartExecutor();
        await tries(2);
        expect(await messagesIn(STREAMS.results)).toBe(held);
        const before = far.connections;
        const other = dial('b'.repeat(16));
        await eventually(() => far.connections > before);
        await tries(2);
        expect(await messagesIn(STREAMS.results)).toBe(held);
        await other.close();
        await restartSidecar();
        const received = fetched(pair.sidecar());
        await untilTaken();
        expect(received[0]).toEqual(claimed(1));
      });

      test('that its sidecar does not believe, until that one starts again', async () => {
        const { sidecar: end, restartSidecar } = await opened();
        end().onReport(() => Promise.reject(new ProtocolError('bad-signature', 'not of any key here')));
        await tries(2);
        const held = await messagesIn(STREAMS.results);
        expect(held).toBeLessThanOrEqual(2);
        await tries(4);
        expect(await messagesIn(STREAMS.results)).toBe(held);
        await restartSidecar();
        const received = fetched(pair.sidecar());
        await untilTaken();
        expect(received[0]).toEqual(claimed(1));
      });

      test('that its sidecar did not believe, and then asks that one, which is there, to say hello', async () => {
        const { sidecar: end } = await opened();
        end().onReport(() => Promise.reject(new ProtocolError('bad-signature', 'not of any key here')));
        await tries(3);
        const received = fetched(end());
        await tries(2);
        expect(received).toEqual([]);
        workerClock.move(600_000);
        await untilTaken();
        expect(received[0]).toEqual(claimed(1));
      });

      describe('whose answer may have been lost', () => {
        let bus: Bus;
        let reporting: Reporting;
        let asked = 0;
        const opening = async (): Promise<void> => {
          pair = await opened();
          await pair.sidecar().close();
          await pair.stopExecutor();
          bus = openBus({ servers: nats.urls, seed: nats.seeds.executors.get(EXECUTOR)!, name: 'worker', inboxPrefix: inboxOf(lane), logger });
          await until('the bus is up', () => (bus.isUp ? true : undefined), { timeoutMs: 20_000 });
          asked = 0;
          reporting = openReporting({ lane, bus, clock: workerClock, ackMs: 500, askForHello: () => (asked += 1) });
        };
        afterEach(() => bus.close());

        test('and asks for a hello after a while, once for all that wait, and publishes none before it comes', async () => {
          await opening();
          const unanswered = async (...issues: number[]): Promise<void> => {
            for (const issue of issues) await expect(reporting.send(claimed(issue))).rejects.toMatchObject({ code: 'unreachable' });
          };
          await unanswered(1, 2, 1);
          expect(asked).toBe(0);
          workerClock.move(600_000);
          await unanswered(1, 2, 1);
          expect([asked, await messagesIn(STREAMS.results)]).toEqual([1, 2]);
          reporting.hello(logId);
          await unanswered(1);
          expect([asked, await messagesIn(STREAMS.results)]).toEqual([1, 3]);
        });

        test('and hears of it though an earlier wait for the same report ends meanwhile', async () => {
          await opening();
          const first = reporting.send(claimed(1));
          workerClock.move(400);
          const second = reporting.send(claimed(1));
          workerClock.move(200);
          await expect(first).rejects.toMatchObject({ code: 'unreachable' });
          reporting.heard({ t: 'taken', token: payloadDigest(claimed(1).report).slice('sha256:'.length, 'sha256:'.length + 32) });
          await second;
        });
      });

      test.each(['away', 'there'] as const)('and another where the stream was wiped while its sidecar was %s', async (where) => {
        const { sidecar: end, restartSidecar } = await opened();
        if (where === 'away') await end().close();
        else end().onReport(() => Promise.reject(new Error('cannot be recorded now')));
        await tries(2);
        await newStreams();
        if (where === 'away') await restartSidecar();
        const received = fetched(pair.sidecar());
        await untilTaken();
        expect(received[0]).toEqual(claimed(1));
      });
    });

    test('takes orders off it as soon behind messages without a body, which an import takes for the end of an answer', async () => {
      const { far, sidecar: end } = await opened();
      const js = jetstream(admin);
      for (let n = 0; n < 4; n += 1) await js.publish(revoke(lane, logId, `${n}`.repeat(32)), new Uint8Array());
      const startMs = performance.now();
      const orders = Array.from({ length: 40 }, (_, n) => sign.order(deriveRevokeOrder(plan, EXECUTOR, START_MS + n, 'early', sidecar)!));
      await Promise.all(orders.map((one) => end().publishRevoke(EXECUTOR, one)));
      await eventually(() => far.revoked.length >= orders.length);
      expect(performance.now() - startMs).toBeLessThan(2_000);
      expect(far.unreadable).toBe(4);
    });

    test('brings an order again and again to a worker that has no connector for it', async () => {
      const { far, sidecar: end } = await opened();
      far.refusal = new WorkerError('connector', 'no connector pg-main here');
      await end().publishRevoke(EXECUTOR, dueIn(0));
      await eventually(() => far.unreadable === 0 && far.turnedDown > 1);
      far.refusal = null;
      await eventually(() => far.revoked.length > 0);
    });

    test('hands an order over behind hundreds that no worker has a connector for', async () => {
      const { far, sidecar: end } = await opened();
      const orders = Array.from({ length: 300 }, (_, n) => sign.order(deriveRevokeOrder(plan, EXECUTOR, START_MS + n, 'early', sidecar)!));
      for (const one of orders) foreign.add(payloadDigest(one));
      await Promise.all(orders.map((one) => end().publishRevoke(EXECUTOR, one)));
      const manager = await jetstreamManager(admin);
      while ((await manager.consumers.info(STREAMS.steps, `${lane}-revoke`)).num_ack_pending < 256);
      await end().publishRevoke(EXECUTOR, order!);
      await eventually(() => far.revoked.length > 0);
      expect(far.revoked).toEqual([order]);
    });

    test('holds one message of an order, however often it is published, and hands over each', async () => {
      const { far, sidecar: end } = await opened();
      const manager = await jetstreamManager(admin);
      await manager.streams.update(STREAMS.steps, { duplicate_window: nanos(100) });
      const one = dueIn(0);
      // What was taken once and is not reported yet is asked for anew.
      while (far.revoked.length < 3) await end().publishRevoke(EXECUTOR, one);
      expect(await messagesIn(STREAMS.steps)).toBe(1);
    });

    test('carries a sealed secret apart from its report, which never holds it', async () => {
      const { sidecar: end } = await opened();
      const ciphertext = Buffer.from('age-encryption.org/v1 sealed').toString('base64');
      const received: ReportMessage[] = [];
      end().onReport(async (_audience, message) => void received.push(message));
      await pair.report({ ...claimed(1), ciphertext });
      expect(received).toEqual([{ ...claimed(1), ciphertext }]);
      const token = payloadDigest(claimed(1).report).slice(7, 39);
      const manager = await jetstreamManager(admin);
      const [published, sealed] = [
        await manager.streams.getMessage(STREAMS.results, { last_by_subj: result(lane, logId, token) }),
        await manager.streams.getMessage(STREAMS.deliveries, { last_by_subj: delivery(lane, logId, token) }),
      ];
      expect(Buffer.from(published!.data).toString()).not.toContain(ciphertext);
      expect(Buffer.from(sealed!.data).toString('base64')).toBe(ciphertext);
    });

    test.each<[string, Uint8Array]>([
      ['what is not JSON', Buffer.from('hello')], ['bytes that are not UTF-8', Buffer.from([0xff, 0xfe])], ['a key twice', Buffer.from('{"v":1,"v":1}')],
      ['JSON of another form', Buffer.from('{"v":1}')], ['depth without end', Buffer.from('['.repeat(100_000))],
    ])('sets aside %s on any subject and counts it, and the queue moves on', async (what, bytes) => {
      const { far, sidecar: end } = await opened();
      far.answer = (envelope) => (typeof envelope === 'object' && envelope !== null && 'ticket' in envelope ? Promise.resolve({ accepted: true }) : Promise.reject(new ProtocolError('malformed', 'no envelope')));
      const received: ReportMessage[] = [];
      end().onReport(async (_audience, message) => void received.push(message));
      const js = jetstream(admin);
      const worker = await asWorker(EXECUTOR);
      await js.publish(act(lane, logId, 'f'.repeat(32)), bytes);
      await jetstream(worker, { apiPrefix: API_PREFIX, checkAPI: false }).publish(result(lane, logId, 'f'.repeat(32)), bytes);
      worker.publish(say(lane, logId), bytes);
      admin.publish(ack(lane, logId), bytes);
      expect(await end().publishStep(EXECUTOR, envelopes[1]!)).toEqual({ accepted: true });
      await pair.report(claimed(2));
      expect(received).toEqual([claimed(2)]);
      // At the worker what could be read was for it to judge; at the sidecar, a report and a say were none.
      expect(far.unreadable).toBe(what === 'JSON of another form' ? 0 : 1);
      let counted = 0;
      end().onRefused((audience, run, refused) => {
        if (run !== null) return;
        expect([audience, refused.map(({ code }) => code)]).toEqual([EXECUTOR, ['malformed']]);
        counted = refused[0]!.count;
      });
      expect(counted).toBe(2);
      await worker.close();
    });

    test('lets no worker disarm what another is to take back: not by a reply, a roll-up, a schedule header, or the API', async () => {
      const { far, sidecar: end } = await opened();
      const armed = dueIn(1_500);
      await end().arm(EXECUTOR, armed);
      const manager = await jetstreamManager(admin);
      const subject = arm(lane, logId, tokens('revoke', EXECUTOR, payloadDigest(armed)));
      expect(await manager.streams.getMessage(STREAMS.steps, { last_by_subj: subject })).not.toBeNull();
      const thief = await asWorker(OTHER);
      const other = laneOf(OTHER);
      const headersOf = (...pairs: readonly (readonly [string, string])[]): MsgHdrs => {
        const made = headers();
        for (const [name, value] of pairs) made.set(name, value);
        return made;
      };
      const tried: readonly (() => void)[] = [
        () => thief.publish(result(other, logId, 'a'.repeat(32)), 'x', { reply: subject }),
        () => thief.publish(`${API_PREFIX}.CONSUMER.MSG.NEXT.${STREAMS.steps}.${other}-act`, '1', { reply: subject }),
        () => thief.publish(result(other, logId, 'b'.repeat(32)), 'x', { headers: headersOf(['Nats-Scheduler', subject], ['Nats-Schedule-Next', 'purge']) }),
        () => thief.publish(result(other, logId, 'c'.repeat(32)), 'x', { headers: headersOf(['Nats-Rollup', 'all']) }),
        () => thief.publish(subject, 'x'),
        () => thief.publish(result(lane, logId, 'd'.repeat(32)), 'x'),
        () => thief.publish(`$JS.API.STREAM.PURGE.${STREAMS.steps}`, ''),
        () => thief.publish(`${API_PREFIX}.CONSUMER.MSG.NEXT.${STREAMS.steps}.${lane}-revoke`, '{"batch":10,"expires":1000000000}', { reply: `${inboxOf(other)}.x` }),
      ];
      let stolen = 0;
      thief.subscribe(`${inboxOf(other)}.x`, { callback: () => void (stolen += 1) });
      for (const one of tried) {
        one();
        await thief.flush();
      }
      const before = await messagesIn(STREAMS.steps);
      await eventually(() => far.revoked.length > 0);
      expect(far.revoked).toEqual([armed]);
      expect([stolen, before]).toEqual([0, 1]);
      await thief.close();
    });

    test('shows a worker no claim of another lane, and lets it post none there: nor by a reply', async () => {
      pair = await openPair();
      const quiet = (executorId: string): Bus =>
        openBus({ servers: nats.urls, seed: nats.seeds.executors.get(executorId)!, name: 'claims', inboxPrefix: inboxOf(laneOf(executorId)), logger });
      const [own, thief] = [quiet(EXECUTOR), quiet(OTHER)];
      await eventually(() => own.isUp && thief.isUp);
      const board = natsClaimBoard(own, lane);
      const given: Claim = { v: 1, worker: 'a'.repeat(16), state: 'given', untilMs: 0 };
      const sequence = await board.post('lse_1', given, 0);
      expect(await board.read('lse_1')).toEqual({ claim: given, sequence });
      expect(await board.post('lse_1', { ...given, state: 'ended' }, 0)).toBeNull();
      expect(await board.read('lse_2')).toEqual({ claim: null, sequence: 0 });

      const overThere = natsClaimBoard(thief, lane);
      await expect(overThere.read('lse_1')).rejects.toMatchObject({ code: 'unreachable' });
      await expect(overThere.post('lse_1', { ...given, state: 'ended' }, sequence!)).rejects.toMatchObject({ code: 'unreachable' });
      thief.up().publish(claim(laneOf(OTHER), 'lse_1'), canonicalBytes(given), { reply: claim(lane, 'lse_1') });
      // Answered after it: both are of one connection.
      expect(await natsClaimBoard(thief, laneOf(OTHER)).post('lse_2', given, 0)).not.toBeNull();
      expect(await board.read('lse_1')).toEqual({ claim: given, sequence });
      await own.close();
      await thief.close();
    });

    test('is not lost over a message that cannot be used', async () => {
      pair = await openPair();
      const warnings: string[] = [];
      let heard = 0;
      hear(admin, 'cs.say.test.all', { ...logger, warn: (_fields, message) => warnings.push(message) }, () => {
        heard += 1;
        throw new Error('nobody expected this');
      });
      for (let n = 0; n < 3; n += 1) admin.publish('cs.say.test.all', 'x');
      await admin.flush();
      await eventually(() => heard === 3);
      expect([warnings.length, admin.isClosed()]).toEqual([3, false]);
    });

    test('is set up once, and says what of it somebody has changed', async () => {
      pair = await openPair();
      const bus = planBus([EXECUTOR, OTHER], 1);
      expect(await setUpBus(admin, bus)).toEqual([]);
      const manager = await jetstreamManager(admin);
      await manager.streams.update(STREAMS.steps, { max_age: nanos(3_600_000) });
      await manager.consumers.delete(STREAMS.steps, `${lane}-revoke`);
      expect(await compareBus(admin, bus)).toMatchObject([
        { what: STREAMS.steps, change: 'update', fields: [{ field: 'max_age', is: nanos(3_600_000), must: 0 }] }, { what: `${STREAMS.steps}/${lane}-revoke`, change: 'create' },
      ]);
      await setUpBus(admin, bus);
      expect(await compareBus(admin, bus)).toEqual([]);
    });
  });
});
