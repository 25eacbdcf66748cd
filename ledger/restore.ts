/**
 * Making a ledger again, byte for byte, from what was kept of it elsewhere.
 *
 * Nothing that comes from there is believed: each record must be the next of its chains, each object what its digest says, and all of it
 * what this log's own key has signed. Only then is a checkpoint put beside it; until then what was written is no ledger of anything.
 */
import { formatBase64 } from './base64.ts';
import { ChainHeads } from './chain.ts';
import { openOwnCheckpoint, type OpenedCheckpoint } from './checkpoint.ts';
import type { AppendFile, EvidenceDisk } from './disk.ts';
import { LedgerError } from './errors.ts';
import { sameBytes } from './hash.ts';
import { encodeGroup, JOURNAL_SEGMENT_BYTES, journalName } from './journal.ts';
import { openLog, type LogOptions, type SignedHead } from './log.ts';
import { leafHash, MerkleTree } from './merkle.ts';
import { parseVerifier, type Verifier } from './note.ts';
import { Erasures } from './object-store.ts';
import { decodeObject, payloadFault, segmentPath, type StoredObject } from './objects.ts';
import { decodeRecord, type LedgerRecord } from './record.ts';
import { bundlePath, decodeBundle, TILE_WIDTH } from './tiles.ts';

/** Entries that follow on from those of the part before, and every object that one of them is the first to name, in the order of naming. */
export interface LedgerPart {
  readonly entries: readonly Uint8Array[];
  readonly objects: readonly StoredObject[];
}

export interface LedgerSource {
  /** As a person calls it. */
  readonly name: string;
  /** A signed note; its records are the parts, no more and no less. */
  readonly checkpoint: string;
  parts(): AsyncIterable<LedgerPart>;
}

type StageOptions = Pick<LogOptions, 'origin' | 'disk' | 'directory' | 'journal'>;

/** A head of the log that somebody has seen. */
export interface KnownHead {
  /** Who, as a person calls it. */
  readonly by: string;
  readonly size: number;
  readonly root: Uint8Array;
}

/**
 * The ledger that `source` tells, written into an empty place and closed again; its checkpoint is the source's.
 *
 * @throws LedgerError `untrusted`: the checkpoint is not signed with the log's key; `rolled-back`: the source ends before one of `known`;
 * `forked`: one of `known` is of another history; `corrupt` naming the first record that is not what was signed, or whose object is missing;
 * `unwritable`: the place is not empty, or the disk refuses. What was written by then is to be thrown away.
 */
export async function restoreLog(options: LogOptions, source: LedgerSource, known: readonly KnownHead[] = []): Promise<SignedHead> {
  await stageLog(options, parseVerifier(options.signer.vkey), source, known);
  // Opening makes everything else from the journal, and holds it to the checkpoint once more.
  const log = await openLog({ ...options, readAll: true });
  const head = log.checkpoint();
  await log.close();
  return head;
}

/** The same without opening it, which would sign: of a log whose own key need not be at hand. */
export async function stageLog(options: StageOptions, verifier: Verifier, source: LedgerSource, known: readonly KnownHead[] = []): Promise<void> {
  const { disk, directory, journal } = options;
  for (const path of [directory, journal]) if ((await disk.list(path)).length > 0) throw new LedgerError('unwritable', `${path} is not empty: nothing is overwritten`);
  const checkpoint = checkpointOf(options, verifier, source);
  for (const { by, size } of known) {
    if (size > checkpoint.size) throw new LedgerError('rolled-back', `${by} has seen ${size} records, and ${source.name} has ${checkpoint.size}: record ${checkpoint.size} is the first that is gone`, { seq: checkpoint.size });
  }
  const tree = await writeJournal(options, source, checkpoint);
  if (!sameBytes(tree.root(), checkpoint.root)) throw new LedgerError('corrupt', `the ${checkpoint.size} records of ${source.name} are not those that its checkpoint was signed for`);
  for (const { by, size, root } of known) {
    if (!sameBytes(tree.root(size), root)) throw forked(source.name, by, size, tree.root(size), root);
  }
  await disk.writeDurable(`${directory}/checkpoint`, Buffer.from(source.checkpoint));
}

function forked(name: string, by: string, size: number, there: Uint8Array, seen: Uint8Array): LedgerError {
  return new LedgerError('forked', `two histories of one log: the first ${size} records have root ${formatBase64(there)} in ${name}, and ${formatBase64(seen)} by ${by}`);
}

function checkpointOf({ origin }: StageOptions, verifier: Verifier, source: LedgerSource): OpenedCheckpoint {
  const checkpoint = openOwnCheckpoint(source.checkpoint, verifier);
  if (checkpoint.origin !== origin) throw new LedgerError('untrusted', `${source.name} is of ${checkpoint.origin}, not of ${origin}`);
  return checkpoint;
}

