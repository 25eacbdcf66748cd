import { TargetError } from '../../src/executor/connector.ts';
import { describe, expect, test } from 'vitest';
import { deriveRevokeOrder } from '../../src/change/derive.ts';
import { payloadDigest } from '../../src/protocol/dsse.ts';
import type { Dsse, RevokeOrder } from '../../src/protocol/signed.ts';
import { formatTime } from '../../src/protocol/values.ts';
import { forger, freshChangeId, makeStep, someLog, type Made } from '../support/envelopes.ts';
import { EXECUTOR, keys, sidecar, sign, START_MS } from '../support/story.ts';
import { createBench, type Bench } from '../support/worker-bench.ts';

const LEASE_MS = 900_000;

async function granted(bench: Bench, made: Made = makeStep()): Promise<Made> {
  const worker = await bench.start();
  await worker.step(made.envelope);
  await bench.clock.until(() => bench.of('acted').some(({ outcome }) => outcome === 'done'));
  return made;
}

function early({ plan }: Made, edit: Partial<RevokeOrder> = {}, by = keys.ticket, nowMs = START_MS): Dsse {
  return sign.order({ ...deriveRevokeOrder(plan, EXECUTOR, nowMs, 'early', by === keys.revoker ? 'person:sam' : sidecar)!, ...edit }, by);
}

const isOver = (bench: Bench) => (): boolean => bench.of('revoked').some(({ outcome }) => outcome === 'done' || outcome === 'already-absent');

test('what no sink was to keep is not written down as withdrawn', async () => {
  const bench = createBench();
  const worker = await bench.start();
  await worker.step(makeStep().envelope);
  await bench.clock.until(isOver(bench));
  await bench.clock.settle();
  // What may be lost is written with whatever comes next.
  await worker.close();
  expect(bench.disk.files.get('lease-book')!.bytes.toString()).not.toContain('"withdrawn"');
});

describe('an order of what was found past its end', () => {
  const found = (made: Made, nowMs: number): Dsse => sign.order({ ...deriveRevokeOrder(made.plan, EXECUTOR, nowMs, 'reconcile', sidecar)! });
  const reappear = (bench: Bench, made: Made): void => {
    const { account, clientToken } = made.ticket.step;
    bench.target.accounts.set(account, { token: clientToken, secret: null, validUntil: null });
  };

  test('takes back once more what was taken back and is there again; any other order of that lease does not', async () => {
    const bench = createBench();
    const worker = await bench.start();
    const made = makeStep();
    await worker.step(made.envelope);
    await bench.clock.until(isOver(bench));
    reappear(bench, made);
    await worker.revoke(early(made, {}, keys.ticket, bench.clock.nowMs));
    await bench.clock.advance(60_000);
    expect(bench.target.accounts.size).toBe(1);
    await worker.revoke(found(made, bench.clock.nowMs));
    await bench.clock.until(() => bench.target.accounts.size === 0);
    // What is there again after that needs an order of its own.
    reappear(bench, made);
    await bench.clock.advance(60_000);
    expect(bench.target.accounts.size).toBe(1);
    await worker.revoke(found(made, bench.clock.nowMs));
    await bench.clock.until(() => bench.target.accounts.size === 0);
  });

  test('is not carried out again by whoever opens the book next', async () => {
    const bench = createBench();
    const worker = await bench.start();
    const made = makeStep();
    await worker.step(made.envelope);
    await bench.clock.until(isOver(bench));
    reappear(bench, made);
    const orders = [found(made, bench.clock.nowMs), found(made, bench.clock.nowMs + 1)];
    for (const order of orders) await worker.revoke(order);
    await bench.clock.until(() => bench.of('revoked').length === 3);
    await bench.clock.advance(20_000);
    bench.kill();
    reappear(bench, made);
    await bench.start();
    await bench.clock.advance(60_000);
    expect(bench.target.accounts.size).toBe(1);
  });
});

