/** Reading the journal from its start: each group whole, each record the next of its chains, each root the tree's. */
import { ChainHeads } from './chain.ts';
import type { Disk } from './disk.ts';
import { LedgerError } from './errors.ts';
import { sameBytes } from './hash.ts';
import {
  decodeGroup, GROUP_HEADER_BYTES, hasLaterGroup, parseJournalName, readGroupHeader, type JournalObject, type ReadGroup,
} from './journal.ts';
import { newKeyOf } from './key-rotation.ts';
import { leafHash, MerkleTree } from './merkle.ts';
import { erasedBy, Erasures } from './object-store.ts';
import { endOf, ObjectIndex, placeAfter, type ObjectPlace } from './objects.ts';
import { decodeRecord, type LedgerRecord } from './record.ts';

/** What the records so far amount to. */
export interface ReplayState {
  readonly tree: MerkleTree;
  readonly heads: ChainHeads;
  readonly index: ObjectIndex;
  readonly erasures: Erasures;
  objectsEnd: ObjectPlace;
  /** The log's key since the last record that changed it; null where none did. */
  logKey: string | null;
}

export function emptyState(): ReplayState {
  return { tree: new MerkleTree(), heads: new ChainHeads(), index: new ObjectIndex(), erasures: new Erasures(), objectsEnd: { segment: 0, offset: 0 }, logKey: null };
}

export interface PlacedObject {
  readonly object: JournalObject;
  readonly place: ObjectPlace;
}

/** One group that holds, and where it is. */
export interface ReplayedGroup {
  readonly path: string;
  readonly offset: number;
  readonly bytes: Buffer;
  readonly firstSeq: number;
  readonly entries: readonly Uint8Array[];
  readonly objects: readonly PlacedObject[];
}

/** Where the journal ends: after its last good group, `torn` bytes before the end of the file. */
export interface JournalEnd {
  /** Path of the last file; null when there is none. */
  readonly path: string | null;
  readonly offset: number;
  readonly torn: number;
}

/** Paths of the journal's files in order, with the seq that each says it starts with. */
export async function journalFiles(disk: Disk, journal: string): Promise<{ path: string; firstSeq: number }[]> {
  const names = await disk.list(journal);
  return names
    .map((name) => ({ path: `${journal}/${name}`, firstSeq: parseJournalName(name) }))
    .filter((file): file is { path: string; firstSeq: number } => file.firstSeq !== null)
    .sort((a, b) => a.firstSeq - b.firstSeq);
}

/** A place in the journal: byte `offset` of the file that starts with `firstSeq`. */
export interface JournalPlace {
  readonly firstSeq: number;
  readonly offset: number;
}

/**
 * Every good group in order, each after `state` has been moved past it; returns where they end.
 *
 * @param from where the groups after `state` start; default: the start, for an empty state.
 * @throws LedgerError `corrupt` naming the first bad record. A bad group is taken for torn only at the very end of the
 * last file, with no good group behind it: one write is in flight at a time, so only the last can be torn.
 */
export async function* replay(
  disk: Disk, journal: string, state: ReplayState, from: JournalPlace = { firstSeq: 0, offset: 0 },
): AsyncGenerator<ReplayedGroup, JournalEnd> {
  const files = (await journalFiles(disk, journal)).filter(({ firstSeq }) => firstSeq >= from.firstSeq);
  let end: JournalEnd = { path: null, offset: 0, torn: 0 };
  for (const [i, { path, firstSeq }] of files.entries()) {
    const seq = i === 0 ? from.firstSeq : state.tree.size;
    if (firstSeq !== seq) throw new LedgerError('corrupt', `the journal goes on at record ${firstSeq} where ${seq} is due: record ${seq} is missing`, { seq });
    const size = await disk.size(path);
    if (size === null) throw new LedgerError('corrupt', `${path} can't be read`, { seq });
    const start = i === 0 ? from.offset : 0;
    if (size < start) throw damaged(seq);
    const content = await disk.readRange(path, start, size - start);
    end = yield* replayFile(path, Buffer.from(content.buffer, content.byteOffset, content.byteLength), start, state);
    if (end.torn > 0 && i < files.length - 1) throw damaged(state.tree.size);
  }
  return end;
}

