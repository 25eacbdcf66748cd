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
  requireOneRecipient(sealed);
  return openedBy(identity).decrypt(sealed);
}

/** The same of what comes in pieces, each given on as it comes. */
export async function sealStream(bytes: ReadableStream<Uint8Array>, recipient: string): Promise<ReadableStream<Uint8Array>> {
  return sealedTo(recipient).encrypt(bytes);
}

/** Fails where a piece was altered, is missing or in another place, also at its end. */
export async function openStream(sealed: ReadableStream<Uint8Array>, identity: string): Promise<ReadableStream<Uint8Array>> {
  return openedBy(identity).decrypt(sealed.pipeThrough(oneRecipient()));
}

/** What {@link sealBytes} and {@link sealStream} begin with. The library tries each recipient that a header names: one with a thousand of them would cost a second of a core. */
const HEADER = /^age-encryption\.org\/v1\n-> X25519 [\w+/]{43}\n[\w+/]{43}\n--- [\w+/]{43}\n$/;
const HEADER_BYTES = 168;
const HEADER_START = 'age-encryption.org/v1\n-> X25519 ';

function requireOneRecipient(sealed: Uint8Array): void {
  if (!HEADER.test(Buffer.from(sealed.subarray(0, HEADER_BYTES)).toString('latin1'))) throw new Error('not sealed as calls are, to one key');
}

/** Passes on what begins so. */
function oneRecipient(): TransformStream<Uint8Array, Uint8Array> {
  let head: Uint8Array | null = new Uint8Array(0);
  return new TransformStream({
    transform(part, controller) {
      if (head === null) return controller.enqueue(part);
      head = Buffer.concat([head, part]);
      // What begins otherwise is not waited for: there may be no more of it.
      if (head.length < HEADER_BYTES && HEADER_START.startsWith(Buffer.from(head).toString('latin1', 0, HEADER_START.length))) return;
      requireOneRecipient(head);
      controller.enqueue(head);
      head = null;
    },
    flush() {
      if (head !== null) requireOneRecipient(head);
    },
  });
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
