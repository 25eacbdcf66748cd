/**
 * Assertions of passkeys: that the holder of a credential was there, was recognised by her authenticator, and answered this very challenge on a page
 * of an origin that she was registered at.
 *
 * Stricter than the standard: one spelling of everything, no cross-origin frames, no extensions, user verification always. The signature counter is
 * not looked at: whoever verifies from evidence alone has no earlier count to compare it with.
 *
 * @see https://www.w3.org/TR/webauthn-3/#sctn-verifying-assertion (§7.2)
 */
import { z } from 'zod';
import { canonicalBytes, formatBase64, JsonError, parseBase64, parseCanonical, parseStrict, sameBytes, sha256 } from '../../ledger/index.ts';
import type { PasskeyVerify } from './passkey-key.ts';

/** Bytes that are no assertion, or none of what is asked. Nothing was believed. */
export class AssertionError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'AssertionError';
  }
}

/** What a browser answers `navigator.credentials.get` with, but for the credential's id. */
export interface Assertion {
  readonly authenticatorData: Uint8Array;
  readonly clientDataJSON: Uint8Array;
  readonly signature: Uint8Array;
}

/** What the verifier knows beforehand. */
export interface Expected {
  /** What was to be signed: its SHA-256 is the challenge. */
  readonly message: Uint8Array;
  readonly rpId: string;
  readonly origins: readonly string[];
  readonly verify: PasskeyVerify;
}

const CLIENT_DATA_BYTES_MAX = 4_096;
const ASSERTION_BYTES_MAX = 16_384;
/** rpIdHash (32), flags (1), signCount (4); what may follow is not taken. */
const AUTHENTICATOR_DATA_BYTES = 37;
const FLAG = { userPresent: 0x01, userVerified: 0x04, backupEligible: 0x08, backedUp: 0x10, attested: 0x40, extensions: 0x80 } as const;

const inBase64 = z.base64().max(8_192);
const assertionSchema = z.strictObject({ authenticatorData: inBase64, clientDataJSON: inBase64, signature: inBase64 });

/** Browsers add members, and say so in one of them: those that are known are checked, the rest is signed and passed over. */
const clientDataSchema = z.looseObject({
  type: z.string(), challenge: z.string(), origin: z.string(),
  crossOrigin: z.boolean().optional(), topOrigin: z.unknown().optional(),
});

/** RFC 8785 bytes of the three, each in base64: what stands where the envelope's signature stands. */
export function encodeAssertion({ authenticatorData, clientDataJSON, signature }: Assertion): Uint8Array {
  return canonicalBytes({ authenticatorData: formatBase64(authenticatorData), clientDataJSON: formatBase64(clientDataJSON), signature: formatBase64(signature) });
}

/** @throws AssertionError where the bytes are not what {@link encodeAssertion} makes */
export function decodeAssertion(bytes: Uint8Array): Assertion {
  const parsed = assertionSchema.safeParse(jsonOf(() => parseCanonical(bytes, { maxBytes: ASSERTION_BYTES_MAX }), 'the assertion'));
  if (!parsed.success) throw new AssertionError('not an assertion');
  return assertionOf(parsed.data);
}

/** Of parts in base64. @throws AssertionError where one is not in its one spelling */
export function assertionOf(parts: Readonly<Record<keyof Assertion, string>>): Assertion {
  const part = (name: keyof Assertion): Uint8Array => {
    const decoded = parseBase64(parts[name]);
    if (decoded === null) throw new AssertionError(`${name} is not canonical base64`);
    return decoded;
  };
  return { authenticatorData: part('authenticatorData'), clientDataJSON: part('clientDataJSON'), signature: part('signature') };
}

/** The challenge as a browser writes it: SHA-256 of what is to be signed, in base64url without padding. */
export function challengeOf(message: Uint8Array): string {
  return formatBase64(sha256(message)).replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, '');
}

/** Returns once the assertion proves that the holder of the key stands for exactly this message. @throws AssertionError, with what is wrong */
export function checkAssertion({ authenticatorData, clientDataJSON, signature }: Assertion, { message, rpId, origins, verify }: Expected): void {
  const client = readClientData(clientDataJSON);
  if (client.type !== 'webauthn.get') throw new AssertionError(`made as ${JSON.stringify(client.type.slice(0, 64))}, not as webauthn.get`);
  if (client.challenge !== challengeOf(message)) throw new AssertionError('its challenge is not of this statement');
  if (!origins.includes(client.origin)) throw new AssertionError(`made at ${JSON.stringify(client.origin.slice(0, 255))}, which is not an origin of this passkey`);
  if (client.crossOrigin === true || client.topOrigin !== undefined) throw new AssertionError('made in a frame of another page');
  checkAuthenticatorData(authenticatorData, rpId);
  if (!verify(Buffer.concat([authenticatorData, sha256(clientDataJSON)]), signature)) throw new AssertionError('the signature does not hold');
}

function checkAuthenticatorData(bytes: Uint8Array, rpId: string): void {
  if (bytes.byteLength < AUTHENTICATOR_DATA_BYTES) throw new AssertionError('the authenticator data is cut short');
  if (!sameBytes(bytes.subarray(0, 32), sha256(Buffer.from(rpId, 'utf8')))) throw new AssertionError(`made for another relying party than ${rpId}`);
  const flags = bytes[32]!;
  const has = (flag: number): boolean => (flags & flag) !== 0;
  if (!has(FLAG.userPresent)) throw new AssertionError('nobody was there (UP)');
  if (!has(FLAG.userVerified)) throw new AssertionError('who was there was not verified (UV)');
  if (has(FLAG.backedUp) && !has(FLAG.backupEligible)) throw new AssertionError('backed up, and not eligible to be');
  if (has(FLAG.attested) || has(FLAG.extensions)) throw new AssertionError('with attested data or extensions, which nobody asks for');
  if (bytes.byteLength !== AUTHENTICATOR_DATA_BYTES) throw new AssertionError('something after the authenticator data');
}

function readClientData(bytes: Uint8Array): z.infer<typeof clientDataSchema> {
  const parsed = clientDataSchema.safeParse(jsonOf(() => parseStrict(bytes, { maxBytes: CLIENT_DATA_BYTES_MAX }), 'the client data'));
  if (!parsed.success) throw new AssertionError('the client data lacks type, challenge or origin');
  return parsed.data;
}

function jsonOf(parse: () => unknown, what: string): unknown {
  try {
    return parse();
  } catch (cause) {
    if (cause instanceof JsonError) throw new AssertionError(`${what}: ${cause.message}`, { cause });
    throw cause;
  }
}
