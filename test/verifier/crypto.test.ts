/** The two files that stand for `ledger/crypto.ts`, and those for `src/protocol/ssh-crypto.ts`, say the same of every key and signature: what OpenSSL refuses no browser accepts, and the other way round. */
import { createHash, generateKeyPairSync, sign as signNode } from 'node:crypto';
import { ed25519 } from '@noble/curves/ed25519.js';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import * as node from '../../ledger/crypto.ts';
import { isOfSmallOrder, publicKeyFromBytes, verifyEd25519 } from '../../ledger/ed25519.ts';
import * as nodeSsh from '../../src/protocol/ssh-crypto.ts';
import * as noble from '../../src/verifier/noble-crypto.ts';
import * as nobleSsh from '../../src/verifier/noble-ssh-crypto.ts';

const { Point } = ed25519;
type Point = InstanceType<typeof Point>;
const L = Point.Fn.ORDER;
const P = 2n ** 255n - 19n;

function encode(n: bigint, length = 32): Uint8Array {
  return Uint8Array.from(Buffer.from(n.toString(16).padStart(2 * length, '0'), 'hex').reverse());
}
function decode(bytes: Uint8Array): bigint {
  return BigInt(`0x${Buffer.from(bytes).reverse().toString('hex')}`);
}
const join = (...parts: Uint8Array[]): Uint8Array => Uint8Array.from(Buffer.concat(parts));

/** The eight points whose order divides 8. */
const generator = Point.fromBytes(Buffer.from('26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05', 'hex'), true);
const TORSION = Array.from({ length: 8 }, (_, i) => generator.multiplyUnsafe(BigInt(i)));

const message: Uint8Array = new TextEncoder().encode('the bytes that are signed');
function challenge(r: Uint8Array, key: Uint8Array, text = message): bigint {
  return decode(createHash('sha512').update(r).update(key).update(text).digest()) % L;
}

/** A signature for which [8][S]B = [8](R + [k]A), with points of small order added to key and R. */
function signWith(inKey: Point, inR: Point, secret = 12345n, nonce = 6789n): { key: Uint8Array; signature: Uint8Array } {
  const key = Point.BASE.multiply(secret).add(inKey).toBytes();
  const r = Point.BASE.multiply(nonce).add(inR).toBytes();
  return { key, signature: join(r, encode((nonce + challenge(r, key) * secret) % L)) };
}

/** Says the same again once noble has made a table of the key's multiples. */
function bothStillSay(key: Uint8Array, signature: Uint8Array): void {
  const publicKey = noble.importPublic(key);
  const byNode = node.verify(node.importPublic(key), message, signature);
  for (let n = 0; n < 20; n++) expect(noble.verify(publicKey, message, signature)).toBe(byNode);
}

function bothSay(key: Uint8Array, signature: Uint8Array, text = message): boolean {
  const byNode = node.verify(node.importPublic(key), text, signature);
  const byNoble = noble.verify(noble.importPublic(key), text, signature);
  // Of points of small order OpenSSL says one thing up to 3.4 and another from 3.5 on; the ledger refuses them before it asks either.
  if (!isOfSmallOrder(key) && !isOfSmallOrder(signature.subarray(0, 32))) expect(byNoble, `key ${Buffer.from(key).toString('hex')}, signature ${Buffer.from(signature).toString('hex')}`).toBe(byNode);
  return byNode;
}

describe('a signature', () => {
  const seed = new Uint8Array(32).fill(7);
  const key = node.exportPublic(node.importSeed(seed));
  const signature = node.sign(node.importSeed(seed), message);

  it('is made by both alike, with the key of the same seed', () => {
    expect(Buffer.from(noble.exportPublic(noble.importSeed(seed)))).toEqual(Buffer.from(key));
    expect(Buffer.from(noble.sign(noble.importSeed(seed), message))).toEqual(Buffer.from(signature));
    expect(bothSay(key, signature)).toBe(true);
  });

  it('with any bit of it, of the key or of the message turned, holds nowhere', () => {
    for (let bit = 0; bit < 512; bit += 3) {
      const turned = (bytes: Uint8Array): Uint8Array => bytes.map((byte, i) => (i === (bit >> 3) % bytes.length ? byte ^ (1 << (bit & 7)) : byte));
      expect([bothSay(key, turned(signature)), bothSay(turned(key), signature), bothSay(key, signature, turned(message))]).toEqual([false, false, false]);
    }
  });

  it('of random bytes under random bytes for a key, holds nowhere', () => {
    fc.assert(fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), fc.uint8Array({ minLength: 64, maxLength: 64 }), fc.uint8Array(), (k, s, m) => !bothSay(k, s, Uint8Array.from(m))), { numRuns: 50 });
  });

  it.each([['L', L], ['2 L', 2n * L], ['8 L', 8n * L]])('with %s added to S is a second spelling, and refused', (_what, more) => {
    const s = decode(signature.subarray(32)) + more;
    expect(bothSay(key, join(signature.subarray(0, 32), encode(s)))).toBe(false);
  });

  it.each([['0', 0n], ['L - 1', L - 1n], ['L', L], ['2^256 - 1', 2n ** 256n - 1n]])('with S = %s, whatever R', (_what, s) => {
    for (const r of [...TORSION, Point.BASE]) bothSay(key, join(r.toBytes(), encode(s)));
  });

  it('with points of small order in key and R holds where the equation without the cofactor does, and nowhere else', () => {
    const held: string[] = [];
    TORSION.forEach((inKey, i) => TORSION.forEach((inR, j) => {
      const { key: mixed, signature: made } = signWith(inKey, inR);
      if (bothSay(mixed, made)) held.push(`${i},${j}`);
      if (j === 0) bothStillSay(mixed, made);
      // What noble's own verify says, and why it is not used: it multiplies by the cofactor.
      expect(ed25519.verify(made, message, mixed, { zip215: true })).toBe(true);
    }));
    expect(held).toContain('0,0');
    expect(held.length).toBeLessThan(64);
  });

  it('with an R of small order is refused, whatever OpenSSL says of it', () => {
    const key = Point.BASE.multiply(12345n).toBytes();
    for (const point of TORSION) {
      const r = point.toBytes();
      const s = (challenge(r, key) * 12345n) % L;
      expect(verifyEd25519(publicKeyFromBytes(key), message, join(r, encode(s)))).toBe(false);
    }
  });

  it('under a key in a second spelling is judged alike before the ledger refuses such a key', () => {
    for (const key of [P, P + 1n, 2n ** 255n - 1n, 2n ** 255n + 1n, P + 2n ** 255n].map((y) => encode(y))) bothSay(key, signature);
  });

  it('with an R in a second spelling is refused', () => {
    // y = 1 spelled p + 1: R is the neutral point, so [S]B = [k]A.
    for (const r of [encode(P + 1n), encode(1n + 2n ** 255n)]) {
      const s = (challenge(r, Point.BASE.multiply(12345n).toBytes()) * 12345n) % L;
      expect(bothSay(Point.BASE.multiply(12345n).toBytes(), join(r, encode(s)))).toBe(false);
    }
  });
});

