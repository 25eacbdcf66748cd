/** What waits for a quorum of witnesses, and what does not. */
import { afterEach, describe, expect, it, vi } from 'vitest';
import { readCheckpoint, type SignedHead } from '../../ledger/index.ts';
import type { Witnesses } from '../../src/engine/ports.ts';
import type { ChangeRequest } from '../../src/protocol/request.ts';
import type { StepEnvelope } from '../../src/protocol/envelope.ts';
import { testRun } from '../support/run.ts';
import { GRANT, openTestSidecar, PROVISION, type TestSidecar } from '../support/sidecar.ts';

const WAIT = { timeout: 15_000 };
let sidecar: TestSidecar;
afterEach(() => sidecar.close());

interface PaperWitnesses extends Witnesses {
  /** From now on the heads are cosigned as they come; null: what was cosigned last is all there is. */
  cosign(does: boolean): void;
  readonly asked: number[];
}

/** Marks each head that it has cosigned by a line more, as cosignatures are. */
function paperWitnesses(): PaperWitnesses {
  const callbacks: (() => void)[] = [];
  const asked: number[] = [];
  let does = false;
  let newest: SignedHead | null = null;
  return {
    asked,
    catchUp: () => undefined,
    async cosigned(size) {
      asked.push(size);
      if (does) newest = { ...sidecar.log.checkpoint(), text: `${sidecar.log.checkpoint().text}— cosigned AAAAAAA=\n` };
      return newest !== null && newest.size >= size ? newest : null;
    },
    onProgress: (callback) => void callbacks.push(callback),
    trouble: () => (does ? null : 'no witness is there'),
    cosign(now) {
      does = now;
      for (const callback of callbacks) callback();
    },
  };
}
const stateOf = (id: string): string | undefined => sidecar.engine.get(id)?.name;
const isCosigned = ({ receipt }: StepEnvelope): boolean => receipt.checkpoint.endsWith('— cosigned AAAAAAA=\n');
const request = async (asked: ChangeRequest, by = 'nhi:prod/billing-export'): Promise<string> => {
  const answer = await sidecar.engine.request([by], asked, null);
  if (!answer.ok) throw new Error(answer.message);
  return answer.value.state.changeId;
};

describe('a quorum of witnesses', () => {
  it('is waited for by what gives and by every read for it, and each is shown under what was cosigned, whatever came after', async () => {
    const witnesses = paperWitnesses();
    sidecar = await openTestSidecar({ witnesses });
    const id = await request(PROVISION);
    await vi.waitFor(() => expect(witnesses.asked.length).toBeGreaterThan(0), WAIT);
    expect([sidecar.executor.steps, stateOf(id), sidecar.engine.waitingFor(id)]).toEqual([[], 'requested', 'no witness is there']);
    witnesses.cosign(true);
    await vi.waitFor(() => expect(stateOf(id)).toBe('active'), WAIT);
    expect(sidecar.executor.steps.length).toBeGreaterThanOrEqual(2);
    expect(sidecar.executor.steps.every(isCosigned)).toBe(true);
  });

  it('is asked for a head that covers the very record, and all that its executor has seen', async () => {
    const witnesses = paperWitnesses();
    sidecar = await openTestSidecar({ witnesses });
    witnesses.cosign(true);
    const first = await request(PROVISION);
    await vi.waitFor(() => expect(stateOf(first)).toBe('active'), WAIT);
    witnesses.cosign(false);
    const seen = Math.max(...sidecar.executor.steps.map(({ receipt }) => readCheckpoint(receipt.checkpoint).size));
    const steps = sidecar.executor.steps.length;
    const second = await request(PROVISION);
    await vi.waitFor(() => expect(witnesses.asked.at(-1)).toBeGreaterThanOrEqual(seen), WAIT);
    await vi.waitFor(() => expect(sidecar.engine.get(second)!.read).not.toBeNull(), WAIT);
    const read = sidecar.engine.get(second)!.read!;
    await vi.waitFor(() => expect(witnesses.asked.at(-1)).toBe(Math.max(seen, read.seq + 1)), WAIT);
    expect(sidecar.executor.steps).toHaveLength(steps);
  });

  it('holds up nothing that only takes away: neither an order, nor a step, nor the look before it', async () => {
    const witnesses = paperWitnesses();
    sidecar = await openTestSidecar({ witnesses });
    witnesses.cosign(true);
    const given = await request(PROVISION);
    await vi.waitFor(() => expect(stateOf(given)).toBe('active'), WAIT);
    witnesses.cosign(false);
    const { kind: _kind, duration: _duration, ...asked } = GRANT;
    const taking = await request({ kind: 'revoke', ...asked }, GRANT.subject);
    await vi.waitFor(() => expect(stateOf(taking)).toBe('pending'), WAIT);
    expect((await sidecar.engine.decideApproval('person:wei', taking, 'approve', sidecar.engine.get(taking)!.planDigest!, null)).ok).toBe(true);
    expect((await sidecar.engine.revoke('person:ana', given, null)).ok).toBe(true);
    await vi.waitFor(() => expect([stateOf(given), stateOf(taking)]).toEqual(['revoked', 'done']), WAIT);
    expect(sidecar.executor.steps.filter((step) => !isCosigned(step))).toHaveLength(2);
  });

  it('is waited for by the ticket of a caller and by the answer to its claim', async () => {
    const witnesses = paperWitnesses();
    sidecar = await openTestSidecar({ witnesses });
    witnesses.cosign(true);
    const run = testRun();
    const by = GRANT.subject;
    const id = await request({ kind: 'rotate', subject: by, connector: 'pg-main', target: 'app', purpose: 'deploy-orders', reason: 'by script', caller: { key: run.key, timeout: 'PT5M' } }, by);
    await vi.waitFor(() => expect(stateOf(id)).toBe('pending'), WAIT);
    witnesses.cosign(false);
    await sidecar.engine.decideApproval('person:wei', id, 'approve', sidecar.engine.get(id)!.planDigest!, null);
    await vi.waitFor(() => expect(stateOf(id)).toBe('authorised'), WAIT);
    const notCosigned = { ok: false, code: 'not-cosigned' };
    expect(await sidecar.engine.callerTicket(by, id, null)).toMatchObject(notCosigned);
    expect(sidecar.engine.waitingFor(id)).toBe('no witness is there');
    witnesses.cosign(true);
    const answer = await sidecar.engine.callerTicket(by, id, null);
    if (!answer.ok) throw new Error(answer.message);
    expect(isCosigned(answer.value)).toBe(true);
    witnesses.cosign(false);
    const claim = run.claimed(answer.value);
    expect(await sidecar.engine.receiveCallerReport(id, claim)).toMatchObject(notCosigned);
    expect(sidecar.engine.get(id)).toMatchObject({ name: 'executing', claimed: true });
    expect(witnesses.asked.at(-1)).toBe(sidecar.engine.get(id)!.lastSeq + 1);
    witnesses.cosign(true);
    expect(await sidecar.engine.receiveCallerReport(id, claim)).toMatchObject({ ok: true, value: { name: 'executing' } });
    witnesses.cosign(false);
    expect(await sidecar.engine.receiveCallerReport(id, run.acted(answer.value))).toMatchObject({ ok: true });
  });
});
