/** Sealing calls and answers of the API, so that the bus sees neither a token nor a record: age, X25519. @see https://age-encryption.org/v1 */
import { Decrypter, Encrypter, generateX25519Identity, identityToRecipient } from 'age-encryption';

export interface ApiIdentity {
  /** In memory, and nowhere else. */
  readonly identity: string;
  readonly recipient: string;
}

/** A key that nobody has had before. The library draws its own randomness. */
export async function newApiIdentity(): Promise<ApiIdentity> {
  const identity = await generateX25519Identity();
  return { identity, recipient: await identityToRecipient(identity) };
}

export async function sealBytes(bytes: Uint8Array, recipient: string): Promise<Uint8Array> {
  return sealedTo(recipient).encrypt(bytes);
}

/** @throws Error for what is not sealed to this key, or altered */
export async function openBytes(sealed: Uint8Array, identity: string): Promise<Uint8Array> {
  return openedBy(identity).decrypt(sealed);
}

/** The same of what comes in pieces, each given on as it comes. */
export async function sealStream(bytes: ReadableStream<Uint8Array>, recipient: string): Promise<ReadableStream<Uint8Array>> {
  return sealedTo(recipient).encrypt(bytes);
}

/** Fails where a piece was altered, is missing or in another place, also at its end. */
export async function openStream(sealed: ReadableStream<Uint8Array>, identity: string): Promise<ReadableStream<Uint8Array>> {
  return openedBy(identity).decrypt(sealed);
}

function sealedTo(recipient: string): Encrypter {
  const encrypter = new Encrypter();
  encrypter.addRecipient(recipient);
  return encrypter;
}

function openedBy(identity: string): Decrypter {
  const decrypter = new Decrypter();
  decrypter.addIdentity(identity);
  return decrypter;
}
