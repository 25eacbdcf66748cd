/**
 * A person's word by passkey: a Web Authentication assertion in the place of the envelope's signature. Its challenge is the SHA-256 of the statement's
 * RFC 8785 bytes, so it is good for this statement and for nothing else. It has no namespace, and the type of the envelope is not signed: what keeps one
 * kind of statement apart from another is its members, of which no two kinds have the same.
 */
import { parseBase64 } from '../../ledger/index.ts';
import { readPayload } from './dsse.ts';
import { ProtocolError } from './errors.ts';
import { AssertionError, checkAssertion, decodeAssertion, encodeAssertion, type Assertion } from './passkey-assertion.ts';
import { passkeyKeyId, type Passkeys } from './passkeys.ts';
import { APPROVAL_TYPE, type Dsse } from './signed.ts';
import type { SignedKind } from './ssh-proof.ts';

/** A kind of statement of which the passkey's owner is the approver. */
export type PasskeyKind<T extends { readonly approver: string }> = Pick<SignedKind<T>, 'payloadType' | 'schema'>;

/**
 * The envelope of a statement that a passkey proves: the assertion in it, the credential by the digest of its id.
 *
 * @throws AssertionError where the credential's id is not base64url
 */
export function passkeyEnvelope(statement: Uint8Array, credentialId: string, assertion: Assertion, payloadType: string = APPROVAL_TYPE): Dsse {
  const keyid = passkeyKeyId(credentialId);
  if (keyid === null) throw new AssertionError('the id of the credential is not base64url');
  return {
    payloadType, payload: Buffer.from(statement).toString('base64'),
    signatures: [{ keyid, sig: Buffer.from(encodeAssertion(assertion)).toString('base64') }],
  };
}

/**
 * Whose passkey has answered for the envelope's payload: one that is listed, and was good then.
 *
 * @param atMs epoch ms
 * @throws ProtocolError `approval-invalid`; nothing was believed
 */
export function personByPasskey(envelope: Dsse, payloadType: string, { passkeys, atMs }: { readonly passkeys: Passkeys; readonly atMs: number }): string {
  if (envelope.payloadType !== payloadType) throw invalid(`payload type ${envelope.payloadType} where ${payloadType} is due`);
  const [{ keyid, sig } = { keyid: '', sig: '' }] = envelope.signatures;
  const message = parseBase64(envelope.payload);
  if (message === null) throw invalid('payload is not canonical base64');
  const bytes = parseBase64(sig);
  if (bytes === null) throw invalid('the assertion is not canonical base64');
  const passkey = passkeys.get(keyid);
  if (passkey === undefined) throw invalid(`nobody's passkey: ${keyid} is not among the passkeys`);
  if (atMs < passkey.validFromMs || atMs >= passkey.validUntilMs) throw invalid(`${keyid} was not good then`);
  try {
    checkAssertion(decodeAssertion(bytes), { message, rpId: passkey.rpId, origins: passkey.origins, verify: passkey.verify });
  } catch (cause) {
    if (cause instanceof AssertionError) throw invalid(`the passkey: ${cause.message}`, { cause });
    throw cause;
  }
  return passkey.person;
}

/**
 * The statement, once the assertion in its envelope holds for it by a passkey that is its approver's and was good then.
 *
 * @param context `atMs`: epoch ms
 * @throws ProtocolError `approval-invalid`; nothing was believed
 */
export function openByPasskey<T extends { readonly approver: string }>(envelope: Dsse, { payloadType, schema }: PasskeyKind<T>, context: { readonly passkeys: Passkeys; readonly atMs: number }): T {
  const person = personByPasskey(envelope, payloadType, context);
  const statement = readPayload(envelope, schema);
  if (statement.approver !== person) throw invalid(`a passkey of ${person} under the name of ${statement.approver}`);
  return statement;
}

function invalid(message: string, options?: ErrorOptions): ProtocolError {
  return new ProtocolError('approval-invalid', message, options);
}
