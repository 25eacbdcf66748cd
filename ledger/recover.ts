/**
 * Opening: read the journal whole, hold it to the signed checkpoint, then put right what is derived from it.
 *
 * Nothing is changed before everything has been read and believed. A torn last group is cut only where no checkpoint
 * covers it: nobody was ever told that it is durable.
 */
import { readBase, type Base, type Settled } from './base.ts';
import { readCheckpoint, type ParsedCheckpoint } from './checkpoint.ts';
import type { AppendFile, Disk } from './disk.ts';
import { LedgerError } from './errors.ts';
import { sameBytes } from './hash.ts';
import { journalName, parseJournalName } from './journal.ts';
import type { LogOptions, Recovered } from './log.ts';
import { parseNote, parseVerifier, type LogSigner } from './note.ts';
import { eraseObjects } from './object-store.ts';
import { listFiles } from './publish.ts';
import { beginningOf, type Beginning } from './published.ts';
import { demandAtLeast, DerivedCheck, repairDerived } from './repair.ts';
import { replay, type JournalEnd, type ReplayedGroup, type ReplayState } from './replay.ts';
import { parseTilePath, TILE_WIDTH } from './tiles.ts';

export interface RecoveredLog extends ReplayState {
  readonly journal: AppendFile;
  /** The seq that names the file being appended to. */
  readonly journalFirstSeq: number;
  /** Entries from `recentFrom`, the last multiple of 256 in the log. */
  readonly recent: readonly Uint8Array[];
  readonly recentFrom: number;
  /** Size of the base that was used (0 for none), whose turn it is to be written next, and what need not be settled for that. */
  readonly base: { readonly size: number; readonly turn: number; readonly settled: Settled };
  /** The checkpoint file as it was found, signed by this signer. */
  readonly signed: { readonly text: string; readonly size: number } | null;
  readonly recovered: Recovered | null;
  /** Set where the log is still of the key that `signer` takes over from. */
  readonly rotateFrom: LogOptions['rotateFrom'] | null;
}

/** `keyName`: of the first signature. */
type SignedFile = ParsedCheckpoint & { readonly note: string; readonly bySigner: boolean; readonly byOld: boolean; readonly keyName: string };

/**
 * The log as its journal has it, ready to be written.
 *
 * @throws LedgerError `corrupt` or `rolled-back`, nothing having been changed; `unwritable` when the disk refuses.
 */
export async function recoverLog(options: LogOptions): Promise<RecoveredLog> {
  const signed = await readSigned(options);
  const files = await listFiles(options.disk, options.directory);
  const readNewest = (): ReturnType<typeof readBase> => (signed === null || options.readAll === true ? Promise.resolve(null) : readBase(options, signed.size));
  const found = await readNewest();
  const cut: Cut = { bytes: 0 };
  if (found !== null) {
    const again = async (): Promise<Beginning> => {
      const same = await readNewest();
      if (same?.turn !== found.turn) throw new LedgerError('corrupt', 'the base that was there is not any more');
      return afterBase(same.base);
    };
    const fromBase = await recoverFrom(options, signed, files, afterBase(found.base), again, cut, found.turn + 1, found.base.state.tree.size).catch((error: unknown) => {
      // Whatever a base leads to that is not plain sailing, the whole journal decides.
      if (error instanceof LedgerError && error.code !== 'unwritable') return null;
      throw error;
    });
    if (fromBase !== null) return fromBase;
  }
  return recoverFrom(options, signed, files, await beginningOf(options), () => beginningOf(options), cut, 0);
}

const afterBase = ({ state, journal, recent }: Base): Beginning => ({ state, journal, recent, erased: new Set(), faulty: new Map() });

/** What was cut off the journal since opening began: what comes to nothing after it has cut leaves nothing torn for the next to find. */
interface Cut {
  bytes: number;
}

/**
 * @param again what `start` was, which is moved past the journal here: for putting right what is derived from it.
 * @param baseSize whose tiles are known to be right, and what is before which has not been looked at; 0 where there is no base.
 */
