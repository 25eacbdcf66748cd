/**
 * Snapshots: what the first records of the ledger fold to, kept so that starting need not fold all of them again.
 *
 * A snapshot is a cache, and never believed over the ledger. It is signed with the log's key, so that nobody without it can give the engine another
 * state; it is of one origin, one size and root, and one version of the code that folds. One that is absent, torn, altered or of anything else is
 * thrown away, and the ledger is folded from its start. Two files take turns, so that one is whole while the other is written.
 *
 *     u32 length · JSON header · parts, each as V8 serialises it · 64 bytes Ed25519 over "countersign/snapshot/v1\n" and SHA-256 of all before
 */
import { createHash } from 'node:crypto';
import { deserialize, serialize } from 'node:v8';
import { canonicalBytes, formatDigest, parseVerifier, type Disk, type Log, type LogSigner } from '../../ledger/index.ts';
import type { RecentDump } from '../change/recent.ts';
import type { ChangeState } from '../change/state.ts';
import type { Captured } from './fold.ts';
import type { Logger } from './ports.ts';

/** A new number makes every older snapshot worthless: raise it whenever what is kept changes its meaning. */
const SNAPSHOT_VERSION = 5;
const SIGNATURE_BYTES = 64;
/** Changes in one part: so many are serialised at a time while others wait. */
const PART_CHANGES = 64;
/** Counted changes in one part. */
const PART_COUNTED = 4_096;

/** Where snapshots are kept, and what makes them worth anything. */
export interface SnapshotPlace {
  readonly disk: Disk;
  /** Of the sidecar's own files; not inside the ledger. */
  readonly directory: string;
  /** The log's. */
  readonly signer: LogSigner;
  /** Of the code that folds: the same bytes fold to the same state only by the same code. */
  readonly code: string;
  /** Records after which one is worth its writing: while running, and when closing. */
  readonly every?: { readonly running: number; readonly closing: number };
}

interface Header {
  readonly v: number;
  readonly origin: string;
  readonly size: number;
  readonly root: string;
  readonly code: string;
  /** Bytes of each part. */
  readonly parts: readonly number[];
}

export interface FoundSnapshot {
  readonly size: number;
  readonly turn: number;
  readonly captured: Captured;
}

type HeadedLog = Pick<Log, 'origin' | 'root' | 'durableSize'>;

const pathOf = (directory: string, turn: number): string => `${directory}/snapshot.${turn % 2}`;
const signedText = (digest: Uint8Array): Uint8Array => Buffer.from(`countersign/snapshot/v1\n${formatDigest(digest)}\n`);

/**
 * Writes what was captured when the log had `size` records, all of them durable by now. Nothing waits for it, and a failure leaves the other file.
 *
 * @param turn which of the two files; never the one that holds the newest snapshot
 */
export async function writeSnapshot({ disk, directory, signer, code }: SnapshotPlace, log: HeadedLog, size: number, captured: Captured, turn: number): Promise<void> {
  const { live, recent, ...rest } = captured;
  const counted = inParts(recent);
  const parts: Buffer[] = [serialize({ ...rest, recentParts: counted.length })];
  for (const part of counted) {
    parts.push(serialize(part));
    await Promise.resolve();
  }
  for (let at = 0; at < live.length; at += PART_CHANGES) {
    parts.push(serialize(live.slice(at, at + PART_CHANGES)));
    await Promise.resolve();
  }
  const header: Header = { v: SNAPSHOT_VERSION, origin: log.origin, size, root: formatDigest(log.root(size)), code, parts: parts.map((part) => part.byteLength) };
  const headerBytes = canonicalBytes(header);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(headerBytes.byteLength);
  const all = createHash('sha256');
  const file = await disk.openAppend(pathOf(directory, turn));
  try {
    await file.truncate(0);
    for (const bytes of [Buffer.concat([length, headerBytes]), ...parts]) {
      all.update(bytes);
      await file.append(bytes);
    }
    await file.append(await signer.sign(signedText(all.digest())));
  } finally {
    await file.close();
  }
}

