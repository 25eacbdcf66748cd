/** Reading objects back, and erasing them for good. */
import type { Disk, EvidenceDisk } from './disk.ts';
import { LedgerError } from './errors.ts';
import { journalName, parseJournalName, readGroupHeader, GROUP_HEADER_BYTES } from './journal.ts';
import { decodeObjectHeader, encodeObject, endOf, OBJECT_HEADER_BYTES, payloadFault, ObjectIndex, segmentPath, type ObjectPlace, type StoredObject } from './objects.ts';
import type { LedgerRecord } from './record.ts';

/** The payload at `place`; null once erased. @throws LedgerError `corrupt` when it is not what `digest` names. */
export async function readObject(disk: EvidenceDisk, directory: string, digest: string, place: ObjectPlace): Promise<Uint8Array | null> {
  const { erased, payload } = await readStored(disk, directory, digest, place);
  return erased ? null : payload;
}

/** The object at `place`, erased or not. @throws LedgerError `corrupt` when it is not what `digest` names. */
export async function readStored(disk: EvidenceDisk, directory: string, digest: string, place: ObjectPlace): Promise<StoredObject> {
  const path = `${directory}/${segmentPath(place.segment)}`;
  const header = decodeObjectHeader(await disk.readRange(path, place.offset, OBJECT_HEADER_BYTES));
  if (header.digest !== digest) throw new LedgerError('corrupt', `${path} holds another object where ${digest} is due`);
  if (header.erased) return { digest, erased: true, payload: new Uint8Array(header.length) };
  const payload = await disk.readRange(path, place.offset + OBJECT_HEADER_BYTES, header.length);
  const fault = payloadFault({ digest, erased: false, payload });
  if (fault !== null) throw new LedgerError('corrupt', fault);
  return { digest, erased: false, payload };
}

/** Where objects of a directory are, by digest: found by walking the headers of its files, no further than it has to. Passes over a file that is not there. @throws LedgerError `malformed`, or what the disk throws, at what cannot be walked */
export function objectFinder(disk: EvidenceDisk, directory: string): (digest: string) => Promise<ObjectPlace | null> {
  const index = new ObjectIndex();
  let segments: number[] | null = null;
  let offset = 0;
  /** Passes one object; at the end of a file, goes on with the next. */
  const pass = async (left: number[]): Promise<void> => {
    const path = `${directory}/${segmentPath(left[0]!)}`;
    if (offset >= ((await disk.size(path)) ?? 0)) {
      left.shift();
      offset = 0;
      return;
    }
    const { digest, length } = decodeObjectHeader(await disk.readRange(path, offset, OBJECT_HEADER_BYTES));
    const place = { segment: left[0]!, offset };
    index.add(digest, place);
    ({ offset } = endOf(place, length));
  };
  return async (digest) => {
    segments ??= await segmentsIn(disk, directory);
    while (index.find(digest) === null && segments.length > 0) await pass(segments);
    return index.find(digest);
  };
}

/** Numbers of the object files that are there, in order. */
export async function segmentsIn(disk: EvidenceDisk, directory: string): Promise<number[]> {
  return (await disk.list(`${directory}/objects`)).filter((name) => /^(?:0|[1-9][0-9]{0,8})$/.test(name)).map(Number).sort((a, b) => a - b);
}

/** Reads objects of a directory that nobody need have open, by digest. What it resolves with is the object; null for one that is erased, or that cannot be found or read. */
export function objectReader(disk: EvidenceDisk, directory: string): (digest: string) => Promise<Uint8Array | null> {
  const find = objectFinder(disk, directory);
  return async (digest) => {
    const place = await find(digest).catch(() => null);
    return place === null ? null : readObject(disk, directory, digest, place).catch(() => null);
  };
}

/** The digests that `erasure` records name: only they may be, and in the end all of them are, erased. */
export class Erasures {
  readonly #named: Set<string>;
  readonly #unfinished = new Set<string>();

  /** @param done digests whose erasure is finished. */
  constructor(done: readonly string[] = []) {
    this.#named = new Set(done);
  }

