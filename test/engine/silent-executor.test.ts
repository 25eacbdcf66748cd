import { afterEach, expect, it, vi } from 'vitest';
import { movedClock } from '../support/moved-clock.ts';
import { openTestSidecar, PROVISION, type TestSidecar } from '../support/sidecar.ts';

const WAIT = { timeout: 10_000 };
const SILENT = /^executor:pg-1 has not answered since 20\S+Z: its own log says why/;
let sidecar: TestSidecar;
afterEach(() => sidecar.close());

it('a change that waits for an executor says so once that is silent, and no more once it has answered', async () => {
  const clock = movedClock();
  sidecar = await openTestSidecar({ clock });
  const { engine, executor } = sidecar;
  executor.acting = false;
  const answer = await engine.request(['nhi:prod/billing-export'], PROVISION, null);
  const id = answer.ok ? answer.value.state.changeId : '';
  await vi.waitFor(() => expect(engine.get(id)?.read).not.toBeNull(), WAIT);
  expect([engine.get(id)?.name, engine.waitingFor(id)]).toEqual(['requested', null]);
  clock.move(11_000);
  expect(engine.waitingFor(id)).toMatch(SILENT);
  executor.acting = true;
  executor.connect();
  await vi.waitFor(() => expect(engine.get(id)?.name).toBe('active'), WAIT);
  expect(engine.waitingFor(id)).toBeNull();
});
