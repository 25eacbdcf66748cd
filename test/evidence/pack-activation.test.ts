/** Packs of ledgers in which people let policy come into force: each brings what shows that, and no less is believed. */
import { afterAll, expect, it } from 'vitest';
import { editing, withBody } from '../support/edit-story.ts';
import { activated, approved, bundleOf, proposed, rejected, verdictOn } from '../support/proposals.ts';
import { at, ledgerOf, linesOf, verdictOf, storyBundle, verifyStoryPack, withoutRecords, type Line, type StoryLedger } from '../support/packs.ts';
import { cleanStory, GRANT, START_MS, storyTrust, toldUntilDecided } from '../support/story.ts';
import { loaded, toldUnderObserve } from './observe-cases.ts';

const [ANA, WEI] = ['person:ana', 'person:wei'] as const;
const trust = storyTrust({ policyActivation: { quorum: 2, approvers: [ANA, WEI] } });
const by = (n: number): ReturnType<typeof verdictOn>[] => [verdictOn(n, ANA), verdictOn(n, WEI)];
const agreed = (n: number): Line[] => [proposed(n), approved(n, by(n)[0]!, ANA), approved(n, by(n)[1]!, WEI)];

const ledgers: StoryLedger[] = [];
afterAll(() => ledgers.forEach((ledger) => ledger.remove()));
const change = toldUntilDecided(GRANT, START_MS + 60_000, 'deny');
/** The same, decided by another bundle than stories are. */
const decidedBy = (n: number): Line[] => linesOf(editing('policy.decided', (event) => withBody(event, { provenance: { ...event.body.provenance, bundle: bundleOf(n) } }))(change.beats));

async function workflow(before: readonly Line[], after: readonly Line[] = [], by = 1): Promise<{ readonly change: readonly string[]; readonly time: readonly string[]; readonly seqs: readonly number[] }> {
  const ledger = await ledgerOf([...before, ...decidedBy(by), ...after, 'heads']);
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

it.each<readonly [what: string, before: readonly Line[], after: readonly Line[], by: number]>([
  ['that came into force before', [...agreed(1), activated(1, by(1))], [], 1],
  ['that came back after none was', [...agreed(1), activated(1, by(1)), activated(null, null), activated(1, null)], [], 1],
  ['beside which another waits', [...agreed(1), activated(1, by(1)), proposed(2), approved(2, by(2)[0]!, ANA)], [approved(2, by(2)[1]!, WEI, 120_000), activated(2, by(2), {}, 120_000)], 1],
  ['that another was rejected for', [...agreed(1), activated(1, by(1)), proposed(2), rejected(2, verdictOn(2, WEI, { verdict: 'reject' }), WEI)], [], 1],
  ['after an earlier one', [...agreed(1), activated(1, by(1)), ...agreed(2), activated(2, by(2))], [], 2],
])('a bundle %s is shown to have been let', async (_what, before, after, by) => {
  expect(await workflow(before, after, by)).toMatchObject({ change: [], time: [] });
});

it('one that nobody let is found out', async () => {
  expect(await workflow([activated(1, null)])).toMatchObject({ change: ['activation-unapproved'], time: ['activation-unapproved'] });
  expect(await workflow([...agreed(1), rejected(1, verdictOn(1, WEI, { verdict: 'reject' }), WEI), activated(1, by(1))])).toMatchObject({ change: ['activation-unapproved'], time: ['activation-unapproved'] });
});

it('what is no longer in force is left out', async () => {
  const { seqs } = await workflow([...agreed(1), activated(1, by(1)), ...agreed(2), activated(2, by(2))], [], 2);
  expect(seqs.filter((seq) => seq <= 8)).toEqual([5, 6, 7, 8]);
});

it.each<readonly [what: string, before: readonly Line[], by: number, left: (body: Readonly<Record<string, unknown>>) => boolean]>([
  ['the one that nobody let', [activated(1, null)], 1, () => true],
  ['a later one that nobody let', [...agreed(1), activated(1, by(1)), activated(2, null)], 2, ({ bundle }) => bundle === bundleOf(2)],
])('a pack without %s establishes nothing', async (_what, before, by, left) => {
  const ledger = await ledgerOf([...before, ...decidedBy(by), 'heads']);
  ledgers.push(ledger);
  const pack = await ledger.pack({ change: change.changeId });
  expect(verdictOf(await verifyStoryPack(pack, { trust }), 'WORKFLOW').status).toBe('fails');
  const without = await verifyStoryPack(withoutRecords(pack, 'bundle.activated', left), { trust });
  expect(verdictOf(without, 'COMPLETENESS').status).toBe('holds');
  expect(verdictOf(without, 'WORKFLOW')).toMatchObject({ status: 'notEstablished', message: expect.stringContaining('1 answer of policy’s by a bundle that no record which is shown says was in force') as string });
});

it('nor does one without the bundle that had a say in an approval', async () => {
  const listing = { v: 1, entrypoints: ['access/decide', 'workflow/accept'], files: [{ path: 'data.json', digest: bundleOf(8) }, { path: 'policy.wasm', digest: bundleOf(9) }] } as const;
  const { beats, provision } = cleanStory();
  const ledger = await ledgerOf([activated(1, null, { listing: { ...listing, entrypoints: [...listing.entrypoints], files: [...listing.files] } }), ...linesOf(beats), 'heads']);
  ledgers.push(ledger);
  const pack = await ledger.pack({ change: provision.changeId });
  expect(verdictOf(await verifyStoryPack(pack), 'WORKFLOW')).toMatchObject({ status: 'fails', message: expect.stringContaining('acceptance-mismatch') as string });
  expect(verdictOf(await verifyStoryPack(withoutRecords(pack, 'bundle.activated')), 'WORKFLOW').status).toBe('notEstablished');
});

it('nor does one without the facts that had policy not enforced, though the auditor takes what was', async () => {
  const facts = loaded([]);
  const told = toldUnderObserve(facts.digest);
  const ledger = await ledgerOf([storyBundle(), facts.draft, ...linesOf(told.beats), 'heads']);
  ledgers.push(ledger);
  const pack = await ledger.pack({ change: told.changeId });
  const taken = { trust: storyTrust({ quorum: 0 }), acceptObserved: true };
  expect(verdictOf(await verifyStoryPack(pack, taken), 'WORKFLOW')).toMatchObject({ status: 'fails', message: expect.stringContaining('observe-unfounded') as string });
  expect(verdictOf(await verifyStoryPack(withoutRecords(pack, 'facts.loaded'), taken), 'WORKFLOW')).toMatchObject({ status: 'notEstablished', message: expect.stringContaining('whose scope cannot be checked') as string });
});
