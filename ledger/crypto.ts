/**
 * What the ledger needs of cryptography, and the one place where it meets the machine's: SHA-256 and the bare Ed25519 of
 * RFC 8032, here by node:crypto. A build for another place puts a file with the same exports here (for browsers
 * `src/verifier/noble-crypto.ts`); every rule about keys, signatures and trees is above it, and so the same in both.
 */
import { createPrivateKey, createPublicKey, hash, sign as signWith, verify as verifyWith, type KeyObject } from 'node:crypto';

export type PrivateKey = KeyObject;
export type PublicKey = KeyObject;

const PKCS8_PREFIX = Buffer.from('302e020100300506032b657004220420', 'hex');
const SPKI_PREFIX = Buffer.from('302a300506032b6570032100', 'hex');

/** The SHA-256 of `bytes`. A string is asked for, because allocating a Buffer in native code costs three times the hash of a tree node. */
export function hashBytes(bytes: Uint8Array): Uint8Array {
  return Buffer.from(hash('sha256', bytes, 'binary'), 'latin1');
}

/** The SHA-256 of `bytes` as 64 lower-case hex digits. */
export function hashHex(bytes: Uint8Array): string {
  return hash('sha256', bytes, 'hex');
}

/** Puts the SHA-256 of `bytes` into `target` at `at`; the two may overlap. */
export function hashInto(target: Buffer, at: number, bytes: Uint8Array): void {
  target.write(hash('sha256', bytes, 'binary'), at, 32, 'latin1');
}

/** @param seed 32 bytes. */
export function importSeed(seed: Uint8Array): PrivateKey {
  return createPrivateKey({ key: Buffer.concat([PKCS8_PREFIX, seed]), format: 'der', type: 'pkcs8' });
}

/** The 32 bytes of the public half. */
export function exportPublic(privateKey: PrivateKey): Uint8Array {
  return Buffer.from(createPublicKey(privateKey).export({ format: 'der', type: 'spki' }).subarray(SPKI_PREFIX.length));
}

/** @param bytes 32; where they are no point of the curve, no signature holds. */
export function importPublic(bytes: Uint8Array): PublicKey {
  return createPublicKey({ key: Buffer.concat([SPKI_PREFIX, bytes]), format: 'der', type: 'spki' });
}

export function sign(privateKey: PrivateKey, message: Uint8Array): Uint8Array {
  return signWith(null, message, privateKey);
}

/** Whether S < L and the encoding of [S]B - [k]A is R, byte for byte: no cofactor. @param signature 64 bytes. */
export function verify(publicKey: PublicKey, message: Uint8Array, signature: Uint8Array): boolean {
  return verifyWith(null, message, publicKey, signature);
}
