/**
 * A hash table in one Buffer: 16-byte keys (prefixes of SHA-256), values of one fixed length. A JavaScript Map of a
 * million digests takes some 200 MB, this 40; and a Buffer can be written to disk and read back as it is.
 */
import { LedgerError } from './errors.ts';

export const KEY_BYTES = 16;
const FIRST_CAPACITY = 256;

/** The key that is looked for, as bytes and as what they are compared by. No key is ever awaited. */
const wanted = new Uint8Array(KEY_BYTES);
const wantedWords = new Uint32Array(wanted.buffer);

/** @param slots of whole words, from a whole word on */
function wordsOf(slots: Buffer): Uint32Array {
  return new Uint32Array(slots.buffer, slots.byteOffset, slots.byteLength / 4);
}

export class CompactTable {
  readonly #slotBytes: number;
  #slots: Buffer;
  /** The same memory. */
  #words: Uint32Array;
  #capacity = FIRST_CAPACITY;
  #count = 0;

  /** @param valueBytes a multiple of 4 */
  constructor(valueBytes: number) {
    this.#slotBytes = KEY_BYTES + valueBytes;
    this.#slots = Buffer.alloc(FIRST_CAPACITY * this.#slotBytes);
    this.#words = wordsOf(this.#slots);
  }

  get count(): number {
    return this.#count;
  }

  /** The value under `key` as a view, valid until the next `set`; null when there is none. */
  get(key: Uint8Array): Buffer | null {
    const at = this.#slotOf(key);
    return this.#isEmpty(at) ? null : this.#slots.subarray(at + KEY_BYTES, at + this.#slotBytes);
  }

  /** The value under `key` as a writable view, valid until the next `set`; zeros where there was none. */
  set(key: Uint8Array): Buffer {
    let at = this.#slotOf(key);
    if (this.#isEmpty(at)) {
      if ((this.#count + 1) * 10 > this.#capacity * 7) {
        this.#grow();
        at = this.#slotOf(key);
      }
      this.#slots.set(key, at);
      this.#count++;
    }
    return this.#slots.subarray(at + KEY_BYTES, at + this.#slotBytes);
  }

  #isEmpty(at: number): boolean {
    const [words, i] = [this.#words, at / 4];
    return (words[i]! | words[i + 1]! | words[i + 2]! | words[i + 3]!) === 0;
  }

  /** Offset of the slot that holds `key`, or of the empty one where it belongs. */
  #slotOf(key: Uint8Array): number {
    for (let i = 0; i < KEY_BYTES; i++) wanted[i] = key[i]!;
    const words = this.#words;
    // Little-endian wherever it runs: where a key stands is part of what is dumped.
    let slot = ((wanted[0]! | (wanted[1]! << 8) | (wanted[2]! << 16) | (wanted[3]! << 24)) >>> 0) % this.#capacity;
    for (;;) {
      const at = slot * this.#slotBytes;
      const i = at / 4;
      const isThere = words[i] === wantedWords[0] && words[i + 1] === wantedWords[1] && words[i + 2] === wantedWords[2] && words[i + 3] === wantedWords[3];
      if (isThere || this.#isEmpty(at)) return at;
      slot = (slot + 1) % this.#capacity;
    }
  }

  #grow(): void {
    const old = this.#slots;
    this.#capacity *= 2;
    this.#slots = Buffer.alloc(this.#capacity * this.#slotBytes);
    this.#words = wordsOf(this.#slots);
    for (let at = 0; at < old.length; at += this.#slotBytes) {
      const key = old.subarray(at, at + KEY_BYTES);
      if (key.every((byte) => byte === 0)) continue;
      old.copy(this.#slots, this.#slotOf(key), at, at + this.#slotBytes);
    }
  }

  /** Every key and its value, as views that are valid until the next `set`. */
  *entries(): Generator<readonly [key: Buffer, value: Buffer]> {
    for (let at = 0; at < this.#slots.length; at += this.#slotBytes) {
      if (!this.#isEmpty(at)) yield [this.#slots.subarray(at, at + KEY_BYTES), this.#slots.subarray(at + KEY_BYTES, at + this.#slotBytes)];
    }
  }

  /** The whole table as bytes; a view. */
  dump(): Buffer {
    return this.#slots;
  }

  /** A table from the bytes that {@link dump} gave; takes ownership. @throws LedgerError `malformed`. */
  static load(valueBytes: number, bytes: Buffer): CompactTable {
    const table = new CompactTable(valueBytes);
    const capacity = bytes.length / table.#slotBytes;
    if (!Number.isInteger(capacity) || capacity < FIRST_CAPACITY || !Number.isInteger(Math.log2(capacity))) throw new LedgerError('malformed', 'not a table');
    table.#slots = bytes.byteOffset % 4 === 0 ? bytes : Buffer.from(Uint8Array.from(bytes).buffer);
    table.#words = wordsOf(table.#slots);
    table.#capacity = capacity;
    for (let at = 0; at < bytes.length; at += table.#slotBytes) if (!table.#isEmpty(at)) table.#count++;
    return table;
  }
}
