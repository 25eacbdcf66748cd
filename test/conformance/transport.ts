/**
 * What every transport owes, whatever carries it: at least once, acknowledged only when received, over restarts of either side, and harmed by
 * nothing that a stranger sends.
 */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Acceptance, Transport } from '../../src/engine/ports.ts';
import type { ReportMessage, StepEnvelope } from '../../src/protocol/envelope.ts';
import { canonicalText } from '../../ledger/index.ts';
import { ProtocolError } from '../../src/protocol/errors.ts';
import type { Dsse } from '../../src/protocol/signed.ts';
import type { WorkerKnows } from '../../src/protocol/worker-knows.ts';
import type { Refused, WorkerState } from '../../src/protocol/worker-state.ts';
import { CALLER_TRACE, CALLER_TRACEPARENT } from '../support/spans.ts';

/** What arrived at the executor's end, and what it says to it. */
export interface FarEnd {
  readonly armed: Dsse[];
  /** Orders that it was asked to do without. */
  readonly disarmed: Dsse[];
  readonly steps: unknown[];
  readonly revoked: Dsse[];
  /** In which trace each step and each order to act on now arrived. */
  readonly traceparents: unknown[];
  /** Locks that arrived, and what it has heard of itself. */
  readonly locked: Dsse[];
  locks: Dsse[];
  /** Calls of `connected`: somebody is there to hear reports. */
  connections: number;
  /** How the worker is: another run with each start. */
  state: WorkerState;
  /** What can be proven to the worker, but for its run. */
  floors: WorkerKnows['floors'];
  /** How often what came could not be read. */
  unreadable: number;
  answer: (envelope: unknown) => Promise<Acceptance>;
  /** Set to make `arm`, `disarm` and `revoke` fail. */
  refusal: Error | null;
  turnedDown: number;
}

export function farEnd(): FarEnd {
  return { armed: [], disarmed: [], steps: [], revoked: [], traceparents: [], locked: [], locks: [], connections: 0, state: { run: '0'.repeat(16) }, floors: [{ connector: '*', target: '*', privilege: '*', quorum: 1, proofClass: 'ssh', approvers: ['person:ana'], maxLeaseSeconds: null, standing: true }], unreadable: 0, answer: () => Promise.resolve({ accepted: true }), refusal: null, turnedDown: 0 };
}

/** One sidecar's end and one executor's end, as the transport under test makes them. */
export interface Pair {
  readonly audience: string;
  readonly far: FarEnd;
  /** Whether what is sent waits for an executor that is not there. Where it does, an armed order reaches it when it is due. */
  readonly holds: boolean;
  sidecar(): Transport;
  /** Sends a report of the sidecar's log from the executor's end. */
  report(message: ReportMessage): Promise<void>;
  /** Shows a lock from the executor's end. */
  showLock(lock: Dsse): void;
  restartExecutor(): Promise<void>;
  restartSidecar(): Promise<void>;
  stopExecutor(): Promise<void>;
  close(): Promise<void>;
}

export interface Samples {
  /** Another step for each number. */
  readonly envelope: (n: number) => StepEnvelope;
  readonly order: Dsse;
  /** Another order for each number, due then. */
  readonly orderDue: (n: number, dueMs: number) => Dsse;
  readonly lock: Dsse;
  /** Two reports of the log that the sidecar listens for. */
  readonly reports: readonly [ReportMessage, ReportMessage];
}

/** Resolves once `reached` holds; looks after each turn of the loop. The runner's own timeout is the limit. */
export async function eventually(reached: () => boolean): Promise<void> {
  while (!reached()) await new Promise((resolve) => setImmediate(resolve));
}

