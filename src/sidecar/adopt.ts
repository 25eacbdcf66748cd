/**
 * Going on with a new log where no copy of the old one reaches what was signed. Its first record names the old head; what was open there follows,
 * each change with its records and their proofs, and the locks that stood. It is made in a place of its own and moved to its place when it is whole.
 */
import { randomBytes } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import {
  directorySource, formatDigest, generateSignerKey, LedgerError, nodeDisk, openLog, openOwnCheckpoint, parseSigner, parseVerifier, readCheckpoint, stageLog,
  type Disk, type KnownHead, type LedgerSource, type Log, type LogOptions, type OpenedCheckpoint, type LogSigner, type Signer, type Verifier,
} from '../../ledger/index.ts';
import { foldChanges } from '../engine/fold.ts';
import { openStore, type Store } from '../engine/store.ts';
import { systemDraft, systemRecordBodies } from '../evidence/record.ts';
import { formatTime } from '../protocol/values.ts';
import { adoptionsFrom, lockDrafts } from './adoptions.ts';
import { holdData } from './data-lock.ts';
import { takePlace } from './take-place.ts';

export interface AdoptOptions {
  /** Of the new log. */
  readonly origin: string;
  /** The directory that holds `ledger/` and `journal/`. */
  readonly data: string;
  readonly signer: LogSigner;
  /** Signs orders, under the old log's name as well. */
  readonly ticketSigner: Signer;
  /** Its name is the origin of the old log. */
  readonly old: Verifier;
  /** Copies of the old log, beside what is in `data`. */
  readonly sources: readonly LedgerSource[];
  /** What executors have seen of the old log. */
  readonly known: readonly KnownHead[];
  /** Go on with a new log though the old one is whole: its key is not to be used any more. */
  readonly keyLost: boolean;
  readonly nowMs: () => number;
}

export interface Adopted {
  /** The head that was adopted. */
  readonly size: number;
  readonly root: Uint8Array;
  readonly source: string;
  readonly changes: number;
  readonly records: number;
  readonly locks: number;
  /** Heads beyond the adopted one: their records are lost. */
  readonly ahead: readonly KnownHead[];
  /** Directories with what was in `data` before. */
  readonly kept: readonly string[];
}

/** Nothing was changed. */
export class AdoptError extends Error {
  readonly code: 'same-log' | 'already-there' | 'whole';
  constructor(code: AdoptError['code'], message: string) {
    super(message);
    this.name = 'AdoptError';
    this.code = code;
  }
}

const STAGE = '.adopt';

interface Copy {
  readonly source: LedgerSource;
  readonly head: OpenedCheckpoint;
}

/**
 * The new log is in its place, and has adopted the best copy of the old one that holds.
 *
 * @throws AdoptError; LedgerError `locked` while a sidecar runs, `untrusted`, `corrupt`, `forked` or `not-found` as copies are; MalformedRecord: what was
 * there is as it was
 */
export async function adoptLedger(options: AdoptOptions): Promise<Adopted> {
  // Until all is in its place: a sidecar that is started meanwhile must find neither half of it.
  const release = await holdData(nodeDisk(options.data));
  try {
    return await adoptHeld(options);
  } finally {
    await release();
  }
}

async function adoptHeld(options: AdoptOptions): Promise<Adopted> {
  const { data, old, origin, signer, nowMs } = options;
  const isSameKey = Buffer.from(parseVerifier(signer.vkey).publicKey).equals(old.publicKey);
  if (origin === old.name || isSameKey) throw new AdoptError('same-log', `${old.name} would go on under its own name or key, and so fork: a new log has another origin and another key`);
  const disk = nodeDisk(data);
  // Held by whoever has the ledger open without the directory, such as `ledger/` used by itself.
  await (await disk.lock('journal/lock'))();
  const copies = await copiesOf(disk, options);
  const known: KnownHead[] = [...copies.map(({ source, head }) => ({ by: source.name, size: head.size, root: head.root })), ...options.known];
  const stage = join(data, STAGE);
  await rm(stage, { recursive: true, force: true });
  try {
    const best = await stageBest(stage, options, copies, known);
    const ahead = known.filter(({ size }) => size > best.head.size).sort((a, b) => b.size - a.size);
    if (ahead.length === 0 && !options.keyLost) throw new AdoptError('whole', `${best.source.name} has all ${best.head.size} records of ${old.name} that anybody is known to have seen: the log can be restored, and need not be given up`);
    const from = await openStaged(stage, old, nowMs);
    let made: Pick<Adopted, 'changes' | 'records' | 'locks'>;
    try {
      made = await writeNew(nodeDisk(join(stage, 'new')), from, best, ahead, options);
    } finally {
      await from.close();
    }
    // The journal first, which alone is a whole log. After a crash in between, the same command begins anew.
    const kept = await takePlace({ disk, data, made: join(stage, 'new'), parts: ['journal', 'ledger'], left: ['outbox'], suffix: `before-new-log-${nowMs()}` });
    return { size: best.head.size, root: best.head.root, source: best.source.name, ...made, ahead, kept };
  } finally {
    await rm(stage, { recursive: true, force: true });
  }
}

