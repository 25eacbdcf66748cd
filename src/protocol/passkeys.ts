/**
 * `passkeys.json`: whose passkeys approve. A list, one credential of one person each:
 *
 *     [{"person": "person:ana", "credentialId": "mVg…", "publicKey": "MFkwEwYH…", "rpId": "countersign.example.org", "origins": ["https://countersign.example.org"]}]
 *
 * `credentialId` is base64url without padding, `publicKey` a SubjectPublicKeyInfo in base64; `validAfter` and `validBefore` may say from when and
 * until when (not included) it counts. A credential and a key belong to one person, once.
 */
import { z } from 'zod';
import { digestOf, parseBase64 } from '../../ledger/index.ts';
import { passkeyVerifier, type PasskeyVerify } from './passkey-key.ts';
import { parseTime, personIdSchema, timeSchema } from './values.ts';

export const passkeySchema = z.strictObject({
  person: personIdSchema,
  /** Up to 1023 bytes, as Web Authentication has it. */
  credentialId: z.string().regex(/^[A-Za-z0-9_-]{1,1364}$/),
  publicKey: z.base64().max(256),
  /** A domain, in lower case. */
  rpId: z.string().max(253).regex(/^[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?$/),
  /** `https://…` at or below that domain; `http://localhost` too, which browsers hold to be as safe. */
  origins: z.array(z.string().max(300)).min(1).max(8),
  validAfter: timeSchema.optional(),
  validBefore: timeSchema.optional(),
});
/** What a browser answers `navigator.credentials.get` with, in base64. */
export const passkeyAnswerSchema = z.strictObject({
  /** base64url without padding, as the browser spells it. */
  credentialId: passkeySchema.shape.credentialId,
  authenticatorData: z.base64().min(1).max(4_096),
  clientDataJSON: z.base64().min(1).max(8_192),
  signature: z.base64().min(1).max(1_024),
});
export type PasskeyAnswer = z.infer<typeof passkeyAnswerSchema>;
export const passkeysFileSchema = z.array(passkeySchema).max(4_096);

export interface Passkey {
  readonly person: string;
  /** base64url without padding. */
  readonly credentialId: string;
  readonly rpId: string;
  readonly origins: readonly string[];
  readonly verify: PasskeyVerify;
  /** Epoch ms, from when and until when (not included) what it signs counts. */
  readonly validFromMs: number;
  readonly validUntilMs: number;
}

/** By {@link passkeyKeyId}. */
export type Passkeys = ReadonlyMap<string, Passkey>;

/** An entry that cannot be believed. Nothing was loaded. */
export class PasskeysError extends Error {
  /** JSON pointer. */
  readonly pointer: string;
  constructor(pointer: string, message: string) {
    super(message);
    this.name = 'PasskeysError';
    this.pointer = pointer;
  }
}

/** What an envelope names a credential by, however long its id is: the digest of the id; null where it is not base64url in its one spelling. */
export function passkeyKeyId(credentialId: string): string | null {
  const unpadded = credentialId.replaceAll('-', '+').replaceAll('_', '/');
  const bytes = /[+/=]/.test(credentialId) ? null : parseBase64(unpadded + '='.repeat((4 - (unpadded.length % 4)) % 4));
  return bytes === null ? null : digestOf(bytes);
}

/** @throws PasskeysError for the first entry that no passkey could have, or that says again what is said already */
export function passkeysOf(entries: z.infer<typeof passkeysFileSchema>): Passkeys {
  const passkeys = new Map<string, Passkey>();
  const publicKeys = new Set<string>();
  entries.forEach((entry, i) => {
    const refuse = (field: string, message: string): never => {
      throw new PasskeysError(`/${i}/${field}`, message);
    };
    const { person, credentialId, publicKey, rpId, origins, validAfter, validBefore } = entry;
    const keyId = passkeyKeyId(credentialId) ?? refuse('credentialId', 'not base64url in its one spelling');
    if (passkeys.has(keyId)) refuse('credentialId', 'a credential that is listed already: what it signed would have two owners');
    if (publicKeys.has(publicKey)) refuse('publicKey', 'a key that is listed already: what it signed would have two owners');
    const spki = parseBase64(publicKey) ?? refuse('publicKey', 'not base64 in its one spelling');
    const verify = passkeyVerifier(spki) ?? refuse('publicKey', 'not an ES256 or Ed25519 key (SubjectPublicKeyInfo, its point uncompressed)');
    origins.forEach((origin, n) => {
      if (!isOriginOf(rpId, origin)) refuse(`origins/${n}`, `not an origin at or below ${rpId}, over https and without a path`);
    });
    const [validFromMs, validUntilMs] = [validAfter === undefined ? -Infinity : parseTime(validAfter), validBefore === undefined ? Infinity : parseTime(validBefore)];
    if (validFromMs >= validUntilMs) refuse('validBefore', 'valid at no time');
    publicKeys.add(publicKey);
    passkeys.set(keyId, { person, credentialId, rpId, origins, verify, validFromMs, validUntilMs });
  });
  return passkeys;
}

function isOriginOf(rpId: string, origin: string): boolean {
  if (!URL.canParse(origin)) return false;
  const url = new URL(origin);
  const isSafe = url.protocol === 'https:' || (url.protocol === 'http:' && url.hostname === 'localhost');
  return isSafe && url.origin === origin && (url.hostname === rpId || url.hostname.endsWith(`.${rpId}`));
}