it('hashes are the same, of every length around a block', () => {
  for (let length = 0; length < 200; length++) {
    const bytes = Uint8Array.from({ length }, (_, i) => i * 7 + length);
    expect(Buffer.from(noble.hashBytes(bytes))).toEqual(Buffer.from(node.hashBytes(bytes)));
    expect(noble.hashHex(bytes)).toBe(node.hashHex(bytes));
    const targets = [node, noble].map((crypto) => {
      const target = Buffer.alloc(300);
      target.set(bytes, 0);
      crypto.hashInto(target, 10, target.subarray(0, length));
      return target;
    });
    expect(targets[1]).toEqual(targets[0]);
  }
});

it('both files offer the same', () => {
  expect(Object.keys(noble).sort()).toEqual(Object.keys(node).sort());
});

describe('a signature on P-256', () => {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const { x, y } = publicKey.export({ format: 'jwk' });
  const point = join(Uint8Array.of(4), Buffer.from(x!, 'base64url'), Buffer.from(y!, 'base64url'));
  const N = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;
  const made = Uint8Array.from(signNode('sha256', message, { key: privateKey, dsaEncoding: 'ieee-p1363' }));
  const number = (n: bigint): Buffer => Buffer.from(n.toString(16).padStart(64, '0'), 'hex');
  const s = BigInt(`0x${Buffer.from(made.subarray(32)).toString('hex')}`);

  const both = (signature: Uint8Array, text = message): boolean => {
    const byNode = nodeSsh.verifyP256(nodeSsh.importP256(point)!, text, signature);
    expect(nobleSsh.verifyP256(nobleSsh.importP256(point)!, text, signature), Buffer.from(signature).toString('hex')).toBe(byNode);
    return byNode;
  };

  it('holds for both, and with the other s as well', () => {
    expect(both(made)).toBe(true);
    expect(both(join(made.subarray(0, 32), number(N - s)))).toBe(true);
  });

  it('holds for neither once anything is changed', () => {
    for (let at = 0; at < made.length; at++) expect(both(made.map((byte, i) => (i === at ? byte ^ 1 : byte)))).toBe(false);
    expect(both(made, new TextEncoder().encode('other bytes'))).toBe(false);
    const r = made.subarray(0, 32);
    for (const [first, second] of [[number(0n), number(s)], [r, number(0n)], [r, number(N)], [number(N), number(s)], [r, number(2n ** 256n - 1n)]]) expect(both(join(first!, second!))).toBe(false);
    expect(both(made.subarray(0, 63))).toBe(false);
    expect(both(join(made, Uint8Array.of(0)))).toBe(false);
  });

  it('is of a key that both take, or neither', () => {
    const off = point.map((byte, i) => (i === 64 ? byte ^ 1 : byte));
    const tooLarge = join(Uint8Array.of(4), number(2n ** 256n - 1n), number(1n));
    for (const bytes of [off, tooLarge, join(Uint8Array.of(4), new Uint8Array(64)), point.subarray(0, 64), join(Uint8Array.of(2), point.subarray(1, 33)), join(point, Uint8Array.of(0)), Uint8Array.of(0), point.map((byte, i) => (i === 0 ? 6 : byte))]) {
      expect(nodeSsh.importP256(bytes), Buffer.from(bytes).toString('hex')).toBeNull();
      expect(nobleSsh.importP256(bytes), Buffer.from(bytes).toString('hex')).toBeNull();
    }
  });

  it('is hashed by both alike', () => {
    expect(Buffer.from(nobleSsh.sha512(message))).toEqual(Buffer.from(nodeSsh.sha512(message)));
  });
});
