/**
 * What proves a person's verdict on a proposed policy bundle, by the class that it claims: the sidecar that authenticated her, her own SSH signature over
 * the RFC 8785 bytes of {@link proposalStatementSchema}, or her passkey's answer to them. Sidecar and verifier ask this alone, each with its own trust folder.
 */
import { canonicalBytes, type Signer } from '../../ledger/index.ts';
import { PROPOSAL_TYPE, proposalStatementSchema, type ProposalStatement } from './activation.ts';
import { approvalIdOf, type ProofContext } from './approval-proof.ts';
import { openDsse, signDsse } from './dsse.ts';
import type { Assertion } from './passkey-assertion.ts';
import { openByPasskey, passkeyEnvelope } from './passkey-proof.ts';
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

/** By the person: her passkey's answer to the statement. Whether it holds has not been looked at. @throws AssertionError where the credential's id is none */
export function proposalSignedByPasskey(statement: ProposalStatement, credentialId: string, assertion: Assertion): Approval {
  const envelope = passkeyEnvelope(canonicalBytes(statement), credentialId, assertion, PROPOSAL_TYPE);
  return { approvalId: approvalIdOf(envelope), proofClass: 'passkey', envelope };
}

/**
 * The statement, once what proves it holds. What it is about has not been compared with anything.
 *
 * @throws ProtocolError, with the reason; nothing was believed
 */
export function openProposalApproval({ envelope, proofClass }: Approval, context: ProofContext): ProposalStatement {
  switch (proofClass) {
    case 'session':
      return openDsse(envelope, PROPOSAL_TYPE, proposalStatementSchema, context.sidecarKeys, context.proven ?? null);
    case 'ssh':
      return openBySsh(envelope, PROPOSAL_APPROVAL, context);
    case 'passkey':
      return openByPasskey(envelope, PROPOSAL_APPROVAL, context);
  }
}
