/** What SSH signatures need of cryptography beside `ledger/crypto.ts`, here by node:crypto; for browsers `src/verifier/noble-ssh-crypto.ts` has the same exports. */
import { createPublicKey, hash, verify, type KeyObject } from 'node:crypto';

export type P256Key = KeyObject;

export function sha512(bytes: Uint8Array): Uint8Array {
  return hash('sha512', bytes, 'buffer');
}

/** The key at an uncompressed point of NIST P-256; null where `point` (04, x, y: 65 bytes) is none. */
export function importP256(point: Uint8Array): P256Key | null {
  if (point.byteLength !== 65 || point[0] !== 4) return null;
  const coordinate = (from: number): string => Buffer.from(point.subarray(from, from + 32)).toString('base64url');
  try {
    return createPublicKey({ key: { kty: 'EC', crv: 'P-256', x: coordinate(1), y: coordinate(33) }, format: 'jwk' });
  } catch {
    return null;
  }
}

/** ECDSA with SHA-256. @param signature r and s, 32 bytes each; either half of the curve is taken for s, as OpenSSH does. */
export function verifyP256(key: P256Key, message: Uint8Array, signature: Uint8Array): boolean {
  return signature.byteLength === 64 && verify('sha256', message, { key, dsaEncoding: 'ieee-p1363' }, signature);
}
