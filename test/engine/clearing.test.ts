/** What is taken off a bus because it is answered on record, and what stays because somebody may still be owed it. */
import { afterEach, describe, expect, it, vi } from 'vitest';
import { deriveRevokeOrder, leaseIdOf } from '../../src/change/derive.ts';
import type { ChangeState } from '../../src/change/state.ts';
import { spentBy } from '../../src/engine/clearing.ts';
import type { Held, Outbox, Spent } from '../../src/engine/ports.ts';
import { reportMaker } from '../../src/executor/reports.ts';
import { payloadDigest, readPayload, signDsse } from '../../src/protocol/dsse.ts';
import { anyTicketSchema } from '../../src/protocol/discovery.ts';
import type { ChangeRequest } from '../../src/protocol/request.ts';
import { REVOKE_ORDER_TYPE, revokedReportSchema, TICKET_TYPE, type Dsse } from '../../src/protocol/signed.ts';
import { EXECUTOR, openTestSidecar, PROVISION, type TestSidecar } from '../support/sidecar.ts';
import { keys } from '../support/story.ts';
import { otherId } from '../support/ids.ts';

const WAIT = { timeout: 15_000 };

interface PaperOutbox extends Outbox {
  readonly told: Spent[];
  /** How many records were durable when it was told each. */
  readonly durableAt: number[];
  readonly sweeps: ((held: Held) => Promise<boolean>)[];
}

function paperOutbox(): PaperOutbox {
  const told: Spent[] = [];
  const durableAt: number[] = [];
  const sweeps: ((held: Held) => Promise<boolean>)[] = [];
  return {
    told, durableAt, sweeps, missing: () => Promise.resolve([]), onDoubt: () => undefined, onLost: () => undefined, sweep: (isSpent) => void sweeps.push(isSpent),
    spent(what) {
      told.push(what);
      durableAt.push(sidecar.log.durableSize);
    },
  };
}

let sidecar: TestSidecar;
afterEach(() => sidecar.close());

const request = async (asked: ChangeRequest, by = 'nhi:prod/billing-export'): Promise<string> => {
  const answer = await sidecar.engine.request([by], asked, null);
  if (!answer.ok) throw new Error(answer.message);
  return answer.value.state.changeId;
};
const reached = (id: string, name: string): Promise<void> => vi.waitFor(() => expect(sidecar.engine.get(id)?.name).toBe(name), WAIT);
const orders = (told: readonly Spent[]): string[] => told.flatMap((what) => ('order' in what ? [payloadDigest(what.order)] : []));
const steps = (told: readonly Spent[]): string[] => told.flatMap((what) => ('order' in what ? [] : [`${what.stepId} ${what.issue}`]));
const seqOf = async (type: string): Promise<number> => {
  let last = -1;
  for await (const { seq, record } of sidecar.log.entries(0)) if (record.type === type) last = seq;
  return last;
};

describe('what is answered on record', () => {
  it('is let go: a step by its result, an order by the end of its lease, and nothing before', async () => {
    const outbox = paperOutbox();
    sidecar = await openTestSidecar({ outbox });
    const id = await request(PROVISION);
    await reached(id, 'active');
    const { read, act, lease } = sidecar.engine.get(id)!;
    await vi.waitFor(() => expect(steps(outbox.told)).toEqual([`${read!.stepId} 1`, `${act!.stepId} 1`]), WAIT);
    expect(orders(outbox.told)).toEqual([]);
    expect(outbox.told.every(({ audience }) => audience === EXECUTOR)).toBe(true);

    expect((await sidecar.engine.revoke('person:ana', id, null)).ok).toBe(true);
    await reached(id, 'revoked');
    const ended = sidecar.engine.get(id)!;
    await vi.waitFor(() => expect(new Set(orders(outbox.told))).toEqual(new Set([lease!.orderDigest, payloadDigest(ended.revokes[0]!.order)])), WAIT);
    const answeredBy = [await seqOf('state.read'), await seqOf('step.succeeded'), await seqOf('lease.ended')];
    expect(outbox.durableAt.slice(0, 3).map((size, n) => size > answeredBy[n]!)).toEqual([true, true, true]);
  });
});

