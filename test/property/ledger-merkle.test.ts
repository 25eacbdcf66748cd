import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { EMPTY_ROOT, leafHash, MerkleTree, nodeHash, rootFromInclusion, sha256, verifyConsistency, verifyInclusion } from '../../ledger/index.ts';

const hex = (hash: Uint8Array): string => Buffer.from(hash).toString('hex');
const leaves = Array.from({ length: 300 }, (_, i) => leafHash(Buffer.from(`entry ${i}`)));
const tree = new MerkleTree();
for (const leaf of leaves) tree.append(leaf);
const invalid = expect.objectContaining({ code: 'invalid-proof' }) as Error;

/** RFC 6962 §2.1, word for word. */
function mth(d: readonly Uint8Array[]): Uint8Array {
  if (d.length === 0) return sha256();
  if (d.length === 1) return d[0]!;
  let k = 1;
  while (k * 2 < d.length) k *= 2;
  return nodeHash(mth(d.slice(0, k)), mth(d.slice(k)));
}

describe('a tree', () => {
  it('has the roots of the vectors that certificate transparency publishes', () => {
    const inputs = ['', '00', '10', '2021', '3031', '40414243', '5051525354555657', '606162636465666768696a6b6c6d6e6f'];
    const roots = [
      '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d', 'fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125',
      'aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77', 'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
      '4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4', '76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef',
      'ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c', '5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328',
    ];
    const growing = new MerkleTree();
    expect(hex(EMPTY_ROOT)).toBe('e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855');
    for (const [i, input] of inputs.entries()) {
      growing.append(leafHash(Buffer.from(input, 'hex')));
      expect(hex(growing.root())).toBe(roots[i]);
    }
  });

  it('has, at every size up to 300, the root that the definition gives', () => {
    for (let size = 0; size <= 300; size++) expect(hex(tree.root(size))).toBe(hex(mth(leaves.slice(0, size))));
  });

  it('proves every leaf at every size up to 300', () => {
    for (let size = 1; size <= 300; size++) {
      const root = tree.root(size);
      for (let index = 0; index < size; index++) {
        const proof = tree.inclusionProof(index, size);
        if (hex(rootFromInclusion(leaves[index]!, index, size, proof)) !== hex(root)) expect.fail(`leaf ${index} of ${size}`);
      }
    }
  });

  it('proves every size up to 300 a prefix of every larger one', () => {
    for (let newer = 0; newer <= 300; newer++) {
      for (let older = 0; older <= newer; older++) verifyConsistency(older, newer, tree.consistencyProof(older, newer), tree.root(older), tree.root(newer));
    }
  });

  it('gives, at every tile level, the nodes that its leaves hash to', () => {
    const wide = new MerkleTree();
    const all = Array.from({ length: 600 }, (_, i) => leafHash(Buffer.from(String(i))));
    for (const leaf of all) wide.append(leaf);
    expect(hex(wide.nodes(0, 300, 302))).toBe(hex(all[300]!) + hex(all[301]!));
    expect(hex(wide.nodes(8, 0, 2))).toBe(hex(mth(all.slice(0, 256))) + hex(mth(all.slice(256, 512))));
  });
});

