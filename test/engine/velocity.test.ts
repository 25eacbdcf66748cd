/** What policy is told of how often was asked before: as the ledger has it, and the same after a start. */
import { afterEach, expect, it, vi } from 'vitest';
import type { ChangeInput } from '../../src/pdp/policy-input.ts';
import { answerOf, GRANT, openTestSidecar, PROVISION, type TestSidecar } from '../support/sidecar.ts';

let sidecar: TestSidecar;
afterEach(() => sidecar.close());

const SUBJECT = 'nhi:prod/billing-export';

it('counts what was asked for before and not in vain, at the request and at the dispatch, and goes on after a start', async () => {
  const asked: ChangeInput[] = [];
  const decide = (input: ChangeInput): ReturnType<typeof answerOf> => {
    asked.push(input);
    return answerOf(denying ? 'deny' : 'allow');
  };
  let denying = false;
  const ask = async (): Promise<string> => {
    const { id } = await sidecar.change(SUBJECT, PROVISION);
    await vi.waitFor(() => expect(['active', 'denied']).toContain(sidecar.engine.get(id)?.name), { timeout: 10_000 });
    return id;
  };
  /** Each once: it is asked before the target is read as well. */
  const countsOf = (id: string): unknown[] => [...new Set(asked.filter(({ change }) => change.changeId === id).map(({ phase, recent }) => JSON.stringify([phase, recent?.subject.hour, recent?.requester.day, recent?.newCredentials.day])))].map((one) => JSON.parse(one) as unknown);

  sidecar = await openTestSidecar({ decide });
  const ids = [await ask(), await ask()];
  denying = true;
  const denied = await ask();
  expect(sidecar.engine.get(denied)?.name).toBe('denied');
  denying = false;
  ids.push(await ask());
  expect(countsOf(denied)).toEqual([['request', 2, 2, 2]]);
  for (const [n, id] of ids.entries()) expect(countsOf(id)).toEqual([['request', n, n, n], ['dispatch', n, n, n]]);

  const before = sidecar;
  await before.close('keep');
  sidecar = await openTestSidecar({ decide, after: before });
  expect(countsOf(await ask())[0]).toEqual(['request', 3, 3, 3]);
  // Another identity, asked for by another.
  const { id } = await sidecar.change('nhi:prod/ci-deployer', GRANT);
  await vi.waitFor(() => expect(countsOf(id)[0]).toEqual(['request', 0, 0, 0]), { timeout: 10_000 });
});

it('does not let somebody else use up what an identity may be given: what waits for approvals counts for whoever asked', async () => {
  const asked: ChangeInput[] = [];
  sidecar = await openTestSidecar({ decide: (input) => {
    asked.push(input);
    return answerOf('needsApproval', { anyOf: ['person:ana'] });
  } });
  for (let n = 0; n < 2; n += 1) {
    const { id } = await sidecar.change('person:wei', PROVISION);
    await vi.waitFor(() => expect(sidecar.engine.get(id)?.name).toBe('pending'), { timeout: 10_000 });
  }
  const { id } = await sidecar.change(SUBJECT, PROVISION);
  await vi.waitFor(() => expect(sidecar.engine.get(id)?.name).toBe('pending'), { timeout: 10_000 });
  expect(asked.findLast(({ change }) => change.changeId === id)?.recent).toEqual({ subject: { hour: 0, day: 0 }, requester: { hour: 0, day: 0 }, newCredentials: { day: 0 } });
  const { id: again } = await sidecar.change('person:wei', PROVISION);
  await vi.waitFor(() => expect(sidecar.engine.get(again)?.name).toBe('pending'), { timeout: 10_000 });
  expect(asked.findLast(({ change }) => change.changeId === again)?.recent).toMatchObject({ subject: { day: 0 }, requester: { hour: 2, day: 2 } });
});
