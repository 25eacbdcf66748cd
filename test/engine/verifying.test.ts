import { expect, it, vi } from 'vitest';
import { answerOf, openTestSidecar, RECIPIENT, scriptedPdp, type TestSidecar } from '../support/sidecar.ts';

const SUBJECT = 'nhi:prod/ci-deployer';

/** A rotation whose cutover policy finds wrong once it has been carried out, `isConfirmed` by its one consumer or not. */
async function refusedCutover(run: (sidecar: TestSidecar, changeId: string) => Promise<void>, isConfirmed: boolean): Promise<void> {
  const pdp = scriptedPdp(() => answerOf('allow'));
  let verified = 0;
  const sidecar = await openTestSidecar({
    pdp: { ...pdp, verify: async () => ({ effect: (verified += 1) === 2 ? 'deny' : 'allow', reasons: answerOf('allow').reasons, controls: [] }) },
    facts: (facts) => ({ ...facts, inventory: new Map([...facts.inventory].map(([id, nhi]) => [id, { ...nhi, consumers: ['deploy-pipeline'] }])) }),
  });
  try {
    const { engine } = sidecar;
    const asked = await engine.request([SUBJECT], {
      kind: 'rotate', subject: SUBJECT, connector: 'pg-main', target: 'app', purpose: 'deploy-orders', reason: 'quarterly', recipient: RECIPIENT, grace: isConfirmed ? 'PT1H' : 'PT1S',
    }, null);
    const changeId = asked.ok ? asked.value.state.changeId : '';
    await vi.waitFor(() => expect(engine.get(changeId)?.name).toBe('staged'), { timeout: 10_000 });
    if (isConfirmed) await engine.confirmConsumer(SUBJECT, changeId, 'deploy-pipeline');
    await engine.acknowledgeDelivery(SUBJECT, changeId, engine.get(changeId)!.delivery!.seal.ciphertext);
    await run(sidecar, changeId);
  } finally {
    await sidecar.close();
  }
}

it('a cutover that policy finds wrong takes a new login back that nobody has moved over to', () => refusedCutover(async ({ engine }, changeId) => {
  await vi.waitFor(() => expect(engine.get(changeId)?.name).toBe('failed'), { timeout: 10_000 });
  expect(engine.get(changeId)?.ended?.outcome).toBe('done');
}, false));

it('and leaves one alone that a consumer has moved over to, for its owner to look at, who may still withdraw it', () => refusedCutover(async ({ engine, executor }, changeId) => {
  await vi.waitFor(() => expect(engine.get(changeId)?.findings.get('verification-failed')?.owner).toBe('person:wei'), { timeout: 10_000 });
  expect(engine.get(changeId)).toMatchObject({ name: 'verifying', revokes: [] });
  expect(executor.orders).toEqual([]);
  await engine.withdraw('person:wei', changeId, 'looked at');
  await vi.waitFor(() => expect(engine.get(changeId)?.name).toBe('withdrawn'), { timeout: 10_000 });
  expect(executor.orders).toHaveLength(1);
}, true));
