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
import { parseBase64, type Verifier } from '../../ledger/index.ts';
import { signsUnder, type AllowedSigners } from './allowed-signers.ts';
import { openDsse, payloadDigest, readPayload, type Proven } from './dsse.ts';
import { ProtocolError } from './errors.ts';
import { openByPasskey } from './passkey-proof.ts';
import type { Passkeys } from './passkeys.ts';
import { APPROVAL_TYPE, approvalStatementSchema, type Approval, type ApprovalStatement, type Dsse } from './signed.ts';
import { parseSshSignature, type SshSignature } from './ssh-signature.ts';
import { SshFormatError } from './ssh-wire.ts';

/** `ssh-keygen -Y sign -n approval@countersign`: a signature for git or a file is not taken for an approval, nor this for those. */
export const APPROVAL_NAMESPACE = 'approval@countersign';

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
 * The statement of an approval, once what proves it holds. What it is about has not been compared with anything.
 *
 * @throws ProtocolError `approval-invalid`, with the reason; nothing was believed
 */
export function openApproval(approval: Approval, context: ProofContext): ApprovalStatement {
  const { approvalId, envelope, proofClass } = approval;
  if (approvalId !== approvalIdOf(envelope)) throw invalid(`${approvalId} is not the id of its statement`);
  try {
    switch (proofClass) {
      case 'session':
        return openDsse(envelope, APPROVAL_TYPE, approvalStatementSchema, context.sidecarKeys, context.proven ?? null);
      case 'ssh':
        return openBySsh(envelope, context);
      case 'passkey':
        return openByPasskey(envelope, context.passkeys, context.atMs);
    }
  } catch (cause) {
    if (cause instanceof ProtocolError) throw invalid(`${approvalId}: ${cause.message}`, { cause });
    throw cause;
  }
}

/**
 * An SSH signature in the place of the envelope's signature: the bytes of the SSHSIG, its key by fingerprint.
 *
 * @throws SshFormatError
 */
export function sshEnvelope(statement: Uint8Array, signature: Uint8Array): Dsse {
  const { key } = parseSshSignature(signature);
  return {
    payloadType: APPROVAL_TYPE, payload: Buffer.from(statement).toString('base64'),
    signatures: [{ keyid: key.fingerprint, sig: Buffer.from(signature).toString('base64') }],
  };
}

function openBySsh(envelope: Dsse, { signers, atMs }: ProofContext): ApprovalStatement {
  if (envelope.payloadType !== APPROVAL_TYPE) throw invalid(`payload type ${envelope.payloadType} where ${APPROVAL_TYPE} is due`);
  const [{ keyid, sig } = { keyid: '', sig: '' }] = envelope.signatures;
  const message = parseBase64(envelope.payload);
  if (message === null) throw invalid('payload is not canonical base64');
  const signature = signatureIn(sig);
  if (signature.key.fingerprint !== keyid) throw invalid(`signed with ${signature.key.fingerprint}, and said to be with ${keyid}`);
  const signer = signers.get(keyid);
  if (signer === undefined) throw invalid(`nobody's key: ${keyid} is not among the allowed signers`);
  if (signature.namespace !== APPROVAL_NAMESPACE || !signsUnder(signer, APPROVAL_NAMESPACE)) throw invalid(`not signed as an approval: the namespace is to be ${APPROVAL_NAMESPACE}`);
  if (atMs < signer.validFromMs || atMs >= signer.validUntilMs) throw invalid(`${keyid} was not good then`);
  if (!signature.holdsFor(message)) throw invalid(`the signature of ${keyid} does not hold`);
  const statement = readPayload(envelope, approvalStatementSchema);
  if (statement.approver !== signer.person) throw invalid(`a key of ${signer.person} under the name of ${statement.approver}`);
  return statement;
}

function signatureIn(sig: string): SshSignature {
  const bytes = parseBase64(sig);
  if (bytes === null) throw invalid('the signature is not canonical base64');
  try {
    return parseSshSignature(bytes);
  } catch (cause) {
    if (cause instanceof SshFormatError) throw invalid(`the signature: ${cause.message}`, { cause });
    throw cause;
  }
}

function invalid(message: string, options?: ErrorOptions): ProtocolError {
  return new ProtocolError('approval-invalid', message, options);
}
