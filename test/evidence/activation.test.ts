/** Policy bundles that came into force: held to the people whom the auditor's own trust folder names, and to nobody's word. */
import { describe, expect, it } from 'vitest';
import type { DraftWithObjects } from '../../src/evidence/record.ts';
import type { Approval } from '../../src/protocol/signed.ts';
import { formatTime } from '../../src/protocol/values.ts';
import { activated, approved, bundleOf, proposalId, proposed, rejected, verdictOn } from '../support/proposals.ts';
import { cleanStory, keys, START_MS } from '../support/story.ts';
import { verified, workflowOf } from './verified.ts';

const [ANA, WEI, EVE] = ['person:ana', 'person:wei', 'person:eve'] as const;
const TWO = { quorum: 2, approvers: [ANA, WEI] };
const later = (afterMs: number): string => formatTime(START_MS + afterMs);

async function found(records: readonly DraftWithObjects[], policyActivation: object | null = TWO): Promise<{ readonly codes: readonly string[]; readonly messages: readonly string[] }> {
  const verification = await verified([], policyActivation === null ? {} : { policyActivation }, { extra: records });
  const { violations } = verification.workflow!;
  expect(workflowOf(verification).status).toBe(violations.length === 0 ? 'holds' : 'fails');
  return { codes: violations.map(({ code }) => code), messages: violations.map(({ message }) => message) };
}
/** Bundle `n` is proposed and both approve. */
function agreed(n: number): { readonly records: DraftWithObjects[]; readonly by: Approval[] } {
  const by = [verdictOn(n, ANA), verdictOn(n, WEI)];
  return { records: [proposed(n), approved(n, by[0]!, ANA), approved(n, by[1]!, WEI)], by };
}

describe('a bundle that the floor lets come into force', () => {
  const one = agreed(1);
  const two = agreed(2);
  it.each<[string, readonly DraftWithObjects[]]>([
    ['by as many as it asks for', [...one.records, activated(1, one.by)]],
    ['and again after none was, by the same people', [...one.records, activated(1, one.by), activated(null, null), activated(1, null)]],
    ['and a later one after it', [...one.records, activated(1, one.by), ...two.records, activated(2, two.by)]],
    ['after another was rejected', [...one.records, activated(1, one.by), proposed(2), rejected(2, verdictOn(2, ANA, { verdict: 'reject' }), ANA), ...agreed(3).records, activated(3, agreed(3).by)]],
    ['in the place of one that nobody decided on', [proposed(1), ...two.records, activated(2, two.by)]],
    ['where somebody said so twice', [proposed(1), approved(1, verdictOn(1, ANA, { expiresAt: later(1_000) }), ANA), approved(1, one.by[0]!, ANA, 2_000), approved(1, one.by[1]!, WEI, 2_000), activated(1, one.by, {}, 2_000)]],
    ['which is none', [activated(null, null)]],
  ])('%s', async (_what, records) => {
    expect(await found(records)).toEqual({ codes: [], messages: [] });
  });

  it('which is any, where the auditor’s floor asks nobody', async () => {
    expect(await found([activated(1, null), activated(2, null)], null)).toEqual({ codes: [], messages: [] });
  });

  it('before anybody was asked', async () => {
    const from = later(1_000);
    expect((await found([activated(1, null), activated(null, null, {}, 2_000), activated(1, null, {}, 2_000)], { ...TWO, from })).codes).toEqual([]);
    expect((await found([activated(1, null, {}, 1_000)], { ...TWO, from })).codes).toEqual(['activation-unapproved']);
  });

  it('is not found to have come before that by dating it back, after records of that time', async () => {
    expect((await found([activated(null, null, {}, 1_000), activated(1, null, {}, 0)], { ...TWO, from: later(1_000) })).codes).toEqual(['activation-unapproved']);
  });
});

it('a log that answers by a bundle and nowhere says that it came into force establishes nothing, where the auditor’s floor asks people', async () => {
  const { beats } = cleanStory();
  expect(workflowOf(await verified(beats)).status).toBe('holds');
  expect(workflowOf(await verified(beats, { policyActivation: TWO }))).toMatchObject({ status: 'notEstablished', message: expect.stringMatching(/bundle/) as string });
});