describe('access ends on time', () => {
  test('with nobody to say so, and the report is of the order that ended it', async () => {
    const bench = createBench();
    const made = await granted(bench);
    await bench.clock.until(isOver(bench));
    expect(bench.clock.nowMs).toBe(START_MS + LEASE_MS);
    expect(bench.target.accounts.size).toBe(0);
    expect(bench.of('revoked')).toEqual([expect.objectContaining({ outcome: 'done', attempt: 1, order: payloadDigest(made.order!), leaseId: made.plan.lease!.leaseId, byUse: 'notTried' })]);
    expect(bench.messages.at(-1)!.order).toEqual(made.order);
    await bench.clock.advance(LEASE_MS);
    expect(bench.of('revoked')).toHaveLength(1);
  });

  test('though the sidecar hears of it only days later', async () => {
    const bench = createBench();
    await granted(bench);
    bench.listening = false;
    await bench.clock.advance(LEASE_MS + 2 * 86_400_000);
    expect(bench.target.accounts.size).toBe(0);
    bench.listening = true;
    await bench.clock.advance(20_000);
    expect(bench.of('revoked')).toHaveLength(1);
  });

  test('though the process was killed, and what is overdue comes before all else, oldest first', async () => {
    const bench = createBench();
    const log = someLog();
    const worker = await bench.start();
    const made = [900, 300, 600].map((leaseSeconds) => makeStep({ leaseSeconds, log, fromSize: log.size }));
    for (const { envelope } of made) await worker.step(envelope);
    await bench.clock.until(() => bench.of('acted').length === 3);
    bench.kill();
    await bench.clock.advance(LEASE_MS * 2);
    const order: string[] = [];
    bench.target.watch = (operation) => order.push(operation);
    await bench.start();
    await bench.clock.until(() => bench.of('revoked').length === 3);
    expect(order[0]).toBe('revoke');
    expect(bench.of('revoked').map(({ leaseId }) => leaseId)).toEqual([made[1], made[2], made[0]].map((one) => one!.plan.lease!.leaseId));
  });

  test('within a tick of the clock jumping over its end', async () => {
    const bench = createBench();
    await granted(bench);
    bench.clock.jump(2 * LEASE_MS);
    await bench.clock.advance(60_000);
    expect(bench.target.accounts.size).toBe(0);
  });

  test('also of an order that was only armed, and no step ever came', async () => {
    const bench = createBench();
    const worker = await bench.start();
    const { order } = makeStep();
    await worker.arm(order);
    await worker.arm(order);
    await bench.clock.until(isOver(bench));
    expect(bench.of('revoked')).toEqual([expect.objectContaining({ outcome: 'already-absent' })]);
  });
});

