/**
 * What a person proves herself, with nobody's word beside it: by an SSH key of hers, or by a passkey. The statement is the same bytes in both; the passkey's
 * challenge is their SHA-256. A session proves none of this.
 */
import { z } from 'zod';
import type { AllowedSigners } from './allowed-signers.ts';
import { ProtocolError } from './errors.ts';
import { personByPasskey } from './passkey-proof.ts';
import type { Passkeys } from './passkeys.ts';
import type { Dsse } from './signed.ts';
import { signerBySsh, type SshSigned } from './ssh-proof.ts';

export const ownClassSchema = z.enum(['ssh', 'passkey']);
export type OwnClass = z.infer<typeof ownClassSchema>;
/** In a record, beside what is signed: left out, it is signed by an SSH key, as all of it was before. */
export const recordedClassSchema = z.literal('passkey').optional();

/** Whose keys and passkeys are believed, and as of when. */
export interface OwnProofs {
  readonly signers: AllowedSigners;
  readonly passkeys: Passkeys;
  /** When it was, or is to be, counted: a key must have been good then. Epoch ms. */
  readonly atMs: number;
}

/** Who has signed the envelope's payload, by what it claims to be. @throws ProtocolError `approval-invalid`, with the reason; nothing was believed */
export function personBehind(envelope: Dsse, proofClass: OwnClass, kind: SshSigned, proofs: OwnProofs): string {
  return proofClass === 'passkey' ? personByPasskey(envelope, kind.payloadType, proofs) : signerBySsh(envelope, kind, proofs).person;
}

/** @throws ProtocolError `approval-invalid` where it is said in the name of somebody else than whose key it was */
export function requireOwn(person: string, named: string, proofClass: OwnClass): void {
  if (person !== named) throw new ProtocolError('approval-invalid', `a ${proofClass === 'passkey' ? 'passkey' : 'key'} of ${person} under the name of ${named}`);
}