export function transportConformance(name: string, open: () => Promise<Pair>, samples: Samples): void {
  describe(`the ${name} transport`, () => {
    let pair: Pair;
    beforeEach(async () => {
      pair = await open();
      await eventually(() => pair.sidecar().isConnected(pair.audience));
    });
    afterEach(() => pair.close());
    const { envelope, order, orderDue, lock, reports: [first, second] } = samples;

    const armed = (): readonly Dsse[] => (pair.holds ? pair.far.revoked : pair.far.armed);

    test('carries orders and steps unchanged, and brings back the answer', async () => {
      await pair.sidecar().arm(pair.audience, order);
      await eventually(() => armed().length > 0);
      expect(armed()[0]).toEqual(order);
      expect(await pair.sidecar().publishStep(pair.audience, envelope(1))).toEqual({ accepted: true });
      await pair.sidecar().publishRevoke(pair.audience, order);
      await eventually(() => pair.far.revoked.length > 0);
      expect(pair.far.steps).toEqual([envelope(1)]);
      expect(pair.far.revoked.at(-1)).toEqual(order);
      pair.far.answer = () => Promise.resolve({ accepted: false, code: 'inconsistent-checkpoint', fromSize: 7, root: Buffer.alloc(32).toString('base64') });
      expect(await pair.sidecar().publishStep(pair.audience, envelope(2))).toMatchObject({ accepted: false, fromSize: 7 });
    });

    test('carries beside a step and an order in which trace it was sent, and takes one that was sent in none', async () => {
      expect(await pair.sidecar().publishStep(pair.audience, envelope(1), CALLER_TRACE)).toEqual({ accepted: true });
      expect(await pair.sidecar().publishStep(pair.audience, envelope(2))).toEqual({ accepted: true });
      await pair.sidecar().publishRevoke(pair.audience, order, CALLER_TRACE);
      await eventually(() => pair.far.revoked.length > 0);
      expect(pair.far.traceparents).toEqual([CALLER_TRACEPARENT, undefined, CALLER_TRACEPARENT]);
      expect([pair.far.steps, pair.far.revoked]).toEqual([[envelope(1), envelope(2)], [order]]);
    });

    test('says what a worker has set aside and what is wrong with it, by its run, and again after a restart of either side', async () => {
      const heard: [run: string | null, refused: readonly Refused[]][] = [];
      const listen = (): void => pair.sidecar().onRefused((_audience, run, refused) => {
        heard.push([run, refused]);
      });
      listen();
      const refused: Refused[] = [{ code: 'bad-signature', count: 3 }, { code: 'malformed', count: 1 }];
      pair.far.state = { ...pair.far.state, refused, trouble: 'lease-book' };
      const { run } = pair.far.state;
      await eventually(() => heard.length > 0);
      expect(heard[0]).toEqual([run, refused]);
      await eventually(() => pair.sidecar().states(pair.audience).some(({ trouble }) => trouble === 'lease-book'));
      await pair.restartSidecar();
      heard.length = 0;
      listen();
      await eventually(() => heard.length > 0);
      expect(heard[0]).toEqual([run, refused]);
      await pair.restartExecutor();
      pair.far.state = { ...pair.far.state, refused: [{ code: 'malformed', count: 1 }] };
      await eventually(() => heard.some(([other]) => other !== run));
      expect(heard.at(-1)).toEqual([pair.far.state.run, [{ code: 'malformed', count: 1 }]]);
      expect(pair.far.state.run).not.toBe(run);
    });

    test('says what can be proven to a worker, by its run, and again after a restart of either side', async () => {
      const heard: string[] = [];
      const known = (): readonly WorkerKnows[] => pair.sidecar().knows(pair.audience);
      const listen = (): void => pair.sidecar().onKnows((audience, run) => void heard.push(`${audience} ${run}`));
      listen();
      const first = pair.far.state.run;
      await eventually(() => heard.length > 0 && known().length > 0);
      expect(known()).toEqual([{ run: first, proofs: ['standing'], floors: pair.far.floors }]);
      await pair.restartSidecar();
      heard.length = 0;
      listen();
      await eventually(() => heard.length > 0);
      expect([heard[0], known()[0]?.run]).toEqual([`${pair.audience} ${first}`, first]);
      await pair.stopExecutor();
      await eventually(() => !pair.sidecar().isConnected(pair.audience));
      expect(known()).toEqual([]);
      pair.far.floors = [];
      await pair.restartExecutor();
      await eventually(() => known().some(({ run }) => run === pair.far.state.run && run !== first));
      expect(known()).toEqual([{ run: pair.far.state.run, proofs: ['standing'], floors: [] }]);
      expect(heard.at(-1)).toBe(`${pair.audience} ${pair.far.state.run}`);
    });

    test('disarms an order that was armed, again and again, and leaves the others', async () => {
      const dueMs = Date.now() + (pair.holds ? 4_000 : 3_600_000);
      const [disarmed, kept] = [orderDue(1, dueMs), orderDue(2, dueMs)];
      for (const one of [disarmed, kept]) await pair.sidecar().arm(pair.audience, one);
      await pair.sidecar().disarm(pair.audience, disarmed);
      await pair.sidecar().disarm(pair.audience, disarmed);
      // An executor that holds its orders itself is told, and decides by its own book; a bus does not let go of what it was told to forget.
      if (!pair.holds) return expect(pair.far.disarmed).toEqual([disarmed, disarmed]);
      await eventually(() => pair.far.revoked.length > 0);
      await pair.sidecar().publishRevoke(pair.audience, orderDue(3, dueMs));
      await eventually(() => pair.far.revoked.length > 1);
      expect(pair.far.revoked).toEqual([kept, orderDue(3, dueMs)]);
    });

    test('disarms what was never armed, and says so where it cannot', async () => {
      await pair.sidecar().disarm(pair.audience, orderDue(1, Date.now() + 3_600_000));
      if (pair.holds) {
        // What had fired and nobody has taken yet is gone as well.
        await pair.stopExecutor();
        const [disarmed, kept] = [orderDue(2, 0), orderDue(3, 0)];
        await pair.sidecar().publishRevoke(pair.audience, disarmed);
        await pair.sidecar().publishRevoke(pair.audience, kept);
        await pair.sidecar().disarm(pair.audience, disarmed);
        await pair.restartExecutor();
        await eventually(() => pair.far.revoked.length > 0);
        return expect(pair.far.revoked).toEqual([kept]);
      }
      pair.far.refusal = new ProtocolError('order-mismatch', 'in force here');
      await expect(pair.sidecar().disarm(pair.audience, order)).rejects.toMatchObject({ name: 'TransportError', code: 'rejected' });
      await pair.stopExecutor();
      await eventually(() => !pair.sidecar().isConnected(pair.audience));
      return expect(pair.sidecar().disarm(pair.audience, order)).rejects.toMatchObject({ name: 'TransportError', code: 'unreachable' });
    });

    test('says that what the other side would not have was rejected', async () => {
      pair.far.refusal = new ProtocolError('bad-signature', 'not for me');
      if (!pair.holds) await expect(pair.sidecar().arm(pair.audience, order)).rejects.toMatchObject({ name: 'TransportError', code: 'rejected' });
      pair.far.answer = () => Promise.reject(new ProtocolError('bad-signature', 'not signed by anyone'));
      await expect(pair.sidecar().publishStep(pair.audience, envelope(1))).rejects.toMatchObject({ name: 'TransportError', code: 'rejected' });
    });

    test('carries locks to the executor, and those that it has heard of to whoever is there or comes', async () => {
      await pair.sidecar().publishLock(pair.audience, lock);
      expect(pair.far.locked).toEqual([lock]);
      const heard: Dsse[] = [];
      pair.sidecar().onLock((one) => heard.push(one));
      pair.showLock(lock);
      await eventually(() => heard.length === 1);
      pair.far.locks = [lock, order];
      await pair.restartExecutor();
      await eventually(() => heard.length >= 3);
      expect(heard.slice(0, 3)).toEqual([lock, lock, order]);
      await pair.restartSidecar();
      const next: Dsse[] = [];
      pair.sidecar().onLock((one) => next.push(one));
      await eventually(() => next.length >= 2);
      expect(next.slice(0, 2)).toEqual([lock, order]);
    });

    test('carries locks to a sidecar that listens only once the executor is connected', async () => {
      pair.far.locks = [lock, order];
      await pair.restartSidecar();
      await eventually(() => pair.sidecar().isConnected(pair.audience));
      // What was said until now has arrived: this comes after it.
      await pair.sidecar().publishLock(pair.audience, lock);
      const heard: Dsse[] = [];
      pair.sidecar().onLock((one) => heard.push(one));
      await eventually(() => heard.length >= 2);
      expect(heard.slice(0, 2)).toEqual([lock, order]);
    });

    test('says that a lock is not held where it is not', async () => {
      pair.far.refusal = new ProtocolError('bad-signature', 'not for me');
      await expect(pair.sidecar().publishLock(pair.audience, lock)).rejects.toMatchObject({ name: 'TransportError', code: 'rejected' });
      pair.far.refusal = null;
      await pair.sidecar().publishLock(pair.audience, lock);
      await pair.stopExecutor();
      await eventually(() => !pair.sidecar().isConnected(pair.audience));
      await expect(pair.sidecar().publishLock(pair.audience, lock)).rejects.toMatchObject({ name: 'TransportError', code: 'unreachable' });
      await expect(pair.sidecar().publishLock('executor:nobody', lock)).rejects.toMatchObject({ name: 'TransportError' });
    });

    test('answers each of many questions that are open at a time', async () => {
      const release: (() => void)[] = [];
      pair.far.answer = () => new Promise((resolve) => release.push(() => resolve({ accepted: true })));
      const open = Array.from({ length: 20 }, (_, n) => pair.sidecar().publishStep(pair.audience, envelope(n)));
      await eventually(() => release.length === 20);
      await pair.sidecar().arm(pair.audience, order);
      for (const one of release.reverse()) one();
      expect(await Promise.all(open)).toHaveLength(20);
    });

    test('acknowledges a report only when it was received', async () => {
      const received: ReportMessage[] = [];
      let take = (): void => undefined;
      const taken = new Promise<void>((resolve) => {
        take = resolve;
      });
      pair.sidecar().onReport(async (_audience, message) => {
        received.push(message);
        await taken;
      });
      let acknowledged = false;
      const sending = pair.report(first).then(() => {
        acknowledged = true;
      });
      await eventually(() => received.length === 1);
      await pair.sidecar().arm(pair.audience, order);
      expect(acknowledged).toBe(false);
      take();
      await sending;
      expect(received).toEqual([first]);
    });

    test('does not take a late acknowledgement, from before a restart, for one of another report', async () => {
      const release: (() => void)[] = [];
      pair.sidecar().onReport(() => new Promise((resolve) => release.push(resolve)));
      pair.report(first).catch(() => undefined);
      await eventually(() => release.length === 1);
      const before = pair.far.connections;
      await pair.restartExecutor();
      await eventually(() => pair.far.connections > before);
      let acknowledged = false;
      const sending = pair.report(second).then(() => {
        acknowledged = true;
      });
      await eventually(() => release.length === 2);
      release[0]!();
      await pair.sidecar().arm(pair.audience, order);
      expect(acknowledged).toBe(false);
      release[1]!();
      await sending;
    });

    test('leaves a report that was turned down with its executor, and carries it again', async () => {
      let turnDown = true;
      const received: ReportMessage[] = [];
      pair.sidecar().onReport(async (audience, message) => {
        if (turnDown) throw new Error('cannot be recorded now');
        expect(audience).toBe(pair.audience);
        received.push(message);
      });
      await expect(pair.report(first)).rejects.toMatchObject({ code: 'rejected' });
      await pair.report(second).catch(() => undefined);
      turnDown = false;
      await pair.report(first);
      await pair.report(second);
      // At least once: one that was sent again may have been on its way.
      expect([...new Set(received.map((message) => canonicalText(message)))]).toEqual([canonicalText(first), canonicalText(second)]);
    });

    test('finds the executor again after it was restarted, and says so on both sides', async () => {
      const connected: string[] = [];
      pair.sidecar().onConnected((audience) => connected.push(audience));
      await eventually(() => connected.length > 0);
      const before = pair.far.connections;
      await pair.restartExecutor();
      await eventually(() => connected.length > 1 && pair.far.connections > before);
      expect(await pair.sidecar().publishStep(pair.audience, envelope(1))).toEqual({ accepted: true });
      expect(pair.far.steps).toEqual([envelope(1)]);
    });

    test('rejects what was open when the executor went away, and says that it is not there', async () => {
      pair.far.answer = () => new Promise(() => undefined);
      const open = pair.sidecar().publishStep(pair.audience, envelope(1));
      open.catch(() => undefined);
      await eventually(() => pair.far.steps.length === 1);
      await pair.stopExecutor();
      await expect(open).rejects.toMatchObject({ name: 'TransportError', code: 'unreachable' });
      await eventually(() => !pair.sidecar().isConnected(pair.audience));
      await expect(pair.sidecar().publishStep(pair.audience, envelope(2))).rejects.toMatchObject({ code: 'unreachable' });
      if (!pair.holds) return expect(pair.sidecar().arm(pair.audience, order)).rejects.toMatchObject({ code: 'unreachable' });
      // What it never heard of reaches it when it is there again.
      await pair.sidecar().arm(pair.audience, order);
      pair.far.answer = () => Promise.resolve({ accepted: true });
      await pair.restartExecutor();
      await eventually(() => pair.far.revoked.length > 0 && pair.far.steps.length > 1);
      expect(await pair.sidecar().publishStep(pair.audience, envelope(2))).toEqual({ accepted: true });
      expect(pair.far.steps.filter((step) => canonicalText(step as object) === canonicalText(envelope(2)))).toHaveLength(1);
    });

    test('leaves a report with its executor while no sidecar is there, and carries it to the next', async () => {
      pair.sidecar().onReport(() => new Promise(() => undefined));
      const unanswered = pair.report(first);
      unanswered.catch(() => undefined);
      await pair.restartSidecar();
      if (!pair.holds) await expect(unanswered).rejects.toMatchObject({ code: 'unreachable' });
      const received: ReportMessage[] = [];
      pair.sidecar().onReport(async (_audience, message) => void received.push(message));
      await eventually(() => pair.sidecar().isConnected(pair.audience));
      await pair.report(first);
      // What a bus held for it may have come as well: at least once.
      expect(new Set(received.map((one) => canonicalText(one)))).toEqual(new Set([canonicalText(first)]));
    });

    test('knows of no executor that is not there', async () => {
      expect(pair.sidecar().isConnected('executor:nobody')).toBe(false);
      await expect(pair.sidecar().arm('executor:nobody', order)).rejects.toMatchObject({ name: 'TransportError' });
      await expect(pair.sidecar().disarm('executor:nobody', order)).rejects.toMatchObject({ name: 'TransportError' });
    });
  });
}
