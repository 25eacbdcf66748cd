/** What waits for the copy of the ledger, and what does not; and what is put back on a bus that has lost it. */
import { afterEach, describe, expect, it, vi } from 'vitest';
import { LedgerError, readCheckpoint } from '../../ledger/index.ts';
import type { Held, LedgerCopy, Outbox, Spent } from '../../src/engine/ports.ts';
import type { ChangeRequest } from '../../src/protocol/request.ts';
import type { StepEnvelope } from '../../src/protocol/envelope.ts';
import { testRun } from '../support/run.ts';
import { EXECUTOR, GRANT, openTestSidecar, PROVISION, type TestSidecar } from '../support/sidecar.ts';

const WAIT = { timeout: 15_000 };

interface PaperCopy extends LedgerCopy {
  /** Records that the copy holds from now on. */
  reach(size: number): void;
  readonly asked: number[];
  /** How many orders were armed each time that it was told to begin. */
  readonly begun: number[];
}

function paperCopy(guarded: readonly string[] = [EXECUTOR]): PaperCopy {
  let held = 0;
  const callbacks: (() => void)[] = [];
  const asked: number[] = [];
  const begun: number[] = [];
  return {
    asked, begun,
    catchUp: () => void begun.push(sidecar.executor.armed.length),
    guards: (audience) => guarded.includes(audience),
    holds(size) {
      asked.push(size);
      return Promise.resolve(held >= size);
    },
    onProgress: (callback) => void callbacks.push(callback),
    trouble: () => (held < (asked.at(-1) ?? 0) ? 'the copy does not come on' : null),
    reach(size) {
      held = size;
      for (const callback of callbacks) callback();
    },
  };
}

let sidecar: TestSidecar;
afterEach(() => sidecar.close());

const stateOf = (id: string): string | undefined => sidecar.engine.get(id)?.name;
const request = async (asked: ChangeRequest, by = 'nhi:prod/billing-export'): Promise<string> => {
  const answer = await sidecar.engine.request([by], asked, null);
  if (!answer.ok) throw new Error(answer.message);
  return answer.value.state.changeId;
};
const shownBy = ({ receipt }: StepEnvelope): number => readCheckpoint(receipt.checkpoint).size;
const typesIn = async (): Promise<{ type: string; body: unknown }[]> => {
  const found: { type: string; body: unknown }[] = [];
  for await (const { record } of sidecar.log.entries(0)) found.push({ type: record.type, body: record.body });
  return found;
};

