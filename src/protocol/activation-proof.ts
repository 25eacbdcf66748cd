/**
 * What proves a person's verdict on a proposed policy bundle, by the class that it claims: the sidecar that authenticated her, or her own SSH signature
 * over the RFC 8785 bytes of {@link proposalStatementSchema}. Sidecar and verifier ask this alone, each with its own trust folder.
 */
import { canonicalBytes, type Signer } from '../../ledger/index.ts';
import { PROPOSAL_TYPE, proposalStatementSchema, type ProposalStatement } from './activation.ts';
import { approvalIdOf, type ProofContext } from './approval-proof.ts';
import { openDsse, signDsse } from './dsse.ts';
import { ProtocolError } from './errors.ts';
import type { Approval } from './signed.ts';
import { openBySsh, sshEnvelope, type SignedKind } from './ssh-proof.ts';

/** `ssh-keygen -Y sign -n policy-approval@countersign`: no approval of a change is one of a bundle, nor the other way round. */
export const PROPOSAL_NAMESPACE = 'policy-approval@countersign';

const PROPOSAL_APPROVAL: SignedKind<ProposalStatement> = { payloadType: PROPOSAL_TYPE, namespace: PROPOSAL_NAMESPACE, what: 'an approval', schema: proposalStatementSchema };

/** By the sidecar that authenticated the person. */
export function signProposalStatement(statement: ProposalStatement, signer: Signer): Approval {
  const envelope = signDsse(PROPOSAL_TYPE, statement, signer);
  return { approvalId: approvalIdOf(envelope), proofClass: 'session', envelope };
}

/** By the person: the bytes of her SSHSIG over the statement. Whether it holds has not been looked at. @throws SshFormatError */
export function proposalSignedBySsh(statement: ProposalStatement, signature: Uint8Array): Approval {
  const envelope = sshEnvelope(canonicalBytes(statement), signature, PROPOSAL_TYPE);
  return { approvalId: approvalIdOf(envelope), proofClass: 'ssh', envelope };
}

/**
 * The statement, once what proves it holds. What it is about has not been compared with anything.
 *
 * @throws ProtocolError, with the reason; nothing was believed
 */
export function openProposalApproval({ envelope, proofClass }: Approval, context: Omit<ProofContext, 'passkeys'>): ProposalStatement {
  switch (proofClass) {
    case 'session':
      return openDsse(envelope, PROPOSAL_TYPE, proposalStatementSchema, context.sidecarKeys, context.proven ?? null);
    case 'ssh':
      return openBySsh(envelope, PROPOSAL_APPROVAL, context);
    case 'passkey':
      throw new ProtocolError('approval-invalid', 'a proof by passkey, which cannot be checked for a policy bundle yet');
  }
}
