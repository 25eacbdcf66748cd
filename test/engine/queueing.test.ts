import { expect, it, vi } from 'vitest';
import { occupiesTarget } from '../../src/change/work.ts';
import { openTestSidecar, PROVISION, scriptedPdp, usualPolicy } from '../support/sidecar.ts';

it('of many changes to one target that become ready at the same moment one is past scheduled at a time', async () => {
  const sidecar = await openTestSidecar();
  const { engine, executor } = sidecar;
  const most: number[] = [];
  const publish = executor.publishStep.bind(executor);
  executor.publishStep = async (audience, envelope) => {
    most.push([...engine.all()].filter(occupiesTarget).length);
    return publish(audience, envelope);
  };
  try {
    const asked = await Promise.all(Array.from({ length: 8 }, () => engine.request(['nhi:prod/billing-export'], PROVISION, null)));
    const ids = asked.map((answer) => (answer.ok ? answer.value.state.changeId : ''));
    await vi.waitFor(() => expect(ids.map((id) => engine.get(id)?.name)).toEqual(ids.map(() => 'active')), { timeout: 15_000 });
    expect(Math.max(...most)).toBe(1);
  } finally {
    await sidecar.close();
  }
});

it('a lock that is set while policy is asked holds: no step that gives access is authorised under it', async () => {
  let asked = (): void => undefined;
  const asking = new Promise<void>((resolve) => {
    asked = resolve;
  });
  let answer = (): void => undefined;
  const held = new Promise<void>((resolve) => {
    answer = resolve;
  });
  const pdp = scriptedPdp(usualPolicy);
  const sidecar = await openTestSidecar({ pdp: { ...pdp, decide: async (input) => {
    if (input.phase === 'dispatch') {
      asked();
      await held;
    }
    return pdp.decide(input);
  } } });
  try {
    const { engine } = sidecar;
    const request = await engine.request(['nhi:prod/billing-export'], PROVISION, null);
    const changeId = request.ok ? request.value.state.changeId : '';
    await asking;
    const locked = await engine.lock('person:olga', { nhi: 'nhi:prod/billing-export', connector: null }, 'a leak is looked into');
    answer();
    await vi.waitFor(() => expect(engine.get(changeId)?.dispatch).not.toBeNull(), { timeout: 10_000 });
    expect(engine.get(changeId)).toMatchObject({ name: 'scheduled', act: null });
    await engine.unlock('person:olga', locked.ok ? locked.value.lockId : '', 'over');
    await vi.waitFor(() => expect(engine.get(changeId)?.name).toBe('active'), { timeout: 10_000 });
  } finally {
    await sidecar.close();
  }
});
