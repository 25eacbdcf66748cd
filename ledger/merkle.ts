/**
 * RFC 6962 Merkle trees: leaves, nodes, roots, and the two proofs, for trees of up to 2^53-1 leaves.
 *
 * No bit operators on sizes and indices: JavaScript's truncate to 32 bits, silently.
 *
 * @see RFC 6962 §2.1, RFC 9162 §2.1.3.2 (verify inclusion), §2.1.4.2 (verify consistency)
 */
import { hashBytes, hashHex, hashInto } from './crypto.ts';
import { LedgerError } from './errors.ts';
import { HASH_BYTES, sameBytes, sha256 } from './hash.ts';

export const EMPTY_ROOT: Uint8Array = sha256(new Uint8Array(0));

// What is hashed is copied here first: one buffer for all costs half of making one each time. No hash is ever awaited.
const leafScratch = Buffer.alloc(65_536);
const nodeScratch = Buffer.alloc(1 + 2 * HASH_BYTES, 1);

/** SHA-256(00 ‖ entry). */
export function leafHash(entry: Uint8Array): Uint8Array {
  if (entry.byteLength >= leafScratch.length) return sha256(Uint8Array.of(0), entry);
  leafScratch.set(entry, 1);
  return sha256(leafScratch.subarray(0, 1 + entry.byteLength));
}

/** {@link leafHash} as 64 lower-case hex digits, which cost less than bytes. */
export function leafHex(entry: Uint8Array): string {
  if (entry.byteLength >= leafScratch.length) return hashHex(Buffer.concat([Uint8Array.of(0), entry]));
  leafScratch.set(entry, 1);
  return hashHex(leafScratch.subarray(0, 1 + entry.byteLength));
}

/** SHA-256(01 ‖ left ‖ right). */
export function nodeHash(left: Uint8Array, right: Uint8Array): Uint8Array {
  nodeScratch.set(left, 1);
  nodeScratch.set(right, 1 + HASH_BYTES);
  return hashBytes(nodeScratch);
}

/** How many times 2 divides `n`, for n ≥ 1. */
function trailingZeros(n: number): number {
  let count = 0;
  while (n % 2 === 0) {
    n /= 2;
    count++;
  }
  return count;
}

/** The largest power of two smaller than `n`, for n ≥ 2. */
function splitOf(n: number): number {
  let k = 1;
  while (k * 2 < n) k *= 2;
  return k;
}

/**
 * A growing tree that keeps every second level (43 bytes a leaf) and recomputes the others: any root and any proof of
 * any earlier size is a few hashes away.
 */
export class MerkleTree {
  #size = 0;
  /** `#levels[i]` holds the complete nodes of level 2·i, 32 bytes each. */
  readonly #levels: Buffer[] = [];
  /** `#open[level]`: the left node at that level that waits for its sibling, where the size has that bit. */
  readonly #open: Buffer[] = [];
  readonly #scratch = Buffer.alloc(1 + 2 * HASH_BYTES, 1);

  /**
   * The tree of `size` leaves, given its complete nodes at tree levels 0, 8, 16, …; those between are computed when they are
   * asked for. That the rows belong together is the caller's to know.
   *
   * @param rows owned by the tree from here on.
   */
  static load(size: number, rows: readonly Buffer[]): MerkleTree {
    const tree = new MerkleTree();
    tree.#size = size;
    for (let level = 0; size >= 2 ** level; level++) {
      if (level % 8 === 0) tree.#levels[level / 2] = rows[level / 8]!;
      // Zeros stand for a node that is not computed yet.
      else if (level % 2 === 0) tree.#levels[level / 2] = Buffer.alloc(Math.floor(size / 2 ** level) * HASH_BYTES);
    }
    for (let level = 0, rest = size; rest > 0; level++, rest = Math.floor(rest / 2)) {
      tree.#open[level] = rest % 2 === 1 ? tree.#copy(level, rest - 1) : Buffer.alloc(HASH_BYTES);
    }
    return tree;
  }

  get size(): number {
    return this.#size;
  }

  /** Adds one leaf; `leaf` is copied. */
  append(leaf: Uint8Array): void {
    let level = 0;
    let index = this.#size;
    this.#put(0, index, leaf);
    this.#scratch.set(leaf, 1 + HASH_BYTES);
    while (index % 2 === 1) {
      this.#open[level]!.copy(this.#scratch, 1);
      hashInto(this.#scratch, 1 + HASH_BYTES, this.#scratch);
      level++;
      index = (index - 1) / 2;
      this.#put(level, index, this.#scratch.subarray(1 + HASH_BYTES));
    }
    const open = this.#open[level];
    if (open === undefined) this.#open[level] = Buffer.from(this.#scratch.subarray(1 + HASH_BYTES));
    else this.#scratch.copy(open, 0, 1 + HASH_BYTES);
    this.#size++;
  }

  #put(level: number, index: number, node: Uint8Array): void {
    if (level % 2 === 1) return;
    let kept = this.#levels[level / 2];
    const end = (index + 1) * HASH_BYTES;
    if (kept === undefined || kept.length < end) {
      const grown = Buffer.allocUnsafeSlow(Math.max(64 * HASH_BYTES, Math.ceil(end * 1.5)));
      kept?.copy(grown);
      this.#levels[level / 2] = kept = grown;
    }
    kept.set(node, index * HASH_BYTES);
  }

