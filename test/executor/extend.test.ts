/** A lease that gets a later end at its executor: by an extension that it has checked and applied, and by nothing else. */
import { describe, expect, test } from 'vitest';
import { deriveRevokeOrder } from '../../src/change/derive.ts';
import type { Worker } from '../../src/executor/worker.ts';
import type { Dsse, RevokeOrder } from '../../src/protocol/signed.ts';
import { formatTime } from '../../src/protocol/values.ts';
import { makeStep, type Made } from '../support/envelopes.ts';
import { makeExtension, type ExtensionEdits } from '../support/extension.ts';
import { memoryBoard } from '../support/memory-board.ts';
import { deliver } from '../support/rotation.ts';
import { EXECUTOR, sidecar, sign, START_MS, type TrustEdit } from '../support/story.ts';
import { createBench, type Bench } from '../support/worker-bench.ts';

const HOUR_MS = 3_600_000;

/** Access that was given for an hour, the worker that gave it, and its bench. */
async function given(bench: Bench = createBench()): Promise<{ readonly bench: Bench; readonly worker: Worker; readonly grant: Made }> {
  const grant = makeStep({ leaseSeconds: 3_600 });
  const worker = await bench.start();
  await worker.step(grant.envelope);
  await bench.clock.until(() => bench.of('acted').length > 0);
  expect(bench.of('acted')).toMatchObject([{ outcome: 'done' }]);
  return { bench, worker, grant };
}

/** Extended by a step that was sent at `atMs`, to two hours from then on; what its report says. */
async function extended(bench: Bench, worker: Worker, grant: Made, edits: ExtensionEdits = {}): Promise<Made> {
  const extension = makeExtension(grant, { nowMs: bench.clock.nowMs, log: grant.log, ...edits });
  const before = bench.of('acted').length;
  await deliver(worker, extension);
  await bench.clock.until(() => bench.of('acted').length > before, 60_000);
  return extension;
}

const last = (bench: Bench): unknown => bench.of('acted').at(-1);
const account = (bench: Bench): string | undefined => [...bench.target.accounts.values()][0]?.validUntil ?? undefined;
const leaseEnd = (grant: Made, notBeforeMs: number, epoch: number): Dsse =>
  sign.order({ ...deriveRevokeOrder(grant.plan, EXECUTOR, notBeforeMs, 'leaseEnd', sidecar)!, epoch } satisfies RevokeOrder);
const ended = (bench: Bench): readonly unknown[] => bench.of('revoked').filter(({ outcome }) => outcome === 'done' || outcome === 'already-absent');

describe('an extension', () => {
  test('moves the end at the target, voids the earlier order, and the access ends by the later one, once', async () => {
    const { bench, worker, grant } = await given();
    await bench.clock.advance(HOUR_MS / 2);
    const extension = await extended(bench, worker, grant);
    expect(last(bench)).toMatchObject({ outcome: 'done', changeId: extension.plan.changeId, before: expect.any(String) as string });
    expect(account(bench)).toBe(extension.orderContent!.notBefore);
    await bench.clock.advance(HOUR_MS);
    expect(bench.target.accounts.size).toBe(1);
    expect(bench.of('revoked')).toEqual([]);
    await bench.clock.advance(2 * HOUR_MS);
    expect(bench.target.accounts.size).toBe(0);
    expect(bench.of('revoked')).toMatchObject([{ outcome: 'done', epoch: 2, changeId: grant.plan.changeId, leaseId: grant.plan.lease!.leaseId }]);
  });

  test('holds over a restart, by what is in the lease book', async () => {
    const { bench, worker, grant } = await given();
    await extended(bench, worker, grant);
    bench.kill();
    await bench.start();
    await bench.clock.advance(HOUR_MS + 60_000);
    expect(bench.target.accounts.size).toBe(1);
    await bench.clock.advance(HOUR_MS);
    expect(bench.target.accounts.size).toBe(0);
  });

  test('is extended again, and the orders of all earlier epochs are void, be they held, or sent anew', async () => {
    const { bench, worker, grant } = await given();
    const first = await extended(bench, worker, grant, { leaseSeconds: 5_400 });
    await extended(bench, worker, grant, { leaseSeconds: 10_800, epoch: 3 });
    expect(last(bench)).toMatchObject({ outcome: 'done' });
    await worker.revoke(grant.order);
    await worker.revoke(first.order);
    await bench.clock.advance(10_799_000);
    expect(bench.target.accounts.size).toBe(1);
    await bench.clock.advance(60_000);
    expect(bench.target.accounts.size).toBe(0);
    expect(bench.of('revoked')).toMatchObject([{ epoch: 3 }]);
  });

  test('of a lease whose extension before came to nothing leaves that one’s armed order void', async () => {
    const { bench, worker, grant } = await given();
    const failed = makeExtension(grant, { nowMs: bench.clock.nowMs, log: grant.log, leaseSeconds: 5_400 });
    await worker.arm(failed.order);
    await extended(bench, worker, grant, { leaseSeconds: 10_800, epoch: 3 });
    await bench.clock.advance(5_460_000);
    expect(bench.target.accounts.size).toBe(1);
  });
});

