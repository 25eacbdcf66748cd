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
import { formatCheckpoint, logIdOf, signOwnCheckpoint } from './checkpoint.ts';
import { withCosignatures } from './cosigned.ts';
import type { AppendFile, Held } from './disk.ts';
import { LedgerError } from './errors.ts';
import { encodeGroup, JOURNAL_SEGMENT_BYTES, journalName } from './journal.ts';
import { draftRotation, newKeyOf } from './key-rotation.ts';
import type { Appended, Appending, AppendOptions, InclusionProof, Log, LogOptions, LogPace, Recovered, SetTimer, SignedHead } from './log.ts';
import { leafHash } from './merkle.ts';
import { eraseObjects, readObject, readStored } from './object-store.ts';
import { encodeObject, endOf, segmentPath, type StoredObject } from './objects.ts';
import { placeObjects, type PendingObject } from './place-objects.ts';
import { removePartialTiles, writeTiles } from './publish.ts';
import { openBundles, readEntries, type Bundles } from './reader.ts';
import { encodeLinked, type LedgerRecord, type RecordDraft } from './record.ts';
import type { RecoveredLog } from './recover.ts';
import type { Space } from './space.ts';
import { TILE_WIDTH } from './tiles.ts';
import { changeHeadsOf, type ChangeHeads } from './verify-heads.ts';

/** How old the checkpoint may get while there is something newer. */
export const CHECKPOINT_INTERVAL_MS = 1_000;
export const DEFAULT_PACE: LogPace = { baseEveryRunning: 262_144, baseEveryClosing: 4_096, journalFileBytes: JOURNAL_SEGMENT_BYTES };
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

/** What a writer has to itself while it lives. */
interface Holding {
  readonly lock: Held;
  readonly space: Space;
}

type WriterOptions = LogOptions & { readonly setTimer: SetTimer };

export class LogWriter implements Log {
  readonly origin: string;
  readonly logId: string;
  readonly recovered: Recovered | null;
  readonly #options: WriterOptions;
  readonly #state: RecoveredLog;
  readonly #lock: Held;
  readonly #space: Space;
  readonly #pace: LogPace;
  #journal: AppendFile;
  #journalFirstSeq: number;
  #base: RecoveredLog['base'];
  #objectFile: { readonly segment: number; readonly file: AppendFile } | null = null;
  #head: SignedHead;
  #headAt = 0;
  #durableSize: number;
  #failed: LedgerError | null = null;
  #keyTrouble: Error | null = null;
  #closed = false;
  #queue: Unit[] = [];
  /** Durable units whose objects are not in the object files yet, in order. */
  #unpublished: Unit[] = [];
  readonly #pendingObjects = new Map<string, PendingObject>();
  /** Entries from `#recentFrom`, a multiple of 256 at or below the published size. */
  #recent: Uint8Array[];
  #recentFrom: number;
  readonly #bundles: Bundles;
  #committing: Promise<void> | null = null;
  #publishing: Promise<void> | null = null;
  #basing: Promise<void> | null = null;
  #cosigning: Promise<void> | null = null;
  #checkpointWanted = false;
  #cancelTimer: (() => void) | null = null;

  private constructor(options: WriterOptions, state: RecoveredLog, { lock, space }: Holding) {
    this.origin = options.origin;
    this.logId = logIdOf(options.origin);
    this.recovered = state.recovered;
    this.#options = options;
    this.#state = state;
    this.#lock = lock;
    this.#space = space;
    this.#pace = options.pace ?? DEFAULT_PACE;
    this.#journal = state.journal;
    this.#journalFirstSeq = state.journalFirstSeq;
    this.#base = state.base;
    this.#durableSize = state.tree.size;
    this.#recent = [...state.recent];
    this.#recentFrom = state.recentFrom;
    this.#bundles = openBundles(options.disk, options.directory);
    this.#head = { text: '', size: 0, root: state.tree.root(0) };
  }