describe('an order', () => {
  test('to end it now is carried out now, makes the armed one moot, and is answered again when it comes again', async () => {
    const bench = createBench();
    const worker = await bench.start();
    const made = makeStep();
    await worker.step(made.envelope);
    await bench.clock.until(() => bench.of('acted').length === 1);
    const order = early(made);
    await worker.revoke(order);
    await bench.clock.settle();
    expect(bench.target.accounts.size).toBe(0);
    await worker.revoke(order);
    await bench.clock.advance(LEASE_MS * 2);
    expect(bench.of('revoked').map((report) => report.order)).toEqual([payloadDigest(order), payloadDigest(order)]);
    expect(bench.target.calls.filter((call) => call === 'revoke')).toHaveLength(1);
  });

  test('that comes before its time is held, also over a restart, and not dropped', async () => {
    const bench = createBench();
    const made = await granted(bench);
    bench.kill();
    const worker = await bench.start();
    await worker.revoke(early(made, { notBefore: formatTime(START_MS + 60_000) }));
    await bench.clock.advance(30_000);
    expect(bench.target.accounts.size).toBe(1);
    bench.kill();
    await bench.start();
    await bench.clock.advance(30_000);
    expect(bench.target.accounts.size).toBe(0);
  });

  test('that a revoker of the floor signed in their own name needs no sidecar', async () => {
    const bench = createBench();
    const made = await granted(bench);
    bench.kill();
    const worker = await bench.start();
    await worker.revoke(early(made, {}, keys.revoker));
    await bench.clock.settle();
    expect(bench.target.accounts.size).toBe(0);
  });

  test.each([
    ['a forger', 'bad-signature', (made: Made): Dsse => early(made, {}, forger)],
    ['the executor itself', 'bad-signature', (made: Made): Dsse => early(made, {}, keys.executor)],
    ['a revoker in another name', 'bad-signature', (made: Made): Dsse => early(made, { orderedBy: 'person:rita' }, keys.revoker)],
    ['somebody who means another executor', 'wrong-audience', (made: Made): Dsse => early(made, { audience: 'executor:other' })],
    ['somebody who means another lease', 'order-mismatch', (made: Made): Dsse => early(made, { leaseId: makeStep().plan.lease!.leaseId })],
    ['somebody who means another client token', 'order-mismatch', (made: Made): Dsse => early(made, { clientToken: makeStep().plan.steps[0]!.clientToken })],
  ])('by %s is not believed: %s', async (_who, code, order) => {
    const bench = createBench();
    const worker = await bench.start();
    const made = makeStep();
    await worker.step(made.envelope);
    await bench.clock.until(() => bench.of('acted').length === 1);
    await expect(worker.revoke(order(made))).rejects.toMatchObject({ code });
    await bench.clock.settle();
    expect(bench.target.accounts.size).toBe(1);
  });

  test('for a connector that is not here is not taken up: another worker may have it; it is counted once', async () => {
    const bench = createBench();
    const worker = await bench.start();
    const order = early(makeStep(), { connector: 'aws' });
    for (let n = 0; n < 2; n += 1) await expect(worker.revoke(order)).rejects.toMatchObject({ name: 'WorkerError', code: 'connector' });
    expect(worker.state().refused).toEqual([{ code: 'unknown-connector', count: 1 }]);
  });

  test('about something else under the same lease does not keep what the lease gave', async () => {
    const bench = createBench();
    const made = await granted(bench);
    bench.kill();
    const worker = await bench.start();
    await worker.revoke(early(made, { account: 'somebody_else' }));
    await bench.clock.settle();
    expect(bench.target.accounts.size).toBe(0);
  });

  test('that names what nobody can take back holds up neither itself nor what the lease gave', async () => {
    const bench = createBench({
      wrap: (connector) => ({
        ...connector,
        revoke: (order, signal) => (order.account === 'nonsense' ? Promise.reject(new TargetError('rejected', 'no such thing')) : connector.revoke(order, signal)),
      }),
    });
    const made = await granted(bench);
    bench.kill();
    const worker = await bench.start();
    await worker.revoke(early(made, { account: 'nonsense' }));
    await bench.clock.settle();
    expect(bench.target.accounts.size).toBe(0);
    expect(bench.of('revoked')).toEqual([expect.objectContaining({ outcome: 'done' })]);
  });

  test('that ended a lease before its step came leaves a tombstone: the step is refused', async () => {
    const bench = createBench();
    const worker = await bench.start();
    const made = makeStep();
    await worker.revoke(early(made));
    await bench.clock.settle();
    await worker.step(made.envelope);
    await bench.clock.advance(60_000);
    expect(bench.of('acted')).toEqual([expect.objectContaining({ outcome: 'refused', code: 'lease-ended' })]);
    expect(bench.target.calls).not.toContain('apply');
  });

  test('takes back standing access as well', async () => {
    const bench = createBench();
    const made = await granted(bench, makeStep({ leaseSeconds: null }));
    await bench.clock.advance(LEASE_MS);
    expect(bench.target.accounts.size).toBe(1);
    bench.kill();
    const worker = await bench.start();
    await worker.revoke(early(made, { cause: 'compensation' }));
    await bench.clock.settle();
    expect(bench.target.accounts.size).toBe(0);
  });
});

describe('taking back is never given up', () => {
  test.each(['unreachable', 'rejected', 'lostBefore', 'hangs', 'throws'] as const)('a target that answers with %s is tried again until it is gone, and said so on the way', async (fate) => {
    const bench = createBench();
    await granted(bench);
    bench.target.always('revoke', fate);
    await bench.clock.advance(LEASE_MS + 600_000);
    const failed = bench.of('revoked');
    expect(failed.length).toBeGreaterThan(1);
    expect(failed.length).toBeLessThan(8);
    expect(failed.every(({ outcome }) => outcome === 'failed')).toBe(true);
    expect(bench.target.calls.filter((call) => call === 'revoke').length).toBeGreaterThan(10);
    bench.target.always('revoke', null);
    await bench.clock.until(isOver(bench), 120_000);
    expect(bench.target.accounts.size).toBe(0);
  });

  test('one of the same name that is not ours is left alone and reported, until it is gone', async () => {
    const bench = createBench();
    const made = await granted(bench);
    const { account } = made.ticket.step;
    bench.target.accounts.set(account, { token: null, secret: 'theirs', validUntil: null });
    await bench.clock.advance(LEASE_MS + 60_000);
    expect(bench.of('revoked')[0]).toMatchObject({ outcome: 'mismatch', code: 'mismatch' });
    expect(bench.target.accounts.get(account)?.secret).toBe('theirs');
    bench.target.accounts.delete(account);
    await bench.clock.until(isOver(bench), 120_000);
    expect(bench.of('revoked').at(-1)).toMatchObject({ outcome: 'already-absent' });
  });

  test('a lost answer is no reason to believe anything: it is taken back again', async () => {
    const bench = createBench();
    await granted(bench);
    bench.target.will('revoke', 'lostAfter');
    await bench.clock.until(isOver(bench));
    expect(bench.of('revoked').at(-1)).toMatchObject({ outcome: 'already-absent', attempt: 2 });
  });
});

