/** Merkle trees: roots, audit paths, consistency, also past 2^31. RFC 6962 §2.1, RFC 9162 §2.1.3.2 and §2.1.4.2. */
import { EMPTY_ROOT, leafHash, MerkleTree, nodeHash, type LedgerErrorCode } from '../../../ledger/index.ts';
import { base64, seedOf, type Vector } from './vector.ts';

const tree = new MerkleTree();
for (let i = 0; i < 70; i++) tree.append(leafHash(Buffer.from(`entry ${i}`)));
const encoded = (hashes: readonly Uint8Array[]): string[] => hashes.map(base64);

interface Inclusion {
  readonly index: number;
  readonly size: number;
  readonly leaf?: Uint8Array;
  readonly proof?: readonly Uint8Array[];
  readonly root?: Uint8Array;
}

function inclusion(path: string, title: string, { index, size, leaf, proof, root }: Inclusion, refused: LedgerErrorCode | null = null): Vector {
  const content = {
    title, index: String(index), size: String(size), leaf: base64(leaf ?? tree.leaf(index)), proof: encoded(proof ?? tree.inclusionProof(index, size)), root: base64(root ?? tree.root(size)),
    expect: refused === null ? { proven: true } : { refused },
  };
  return { path: `inclusion/${refused === null ? '' : 'refused-'}${path}`, content };
}

/** The last leaf of a tree of `size` leaves whose other subtrees are made up. */
function lastLeafOf(size: number): Required<Inclusion> {
  const leaf = leafHash(Buffer.from('last'));
  const proof: Uint8Array[] = [];
  let root: Uint8Array = leaf;
  for (let index = size - 1, last = size - 1; last > 0; index = Math.floor(index / 2), last = Math.floor(last / 2)) {
    if (index % 2 === 0) continue;
    proof.push(seedOf(`subtree ${proof.length}`));
    root = nodeHash(proof.at(-1)!, root);
  }
  return { index: size - 1, size, leaf, proof, root };
}

export function inclusionVectors(): Vector[] {
  const good = { index: 13, size: 70 };
  const path = tree.inclusionProof(13, 70);
  const bad = (name: string, title: string, inc: Inclusion): Vector => inclusion(name, title, { leaf: tree.leaf(13), proof: path, root: tree.root(70), ...inc }, 'invalid-proof');
  const sizes: readonly (readonly [number, number])[] = [[0, 1], [0, 2], [1, 2], [2, 3], [6, 7], [7, 8], [8, 9], [63, 64], [64, 65], [0, 65], [69, 70]];
  return [
    ...sizes.map(([index, size]) => inclusion(`${index}-of-${size}`, `entry ${index} of ${size}`, { index, size })),
    ...[2 ** 31, 2 ** 32 + 1, 2 ** 40 + 2 ** 33 + 3, Number.MAX_SAFE_INTEGER].map((size) => inclusion(`last-of-${size}`, `the last entry of ${size}`, lastLeafOf(size))),
    inclusion('past-2-32-as-small', 'an index of 2^32 is not 0', { index: 2 ** 32, size: 1, leaf: tree.leaf(0), proof: [], root: tree.root(1) }, 'invalid-proof'),
    inclusion('size-past-2-32-as-small', 'a size of 2^32 + 1 is not 1', { index: 0, size: 2 ** 32 + 1, leaf: tree.leaf(0), proof: [], root: tree.root(1) }, 'invalid-proof'),
    inclusion('second-last-of-2-32', 'the last entry\'s proof for the one before', { ...lastLeafOf(2 ** 32), index: 2 ** 32 - 2 }, 'invalid-proof'),
    bad('index-is-size', 'the index is the size', { ...good, index: 70 }),
    bad('empty-tree', 'an entry of the empty tree', { index: 0, size: 0, proof: [], root: EMPTY_ROOT }),
    bad('other-index', 'another index', { ...good, index: 12 }),
    bad('other-leaf', 'another entry', { ...good, leaf: tree.leaf(12) }),
    bad('other-size', 'another size', { ...good, size: 64 }),
    bad('larger-size', 'a size with another shape', { ...good, size: 129 }),
    bad('other-root', 'another root', { ...good, root: tree.root(69) }),
    bad('hash-more', 'a hash more at the end', { ...good, proof: [...path, EMPTY_ROOT] }),
    bad('hash-more-first', 'a hash more at the start', { ...good, proof: [EMPTY_ROOT, ...path] }),
    bad('hash-less', 'a hash less at the end', { ...good, proof: path.slice(0, -1) }),
    bad('hash-less-first', 'a hash less at the start', { ...good, proof: path.slice(1) }),
    bad('no-hashes', 'no hashes', { ...good, proof: [] }),
    bad('swapped', 'two hashes in the other order', { ...good, proof: [path[1]!, path[0]!, ...path.slice(2)] }),
    bad('short-hash', 'a hash of 31 bytes', { ...good, proof: [path[0]!.subarray(1), ...path.slice(1)] }),
    bad('long-hash', 'a hash of 33 bytes', { ...good, proof: [Buffer.concat([path[0]!, Uint8Array.of(0)]), ...path.slice(1)] }),
    bad('only-leaf-with-hash', 'a hash more for the only entry', { index: 0, size: 1, leaf: tree.leaf(0), proof: [tree.leaf(1)], root: tree.root(2) }),
    bad('duplicated-last', 'the last entry doubled, as other trees do', { index: 2, size: 3, leaf: tree.leaf(2), proof: [tree.leaf(2), nodeHash(tree.leaf(0), tree.leaf(1))], root: nodeHash(nodeHash(tree.leaf(0), tree.leaf(1)), nodeHash(tree.leaf(2), tree.leaf(2))) }),
  ];
}