async function recoverFrom(
  options: LogOptions, signed: SignedFile | null, files: readonly string[], start: Beginning, again: () => Promise<Beginning>, cut: Cut, turn: number, baseSize = 0,
): Promise<RecoveredLog> {
  const { disk, directory, journal } = options;
  const { state } = start;
  const from = state.tree.size;
  const objectsFrom = state.objectsEnd;
  let recent = [...start.recent];
  const check = new DerivedCheck(disk, directory, { recent, recentFrom: from - recent.length, objectsEnd: state.objectsEnd });
  const erasedInJournal = new Set(start.erased);
  const faulty = new Map(start.faulty);
  let last: ReplayedGroup | null = null;

  const groups = replay(disk, journal, state, start.journal);
  let step = await groups.next();
  for (; step.done !== true; step = await groups.next()) {
    last = step.value;
    recent.push(...last.entries);
    await check.group(last);
    for (const { object } of last.objects) {
      if (object.fault !== null) faulty.set(object.digest, last.firstSeq);
      else if (object.erased) erasedInJournal.add(object.digest);
    }
    recent = recent.slice(Math.max(0, recent.length - (state.tree.size % TILE_WIDTH)));
  }
  const end = step.value;
  checkErased(state, faulty, erasedInJournal);
  checkAgainstSigned(state, signed, end);
  checkAgainstPublished(state, files);
  const rotateFrom = keyBefore(options, state, signed);
  const faults = await check.finish(state);

  if (faults.segments.has(objectsFrom.segment)) await demandAtLeast(options, objectsFrom);

  const file = await openJournal(disk, journal, end, cut);
  try {
    // The kernel may hold pages of a failed sync that never reached the disk and say they are clean: write the unsigned again.
    if (last !== null && end.path === last.path && state.tree.size > (signed?.size ?? 0)) await disk.overwrite(last.path, last.offset, last.bytes);
    await repairDerived(options, state, faults, files, { from: baseSize, again });
    await finishErasures(options, state, erasedInJournal);
  } catch (error) {
    await file.close().catch(() => undefined);
    throw error;
  }
  const { size } = state.tree;
  return {
    ...state,
    journal: file,
    journalFirstSeq: end.path === null ? 0 : (parseJournalName(end.path.slice(journal.length + 1)) ?? 0),
    recent,
    recentFrom: size - recent.length,
    base: { size: baseSize, turn, settled: { size: baseSize, segment: baseSize > 0 ? objectsFrom.segment : 0 } },
    signed: signed?.bySigner === true || (signed?.byOld === true && rotateFrom !== null) ? { text: signed.note, size: signed.size } : null,
    recovered: cut.bytes > 0 ? { bytesCut: cut.bytes, size } : null,
    rotateFrom,
  };
}

/** The checkpoint file, where it can be believed to be ours. A torn one, or one whose signature fails, is as good as none: it can be signed again. */
async function readSigned({ disk, directory, signer, rotateFrom, origin }: LogOptions): Promise<SignedFile | null> {
  const bytes = await disk.read(`${directory}/checkpoint`);
  if (bytes === null) return null;
  const note = Buffer.from(bytes).toString('utf8');
  let checkpoint: ParsedCheckpoint & { readonly text: string };
  try {
    checkpoint = readCheckpoint(note);
  } catch {
    return null;
  }
  const { signatures } = parseNote(note);
  /** Whether it has signed: null for a signature that does not hold. */
  const isBy = (key: LogSigner | undefined): boolean | null => {
    const own = signatures.find(({ keyName }) => keyName === key?.keyName);
    return key === undefined || own === undefined ? false : parseVerifier(key.vkey).verify(Buffer.from(checkpoint.text), own.signature) || null;
  };
  const [bySigner, byOld] = [isBy(signer), isBy(rotateFrom?.signer)];
  if (bySigner === null || byOld === null) return null;
  if (checkpoint.origin !== origin) throw new LedgerError('corrupt', `${directory} is the ledger of ${checkpoint.origin}, not of ${origin}`);
  return { ...checkpoint, note, bySigner, byOld, keyName: signatures[0]!.keyName };
}