describe('the earlier end holds', () => {
  test('whatever order comes: none raises an epoch by itself', async () => {
    const { bench, worker, grant } = await given();
    const extension = makeExtension(grant, { nowMs: bench.clock.nowMs, log: grant.log });
    await worker.arm(extension.order);
    await worker.arm(leaseEnd(grant, START_MS + 5 * HOUR_MS, 9));
    await bench.clock.advance(HOUR_MS + 1_000);
    expect(bench.target.accounts.size).toBe(0);
    expect(ended(bench)).toMatchObject([{ epoch: 1 }]);
  });

  const REFUSED: readonly { readonly title: string; readonly edits: (grant: Made) => ExtensionEdits; readonly code: string; readonly trust?: TrustEdit }[] = [
    { title: 'without an approval', edits: () => ({ statements: () => [] }), code: 'approvals-insufficient' },
    { title: 'with an approval of the grant', edits: (grant) => ({ statements: (one) => [{ ...one, changeId: grant.plan.changeId, planDigest: grant.ticket.planDigest }] }), code: 'approval-invalid' },
    { title: 'approved by who asked', edits: () => ({ statements: (one) => [{ ...one, approver: 'person:rita' }] }), code: 'approval-invalid' },
    { title: 'for longer than the floor allows, counted from now', edits: () => ({ leaseSeconds: 4_000 }), code: 'below-floor', trust: { maxLeaseSeconds: 3_999 } },
    { title: 'to an end beyond its own length', edits: () => ({ order: (order) => ({ ...order, notBefore: formatTime(START_MS + 9 * HOUR_MS) }) }), code: 'order-mismatch' },
    { title: 'with an order of another epoch than its plan', edits: () => ({ order: (order) => ({ ...order, epoch: 7 }) }), code: 'order-mismatch' },
    { title: 'with an order that no epoch voids', edits: () => ({ order: (order) => ({ ...order, cause: 'early' }) }), code: 'order-mismatch' },
    { title: 'to an end that is not later', edits: () => ({ leaseSeconds: 60 }), code: 'order-mismatch' },
    { title: 'of a lease that was not given here', edits: () => ({ plan: (plan) => ({ ...plan, ...ofAnother(plan) }) }), code: 'wrong-step' },
    { title: 'for another identity than has it', edits: () => ({ plan: (plan) => ({ ...plan, subject: 'nhi:prod/other' }) }), code: 'wrong-step' },
    { title: 'of more than was given', edits: () => ({ plan: (plan) => more(plan) }), code: 'wrong-step' },
    { title: 'as a grant that says it extends', edits: () => ({ plan: (plan) => ({ ...plan, kind: 'grant' }) }), code: 'wrong-step' },
    { title: 'of itself', edits: () => ({ plan: (plan) => ({ ...plan, extends: { change: plan.changeId, epoch: 2 } }) }), code: 'wrong-step' },
    { title: 'that is recorded as ending another lease', edits: () => ({ body: (body) => ({ ...body, lease: { ...body.lease!, epoch: 3 } }) }), code: 'order-mismatch' },
  ];
  test.each(REFUSED)('$title: $code', async ({ edits, code, trust }) => {
    const { bench, worker, grant } = await given(createBench(trust === undefined ? {} : { trust }));
    await extended(bench, worker, grant, edits(grant));
    expect(last(bench)).toMatchObject({ outcome: 'refused', code });
    await bench.clock.advance(HOUR_MS + 1_000);
    expect(bench.target.accounts.size).toBe(0);
  });

  test('where its step is in the log of nobody', async () => {
    const { bench, worker, grant } = await given();
    await extended(bench, worker, grant, { fromSize: grant.log.size, envelope: (envelope) => ({ ...envelope, receipt: { ...envelope.receipt, index: 0 } }) });
    expect(last(bench)).toMatchObject({ outcome: 'refused', code: 'no-receipt' });
  });

  test('after an extension of that epoch or a later one: it is not applied again', async () => {
    const { bench, worker, grant } = await given();
    await extended(bench, worker, grant, { epoch: 3 });
    await extended(bench, worker, grant, { epoch: 3, leaseSeconds: 9_000 });
    expect(last(bench)).toMatchObject({ outcome: 'refused', code: 'order-mismatch' });
    await extended(bench, worker, grant, { epoch: 2, leaseSeconds: 9_000 });
    expect(last(bench)).toMatchObject({ outcome: 'refused', code: 'order-mismatch' });
  });

  test('where the target turns it down', async () => {
    const { bench, worker, grant } = await given();
    bench.target.will('apply', 'rejected');
    await extended(bench, worker, grant);
    expect(last(bench)).toMatchObject({ outcome: 'failed', code: 'target-rejected' });
    await bench.clock.advance(HOUR_MS + 1_000);
    expect(ended(bench)).toMatchObject([{ epoch: 1 }]);
  });

  test('where the worker dies at any point before the extension is on its disk, and the later one after it', async () => {
    const ends = new Set<number>();
    for (let at = 1; at < 60; at += 1) {
      const { bench, worker, grant } = await given();
      let touches = 0;
      const touch = (): void => {
        touches += 1;
        if (touches === at) bench.kill('synced');
      };
      bench.disk.watch = touch;
      bench.target.watch = touch;
      const extension = makeExtension(grant, { nowMs: bench.clock.nowMs, log: grant.log });
      deliver(worker, extension).catch(() => undefined);
      await bench.clock.until(() => touches >= at || bench.of('acted').length > 1, 30_000);
      if (touches < at) break;
      bench.disk.watch = () => undefined;
      bench.target.watch = () => undefined;
      // It comes back only after the earlier end: what it does then is by its book alone.
      await bench.clock.advance(HOUR_MS + 1_000);
      await bench.start();
      await bench.clock.advance(60_000);
      const isExtended = bench.target.accounts.size === 1;
      if (isExtended) expect(bench.of('acted').at(-1)).toMatchObject({ outcome: 'done' });
      else expect(ended(bench)).toMatchObject([{ epoch: 1 }]);
      await bench.clock.advance(2 * HOUR_MS);
      expect(bench.target.accounts.size).toBe(0);
      ends.add(isExtended ? 2 : 1);
    }
    expect([...ends].sort()).toEqual([1, 2]);
  });

  test('where an answer of the target was lost: what became of it is looked for', async () => {
    for (const fate of ['lostAfter', 'lostBefore', 'hangsDone', 'late'] as const) {
      const { bench, worker, grant } = await given();
      bench.target.will('apply', fate);
      const extension = await extended(bench, worker, grant);
      await bench.clock.until(() => bench.of('acted').some(({ changeId, outcome }) => changeId === extension.plan.changeId && outcome === 'done'), 120_000);
      expect(account(bench), fate).toBe(extension.orderContent!.notBefore);
    }
  });
});

