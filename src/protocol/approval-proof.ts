/**
 * What proves an approval, by the class that it claims. The statement is the same in each: RFC 8785 bytes of {@link approvalStatementSchema}.
 *
 * - `session`: a DSSE envelope by a ticket key of the log's sidecar, which says that it authenticated the person;
 * - `ssh`: the approver's own SSHSIG over the statement's bytes, namespace {@link APPROVAL_NAMESPACE}, by a key that the trust folder's
 *   `allowed_signers` gives to that person. The sidecar has no part in it, so its key forges none;
 * - `passkey`: an assertion by a passkey that the trust folder's `passkeys.json` gives to that person (`passkey-proof.ts`). Nor any of these.
 *
 * Executors and verifiers ask this alone, so that both believe the same.
 */
import type { Verifier } from '../../ledger/index.ts';
import type { AllowedSigners } from './allowed-signers.ts';
import { openDsse, payloadDigest, type Proven } from './dsse.ts';
import { ProtocolError } from './errors.ts';
import { openByPasskey } from './passkey-proof.ts';
import type { Passkeys } from './passkeys.ts';
import { APPROVAL_TYPE, approvalStatementSchema, type Approval, type ApprovalStatement, type Dsse } from './signed.ts';
import { openBySsh, type SignedKind } from './ssh-proof.ts';

/** `ssh-keygen -Y sign -n approval@countersign`: a signature for git or a file is not taken for an approval, nor this for those. */
export const APPROVAL_NAMESPACE = 'approval@countersign';
const CHANGE_APPROVAL: SignedKind<ApprovalStatement> = { payloadType: APPROVAL_TYPE, namespace: APPROVAL_NAMESPACE, what: 'an approval', schema: approvalStatementSchema };

export interface ProofContext {
  /** Ticket keys of the log that the approval is recorded in. */
  readonly sidecarKeys: readonly Verifier[];
  readonly signers: AllowedSigners;
  readonly passkeys: Passkeys;
  /** When it was, or is to be, counted: a key must have been good then. Epoch ms. */
  readonly atMs: number;
  readonly proven?: Proven | null;
}

/** The id of an approval: that of its statement, whatever proves it. */
export function approvalIdOf(envelope: Dsse): string {
  const digest = payloadDigest(envelope);
  return `apr_${digest.slice('sha256:'.length, 'sha256:'.length + 32)}`;
}

/**
 * The statement of an approval, once what proves it holds. What it is about has not been compared with anything. A use of a standing approval is none:
 * that is opened with its plan (`change/standing-approval.ts`).
 *
 * @throws ProtocolError `approval-invalid`, with the reason; nothing was believed
 */
export function openApproval(approval: Approval, context: ProofContext): ApprovalStatement {
  const { approvalId, envelope, proofClass, use } = approval;
  if (use !== undefined) throw invalid(`${approvalId} is a use of a standing approval, where a verdict on a plan is due`);
  if (approvalId !== approvalIdOf(envelope)) throw invalid(`${approvalId} is not the id of its statement`);
  try {
    switch (proofClass) {
      case 'session':
        return openDsse(envelope, APPROVAL_TYPE, approvalStatementSchema, context.sidecarKeys, context.proven ?? null);
      case 'ssh':
        return openBySsh(envelope, CHANGE_APPROVAL, context);
      case 'passkey':
        return openByPasskey(envelope, CHANGE_APPROVAL, context);
    }
  } catch (cause) {
    if (cause instanceof ProtocolError) throw invalid(`${approvalId}: ${cause.message}`, { cause });
    throw cause;
  }
}

function invalid(message: string, options?: ErrorOptions): ProtocolError {
  return new ProtocolError('approval-invalid', message, options);
}