describe('a copy of the ledger', () => {
  it('is waited for by every step that gives, and by every read: no executor is shown what it does not hold', async () => {
    const copy = paperCopy();
    sidecar = await openTestSidecar({ copy });
    const id = await request(PROVISION);
    await vi.waitFor(() => expect(copy.asked.length).toBeGreaterThan(0), WAIT);
    expect([sidecar.executor.steps, stateOf(id), sidecar.engine.waitingFor(id)]).toEqual([[], 'requested', 'the copy does not come on']);
    const read = sidecar.log.size;
    copy.reach(read);
    await vi.waitFor(() => expect(stateOf(id)).toBe('authorised'), WAIT);
    await vi.waitFor(() => expect(copy.asked.at(-1)).toBeGreaterThan(read), WAIT);
    expect(sidecar.executor.steps.map(shownBy).every((size) => size <= read)).toBe(true);
    expect(sidecar.executor.steps).toHaveLength(1);
    copy.reach(1_000_000);
    await vi.waitFor(() => expect([stateOf(id), sidecar.engine.waitingFor(id)]).toEqual(['active', null]), WAIT);
  });

  it('is not waited for by what takes access away', async () => {
    const copy = paperCopy();
    sidecar = await openTestSidecar({ copy });
    copy.reach(1_000_000);
    const given = await request(PROVISION);
    const { kind: _kind, duration: _duration, ...asked } = GRANT;
    const taking = await request({ kind: 'revoke', ...asked }, GRANT.subject);
    await vi.waitFor(() => expect([stateOf(given), stateOf(taking)]).toEqual(['active', 'pending']), WAIT);
    copy.reach(0);
    expect((await sidecar.engine.decideApproval('person:wei', taking, 'approve', sidecar.engine.get(taking)!.planDigest!, null)).ok).toBe(true);
    expect((await sidecar.engine.revoke('person:ana', given, null)).ok).toBe(true);
    await vi.waitFor(() => expect([stateOf(given), stateOf(taking)]).toEqual(['revoked', 'done']), WAIT);
  });

  it('begins with what a step waits for while its order is armed', async () => {
    const copy = paperCopy();
    sidecar = await openTestSidecar({ copy });
    copy.reach(1_000_000);
    const id = await request(PROVISION);
    await vi.waitFor(() => expect(stateOf(id)).toBe('active'), WAIT);
    expect([copy.begun, sidecar.executor.armed.length]).toEqual([[0], 1]);
  });

  it('may come on after a lock was set: then the ticket that waited for it is not handed out', async () => {
    const copy = paperCopy([]);
    sidecar = await openTestSidecar({
      copy: {
        ...copy,
        async holds() {
          await sidecar.engine.lock('person:olga', { nhi: GRANT.subject, connector: null }, 'a leak is looked into');
          return true;
        },
      },
    });
    const by = GRANT.subject;
    const id = await request({ kind: 'rotate', subject: by, connector: 'pg-main', target: 'app', purpose: 'deploy-orders', reason: 'by script', caller: { key: testRun().key, timeout: 'PT5M' } }, by);
    await vi.waitFor(() => expect(stateOf(id)).toBe('pending'), WAIT);
    await sidecar.engine.decideApproval('person:wei', id, 'approve', sidecar.engine.get(id)!.planDigest!, null);
    await vi.waitFor(() => expect(stateOf(id)).toBe('authorised'), WAIT);
    expect(await sidecar.engine.callerTicket(by, id, null)).toMatchObject({ ok: false, code: 'not-expected' });
  });

  it('is waited for by the ticket of a caller and by the answer to its claim: its code runs under nothing that could be lost', async () => {
    const copy = paperCopy([]);
    sidecar = await openTestSidecar({ copy });
    const run = testRun();
    const by = GRANT.subject;
    const id = await request({ kind: 'rotate', subject: by, connector: 'pg-main', target: 'app', purpose: 'deploy-orders', reason: 'by script', caller: { key: run.key, timeout: 'PT5M' } }, by);
    await vi.waitFor(() => expect(stateOf(id)).toBe('pending'), WAIT);
    await sidecar.engine.decideApproval('person:wei', id, 'approve', sidecar.engine.get(id)!.planDigest!, null);
    await vi.waitFor(() => expect(stateOf(id)).toBe('authorised'), WAIT);
    const notCopied = { ok: false, code: 'not-copied' };
    expect(await sidecar.engine.callerTicket(by, id, null)).toMatchObject(notCopied);
    expect(sidecar.engine.waitingFor(id)).toBe('the copy does not come on');
    const shown = copy.asked.at(-1)!;
    copy.reach(shown);
    const answer = await sidecar.engine.callerTicket(by, id, null);
    if (!answer.ok) throw new Error(answer.message);
    expect(shownBy(answer.value)).toBeLessThanOrEqual(shown);

    const claim = run.claimed(answer.value);
    expect(await sidecar.engine.receiveCallerReport(id, claim)).toMatchObject(notCopied);
    // The claim is on record, and under a checkpoint: what is asked for is that the copy has it.
    expect(sidecar.engine.get(id)).toMatchObject({ name: 'executing', claimed: true });
    expect(copy.asked.at(-1)).toBe(sidecar.engine.get(id)!.lastSeq + 1);
    copy.reach(copy.asked.at(-1)!);
    expect(await sidecar.engine.receiveCallerReport(id, claim)).toMatchObject({ ok: true, value: { name: 'executing' } });
    // What became of it is told and recorded, copy or not.
    copy.reach(0);
    expect(await sidecar.engine.receiveCallerReport(id, run.acted(answer.value))).toMatchObject({ ok: true });
  });

  it.each(['while it is waited for', 'before it is asked for again'] as const)('holds a claim that is not answered yes under a lock that was set %s', async (when) => {
    const copy = paperCopy([]);
    let locking: Promise<unknown> | null = null;
    const lock = (): Promise<unknown> => (locking ??= sidecar.engine.lock('person:olga', { nhi: GRANT.subject, connector: null }, 'leak'));
    let isLockedMeanwhile = false;
    sidecar = await openTestSidecar({
      copy: {
        ...copy,
        async holds(size, waitMs) {
          if (isLockedMeanwhile) await lock();
          return copy.holds(size, waitMs);
        },
      },
    });
    const run = testRun();
    const by = GRANT.subject;
    const id = await request({ kind: 'rotate', subject: by, connector: 'pg-main', target: 'app', purpose: 'deploy-orders', reason: 'by script', caller: { key: run.key, timeout: 'PT5M' } }, by);
    await vi.waitFor(() => expect(stateOf(id)).toBe('pending'), WAIT);
    await sidecar.engine.decideApproval('person:wei', id, 'approve', sidecar.engine.get(id)!.planDigest!, null);
    await vi.waitFor(() => expect(stateOf(id)).toBe('authorised'), WAIT);
    copy.reach(1_000_000);
    const answer = await sidecar.engine.callerTicket(by, id, null);
    if (!answer.ok) throw new Error(answer.message);
    const claim = run.claimed(answer.value);
    if (when === 'while it is waited for') isLockedMeanwhile = true;
    else {
      copy.reach(0);
      expect(await sidecar.engine.receiveCallerReport(id, claim)).toMatchObject({ ok: false, code: 'not-copied' });
      copy.reach(1_000_000);
      await lock();
    }
    expect(await sidecar.engine.receiveCallerReport(id, claim)).toMatchObject({ ok: false, code: 'too-late' });
    // What its code did, if it ran all the same, is told.
    expect(await sidecar.engine.receiveCallerReport(id, run.acted(answer.value))).toMatchObject({ ok: true });
  });

  it('has no say about executors that it does not guard', async () => {
    const copy = paperCopy(['executor:elsewhere']);
    sidecar = await openTestSidecar({ copy });
    const id = await request(PROVISION);
    await vi.waitFor(() => expect(stateOf(id)).toBe('active'), WAIT);
    expect(copy.asked).toEqual([]);
  });
});

