/** A change that policy would deny, let through by an exception: approved by people, named in the evidence, and replayed. */
import { expect, test } from 'vitest';
import { tellStory } from '../../src/evidence/story.ts';
import { factsOf, type Facts } from '../../src/facts/load.ts';
import type { ExceptionsFile } from '../../src/facts/exceptions.ts';
import { isSatisfied } from '../../src/protocol/decision.ts';
import type { ChangeView } from '../../src/sidecar/schemas.ts';
import { EXCESS, settled, tell, usualPdp, verdictOf } from '../support/replayed.ts';
import { GRANT, type TestSidecar } from '../support/sidecar.ts';

const DAY_MS = 86_400_000;
/** Days are counted from this one: a test that midnight falls into has one today, and two days off is not yet tomorrow. */
const NOW_MS = Date.now();
const day = (offset: number): string => new Date(NOW_MS + offset * DAY_MS).toISOString().slice(0, 10);

/** The example facts, with one exception of Ana's from that many days from today to that many. */
const excepting = (from: number, until: number, rule = 'exceeds-purpose') => (facts: Facts): Facts => {
  const exceptions: ExceptionsFile = { v: 1, exceptions: [{ id: 'deploy-excess', rule, subject: GRANT.subject, reason: 'until the deploy is cut in two', owner: 'person:ana', from: day(from), until: day(until) }] };
  return factsOf({ ...facts.value, exceptions }, facts.loadedAtMs);
};
const approve = async (sidecar: TestSidecar, by: string, { links, planDigest }: ChangeView): Promise<void> => {
  await sidecar.send(by, 'POST', links.approvals, { verdict: 'approve', planDigest });
};

test('it waits for the owner of the exception, an owner and security; the decision, the story and REPLAY name it', async () => {
  let story = '';
  const told = await tell(await usualPdp(), async (sidecar) => {
    const pending = await settled(sidecar, GRANT.subject, await sidecar.change(GRANT.subject, EXCESS), 'pending', 'denied');
    expect(pending.state).toBe('pending');
    expect(pending.decision?.exceptions).toEqual([{ id: 'deploy-excess', rule: 'exceeds-purpose', owner: 'person:ana', until: `${day(30)}T00:00:00.000Z` }]);
    const { approvers } = pending.requirement;
    expect(isSatisfied(approvers!, new Set(['person:wei', 'person:olga']))).toBe(false);
    expect(isSatisfied(approvers!, new Set(['person:wei', 'person:olga', 'person:ana']))).toBe(true);
    for (const by of ['person:wei', 'person:olga']) await approve(sidecar, by, pending);
    expect((await sidecar.send(GRANT.subject, 'GET', pending.links.self)).body).toMatchObject({ state: 'pending' });
    await approve(sidecar, 'person:ana', pending);
    await settled(sidecar, GRANT.subject, pending, 'active');
    const evidence = (await sidecar.send(GRANT.subject, 'GET', pending.links.evidence)).body as { records: Parameters<typeof tellStory>[0]; disclosures: Parameters<typeof tellStory>[1] };
    story = tellStory(evidence.records, evidence.disclosures).map(({ text }) => text).join('\n');
  }, { facts: excepting(-1, 30) });
  expect(story).toContain(`The exception deploy-excess of person:ana, until ${day(30)}T00:00:00.000Z, took exceeds-purpose away.`);
  const verification = await told.verify();
  expect(verdictOf(verification, 'WORKFLOW').status).toBe('holds');
  expect(verdictOf(verification, 'REPLAY')).toMatchObject({ status: 'holds', message: '6 decisions came out the same' });
});

test.each([
  ['is over', excepting(-30, 0)],
  ['has not begun', excepting(2, 30)],
  ['is from another rule', excepting(-1, 30, 'lease-too-long')],
])('an exception that %s lets nothing through', async (_what, facts) => {
  await tell(await usualPdp(), async (sidecar) => {
    const denied = await settled(sidecar, GRANT.subject, await sidecar.change(GRANT.subject, EXCESS), 'pending', 'denied');
    expect(denied).toMatchObject({ state: 'denied', decision: { reasons: [{ code: 'exceeds-purpose' }] } });
    expect(denied.decision?.exceptions).toBeUndefined();
  }, { facts });
});

test('an exception that is taken out before the change is made ends it: policy is asked again', async () => {
  await tell(await usualPdp(), async (sidecar) => {
    const pending = await settled(sidecar, GRANT.subject, await sidecar.change(GRANT.subject, EXCESS), 'pending', 'denied');
    // Its owner approves while it holds, and would not be heard afterwards.
    for (const by of ['person:wei', 'person:ana']) await approve(sidecar, by, pending);
    sidecar.load(excepting(-30, 0)(sidecar.facts));
    await approve(sidecar, 'person:olga', pending);
    expect((await settled(sidecar, GRANT.subject, pending, 'denied', 'active')).state).toBe('denied');
  }, { facts: excepting(-1, 30) });
});
