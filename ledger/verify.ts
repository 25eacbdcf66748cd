/**
 * Verification: what a ledger directory proves to someone who brings their own trust policy, and what it does not.
 *
 * Needs no network, clock, key or rule from the evidence itself. Every byte under the directory is covered: records by
 * their leaves, leaves by tiles and root, the root by the checkpoint's signature, objects by the records that name
 * them; and a file that none of these account for is itself a failure.
 */
import { AnchorWalk, witnessedTimes, type AnchorResult } from './anchors.ts';
import type { BundleChecker } from './check-bundle.ts';
import { openCheckpoint, readCheckpoint, type Checkpoint, type OpenedCheckpoint } from './checkpoint.ts';
import { NotEvidence, type EvidenceDisk } from './disk.ts';
import { LedgerError } from './errors.ts';
import { isEmptyFolder, objectFilesOf } from './evidence-files.ts';
import { sameBytes } from './hash.ts';
import { NOTE_BYTES_MAX } from './note.ts';
import type { LedgerRecord } from './record.ts';
import type { TrustPolicy } from './trust-policy.ts';
import { Finding, type Verdict } from './verdict.ts';
import { RecordedKeys } from './verify-keys.ts';
import { ObjectWalk } from './verify-objects.ts';
import { passRecords, type PassResult } from './verify-records.ts';

/** Readings of a ledger that is being written meanwhile. */
const READINGS_MAX = 5;
/** Between the first file that a new checkpoint covers and the last that it does not, a writer takes milliseconds, and on a busy machine more. */
const PAUSE_MS = 500;

/** Rules about what the records mean, which the ledger itself does not know. */
export interface RuleSet {
  /** Names of the verdicts that `finish` gives, in order. */
  readonly names: readonly string[];
  /** Takes the next record, in order. `readObject` gives what an object named so far holds; null once erased; at once where it came with this record. */
  record(record: LedgerRecord, readObject: (digest: string) => Promise<Uint8Array | null> | Uint8Array | null): void | Promise<void>;
  /** Called once, only when all records were given and hold. */
  finish(): readonly Verdict[] | Promise<readonly Verdict[]>;
}

export interface VerifyOptions {
  readonly disk: EvidenceDisk;
  readonly directory: string;
  /** The auditor's own; null when there is none, and then nobody's signature is believed. */
  readonly trust: TrustPolicy | null;
  /** An older checkpoint that the auditor kept: a signed note. */
  readonly pinned?: string | null;
  /** Records that there must at least be. */
  readonly minSize?: number;
  /** Makes the rules for the log of that origin, and the checkpoint that is read up to; called again when a reading starts anew. */
  readonly rules?: (origin: string, claimed: Checkpoint) => RuleSet;
  readonly progress?: (done: number, size: number) => void;
  readonly signal?: AbortSignal;
  /** Checks bundles elsewhere, such as in other threads, ahead of what is verified here. What is found is the same without it. */
  readonly checker?: BundleChecker;
  /**
   * Waits before a ledger that failed is read once more. A writer puts files in their places one by one: for a moment there is more in the folder than
   * its checkpoint accounts for. Default: half a second. Null for a folder that nobody can be writing, which is read once.
   */
  readonly pause?: (() => Promise<void>) | null;
}

export interface Verification {
  /** In the order in which they are printed. */
  readonly verdicts: readonly Verdict[];
  /** What `NOT PROVEN` lists, an item each. */
  readonly notProven: readonly string[];
  /** What was verified; null where there is no checkpoint to read. */
  readonly head: { readonly origin: string; readonly size: number; readonly root: Uint8Array; readonly keyName: string | null } | null;
  readonly objects: { readonly count: number; readonly erased: number };
  /** `at` of the first and last record. */
  readonly firstAt: string | null;
  readonly lastAt: string | null;
}

/**
 * What holds of the ledger in `directory`. Faults of the evidence are verdicts, never errors.
 *
 * @throws what the disk throws; LedgerError `malformed` or `untrusted` for a `pinned` checkpoint that is itself no good;
 * the reason of `signal` once it is aborted.
 */
export async function verifyLedger(options: VerifyOptions): Promise<Verification> {
  const { pause = () => new Promise<void>((resolve) => void setTimeout(resolve, PAUSE_MS)) } = options;
  let before: string | undefined;
  for (let reading = 1; ; reading++) {
    const note = await readNote(options);
    const verification = await verifyOnce(options, note);
    const failing = verification.verdicts.filter(({ name, status }) => (name === 'INTEGRITY' || name === 'COMPLETENESS') && status === 'fails');
    if (failing.length === 0 || reading === READINGS_MAX) return verification;
    const fault = failing.find(({ name }) => name === 'INTEGRITY')?.message;
    // A ledger that is being written moves on under a slow reader. One that is not reads the same twice.
    if (note === (await readNote(options))) {
      if (fault === undefined || fault === before || pause === null) return verification;
      await pause();
    }
    before = fault;
  }
}

async function readNote({ disk, directory }: VerifyOptions): Promise<string | null> {
  const bytes = await disk.read(`${directory}/checkpoint`, NOTE_BYTES_MAX).catch((error: unknown) => {
    if (error instanceof NotEvidence) return null;
    throw error;
  });
  return bytes === null ? null : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
}

