/** A person's own proof as it came, in the place of the envelope's signature. Nothing of it has been checked. */
import { assertionOf } from '../protocol/passkey-assertion.ts';
import type { OwnClass } from '../protocol/own-proof.ts';
import { passkeyEnvelope } from '../protocol/passkey-proof.ts';
import type { PasskeyAnswer } from '../protocol/passkeys.ts';
import type { Dsse } from '../protocol/signed.ts';
import { sshEnvelope } from '../protocol/ssh-proof.ts';
import { readArmour } from '../protocol/ssh-signature.ts';

/** An SSHSIG in its armour, or a passkey's answer. */
export type GivenProof = { readonly ssh: string } | { readonly passkey: PasskeyAnswer };

/** @throws SshFormatError, AssertionError where it is no proof at all */
export function sealed(statement: Uint8Array, proof: GivenProof, payloadType: string): { readonly envelope: Dsse; readonly proofClass: OwnClass } {
  return 'ssh' in proof
    ? { envelope: sshEnvelope(statement, readArmour(proof.ssh), payloadType), proofClass: 'ssh' }
    : { envelope: passkeyEnvelope(statement, proof.passkey.credentialId, assertionOf(proof.passkey), payloadType), proofClass: 'passkey' };
}
