/**
 * Policy bundles under a floor that has people sign themselves. Whoever has the sidecar's keys can write all the rest of a ledger: what people must have
 * signed stays theirs.
 */
import { describe, expect, it } from 'vitest';
import { systemDraft, type DraftWithObjects } from '../../src/evidence/record.ts';
import { APPROVAL_NAMESPACE, approvalIdOf } from '../../src/protocol/approval-proof.ts';
import type { Approval } from '../../src/protocol/signed.ts';
import { formatTime } from '../../src/protocol/values.ts';
import { activated, approved, bundleOf, proposalId, proposed, rejected, verdictOn } from '../support/proposals.ts';
import { testSshKey } from '../support/ssh.ts';
import { keys, ORIGIN, sidecar, START_MS } from '../support/story.ts';
import { verified } from './verified.ts';

const [ANA, WEI] = ['person:ana', 'person:wei'] as const;
const [ana, wei, stranger] = [testSshKey(), testSshKey('sk-ecdsa-sha2-nistp256@openssh.com'), testSshKey()];
const FLOOR = { quorum: 2, approvers: [ANA, WEI], proofClass: 'ssh' } as const;
const SIGNERS = `${ANA} ${ana.publicLine}\n${WEI} ${wei.publicLine}\n`;
const byWei = verdictOn(1, WEI, { ssh: wei });

async function found(records: readonly DraftWithObjects[], { policyActivation = FLOOR, signers = SIGNERS, first = [] }: { readonly policyActivation?: object; readonly signers?: string; readonly first?: readonly DraftWithObjects[] } = {}): Promise<readonly string[]> {
  const { workflow } = await verified([], { policyActivation, signers }, { extra: records, first });
  return workflow!.violations.map(({ code }) => code);
}
/** Bundle 1, as Ana's approval and Wei's own let it in. */
const lets = (byAna: Approval, actor: string = ANA, afterMs = 0): readonly DraftWithObjects[] => [proposed(1, {}, afterMs), approved(1, byAna, actor, afterMs), approved(1, byWei, WEI, afterMs), activated(1, [byAna, byWei], {}, afterMs)];

it('what those who are asked have signed themselves lets a bundle in, also where a session would do', async () => {
  expect(await found(lets(verdictOn(1, ANA, { ssh: ana })))).toEqual([]);
  expect(await found(lets(verdictOn(1, ANA, { ssh: ana })), { policyActivation: { ...FLOOR, proofClass: 'session' } })).toEqual([]);
});

it('a signature takes the place of a session of the same person', async () => {
  const [session, own] = [verdictOn(1, ANA), verdictOn(1, ANA, { ssh: ana })];
  expect(await found([proposed(1), approved(1, session, ANA), approved(1, own, ANA), approved(1, byWei, WEI), activated(1, [own, byWei])])).toEqual([]);
});