describe('a bus that has lost what it held', () => {
  const paperOutbox = (): Outbox & { doubt(): void; lose(...changes: string[]): void; readonly held: Set<string>; readonly spentSoFar: Spent[]; readonly sweeps: ((held: Held) => Promise<boolean>)[] } => {
    const doubts: (() => void)[] = [];
    const losses: ((changeId: string) => void)[] = [];
    const held = new Set<string>();
    const [spent, sweeps]: [Spent[], ((held: Held) => Promise<boolean>)[]] = [[], []];
    return {
      held, spentSoFar: spent, sweeps,
      missing: (armed) => Promise.resolve(armed.filter(({ order }) => !held.has(order.payload))),
      onDoubt: (callback) => void doubts.push(callback),
      onLost: (callback) => void losses.push(callback),
      spent: (what) => void spent.push(what),
      sweep: (isSpent) => void sweeps.push(isSpent),
      doubt: () => doubts.forEach((callback) => callback()),
      lose: (...changes) => changes.forEach((changeId) => losses.forEach((callback) => callback(changeId))),
    };
  };

  it('is given the armed orders again, on record, and only those that are missing', async () => {
    const outbox = paperOutbox();
    sidecar = await openTestSidecar({ outbox });
    const [kept, gone] = [await request(PROVISION), await request({ ...PROVISION, reason: 'another' })];
    await vi.waitFor(() => expect([stateOf(kept), stateOf(gone)]).toEqual(['active', 'active']), WAIT);
    outbox.held.add(sidecar.engine.get(kept)!.lease!.order.payload);
    const before = sidecar.executor.armed.length;
    outbox.doubt();
    await vi.waitFor(async () => expect((await typesIn()).map(({ type }) => type)).toContain('outbox.refilled'), WAIT);
    expect(sidecar.executor.armed.slice(before)).toEqual([sidecar.engine.get(gone)!.lease!.order]);
    expect((await typesIn()).filter(({ type }) => type === 'outbox.refilled').map(({ body }) => body)).toEqual([{ stream: 'CS_STEPS', missing: 1, from: null, changes: [gone] }]);
  });

  it('has lost steps as well: those of a while are one record', async () => {
    const outbox = paperOutbox();
    sidecar = await openTestSidecar({ outbox });
    const ids = [await request(PROVISION), await request({ ...PROVISION, reason: 'another' })];
    outbox.lose(...ids, ids[0]!);
    await vi.waitFor(async () => expect((await typesIn()).map(({ type }) => type)).toContain('outbox.refilled'), WAIT);
    expect((await typesIn()).filter(({ type }) => type === 'outbox.refilled').map(({ body }) => body)).toEqual([{ stream: 'CS_STEPS', missing: 2, from: null, changes: ids }]);
  });

  it('is filled again though the ledger takes no record of it', async () => {
    const outbox = paperOutbox();
    sidecar = await openTestSidecar({ outbox });
    const id = await request(PROVISION);
    await vi.waitFor(() => expect(stateOf(id)).toBe('active'), WAIT);
    const before = sidecar.executor.armed.length;
    sidecar.log.refuse(new LedgerError('rolled-back', 'the copy has more'));
    outbox.doubt();
    await vi.waitFor(() => expect(sidecar.executor.armed.length).toBe(before + 1), WAIT);
    await vi.waitFor(() => expect(sidecar.logged.map(({ message }) => message)).toContain('that could not be recorded'), WAIT);
  });
});
