/**
 * Ed25519 (RFC 8032) over raw 32-byte keys.
 *
 * Keys of small order, and keys spelled in a second way, are refused when they are loaded: verifiers disagree about
 * them, and under a key of small order one signature can hold for many messages. So is a signature whose R is of small order, which no signer makes:
 * OpenSSL takes it up to 3.4 and not from 3.5 on.
 */
import { exportPublic, importPublic, importSeed, sign, verify, type PrivateKey, type PublicKey } from './crypto.ts';
import { LedgerError } from './errors.ts';

export const SEED_BYTES = 32;
export const PUBLIC_KEY_BYTES = 32;
export const SIGNATURE_BYTES = 64;

/** y coordinates, sign bit cleared, of the points whose order divides 8. */
const SMALL_ORDER = new Set([
  '00'.repeat(32),
  `01${'00'.repeat(31)}`,
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
  'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
  `ec${'ff'.repeat(30)}7f`,
]);

/** The first bytes of these: by its own, nearly every other point is told from all of them. */
const SMALL_ORDER_FIRST = new Set([...SMALL_ORDER].map((y) => Number.parseInt(y.slice(0, 2), 16)));

/** A point's encoding without its sign bit. */
function yOf(point: Uint8Array): Buffer {
  const y = Buffer.from(point);
  y[31] = y[31]! & 0x7f;
  return y;
}

/** Whether these 32 bytes are the encoding of a point whose order divides 8. */
export function isOfSmallOrder(point: Uint8Array): boolean {
  return SMALL_ORDER_FIRST.has(point[0]!) && SMALL_ORDER.has(yOf(point).toString('hex'));
}

export function privateKeyFromSeed(seed: Uint8Array): PrivateKey {
  if (seed.byteLength !== SEED_BYTES) throw new LedgerError('malformed', `an Ed25519 seed is ${SEED_BYTES} bytes`);
  return importSeed(seed);
}

/** The raw public key of a private one. */
export function publicKeyOf(privateKey: PrivateKey): Uint8Array {
  return exportPublic(privateKey);
}

/** A key to verify with. @throws LedgerError `malformed` for a key of small order or in non-canonical form. */
export function publicKeyFromBytes(bytes: Uint8Array): PublicKey {
  if (bytes.byteLength !== PUBLIC_KEY_BYTES) throw new LedgerError('malformed', `an Ed25519 public key is ${PUBLIC_KEY_BYTES} bytes`);
  const y = yOf(bytes);
  if (isOfSmallOrder(bytes)) throw new LedgerError('malformed', 'an Ed25519 public key of small order');
  // y ≥ p = 2^255 - 19 is a second spelling of y - p.
  if (y[31] === 0x7f && y[0]! >= 0xed && y.subarray(1, 31).every((byte) => byte === 0xff)) {
    throw new LedgerError('malformed', 'an Ed25519 public key that is not in canonical form');
  }
  return importPublic(bytes);
}

export function signEd25519(privateKey: PrivateKey, message: Uint8Array): Uint8Array {
  return sign(privateKey, message);
}

export function verifyEd25519(publicKey: PublicKey, message: Uint8Array, signature: Uint8Array): boolean {
  return signature.byteLength === SIGNATURE_BYTES && !isOfSmallOrder(signature.subarray(0, PUBLIC_KEY_BYTES)) && verify(publicKey, message, signature);
}
