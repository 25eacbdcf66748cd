/**
 * A person's own SSHSIG over a statement, in the place of the envelope's signature: what is signed is the payload's bytes, and the namespace keeps one
 * kind of statement apart from every other that the key signs.
 */
import type { z } from 'zod';
import { parseBase64 } from '../../ledger/index.ts';
import { signsUnder, type AllowedSigner, type AllowedSigners } from './allowed-signers.ts';
import { readPayload } from './dsse.ts';
import { ProtocolError } from './errors.ts';
import { APPROVAL_TYPE, type Dsse } from './signed.ts';
import { parseSshSignature, type SshSignature } from './ssh-signature.ts';
import { SshFormatError } from './ssh-wire.ts';

export interface SshSigned {
  readonly payloadType: string;
  readonly namespace: string;
  /** What is signed, with its article, for the reason of a refusal. */
  readonly what: string;
}

/**
 * The envelope whose signature is the SSHSIG, its key by fingerprint.
 *
 * @throws SshFormatError
 */
export function sshEnvelope(statement: Uint8Array, signature: Uint8Array, payloadType: string = APPROVAL_TYPE): Dsse {
  const { key } = parseSshSignature(signature);
  return {
    payloadType, payload: Buffer.from(statement).toString('base64'),
    signatures: [{ keyid: key.fingerprint, sig: Buffer.from(signature).toString('base64') }],
  };
}

/**
 * Whose key has signed the envelope's payload: one that is among the allowed signers, and good at `atMs`.
 *
 * @throws ProtocolError `approval-invalid`, with the reason; nothing was believed
 */
export function signerBySsh(envelope: Dsse, { payloadType, namespace, what }: SshSigned, { signers, atMs }: { readonly signers: AllowedSigners; readonly atMs: number }): AllowedSigner {
  if (envelope.payloadType !== payloadType) throw invalid(`payload type ${envelope.payloadType} where ${payloadType} is due`);
  const [{ keyid, sig } = { keyid: '', sig: '' }] = envelope.signatures;
  const message = parseBase64(envelope.payload);
  if (message === null) throw invalid('payload is not canonical base64');
  const signature = signatureIn(sig);
  if (signature.key.fingerprint !== keyid) throw invalid(`signed with ${signature.key.fingerprint}, and said to be with ${keyid}`);
  const signer = signers.get(keyid);
  if (signer === undefined) throw invalid(`nobody's key: ${keyid} is not among the allowed signers`);
  if (signature.namespace !== namespace || !signsUnder(signer, namespace)) throw invalid(`not signed as ${what}: the namespace is to be ${namespace}`);
  if (atMs < signer.validFromMs || atMs >= signer.validUntilMs) throw invalid(`${keyid} was not good then`);
  if (!signature.holdsFor(message)) throw invalid(`the signature of ${keyid} does not hold`);
  return signer;
}

/** A kind of statement of which the signer is the approver. */
export interface SignedKind<T extends { readonly approver: string }> extends SshSigned {
  readonly schema: z.ZodType<T>;
}

/**
 * The statement of one kind, once the signature of the very person whose word it is holds, by a key that was good then.
 *
 * @throws ProtocolError `approval-invalid`, with the reason; nothing was believed
 */
export function openBySsh<T extends { readonly approver: string }>(envelope: Dsse, kind: SignedKind<T>, context: { readonly signers: AllowedSigners; readonly atMs: number }): T {
  const { person } = signerBySsh(envelope, kind, context);
  const statement = readPayload(envelope, kind.schema);
  if (statement.approver !== person) throw invalid(`a key of ${person} under the name of ${statement.approver}`);
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