/** Once resolved, neither of the two files is there. */
export async function removeSnapshots({ disk, directory }: SnapshotPlace): Promise<void> {
  for (const turn of [0, 1]) await disk.remove(pathOf(directory, turn));
}

/** The newest snapshot that is whole, signed, and of this very log and code; null when there is none. What is thrown away is logged. */
export async function readSnapshot(place: SnapshotPlace, log: HeadedLog, logger: Pick<Logger, 'warn'> | undefined): Promise<FoundSnapshot | null> {
  const found: { readonly header: Header; readonly bytes: Buffer; readonly turn: number }[] = [];
  for (const turn of [0, 1]) {
    const content = await place.disk.read(pathOf(place.directory, turn)).catch(() => null);
    if (content === null) continue;
    const bytes = Buffer.from(content.buffer, content.byteOffset, content.byteLength);
    const header = openHeader(bytes, place.signer);
    const why = header === null ? 'it is torn, or not signed by the log' : whyNot(header, place, log);
    if (header !== null && why === null) found.push({ header, bytes, turn });
    else logger?.warn({ snapshot: pathOf(place.directory, turn), why }, 'a snapshot is thrown away; the ledger says what it said');
  }
  const [newest] = found.sort((a, b) => b.header.size - a.header.size);
  if (newest === undefined) return null;
  try {
    return { size: newest.header.size, turn: newest.turn, captured: load(newest.header, newest.bytes) };
  } catch (error) {
    // Signed, and of another way of serialising: a cache that cannot be read is none.
    logger?.warn({ snapshot: pathOf(place.directory, newest.turn), why: error instanceof Error ? error.message : String(error) }, 'a snapshot is thrown away; the ledger says what it said');
    return null;
  }
}

function openHeader(bytes: Buffer, signer: LogSigner): Header | null {
  const end = bytes.length - SIGNATURE_BYTES;
  if (end < 4) return null;
  const digest = createHash('sha256').update(bytes.subarray(0, end)).digest();
  if (!parseVerifier(signer.vkey).verify(signedText(digest), bytes.subarray(end))) return null;
  return JSON.parse(bytes.subarray(4, 4 + bytes.readUInt32BE(0)).toString('utf8')) as Header;
}

function whyNot({ v, origin, size, root, code }: Header, place: SnapshotPlace, log: HeadedLog): string | null {
  if (v !== SNAPSHOT_VERSION || code !== place.code) return 'another version of the code has folded it';
  if (origin !== log.origin) return `it is of ${origin}`;
  if (size > log.durableSize) return `it is of ${size} records, and there are ${log.durableSize}`;
  return formatDigest(log.root(size)) === root ? null : `the first ${size} records are others`;
}

function load(header: Header, bytes: Buffer): Captured {
  let at = 4 + bytes.readUInt32BE(0);
  const parts = header.parts.map((length) => deserialize(bytes.subarray(at, (at += length))) as unknown);
  const [{ recentParts, ...rest }, ...others] = parts as [Omit<Captured, 'live' | 'recent'> & { readonly recentParts: number }, ...unknown[]];
  return { ...rest, recent: joined(others.slice(0, recentParts) as RecentPart[]), live: (others.slice(recentParts) as ChangeState[][]).flat() };
}

type Counted = RecentDump extends ReadonlyMap<string, infer Entries> ? Entries : never;
type RecentPart = [string, Counted][];

/** What is counted of late, so much of it at a time. */
function inParts(recent: RecentDump): RecentPart[] {
  const parts: RecentPart[] = [];
  let room = 0;
  for (const [key, entries] of recent) {
    for (let at = 0; at < entries.length;) {
      if (room === 0) {
        parts.push([]);
        room = PART_COUNTED;
      }
      const piece = entries.slice(at, at + room);
      parts.at(-1)!.push([key, piece]);
      at += piece.length;
      room -= piece.length;
    }
  }
  return parts;
}

function joined(parts: readonly RecentPart[]): RecentDump {
  const recent = new Map<string, Counted>();
  for (const [key, piece] of parts.flat()) recent.set(key, [...(recent.get(key) ?? []), ...piece]);
  return recent;
}
