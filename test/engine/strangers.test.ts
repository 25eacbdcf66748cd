/** What somebody is told, and what is done, who may not ask: under the policy that is shipped. */
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { EngineFault, openPdp, type Pdp } from '../../src/pdp/engine.ts';
import type { ChangeRequest } from '../../src/protocol/request.ts';
import { answerOf, GRANT, openTestSidecar, scriptedPdp, type TestSidecar } from '../support/sidecar.ts';

const STRANGER = 'nhi:dev/report-preview';
const ASKED: readonly ChangeRequest[] = [
  GRANT,
  { kind: 'rotate', subject: 'nhi:prod/orders-api', purpose: 'serve-orders', connector: 'pg-main', target: 'app', reason: 'the quarter is over', recipient: `age1${'q'.repeat(58)}` },
  { kind: 'disable', subject: 'nhi:prod/warehouse-sync', connector: 'pg-main', target: 'app', reason: 'it is not needed' },
  { kind: 'offboard', subject: 'thirdParty:kestrel-logistics', reason: 'the contract ended' },
];

let pdp: Pdp;
beforeAll(async () => {
  pdp = await openPdp({ directory: join(import.meta.dirname, '../../policy/bundle') });
});
afterAll(() => pdp.close());

async function asked(by: string, change: ChangeRequest, policy: Pdp, check: (sidecar: TestSidecar, changeId: string) => void): Promise<void> {
  const sidecar = await openTestSidecar({ pdp: policy });
  try {
    const answer = await sidecar.engine.request([by], change, null);
    if (!answer.ok) throw new Error(answer.message);
    const { changeId } = answer.value.state;
    await vi.waitFor(() => expect(sidecar.engine.get(changeId)?.name).not.toBe('requested'), { timeout: 10_000 });
    check(sidecar, changeId);
  } finally {
    await sidecar.close();
  }
}

describe('a request of somebody who may not ask', () => {
  it.each(ASKED.map((change) => [change.kind, change] as const))('for a %s is denied without a look at the target, and without a plan to read', async (_kind, change) => {
    await asked(STRANGER, change, pdp, (sidecar, changeId) => {
      const state = sidecar.engine.get(changeId)!;
      expect(state).toMatchObject({ name: 'denied', plan: null, before: null, read: null });
      expect(state.decision?.reasons.map(({ code }) => code)).toEqual(['unknown-requester']);
      expect(state.decision?.entitlements).toMatchObject({ held: [], used: [], excess: [], counterOffer: null });
      expect(sidecar.executor.steps).toEqual([]);
    });
  });

  it('is told the same whether what it asks about exists or not', async () => {
    const told: unknown[] = [];
    for (const subject of ['nhi:prod/no-such-thing', GRANT.subject, 'nhi:prod/orders-api', 'nhi:prod/billing-export']) {
      await asked(STRANGER, { ...GRANT, subject }, pdp, (sidecar, changeId) => {
        const { decision } = sidecar.engine.get(changeId)!;
        told.push(JSON.parse(JSON.stringify(decision).replaceAll(subject, 'nhi:…')));
      });
    }
    for (const one of told) expect(one).toEqual(told[0]);
  });

  it('by an engine that gives no answer, is denied before the target is read as well', async () => {
    const decide = (): Promise<never> => Promise.reject(new EngineFault('timed-out', 'too slow'));
    await asked('nhi:prod/ci-deployer', GRANT, { ...scriptedPdp(() => answerOf('allow')), decide }, (sidecar, changeId) => {
      expect(sidecar.engine.get(changeId)).toMatchObject({ name: 'denied', plan: null });
      expect(sidecar.executor.steps).toEqual([]);
    });
  });

  it('is not confused with what is denied for what the target holds', async () => {
    const policy = scriptedPdp((input) => answerOf(input.change.planDigest === null ? 'deny' : 'allow'));
    await asked('nhi:prod/ci-deployer', GRANT, policy, (sidecar, changeId) => {
      expect(sidecar.engine.get(changeId)?.plan).not.toBeNull();
    });
  });
});
