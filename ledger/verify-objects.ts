/** Walking the object files beside the records: every byte belongs to an object that the next record names first. */
import type { EvidenceDisk } from './disk.ts';
import { LedgerError } from './errors.ts';
import { decodeObjectHeader, OBJECT_HEADER_BYTES, ObjectIndex, payloadFault, segmentPath, type ObjectPlace } from './objects.ts';
import { erasedBy, readObject } from './object-store.ts';
import type { LedgerRecord } from './record.ts';
import { Finding } from './verdict.ts';

const CHUNK_BYTES = 4_194_304;
/** Objects whose places are remembered; a record that names an older one costs a pass over the headers, once. */
const RECENT_MAX = 65_536;

export interface ObjectFile {
  readonly path: string;
  readonly bytes: number;
}

/** A cursor over all object files, one after another. */
class ObjectStream {
  readonly #disk: EvidenceDisk;
  readonly #files: readonly ObjectFile[];
  #file = 0;
  #offset = 0;
  #chunk: Buffer = Buffer.alloc(0);
  #chunkAt = 0;

  constructor(disk: EvidenceDisk, files: readonly ObjectFile[]) {
    this.#disk = disk;
    this.#files = files;
  }

  get place(): ObjectPlace {
    return { segment: this.#file, offset: this.#offset };
  }

  get path(): string {
    return this.#files[this.#file]?.path ?? segmentPath(this.#file);
  }

  get isAtEnd(): boolean {
    return this.unread === null;
  }

  /** The first file with bytes that were not read, or that was never reached; null once there is none. */
  get unread(): ObjectFile | null {
    const file = this.#files[this.#file];
    if (file !== undefined && (this.#offset < file.bytes || file.bytes === 0)) return file;
    return this.#files[this.#file + 1] ?? null;
  }

  /** Moves to the next file once this one is read to its end. */
  #settle(): void {
    while (this.#file < this.#files.length - 1 && this.#offset >= this.#files[this.#file]!.bytes) {
      this.#file++;
      this.#offset = 0;
      this.#chunk = Buffer.alloc(0);
    }
  }

  /** Bytes of the file from the cursor on, `skip` of them left out. */
  #left(skip: number): number {
    return (this.#files[this.#file]?.bytes ?? 0) - this.#offset - skip;
  }

  /** Reads on, unless `length` bytes at the cursor are in memory or the file has fewer left. Null for nothing to wait for: a promise an object costs more than its hash. */
  load(length: number, skip = 0): Promise<void> | null {
    const from = this.#offset + skip;
    const left = this.#left(skip);
    if (left < length || (from >= this.#chunkAt && from + length <= this.#chunkAt + this.#chunk.length)) return null;
    return this.#disk.readRange(this.#files[this.#file]!.path, from, Math.min(left, Math.max(length, CHUNK_BYTES))).then((bytes) => {
      this.#chunk = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
      this.#chunkAt = from;
    });
  }

  /** `length` bytes at the cursor, which were loaded, or null where the file has fewer left. */
  #peek(length: number, skip: number): Buffer | null {
    const at = this.#offset + skip - this.#chunkAt;
    return this.#left(skip) < length ? null : this.#chunk.subarray(at, at + length);
  }

  /** Moves to where the next header is, if there is one, and loads it. */
  loadHeader(): Promise<void> | null {
    this.#settle();
    return this.load(OBJECT_HEADER_BYTES);
  }

  /** The header at the cursor, which was loaded; null at the end. @throws LedgerError `malformed`. */
  header(): { length: number; erased: boolean; digest: string } | null {
    if (this.isAtEnd || this.#offset >= this.#files[this.#file]!.bytes) return null;
    return decodeObjectHeader(this.#peek(OBJECT_HEADER_BYTES, 0) ?? new Uint8Array(0));
  }

  loadPayload(length: number): Promise<void> | null {
    return this.load(length, OBJECT_HEADER_BYTES);
  }

  /** The payload at the cursor, which was loaded, moving past it. @throws LedgerError `malformed` where it is cut short. */
  payload(length: number): Uint8Array {
    const bytes = this.#peek(length, OBJECT_HEADER_BYTES);
    if (bytes === null) throw new LedgerError('malformed', 'an object that is cut short');
    this.#offset += OBJECT_HEADER_BYTES + length;
    return bytes;
  }

  skip(length: number): void {
    this.#offset += OBJECT_HEADER_BYTES + length;
  }
}

/** Objects and where they are, in lists: as many objects of ours, each alive for as long, would cost more than what they say. */
class Places {
  /** By digest, the number of each that is looked up so far. */
  readonly #numbers = new Map<string, number>();
  readonly #digests: string[] = [];
  readonly #segments: number[] = [];
  readonly #offsets: number[] = [];
  #lookedUp = 0;

  get count(): number {
    return this.#digests.length;
  }

  add(digest: string, { segment, offset }: ObjectPlace): void {
    this.#digests.push(digest);
    this.#segments.push(segment);
    this.#offsets.push(offset);
  }

  /** Where the newest of that name is. Nothing is looked up before somebody asks: most objects are named once. */
  find(digest: string): ObjectPlace | null {
    for (; this.#lookedUp < this.#digests.length; this.#lookedUp++) this.#numbers.set(this.#digests[this.#lookedUp]!, this.#lookedUp);
    const number = this.#numbers.get(digest);
    return number === undefined ? null : { segment: this.#segments[number]!, offset: this.#offsets[number]! };
  }
}

export class ObjectWalk {
  readonly #disk: EvidenceDisk;
  readonly #directory: string;
  readonly #files: readonly ObjectFile[];
  readonly #stream: ObjectStream;
  /** Two by turns, dropped whole: a Map from which the oldest is taken one by one is searched through all that was taken. */
  #recent = new Places();
  #lessRecent = new Places();
  #all: ObjectIndex | null = null;
  /** Begun once, also where several objects are asked for at one time. */
  #indexing: Promise<ObjectIndex> | null = null;
  #current = new Map<string, Uint8Array | null>();
  readonly #erased = new Map<string, number>();
  readonly #named = new Set<string>();
  #count = 0;

  constructor(disk: EvidenceDisk, directory: string, files: readonly ObjectFile[]) {
    this.#disk = disk;
    this.#directory = directory;
    this.#files = files;
    this.#stream = new ObjectStream(disk, files);
  }

  get count(): number {
    return this.#count;
  }

  get erasedCount(): number {
    return this.#erased.size;
  }

  /** Checks the objects that `record` names; null where nothing had to be read, and it is done. @throws Finding, at once or by the promise. */
  record(record: LedgerRecord): Promise<void> | null {
    if (this.#current.size > 0) this.#current = new Map();
    for (const digest of erasedBy(record)) this.#named.add(digest);
    return record.objects.length === 0 ? null : this.#take(record, 0);
  }

  /** Takes the objects from number `from` on: at once as far as they are in memory. A promise an object costs more than its hash. */
  #take(record: LedgerRecord, from: number): Promise<void> | null {
    const { objects, seq } = record;
    const goOnAt = (next: number): Promise<void> => Promise.resolve(this.#take(record, next) ?? undefined);
    for (let i = from; i < objects.length; i++) {
      const loadingHeader = this.#stream.loadHeader();
      if (loadingHeader !== null) return loadingHeader.then(() => goOnAt(i));
      const header = this.#nextHeader(seq);
      if (header?.digest !== objects[i]) return this.#mustFind(objects[i]!, seq).then(() => goOnAt(i + 1));
      const loading = this.#stream.loadPayload(header!.length);
      if (loading !== null) return loading.then(() => this.#takeNext(header!, seq)).then(() => goOnAt(i + 1));
      this.#takeNext(header!, seq);
    }
    return null;
  }

  async #mustFind(digest: string, seq: number): Promise<void> {
    if ((await this.#find(digest)) !== null) return;
    throw new Finding('INTEGRITY', `object ${digest}, which record ${seq} names, is not in ${this.#stream.path}: it is missing or altered`, seq);
  }

  #bad(message: string, seq: number): Finding {
    return new Finding('INTEGRITY', `${message}, in ${this.#stream.path}; record ${seq} names it`, seq);
  }

  #nextHeader(seq: number): ReturnType<ObjectStream['header']> {
    try {
      return this.#stream.header();
    } catch (error) {
      throw this.#bad(messageOf(error), seq);
    }
  }

  /** Checks the object at the cursor, whose header this is, and passes it. */
  #takeNext(header: NonNullable<ReturnType<ObjectStream['header']>>, seq: number): void {
    const { digest } = header;
    const { place } = this.#stream;
    let payload: Uint8Array;
    try {
      payload = this.#stream.payload(header.length);
    } catch (error) {
      throw this.#bad(messageOf(error), seq);
    }
    const fault = payloadFault({ digest, erased: header.erased, payload });
    if (fault !== null) throw this.#bad(fault, seq);
    if (header.erased) this.#erased.set(digest, seq);
    this.#current.set(digest, header.erased ? null : payload);
    this.#remember(digest, place);
    this.#count++;
  }

  #remember(digest: string, place: ObjectPlace): void {
    this.#all?.add(digest, place);
    this.#recent.add(digest, place);
    // Not by digests: the same one may stand there again and again.
    if (this.#recent.count < RECENT_MAX / 2) return;
    this.#lessRecent = this.#recent;
    this.#recent = new Places();
  }

  /** Where an object passed before is; null when there was none. */
  async #find(digest: string): Promise<ObjectPlace | null> {
    return this.#recent.find(digest) ?? this.#lessRecent.find(digest) ?? (await (this.#indexing ??= this.#indexPassed())).find(digest);
  }

  async #indexPassed(): Promise<ObjectIndex> {
    const index = new ObjectIndex();
    const stream = new ObjectStream(this.#disk, this.#files);
    const { segment, offset } = this.#stream.place;
    for (;;) {
      await stream.loadHeader();
      const header = stream.header();
      const { place } = stream;
      if (header === null || place.segment > segment || (place.segment === segment && place.offset >= offset)) return (this.#all = index);
      index.add(header.digest, place);
      stream.skip(header.length);
    }
  }

  /** The payload of an object that some record so far names; null once erased. At once for one that came with the newest record. */
  read(digest: string): Promise<Uint8Array | null> | Uint8Array | null {
    const current = this.#current.get(digest);
    return current === undefined ? this.#readPassed(digest) : current;
  }

  async #readPassed(digest: string): Promise<Uint8Array | null> {
    const place = await this.#find(digest);
    if (place === null) throw new LedgerError('not-found', `no record so far names object ${digest}`);
    return readObject(this.#disk, this.#directory, digest, place);
  }

  /** After the last record: nothing may be left over, and what is erased must have been erased on record. @throws Finding. */
  finish(lastSeq: number): void {
    for (const [digest, seq] of this.#erased) {
      if (!this.#named.has(digest)) throw new Finding('INTEGRITY', `object ${digest}, which record ${seq} names, is erased, and no erasure record says so`, seq);
    }
    const { unread } = this.#stream;
    if (unread !== null) throw new Finding('INTEGRITY', `${unread.path} holds bytes that are no object of any record`, Math.max(0, lastSeq));
  }
}

function messageOf(error: unknown): string {
  if (error instanceof LedgerError) return error.message;
  throw error;
}
