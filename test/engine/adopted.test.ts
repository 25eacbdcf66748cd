/** The engine under a new log that goes on for another: nothing more is gained by what it adopted, and all of it is taken back as it was to be. */
import { afterEach, describe, expect, it, vi } from 'vitest';
import { nodeDisk } from '../../ledger/index.ts';
import { receiveReport } from '../../src/engine/reports.ts';
import { verifyEvidence } from '../../src/evidence/verify.ts';
import { readPayload, signDsse } from '../../src/protocol/dsse.ts';
import { lockStatementSchema } from '../../src/protocol/lock.ts';
import type { ChangeRequest } from '../../src/protocol/request.ts';
import { REPORT_TYPE, revokeOrderSchema } from '../../src/protocol/signed.ts';
import { GRANT, openTestSidecar, PROVISION, type TestSidecar } from '../support/sidecar.ts';

const opened: TestSidecar[] = [];
afterEach(async () => {
  for (const one of opened.splice(0).reverse()) await one.close();
});

async function first(): Promise<TestSidecar> {
  const sidecar = await openTestSidecar();
  opened.push(sidecar);
  return sidecar;
}

/** The sidecar is gone, and its ledger; another goes on with what was kept of that. */
async function nextOf(old: TestSidecar): Promise<TestSidecar> {
  await old.engine.close();
  await old.log.close();
  const sidecar = await openTestSidecar({ adopts: old });
  opened.push(sidecar);
  return sidecar;
}

async function request({ engine }: TestSidecar, change: ChangeRequest, by = change.subject): Promise<string> {
  const answer = await engine.request([by], change, null);
  if (!answer.ok) throw new Error(answer.message);
  return answer.value.state.changeId;
}

const named = (sidecar: TestSidecar, changeId: string, name: string): Promise<void> =>
  vi.waitFor(() => expect(sidecar.engine.get(changeId)?.name).toBe(name), { timeout: 10_000 });

async function active(sidecar: TestSidecar): Promise<string> {
  const changeId = await request(sidecar, PROVISION);
  await named(sidecar, changeId, 'active');
  return changeId;
}

/** A change whose step is taken in, and of which nothing more is heard. */
async function authorised(sidecar: TestSidecar): Promise<string> {
  const publish = sidecar.executor.publishStep.bind(sidecar.executor);
  sidecar.executor.publishStep = async (audience, envelope) => (envelope.plan === null ? publish(audience, envelope) : { accepted: true });
  const changeId = await request(sidecar, PROVISION);
  await named(sidecar, changeId, 'authorised');
  sidecar.executor.publishStep = publish;
  return changeId;
}

async function expectVerified({ log, directory, trust }: TestSidecar): Promise<void> {
  await log.sync();
  const floors = [{ connector: '*', target: '*', privilege: '*', quorum: 0, proofClass: 'session' as const, approvers: null, maxLeaseSeconds: null }];
  const { verdicts, workflow } = await verifyEvidence({ disk: nodeDisk(directory), directory: 'ledger', trust: { ...trust, requirements: { ...trust.requirements, floors } }, wholeFolder: true });
  expect(workflow?.violations).toEqual([]);
  expect(verdicts.filter(({ status }) => status === 'fails')).toEqual([]);
  expect(verdicts.find(({ name }) => name === 'WORKFLOW')?.status).toBe('holds');
}

describe('what is active', () => {
  it('stays, is extended by nobody, and is taken back early under the old log’s name', async () => {
    const old = await first();
    const changeId = await active(old);
    const next = await nextOf(old);
    expect(next.engine.get(changeId)).toMatchObject({ name: 'active', adoptedFrom: old.log.logId, revokes: [] });
    const { duration: _, recipient: _sealed, ...lent } = PROVISION;
    const longer = await next.engine.request([PROVISION.subject], { ...lent, kind: 'extend', change: changeId, duration: 'PT2H', reason: 'longer' }, null);
    expect(longer).toMatchObject({ ok: false, code: 'not-extendable' });
    expect(await next.engine.revoke('person:ana', changeId, 'done')).toMatchObject({ ok: true });
    await named(next, changeId, 'revoked');
    expect(readPayload(next.executor.orders[0]!, revokeOrderSchema)).toMatchObject({ log: old.log.logId, changeId, cause: 'early' });
    expect(next.executor.steps).toEqual([]);
    await expectVerified(next);
  });

  it('is taken back under a third log, too', async () => {
    const old = await first();
    const changeId = await active(old);
    const next = await nextOf(old);
    const later = await active(next);
    const third = await nextOf(next);
    expect([changeId, later].map((id) => third.engine.get(id)?.adoptedFrom)).toEqual([next.log.logId, next.log.logId]);
    for (const id of [changeId, later]) {
      expect(await third.engine.revoke('person:ana', id, 'done')).toMatchObject({ ok: true });
      await named(third, id, 'revoked');
    }
    await expectVerified(third);
  });
});