describe('a step in flight while its lease ends', () => {
  test.each(['hangs', 'hangsDone', 'late', 'lostAfter'] as const)('%s: nothing is left, and the end is said only when nothing can still arrive', async (fate) => {
    const bench = createBench();
    const worker = await bench.start();
    const made = makeStep();
    bench.target.will('apply', fate);
    bench.target.always('probe', 'unreachable');
    await worker.step(made.envelope);
    await bench.clock.advance(1_000);
    await worker.revoke(early(made, {}, keys.ticket, START_MS));
    await bench.clock.until(isOver(bench));
    // After the last moment at which the attempt could have had its effect.
    expect(bench.clock.nowMs).toBeGreaterThanOrEqual(START_MS + 16_000);
    await bench.clock.advance(120_000);
    expect(bench.target.accounts.size).toBe(0);
    expect(bench.of('acted').at(-1)).toMatchObject({ outcome: 'failed', code: 'lease-ended' });
    expect(bench.target.calls.filter((call) => call === 'apply')).toHaveLength(1);
  });

  test('a step that waits for its target when the lease ends is refused and not done after it', async () => {
    const bench = createBench();
    const worker = await bench.start();
    bench.target.always('read', 'unreachable');
    await worker.step(makeStep({ leaseSeconds: 60 }).envelope);
    await bench.clock.until(isOver(bench));
    bench.target.always('read', null);
    await bench.clock.advance(60_000);
    expect(bench.of('acted')).toEqual([expect.objectContaining({ outcome: 'refused', code: 'lease-ended' })]);
    expect(bench.target.calls).not.toContain('apply');
  });
});