describe('a proof that was changed', () => {
  const sizes = fc.integer({ min: 1, max: 300 });
  const change = (proof: Uint8Array[], how: number, at: number): Uint8Array[] => {
    const i = proof.length === 0 ? 0 : at % proof.length;
    if (how === 0) return [...proof, leaves[at % 300]!];
    if (how === 1) return [leaves[at % 300]!, ...proof];
    if (proof.length === 0) return [EMPTY_ROOT];
    if (how === 2) return proof.filter((_, j) => j !== i);
    return proof.map((hash, j) => (j === i ? Buffer.from(hash).fill(hash[0]! ^ 1, 0, 1) : hash));
  };

  it('of a leaf proves nothing', () => {
    fc.assert(fc.property(sizes, fc.nat(), fc.integer({ min: 0, max: 3 }), fc.nat(), (size, at, how, where) => {
      const index = at % size;
      const proof = change(tree.inclusionProof(index, size), how, where);
      expect(() => verifyInclusion(leaves[index]!, index, size, proof, tree.root(size))).toThrow(invalid);
    }));
  });

  it('of a leaf proves no other leaf, place or size', () => {
    fc.assert(fc.property(sizes, fc.nat(), fc.nat(), (size, at, other) => {
      const index = at % size;
      const proof = tree.inclusionProof(index, size);
      const root = tree.root(size);
      if (other % 300 !== index) expect(() => verifyInclusion(leaves[other % 300]!, index, size, proof, root)).toThrow(invalid);
      if (other % size !== index) expect(() => verifyInclusion(leaves[index]!, other % size, size, proof, root)).toThrow(invalid);
      expect(() => verifyInclusion(leaves[index]!, index, index, proof, root)).toThrow(invalid);
    }));
  });

  it('of a prefix proves nothing', () => {
    fc.assert(fc.property(sizes, fc.nat(), fc.integer({ min: 0, max: 3 }), fc.nat(), (newer, at, how, where) => {
      const older = 1 + (at % newer);
      const proof = change(tree.consistencyProof(older, newer), how, where);
      expect(() => verifyConsistency(older, newer, proof, tree.root(older), tree.root(newer))).toThrow(invalid);
    }));
  });

  it('between trees that are no prefix of one another can not be made', () => {
    expect(() => verifyConsistency(7, 7, [], tree.root(7), tree.root(8))).toThrow(invalid);
    expect(() => verifyConsistency(0, 7, [], tree.root(1), tree.root(7))).toThrow(invalid);
    expect(() => verifyConsistency(8, 7, [], tree.root(8), tree.root(7))).toThrow(invalid);
    expect(() => verifyConsistency(6, 8, tree.consistencyProof(6, 8), tree.root(5), tree.root(8))).toThrow(invalid);
  });
});

describe('sizes past 2^31, where bit operators would lie', () => {
  /** The path of the last leaf of a tree whose size is a sum of powers of two, with made-up subtrees. */
  it.each([2 ** 31, 2 ** 32 + 1, 2 ** 40 + 2 ** 33 + 3, Number.MAX_SAFE_INTEGER])('are proven: the last leaf of %d', (size) => {
    const leaf = leafHash(Buffer.from('last'));
    const proof: Uint8Array[] = [];
    let root = leaf;
    let index = size - 1;
    for (let last = size - 1; last > 0; index = Math.floor(index / 2), last = Math.floor(last / 2)) {
      if (index % 2 === 0) continue;
      const sibling = sha256(Buffer.from(`subtree ${proof.length}`));
      proof.push(sibling);
      root = nodeHash(sibling, root);
    }
    verifyInclusion(leaf, size - 1, size, proof, root);
    expect(() => verifyInclusion(leaf, size - 2, size, proof, root)).toThrow(invalid);
    if (size % 2 === 0) return;
    // Leaf size-1 extends the tree of size-1: its siblings are exactly the complete trees that make up the older one.
    const [smallest, ...larger] = proof;
    const olderRoot = larger.reduce((right, left) => nodeHash(left, right), smallest!);
    verifyConsistency(size - 1, size, larger.length === 0 ? [leaf] : [smallest!, leaf, ...larger], olderRoot, root);
  });

  it('are refused as a place in a smaller tree: 2^32 is not 0', () => {
    expect(() => verifyInclusion(EMPTY_ROOT, 2 ** 32, 1, [], EMPTY_ROOT)).toThrow(invalid);
    expect(() => verifyInclusion(EMPTY_ROOT, 0, 2 ** 32 + 1, [], EMPTY_ROOT)).toThrow(invalid);
    expect(() => verifyInclusion(EMPTY_ROOT, 0, 2 ** 53, [], EMPTY_ROOT)).toThrow(invalid);
    expect(() => verifyInclusion(EMPTY_ROOT, -1, 1, [], EMPTY_ROOT)).toThrow(invalid);
    expect(() => verifyInclusion(EMPTY_ROOT, 0.5, 1, [], EMPTY_ROOT)).toThrow(invalid);
  });
});