describe('whoever has the sidecar’s keys, and not Ana’s, lets no bundle in', () => {
  it('by her session', async () => {
    expect(await found(lets(verdictOn(1, ANA)))).toEqual(['activation-unapproved']);
  });

  const signed = verdictOn(1, ANA, { ssh: ana });
  const inHerPlace = verdictOn(1, ANA, { ssh: stranger });
  it.each<[string, string, Approval]>([
    ['by a key of its own', 'approval-signature', inHerPlace],
    ['by a key of its own that is said to be hers', 'approval-signature', { ...inHerPlace, envelope: { ...inHerPlace.envelope, signatures: [{ ...inHerPlace.envelope.signatures[0]!, keyid: signed.envelope.signatures[0]!.keyid }] } }],
    ['by its own signature that is said to be hers', 'approval-signature', { ...verdictOn(1, ANA), proofClass: 'ssh' }],
    ['by Wei’s signature in her name', 'approval-signature', verdictOn(1, ANA, { ssh: wei })],
    ['by her signature of an approval of a change', 'approval-signature', verdictOn(1, ANA, { ssh: ana, namespace: APPROVAL_NAMESPACE })],
    ['by her signature of another statement', 'approval-signature', { ...signed, envelope: { ...signed.envelope, payload: verdictOn(1, ANA, { ssh: ana, expiresAt: formatTime(START_MS + 7_200_000) }).envelope.payload } }],
    ['by her signature of another bundle', 'approval-mismatch', verdictOn(1, ANA, { ssh: ana, bundle: bundleOf(2) })],
    ['by her signature of another proposal of it', 'approval-mismatch', verdictOn(1, ANA, { ssh: ana, proposalId: proposalId(2) })],
    ['by her signature for another log', 'approval-mismatch', verdictOn(1, ANA, { ssh: ana, log: '0123456789abcdef' })],
    ['by her no', 'approval-mismatch', verdictOn(1, ANA, { ssh: ana, verdict: 'reject' })],
    ['by her signature that was over', 'approval-expired', verdictOn(1, ANA, { ssh: ana, expiresAt: formatTime(START_MS) })],
    ['by a passkey that nobody can check', 'approval-signature', { ...signed, proofClass: 'passkey' }],
  ])('%s', async (_how, code, byAna) => {
    const codes = await found(lets({ ...byAna, approvalId: approvalIdOf(byAna.envelope) }));
    expect(codes).toEqual([code, 'activation-unapproved']);
  });

  it('after her signed no', async () => {
    const no = verdictOn(1, ANA, { ssh: ana, verdict: 'reject' });
    expect(await found([proposed(1), approved(1, byWei, WEI), rejected(1, no, ANA), activated(1, [byWei])])).toEqual(['activation-unapproved']);
  });

  it('after her key had ended, though the records are dated back to when it had not', async () => {
    const day = 86_400_000;
    const opened = (afterMs: number): DraftWithObjects => systemDraft('ledger.opened', { origin: ORIGIN, epoch: 2, version: '0.1.0' }, sidecar, START_MS + afterMs);
    const signers = `${ANA} valid-before="202611240000Z" ${ana.publicLine}\n${WEI} ${wei.publicLine}\n`;
    const forever = formatTime(START_MS + 400 * day);
    const [hers, his] = [verdictOn(1, ANA, { ssh: ana, expiresAt: forever }), verdictOn(1, WEI, { ssh: wei, expiresAt: forever })];
    const records = [proposed(1), approved(1, hers, ANA), approved(1, his, WEI), activated(1, [hers, his])];
    expect(await found(records, { signers })).toEqual([]);
    expect(await found(records, { signers, first: [opened(190 * day)] })).toEqual(['approval-signature', 'activation-unapproved']);
    // A clock that was an hour ahead and is right again is no lie.
    expect(await found(records, { signers, first: [opened(3_600_000)] })).toEqual([]);
    // Nor is a statement that is over in time again, for either of the two records that rest on it.
    expect(await found(lets(verdictOn(1, ANA, { ssh: ana })), { first: [opened(190 * day)] })).toEqual(['approval-expired', 'approval-expired', 'activation-unapproved']);
    expect(await found([...lets(verdictOn(1, ANA, { ssh: ana })).slice(0, 3), opened(190 * day), lets(verdictOn(1, ANA, { ssh: ana }))[3]!])).toEqual(['activation-unapproved']);
  });
});

it('a person whose key the auditor does not have is not believed to have signed', async () => {
  expect(await found(lets(verdictOn(1, ANA, { ssh: ana })), { signers: `${WEI} ${wei.publicLine}\n` })).toEqual(['approval-signature', 'activation-unapproved']);
});

it('a key that is listed for approvals of changes alone signs none of a bundle', async () => {
  const signers = (namespaces: string): string => `${ANA} namespaces="${namespaces}" ${ana.publicLine}\n${WEI} ${wei.publicLine}\n`;
  expect(await found(lets(verdictOn(1, ANA, { ssh: ana })), { signers: signers('approval@countersign') })).toEqual(['approval-signature', 'activation-unapproved']);
  expect(await found(lets(verdictOn(1, ANA, { ssh: ana })), { signers: signers('approval@countersign,policy-approval@countersign') })).toEqual([]);
});

it('an approval under the id of another is none', async () => {
  expect(await found([proposed(1), approved(1, { ...verdictOn(1, ANA, { ssh: ana }), approvalId: byWei.approvalId }, ANA), approved(1, byWei, WEI), activated(1, [byWei])])).toEqual(['approval-mismatch', 'activation-unapproved']);
  expect(await found(lets(verdictOn(1, ANA, { key: keys.stranger })))).toEqual(['approval-signature', 'activation-unapproved']);
});
