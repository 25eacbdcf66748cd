import { describe, expect, it, vi } from 'vitest';
import type { ChangeRequest } from '../../src/protocol/request.ts';
import { openTestSidecar, PROVISION, type TestSidecar } from '../support/sidecar.ts';

const SECURITY = 'person:olga';

async function withSidecar(run: (sidecar: TestSidecar) => Promise<void>): Promise<void> {
  const sidecar = await openTestSidecar();
  try {
    await run(sidecar);
  } finally {
    await sidecar.close();
  }
}

async function request(sidecar: TestSidecar, change: ChangeRequest): Promise<string> {
  const answer = await sidecar.engine.request(['nhi:prod/billing-export'], change, null);
  if (!answer.ok) throw new Error(answer.message);
  return answer.value.state.changeId;
}

const named = (sidecar: TestSidecar, changeId: string, name: string): Promise<void> =>
  vi.waitFor(() => expect(sidecar.engine.get(changeId)?.name).toBe(name), { timeout: 10_000 });

async function lock(sidecar: TestSidecar, nhi: string | null, connector: string | null): Promise<string> {
  const answer = await sidecar.engine.lock(SECURITY, { nhi, connector }, 'a leak is looked into');
  if (!answer.ok) throw new Error(answer.message);
  return answer.value.lockId;
}

describe('a lock', () => {
  it.each([['the identity', 'nhi:prod/billing-export', null], ['the connector', null, 'pg-main']] as const)('on %s lets nothing be gained until it is lifted', (_, nhi, connector) => withSidecar(async (sidecar) => {
    const lockId = await lock(sidecar, nhi, connector);
    const changeId = await request(sidecar, PROVISION);
    await named(sidecar, changeId, 'scheduled');
    await vi.waitFor(() => expect(sidecar.engine.waitingFor(changeId)).toContain(lockId), { timeout: 10_000 });
    expect(sidecar.executor.steps.every(({ plan }) => plan === null)).toBe(true);
    expect(await sidecar.engine.unlock(SECURITY, lockId, null)).toMatchObject({ ok: true });
    await named(sidecar, changeId, 'active');
  }));

  it('on something else holds nothing up', () => withSidecar(async (sidecar) => {
    await lock(sidecar, 'nhi:prod/ci-deployer', null);
    await lock(sidecar, 'nhi:prod/billing-export', 'pg-dev');
    await named(sidecar, await request(sidecar, PROVISION), 'active');
  }));

  it('orders back what is on its way, and leaves what is active', () => withSidecar(async (sidecar) => {
    const active = await request(sidecar, PROVISION);
    await named(sidecar, active, 'active');
    const publish = sidecar.executor.publishStep.bind(sidecar.executor);
    // The step is taken in, and nothing is heard of it.
    sidecar.executor.publishStep = async (audience, envelope) => (envelope.plan === null ? publish(audience, envelope) : { accepted: true });
    const changeId = await request(sidecar, PROVISION);
    await named(sidecar, changeId, 'authorised');
    await lock(sidecar, 'nhi:prod/billing-export', null);
    expect(sidecar.engine.get(changeId)?.revokes[0]?.content).toMatchObject({ cause: 'early', orderedBy: SECURITY });
    await named(sidecar, changeId, 'failed');
    expect(sidecar.engine.get(active)).toMatchObject({ name: 'active', revokes: [] });
  }));

  it('is set and lifted only by who answers for it', () => withSidecar(async (sidecar) => {
    expect(await sidecar.engine.lock('person:mallory', { nhi: 'nhi:prod/billing-export', connector: null }, 'because')).toMatchObject({ ok: false, code: 'not-allowed' });
    expect(await sidecar.engine.lock('nhi:prod/billing-export', { nhi: 'nhi:prod/billing-export', connector: null }, 'because')).toMatchObject({ ok: false, code: 'not-allowed' });
    expect(await sidecar.engine.lock('person:ana', { nhi: null, connector: 'pg-main' }, 'owns one of many')).toMatchObject({ ok: false, code: 'not-allowed' });
    expect(await sidecar.engine.lock(SECURITY, { nhi: null, connector: null }, 'nothing')).toMatchObject({ ok: false, code: 'not-expected' });
    const lockId = await lock(sidecar, 'nhi:prod/billing-export', null);
    expect(await sidecar.engine.unlock('person:mallory', lockId, null)).toMatchObject({ ok: false, code: 'not-allowed' });
    expect(await sidecar.engine.unlock('person:ana', lockId, null)).toMatchObject({ ok: true });
    expect(await sidecar.engine.unlock('person:ana', lockId, null)).toMatchObject({ ok: false, code: 'no-such-lock' });
    expect(sidecar.engine.locks()).toEqual([]);
  }));
});
