/**
 * The change-head map: which record is the last of each change, under one root.
 *
 *     key     SHA-256(change id)[:16]
 *     entry   key ‖ u32be changeSeq ‖ leaf hash of the change's last record
 *     root    of no entries: 32 zero bytes; of one: SHA-256(00 ‖ entry);
 *             of more: SHA-256(01 ‖ root of those whose next key bit is 0 ‖ root of those where it is 1)
 *
 * So the tree is of one shape for one set of entries, and a record moves only the hashes on the path of its own change.
 * Presence is shown by the entry and the hashes beside its path; absence by what stands where the path of the key ends.
 */
import { LedgerError } from './errors.ts';
import { HASH_BYTES, sameBytes, sha256 } from './hash.ts';
import { leafHash, nodeHash } from './merkle.ts';

export const HEAD_KEY_BYTES = 16;
export const HEAD_ENTRY_BYTES = HEAD_KEY_BYTES + 4 + HASH_BYTES;
/** Hashes in a proof, at most: the bits of a key. */
export const HEAD_HASHES_MAX = 8 * HEAD_KEY_BYTES;
/** The root of no entries. */
export const NO_HEADS: Uint8Array = new Uint8Array(HASH_BYTES);

export interface ChangeHead {
  /** Of the change's last record. */
  readonly changeSeq: number;
  readonly leaf: Uint8Array;
}

/** What stands where the path of a key ends, and the hashes beside that path, from there to the root. */
export interface HeadProof {
  /** The entry there; null where there is none. One under another key shows that there is none under this. */
  readonly entry: Uint8Array | null;
  readonly hashes: readonly Uint8Array[];
}

export function headKey(change: string): Uint8Array {
  return sha256(Buffer.from(change)).subarray(0, HEAD_KEY_BYTES);
}

export function encodeHead(key: Uint8Array, { changeSeq, leaf }: ChangeHead): Uint8Array {
  const entry = Buffer.alloc(HEAD_ENTRY_BYTES);
  entry.set(key.subarray(0, HEAD_KEY_BYTES));
  entry.writeUInt32BE(changeSeq, HEAD_KEY_BYTES);
  entry.set(leaf, HEAD_KEY_BYTES + 4);
  return entry;
}

function bitOf(key: Uint8Array, depth: number): 0 | 1 {
  return ((key[depth >> 3]! >> (7 - (depth & 7))) & 1) as 0 | 1;
}

/**
 * Whether the map with that root has an entry for `change`, and which.
 *
 * @throws LedgerError `invalid-proof` when the proof shows neither.
 */
export function verifyHead(change: string, { entry, hashes }: HeadProof, root: Uint8Array): ChangeHead | null {
  const invalid = (message: string): never => {
    throw new LedgerError('invalid-proof', message);
  };
  const depth = hashes.length;
  if (depth > HEAD_HASHES_MAX || hashes.some((hash32) => hash32.byteLength !== HASH_BYTES)) invalid('not the hashes of a head proof');
  if (entry !== null && entry.byteLength !== HEAD_ENTRY_BYTES) invalid('not an entry of a change-head map');
  const key = headKey(change);
  for (let at = 0; at < depth && entry !== null; at++) if (bitOf(entry, at) !== bitOf(key, at)) invalid('the entry does not stand on the path of the change');
  let node = entry === null ? NO_HEADS : leafHash(entry);
  for (const [i, beside] of hashes.entries()) node = bitOf(key, depth - 1 - i) === 0 ? nodeHash(node, beside) : nodeHash(beside, node);
  if (!sameBytes(node, root)) invalid('the head proof does not lead to the root of the map');
  if (entry === null || !sameBytes(entry.subarray(0, HEAD_KEY_BYTES), key)) return null;
  const bytes = Buffer.from(entry.buffer, entry.byteOffset, entry.byteLength);
  return { changeSeq: bytes.readUInt32BE(HEAD_KEY_BYTES), leaf: Buffer.from(bytes.subarray(HEAD_KEY_BYTES + 4)) };
}

/** Stands in `#left` of a node that is an entry; `#right` is then its number. */
const IS_ENTRY = 0xffff_ffff;
const FIRST_CAPACITY = 256;

/** The map as it grows. Hashing is put off until a root or a proof is asked for, and then done only where something has moved. */
export class HeadMap {
  // Nodes are numbered from 1; 0 is the empty subtree.
  #left = new Uint32Array(FIRST_CAPACITY);
  #right = new Uint32Array(FIRST_CAPACITY);
  #hashes = Buffer.alloc(FIRST_CAPACITY * HASH_BYTES);
  #isHashed = new Uint8Array(FIRST_CAPACITY);
  #nodes = 1;
  #entries = Buffer.alloc(FIRST_CAPACITY * HEAD_ENTRY_BYTES);
  #count = 0;
  #root = 0;