interface Consistency {
  readonly older: number;
  readonly newer: number;
  readonly proof?: readonly Uint8Array[];
  readonly olderRoot?: Uint8Array;
  readonly newerRoot?: Uint8Array;
}

function consistency(path: string, title: string, { older, newer, proof, olderRoot, newerRoot }: Consistency, refused: LedgerErrorCode | null = null): Vector {
  const content = {
    title, older: String(older), newer: String(newer), proof: encoded(proof ?? tree.consistencyProof(older, newer)), olderRoot: base64(olderRoot ?? tree.root(older)), newerRoot: base64(newerRoot ?? tree.root(newer)),
    expect: refused === null ? { proven: true } : { refused },
  };
  return { path: `consistency/${refused === null ? '' : 'refused-'}${path}`, content };
}

export function consistencyVectors(): Vector[] {
  const good = { older: 13, newer: 70 };
  const path = tree.consistencyProof(13, 70);
  const bad = (name: string, title: string, con: Consistency): Vector => consistency(name, title, { proof: path, olderRoot: tree.root(13), newerRoot: tree.root(70), ...con }, 'invalid-proof');
  const sizes: readonly (readonly [number, number])[] = [[0, 0], [0, 5], [1, 1], [1, 2], [2, 3], [3, 4], [4, 7], [6, 8], [7, 8], [8, 8], [32, 64], [63, 64], [64, 65], [13, 70]];
  const huge = lastLeafOf(2 ** 33 + 2 ** 32 + 1);
  const [smallest, ...larger] = huge.proof;
  return [
    ...sizes.map(([older, newer]) => consistency(`${older}-to-${newer}`, `${newer} entries go on from ${older}`, { older, newer })),
    consistency('past-2-33', 'one entry more than 2^33 + 2^32', {
      older: huge.size - 1, newer: huge.size, proof: [smallest!, huge.leaf, ...larger], olderRoot: larger.reduce((right, left) => nodeHash(left, right), smallest!), newerRoot: huge.root,
    }),
    bad('older-is-newer', 'the other way round', { older: 70, newer: 13, olderRoot: tree.root(70), newerRoot: tree.root(13) }),
    bad('other-older', 'another older size', { ...good, older: 12 }),
    bad('other-newer', 'another newer size', { ...good, newer: 64 }),
    bad('other-older-root', 'another older root', { ...good, olderRoot: tree.root(12) }),
    bad('other-newer-root', 'another newer root', { ...good, newerRoot: tree.root(69) }),
    bad('hash-more', 'a hash more', { ...good, proof: [...path, EMPTY_ROOT] }),
    bad('hash-less', 'a hash less', { ...good, proof: path.slice(0, -1) }),
    bad('hash-less-first', 'the first hash left out', { ...good, proof: path.slice(1) }),
    bad('no-hashes', 'no hashes', { ...good, proof: [] }),
    bad('swapped', 'two hashes in the other order', { ...good, proof: [path[1]!, path[0]!, ...path.slice(2)] }),
    bad('short-hash', 'a hash of 31 bytes', { ...good, proof: [path[0]!.subarray(1), ...path.slice(1)] }),
    bad('equal-with-hashes', 'hashes between equal sizes', { older: 13, newer: 13, newerRoot: tree.root(13) }),
    bad('equal-other-root', 'two roots of one size', { older: 13, newer: 13, proof: [], newerRoot: tree.root(70) }),
    bad('empty-with-hashes', 'hashes from the empty tree', { older: 0, newer: 70, olderRoot: EMPTY_ROOT }),
    bad('empty-other-root', 'another root of the empty tree', { older: 0, newer: 70, proof: [] }),
    bad('complete-with-old-root', 'the older root sent along where it is known', { older: 32, newer: 64, proof: [tree.root(32), ...tree.consistencyProof(32, 64)], olderRoot: tree.root(32), newerRoot: tree.root(64) }),
    bad('split', 'two histories with one beginning', { older: 13, newer: 14, proof: tree.consistencyProof(13, 14), olderRoot: tree.root(13), newerRoot: nodeHash(tree.root(8), seedOf('another')) }),
  ];
}
