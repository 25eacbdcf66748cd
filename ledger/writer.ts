/**
 * The one writer of a log.
 *
 * A record is sequenced at once, in memory. Then, one group after another: everything queued goes to the journal in one
 * write, one sync makes it durable, and those who wait are told. Alongside, whenever a checkpoint is asked for or the last
 * is a second old: tiles and objects are written, the head is signed, the checkpoint replaced, in that order, so that
 * a crash between any two leaves a checkpoint whose every byte is there. A head is signed only after its records are
 * durable: no crash can make the log sign two histories.
 *
 * A failed write or sync poisons the writer. Trying a sync again would report success for pages the kernel has dropped.
 */
import { writeBase } from './base.ts';
import { formatCheckpoint, logIdOf, signCheckpoint } from './checkpoint.ts';
import type { AppendFile } from './disk.ts';
import { LedgerError } from './errors.ts';
import { encodeGroup, JOURNAL_SEGMENT_BYTES, journalName } from './journal.ts';
import type { Appended, Appending, AppendOptions, InclusionProof, Log, LogOptions, Recovered, SetTimer, SignedHead } from './log.ts';
import { leafHash } from './merkle.ts';
import { eraseObjects, readObject, readStored } from './object-store.ts';
import { encodeObject, endOf, segmentPath, type StoredObject } from './objects.ts';
import { placeObjects, type PendingObject } from './place-objects.ts';
import { removePartialTiles, writeTiles } from './publish.ts';
import { readEntries } from './reader.ts';
import { encodeRecord, type LedgerRecord, type RecordDraft } from './record.ts';
import type { RecoveredLog } from './recover.ts';
import { TILE_WIDTH } from './tiles.ts';
import { changeHeadsOf, type ChangeHeads } from './verify-heads.ts';

/** How old the checkpoint may get while there is something newer. */
export const CHECKPOINT_INTERVAL_MS = 1_000;
/** Records after which a base is worth its writing: while running, and when closing. */
const BASE_EVERY_RUNNING = 262_144;
const BASE_EVERY_CLOSING = 4_096;
const GROUP_BYTES_MAX = 8_388_608;
const UNPUBLISHED_ENTRIES_MAX = 8_192;
/** Turns of the microtask queue between groups, in which those just told may append again and so share the next sync. */
const TURNS_BETWEEN_GROUPS = 16;

/** One append: the unit that is durable as a whole. */
interface Unit {
  /** Records sequenced when it was. */
  readonly end: number;
  readonly entries: readonly Uint8Array[];
  readonly objects: readonly PendingObject[];
  readonly bytes: number;
  readonly checkpoint: boolean;
  readonly resolve: () => void;
  readonly reject: (error: LedgerError) => void;
}

type WriterOptions = LogOptions & { readonly setTimer: SetTimer };

export class LogWriter implements Log {
  readonly origin: string;
  readonly logId: string;
  readonly recovered: Recovered | null;
  readonly #options: WriterOptions;
  readonly #state: RecoveredLog;
  readonly #release: () => Promise<void>;
  #journal: AppendFile;
  #journalFirstSeq: number;
  #base: { readonly size: number; readonly turn: number };
  #objectFile: { readonly segment: number; readonly file: AppendFile } | null = null;
  #head: SignedHead;
  #headAt = 0;
  #durableSize: number;
  #failed: LedgerError | null = null;
  #closed = false;
  #queue: Unit[] = [];
  /** Durable units whose objects are not in the object files yet, in order. */
  #unpublished: Unit[] = [];
  readonly #pendingObjects = new Map<string, PendingObject>();
  /** Entries from `#recentFrom`, a multiple of 256 at or below the published size. */
  #recent: Uint8Array[];
  #recentFrom: number;
  #committing: Promise<void> | null = null;
  #publishing: Promise<void> | null = null;
  #basing: Promise<void> | null = null;
  #checkpointWanted = false;
  #cancelTimer: (() => void) | null = null;

  private constructor(options: WriterOptions, state: RecoveredLog, release: () => Promise<void>) {
    this.origin = options.origin;
    this.logId = logIdOf(options.origin);
    this.recovered = state.recovered;
    this.#options = options;
    this.#state = state;
    this.#release = release;
    this.#journal = state.journal;
    this.#journalFirstSeq = state.journalFirstSeq;
    this.#base = state.base;
    this.#durableSize = state.tree.size;
    this.#recent = [...state.recent];
    this.#recentFrom = state.recentFrom;
    this.#head = { text: '', size: 0, root: state.tree.root(0) };
  }

