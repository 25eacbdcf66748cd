/**
 * `ledger/crypto.ts` for a browser: the same exports, by @noble/hashes and @noble/curves.
 *
 * Signatures are held to the equation that node:crypto holds them to, written out here: noble's own `verify` multiplies by the cofactor, and
 * so accepts signatures (with a component of small order in R or the key) that OpenSSL refuses. One ledger must not have two verdicts.
 */
import { ed25519 } from '@noble/curves/ed25519.js';
import { sha256, sha512 } from '@noble/hashes/sha2.js';

export type PrivateKey = Uint8Array;
export interface PublicKey {
  readonly bytes: Uint8Array;
  /** null where the bytes are no point of the curve. */
  readonly point: Point | null;
  /** Signatures that it was asked about. */
  asked: number;
}

const { Point } = ed25519;
type Point = InstanceType<typeof Point>;
const L = Point.Fn.ORDER;
/** A key that is asked so often is worth a table of its multiples: 40 ms, and from then on a quarter of the time for each signature. */
const TABLE_AFTER = 16;
const TABLE_WINDOW_BITS = 6;

export function hashBytes(bytes: Uint8Array): Uint8Array {
  const hashed = sha256(bytes);
  return Buffer.from(hashed.buffer, hashed.byteOffset, hashed.byteLength);
}

export function hashHex(bytes: Uint8Array): string {
  return Buffer.from(sha256(bytes)).toString('hex');
}

export function hashInto(target: Buffer, at: number, bytes: Uint8Array): void {
  target.set(sha256(bytes), at);
}

export function importSeed(seed: Uint8Array): PrivateKey {
  return Uint8Array.from(seed);
}

export function exportPublic(privateKey: PrivateKey): Uint8Array {
  return Buffer.from(ed25519.getPublicKey(privateKey));
}

export function importPublic(bytes: Uint8Array): PublicKey {
  const key = Uint8Array.from(bytes);
  return { bytes: key, point: pointOf(key), asked: 0 };
}

export function sign(privateKey: PrivateKey, message: Uint8Array): Uint8Array {
  return Buffer.from(ed25519.sign(Uint8Array.from(message), privateKey));
}

/** @see RFC 8032 §5.1.7, without the cofactor */
export function verify(publicKey: PublicKey, message: Uint8Array, signature: Uint8Array): boolean {
  const { bytes, point } = publicKey;
  const s = littleEndian(signature.subarray(32, 64));
  if (point === null || s >= L) return false;
  publicKey.asked += 1;
  if (publicKey.asked === TABLE_AFTER) point.precompute(TABLE_WINDOW_BITS, true);
  const r = signature.subarray(0, 32);
  const k = littleEndian(sha512.create().update(Uint8Array.from(r)).update(bytes).update(Uint8Array.from(message)).digest()) % L;
  // R is never decoded: what is compared is its encoding, of which there is one.
  const due = Point.BASE.multiplyUnsafe(s).subtract(point.multiplyUnsafe(k)).toBytes();
  return due.every((byte, i) => byte === r[i]);
}

function pointOf(bytes: Uint8Array): Point | null {
  try {
    return Point.fromBytes(bytes);
  } catch {
    return null;
  }
}

function littleEndian(bytes: Uint8Array): bigint {
  return BigInt(`0x${Buffer.from(bytes).reverse().toString('hex')}`);
}