/** An order of reconciling: it ends what was found again, after the end of its lease. */
const foundAgain = async (outbox: PaperOutbox): Promise<{ readonly order: Dsse; readonly state: ChangeState }> => {
  const id = await request(PROVISION);
  await reached(id, 'active');
  expect((await sidecar.engine.revoke('person:ana', id, null)).ok).toBe(true);
  await reached(id, 'revoked');
  await vi.waitFor(() => expect(orders(outbox.told).length).toBeGreaterThan(1), WAIT);
  const state = sidecar.engine.get(id)!;
  return { state, order: signDsse(REVOKE_ORDER_TYPE, deriveRevokeOrder(state.plan!, EXECUTOR, Date.now(), 'reconcile', 'sidecar:main')!, keys.ticket) };
};

describe('an order of reconciling', () => {
  it('is owed after the end of its lease, until it is carried out', async () => {
    const outbox = paperOutbox();
    sidecar = await openTestSidecar({ outbox });
    const { order, state } = await foundAgain(outbox);
    expect(await outbox.sweeps[0]!({ order })).toBe(false);
    const isSpentBy = (outcome: 'done' | 'already-absent' | 'mismatch' | 'failed'): boolean => {
      const message = reportMaker(EXECUTOR, keys.executor, { nowMs: () => Date.now() })({
        kind: 'revoked', log: sidecar.log.logId, changeId: state.changeId, leaseId: leaseIdOf(state.changeId), epoch: 1, order: payloadDigest(order), outcome, code: null, detail: null, after: null, byUse: 'notTried', attempt: 1,
      }, { order });
      return orders(spentBy(EXECUTOR, readPayload(message.report, revokedReportSchema), message, state)).includes(payloadDigest(order));
    };
    expect([isSpentBy('failed'), isSpentBy('mismatch'), isSpentBy('done'), isSpentBy('already-absent')]).toEqual([false, false, true, true]);
  });
});

describe('what an earlier process left on the bus', () => {
  it('is spent where the ledger says so, and owed where it does not', async () => {
    const outbox = paperOutbox();
    sidecar = await openTestSidecar({ outbox });
    const [given, gone] = [await request(PROVISION), await request({ ...PROVISION, reason: 'another' })];
    await Promise.all([reached(given, 'active'), reached(gone, 'active')]);
    const orderOfGone = { order: sidecar.engine.get(gone)!.lease!.order };
    expect(outbox.sweeps).toHaveLength(1);
    const [isSpent] = outbox.sweeps as [(held: Held) => Promise<boolean>];
    expect(await isSpent(orderOfGone)).toBe(false);
    expect((await sidecar.engine.revoke('person:ana', gone, null)).ok).toBe(true);
    await reached(gone, 'revoked');
    await vi.waitFor(async () => expect(await isSpent(orderOfGone)).toBe(true), WAIT);
    const { read, act, lease } = sidecar.engine.get(given)!;
    expect(await isSpent({ order: lease!.order })).toBe(false);
    expect([await isSpent({ ticket: read!.ticket }), await isSpent({ ticket: act!.ticket })]).toEqual([true, true]);
    const ofAnother = { ...readPayload(act!.ticket, anyTicketSchema), changeId: otherId(given) };
    expect(await isSpent({ ticket: signDsse(TICKET_TYPE, ofAnother, keys.ticket) })).toBe(false);
  });

  it('is owed while a step waits for its answer, and while another issue of it may come', async () => {
    const outbox = paperOutbox();
    sidecar = await openTestSidecar({ outbox });
    sidecar.executor.acting = false;
    const id = await request(PROVISION);
    await vi.waitFor(() => expect(sidecar.executor.steps.length).toBeGreaterThan(0), WAIT);
    const [isSpent] = outbox.sweeps as [(held: Held) => Promise<boolean>];
    const asked = sidecar.engine.get(id)!;
    const ticket = (asked.act ?? asked.read)!.ticket;
    expect(await isSpent({ ticket })).toBe(false);
    expect(outbox.told.filter((what) => 'stepId' in what && what.stepId === (asked.act ?? asked.read)!.stepId)).toEqual([]);
  });
});
