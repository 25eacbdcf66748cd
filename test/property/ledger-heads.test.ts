import { describe, expect, it } from 'vitest';
import { encodeHead, HeadMap, headKey, leafHash, LedgerError, nodeHash, sha256, verifyHead, type ChangeHead } from '../../ledger/index.ts';

/** The root by its definition, with nothing kept. */
function naive(entries: readonly Uint8Array[], depth = 0): Uint8Array {
  if (entries.length === 0) return new Uint8Array(32);
  if (entries.length === 1) return leafHash(entries[0]!);
  const bit = (entry: Uint8Array): number => (entry[Math.floor(depth / 8)]! >> (7 - (depth % 8))) & 1;
  return nodeHash(naive(entries.filter((entry) => bit(entry) === 0), depth + 1), naive(entries.filter((entry) => bit(entry) === 1), depth + 1));
}

const head = (n: number): ChangeHead => ({ changeSeq: n, leaf: sha256(Buffer.from(`leaf ${n}`)) });

function refusal(act: () => unknown): string {
  try {
    act();
  } catch (error) {
    if (error instanceof LedgerError) return error.code;
    throw error;
  }
  return 'nothing';
}

describe('the change-head map', () => {
  it('has the root of its definition after every change that is added or moves, to 300 changes', () => {
    const map = new HeadMap();
    const entries = new Map<string, Uint8Array>();
    expect(Buffer.from(map.root())).toEqual(Buffer.alloc(32));
    for (let n = 0; n < 300; n++) {
      for (const change of [`chg_${n}`, `chg_${(n * 7) % (n + 1)}`]) {
        map.set(headKey(change), head(n));
        entries.set(change, encodeHead(headKey(change), head(n)));
      }
      expect(map.count).toBe(n + 1);
      expect(Buffer.from(map.root()).toString('hex')).toBe(Buffer.from(naive([...entries.values()])).toString('hex'));
    }
  });

  it('is of one shape, whatever the order in which changes came', () => {
    const [one, other] = [new HeadMap(), new HeadMap()];
    for (let n = 0; n < 100; n++) one.set(headKey(`chg_${n}`), head(n));
    for (let n = 99; n >= 0; n--) other.set(headKey(`chg_${n}`), head(n));
    expect(one.root()).toEqual(other.root());
  });

  it('keeps apart two keys that differ in their last bit alone', () => {
    const map = new HeadMap();
    const [low, high] = [Buffer.alloc(16, 7), Buffer.from([...Buffer.alloc(15, 7), 6])];
    map.set(low, head(1));
    map.set(high, head(2));
    expect(map.count).toBe(2);
    expect(map.root()).toEqual(Buffer.from(naive([encodeHead(low, head(1)), encodeHead(high, head(2))])));
  });

  it('proves each change that it has, and the absence of each that it has not, at every size', () => {
    const map = new HeadMap();
    expect(verifyHead('chg_0', map.prove('chg_0'), map.root())).toBeNull();
    for (let n = 0; n < 64; n++) {
      map.set(headKey(`chg_${n}`), head(n));
      const root = map.root();
      for (let m = 0; m < 80; m++) {
        const found = verifyHead(`chg_${m}`, map.prove(`chg_${m}`), root);
        if (m <= n) expect(found).toEqual(head(m));
        else expect(found).toBeNull();
      }
    }
  });

  it('takes no proof that was altered, is of another change, another size, or leaves the change out', () => {
    const map = new HeadMap();
    for (let n = 0; n < 40; n++) map.set(headKey(`chg_${n}`), head(n));
    const [root, proof] = [map.root(), map.prove('chg_5')];
    const flipped = (bytes: Uint8Array): Uint8Array => Uint8Array.from(bytes, (byte, i) => (i === 20 ? byte ^ 1 : byte));
    const verify = (change: Partial<typeof proof>): string => refusal(() => verifyHead('chg_5', { ...proof, ...change }, root));
    expect(verify({})).toBe('nothing');
    expect(verify({ entry: flipped(proof.entry!) })).toBe('invalid-proof');
    expect(verify({ entry: null })).toBe('invalid-proof');
    expect(verify({ entry: map.prove('chg_6').entry })).toBe('invalid-proof');
    expect(verify({ entry: proof.entry!.subarray(1) })).toBe('invalid-proof');
    expect(verify({ hashes: proof.hashes.slice(1) })).toBe('invalid-proof');
    expect(verify({ hashes: [...proof.hashes, new Uint8Array(32)] })).toBe('invalid-proof');
    expect(verify({ hashes: proof.hashes.map((hash32, i) => (i === 0 ? flipped(hash32) : hash32)) })).toBe('invalid-proof');
    expect(verify({ hashes: [...proof.hashes.slice(1), new Uint8Array(31)] })).toBe('invalid-proof');
    expect(verify({ hashes: Array.from({ length: 129 }, () => new Uint8Array(32)) })).toBe('invalid-proof');
    expect(refusal(() => verifyHead('chg_6', proof, root))).toBe('invalid-proof');
    map.set(headKey('chg_5'), head(99));
    expect(refusal(() => verifyHead('chg_5', proof, map.root()))).toBe('invalid-proof');
  });
});