describe('a lease that is over', () => {
  test('is not extended after its end, nor by what was on its way', async () => {
    const { bench, worker, grant } = await given();
    const extension = makeExtension(grant, { nowMs: bench.clock.nowMs + HOUR_MS - 60_000, log: grant.log });
    await bench.clock.advance(HOUR_MS + 1_000);
    await deliver(worker, extension);
    await bench.clock.until(() => bench.of('acted').length > 1);
    expect(last(bench)).toMatchObject({ outcome: 'refused', code: 'lease-ended' });
    expect(bench.target.accounts.size).toBe(0);
  });

  test('by a person’s order ends whatever epoch it is at, and nothing extends it after that', async () => {
    const { bench, worker, grant } = await given();
    await extended(bench, worker, grant);
    await worker.revoke(sign.order(deriveRevokeOrder(grant.plan, EXECUTOR, bench.clock.nowMs, 'early', sidecar)!));
    await bench.clock.until(() => ended(bench).length > 0, 60_000);
    expect(bench.target.accounts.size).toBe(0);
    await extended(bench, worker, grant, { epoch: 3 });
    expect(last(bench)).toMatchObject({ outcome: 'refused', code: 'lease-ended' });
  });

  test('by an undoing order is so too, at the time that it says', async () => {
    const { bench, worker, grant } = await given();
    await extended(bench, worker, grant);
    await worker.revoke(sign.order(deriveRevokeOrder(grant.plan, EXECUTOR, START_MS + HOUR_MS, 'compensation', sidecar)!));
    await bench.clock.advance(HOUR_MS - 60_000);
    expect(bench.target.accounts.size).toBe(1);
    await bench.clock.advance(61_000);
    expect(bench.target.accounts.size).toBe(0);
  });

  test('while its extension is under way stays over: the order comes first', async () => {
    const { bench, worker, grant } = await given();
    bench.target.will('apply', 'hangs');
    const extension = makeExtension(grant, { nowMs: bench.clock.nowMs, log: grant.log });
    await deliver(worker, extension);
    await bench.clock.until(() => bench.target.calls.filter((call) => call === 'apply').length > 1);
    await worker.revoke(sign.order(deriveRevokeOrder(grant.plan, EXECUTOR, bench.clock.nowMs, 'early', sidecar)!));
    await bench.clock.until(() => ended(bench).length > 0 && bench.of('acted').some(({ changeId, outcome }) => changeId === extension.plan.changeId && outcome !== 'ambiguous'), 120_000);
    expect(bench.target.accounts.size).toBe(0);
    expect(last(bench)).toMatchObject({ outcome: 'failed', code: 'lease-ended' });
  });
});

