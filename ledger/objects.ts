/**
 * Objects: what is too big or too personal for a record, named in it by digest.
 *
 * They stand one after another in the files `objects/0`, `objects/1`, …, in the order in which records first name them:
 * u32 length · u8 state (1 live, 0 erased) · 32 bytes SHA-256 · payload. Erasure zeroes the payload in place and the
 * state, and leaves the rest: what was there is still named, and no longer known.
 */
import { CompactTable } from './compact-table.ts';
import { LedgerError } from './errors.ts';
import { digestOf, HASH_BYTES } from './hash.ts';

export const OBJECT_BYTES_MAX = 16_777_216;
export const OBJECT_HEADER_BYTES = 4 + 1 + HASH_BYTES;
export const OBJECT_SEGMENT_BYTES = 67_108_864;

export interface StoredObject {
  /** `sha256:<hex>` as the header says it. */
  readonly digest: string;
  readonly erased: boolean;
  readonly payload: Uint8Array;
}

export interface ObjectPlace {
  readonly segment: number;
  readonly offset: number;
}

export function segmentPath(segment: number): string {
  return `objects/${segment}`;
}

/** Where an object of `length` bytes goes when everything before ends at `end`. */
export function placeAfter(end: ObjectPlace, length: number): ObjectPlace {
  const isFull = end.offset > 0 && end.offset + OBJECT_HEADER_BYTES + length > OBJECT_SEGMENT_BYTES;
  return isFull ? { segment: end.segment + 1, offset: 0 } : end;
}

export function endOf(place: ObjectPlace, length: number): ObjectPlace {
  return { segment: place.segment, offset: place.offset + OBJECT_HEADER_BYTES + length };
}

export function encodeObject(object: StoredObject): Uint8Array {
  const bytes = Buffer.allocUnsafe(OBJECT_HEADER_BYTES + object.payload.byteLength);
  bytes.writeUInt32BE(object.payload.byteLength, 0);
  bytes[4] = object.erased ? 0 : 1;
  bytes.write(object.digest.slice(7), 5, HASH_BYTES, 'hex');
  bytes.set(object.payload, OBJECT_HEADER_BYTES);
  return bytes;
}

/** What a header says. @throws LedgerError `malformed`. */
export function decodeObjectHeader(header: Uint8Array): { length: number; erased: boolean; digest: string } {
  const bytes = Buffer.from(header.buffer, header.byteOffset, header.byteLength);
  if (bytes.length < OBJECT_HEADER_BYTES) throw new LedgerError('malformed', 'an object that ends in its header');
  const length = bytes.readUInt32BE(0);
  const state = bytes[4]!;
  const digest = `sha256:${bytes.toString('hex', 5, OBJECT_HEADER_BYTES)}`;
  if (state > 1) throw new LedgerError('malformed', `object ${digest} is neither live nor erased`);
  if (length === 0 || length > OBJECT_BYTES_MAX) throw new LedgerError('malformed', `object ${digest} has a length of ${length}`);
  return { length, erased: state === 0, digest };
}

/**
 * The object at `offset` and the offset after it; its payload is a view.
 *
 * @throws LedgerError `malformed`: cut short, altered, or erased with bytes left over.
 */
export function decodeObject(bytes: Uint8Array, offset: number): { object: StoredObject; next: number } {
  const { length, erased, digest } = decodeObjectHeader(bytes.subarray(offset, offset + OBJECT_HEADER_BYTES));
  const next = offset + OBJECT_HEADER_BYTES + length;
  if (next > bytes.byteLength) throw new LedgerError('malformed', `object ${digest} is cut short`);
  const payload = bytes.subarray(offset + OBJECT_HEADER_BYTES, next);
  const object = { digest, erased, payload };
  const fault = payloadFault(object);
  if (fault !== null) throw new LedgerError('malformed', fault);
  return { object, next };
}

/** Why a payload is not what its header says; null when it is. */
export function payloadFault({ digest, erased, payload }: StoredObject): string | null {
  if (!erased) return digestOf(payload) === digest ? null : `object ${digest} is altered`;
  return payload.every((byte) => byte === 0) ? null : `object ${digest} is marked erased and is not empty`;
}

/** Digest → place, in 24 bytes each. */
export class ObjectIndex {
  readonly #table: CompactTable;

  constructor(table: CompactTable = new CompactTable(8)) {
    this.#table = table;
  }

  static load(table: Buffer): ObjectIndex {
    return new ObjectIndex(CompactTable.load(8, table));
  }

  find(digest: string): ObjectPlace | null {
    const value = this.#table.get(keyOf(digest));
    return value === null ? null : { segment: value.readUInt32LE(0), offset: value.readUInt32LE(4) };
  }

  add(digest: string, place: ObjectPlace): void {
    const value = this.#table.set(keyOf(digest));
    value.writeUInt32LE(place.segment, 0);
    value.writeUInt32LE(place.offset, 4);
  }

  dump(): Buffer {
    return this.#table.dump();
  }
}

function keyOf(digest: string): Uint8Array {
  return Buffer.from(digest.slice(7, 39), 'hex');
}
