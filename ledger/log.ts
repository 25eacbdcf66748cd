/** The log port: what the rest of the system may ask of a ledger it writes. */
import { overArchives } from './archives.ts';
import type { Disk } from './disk.ts';
import type { LedgerError } from './errors.ts';
import type { LogSigner } from './note.ts';
import type { StoredObject } from './objects.ts';
import type { LedgerRecord, RecordDraft } from './record.ts';
import { checkPlace, takePlaceOf } from './place.ts';
import { recoverLog } from './recover.ts';
import { Space } from './space.ts';
import type { ChangeHeads } from './verify-heads.ts';
import { LogWriter } from './writer.ts';

export interface Appended {
  readonly seq: number;
  /** The entry, exactly as it is hashed and stored. */
  readonly bytes: Uint8Array;
  readonly leaf: Uint8Array;
  readonly record: LedgerRecord;
}

export interface Appending {
  readonly records: readonly Appended[];
  /**
   * Resolves once the records are durable (and, where a checkpoint was asked for, covered by one signed and on disk).
   * Rejects with LedgerError `unwritable`: whether they will be found after a restart is not known.
   */
  readonly durable: Promise<void>;
}

export interface AppendOptions {
  /** Payloads of the objects that the drafts name and that are not stored yet. */
  readonly objects?: readonly Uint8Array[];
  /** Whether `durable` waits for a checkpoint that covers the records. */
  readonly checkpoint?: boolean;
  /** Takes back what was given, or says what became of it: it may use the room that is kept for that. */
  readonly reserved?: boolean;
}

export interface InclusionProof {
  readonly index: number;
  readonly size: number;
  readonly hashes: Uint8Array[];
}

export interface SignedHead {
  /** The signed note. */
  readonly text: string;
  readonly size: number;
  readonly root: Uint8Array;
}

/** What opening cut off: a last group that was torn by a crash before anyone was told of it. */
export interface Recovered {
  readonly bytesCut: number;
  /** Records that stand. */
  readonly size: number;
}

export interface Log {
  readonly origin: string;
  /** First 16 hex digits of SHA-256(origin). */
  readonly logId: string;
  /** Records sequenced; those past `durableSize` may yet be lost. */
  readonly size: number;
  readonly durableSize: number;
  /** Why nothing can be appended any more; null while it can. */
  readonly failed: LedgerError | null;
  /** Why the newest records are not signed yet, where the log's key cannot be asked; null while it can. They are durable; who waits for a checkpoint waits. */
  readonly keyTrouble: Error | null;
  /** Why only what is `reserved` can be appended now; null while there is room. It passes by itself. */
  readonly full: LedgerError | null;
  /** Set when opening cut a torn group: the caller's first record says so. */
  readonly recovered: Recovered | null;
  /**
   * Sequences the drafts, all or none: seq, chains and leaf are settled when this returns.
   *
   * @throws LedgerError `unwritable`, `full`, `malformed`, `too-large` or `missing-object`; then nothing was sequenced.
   */
  append(drafts: readonly RecordDraft[], options?: AppendOptions): Appending;
  /** The durable records `from` … `to` (exclusive; default: all there are when asked for), in order. @throws LedgerError `corrupt` naming the record whose stored bytes are altered. */
  entries(from: number, to?: number): AsyncIterable<Appended>;
  /** The payload that `digest` names; null once erased. @throws LedgerError `not-found`, or `corrupt`. */
  object(digest: string): Promise<Uint8Array | null>;
  /** The object as it is stored: erased, its payload is as long as it was, and zero. @throws LedgerError `not-found`, or `corrupt`. */
  stored(digest: string): Promise<StoredObject>;
  /** Zeroes objects that durable `erasure` records name in `body.erased`, in every place they are in. @throws LedgerError `not-found` when none names one; then nothing was erased; `archived` where an archive may have one and is not reached: that one was erased nowhere, and is when it is asked for again, or at the next opening that reaches all of them */
  erase(digests: readonly string[]): Promise<void>;
  /** @param size default: that of the latest checkpoint. @throws LedgerError `not-found` for what is not durable. */
  prove(index: number, size?: number): InclusionProof;
  /** @throws LedgerError `not-found` for what is not durable. */
  proveConsistency(from: number, to: number): Uint8Array[];
  /** The root of the first `size` records. @throws LedgerError `not-found` for what is not durable. */
  root(size: number): Uint8Array;
  /** Which record is the last of each change, of all that is sequenced: the body of a `ledger.heads` record that is appended before anything else is. */
  changeHeads(): ChangeHeads;
  /** The latest signed checkpoint that is on disk. */
  checkpoint(): SignedHead;
  /**
   * Puts cosignatures on the checkpoint: `note` is this log's own, of any size, with cosignature lines that the caller has verified. Resolves true once
   * the checkpoint on disk carries them; false where it has moved on, and then nothing is changed.
   *
   * @throws LedgerError `malformed`: no note of a head of this log; `not-found` for what is not durable; what the disk throws: the checkpoint is as it was
   */
  cosign(note: string): Promise<boolean>;
  /** Once resolved, all that was sequenced before is durable; a checkpoint that covers it follows within a second. @throws LedgerError `unwritable`. */
  durable(): Promise<void>;
  /** Once resolved, all that was sequenced before is durable and covered by the checkpoint on disk. @throws LedgerError `unwritable`. */
  sync(): Promise<void>;
  /** From now on nothing is appended, and what waits is told so: for whoever learns that this log must not go on. What is durable can still be read. */
  refuse(cause: LedgerError): void;
  /** Syncs unless poisoned, and releases the lock. Later appends throw. */
  close(): Promise<void>;
}