export interface Signed {
  readonly claimed: Checkpoint | null;
  /** Set once the trust policy accepts it. */
  readonly opened: OpenedCheckpoint | null;
  readonly verdict: Verdict;
}

/** Whose signature the checkpoint has. @param note its bytes, as latin1 */
export function checkSignature(note: string | null, trust: TrustPolicy | null): Signed {
  const verdict = (status: Verdict['status'], message: string): Verdict => ({ name: 'SIGNATURE', status, message });
  if (note === null) return { claimed: null, opened: null, verdict: verdict('fails', 'there is no checkpoint') };
  const text = Buffer.from(note, 'latin1').toString('utf8');
  let claimed: Checkpoint;
  try {
    if (Buffer.from(text, 'utf8').toString('latin1') !== note) throw new LedgerError('malformed', 'not UTF-8');
    claimed = readCheckpoint(text);
  } catch (error) {
    return { claimed: null, opened: null, verdict: verdict('fails', `the checkpoint is not one: ${messageOf(error)}`) };
  }
  if (trust === null) return { claimed, opened: null, verdict: verdict('notEstablished', 'no trust policy was given: the checkpoint may be anyone\'s') };
  try {
    const opened = openCheckpoint(text, trust);
    return { claimed, opened, verdict: verdict('holds', `${opened.logKey} signed a checkpoint of ${opened.size} records`) };
  } catch (error) {
    return { claimed, opened: null, verdict: verdict('fails', messageOf(error)) };
  }
}

function messageOf(error: unknown): string {
  if (error instanceof LedgerError) return error.message;
  throw error;
}

function openPinned({ pinned, trust }: VerifyOptions): Checkpoint | null {
  if (pinned === undefined || pinned === null) return null;
  return trust === null ? readCheckpoint(pinned) : openCheckpoint(pinned, trust);
}

async function verifyOnce(options: VerifyOptions, note: string | null): Promise<Verification> {
  const pinned = openPinned(options);
  const signed = checkSignature(note, options.trust);
  if (signed.claimed === null) return nothingToHold(signed, await isEmptyFolder(options.disk, options.directory).catch(asOccupied));
  const { claimed } = signed;
  const rules = options.rules?.(claimed.origin, claimed) ?? null;
  const anchors = new AnchorWalk(claimed.origin, options.trust);
  const keys = new RecordedKeys(claimed.origin);
  let objects = new ObjectWalk(options.disk, options.directory, []);
  let result: PassResult | null = null;
  let finding: Finding | null = null;
  try {
    objects = new ObjectWalk(options.disk, options.directory, await objectFilesOf(options.disk, options.directory, claimed.size));
    result = await passRecords({
      disk: options.disk,
      directory: options.directory,
      checkpoint: claimed,
      objects,
      anchors,
      rootAt: pinned !== null && pinned.size <= claimed.size ? pinned.size : null,
      onRecord: (record) => {
        keys.note(record);
        return rules?.record(record, (digest) => objects.read(digest));
      },
      progress: options.progress ?? (() => undefined),
      signal: options.signal,
      checker: options.checker ?? null,
    });
  } catch (error) {
    finding = asFinding(error, claimed.size);
  }
  const anchored = anchors.result();
  for (const time of signed.opened === null || result === null ? [] : witnessedTimes(signed.opened)) anchored.brackets.covered(claimed.size, time, signed.opened!.witness.met);
  const isAnchored = pinned !== null || (signed.opened?.witnesses.length ?? 0) > 0 || anchored.count > 0;
  const integrity = integrityVerdict(claimed, result, finding, objects);
  const completeness = completenessVerdict(options, claimed, pinned, result, finding, anchored);
  const notProven = notProvenItems(!isAnchored, options.trust === null);
  const unheard = (rules?.names ?? []).map((name): Verdict => ({ name, status: 'notEstablished', message: 'the records it is about do not hold' }));
  const verdicts: Verdict[] = [
    integrity,
    finding === null ? keys.judge(signed) : signed.verdict,
    witnessVerdict(options.trust, signed.opened, anchored.quorum),
    completeness,
    ...(finding === null ? ((await rules?.finish()) ?? []) : unheard),
    anchored.brackets.verdict(result?.time ?? null, claimed.size),
    { name: 'REPLAY', status: 'notEstablished', message: 'not run' },
    { name: 'NOT PROVEN', status: 'notEstablished', message: notProven.join('; ') },
  ];
  return {
    verdicts: verdicts.filter(firstOfItsName),
    notProven,
    head: { origin: claimed.origin, size: claimed.size, root: claimed.root, keyName: signed.opened?.logKey ?? null },
    objects: { count: objects.count, erased: objects.erasedCount },
    firstAt: result?.time.first ?? null,
    lastAt: result?.time.last ?? null,
  };
}

/** What stands where evidence is due, and is none, is a fault of the ledger; all else that is thrown is not about it. */
function asFinding(error: unknown, size: number): Finding {
  if (error instanceof Finding) return error;
  if (error instanceof NotEvidence) return new Finding('INTEGRITY', error.message, Math.max(0, size - 1));
  throw error;
}

