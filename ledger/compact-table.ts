/**
 * A hash table in one Buffer: 16-byte keys (prefixes of SHA-256), values of one fixed length. A JavaScript Map of a
 * million digests takes some 200 MB, this 40; and a Buffer can be written to disk and read back as it is.
 */
import { LedgerError } from './errors.ts';

export const KEY_BYTES = 16;
const FIRST_CAPACITY = 256;

export class CompactTable {
  readonly #slotBytes: number;
  #slots: Buffer;
  #capacity = FIRST_CAPACITY;
  #count = 0;

  constructor(valueBytes: number) {
    this.#slotBytes = KEY_BYTES + valueBytes;
    this.#slots = Buffer.alloc(FIRST_CAPACITY * this.#slotBytes);
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
    for (let i = at; i < at + KEY_BYTES; i++) if (this.#slots[i] !== 0) return false;
    return true;
  }

  /** Offset of the slot that holds `key`, or of the empty one where it belongs. */
  #slotOf(key: Uint8Array): number {
    const wanted = Buffer.from(key.buffer, key.byteOffset, KEY_BYTES);
    let slot = wanted.readUInt32LE(0) % this.#capacity;
    for (;;) {
      const at = slot * this.#slotBytes;
      if (this.#isEmpty(at) || this.#slots.compare(wanted, 0, KEY_BYTES, at, at + KEY_BYTES) === 0) return at;
      slot = (slot + 1) % this.#capacity;
    }
  }

  #grow(): void {
    const old = this.#slots;
    this.#capacity *= 2;
    this.#slots = Buffer.alloc(this.#capacity * this.#slotBytes);
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
    table.#slots = bytes;
    table.#capacity = capacity;
    for (let at = 0; at < bytes.length; at += table.#slotBytes) if (!table.#isEmpty(at)) table.#count++;
    return table;
  }
}