/** Runs `callback` once after `delayMs`; returns how to call it off. */
export type SetTimer = (callback: () => void, delayMs: number) => () => void;

export interface LogOptions {
  readonly origin: string;
  readonly disk: Disk;
  /** Path of the ledger proper, such as `ledger`. */
  readonly directory: string;
  /** Path of the writer's own files, such as `journal`; not inside `directory`. */
  readonly journal: string;
  /** The log's key. Where the log is of another key, and `rotateFrom` is not that: it is not opened. */
  readonly signer: LogSigner;
  /** The key that `signer` takes over from: opening a log that is still its then records `key.rotated`. */
  readonly rotateFrom?: { readonly signer: LogSigner; readonly actor: string };
  /** Opens a copy of a log whose key is not at hand, to read it: signed with `signer`, it is no log of anything. */
  readonly forReading?: boolean;
  /** Epoch milliseconds. */
  readonly now: () => number;
  readonly setTimer?: SetTimer;
  /** Read the journal from its very start, even where a base would make that unnecessary: every byte of it is checked, and every derived file. */
  readonly readAll?: boolean;
  readonly pace?: LogPace;
  /** Opens an archive, by the path that it was written to under: what `archiveLedger` has moved is read there. Left out: what was moved cannot be read. */
  readonly archive?: (directory: string) => Disk;
  /** Bytes of the disk that are kept for appends that are `reserved`; left out: none. */
  readonly reserveBytes?: number;
  /** Opens though the writer's files are a copy: for whoever puts on record that this is meant, and takes the place then. */
  readonly acceptCopy?: boolean;
}

/** How often what keeps opening short is done. */
export interface LogPace {
  /** Records after which a base is worth its writing: while running, and when closing. */
  readonly baseEveryRunning: number;
  readonly baseEveryClosing: number;
  /** Bytes after which the journal goes on in a new file. */
  readonly journalFileBytes: number;
}

const nodeTimer: SetTimer = (callback, delayMs) => {
  const timer = setTimeout(callback, delayMs).unref();
  return () => clearTimeout(timer);
};

/**
 * The log in `directory`, recovered: its journal read and checked, derived files put right, a checkpoint signed that covers it.
 *
 * @throws LedgerError `locked`; `copied`; `corrupt` naming the first bad record; `rolled-back`: the journal ends before the signed
 * checkpoint; `untrusted`: the log is of another key; `archived`: all of it must be read, and a part is in an archive that cannot be. In all these nothing was cut or changed. `unwritable` when the disk refuses, or the key cannot be asked.
 */
export async function openLog(options: LogOptions): Promise<Log> {
  // Before the lock: that of the original may have been copied with the rest.
  const isKnown = options.acceptCopy === true || (await checkPlace(options));
  const lock = await options.disk.lock(`${options.journal}/lock`);
  try {
    if (!isKnown) await takePlaceOf(options);
    const own = { ...options, disk: await overArchives(options) };
    const found = await recoverLog(own);
    const space = await Space.open(own, options.reserveBytes ?? 0);
    return await LogWriter.start({ ...own, setTimer: options.setTimer ?? nodeTimer }, found, { lock, space });
  } catch (error) {
    await lock();
    throw error;
  }
}
