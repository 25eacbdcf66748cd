/**
 * Public keys of passkeys: ES256 (ECDSA on P-256 with SHA-256) and EdDSA (Ed25519), as the SubjectPublicKeyInfo that a browser's `getPublicKey()` gives.
 * What a signature is taken for follows from the key alone: nothing that is signed, or sent along, names an algorithm.
 *
 * @see RFC 5480 §2, RFC 8410 §4, and Web Authentication Level 3 §6.5.5 (signature formats)
 */
import { LedgerError, publicKeyFromBytes, verifyEd25519 } from '../../ledger/index.ts';
import { importP256, verifyP256 } from './ssh-crypto.ts';

/** Malformed is as good as wrong. */
export type PasskeyVerify = (message: Uint8Array, signature: Uint8Array) => boolean;

const P256_PREFIX = Buffer.from('3059301306072a8648ce3d020106082a8648ce3d030107034200', 'hex');
const ED25519_PREFIX = Buffer.from('302a300506032b6570032100', 'hex');

/** What the key verifies with; null where the bytes are no such key in its one DER spelling, its point uncompressed. */
export function passkeyVerifier(spki: Uint8Array): PasskeyVerify | null {
  const p256 = after(P256_PREFIX, spki);
  if (p256 !== null) {
    const key = importP256(p256);
    return key === null ? null : (message, signature) => {
      const both = fixedWidth(signature);
      return both !== null && verifyP256(key, message, both);
    };
  }
  const ed25519 = after(ED25519_PREFIX, spki);
  if (ed25519 === null) return null;
  try {
    const key = publicKeyFromBytes(ed25519);
    return (message, signature) => signature.byteLength === 64 && verifyEd25519(key, message, signature);
  } catch (error) {
    if (error instanceof LedgerError) return null;
    throw error;
  }
}

/** How long what is left has to be is for whoever imports it to say. */
function after(prefix: Buffer, bytes: Uint8Array): Uint8Array | null {
  return prefix.equals(bytes.subarray(0, prefix.length)) ? bytes.subarray(prefix.length) : null;
}

/** r and s, 32 bytes each, of `SEQUENCE { INTEGER r, INTEGER s }` in DER; null for any other bytes. */
function fixedWidth(der: Uint8Array): Uint8Array | null {
  // Two integers of 33 bytes at most: the short form of a length is the only one.
  if (der.byteLength < 8 || der.byteLength > 72 || der[0] !== 0x30 || der[1] !== der.byteLength - 2) return null;
  const r = integerAt(der, 2);
  const s = r === null ? null : integerAt(der, r.end);
  if (r === null || s === null || s.end !== der.byteLength) return null;
  return Buffer.concat([r.digits, s.digits]);
}

function integerAt(der: Uint8Array, start: number): { readonly digits: Buffer; readonly end: number } | null {
  const length = der[start + 1];
  if (der[start] !== 0x02 || length === undefined || length === 0 || length > 33) return null;
  const end = start + 2 + length;
  if (end > der.byteLength) return null;
  const bytes = der.subarray(start + 2, end);
  const isNegative = bytes[0]! >= 0x80;
  const isPadded = length > 1 && bytes[0] === 0 && bytes[1]! < 0x80;
  if (isNegative || isPadded) return null;
  const digits = bytes[0] === 0 ? bytes.subarray(1) : bytes;
  if (digits.byteLength > 32) return null;
  return { digits: Buffer.concat([Buffer.alloc(32 - digits.byteLength), digits]), end };
}