  /** A copy of the hash of leaf `index`. */
  leaf(index: number): Uint8Array {
    if (!(Number.isInteger(index) && index >= 0 && index < this.#size)) throw new LedgerError('not-found', `no leaf ${index} among ${this.#size}`);
    return Uint8Array.prototype.slice.call(this.#node(0, index));
  }

  /** The complete node `index` of `level`; a view where it is kept. */
  #node(level: number, index: number): Uint8Array {
    if (level % 2 === 1) return nodeHash(this.#node(level - 1, 2 * index), this.#node(level - 1, 2 * index + 1));
    const kept = this.#levels[level / 2]!.subarray(index * HASH_BYTES, (index + 1) * HASH_BYTES);
    if (level % 8 !== 0 && kept.readUInt32LE(0) === 0 && kept.every((byte) => byte === 0)) {
      kept.set(nodeHash(this.#node(level - 1, 2 * index), this.#node(level - 1, 2 * index + 1)));
    }
    return kept;
  }

  /** The nodes `from` … `to` (exclusive) of `level`, one after another. */
  nodes(level: number, from: number, to: number): Uint8Array {
    const out = Buffer.alloc((to - from) * HASH_BYTES);
    for (let i = from; i < to; i++) out.set(this.#node(level, i), (i - from) * HASH_BYTES);
    return out;
  }

  /** The root of the first `size` leaves. @throws LedgerError `not-found` when there are fewer. */
  root(size: number = this.#size): Uint8Array {
    this.#checkSize(size);
    return size === 0 ? EMPTY_ROOT : this.#range(0, size);
  }

  /** MTH(D[from:to]), where `from` is a multiple of the power of two at or above `to - from`. */
  #range(from: number, to: number): Uint8Array {
    const n = to - from;
    if (n === 1) return this.#copy(0, from);
    const k = splitOf(n);
    if (2 * k === n) return this.#copy(trailingZeros(n), from / n);
    return nodeHash(this.#copy(trailingZeros(k), from / k), this.#range(from + k, to));
  }

  #copy(level: number, index: number): Buffer {
    return Buffer.from(this.#node(level, index));
  }

  /** The audit path of leaf `index` in the tree of the first `size` leaves, leaf sibling first. @see RFC 6962 §2.1.1 */
  inclusionProof(index: number, size: number = this.#size): Uint8Array[] {
    this.#checkSize(size);
    if (!(Number.isInteger(index) && index >= 0 && index < size)) throw new LedgerError('not-found', `no leaf ${index} in a tree of ${size}`);
    const path: Uint8Array[] = [];
    let from = 0;
    let to = size;
    while (to - from > 1) {
      const middle = from + splitOf(to - from);
      if (index < middle) {
        path.push(this.#range(middle, to));
        to = middle;
      } else {
        path.push(this.#range(from, middle));
        from = middle;
      }
    }
    return path.reverse();
  }

  /** The proof that the tree of `older` leaves is a prefix of that of `newer`. @see RFC 6962 §2.1.2 */
  consistencyProof(older: number, newer: number = this.#size): Uint8Array[] {
    this.#checkSize(newer);
    this.#checkSize(older);
    if (older > newer) throw new LedgerError('not-found', `no tree of ${newer} leaves has one of ${older} in it`);
    if (older === 0 || older === newer) return [];
    const path: Uint8Array[] = [];
    let from = 0;
    let to = newer;
    while (to !== older) {
      const middle = from + splitOf(to - from);
      if (older <= middle) {
        path.push(this.#range(middle, to));
        to = middle;
      } else {
        path.push(this.#range(from, middle));
        from = middle;
      }
    }
    // The verifier knows the old root already, so the first subtree is only sent where it is not the old tree itself.
    if (from !== 0) path.push(this.#range(from, to));
    return path.reverse();
  }

  #checkSize(size: number): void {
    if (!(Number.isInteger(size) && size >= 0 && size <= this.#size)) throw new LedgerError('not-found', `no tree of ${size} leaves, only up to ${this.#size}`);
  }
}

/**
 * The right edge of a growing tree: its root at every size, in memory that grows with the logarithm.
 *
 * @param onNode is told of every complete node above the leaves, once, as it becomes complete.
 */
export class Frontier {
  #size = 0;
  readonly #open: Uint8Array[] = [];
  readonly #onNode: (level: number, index: number, node: Uint8Array) => void;

  constructor(onNode: (level: number, index: number, node: Uint8Array) => void = () => undefined) {
    this.#onNode = onNode;
  }

  get size(): number {
    return this.#size;
  }

  push(leaf: Uint8Array): void {
    let node = leaf;
    let level = 0;
    let index = this.#size;
    while (index % 2 === 1) {
      node = nodeHash(this.#open[level]!, node);
      level++;
      index = (index - 1) / 2;
      this.#onNode(level, index, node);
    }
    this.#open[level] = node;
    this.#size++;
  }

  root(): Uint8Array {
    let root: Uint8Array | null = null;
    for (let level = 0, rest = this.#size; rest > 0; level++, rest = Math.floor(rest / 2)) {
      if (rest % 2 === 1) root = root === null ? this.#open[level]! : nodeHash(this.#open[level]!, root);
    }
    return root ?? EMPTY_ROOT;
  }
}

function invalid(message: string): never {
  throw new LedgerError('invalid-proof', message);
}

function checkHashes(proof: readonly Uint8Array[]): void {
  for (const hash32 of proof) if (hash32.byteLength !== HASH_BYTES) invalid('a hash in the proof is not 32 bytes');
}

function isCount(n: number): boolean {
  return Number.isSafeInteger(n) && n >= 0;
}

/** The root that an inclusion proof leads to. @throws LedgerError `invalid-proof` when it has the wrong length for its place. */
export function rootFromInclusion(leaf: Uint8Array, index: number, size: number, proof: readonly Uint8Array[]): Uint8Array {
  if (!isCount(index) || !isCount(size) || index >= size) invalid(`no leaf ${index} in a tree of ${size}`);
  checkHashes([leaf, ...proof]);
  // RFC 9162 §2.1.3.2, steps 2 to 5, with halving for shifting.
  let fn = index;
  let sn = size - 1;
  let r = leaf;
  for (const p of proof) {
    if (sn === 0) invalid('the inclusion proof is too long');
    if (fn % 2 === 1 || fn === sn) {
      r = nodeHash(p, r);
      while (fn % 2 === 0 && fn !== 0) {
        fn = fn / 2;
        sn = Math.floor(sn / 2);
      }
    } else {
      r = nodeHash(r, p);
    }
    fn = Math.floor(fn / 2);
    sn = Math.floor(sn / 2);
  }
  if (sn !== 0) invalid('the inclusion proof is too short');
  return r;
}

/** Returns once `leaf` is shown to be leaf `index` of the tree of `size` leaves with that root. @throws LedgerError `invalid-proof`. */
export function verifyInclusion(leaf: Uint8Array, index: number, size: number, proof: readonly Uint8Array[], root: Uint8Array): void {
  if (!sameBytes(rootFromInclusion(leaf, index, size, proof), root)) invalid(`entry ${index} is not in the tree of ${size} with that root`);
}

/** Returns once the tree of `older` leaves is shown to be a prefix of that of `newer`. @throws LedgerError `invalid-proof`. */
export function verifyConsistency(older: number, newer: number, proof: readonly Uint8Array[], olderRoot: Uint8Array, newerRoot: Uint8Array): void {
  if (!isCount(older) || !isCount(newer) || older > newer) invalid(`no tree of ${newer} has one of ${older} in it`);
  checkHashes([olderRoot, newerRoot, ...proof]);
  if (older === newer) {
    if (proof.length > 0) invalid('a proof between equal sizes must be empty');
    if (!sameBytes(olderRoot, newerRoot)) invalid(`two roots for the same size ${older}`);
    return;
  }
  if (older === 0) {
    if (proof.length > 0) invalid('a proof from the empty tree must be empty');
    if (!sameBytes(olderRoot, EMPTY_ROOT)) invalid('the empty tree has another root');
    return;
  }
  // RFC 9162 §2.1.4.2. The old root starts the path where the old tree is complete.
  const complete = older === 2 ** trailingZeros(older);
  const path = complete ? [olderRoot, ...proof] : [...proof];
  const [first] = path;
  if (proof.length === 0 || first === undefined) invalid('the consistency proof is empty');
  let fn = older - 1;
  let sn = newer - 1;
  while (fn % 2 === 1) {
    fn = (fn - 1) / 2;
    sn = Math.floor(sn / 2);
  }
  let fr = first;
  let sr = first;
  for (const c of path.slice(1)) {
    if (sn === 0) invalid('the consistency proof is too long');
    if (fn % 2 === 1 || fn === sn) {
      fr = nodeHash(c, fr);
      sr = nodeHash(c, sr);
      while (fn % 2 === 0 && fn !== 0) {
        fn = fn / 2;
        sn = Math.floor(sn / 2);
      }
    } else {
      sr = nodeHash(sr, c);
    }
    fn = Math.floor(fn / 2);
    sn = Math.floor(sn / 2);
  }
  if (sn !== 0) invalid('the consistency proof is too short');
  if (!sameBytes(fr, olderRoot)) invalid(`the proof does not lead to the root of size ${older}`);
  if (!sameBytes(sr, newerRoot)) invalid(`the proof does not lead to the root of size ${newer}`);
}