  note(record: LedgerRecord): void {
    for (const digest of erasedBy(record)) {
      if (!this.#named.has(digest)) this.#unfinished.add(digest);
      this.#named.add(digest);
    }
  }

  has(digest: string): boolean {
    return this.#named.has(digest);
  }

  /** @throws LedgerError `not-found` when no record names it. */
  assertNamed(digest: string): void {
    if (!this.has(digest)) throw new LedgerError('not-found', `no erasure record names ${digest}`);
  }

  /** Notes that these are zeroed wherever they were. */
  finished(digests: Iterable<string>): void {
    for (const digest of digests) this.#unfinished.delete(digest);
  }

  /** What is named, stored, and not known to be zeroed. */
  unfinished(index: ObjectIndex): readonly string[] {
    return [...this.#unfinished].filter((digest) => index.find(digest) !== null);
  }

  all(): readonly string[] {
    return [...this.#named];
  }
}

/** What an `erasure` record names in `body.erased`. */
export function erasedBy(record: LedgerRecord): readonly string[] {
  const erased = record.type === 'erasure' ? record.body['erased'] : undefined;
  return Array.isArray(erased) ? (erased as readonly unknown[]).filter((digest): digest is string => typeof digest === 'string') : [];
}

interface Places {
  readonly disk: Disk;
  readonly directory: string;
  readonly journal: string;
}

/**
 * Once resolved, the payloads are zero in the object files and in the journal. Objects that are erased already stay so.
 *
 * @throws LedgerError `archived` where an archive may have one and cannot be reached: those are as they were, the others erased. Otherwise what the disk throws: any of them may be
 */
export async function eraseObjects(places: Places, index: ObjectIndex, digests: readonly string[]): Promise<void> {
  const erased = new Set<string>();
  let away: LedgerError | null = null;
  for (const digest of digests) {
    const place = index.find(digest);
    if (place === null) throw new LedgerError('not-found', `no object ${digest}`);
    try {
      await eraseAt(places.disk, `${places.directory}/${segmentPath(place.segment)}`, place.offset);
      erased.add(digest);
    } catch (error) {
      if (!(error instanceof LedgerError) || error.code !== 'archived') throw error;
      away ??= error;
    }
  }
  await eraseInJournal(places, erased);
  if (away !== null) throw away;
}

/**
 * Zeroes state and payload, leaving length and digest. A crash may leave the object half erased, here or in the other
 * place: opening finishes what an `erasure` record names.
 */
async function eraseAt(disk: Disk, path: string, offset: number): Promise<void> {
  const header = await disk.readRange(path, offset, OBJECT_HEADER_BYTES);
  const { length, digest } = decodeObjectHeader(header);
  const erased = encodeObject({ digest, erased: true, payload: new Uint8Array(length) });
  await disk.overwrite(path, offset, erased);
}

async function eraseInJournal({ disk, journal }: Places, digests: ReadonlySet<string>): Promise<void> {
  for (const name of await disk.list(journal)) {
    const firstSeq = parseJournalName(name);
    const bytes = firstSeq === null ? null : await disk.read(`${journal}/${journalName(firstSeq)}`);
    if (bytes === null) continue;
    for (const offset of objectOffsets(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength), digests)) {
      await eraseAt(disk, `${journal}/${name}`, offset);
    }
  }
}

function objectOffsets(bytes: Buffer, digests: ReadonlySet<string>): number[] {
  const offsets: number[] = [];
  for (let at = 0, group = readGroupHeader(bytes, at); group !== null; at += group.bytes, group = readGroupHeader(bytes, at)) {
    const end = at + group.bytes;
    // A group still being written holds nothing that is durable, so nothing that may be erased.
    if (end > bytes.length) break;
    for (let offset = at + GROUP_HEADER_BYTES + group.entryBytes; offset < end; ) {
      const { digest, length } = decodeObjectHeader(bytes.subarray(offset, offset + OBJECT_HEADER_BYTES));
      if (digests.has(digest)) offsets.push(offset);
      offset += OBJECT_HEADER_BYTES + length;
    }
  }
  return offsets;
}
