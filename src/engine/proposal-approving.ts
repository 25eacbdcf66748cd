/** What a person's verdict on a proposed policy bundle becomes: the statement that she stands for, and the approval that proves it. */
import type { ProposalStatement } from '../protocol/activation.ts';
import { openProposalApproval, proposalSignedByPasskey, proposalSignedBySsh, signProposalStatement } from '../protocol/activation-proof.ts';
import { meets, PROOF_CLASSES, type ProofClass } from '../protocol/decision.ts';
import { ProtocolError } from '../protocol/errors.ts';
import { AssertionError, assertionOf } from '../protocol/passkey-assertion.ts';
import type { Approval } from '../protocol/signed.ts';
import { readArmour } from '../protocol/ssh-signature.ts';
import { SshFormatError } from '../protocol/ssh-wire.ts';
import type { ActivationFloor } from '../protocol/trust.ts';
import { formatTime, parseTime } from '../protocol/values.ts';
import type { BundleProposal } from '../evidence/proposals.ts';
import { offeredBy, type OwnProof } from './approving.ts';
import type { Answer, EngineContext } from './engine.ts';

type Deciding = Pick<EngineContext, 'log' | 'limits' | 'trust' | 'ticketSigner'> & { readonly store: Pick<EngineContext['store'], 'nextAtMs'> };
export type ProposalVerdict = ProposalStatement['verdict'];

/** What `by` stands for in deciding on the proposal, from now on. */
export function proposalStatementOf({ log, store, limits }: Deciding, { proposalId, bundle, revision }: BundleProposal, by: string, verdict: ProposalVerdict): ProposalStatement {
  return { v: 1, log: log.logId, proposalId, bundle, revision, verdict, approver: by, expiresAt: formatTime(store.nextAtMs() + limits.approvalSeconds * 1000) };
}

/** The weakest proof by which each of the floors that name this person counts her. */
export function proposalProofDemanded(floors: readonly ActivationFloor[], by: string): ProofClass {
  return floors.filter(({ approvers }) => approvers.includes(by)).map(({ proofClass }) => proofClass).reduce((a, b) => (meets(a, b) ? a : b), PROOF_CLASSES[0]);
}

interface Verdict {
  readonly by: string;
  readonly verdict: ProposalVerdict;
  readonly demanded: ProofClass;
}

/** The approval, proven by the session of whoever asks, by her own signature, or by her passkey. Nothing is recorded. */
export function proposalApprovalOf(context: Deciding, proposal: BundleProposal, { by, verdict, demanded }: Verdict, own: OwnProof): Answer<Approval> {
  const statement = proposalStatementOf(context, proposal, by, verdict);
  const offered = offeredBy(own);
  // Saying no needs no more than being who one is.
  if (verdict === 'approve' && !meets(offered, demanded)) return { ok: false, code: 'proof-too-weak', message: `this bundle is approved by ${demanded}, not by ${offered}` };
  const signed = offered === 'session' ? null : signedByHer(context, statement, own);
  // Nor does a signature that proves nothing keep her no from counting.
  if (signed !== null && (signed.ok || verdict === 'approve')) return signed;
  return { ok: true, value: signProposalStatement(statement, context.ticketSigner) };
}

/** Checked as verifiers check it, by the trust folder of this side. */
function signedByHer({ trust, store }: Deciding, longest: ProposalStatement, { ssh, passkey }: OwnProof): Answer<Approval> {
  const { expiresAt } = (passkey ?? ssh)!;
  const nowMs = store.nextAtMs();
  if (expiresAt > longest.expiresAt) return invalid(`good until ${expiresAt}, and ${longest.expiresAt} is the longest`);
  if (parseTime(expiresAt) <= nowMs) return { ok: false, code: 'approval-expired', message: `the statement was over at ${expiresAt}` };
  try {
    const statement = { ...longest, expiresAt };
    const approval = passkey !== undefined ? proposalSignedByPasskey(statement, passkey.credentialId, assertionOf(passkey)) : proposalSignedBySsh(statement, readArmour(ssh!.signature));
    openProposalApproval(approval, { sidecarKeys: [], signers: trust.signers, passkeys: trust.passkeys, atMs: nowMs });
    return { ok: true, value: approval };
  } catch (error) {
    if (error instanceof SshFormatError || error instanceof AssertionError || error instanceof ProtocolError) return invalid(error.message);
    throw error;
  }
}

function invalid(message: string): Answer<never> {
  return { ok: false, code: 'proof-invalid', message };
}
