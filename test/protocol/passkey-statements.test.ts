/** A passkey's answer has no namespace, and the type of an envelope is not signed: an answer for one kind of statement is none for any other all the same. */
import { expect, it } from 'vitest';
import { canonicalBytes } from '../../ledger/index.ts';
import { grantStatementOf } from '../../src/facts/granted.ts';
import { grantStatementSchema } from '../../src/facts/grant-statement.ts';
import { PROPOSAL_TYPE, proposalStatementSchema, type ProposalStatement } from '../../src/protocol/activation.ts';
import { openProposalApproval, proposalSignedByPasskey } from '../../src/protocol/activation-proof.ts';
import { approvalIdOf, openApproval, type ProofContext } from '../../src/protocol/approval-proof.ts';
import { breakGlassStatementSchema } from '../../src/protocol/break-glass.ts';
import { BREAK_GLASS_REVIEW_TYPE, breakGlassReviewStatementSchema, openBreakGlassReview, type BreakGlassReviewStatement } from '../../src/protocol/break-glass-review.ts';
import { ProtocolError } from '../../src/protocol/errors.ts';
import { passkeyEnvelope } from '../../src/protocol/passkey-proof.ts';
import { passkeysFileSchema, passkeysOf } from '../../src/protocol/passkeys.ts';
import { APPROVAL_TYPE, approvalStatementSchema, type Approval, type ApprovalStatement } from '../../src/protocol/signed.ts';
import { openStanding, STANDING_TYPE, standingStatementSchema, type StandingStatement } from '../../src/protocol/standing-approval.ts';
import { testPasskey } from '../support/passkey.ts';

const ANA = 'person:ana';
const [ana, stranger] = [testPasskey(), testPasskey()];
const context: ProofContext = { sidecarKeys: [], signers: new Map(), passkeys: passkeysOf(passkeysFileSchema.parse([ana.entry(ANA)])), atMs: Date.parse('2026-11-23T19:00:00.000Z') };
const common = { v: 1, log: '0123456789abcdef', verdict: 'approve', approver: ANA, expiresAt: '2026-11-24T19:00:00.000Z' } as const;
const ofChange: ApprovalStatement = { ...common, changeId: 'chg_0123456789abcdef_01M8N3HS1G06ZGYKHN2F5KRQC0', revision: 1, planDigest: `sha256:${'a'.repeat(64)}` };
const ofBundle: ProposalStatement = { ...common, proposalId: `prp_${'0'.repeat(26)}`, bundle: `sha256:${'a'.repeat(64)}`, revision: '1' };
const ofEntry = [undefined, common.log].map((log) => grantStatementOf('exception', { id: 'x', rule: 'exceeds-purpose', subject: 'nhi:prod/ci-deployer', reason: 'for now', owner: 'person:ben', from: '2026-11-23', until: '2026-12-20' }, ANA, log));
const ofGlass: BreakGlassReviewStatement = { v: 1, log: common.log, changeId: ofChange.changeId, revision: 1, breakGlass: ofChange.planDigest, verdict: 'justified', comment: { commitment: ofChange.planDigest }, reviewer: ANA, expiresAt: common.expiresAt };
const ofTemplate: StandingStatement = {
  v: 1, log: common.log, approver: ANA, subject: 'nhi:prod/ci-deployer', kinds: ['grant'], connector: 'pg-main', target: 'app', accounts: ['ci_deployer'], privileges: ['role:deploy'], recipients: [],
  maxLeaseSeconds: 900, uses: 3, notBefore: '2026-11-23T19:00:00.000Z', expiresAt: common.expiresAt, reason: { commitment: ofChange.planDigest },
};
const answered = (statement: object, payloadType: string, passkey = ana): Approval => {
  const bytes = canonicalBytes(statement);
  const envelope = passkeyEnvelope(bytes, passkey.credentialId, passkey.assert(bytes), payloadType);
  return { approvalId: approvalIdOf(envelope), proofClass: 'passkey', envelope };
};

it('a passkey approves a policy bundle, and nobody else’s does', () => {
  const bytes = canonicalBytes(ofBundle);
  expect(openProposalApproval(proposalSignedByPasskey(ofBundle, ana.credentialId, ana.assert(bytes)), context)).toEqual(ofBundle);
  expect(() => openProposalApproval(answered(ofBundle, PROPOSAL_TYPE, stranger), context)).toThrow(/not among the passkeys/);
  expect(() => openProposalApproval(answered({ ...ofBundle, approver: 'person:wei' }, PROPOSAL_TYPE), context)).toThrow(/under the name of person:wei/);
  const rejection = canonicalBytes({ ...ofBundle, verdict: 'reject' });
  expect(() => openProposalApproval(proposalSignedByPasskey(ofBundle, ana.credentialId, ana.assert(rejection)), context)).toThrow(/its challenge is not of this statement/);
});

it('a passkey reviews a broken glass and gives a standing approval, and nobody else’s does', () => {
  expect(openBreakGlassReview(answered(ofGlass, BREAK_GLASS_REVIEW_TYPE).envelope, 'passkey', context)).toEqual(ofGlass);
  expect(openStanding(answered(ofTemplate, STANDING_TYPE).envelope, 'passkey', context)).toEqual(ofTemplate);
  expect(() => openBreakGlassReview(answered(ofGlass, BREAK_GLASS_REVIEW_TYPE, stranger).envelope, 'passkey', context)).toThrow(/not among the passkeys/);
  expect(() => openStanding(answered({ ...ofTemplate, approver: 'person:wei' }, STANDING_TYPE).envelope, 'passkey', context)).toThrow(/a passkey of person:ana under the name of person:wei/);
});

it.each([APPROVAL_TYPE, PROPOSAL_TYPE, STANDING_TYPE, BREAK_GLASS_REVIEW_TYPE])('what she answered for one thing is no answer for another, under whichever type it is put (%s)', (type) => {
  for (const statement of [ofBundle, ofGlass, ofTemplate, ...ofEntry]) expect(() => openApproval(answered(statement, type), context)).toThrow(expect.objectContaining({ code: 'approval-invalid' }));
  for (const statement of [ofChange, ofGlass, ofTemplate, ...ofEntry]) expect(() => openProposalApproval(answered(statement, type), context)).toThrow(ProtocolError);
  for (const statement of [ofChange, ofBundle, ofGlass, ...ofEntry]) expect(() => openStanding(answered(statement, type).envelope, 'passkey', context)).toThrow(ProtocolError);
  for (const statement of [ofChange, ofBundle, ofTemplate, ...ofEntry]) expect(() => openBreakGlassReview(answered(statement, type).envelope, 'passkey', context)).toThrow(ProtocolError);
});

it('no bytes are a statement of two kinds', () => {
  const kinds = [approvalStatementSchema, proposalStatementSchema, grantStatementSchema, breakGlassStatementSchema, breakGlassReviewStatementSchema, standingStatementSchema];
  for (const statement of [ofChange, ofBundle, ofGlass, ofTemplate, ...ofEntry]) expect(kinds.filter((kind) => kind.safeParse(statement).success)).toHaveLength(1);
});
