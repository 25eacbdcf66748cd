/** Keys of the two curves that people sign with; from a seed they sign the same every time, which vectors need and node:crypto does not do with ECDSA. */
import { randomBytes } from 'node:crypto';
import { ed25519 } from '@noble/curves/ed25519.js';
import { p256 } from '@noble/curves/nist.js';

export interface RawKey {
  /** 32 bytes, or of P-256 the uncompressed point. */
  readonly point: Buffer;
  /** 64 bytes; of P-256 r and s, s in either half. */
  readonly sign: (message: Uint8Array) => Buffer;
}

export function rawKey(algorithm: 'ES256' | 'EdDSA', seed?: Uint8Array): RawKey {
  const secret = Uint8Array.from(seed ?? randomBytes(32));
  const extraEntropy = seed === undefined;
  if (algorithm === 'EdDSA') return { point: Buffer.from(ed25519.getPublicKey(secret)), sign: (message) => Buffer.from(ed25519.sign(Uint8Array.from(message), secret)) };
  return { point: Buffer.from(p256.getPublicKey(secret, false)), sign: (message) => Buffer.from(p256.sign(Uint8Array.from(message), secret, { lowS: false, extraEntropy })) };
}
