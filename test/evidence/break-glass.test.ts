/**
 * Ledgers in which somebody broke the glass. Whoever has the sidecar's keys can write all the rest of a ledger, and sign every word of it: that it was
 * broken is the word of whom the auditor's own floor names, by her own key, and nobody reviews herself.
 */
import { afterEach, describe, expect, it } from 'vitest';
import { nodeDisk } from '../../ledger/index.ts';
import { deriveActTicket } from '../../src/change/derive.ts';
import { stepOf } from '../../src/change/state.ts';
import { systemDraft } from '../../src/evidence/record.ts';
import { verifyEvidence, type EvidenceVerification } from '../../src/evidence/verify.ts';
import { disclose } from '../../src/protocol/disclosure.ts';
import { BREAKABLE, letting, toldUntilBroken, toldUntilGiven } from '../support/break-glass.ts';
import { at, ledgerOf, linesOf, verifyStoryPack, type StoryLedger } from '../support/packs.ts';
import { EXECUTOR, provenance, salt, sidecar, sign, START_MS, storyTrust, toldUntilActive, toldUntilEnded, type Beat, type TrustEdit } from '../support/story.ts';
import { again, asOfMs, BREAK_GLASS_CASES, DAY, reviewed, used } from './break-glass-cases.ts';
import { expectCaught, verified, workflowOf } from './verified.ts';

it('what was given with the glass broken, and reviewed, holds', async () => {
  expect(workflowOf(await verified(reviewed(), BREAKABLE, { asOfMs: START_MS + 10 * DAY }))).toMatchObject({ status: 'holds' });
  expect(workflowOf(await verified(used(), BREAKABLE, { asOfMs })).status).toBe('holds');
});

it.each(BREAK_GLASS_CASES)('is found: $title', (one) => expectCaught({ asOfMs, trust: BREAKABLE, ...one }, used));

it('a second glass holds where the first was reviewed, late or not, and while it is not overdue', async () => {
  expect(workflowOf(await verified(again(2 * DAY, DAY / 2), BREAKABLE, { asOfMs: START_MS + 2 * DAY + 3_600_000 })).status).toBe('holds');
  expect(workflowOf(await verified(again(2 * DAY, DAY + 5), BREAKABLE, { asOfMs: START_MS + 2 * DAY + 3_600_000 })).status).toBe('holds');
  expect(workflowOf(await verified(again(DAY / 2, null), BREAKABLE, { asOfMs: START_MS + DAY / 2 + 3_600_000 })).status).toBe('holds');
});

describe('once it is erased', () => {
  let ledger: StoryLedger | null = null;
  afterEach(() => {
    ledger?.remove();
    ledger = null;
  });
  /** The records of these types name nothing any more that is there. */
  async function erased(beats: readonly Beat[], types: readonly string[], trust: TrustEdit = BREAKABLE): Promise<EvidenceVerification> {
    const lines = linesOf(beats);
    const digests = [...new Set(lines.filter(({ draft }) => types.includes(draft.type)).flatMap(({ draft }) => draft.objects))];
    const { commitment, object } = disclose('basis', 'request 17', salt(9));
    const erasure = systemDraft('erasure', { erased: digests, basis: commitment }, 'person:vera', START_MS + 9 * DAY, [object]);
    ledger = await ledgerOf([...lines, erasure], digests);
    return verifyEvidence({ disk: nodeDisk(ledger.directory), directory: 'ledger', trust: storyTrust(trust), wholeFolder: true });
  }
  const found = ({ workflow }: EvidenceVerification): unknown => [workflow?.violations.map(({ code, message }) => `${code}: ${message}`), workflow?.erasedPlans];

  it('what was given is followed by what stays, and all but the plan itself holds', async () => {
    expect(found(await erased(reviewed(), ['policy.decided']))).toEqual([[], 1]);
    ledger?.remove();
    expect(found(await erased(reviewed(), ['policy.decided', 'state.read', 'step.succeeded', 'lease.ended', 'change.requested', 'breakglass.used', 'breakglass.reviewed']))).toEqual([[], 1]);
  });

  it('… also of a step that was authorised twice', async () => {
    const telling = toldUntilGiven(toldUntilBroken()).later(300_001);
    telling.do({ type: 'recordDecision', by: sidecar, phase: 'dispatch', plan: telling.now.plan!, decision: letting(), provenance, approvalSeconds: 3600 });
    telling.do({ type: 'authoriseAct', by: sidecar, ticket: sign.ticket(deriveActTicket(telling.now, telling.now.plan!, stepOf(telling.now)!, EXECUTOR, telling.atMs, 300)), order: telling.now.lease!.order });
    toldUntilEnded(toldUntilActive(telling), telling.now.lease!.order);
    telling.do({ type: 'reviewBreakGlass', by: 'person:ana', verdict: 'justified', comment: 'as it should be', rotation: 'notNeeded', demanded: 'session' });
    expect(found(await erased(telling.beats, ['policy.decided']))).toEqual([[], 1]);
  });

  it.each(BREAK_GLASS_CASES.filter(({ title }) => /policy (?:lets|that)|floor/.test(title)))('is found all the same: $title', async ({ change = (beats) => [...beats], trust, code }) => {
    expect((await erased(change(reviewed()), ['policy.decided'], trust)).workflow!.violations.map((violation) => violation.code)).toContain(code);
  });

  it('a pack of the time before the review does not say that the review is overdue, though the erasure that it shows came later', async () => {
    const beats = reviewed();
    await erased(beats, ['change.requested']);
    const { atMs } = beats.find(({ event }) => event.type === 'lease.activated')!;
    const pack = await ledger!.pack({ from: at(0), to: at(atMs - START_MS + 1) });
    const trust = storyTrust(BREAKABLE);
    expect((await verifyStoryPack(pack, { trust })).workflow?.violations).toEqual([]);
    expect((await verifyStoryPack(pack, { trust, asOfMs: START_MS + 2 * DAY })).workflow?.violations.map(({ code }) => code)).toEqual(['review-overdue', 'rotation-overdue']);
  });
});
