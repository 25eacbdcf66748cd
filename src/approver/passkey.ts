/** What is asked of the browser's authenticators: an answer for one statement, and a new passkey. */
import { canonicalBytes, formatBase64, sameBytes, sha256 } from '../../ledger/index.ts';
import { passkeyKeyId, passkeysFileSchema, passkeysOf, type PasskeyAnswer } from '../protocol/passkeys.ts';
import type { PasskeyProof, StatementAnswer } from '../sidecar/schemas.ts';

/** No passkey that could answer, or none that was let to. Nothing was signed. */
export class NoPasskey extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'NoPasskey';
  }
}

const bytesOf = (base64url: string): Uint8Array<ArrayBuffer> => Uint8Array.from(atob(base64url.replaceAll('-', '+').replaceAll('_', '/')), (character) => character.charCodeAt(0));
const userOf = (person: string): Uint8Array<ArrayBuffer> => Uint8Array.from(sha256(new TextEncoder().encode(person)));
const base64 = (buffer: ArrayBuffer): string => formatBase64(new Uint8Array(buffer));

/** 16 random bytes in base64url: with which a statement commits to a text. */
export const newSalt = (): string => btoa(String.fromCharCode(...crypto.getRandomValues(new Uint8Array(16)))).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');

/** What is to be signed, and by which passkeys it could be. */
export interface Answerable {
  readonly statement: { readonly expiresAt: string; readonly [member: string]: unknown };
  readonly passkeys: StatementAnswer['passkeys'];
}

/** The answer of one of the passkeys, whose challenge is the SHA-256 of the statement's RFC 8785 bytes. @throws NoPasskey */
export async function assertStatement({ statement, passkeys }: Answerable): Promise<PasskeyProof> {
  const ofThisSite = passkeys.filter(({ rpId }) => location.hostname === rpId || location.hostname.endsWith(`.${rpId}`));
  const [first] = ofThisSite;
  if (first === undefined) throw new NoPasskey('the trust folder of this sidecar lists no passkey of yours for this address that is good now');
  const { answer } = await answerTo(canonicalBytes(statement), first.rpId, ofThisSite.filter(({ rpId }) => rpId === first.rpId).map(({ credentialId }) => credentialId));
  return { expiresAt: statement.expiresAt, ...answer };
}

/** The answer of a passkey of this page's site that was registered here under the person's id. @throws NoPasskey */
export async function answerAsRegistered(person: string, message: Uint8Array): Promise<PasskeyAnswer> {
  const { answer, user } = await answerTo(message, location.hostname, []);
  // A passkey that says nothing of its user is one that was named, and none is here.
  if (user === null || !sameBytes(user, userOf(person))) throw new NoPasskey(`the passkey that answered was not registered here for ${person}: its answer is thrown away`);
  return answer;
}

/** @param credentialIds of those that may answer; none: any that the authenticator finds for the site */
async function answerTo(message: Uint8Array, rpId: string, credentialIds: readonly string[]): Promise<{ readonly answer: PasskeyAnswer; readonly user: Uint8Array | null }> {
  const credential = await navigator.credentials.get({
    publicKey: {
      challenge: Uint8Array.from(sha256(message)), rpId, userVerification: 'required',
      allowCredentials: credentialIds.map((id) => ({ type: 'public-key', id: bytesOf(id) })),
    },
  }).catch((cause: unknown) => {
    throw new NoPasskey(`no passkey answered: ${reasonOf(cause)}`, { cause });
  });
  if (!(credential instanceof PublicKeyCredential) || !(credential.response instanceof AuthenticatorAssertionResponse)) throw new NoPasskey('no passkey answered');
  const { authenticatorData, clientDataJSON, signature, userHandle } = credential.response;
  return {
    answer: { credentialId: credential.id, authenticatorData: base64(authenticatorData), clientDataJSON: base64(clientDataJSON), signature: base64(signature) },
    user: userHandle === null ? null : new Uint8Array(userHandle),
  };
}

/** A new passkey of this page's site, as an entry of `passkeys.json`; it has been read as a trust folder's would be. Nothing was sent. @throws NoPasskey */
export async function enroll(person: string): Promise<object> {
  const credential = await navigator.credentials.create({
    publicKey: {
      // Nothing is proven to anybody here: what counts is that whoever keeps the trust folders is given the entry by her.
      challenge: crypto.getRandomValues(new Uint8Array(32)), attestation: 'none',
      rp: { id: location.hostname, name: 'Countersign' }, user: { id: userOf(person), name: person, displayName: person },
      pubKeyCredParams: [{ type: 'public-key', alg: -7 }, { type: 'public-key', alg: -8 }],
      authenticatorSelection: { residentKey: 'preferred', userVerification: 'required' },
    },
  }).catch((cause: unknown) => {
    throw new NoPasskey(`no passkey was made: ${reasonOf(cause)}`, { cause });
  });
  if (!(credential instanceof PublicKeyCredential) || !(credential.response instanceof AuthenticatorAttestationResponse)) throw new NoPasskey('no passkey was made');
  const publicKey = credential.response.getPublicKey();
  if (publicKey === null || passkeyKeyId(credential.id) === null) throw new NoPasskey('a passkey was made with a key that this browser cannot hand out');
  const entry = { person, credentialId: credential.id, publicKey: base64(publicKey), rpId: location.hostname, origins: [location.origin] };
  try {
    passkeysOf(passkeysFileSchema.parse([entry]));
  } catch (cause) {
    throw new NoPasskey(`a trust folder would not take the passkey: ${reasonOf(cause)}`, { cause });
  }
  return entry;
}

function reasonOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
