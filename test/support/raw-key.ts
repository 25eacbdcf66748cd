/** Keys of the two curves that people sign with. */
import { generateKeyPairSync, sign } from 'node:crypto';
import { ed25519 } from '@noble/curves/ed25519.js';
import { p256 } from '@noble/curves/nist.js';

export interface RawKey {
  /** 32 bytes, or of P-256 the uncompressed point. */
  readonly point: Buffer;
  /** 64 bytes; of P-256 r and s, s in either half. */
  readonly sign: (message: Uint8Array) => Buffer;
}

/** @param seed 32 bytes: the same key, and the same signatures, every time, which node:crypto does not make with ECDSA; left out, a new key */
export function rawKey(algorithm: 'ES256' | 'EdDSA', seed?: Uint8Array): RawKey {
  if (seed === undefined) return newKey(algorithm);
  const secret = Uint8Array.from(seed);
  if (algorithm === 'EdDSA') return { point: Buffer.from(ed25519.getPublicKey(secret)), sign: (message) => Buffer.from(ed25519.sign(Uint8Array.from(message), secret)) };
  return { point: Buffer.from(p256.getPublicKey(secret, false)), sign: (message) => Buffer.from(p256.sign(Uint8Array.from(message), secret, { lowS: false })) };
}

function newKey(algorithm: 'ES256' | 'EdDSA'): RawKey {
  const { privateKey, publicKey } = algorithm === 'EdDSA' ? generateKeyPairSync('ed25519') : generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const { x = '', y = '' } = publicKey.export({ format: 'jwk' });
  const [across, up] = [Buffer.from(x, 'base64url'), Buffer.from(y, 'base64url')];
  if (algorithm === 'EdDSA') return { point: across, sign: (message) => sign(null, message, privateKey) };
  return { point: Buffer.concat([Buffer.of(4), across, up]), sign: (message) => sign('sha256', message, { key: privateKey, dsaEncoding: 'ieee-p1363' }) };
}
