/**
 * Ledgers in which a standing approval was used. Whoever has the sidecar's keys can write all the rest of a ledger: what she signed once is all that she has
 * approved, so often, so long, and while nobody had taken it back.
 */
import { afterEach, describe, expect, it } from 'vitest';
import { nodeDisk } from '../../ledger/index.ts';
import { verifyEvidence, type EvidenceVerification } from '../../src/evidence/verify.ts';
import { systemDraft, type DraftWithObjects } from '../../src/evidence/record.ts';
import { disclose } from '../../src/protocol/disclosure.ts';
import type { Approval } from '../../src/protocol/signed.ts';
import { ledgerOf, linesOf, storyBundle, verifyStoryPack, type StoryLedger } from '../support/packs.ts';
import { COUNTING, COUNTING_PASSKEYS, counting, givenBy, revokedBy, standingOf, TEMPLATE, toldWhole, useOf, usedTimes } from '../support/standing.ts';
import { logId, PROVISION, RECIPIENT, salt, START_MS, storyTrust, toldUntilDecided, type Beat } from '../support/story.ts';
import { ANSWERED, begun, GIVEN, PASSKEY_CASES, rejectedLate, SIGNED, STANDING_CASES, used } from './standing-cases.ts';
import { expectCaught, verified, workflowOf } from './verified.ts';

let ledger: StoryLedger | null = null;
afterEach(() => {
  ledger?.remove();
  ledger = null;
});

it('what a standing approval approved holds, as often as it says', async () => {
  expect(workflowOf(await verified(used(), COUNTING, { first: GIVEN }))).toMatchObject({ status: 'holds' });
  expect(workflowOf(await verified(usedTimes(SIGNED, [1, 2, 3]), COUNTING, { first: GIVEN }))).toMatchObject({ status: 'holds' });
});

it('what it approved and nobody has begun may be rejected, however long ago the time to decide was over', async () => {
  expect((await verified(rejectedLate(), COUNTING, { first: GIVEN })).workflow?.violations).toEqual([]);
});

it.each(STANDING_CASES)('is found: $title', (one) => expectCaught({ trust: COUNTING, first: GIVEN, ...one }, used));

describe('by a passkey', () => {
  const first = [givenBy(ANSWERED)];
  const uses = (): readonly Beat[] => usedTimes(ANSWERED, [1, 2]);

  it('what it approved holds, where the floor asks for a passkey, for a signature, or for neither', async () => {
    for (const proofClass of ['passkey', 'ssh', 'session'] as const) expect(workflowOf(await verified(uses(), { ...COUNTING_PASSKEYS, proofClass }, { first }))).toMatchObject({ status: 'holds' });
  });

  it.each(PASSKEY_CASES)('is found: $title', (one) => expectCaught({ trust: COUNTING_PASSKEYS, first, ...one }, () => usedTimes(ANSWERED, [1])));
});

/** The ledger with this after the n-th record of that type. */
async function withRecord(beats: readonly Beat[], type: Beat['event']['type'], record: DraftWithObjects): Promise<EvidenceVerification> {
  const lines = linesOf(beats);
  const at = lines.findIndex(({ draft }) => draft.type === type);
  ledger = await ledgerOf([...GIVEN, ...lines.slice(0, at + 1), record, ...lines.slice(at + 1)]);
  return verifyEvidence({ disk: nodeDisk(ledger.directory), directory: 'ledger', trust: storyTrust(COUNTING), wholeFolder: true });
}

describe('once it is revoked', () => {
  it('what it approved is not dispatched any more', async () => {
    const { workflow } = await withRecord(used(), 'approval.recorded', revokedBy(SIGNED));
    expect(workflow?.violations[0]).toMatchObject({ code: 'approvals-insufficient' });
  });

  it('what had begun goes on', async () => {
    expect((await withRecord(begun(), 'lease.armed', revokedBy(SIGNED))).workflow?.violations).toEqual([]);
  });
});

describe('where the plan was erased', () => {
  const codes = async (recipients: readonly string[], edit: Partial<Approval> = {}): Promise<string[]> => {
    const template = standingOf({ ...TEMPLATE, subject: PROVISION.subject, kinds: ['provision'], accounts: [], privileges: ['table:public.orders:SELECT'], recipients: [...recipients] });
    const said = counting();
    const telling = toldUntilDecided(PROVISION, START_MS, 'needsApproval', undefined, said).later(10).force({ type: 'approval.recorded', actor: `sidecar:${logId}`, body: { approval: { ...useOf(template), ...edit }, comment: null } });
    toldWhole(telling, said);
    const erased = [telling.now.planDigest!];
    const { commitment, object } = disclose('basis', 'asked for', salt(9));
    const erasure = systemDraft('erasure', { erased, basis: commitment }, 'person:vera', telling.atMs, [object]);
    ledger = await ledgerOf([givenBy(template), ...linesOf(telling.beats), erasure], erased);
    const { workflow } = await verifyEvidence({ disk: nodeDisk(ledger.directory), directory: 'ledger', trust: storyTrust(COUNTING), wholeFolder: true });
    return workflow!.violations.map(({ code }) => code);
  };

  it('whom the secret was asked for is held to the template', async () => {
    expect(await codes([RECIPIENT])).toEqual([]);
    ledger?.remove();
    expect(await codes([])).toContain('standing-widened');
  });

  it('it is of no better class than she signed with', async () => {
    expect(await codes([RECIPIENT], { proofClass: 'passkey' })).toContain('standing-signature');
  });
});

it('a pack has the proof of what was approved, and says that it does not show how often', async () => {
  ledger = await ledgerOf([storyBundle(), ...GIVEN, ...linesOf(usedTimes(SIGNED, [1, 2])), 'heads']);
  const asked = await ledger.pack({ nhi: 'nhi:prod/ci-deployer' });
  const { verdicts, workflow } = await verifyStoryPack(asked, { trust: storyTrust(COUNTING) });
  expect(workflow?.violations).toEqual([]);
  expect(workflow?.unshownUses).toBe(2);
  expect(verdicts.find(({ name }) => name === 'WORKFLOW')).toMatchObject({ status: 'notEstablished', message: expect.stringContaining('2 uses of standing approvals') as string });
});