describe('a bundle that nobody, or not enough, let come into force', () => {
  const one = agreed(1);
  const two = agreed(2);
  const byAna = verdictOn(1, ANA);
  it.each<[string, string, readonly DraftWithObjects[]]>([
    ['is named by nobody', 'it names nobody who let it', [activated(1, null)]],
    ['was proposed, and names nobody', 'it names nobody who let it', [...one.records, activated(1, null)]],
    ['comes back after another', 'it names nobody who let it', [...one.records, activated(1, one.by), ...two.records, activated(2, two.by), activated(1, null)]],
    ['comes back under another revision', 'it names nobody who let it', [...one.records, activated(1, one.by), activated(1, null, { revision: '9' })]],
    ['is approved by too few', 'approved by person:ana where 2 of person:ana, person:wei must', [proposed(1), approved(1, byAna, ANA), activated(1, [byAna])]],
    ['is approved by one person twice', 'approved by person:ana where 2', [proposed(1), approved(1, byAna, ANA), approved(1, verdictOn(1, ANA, { expiresAt: later(7_200_000) }), ANA), activated(1, [verdictOn(1, ANA, { expiresAt: later(7_200_000) })])]],
    ['is approved by somebody who is not named', 'approved by person:ana where 2', [proposed(1), approved(1, byAna, ANA), approved(1, verdictOn(1, EVE), EVE), activated(1, [byAna, verdictOn(1, EVE)])]],
    ['is another than was approved', 'of another bundle or revision', [...one.records, activated(1, one.by, { bundle: bundleOf(2) })]],
    ['has another revision than was approved', 'of another bundle or revision', [...one.records, activated(1, one.by, { revision: '2' })]],
    ['names a proposal that another took the place of', 'did not wait', [...one.records, proposed(2), activated(1, one.by)]],
    ['names a proposal that was used', 'did not wait', [...one.records, activated(1, one.by), activated(1, one.by)]],
    ['names approvals of an older proposal of the same bundle', 'is no approval of', [...one.records, proposed(2, { bundle: bundleOf(1), revision: '1' }), activated(2, one.by, { bundle: bundleOf(1), revision: '1' })]],
    ['was rejected', 'did not wait', [...one.records, rejected(1, verdictOn(1, WEI, { verdict: 'reject' }), WEI), activated(1, one.by)]],
    ['is approved when the approvals are over', 'is no approval of', [...one.records, activated(1, one.by, {}, 3_600_000)]],
    ['names approvals and no proposal', 'names no proposal', [...one.records, activated(1, null, { approvals: [one.by[0]!.approvalId] })]],
  ])('%s', async (_what, why, records) => {
    const { codes, messages } = await found(records);
    expect(codes).toEqual(['activation-unapproved']);
    expect(messages[0]).toContain(why);
  });

  it('is approved after it came into force', async () => {
    expect((await found([proposed(1), activated(1, one.by), ...one.records.slice(1)])).codes).toEqual(['activation-unapproved']);
  });

  it('is not let in by what is weaker than the floor demands', async () => {
    const { messages } = await found([...one.records, activated(1, one.by)], { ...TWO, proofClass: 'ssh' });
    expect(messages).toEqual([expect.stringContaining('approved by nobody where 2 of person:ana, person:wei must, by ssh or better')]);
  });

  it('is found out again each time', async () => {
    expect((await found([activated(1, null), activated(null, null), activated(1, null)])).codes).toEqual(['activation-unapproved', 'activation-unapproved']);
  });

  it('is held to whom it names also where the auditor’s floor asks nobody', async () => {
    expect((await found([activated(1, one.by)], null)).codes).toEqual(['activation-unapproved']);
  });
});

describe('a verdict that is not what its record says', () => {
  const byWei = verdictOn(1, WEI);
  const wrong: readonly [string, string, Approval, string][] = [
    ['is signed by nobody who may', 'approval-signature', verdictOn(1, ANA, { key: keys.stranger }), ANA],
    ['is of a class that nobody can check', 'approval-signature', { ...verdictOn(1, ANA), proofClass: 'ssh' }, ANA],
    ['is of another bundle', 'approval-mismatch', verdictOn(1, ANA, { bundle: bundleOf(2) }), ANA],
    ['is of another revision', 'approval-mismatch', verdictOn(1, ANA, { revision: '2' }), ANA],
    ['is of another proposal', 'approval-mismatch', verdictOn(1, ANA, { proposalId: proposalId(2) }), ANA],
    ['is of another log', 'approval-mismatch', verdictOn(1, ANA, { log: '0123456789abcdef' }), ANA],
    ['is by another person', 'approval-mismatch', verdictOn(1, EVE), ANA],
    ['rejects', 'approval-mismatch', verdictOn(1, ANA, { verdict: 'reject' }), ANA],
    ['has the id of another', 'approval-mismatch', { ...verdictOn(1, ANA), approvalId: byWei.approvalId }, ANA],
    ['was over', 'approval-expired', verdictOn(1, ANA, { expiresAt: later(0) }), ANA],
    ['is by no person', 'wrong-actor', verdictOn(1, ANA), 'executor:main'],
  ];
  it.each(wrong)('%s: it is found out, and lets nothing in', async (_what, code, approval, actor) => {
    const { codes } = await found([proposed(1), approved(1, approval, actor), approved(1, byWei, WEI), activated(1, [approval, byWei])]);
    expect(codes).toEqual([code, 'activation-unapproved']);
  });

  it('is about nothing that waits', async () => {
    expect((await found([approved(1, byWei, WEI)])).codes).toEqual(['wrong-order']);
    expect((await found([proposed(2), approved(1, byWei, WEI)])).codes).toEqual(['wrong-order']);
  });
});
