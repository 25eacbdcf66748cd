/**
 * The disk port: all that the ledger asks of a file system, small enough to be simulated with crashes at every await.
 *
 * Paths are relative to one root and '/'-separated. Failures reject; the ledger turns them into its own errors.
 */
export interface Disk {
  /** The whole file; null when it is not there. One of more than `max` bytes may come cut to its first `max + 1`. */
  read(path: string, max?: number): Promise<Uint8Array | null>;
  /** Exactly `length` bytes from `start`; rejects when the file is not there or shorter. */
  readRange(path: string, start: number, length: number): Promise<Uint8Array>;
  /** Bytes in the file; null when it is not there. */
  size(path: string): Promise<number | null>;
  /** Opens for appending; a file that was not there is created, and its directory entry synced. */
  openAppend(path: string): Promise<AppendFile>;
  /** Replaces the file whole (temp + rename) without fsync: for what can be rebuilt. After a crash it may be the old file, torn, or gone. */
  writeDerived(path: string, bytes: Uint8Array): Promise<void>;
  /** Replaces the file whole; once resolved it survives a crash (temp + fsync + rename + fsync of the directory). */
  writeDurable(path: string, bytes: Uint8Array): Promise<void>;
  /** Overwrites bytes inside the file, in place, and syncs them. Rejects when the range is not inside the file. */
  overwrite(path: string, start: number, bytes: Uint8Array): Promise<void>;
  /** Names of files and directories in `directory`, sorted, directories with a trailing '/'; [] when it is not there. */
  list(directory: string): Promise<string[]>;
  /** Removes a file; nothing happens when it is not there. */
  remove(path: string): Promise<void>;
  /** Once resolved, those of the files that are there survive a crash as they are, with their names (fsync of each, then of each directory). */
  settle(paths: readonly string[]): Promise<void>;
  /** Bytes that can still be written; Infinity where nobody can tell. At once, since what it decides is decided at once. */
  free(): number;
  /** What tells this very directory from a copy of it: the same after a reboot, a remount or a move inside its file system. Null where the file system gives nothing of the kind. */
  placeOf(directory: string): Promise<string | null>;
  /**
   * Takes the lock that `path` names. A lock whose holder is known to be gone is taken over.
   *
   * @throws LedgerError `locked` while another holds it.
   */
  lock(path: string): Promise<Held>;
}

/** A lock that is held; calling it lets go. */
export interface Held {
  (): Promise<void>;
  /** Resolves while the lock is still this one. @throws LedgerError `unwritable` once it was removed or taken over: another may be writing */
  check(): Promise<void>;
}

/** What verification asks of a disk: to be read. */
export type EvidenceDisk = Pick<Disk, 'read' | 'readRange' | 'size' | 'list'>;

/** What stands in a ledger folder is nothing that could be evidence: a link to somewhere else, a pipe, a device, or names without end. */
export class NotEvidence extends Error {
  readonly path: string;
  constructor(path: string, what: string) {
    super(`${path} is ${what}`);
    this.name = 'NotEvidence';
    this.path = path;
  }
}

export interface AppendFile {
  /** Bytes in the file, as far as this handle has written it. */
  readonly size: number;
  /** Appends all of `bytes` or rejects; a short write rejects. Not durable before `sync`. */
  append(bytes: Uint8Array): Promise<void>;
  /** Once resolved, everything appended survives a crash (fdatasync). */
  sync(): Promise<void>;
  truncate(size: number): Promise<void>;
  close(): Promise<void>;
  /** Resolves while the path still names this very file, of the size expected: a file deleted under an open handle takes writes for ever. */
  check(): Promise<void>;
}
