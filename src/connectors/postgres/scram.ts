/**
 * The SCRAM-SHA-256 verifier that PostgreSQL stores in place of a password, computed here so that the server never sees the secret.
 *
 * @see RFC 5802 §3 (SaltedPassword, StoredKey, ServerKey), RFC 7677 (SHA-256, 4096 iterations)
 * @see https://www.postgresql.org/docs/18/catalog-pg-authid.html (`SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>`)
 */
import { createHash, createHmac, pbkdf2Sync } from 'node:crypto';

/** RFC 7677 §4 asks for at least this many. The secret is random, so more would only slow each login down. */
export const SCRAM_ITERATIONS = 4096;
export const SALT_BYTES = 16;

/** The verifier of `secret` under `salt`. @throws RangeError if the secret is not printable ASCII: nothing was computed. */
export function scramVerifier(secret: string, salt: Uint8Array, iterations: number = SCRAM_ITERATIONS): string {
  // SASLprep (RFC 4013) maps printable ASCII to itself. Anything else would need its tables, and our secrets never do.
  if (!/^[\x21-\x7e]+$/.test(secret)) throw new RangeError('a secret is printable ASCII without spaces');
  const saltedPassword = pbkdf2Sync(secret, salt, iterations, 32, 'sha256');
  const storedKey = createHash('sha256').update(hmac(saltedPassword, 'Client Key')).digest('base64');
  const serverKey = hmac(saltedPassword, 'Server Key').toString('base64');
  return `SCRAM-SHA-256$${String(iterations)}:${Buffer.from(salt).toString('base64')}$${storedKey}:${serverKey}`;
}

function hmac(key: Buffer, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest();
}