/** Every copy of the old log that is to be had, longest first. @throws AdoptError where the place is another log's; LedgerError `not-found`, `untrusted` */
async function copiesOf(disk: Disk, { old, sources }: AdoptOptions): Promise<Copy[]> {
  const here = await directorySource(disk, 'ledger', 'the ledger here');
  const isHere = here === null ? null : originOf(here.checkpoint);
  if (isHere !== null && isHere !== old.name) throw new AdoptError('already-there', `there is a ledger of ${isHere} already: it is neither replaced nor added to`);
  const copies = [...(here === null ? [] : [here]), ...sources].map((source) => ({ source, head: headOf(source, old) }));
  if (copies.length === 0) throw new LedgerError('not-found', 'there is no copy of the old log to adopt from');
  return copies.sort((a, b) => b.head.size - a.head.size);
}

function originOf(note: string): string {
  try {
    return readCheckpoint(note).origin;
  } catch {
    return 'nobody knows which log';
  }
}

function headOf({ checkpoint, name }: LedgerSource, verifier: Verifier): OpenedCheckpoint {
  try {
    return openOwnCheckpoint(checkpoint, verifier);
  } catch (cause) {
    if (!(cause instanceof LedgerError)) throw cause;
    throw new LedgerError(cause.code, `${name}: ${cause.message}`, { cause });
  }
}

/** The longest copy that holds is in the stage. One that is damaged is passed over: its head is known, and its records are not to be had. */
async function stageBest(stage: string, { old }: AdoptOptions, copies: readonly Copy[], known: readonly KnownHead[]): Promise<Copy> {
  let damage: LedgerError | null = null;
  for (const copy of copies) {
    await rm(stage, { recursive: true, force: true });
    const options = { origin: old.name, disk: nodeDisk(join(stage, 'old')), directory: 'ledger', journal: 'journal' };
    try {
      await stageLog(options, old, copy.source, known.filter(({ size }) => size <= copy.head.size));
      return copy;
    } catch (error) {
      if (!(error instanceof LedgerError) || (error.code !== 'corrupt' && error.code !== 'malformed')) throw error;
      damage ??= error;
    }
  }
  throw damage ?? new LedgerError('not-found', 'there is no copy of the old log to adopt from');
}

/** The staged copy, to be read. Opening signs, with a key that nobody keeps: nothing of the stage outlives this. */
function openStaged(stage: string, old: Verifier, now: () => number): Promise<Log> {
  const signer = parseSigner(generateSignerKey(old.name, new Uint8Array(randomBytes(32))).skey);
  return openLog({ origin: old.name, disk: nodeDisk(join(stage, 'old')), directory: 'ledger', journal: 'journal', signer, now, readAll: true, forReading: true });
}

async function writeNew(disk: Disk, old: Log, { source, head }: Copy, ahead: readonly KnownHead[], options: AdoptOptions): Promise<Pick<Adopted, 'changes' | 'records' | 'locks'>> {
  const { origin, signer, nowMs, ticketSigner } = options;
  const store: Store = await openStore(old, { nowMs, actor: `sidecar:${old.logId}`, random: randomBytes, changed: () => undefined });
  let lastMs = 0;
  for await (const { record } of old.entries(Math.max(0, head.size - 1), head.size)) lastMs = Date.parse(record.at);
  const logOptions: LogOptions = { origin, disk, directory: 'ledger', journal: 'journal', signer, now: nowMs };
  const log = await openLog(logOptions);
  const self = `sidecar:${log.logId}`;
  const atMs = Math.max(nowMs(), lastMs);
  try {
    const { adoptions, changes, records } = await adoptionsFrom(old, await foldChanges(old), head.size, randomBytes);
    const earlier = store.lastOf('ledger.adopted');
    const before = earlier === undefined ? null : systemRecordBodies['ledger.adopted'].parse(earlier);
    const first = systemDraft('ledger.adopted', {
      checkpoint: source.checkpoint, earlier: before === null ? [] : [...before.earlier, before.checkpoint], changes, records,
      ahead: ahead.slice(0, 64).map(({ by, size, root }) => ({ by: by.slice(-255), size, root: formatDigest(root) })),
    }, self, atMs);
    log.append([first.draft]);
    for await (const { change, body, objects, digests } of adoptions) {
      await log.append([{ v: 1, change, type: 'change.adopted', at: formatTime(atMs), actor: self, body, objects: digests }], { objects }).durable;
    }
    const locks = lockDrafts(store.locks(), old.logId, ticketSigner, atMs);
    if (locks.length > 0) log.append(locks);
    await log.sync();
    // What no sidecar could open is not put in anybody's place.
    await openStore(log, { nowMs, actor: self, random: randomBytes, changed: () => undefined });
    return { changes, records, locks: locks.length };
  } finally {
    await log.close();
  }
}