  /** Changes in the map. */
  get count(): number {
    return this.#count;
  }

  /** Puts `head` in the place of what stood under `key`. */
  set(key: Uint8Array, head: ChangeHead): void {
    let parent = 0;
    let side: 0 | 1 = 0;
    let node = this.#root;
    let depth = 0;
    while (node !== 0 && this.#left[node] !== IS_ENTRY) {
      this.#isHashed[node] = 0;
      side = bitOf(key, depth);
      parent = node;
      node = (side === 0 ? this.#left : this.#right)[node]!;
      depth++;
    }
    if (node !== 0 && this.#entries.compare(key, 0, HEAD_KEY_BYTES, this.#at(node), this.#at(node) + HEAD_KEY_BYTES) === 0) {
      this.#entries.set(encodeHead(key, head), this.#at(node));
      this.#isHashed[node] = 0;
      return;
    }
    const added = this.#addEntry(encodeHead(key, head));
    // Both go below a node of their own at the first bit in which they differ, and every bit before that has a node, too.
    if (node !== 0) {
      const other = Buffer.from(this.#entries.subarray(this.#at(node), this.#at(node) + HEAD_KEY_BYTES));
      for (; bitOf(other, depth) === bitOf(key, depth); depth++) {
        const between = this.#addNode(0, 0);
        this.#attach(parent, side, between);
        parent = between;
        side = bitOf(key, depth);
      }
      const fork = bitOf(key, depth) === 0 ? this.#addNode(added, node) : this.#addNode(node, added);
      this.#attach(parent, side, fork);
    } else this.#attach(parent, side, added);
  }

  /** Where the entry of a node begins. */
  #at(node: number): number {
    return this.#right[node]! * HEAD_ENTRY_BYTES;
  }

  #attach(parent: number, side: 0 | 1, node: number): void {
    if (parent === 0) this.#root = node;
    else (side === 0 ? this.#left : this.#right)[parent] = node;
  }

  #addEntry(entry: Uint8Array): number {
    const number = this.#count++;
    if (this.#entries.length < this.#count * HEAD_ENTRY_BYTES) this.#entries = Buffer.concat([this.#entries], this.#entries.length * 2);
    this.#entries.set(entry, number * HEAD_ENTRY_BYTES);
    return this.#addNode(IS_ENTRY, number);
  }

  #addNode(left: number, right: number): number {
    const node = this.#nodes++;
    if (node === this.#left.length) {
      const grown = <T extends Uint32Array | Uint8Array>(to: T, from: T): T => {
        to.set(from);
        return to;
      };
      this.#left = grown(new Uint32Array(2 * node), this.#left);
      this.#right = grown(new Uint32Array(2 * node), this.#right);
      this.#isHashed = grown(new Uint8Array(2 * node), this.#isHashed);
      this.#hashes = Buffer.concat([this.#hashes], 2 * node * HASH_BYTES);
    }
    this.#left[node] = left;
    this.#right[node] = right;
    return node;
  }

  #hashOf(node: number): Uint8Array {
    if (node === 0) return NO_HEADS;
    const hash32 = this.#hashes.subarray(node * HASH_BYTES, (node + 1) * HASH_BYTES);
    if (this.#isHashed[node] === 0) {
      const left = this.#left[node]!;
      hash32.set(left === IS_ENTRY ? leafHash(this.#entries.subarray(this.#at(node), this.#at(node) + HEAD_ENTRY_BYTES)) : nodeHash(this.#hashOf(left), this.#hashOf(this.#right[node]!)));
      this.#isHashed[node] = 1;
    }
    return hash32;
  }

  root(): Uint8Array {
    return Buffer.from(this.#hashOf(this.#root));
  }

  /** The proof that `change` has the entry that it has, or none. */
  prove(change: string): HeadProof {
    const key = headKey(change);
    const hashes: Uint8Array[] = [];
    let node = this.#root;
    for (let depth = 0; node !== 0 && this.#left[node] !== IS_ENTRY; depth++) {
      const [next, beside] = bitOf(key, depth) === 0 ? [this.#left[node]!, this.#right[node]!] : [this.#right[node]!, this.#left[node]!];
      hashes.push(Buffer.from(this.#hashOf(beside)));
      node = next;
    }
    return { entry: node === 0 ? null : Buffer.from(this.#entries.subarray(this.#at(node), this.#at(node) + HEAD_ENTRY_BYTES)), hashes: hashes.reverse() };
  }
}