async function writeJournal({ disk, journal }: StageOptions, source: LedgerSource, { size }: OpenedCheckpoint): Promise<MerkleTree> {
  const check = new PartCheck(source.name);
  let file: AppendFile | null = null;
  try {
    for await (const part of source.parts()) {
      if (part.entries.length === 0) continue;
      const firstSeq = check.tree.size;
      check.take(part);
      if (check.tree.size > size) throw new LedgerError('corrupt', `${source.name} goes on after the ${size} records of its checkpoint`, { seq: size });
      if (file !== null && file.size >= JOURNAL_SEGMENT_BYTES) {
        await closeSynced(file);
        file = null;
      }
      file ??= await disk.openAppend(`${journal}/${journalName(firstSeq)}`);
      await file.append(encodeGroup({ firstSeq, root: check.tree.root(), ...part }));
    }
    if (file !== null) await file.sync();
  } finally {
    await file?.close();
  }
  check.finish(size);
  return check.tree;
}

async function closeSynced(file: AppendFile): Promise<void> {
  await file.sync();
  await file.close();
}

/** Follows the parts and refuses the first that does not go on from those before it. */
class PartCheck {
  readonly tree = new MerkleTree();
  readonly #heads = new ChainHeads();
  readonly #erasures = new Erasures();
  readonly #placed = new Set<string>();
  /** Objects that came erased; a later record must say so. */
  readonly #erased = new Map<string, number>();
  readonly #name: string;

  constructor(name: string) {
    this.#name = name;
  }

  take({ entries, objects }: LedgerPart): void {
    const named: string[] = [];
    const seq = this.tree.size;
    for (const bytes of entries) named.push(...this.#takeEntry(bytes));
    if (named.length !== objects.length || named.some((digest, i) => objects[i]!.digest !== digest)) {
      const missing = named.find((digest, i) => objects[i]?.digest !== digest) ?? 'none';
      throw new LedgerError('corrupt', `${this.#name} does not hold object ${missing}, which record ${seq} or one soon after it names`, { seq });
    }
    for (const object of objects) {
      const fault = object.payload.byteLength === 0 ? `object ${object.digest} is empty` : payloadFault(object);
      if (fault !== null) throw new LedgerError('corrupt', `${this.#name}: ${fault}`, { seq });
      if (object.erased) this.#erased.set(object.digest, seq);
    }
  }

  /** Digests that this entry is the first to name. */
  #takeEntry(bytes: Uint8Array): string[] {
    const seq = this.tree.size;
    let record: LedgerRecord;
    try {
      record = decodeRecord(bytes);
    } catch (cause) {
      throw new LedgerError('corrupt', `record ${seq} of ${this.#name} is not a record`, { seq, cause });
    }
    const fault = this.#heads.faultOf(record);
    if (fault !== null) throw new LedgerError('corrupt', `record ${seq} of ${this.#name} is not the next of its chain: ${fault}`, { seq });
    const leaf = leafHash(bytes);
    this.#heads.advance(record, leaf);
    this.tree.append(leaf);
    this.#erasures.note(record);
    const fresh = record.objects.filter((digest) => !this.#placed.has(digest));
    for (const digest of fresh) this.#placed.add(digest);
    return fresh;
  }

  finish(size: number): void {
    const seq = this.tree.size;
    if (seq < size) throw new LedgerError('corrupt', `${this.#name} ends before record ${seq}, and its checkpoint was signed for ${size}`, { seq });
    for (const [digest, at] of this.#erased) {
      if (!this.#erasures.has(digest)) throw new LedgerError('corrupt', `${this.#name} does not hold object ${digest}, and no erasure record names it`, { seq: at });
    }
  }
}

/** A copy of a ledger's directory as a source; null where there is none. @throws LedgerError `malformed` where a file is not what the format says */
export async function directorySource(disk: EvidenceDisk, directory: string, name: string): Promise<LedgerSource | null> {
  const note = await disk.read(`${directory}/checkpoint`);
  if (note === null) return null;
  const checkpoint = Buffer.from(note).toString('utf8');
  return { name, checkpoint, parts: () => partsOf(disk, directory, sizeOf(checkpoint)) };
}

function sizeOf(checkpoint: string): number {
  return Number(checkpoint.split('\n')[1]);
}

/** Bundle by bundle; objects are read in the order in which they stand, which is that of naming. */
async function* partsOf(disk: EvidenceDisk, directory: string, size: number): AsyncGenerator<LedgerPart> {
  const placed = new Set<string>();
  let segment = 0;
  let offset = 0;
  let bytes = await disk.read(`${directory}/${segmentPath(0)}`);
  const nextObject = async (): Promise<StoredObject | null> => {
    if (bytes !== null && offset >= bytes.byteLength) {
      segment += 1;
      offset = 0;
      bytes = await disk.read(`${directory}/${segmentPath(segment)}`);
    }
    if (bytes === null) return null;
    const { object, next } = decodeObject(bytes, offset);
    offset = next;
    return object;
  };
  for (let first = 0; first < size; first += TILE_WIDTH) {
    const width = Math.min(TILE_WIDTH, size - first);
    const path = `${directory}/${bundlePath(first / TILE_WIDTH, width)}`;
    const bundle = await disk.read(path);
    if (bundle === null) throw new LedgerError('corrupt', `${path}, which holds record ${first}, is not there; if it was moved to an archive, it takes that as well`, { seq: first });
    const entries = decodeBundle(bundle);
    const objects: StoredObject[] = [];
    for (const entry of entries) {
      for (const digest of decodeRecord(entry).objects) {
        if (placed.has(digest)) continue;
        placed.add(digest);
        const object = await nextObject();
        if (object !== null) objects.push(object);
      }
    }
    yield { entries, objects };
  }
}