  /** A writer whose checkpoint on disk covers all that was recovered. */
  static async start(options: WriterOptions, state: RecoveredLog, release: () => Promise<void>): Promise<LogWriter> {
    const writer = new LogWriter(options, state, release);
    try {
      await writer.#sign(state.tree.size);
    } catch (cause) {
      await state.journal.close();
      throw asUnwritable(cause);
    }
    return writer;
  }

  get size(): number {
    return this.#state.tree.size;
  }

  get durableSize(): number {
    return this.#durableSize;
  }

  get failed(): LedgerError | null {
    return this.#failed;
  }

  checkpoint(): SignedHead {
    return this.#head;
  }

  changeHeads(): ChangeHeads {
    return changeHeadsOf(this.#state.heads);
  }

  append(drafts: readonly RecordDraft[], options: AppendOptions = {}): Appending {
    this.#assertNotFailed();
    if (this.#closed) throw new LedgerError('unwritable', 'the log is closed');
    if (drafts.length === 0) throw new LedgerError('malformed', 'nothing to append');
    const objects = placeObjects(this.#state, drafts, options.objects ?? []);
    const records = this.#sequence(drafts);
    for (const object of objects) {
      this.#state.index.add(object.digest, object.place);
      this.#pendingObjects.set(object.digest, object);
      this.#state.objectsEnd = endOf(object.place, object.payload.byteLength);
    }
    for (const { record, bytes, leaf } of records) {
      this.#state.tree.append(leaf);
      this.#recent.push(bytes);
      this.#state.erasures.note(record);
    }
    const durable = this.#enqueue(records, objects, options.checkpoint === true);
    return { records, durable };
  }

  #assertNotFailed(): void {
    if (this.#failed !== null) throw new LedgerError('unwritable', this.#failed.message, { cause: this.#failed });
  }

  /** Gives the drafts their links and bytes. All or none: a draft that is refused leaves the chains as they were. */
  #sequence(drafts: readonly RecordDraft[]): Appended[] {
    const staged = this.#state.heads.stage();
    const records = drafts.map((draft): Appended => {
      const { v, change, type, at, actor, body, objects } = draft;
      const record: LedgerRecord = { v, change, type, at, actor, body, objects, ...staged.next(draft) };
      const bytes = encodeRecord(record);
      const leaf = leafHash(bytes);
      staged.advance(record, leaf);
      return { seq: record.seq, bytes, leaf, record };
    });
    staged.commit();
    return records;
  }

  #enqueue(records: readonly Appended[], objects: readonly PendingObject[], checkpoint: boolean): Promise<void> {
    const entries = records.map(({ bytes }) => bytes);
    const bytes = [...entries, ...objects.map((o) => o.payload)].reduce((sum, part) => sum + part.byteLength, 0);
    const durable = new Promise<void>((resolve, reject) => {
      this.#queue.push({ end: this.size, entries, objects, bytes, checkpoint, resolve, reject });
    });
    // A caller that does not wait for durability learns of a failure from the next append.
    durable.catch(() => undefined);
    this.#committing ??= this.#commit();
    return durable;
  }

  // Commit: queue → journal → sync → tell.

  async #commit(): Promise<void> {
    try {
      for (;;) {
        for (let turn = 0; turn < TURNS_BETWEEN_GROUPS; turn++) await Promise.resolve();
        if (this.#queue.length === 0 || this.#failed !== null) break;
        await this.#commitGroup(this.#takeGroup());
      }
    } catch (cause) {
      this.#poison(cause);
    } finally {
      this.#committing = null;
    }
  }

  #takeGroup(): Unit[] {
    let bytes = 0;
    const more = this.#queue.findIndex((unit, i) => (bytes += unit.bytes) > GROUP_BYTES_MAX && i > 0);
    return this.#queue.splice(0, more < 0 ? this.#queue.length : more);
  }