/** The key to take over from; null where the log is of `signer` already, or signed by nobody yet. @throws LedgerError `untrusted` where it is another's */
function keyBefore({ signer, rotateFrom, forReading }: LogOptions, { logKey, tree: { size } }: ReplayState, signed: SignedFile | null): LogOptions['rotateFrom'] | null {
  if (forReading === true) return null;
  if (logKey === signer.vkey || (logKey === null && signed?.bySigner === true)) return null;
  const isOld = logKey === null ? signed?.byOld === true : logKey === rotateFrom?.signer.vkey;
  if (isOld && rotateFrom !== undefined) return rotateFrom;
  // No checkpoint that can be read: whose the log is only the operator knows.
  if (logKey === null && signed === null) return (size > 0 ? rotateFrom : null) ?? null;
  const of = logKey === null ? signed!.keyName : parseVerifier(logKey).keyName;
  throw new LedgerError('untrusted', `the log is of the key ${of}, and this is ${signer.keyName}: signed with both, a record has to say that the one takes over from the other`);
}

function checkErased(state: ReplayState, faulty: ReadonlyMap<string, number>, erased: ReadonlySet<string>): void {
  for (const [digest, seq] of faulty) {
    if (!state.erasures.has(digest)) throw new LedgerError('corrupt', `object ${digest}, stored with record ${seq} or soon after, is altered`, { seq });
  }
  for (const digest of erased) {
    if (!state.erasures.has(digest)) throw new LedgerError('corrupt', `object ${digest} is erased, and no erasure record names it`);
  }
}

function checkAgainstSigned(state: ReplayState, signed: SignedFile | null, end: JournalEnd): void {
  const { size } = state.tree;
  if (signed === null) return;
  if (size < signed.size) {
    const found = end.torn > 0 ? `${size} whole records` : `${size} records`;
    throw new LedgerError('rolled-back', `the journal has ${found}, and a checkpoint was signed for ${signed.size}: record ${size} is the first that is gone`, { seq: size });
  }
  if (!sameBytes(state.tree.root(signed.size), signed.root)) {
    throw new LedgerError('corrupt', `the first ${signed.size} records of the journal are not those that the checkpoint was signed for`);
  }
}

/** Bundles are written only once their records are durable: one past the journal's end is what is left of records that it has lost. */
function checkAgainstPublished({ tree: { size } }: ReplayState, files: readonly string[]): void {
  const published = Math.max(0, ...files.map(parseTilePath).map((tile) => (tile?.level === null ? tile.index * TILE_WIDTH + tile.width : 0)));
  if (published > size) {
    throw new LedgerError('rolled-back', `the journal has ${size} records, and ${published} were published: record ${size} is the first that is gone`, { seq: size });
  }
}

async function openJournal(disk: Disk, journal: string, end: JournalEnd, cut: Cut): Promise<AppendFile> {
  const file = await disk.openAppend(end.path ?? `${journal}/${journalName(0)}`);
  if (end.torn > 0) await file.truncate(end.offset);
  cut.bytes += end.torn;
  return file;
}

/** @param done erased in the journal already, so everywhere else as well */
async function finishErasures(options: LogOptions, { erasures, index }: ReplayState, done: ReadonlySet<string>): Promise<void> {
  erasures.finished(done);
  const unfinished = erasures.unfinished(index);
  try {
    if (unfinished.length > 0) await eraseObjects(options, index, unfinished);
    erasures.finished(unfinished);
  } catch (error) {
    // What has to end does not wait for an archive: they stay unfinished. Whoever gives up the journal has no other place that says so, and waits.
    if (options.readAll === true || !(error instanceof LedgerError) || error.code !== 'archived') throw error;
  }
}
