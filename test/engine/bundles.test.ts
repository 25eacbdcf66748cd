/** Another bundle comes into force while policy is being asked: what is recorded next is what the bundle in force says. */
import { afterEach, expect, it } from 'vitest';
import { livePdp } from '../../src/pdp/live.ts';
import type { Pdp } from '../../src/pdp/engine.ts';
import { answerOf, openTestSidecar, scriptedPdp, usualPolicy, GRANT, type TestSidecar } from '../support/sidecar.ts';

let sidecar: TestSidecar;
afterEach(() => sidecar.close());

function gate(): { readonly opened: Promise<void>; open(): void } {
  let open = (): void => undefined;
  const opened = new Promise<void>((resolve) => (open = resolve));
  return { opened, open };
}

it('a decision that was asked of the bundle before is asked again, and the bundle before is closed after its last answer', async () => {
  const [asked, answered] = [gate(), gate()];
  let closed = 0;
  const before: Pdp = {
    ...scriptedPdp(() => answerOf('allow')), revision: '1',
    async decide(input) {
      // Before there is a plan, the answer is not what is recorded.
      if (input.change.planDigest === null) return answerOf('allow');
      asked.open();
      await answered.opened;
      return answerOf('allow');
    },
    close: async () => void (closed += 1),
  };
  const next: Pdp = { ...scriptedPdp(usualPolicy), bundle: `sha256:${'c'.repeat(64)}`, revision: '2' };
  sidecar = await openTestSidecar({ pdp: livePdp(before, () => undefined) });
  const change = sidecar.change('nhi:prod/ci-deployer', GRANT);
  await asked.opened;
  expect(sidecar.engine.mayNotActivate(next)).toBeNull();
  await sidecar.engine.activateBundle(next);
  expect(closed).toBe(0);
  answered.open();
  // The one before would have allowed it.
  expect((await change).state).toBe('pending');
  expect(closed).toBe(1);

  const told: unknown[] = [];
  for await (const { record } of sidecar.log.entries(0)) {
    if (record.type === 'bundle.activated') told.push([record.type, record.v, record.body['bundle'], record.body['revision']]);
    if (record.type === 'policy.decided') told.push([record.type, (record.body['provenance'] as { bundle: string }).bundle]);
  }
  expect(told).toEqual([['bundle.activated', 3, before.bundle, '1'], ['bundle.activated', 3, next.bundle, '2'], ['policy.decided', next.bundle]]);
  expect(sidecar.engine.mayNotActivate(before)).toBe('revision 1 is behind 2');
});

it('closing waits until a bundle that was replaced, and is asked still, is closed as well', async () => {
  sidecar = await openTestSidecar({});
  const [answered, shut] = [gate(), gate()];
  let closed = 0;
  const before: Pdp = {
    ...scriptedPdp(() => answerOf('allow')), decide: () => answered.opened.then(() => answerOf('allow')),
    close: async () => {
      closed += 1;
      await shut.opened;
      answered.open();
    },
  };
  const live = livePdp(before, () => undefined);
  const asked = live.decide({} as never);
  live.replace(scriptedPdp(usualPolicy));
  let isClosed = false;
  const closing = live.close().then(() => void (isClosed = true));
  await Promise.resolve();
  expect(closed).toBe(1);
  for (let turn = 0; turn < 20; turn += 1) await Promise.resolve();
  expect(isClosed).toBe(false);
  shut.open();
  await closing;
  await asked;
  expect(closed).toBe(1);
});

it('a bundle that comes from no source is told as version 2 told it', async () => {
  sidecar = await openTestSidecar({});
  for await (const { record } of sidecar.log.entries(0)) if (record.type === 'bundle.activated') expect([record.v, Object.keys(record.body).sort()]).toEqual([2, ['bundle', 'listing', 'signature']]);
});