  /** A writer whose checkpoint on disk covers all that was recovered. */
  static async start(options: WriterOptions, state: RecoveredLog, holding: Holding): Promise<LogWriter> {
    const writer = new LogWriter(options, state, holding);
    try {
      await writer.#putCheckpoint(await writer.#signHead(state.tree.size, state.rotateFrom?.signer));
      if (state.rotateFrom != null) await writer.#rotateKey(state.rotateFrom);
    } catch (cause) {
      await Promise.allSettled([state.journal.close(), writer.#basing]);
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

  get keyTrouble(): Error | null {
    return this.#keyTrouble;
  }

  get full(): LedgerError | null {
    return this.#space.short;
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
    const brought = objects.reduce((sum, { payload }) => sum + payload.byteLength, 0);
    const records = this.#sequence(drafts, (bytes) => this.#space.take(bytes + brought, options.reserved === true));
    for (const object of objects) {
      this.#state.index.add(object.digest, object.place);
      this.#pendingObjects.set(object.digest, object);
      this.#state.objectsEnd = endOf(object.place, object.payload.byteLength);
    }
    for (const { record, bytes, leaf } of records) {
      this.#state.tree.append(leaf);
      this.#recent.push(bytes);
      this.#state.erasures.note(record);
      this.#state.logKey = newKeyOf(record) ?? this.#state.logKey;
    }
    const durable = this.#enqueue(records, objects, options.checkpoint === true);
    return { records, durable };
  }

  #assertNotFailed(): void {
    if (this.#failed !== null) throw new LedgerError('unwritable', this.#failed.message, { cause: this.#failed });
  }

  /** Gives the drafts their links and bytes. All or none: a draft that is refused, or has no room, leaves the chains as they were. */
  #sequence(drafts: readonly RecordDraft[], takeRoom: (bytes: number) => void): Appended[] {
    const staged = this.#state.heads.stage();
    const records = drafts.map((draft): Appended => {
      const { v, change, type, at, actor, body, objects } = draft;
      const record: LedgerRecord = { v, change, type, at, actor, body, objects, ...staged.next(draft) };
      const bytes = encodeLinked(record);
      const leaf = leafHash(bytes);
      staged.advance(record, leaf);
      return { seq: record.seq, bytes, leaf, record };
    });
    takeRoom(records.reduce((sum, { bytes }) => sum + bytes.byteLength, 0));
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
    // Durable, and told once the next group is on its way: what they append again is sequenced while the disk is at work.
    let durable: readonly Unit[] = [];
    try {
      for (;;) {
        if (durable.length === 0 || this.#queue.length === 0) {
          tell(durable);
          durable = [];
          for (let turn = 0; turn < TURNS_BETWEEN_GROUPS; turn++) await Promise.resolve();
        }
        if (this.#queue.length === 0 || this.#failed !== null) break;
        const units = this.#takeGroup();
        const committing = this.#commitGroup(units);
        tell(durable);
        await committing;
        durable = units;
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

  /** Once resolved, the units are durable; nobody has been told. */
  async #commitGroup(units: readonly Unit[]): Promise<void> {
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
    await this.#space.makeRoom();
    if (this.#journal.size >= this.#pace.journalFileBytes) await this.#rotateJournal(firstSeq);
    await this.#journal.append(frame);
    await Promise.all([this.#journal.sync(), this.#journal.check(), this.#lock.check()]);
    if (this.#failed !== null) return;
    this.#durableSize = end;
    this.#checkpointWanted ||= units.some((unit) => unit.checkpoint);
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
    const isWanted = this.#checkpointWanted || this.#durableSize - this.#head.size >= UNPUBLISHED_ENTRIES_MAX;
    if (dueInMs <= 0 || (isWanted && this.#keyTrouble === null)) {
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
      await this.#space.makeRoom();
      const size = this.#durableSize;
      const head = await this.#askForHead(size);
      if (head !== null) await this.#putInPlace(head);
    } catch (cause) {
      this.#poison(cause);
    } finally {
      this.#publishing = null;
    }
    this.#schedulePublish();
  }

  /** Objects and tiles, then the head over them. */
  async #putInPlace(head: SignedHead): Promise<void> {
    const { size } = head;
    const units = this.#unpublished.filter((unit) => unit.end <= size);
    const from = this.#head.size;
    await Promise.all([
      this.#writeObjects(units.flatMap((unit) => unit.objects)),
      writeTiles(this.#options.disk, this.#options.directory, this.#state.tree, from, size, (seq) => this.#recent[seq - this.#recentFrom]!),
    ]);
    // What was rejected must not be reported durable after all by a checkpoint that covers it.
    this.#assertNotFailed();
    await this.#putCheckpoint(head);
    this.#unpublished.splice(0, units.length);
    for (const unit of units) {
      for (const { digest } of unit.objects) this.#pendingObjects.delete(digest);
      unit.resolve();
    }
    const keepFrom = Math.floor(size / TILE_WIDTH) * TILE_WIDTH;
    this.#recent.splice(0, keepFrom - this.#recentFrom);
    this.#recentFrom = keepFrom;
    await removePartialTiles(this.#options.disk, this.#options.directory, from, size);
    this.#space.settled(units.reduce((sum, { bytes }) => sum + bytes, 0));
    this.#keepBase(this.#pace.baseEveryRunning);
  }

  async #writeObjects(objects: readonly PendingObject[]): Promise<void> {
    for (let i = 0; i < objects.length; ) {
      const { segment } = objects[i]!.place;
      const file = await this.#openObjectFile(segment);
      const parts: Uint8Array[] = [];
      for (; i < objects.length && objects[i]!.place.segment === segment; i++) parts.push(encodeObject({ ...objects[i]!, erased: false }));
      await file.append(Buffer.concat(parts));
      await file.check();
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

  /** The signed head of `size` durable records. */
  async #signHead(size: number, signer = this.#options.signer): Promise<SignedHead> {
    const root = this.#state.tree.root(size);
    const kept = this.#state.signed;
    // An unchanged head is not signed anew: the file may hold cosignatures.
    const isKept = kept?.text.startsWith(formatCheckpoint({ origin: this.origin, size, root })) === true;
    return { text: isKept ? kept.text : await signOwnCheckpoint({ origin: this.origin, size, root }, signer), size, root };
  }

  async #putCheckpoint(head: SignedHead): Promise<void> {
    await this.#cosigning?.catch(() => undefined);
    if (this.#state.signed?.text !== head.text) await this.#options.disk.writeDerived(`${this.#options.directory}/checkpoint`, Buffer.from(head.text));
    this.#head = head;
    this.#headAt = this.#options.now();
  }

  async cosign(note: string): Promise<boolean> {
    const isOver = (text: string, size: number): boolean => text === formatCheckpoint({ origin: this.origin, size, root: this.root(size) });
    const cosigned = withCosignatures(this.#head.text, note, isOver);
    for (;;) {
      if (this.#closed || this.#failed !== null || this.#head.size !== cosigned.size) return false;
      const busy = this.#cosigning ?? this.#publishing;
      if (busy === null) break;
      await busy.catch(() => undefined);
    }
    const { text } = withCosignatures(this.#head.text, note, isOver);
    if (text === this.#head.text) return true;
    // A head that cannot be replaced stays signed as it was: no reason to end the log.
    this.#cosigning = this.#options.disk.writeDerived(`${this.#options.directory}/checkpoint`, Buffer.from(text))
      .then(() => void (this.#head = { ...this.#head, text }))
      .finally(() => (this.#cosigning = null));
    await this.#cosigning;
    return true;
  }

  /** The same; null where the key cannot be asked: it is asked again. What is durable stays so, and what waits for a checkpoint waits on. */
  async #askForHead(size: number): Promise<SignedHead | null> {
    try {
      const head = await this.#signHead(size);
      this.#keyTrouble = null;
      return head;
    } catch (cause) {
      this.#keyTrouble = cause instanceof Error ? cause : new Error(String(cause));
      this.#headAt = this.#options.now();
      return null;
    }
  }

  /** Signs, with both keys, that one takes over from the other; the checkpoint that covers it is by the new one. */
  async #rotateKey({ signer, actor }: NonNullable<LogOptions['rotateFrom']>): Promise<void> {
    const at = new Date(this.#options.now()).toISOString();
    const draft = await draftRotation({ origin: this.origin, seq: this.size, old: signer, next: this.#options.signer, at, actor });
    this.append([draft]);
    await this.sync();
  }

  /** Starts a base when the last is `every` records old, at a moment when nothing is under way that it would miss. */
  #keepBase(every: number): void {
    const { size } = this;
    // A base may take much room, and is no more than a cache.
    if (this.#space.short !== null) return;
    const isSettled = size === this.#head.size && this.#committing === null && this.#state.erasures.unfinished(this.#state.index).length === 0;
    if (!isSettled || size - this.#base.size < every || this.#basing !== null) return;
    const { turn, settled } = this.#base;
    this.#base = { size, turn: turn + 1, settled };
    const done = { size, segment: this.#state.objectsEnd.segment };
    // A base is a cache: one that can't be written only makes the next opening slower.
    this.#basing = writeBase(this.#options, this.#state, { firstSeq: this.#journalFirstSeq, offset: this.#journal.size }, this.#recent, turn, settled)
      .then(() => void (this.#base = { ...this.#base, settled: done }))
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
      bundles: this.#bundles,
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
    while (this.#head.size < size && this.#failed === null && this.#keyTrouble === null) {
      this.#checkpointWanted = true;
      this.#schedulePublish();
      await (this.#committing ?? this.#publishing);
    }
    // What is left of putting that checkpoint in its place is done by then as well.
    await this.#publishing;
    if (this.#head.size >= size) return;
    this.#assertNotFailed();
    if (this.#keyTrouble !== null) throw asUnwritable(this.#keyTrouble);
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    // A poisoned log has told everyone who waited; closing it only lets go.
    await this.sync().catch((error: unknown) => {
      // What is durable and not signed is signed at the next opening.
      if (this.#failed === null && this.#keyTrouble === null) throw error;
    });
    this.#cancelTimer?.();
    await Promise.all([this.#committing, this.#publishing, this.#cosigning?.catch(() => undefined)]);
    if (this.#failed === null) this.#keepBase(this.#pace.baseEveryClosing);
    await Promise.all([this.#basing, this.#space.idle()]);
    await Promise.allSettled([this.#journal.close(), this.#objectFile?.file.close()]);
    await this.#lock();
  }
}

/** Those that wait for more than durability are told once there is a checkpoint. */
function tell(durable: readonly Unit[]): void {
  for (const unit of durable) if (!unit.checkpoint) unit.resolve();
}

function asUnwritable(cause: unknown): LedgerError {
  if (cause instanceof LedgerError && cause.code === 'unwritable') return cause;
  return new LedgerError('unwritable', `the ledger can't be written: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
}