/** @param bytes of the file from byte `start` on */
function* replayFile(path: string, bytes: Buffer, start: number, state: ReplayState): Generator<ReplayedGroup, JournalEnd> {
  let offset = 0;
  while (offset < bytes.length) {
    const seq = state.tree.size;
    const header = readGroupHeader(bytes, offset);
    if (header === null) {
      if (hasLaterGroup(bytes, offset)) throw damaged(seq);
      return { path, offset: start + offset, torn: bytes.length - offset };
    }
    const isLast = offset + header.bytes >= bytes.length;
    let group: ReadGroup;
    try {
      group = decodeGroup(bytes, offset, header);
    } catch (cause) {
      if (isLast) return { path, offset: start + offset, torn: bytes.length - offset };
      throw damaged(firstBadSeq(bytes.subarray(offset + GROUP_HEADER_BYTES, offset + GROUP_HEADER_BYTES + header.entryBytes), state), cause);
    }
    if (isLast && group.objects.some(({ fault }) => fault !== null)) {
      // Torn, unless it is the trace of an erasure cut short, which follows only on a record that was synced; that record may be in this very group.
      const erased = new Set(group.entries.flatMap(erasedByEntry));
      const isErased = (digest: string): boolean => state.erasures.has(digest) || erased.has(digest);
      if (!group.objects.every(({ fault, digest }) => fault === null || isErased(digest))) return { path, offset: start + offset, torn: bytes.length - offset };
    }
    if (header.firstSeq !== seq) throw damaged(seq);
    const objects = applyGroup(group, state);
    if (!sameBytes(state.tree.root(), header.root)) throw damaged(seq);
    yield { path, offset: start + offset, bytes: bytes.subarray(offset, offset + header.bytes), firstSeq: seq, entries: group.entries, objects };
    offset += header.bytes;
  }
  return { path, offset: start + offset, torn: 0 };
}

function erasedByEntry(bytes: Uint8Array): readonly string[] {
  try {
    return erasedBy(decodeRecord(bytes));
  } catch {
    // Said where the entry is taken.
    return [];
  }
}

function damaged(seq: number, cause?: unknown): LedgerError {
  return new LedgerError('corrupt', `the journal is damaged at record ${seq}`, { seq, cause });
}

/** Moves the state past a group; the places of its objects. @throws LedgerError `corrupt` naming the record that does not go on from those before */
export function applyGroup(group: ReadGroup, state: ReplayState): PlacedObject[] {
  const objects = group.objects.map((object): PlacedObject => {
    const place = placeAfter(state.objectsEnd, object.payload.byteLength);
    state.objectsEnd = endOf(place, object.payload.byteLength);
    state.index.add(object.digest, place);
    return { object, place };
  });
  for (const bytes of group.entries) {
    const seq = state.tree.size;
    const leaf = leafHash(bytes);
    const record = readRecord(bytes, seq);
    const fault = state.heads.faultOf(record);
    if (fault !== null) throw new LedgerError('corrupt', `record ${seq} is not the next of its chain: ${fault}`, { seq });
    const missing = record.objects.find((digest) => state.index.find(digest) === null);
    if (missing !== undefined) throw new LedgerError('corrupt', `record ${seq} names object ${missing}, which is not there`, { seq });
    state.heads.advance(record, leaf);
    state.tree.append(leaf);
    state.erasures.note(record);
    state.logKey = newKeyOf(record) ?? state.logKey;
  }
  return objects;
}

function readRecord(bytes: Uint8Array, seq: number): LedgerRecord {
  try {
    return decodeRecord(bytes);
  } catch (cause) {
    throw new LedgerError('corrupt', `record ${seq} is not a record`, { seq, cause });
  }
}

/** The first record of a damaged group that is not what its neighbours say; the last whole one where nothing else tells. */
function firstBadSeq(entryBytes: Buffer, state: ReplayState): number {
  const staged = state.heads.stage();
  let seq = state.tree.size;
  for (let at = 0; at + 2 <= entryBytes.length; ) {
    const bytes = entryBytes.subarray(at + 2, at + 2 + entryBytes.readUInt16BE(at));
    let record: LedgerRecord;
    try {
      record = decodeRecord(bytes);
    } catch {
      return seq;
    }
    const due = staged.next(record);
    // A record that is whole but follows on from another than the one before it: the one before is what was altered.
    if (record.seq !== due.seq) return seq;
    if (record.prev !== due.prev) return seq === state.tree.size ? seq : seq - 1;
    staged.advance(record, leafHash(bytes));
    at += 2 + bytes.length;
    seq++;
  }
  return Math.max(state.tree.size, seq - 1);
}