describe('disarming', () => {
  test('is for what an applied extension has superseded; any other order stays', async () => {
    const { bench, worker, grant } = await given();
    await expect(worker.disarm(grant.order)).rejects.toMatchObject({ code: 'order-mismatch' });
    const extension = await extended(bench, worker, grant);
    await worker.disarm(grant.order);
    await worker.disarm(grant.order);
    await expect(worker.disarm(extension.order)).rejects.toMatchObject({ code: 'order-mismatch' });
    await bench.clock.advance(HOUR_MS + 1_000);
    expect(bench.target.accounts.size).toBe(1);
  });
});

describe('two workers of one executor', () => {
  test('the one that did not give it leaves an extension to the other', async () => {
    const board = memoryBoard();
    const first = createBench({ board });
    const second = createBench({ beside: first, board });
    const { worker, grant } = await given(first);
    const other = await second.start();
    const extension = makeExtension(grant, { nowMs: first.clock.nowMs, log: grant.log });
    await expect(other.step(extension.envelope)).rejects.toMatchObject({ code: 'elsewhere' });
    await deliver(worker, extension);
    await first.clock.until(() => first.of('acted').length > 1);
    expect(first.of('acted').at(-1)).toMatchObject({ outcome: 'done' });
    expect(second.reports).toEqual([]);
  });

  test('one that has not seen the extension carries the older order out, which ends the lease for every epoch', async () => {
    const board = memoryBoard();
    const first = createBench({ board });
    const second = createBench({ beside: first, board });
    const { worker, grant } = await given(first);
    await extended(first, worker, grant);
    const other = await second.start();
    await other.revoke(grant.order);
    await first.clock.advance(HOUR_MS + 1_000);
    expect(first.target.accounts.size).toBe(0);
    expect(second.of('revoked')).toMatchObject([{ outcome: 'done', epoch: 1 }]);
    // The one that has extended it hears of that from the claim, and extends nothing after it.
    await extended(first, worker, grant, { epoch: 3, nowMs: first.clock.nowMs });
    expect(last(first)).toMatchObject({ outcome: 'refused', code: 'lease-ended' });
  });
});

/** The same step, of a lease that nobody has heard of. */
function ofAnother(plan: Made['plan']): Partial<Made['plan']> {
  const other = makeStep({ leaseSeconds: 3_600 });
  const [step] = plan.steps;
  return {
    extends: { change: other.plan.changeId, epoch: 2 }, lease: { ...plan.lease!, leaseId: other.plan.lease!.leaseId },
    steps: [{ ...step!, account: other.plan.steps[0]!.account, clientToken: other.plan.steps[0]!.clientToken }],
  };
}

function more(plan: Made['plan']): Made['plan'] {
  const privileges = [...plan.steps[0]!.privileges, 'table:public.orders:UPDATE'];
  return {
    ...plan, entitlements: privileges.map((privilege) => ({ connector: 'pg-main', target: 'app', privilege })), steps: plan.steps.map((step) => ({ ...step, privileges })),
  };
}
