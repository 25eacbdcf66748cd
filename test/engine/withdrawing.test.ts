import { expect, it, vi } from 'vitest';
import { GRANT, openTestSidecar } from '../support/sidecar.ts';

it('a change that is about to be given is stopped by who asked, an owner, on call or security, and by nobody else', async () => {
  const sidecar = await openTestSidecar();
  try {
    const ask = async (): Promise<string> => (await sidecar.change('nhi:prod/ci-deployer', GRANT)).id;
    const { engine } = sidecar;
    for (const by of ['nhi:prod/ci-deployer', 'person:wei', 'person:ben', 'person:olga', 'person:sam']) {
      const changeId = await ask();
      expect(await engine.withdraw(by, changeId, null), by).toMatchObject({ ok: true, value: { name: 'withdrawn' } });
    }
    const changeId = await ask();
    for (const by of ['person:mallory', 'person:ana', 'nhi:prod/billing-export', 'person:kim']) {
      expect(await engine.withdraw(by, changeId, null), by).toMatchObject({ ok: false, code: 'not-requester' });
    }
    await vi.waitFor(() => expect(engine.get(changeId)?.name).toBe('pending'), { timeout: 10_000 });
  } finally {
    await sidecar.close();
  }
});