  async #commitGroup(units: Unit[]): Promise<void> {
    const firstSeq = this.#durableSize;
    const end = units.at(-1)!.end;
    const frame = encodeGroup({
      firstSeq,
      root: this.#state.tree.root(end),
      entries: units.flatMap((unit) => unit.entries),
      objects: units.flatMap((unit) => unit.objects).map(({ digest, payload }) => ({ digest, payload, erased: false })),
    });
    // Before anything can fail: a rejection of these must reach them, too.
    this.#unpublished.push(...units);
    if (this.#journal.size >= JOURNAL_SEGMENT_BYTES) await this.#rotateJournal(firstSeq);
    await this.#journal.append(frame);
    await Promise.all([this.#journal.sync(), this.#journal.check()]);
    if (this.#failed !== null) return;
    this.#durableSize = end;
    for (const unit of units) {
      if (unit.checkpoint) this.#checkpointWanted = true;
      else unit.resolve();
    }
    this.#schedulePublish();
  }

  async #rotateJournal(firstSeq: number): Promise<void> {
    const full = this.#journal;
    this.#journal = await this.#options.disk.openAppend(`${this.#options.journal}/${journalName(firstSeq)}`);
    this.#journalFirstSeq = firstSeq;
    await full.close();
  }

  // Publish: objects, tiles → sign → checkpoint → tell.

  #schedulePublish(): void {
    if (this.#publishing !== null || this.#failed !== null || this.#durableSize === this.#head.size) return;
    // A clock that was set back must not put the next checkpoint off.
    const dueInMs = Math.min(this.#headAt + CHECKPOINT_INTERVAL_MS - this.#options.now(), CHECKPOINT_INTERVAL_MS);
    if (this.#checkpointWanted || dueInMs <= 0 || this.#durableSize - this.#head.size >= UNPUBLISHED_ENTRIES_MAX) {
      this.#cancelTimer?.();
      this.#cancelTimer = null;
      this.#publishing = this.#publish();
    } else {
      this.#cancelTimer ??= this.#options.setTimer(() => {
        this.#cancelTimer = null;
        this.#checkpointWanted = true;
        this.#schedulePublish();
      }, dueInMs);
    }
  }

  async #publish(): Promise<void> {
    try {
      this.#checkpointWanted = false;
      const size = this.#durableSize;
      const units = this.#unpublished.filter((unit) => unit.end <= size);
      const from = this.#head.size;
      await Promise.all([
        this.#writeObjects(units.flatMap((unit) => unit.objects)),
        writeTiles(this.#options.disk, this.#options.directory, this.#state.tree, from, size, (seq) => this.#recent[seq - this.#recentFrom]!),
      ]);
      // What was rejected must not be reported durable after all by a checkpoint that covers it.
      this.#assertNotFailed();
      await this.#sign(size);
      this.#unpublished.splice(0, units.length);
      for (const unit of units) {
        for (const { digest } of unit.objects) this.#pendingObjects.delete(digest);
        unit.resolve();
      }
      const keepFrom = Math.floor(size / TILE_WIDTH) * TILE_WIDTH;
      this.#recent.splice(0, keepFrom - this.#recentFrom);
      this.#recentFrom = keepFrom;
      await removePartialTiles(this.#options.disk, this.#options.directory, from, size);
      this.#keepBase(BASE_EVERY_RUNNING);
    } catch (cause) {
      this.#poison(cause);
    } finally {
      this.#publishing = null;
    }
    this.#schedulePublish();
  }

  async #writeObjects(objects: readonly PendingObject[]): Promise<void> {
    for (let i = 0; i < objects.length; ) {
      const { segment } = objects[i]!.place;
      const file = await this.#openObjectFile(segment);
      const parts: Uint8Array[] = [];
      for (; i < objects.length && objects[i]!.place.segment === segment; i++) parts.push(encodeObject({ ...objects[i]!, erased: false }));
      await file.append(Buffer.concat(parts));
    }
  }

  async #openObjectFile(segment: number): Promise<AppendFile> {
    if (this.#objectFile?.segment === segment) return this.#objectFile.file;
    await this.#objectFile?.file.close();
    this.#objectFile = null;
    const file = await this.#options.disk.openAppend(`${this.#options.directory}/${segmentPath(segment)}`);
    this.#objectFile = { segment, file };
    return file;
  }

  /** Signs the head of `size` durable records and puts it on disk. */
  async #sign(size: number): Promise<void> {
    const root = this.#state.tree.root(size);
    const kept = this.#state.signed;
    // An unchanged head is not signed anew: the file may hold cosignatures.
    const text = kept?.text.startsWith(formatCheckpoint({ origin: this.origin, size, root })) === true ? kept.text : signCheckpoint({ origin: this.origin, size, root }, this.#options.signer);
    if (kept?.text !== text) await this.#options.disk.writeDerived(`${this.#options.directory}/checkpoint`, Buffer.from(text));
    this.#head = { text, size, root };
    this.#headAt = this.#options.now();
  }

  /** Starts a base when the last is `every` records old, at a moment when nothing is under way that it would miss. */
  #keepBase(every: number): void {
    const { size } = this;
    const isSettled = size === this.#head.size && this.#committing === null && this.#state.erasures.unfinished(this.#state.index).length === 0;
    if (!isSettled || size - this.#base.size < every || this.#basing !== null) return;
    const { turn } = this.#base;
    this.#base = { size, turn: turn + 1 };
    // A base is a cache: one that can't be written only makes the next opening slower.
    this.#basing = writeBase(this.#options, this.#state, { firstSeq: this.#journalFirstSeq, offset: this.#journal.size }, this.#recent, turn)
      .catch(() => undefined)
      .finally(() => (this.#basing = null));
  }

  #poison(cause: unknown): void {
    const error = asUnwritable(cause);
    this.#failed ??= error;
    this.#cancelTimer?.();
    this.#cancelTimer = null;
    for (const unit of [...this.#unpublished, ...this.#queue]) unit.reject(this.#failed);
    this.#unpublished = [];
    this.#queue = [];
  }

  // Reading.

  entries(from: number, to: number = this.#durableSize): AsyncIterable<Appended> {
    if (to > this.#durableSize) throw new LedgerError('not-found', `only ${this.#durableSize} records are durable`);
    return readEntries({
      disk: this.#options.disk,
      directory: this.#options.directory,
      tree: this.#state.tree,
      recent: (seq) => (seq < this.#recentFrom ? null : (this.#recent[seq - this.#recentFrom] ?? null)),
    }, from, to);
  }

  async object(digest: string): Promise<Uint8Array | null> {
    const pending = this.#pendingObjects.get(digest);
    if (pending !== undefined) return pending.payload;
    const place = this.#state.index.find(digest);
    if (place === null) throw new LedgerError('not-found', `no object ${digest}`);
    return readObject(this.#options.disk, this.#options.directory, digest, place);
  }

  async stored(digest: string): Promise<StoredObject> {
    const pending = this.#pendingObjects.get(digest);
    if (pending !== undefined) return { digest, erased: false, payload: pending.payload };
    const place = this.#state.index.find(digest);
    if (place === null) throw new LedgerError('not-found', `no object ${digest}`);
    return readStored(this.#options.disk, this.#options.directory, digest, place);
  }

  async erase(digests: readonly string[]): Promise<void> {
    for (const digest of digests) this.#state.erasures.assertNamed(digest);
    await this.sync();
    await eraseObjects(this.#options, this.#state.index, digests);
    this.#state.erasures.finished(digests);
  }

  #assertDurable(size: number): void {
    if (size > this.#durableSize) throw new LedgerError('not-found', `only ${this.#durableSize} records are durable, not ${size}`);
  }

  prove(index: number, size: number = this.#head.size): InclusionProof {
    this.#assertDurable(size);
    return { index, size, hashes: this.#state.tree.inclusionProof(index, size) };
  }

  proveConsistency(from: number, to: number): Uint8Array[] {
    this.#assertDurable(to);
    return this.#state.tree.consistencyProof(from, to);
  }

  root(size: number): Uint8Array {
    this.#assertDurable(size);
    return this.#state.tree.root(size);
  }

  refuse(cause: LedgerError): void {
    this.#poison(cause);
  }

  async durable(): Promise<void> {
    const size = this.size;
    while (this.#durableSize < size && this.#failed === null) await this.#committing;
    if (this.#durableSize < size) this.#assertNotFailed();
  }

  async sync(): Promise<void> {
    const size = this.size;
    while (this.#head.size < size && this.#failed === null) {
      this.#checkpointWanted = true;
      this.#schedulePublish();
      await (this.#committing ?? this.#publishing);
    }
    if (this.#head.size < size) this.#assertNotFailed();
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    // A poisoned log has told everyone who waited; closing it only lets go.
    await this.sync().catch((error: unknown) => {
      if (this.#failed === null) throw error;
    });
    this.#cancelTimer?.();
    await Promise.all([this.#committing, this.#publishing]);
    if (this.#failed === null) this.#keepBase(BASE_EVERY_CLOSING);
    await this.#basing;
    await Promise.allSettled([this.#journal.close(), this.#objectFile?.file.close()]);
    await this.#release();
  }
}

function asUnwritable(cause: unknown): LedgerError {
  if (cause instanceof LedgerError && cause.code === 'unwritable') return cause;
  return new LedgerError('unwritable', `the ledger can't be written: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
}
