/** `src/protocol/ssh-crypto.ts` for a browser: the same exports, by @noble/hashes and @noble/curves. */
import { p256 } from '@noble/curves/nist.js';
import { sha512 as noble } from '@noble/hashes/sha2.js';

export type P256Key = Uint8Array;

export function sha512(bytes: Uint8Array): Uint8Array {
  return Buffer.from(noble(Uint8Array.from(bytes)));
}

export function importP256(point: Uint8Array): P256Key | null {
  if (point.byteLength !== 65 || point[0] !== 4) return null;
  try {
    p256.Point.fromBytes(Uint8Array.from(point));
    return Uint8Array.from(point);
  } catch {
    return null;
  }
}

export function verifyP256(key: P256Key, message: Uint8Array, signature: Uint8Array): boolean {
  if (signature.byteLength !== 64) return false;
  try {
    return p256.verify(Uint8Array.from(signature), Uint8Array.from(message), key, { lowS: false });
  } catch {
    return false;
  }
}
