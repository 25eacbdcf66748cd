/** SHA-256 and the one spelling of a digest, `sha256:<64 lower-case hex digits>`. */
import { hashBytes, hashHex } from './crypto.ts';
import { LedgerError } from './errors.ts';

export const HASH_BYTES = 32;

/** SHA-256 of the parts, one after another. */
export function sha256(...parts: Uint8Array[]): Uint8Array {
  const [only] = parts;
  const bytes = parts.length === 1 && only !== undefined ? only : Buffer.concat(parts);
  return hashBytes(bytes);
}

/** SHA-256 of `bytes` as 64 lower-case hex digits. */
export function sha256Hex(bytes: Uint8Array): string {
  return hashHex(bytes);
}

/** The digest that names `bytes`: `sha256:<hex>`. */
export function digestOf(bytes: Uint8Array): string {
  return `sha256:${hashHex(bytes)}`;
}

const PREFIX = 'sha256:';
const DIGEST_LENGTH = PREFIX.length + 2 * HASH_BYTES;
const [ZERO, NINE, A, F] = [0x30, 0x39, 0x61, 0x66];

export function isDigest(text: string): boolean {
  if (text.length !== DIGEST_LENGTH || !text.startsWith(PREFIX)) return false;
  // By hand: a regular expression takes three times as long, and every record has some of them.
  for (let i = PREFIX.length; i < DIGEST_LENGTH; i++) {
    const digit = text.charCodeAt(i);
    if (digit < ZERO || digit > F || (digit > NINE && digit < A)) return false;
  }
  return true;
}

/** The digest that spells a 32-byte hash. */
export function formatDigest(hash32: Uint8Array): string {
  return `sha256:${Buffer.from(hash32.buffer, hash32.byteOffset, hash32.byteLength).toString('hex')}`;
}

/**
 * The 32 bytes that a digest spells.
 *
 * @throws LedgerError `malformed` for any other spelling.
 */
export function parseDigest(digest: string): Uint8Array {
  if (!isDigest(digest)) throw new LedgerError('malformed', `not a sha256 digest: ${JSON.stringify(digest.slice(0, 80))}`);
  return Buffer.from(digest.slice(7), 'hex');
}

/** Whether two byte strings are the same. Nothing here is secret, so time may tell. */
export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.byteLength === b.byteLength && Buffer.compare(a, b) === 0;
}