describe('a lease book that cannot be written', () => {
  test.each(['append', 'sync'] as const)('(%s fails) gives nothing, and takes back all the same', async (operation) => {
    const bench = createBench();
    const worker = await bench.start();
    const log = someLog();
    const made = makeStep({ log });
    await worker.step(made.envelope);
    await bench.clock.until(() => bench.of('acted').length === 1);
    bench.disk.watch = (one) => {
      if (one === operation) throw new Error('ENOSPC');
    };
    const next = makeStep({ log, fromSize: log.size });
    await expect(worker.step(next.envelope)).rejects.toMatchObject({ code: 'unwritable' });
    await expect(worker.step(next.envelope)).rejects.toMatchObject({ code: 'book' });
    await expect(worker.arm(makeStep().order)).rejects.toMatchObject({ code: 'unwritable' });
    expect(worker.healthy).toBe(false);
    await worker.revoke(early(made));
    await bench.clock.settle();
    expect(bench.target.accounts.size).toBe(0);
    expect(bench.of('revoked')).toEqual([expect.objectContaining({ outcome: 'done' })]);
    expect(bench.target.calls.filter((call) => call === 'apply')).toHaveLength(1);
  });

  test.each(['append', 'sync'] as const)('(%s fails) says so, and gives again once the disk takes writes, without a restart', async (operation) => {
    const bench = createBench();
    const worker = await bench.start();
    const log = someLog();
    const made = makeStep({ log });
    await worker.step(made.envelope);
    await bench.clock.until(() => bench.of('acted').length === 1);
    bench.disk.watch = (one) => {
      if (one === operation) throw new Error('ENOSPC');
    };
    await worker.revoke(early(made));
    await bench.clock.settle();
    expect([bench.target.accounts.size, worker.state().trouble, worker.healthy]).toEqual([0, 'lease-book', false]);
    const next = makeStep({ log, fromSize: log.size });
    await bench.clock.advance(30_000);
    await expect(worker.step(next.envelope)).rejects.toMatchObject({ code: 'book' });
    bench.disk.watch = () => undefined;
    await bench.clock.until(() => worker.healthy);
    expect(worker.state().trouble).toBeUndefined();
    expect(await worker.step(next.envelope)).toEqual({ accepted: true });
    await bench.clock.until(() => bench.of('acted').length === 2);
    // What was taken back meanwhile is known to whoever opens the book next.
    bench.kill();
    const later = await bench.start();
    await bench.clock.settle();
    expect(later.healthy).toBe(true);
    expect(bench.of('revoked')).toHaveLength(1);
  });

  test('goes on with a step whose claim could not be written, once it is', async () => {
    const bench = createBench();
    const worker = await bench.start();
    const made = makeStep();
    bench.disk.watch = () => {
      throw new Error('ENOSPC');
    };
    await expect(worker.step(made.envelope)).rejects.toMatchObject({ code: 'unwritable' });
    await bench.clock.advance(1_000);
    expect(bench.target.accounts.size).toBe(0);
    bench.disk.watch = () => undefined;
    await bench.clock.until(() => bench.of('acted').length === 1);
    expect(bench.of('acted')).toEqual([expect.objectContaining({ outcome: 'done' })]);
    expect(bench.target.calls.filter((call) => call === 'apply')).toHaveLength(1);
  });

  test.each(['append', 'sync'] as const)('(%s fails) keeps a failure to itself, and tells it once the book can be written', async (operation) => {
    const bench = createBench();
    const worker = await bench.start();
    bench.target.will('apply', 'rejected');
    bench.target.watch = (what) => {
      if (what !== 'apply') return;
      bench.disk.watch = (one) => {
        if (one === operation) throw new Error('ENOSPC');
      };
    };
    await worker.step(makeStep().envelope);
    await bench.clock.until(() => !worker.healthy);
    await bench.clock.settle();
    expect(bench.of('acted')).toEqual([]);
    bench.disk.watch = () => undefined;
    await bench.clock.until(() => worker.healthy);
    await bench.clock.settle();
    expect(bench.of('acted')).toEqual([expect.objectContaining({ outcome: 'failed' })]);
  });

  test('is made good by the next process: what was due is taken back again and said again', async () => {
    const bench = createBench();
    await granted(bench);
    bench.disk.watch = () => {
      throw new Error('EIO');
    };
    await bench.clock.until(isOver(bench));
    bench.kill();
    bench.disk.watch = () => undefined;
    await bench.start();
    await bench.clock.settle();
    expect(bench.of('revoked').map(({ outcome }) => outcome)).toEqual(['done', 'already-absent']);
  });

  test('that was damaged in the middle is read as far as it can be, and what is owed is taken back', async () => {
    const bench = createBench();
    const made = await granted(bench);
    bench.kill();
    const file = bench.disk.files.get('lease-book')!;
    const damaged = file.bytes.toString().split('\n');
    expect(damaged.length).toBeGreaterThan(4);
    damaged[damaged.length - 2] = damaged.at(-2)!.replace('"', "'");
    damaged.splice(-1, 0, damaged[0]!);
    file.bytes = Buffer.from(damaged.join('\n'));
    file.synced = file.bytes.byteLength;
    const worker = await bench.start();
    expect(worker.healthy).toBe(false);
    await expect(worker.step(makeStep().envelope)).rejects.toMatchObject({ code: 'book' });
    await bench.clock.until(isOver(bench));
    expect(bench.target.accounts.size).toBe(0);
    expect(bench.of('revoked')[0]).toMatchObject({ leaseId: made.plan.lease!.leaseId });
  });
});

test('ids of one change tell one another: an order of a change that nobody knows is still carried out', async () => {
  const bench = createBench();
  const worker = await bench.start();
  const made = makeStep({ changeId: freshChangeId() });
  bench.target.accounts.set(made.ticket.step.account, { token: made.ticket.step.clientToken, secret: 'x', validUntil: null });
  await worker.revoke(early(made, {}, keys.revoker));
  await bench.clock.settle();
  expect(bench.target.accounts.size).toBe(0);
});