function asOccupied(error: unknown): false {
  if (error instanceof NotEvidence) return false;
  throw error;
}

/** Rules may give a verdict, such as REPLAY, that stands here only as not run. */
function firstOfItsName(verdict: Verdict, i: number, all: readonly Verdict[]): boolean {
  return all.findIndex(({ name }) => name === verdict.name) === i;
}

function nothingToHold(signed: Signed, isEmpty: boolean): Verification {
  const none = (name: string): Verdict => ({ name, status: 'notEstablished', message: isEmpty ? 'there is nothing here' : 'there is no size and root to hold the records to' });
  const notProven = notProvenItems(true, false);
  return {
    verdicts: [
      none('INTEGRITY'),
      isEmpty ? none('SIGNATURE') : signed.verdict,
      none('WITNESS'),
      none('COMPLETENESS'),
      none('TIME'),
      { name: 'REPLAY', status: 'notEstablished', message: 'not run' },
      { name: 'NOT PROVEN', status: 'notEstablished', message: notProven.join('; ') },
    ],
    notProven,
    head: null,
    objects: { count: 0, erased: 0 },
    firstAt: null,
    lastAt: null,
  };
}

function withSeq(verdict: Verdict, seq: number | undefined): Verdict {
  return seq === undefined ? verdict : { ...verdict, seq };
}

function integrityVerdict(claimed: Checkpoint, result: PassResult | null, finding: Finding | null, objects: ObjectWalk): Verdict {
  const name = 'INTEGRITY';
  if (finding?.verdict === name) return withSeq({ name, status: 'fails', message: finding.message }, finding.seq);
  if (result === null) return { name, status: 'notEstablished', message: 'the records were not read to the end' };
  if (claimed.size === 0) return { name, status: 'notEstablished', message: 'the ledger is empty' };
  const erased = objects.erasedCount === 0 ? '' : `, ${objects.erasedCount} of them erased on record`;
  return { name, status: 'holds', message: `${claimed.size} records and ${objects.count} objects${erased} are, byte for byte, those of the checkpoint` };
}

function completenessVerdict({ minSize = 0 }: VerifyOptions, claimed: Checkpoint, pinned: Checkpoint | null, result: PassResult | null, finding: Finding | null, { splitView }: AnchorResult): Verdict {
  const name = 'COMPLETENESS';
  if (pinned !== null && pinned.origin !== claimed.origin) return { name, status: 'fails', message: `the pinned checkpoint is of ${pinned.origin}, this ledger is of ${claimed.origin}` };
  if (pinned !== null && pinned.size > claimed.size) {
    return { name, status: 'fails', message: `rolled back: the pinned checkpoint covers ${pinned.size} records, this one ${claimed.size}`, seq: claimed.size };
  }
  if (claimed.size < minSize) return { name, status: 'fails', message: `${claimed.size} records where at least ${minSize} are due`, seq: claimed.size };
  if (finding?.verdict === name) return withSeq({ name, status: 'fails', message: finding.message }, finding.seq);
  if (result === null) return withSeq({ name, status: 'notEstablished', message: 'the records do not hold, so neither do their chains' }, finding?.seq);
  if (pinned !== null && (result.rootThere === null || !sameBytes(result.rootThere, pinned.root))) {
    return { name, status: 'fails', message: `split view: the first ${pinned.size} records are not those of the pinned checkpoint` };
  }
  if (splitView !== null) return { name, status: 'fails', ...splitView };
  if (claimed.size === 0) return { name, status: 'notEstablished', message: 'the ledger is empty' };
  const anchored = pinned === null ? '' : `, and the first ${pinned.size} are those of the pinned checkpoint`;
  return { name, status: 'holds', message: `records 0 to ${claimed.size - 1} follow one on another, and so do those of each change${anchored}` };
}

export function witnessVerdict(trust: TrustPolicy | null, opened: OpenedCheckpoint | null, quorum: AnchorResult['quorum'] = null): Verdict {
  const name = 'WITNESS';
  if (trust === null || opened === null) return { name, status: 'notEstablished', message: 'no trusted checkpoint to look for cosignatures on' };
  const { cosigned, known, demand, met } = opened.witness;
  const count = `${cosigned}/${known}`;
  if (demand === 'none') return { name, status: 'notEstablished', message: `${count}: the trust policy demands no cosignature` };
  return { name, status: met ? 'holds' : 'fails', message: `${count}: the quorum (${demand}) is ${met ? 'met' : 'not met'}${met || quorum === null ? '' : `; by the first ${quorum.size} records it is, as record ${quorum.seq} shows`}` };
}

function notProvenItems(isUnanchored: boolean, isUntrusted: boolean): string[] {
  return [
    'changes made outside Countersign since the last reconcile',
    ...(isUnanchored ? ['no external anchor: rollback not excluded'] : ['records after the last anchored checkpoint']),
    ...(isUntrusted ? ['whose ledger this is'] : []),
    'that the times in the records are true, but where TIME says so',
  ];
}
