/** What a secret is recognised by without being written down: HMAC-SHA-256 under a key that its executor alone has (RFC 2104). */
import { createHmac } from 'node:crypto';

export const FINGERPRINT_KEY_BYTES = 32;

/** 64 hex characters. Without the key nothing can be guessed from them, however weak the secret. */
export function fingerprintOf(key: Uint8Array, secret: string): string {
  return createHmac('sha256', key).update(secret, 'utf8').digest('hex');
}

/** The key in the text of its file, base64; null where it is not one. */
export function parseFingerprintKey(text: string): Uint8Array | null {
  const bytes = Buffer.from(text.trim(), 'base64');
  return bytes.byteLength === FINGERPRINT_KEY_BYTES ? bytes : null;
}