describe('what is on its way', () => {
  it('is ordered back, and never sent again', async () => {
    const old = await first();
    const changeId = await authorised(old);
    const next = await nextOf(old);
    await named(next, changeId, 'failed');
    expect(readPayload(next.executor.orders[0]!, revokeOrderSchema)).toMatchObject({ log: old.log.logId, changeId, cause: 'compensation', orderedBy: `sidecar:${next.log.logId}` });
    expect(next.executor.steps).toEqual([]);
    await expectVerified(next);
  });

  it('of a rotation is undone before its cutover, and its owner’s once somebody has moved over', async () => {
    const rotate: ChangeRequest = { kind: 'rotate', subject: 'nhi:prod/orders-api', connector: 'pg-main', target: 'app', purpose: 'serve-orders', reason: 'old', recipient: PROVISION.recipient, grace: 'PT1H' };
    const old = await first();
    const staged = async (): Promise<string> => {
      const changeId = await request(old, rotate);
      await named(old, changeId, 'staged');
      const { delivery } = old.engine.get(changeId)!;
      expect(await old.engine.acknowledgeDelivery(rotate.subject, changeId, delivery!.seal.ciphertext)).toMatchObject({ ok: true });
      return changeId;
    };
    const changeId = await staged();
    const [consumer] = old.engine.get(changeId)!.plan!.rotation!.consumers;
    const next = await nextOf(old);
    await named(next, changeId, 'failed');
    await expectVerified(next);

    const other = await first();
    const held = await request(other, rotate);
    await named(other, held, 'staged');
    await other.engine.acknowledgeDelivery(rotate.subject, held, other.engine.get(held)!.delivery!.seal.ciphertext);
    expect(await other.engine.confirmConsumer(rotate.subject, held, consumer!)).toMatchObject({ ok: true });
    const later = await nextOf(other);
    await vi.waitFor(() => expect(later.engine.get(held)?.findings.has('rotation-stalled')).toBe(true), { timeout: 10_000 });
    // The old sidecar may have authorised the cutover before it was closed; nothing was carried out.
    expect(later.engine.get(held)).toMatchObject({ name: expect.stringMatching(/^(staged|authorised)$/) as string, revokes: [], ended: null });
    await expectVerified(later);
  });
});

describe('what had given nothing', () => {
  it('ends, and nobody can go on with it', async () => {
    const old = await first();
    const changeId = await request(old, GRANT);
    await named(old, changeId, 'pending');
    const { planDigest } = old.engine.get(changeId)!;
    const next = await nextOf(old);
    await named(next, changeId, 'expired');
    expect(await next.engine.decideApproval('person:wei', changeId, 'approve', planDigest!, null)).toMatchObject({ ok: false, code: 'too-late' });
    expect(await next.engine.revise(GRANT.subject, changeId, GRANT)).toMatchObject({ ok: false, code: 'too-late' });
    const anew = await request(next, GRANT);
    await named(next, anew, 'pending');
    expect(await next.engine.decideApproval('person:wei', anew, 'approve', next.engine.get(anew)!.planDigest!, null)).toMatchObject({ ok: true });
    await named(next, anew, 'active');
    await expectVerified(next);
  });
});

describe('an offboarding at work', () => {
  it('goes on, and keeps anything from being gained meanwhile', async () => {
    const old = await first();
    const lease = await request(old, {
      kind: 'grant', subject: 'nhi:prod/warehouse-sync', purpose: 'warehouse-sync', reason: 'a day of loading', duration: 'PT1H',
      entitlements: [{ connector: 'pg-main', target: 'app', privilege: 'table:public.orders:SELECT' }],
    });
    await named(old, lease, 'active');
    old.executor.acting = false;
    const changeId = await request(old, { kind: 'offboard', subject: 'thirdParty:northwind-analytics', reason: 'the contract ended' }, 'person:olga');
    await vi.waitFor(() => expect(old.engine.get(lease)?.revokes).toHaveLength(1), { timeout: 10_000 });
    const next = await nextOf(old);
    await named(next, lease, 'revoked');
    await named(next, changeId, 'done');
    const children = [...next.engine.all()].filter(({ parent }) => parent === changeId);
    expect(children.length).toBeGreaterThan(0);
    expect(children.every(({ name, adoptedFrom }) => name === 'done' && adoptedFrom === null)).toBe(true);
    await expectVerified(next);
  }, 40_000);
});

describe('a lock of the old log', () => {
  it('stands as its sidecar signed it, and is lifted by the new', async () => {
    const old = await first();
    const answer = await old.engine.lock('person:olga', { nhi: PROVISION.subject, connector: null }, 'a leak');
    if (!answer.ok) throw new Error(answer.message);
    const { lockId } = answer.value;
    await vi.waitFor(() => expect(old.executor.locked).toHaveLength(1), { timeout: 10_000 });
    const next = await nextOf(old);
    const changeId = await request(next, PROVISION);
    await vi.waitFor(() => expect(next.engine.waitingFor(changeId)).toContain(lockId), { timeout: 10_000 });
    expect(next.engine.locks()[0]?.envelope).toEqual(old.executor.locked[0]);
    expect(await next.engine.unlock('person:olga', lockId, 'mended')).toMatchObject({ ok: true });
    await named(next, changeId, 'active');
    await vi.waitFor(() => expect(next.executor.locked.map((one) => readPayload(one, lockStatementSchema))).toContainEqual(expect.objectContaining({ op: 'lift', lockId, log: old.log.logId })), { timeout: 10_000 });
    await expectVerified(next);
  });
});

describe('what an executor reports', () => {
  it('of a change that was lost with the end of the old ledger is not taken', async () => {
    const old = await first();
    await active(old);
    const next = await nextOf(old);
    const size = next.log.size;
    const log = old.log.logId;
    const changeId = `chg_${log}_${'0'.repeat(26)}`;
    const report = { v: 1, kind: 'claimed', executor: 'executor:pg-1', log, changeId, at: new Date().toISOString(), stepId: `stp_${log}_${'0'.repeat(26)}_r1_1`, issue: 1 };
    let said = '';
    const store = { load: (id: string) => next.engine.find(id), logs: () => new Set([log, next.log.logId]) };
    const message = { v: 1, report: signDsse(REPORT_TYPE, report, next.executorSigner), objects: [], ciphertext: null, order: null } as const;
    await receiveReport({ ...next, store } as never, 'executor:pg-1', message as never).catch((error: unknown) => (said = String(error)));
    expect(said).toContain(`a report about ${changeId}, which this log does not know`);
    expect(next.log.size).toBe(size);
  });
});
