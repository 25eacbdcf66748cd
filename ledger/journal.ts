/**
 * The journal: the writer's own file, from which everything in `ledger/` can be made again.
 *
 * It is a row of groups, one write and one sync each:
 *
 *     0  "CSJ1"            24  root after this group, 32 bytes
 *     4  u32 entry bytes   56  u32 CRC-32 of the entries
 *     8  u32 object bytes  60  u32 CRC-32 of bytes 0 to 59
 *    12  u32 entries       64  entries (as in a bundle), then objects (as in an object file)
 *    16  u64 first seq
 *
 * Objects are outside the checksum, because erasure zeroes them in place here too; each is held to its own digest.
 * Files are named by the seq of their first record, in 16 digits.
 */
import { crc32 } from 'node:zlib';
import { LedgerError } from './errors.ts';
import { HASH_BYTES } from './hash.ts';
import { decodeObjectHeader, encodeObject, OBJECT_HEADER_BYTES, payloadFault, type StoredObject } from './objects.ts';
import { decodeBundle, encodeBundle } from './tiles.ts';

export const JOURNAL_SEGMENT_BYTES = 67_108_864;
export const GROUP_HEADER_BYTES = 64;
const MAGIC = Buffer.from('CSJ1');

export interface GroupHeader {
  readonly entryBytes: number;
  readonly objectBytes: number;
  readonly count: number;
  readonly firstSeq: number;
  /** Of the tree of `firstSeq + count` leaves. */
  readonly root: Uint8Array;
  readonly entriesCrc: number;
  /** Bytes in the whole group. */
  readonly bytes: number;
}

export interface Group {
  readonly firstSeq: number;
  readonly root: Uint8Array;
  readonly entries: readonly Uint8Array[];
  readonly objects: readonly StoredObject[];
}

export function journalName(firstSeq: number): string {
  return `${String(firstSeq).padStart(16, '0')}.journal`;
}

/** The first seq that a file name states; null for a name that is no journal's. */
export function parseJournalName(name: string): number | null {
  const seq = Number(/^([0-9]{16})\.journal$/.exec(name)?.[1] ?? NaN);
  return Number.isSafeInteger(seq) ? seq : null;
}

export function encodeGroup(group: Group): Uint8Array {
  const entries = encodeBundle(group.entries);
  const objects = group.objects.map(encodeObject);
  const header = Buffer.alloc(GROUP_HEADER_BYTES);
  MAGIC.copy(header);
  header.writeUInt32BE(entries.byteLength, 4);
  header.writeUInt32BE(objects.reduce((sum, o) => sum + o.byteLength, 0), 8);
  header.writeUInt32BE(group.entries.length, 12);
  header.writeBigUInt64BE(BigInt(group.firstSeq), 16);
  header.set(group.root, 24);
  header.writeUInt32BE(crc32(entries), 24 + HASH_BYTES);
  header.writeUInt32BE(crc32(header.subarray(0, GROUP_HEADER_BYTES - 4)), GROUP_HEADER_BYTES - 4);
  return Buffer.concat([header, entries, ...objects]);
}

/** The header at `at`; null where there is no whole and unharmed one. */
export function readGroupHeader(bytes: Buffer, at: number): GroupHeader | null {
  const header = bytes.subarray(at, at + GROUP_HEADER_BYTES);
  if (header.length < GROUP_HEADER_BYTES || !header.subarray(0, 4).equals(MAGIC)) return null;
  if (header.readUInt32BE(GROUP_HEADER_BYTES - 4) !== crc32(header.subarray(0, GROUP_HEADER_BYTES - 4))) return null;
  const entryBytes = header.readUInt32BE(4);
  const objectBytes = header.readUInt32BE(8);
  return {
    entryBytes,
    objectBytes,
    count: header.readUInt32BE(12),
    firstSeq: Number(header.readBigUInt64BE(16)),
    root: Buffer.from(header.subarray(24, 24 + HASH_BYTES)),
    entriesCrc: header.readUInt32BE(24 + HASH_BYTES),
    bytes: GROUP_HEADER_BYTES + entryBytes + objectBytes,
  };
}

/** An object as the journal has it; `fault` says why its payload is not what it should be. */
export interface JournalObject extends StoredObject {
  readonly fault: string | null;
}

export interface ReadGroup {
  readonly entries: readonly Uint8Array[];
  readonly objects: readonly JournalObject[];
}

/** The whole group at `at`. @throws LedgerError `malformed` where it is torn or altered, but for the payloads of objects. */
export function decodeGroup(bytes: Buffer, at: number, header: GroupHeader): ReadGroup {
  const entriesAt = at + GROUP_HEADER_BYTES;
  const objectsAt = entriesAt + header.entryBytes;
  const end = at + header.bytes;
  if (end > bytes.length) throw new LedgerError('malformed', 'a group that is cut short');
  const entryBytes = bytes.subarray(entriesAt, objectsAt);
  if (crc32(entryBytes) !== header.entriesCrc) throw new LedgerError('malformed', 'a group whose entries have another checksum');
  const entries = decodeBundle(entryBytes);
  if (entries.length !== header.count) throw new LedgerError('malformed', 'a group with another number of entries');
  const objects: JournalObject[] = [];
  for (let offset = objectsAt; offset < end; ) {
    const { length, erased, digest } = decodeObjectHeader(bytes.subarray(offset, end));
    const next = offset + OBJECT_HEADER_BYTES + length;
    if (next > end) throw new LedgerError('malformed', `object ${digest} is cut short`);
    const object = { digest, erased, payload: bytes.subarray(offset + OBJECT_HEADER_BYTES, next) };
    objects.push({ ...object, fault: payloadFault(object) });
    offset = next;
  }
  return { entries, objects };
}

/** Whether an unharmed group header stands anywhere after `at`: then what is at `at` was once synced, and is damaged, not torn. */
export function hasLaterGroup(bytes: Buffer, at: number): boolean {
  for (let found = bytes.indexOf(MAGIC, at + 1); found >= 0; found = bytes.indexOf(MAGIC, found + 1)) {
    if (readGroupHeader(bytes, found) !== null) return true;
  }
  return false;
}
