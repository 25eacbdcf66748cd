/** A sidecar that has just started and does not know yet which locks others have set: nothing is gained by it, and everything else goes on. */
import { afterEach, expect, it, vi } from 'vitest';
import type { ChangeRequest } from '../../src/protocol/request.ts';
import { openTestSidecar, GRANT, type TestSidecar } from '../support/sidecar.ts';

const WAIT = { timeout: 15_000 };
const { kind: _kind, duration: _duration, ...asked } = GRANT;
const TAKES: ChangeRequest = { kind: 'revoke', ...asked };
let sidecar: TestSidecar;
afterEach(() => sidecar.close());

const request = async (wanted: ChangeRequest): Promise<string> => {
  const answer = await sidecar.engine.request([wanted.subject], wanted, null);
  if (!answer.ok) throw new Error(answer.message);
  return answer.value.state.changeId;
};
const stateOf = (id: string): string | undefined => sidecar.engine.get(id)?.name;

it('starts, takes away at once, and gives once they are heard', async () => {
  let nowHeard = (_heard: boolean): void => undefined;
  const heard = new Promise<boolean>((resolve) => {
    nowHeard = resolve;
  });
  sidecar = await openTestSidecar({ lockBoard: { keep: () => undefined, tell: () => undefined, heard: () => heard } });
  const [giving, taking] = [await request(GRANT), await request(TAKES)];
  for (const id of [giving, taking]) {
    await vi.waitFor(() => expect(stateOf(id)).toBe('pending'), WAIT);
    await sidecar.engine.decideApproval('person:wei', id, 'approve', sidecar.engine.get(id)!.planDigest!, null);
  }
  await vi.waitFor(() => expect(stateOf(taking)).toBe('done'), WAIT);
  expect([stateOf(giving), sidecar.engine.get(giving)!.act, sidecar.engine.waitingFor(giving)]).toEqual(['scheduled', null, 'it is not known yet which locks other sidecars have set']);
  nowHeard(true);
  await vi.waitFor(() => expect(stateOf(giving)).toBe('active'), WAIT);
});
