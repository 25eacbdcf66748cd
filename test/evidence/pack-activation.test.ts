/** Packs of ledgers in which people let policy come into force: each brings what shows that, and no less is believed. */
import { afterAll, expect, it } from 'vitest';
import { activated, approved, proposed, rejected, verdictOn } from '../support/proposals.ts';
import { at, ledgerOf, linesOf, verdictOf, verifyStoryPack, type Line, type StoryLedger } from '../support/packs.ts';
import { GRANT, START_MS, storyTrust, toldUntilDecided } from '../support/story.ts';

const [ANA, WEI] = ['person:ana', 'person:wei'] as const;
const trust = storyTrust({ policyActivation: { quorum: 2, approvers: [ANA, WEI] } });
const by = (n: number): ReturnType<typeof verdictOn>[] => [verdictOn(n, ANA), verdictOn(n, WEI)];
const agreed = (n: number): Line[] => [proposed(n), approved(n, by(n)[0]!, ANA), approved(n, by(n)[1]!, WEI)];

const ledgers: StoryLedger[] = [];
afterAll(() => ledgers.forEach((ledger) => ledger.remove()));
const change = toldUntilDecided(GRANT, START_MS + 60_000, 'deny');

async function workflow(before: readonly Line[], after: readonly Line[] = []): Promise<{ readonly change: readonly string[]; readonly time: readonly string[]; readonly seqs: readonly number[] }> {
  const ledger = await ledgerOf([...before, ...linesOf(change.beats), ...after, 'heads']);
  ledgers.push(ledger);
  const codes = async (asked: Parameters<StoryLedger['pack']>[0]): Promise<readonly string[]> => {
    const verification = await verifyStoryPack(await ledger.pack(asked), { trust });
    expect(verdictOf(verification, 'INTEGRITY').status).toBe('holds');
    const found = verification.workflow!.violations.map(({ code }) => code);
    expect(verdictOf(verification, 'WORKFLOW').status).toBe(found.length === 0 ? 'holds' : 'fails');
    return found;
  };
  const ofChange = { change: change.changeId };
  return { change: await codes(ofChange), time: await codes({ from: at(30_000), to: at(10_000_000) }), seqs: (await ledger.plan(ofChange)).seqs };
}

it.each<readonly [what: string, before: readonly Line[], after: readonly Line[]]>([
  ['that came into force before', [...agreed(1), activated(1, by(1))], []],
  ['that came back after none was', [...agreed(1), activated(1, by(1)), activated(null, null), activated(1, null)], []],
  ['beside which another waits', [...agreed(1), activated(1, by(1)), proposed(2), approved(2, by(2)[0]!, ANA)], [approved(2, by(2)[1]!, WEI, 120_000), activated(2, by(2), {}, 120_000)]],
  ['that another was rejected for', [...agreed(1), activated(1, by(1)), proposed(2), rejected(2, verdictOn(2, WEI, { verdict: 'reject' }), WEI)], []],
  ['after an earlier one', [...agreed(1), activated(1, by(1)), ...agreed(2), activated(2, by(2))], []],
])('a bundle %s is shown to have been let', async (_what, before, after) => {
  expect(await workflow(before, after)).toMatchObject({ change: [], time: [] });
});

it('one that nobody let is found out', async () => {
  expect(await workflow([activated(1, null)])).toMatchObject({ change: ['activation-unapproved'], time: ['activation-unapproved'] });
  expect(await workflow([...agreed(1), rejected(1, verdictOn(1, WEI, { verdict: 'reject' }), WEI), activated(1, by(1))])).toMatchObject({ change: ['activation-unapproved'], time: ['activation-unapproved'] });
});

it('what is no longer in force is left out', async () => {
  const { seqs } = await workflow([...agreed(1), activated(1, by(1)), ...agreed(2), activated(2, by(2))]);
  expect(seqs.filter((seq) => seq <= 8)).toEqual([5, 6, 7, 8]);
});
