/**
 * Verification: what a ledger directory proves to someone who brings their own trust policy, and what it does not.
 *
 * Needs no network, clock, key or rule from the evidence itself. Every byte under the directory is covered: records by
 * their leaves, leaves by tiles and root, the root by the checkpoint's signature, objects by the records that name
 * them; and a file that none of these account for is itself a failure.
 */
import { openCheckpoint, readCheckpoint, type Checkpoint, type OpenedCheckpoint } from './checkpoint.ts';
import type { Disk } from './disk.ts';
import { LedgerError } from './errors.ts';
import { sameBytes } from './hash.ts';
import { ALG_COSIGNATURE_V1, cosignatureTime } from './note.ts';
import { listFiles } from './publish.ts';
import type { LedgerRecord } from './record.ts';
import { tilesBetween } from './tiles.ts';
import type { TrustPolicy } from './trust-policy.ts';
import { Finding, type Verdict } from './verdict.ts';
import { ObjectWalk, type ObjectFile } from './verify-objects.ts';
import { passRecords, type PassResult, type TimeSpan } from './verify-records.ts';

/** How far a record's `at` may lie before that of an earlier one: clocks are stepped. */
export const CLOCK_TOLERANCE_MS = 5_000;
/** Readings of a ledger that is being written meanwhile. */
const READINGS_MAX = 5;

/** Rules about what the records mean, which the ledger itself does not know. */
export interface RuleSet {
  /** Names of the verdicts that `finish` gives, in order. */
  readonly names: readonly string[];
  /** Takes the next record, in order. `readObject` gives what an object named so far holds; null once erased. */
  record(record: LedgerRecord, readObject: (digest: string) => Promise<Uint8Array | null>): void | Promise<void>;
  /** Called once, only when all records were given and hold. */
  finish(): readonly Verdict[] | Promise<readonly Verdict[]>;
}

export interface VerifyOptions {
  readonly disk: Disk;
  readonly directory: string;
  /** The auditor's own; null when there is none, and then nobody's signature is believed. */
  readonly trust: TrustPolicy | null;
  /** An older checkpoint that the auditor kept: a signed note. */
  readonly pinned?: string | null;
  /** Records that there must at least be. */
  readonly minSize?: number;
  /** Makes the rules for the log of that origin; called again when a reading starts anew. */
  readonly rules?: (origin: string) => RuleSet;
  readonly progress?: (done: number, size: number) => void;
  readonly signal?: AbortSignal;
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
  for (let reading = 1; ; reading++) {
    const note = await readNote(options);
    const verification = await verifyOnce(options, note);
    const isFailing = verification.verdicts.some(({ name, status }) => (name === 'INTEGRITY' || name === 'COMPLETENESS') && status === 'fails');
    // A ledger that is being written moves on under a slow reader. One that is not reads the same twice.
    if (!isFailing || reading === READINGS_MAX || note === (await readNote(options))) return verification;
  }
}

async function readNote({ disk, directory }: VerifyOptions): Promise<string | null> {
  const bytes = await disk.read(`${directory}/checkpoint`);
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
  const files = await listFiles(options.disk, options.directory);
  if (signed.claimed === null) return nothingToHold(signed, files);
  const { claimed } = signed;
  const objectFiles = await objectFilesOf(options, files);
  const objects = new ObjectWalk(options.disk, options.directory, objectFiles);
  const rules = options.rules?.(claimed.origin) ?? null;
  let result: PassResult | null = null;
  let finding: Finding | null = null;
  try {
    checkFiles(claimed.size, files, objectFiles);
    result = await passRecords({
      disk: options.disk,
      directory: options.directory,
      checkpoint: claimed,
      objects,
      rootAt: pinned !== null && pinned.size <= claimed.size ? pinned.size : null,
      onRecord: (record) => rules?.record(record, (digest) => objects.read(digest)),
      progress: options.progress ?? (() => undefined),
      signal: options.signal,
    });
  } catch (error) {
    if (!(error instanceof Finding)) throw error;
    finding = error;
  }
  const isAnchored = pinned !== null || (signed.opened?.witnesses.length ?? 0) > 0;
  const integrity = integrityVerdict(claimed, result, finding, objects);
  const completeness = completenessVerdict(options, claimed, pinned, result, finding);
  const notProven = notProvenItems(!isAnchored, options.trust === null);
  const unheard = (rules?.names ?? []).map((name): Verdict => ({ name, status: 'notEstablished', message: 'the records it is about do not hold' }));
  const verdicts: Verdict[] = [
    integrity,
    signed.verdict,
    witnessVerdict(options.trust, signed.opened),
    completeness,
    ...(finding === null ? ((await rules?.finish()) ?? []) : unheard),
    timeVerdict(result?.time ?? null, signed.opened),
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

/** Rules may give a verdict, such as REPLAY, that stands here only as not run. */
function firstOfItsName(verdict: Verdict, i: number, all: readonly Verdict[]): boolean {
  return all.findIndex(({ name }) => name === verdict.name) === i;
}

function nothingToHold(signed: Signed, files: readonly string[]): Verification {
  const isEmpty = files.length === 0;
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

async function objectFilesOf({ disk, directory }: VerifyOptions, files: readonly string[]): Promise<ObjectFile[]> {
  const found: ObjectFile[] = [];
  for (let segment = 0; files.includes(`objects/${segment}`); segment++) {
    const path = `${directory}/objects/${segment}`;
    found.push({ path, bytes: (await disk.size(path)) ?? 0 });
  }
  return found;
}

/** @throws Finding for a file that nothing in the ledger accounts for. */
function checkFiles(size: number, files: readonly string[], objectFiles: readonly ObjectFile[]): void {
  const due = new Set<string>(['checkpoint']);
  for (const { path } of tilesBetween(0, size)) due.add(path);
  for (let segment = 0; segment < objectFiles.length; segment++) due.add(`objects/${segment}`);
  const unexpected = files.find((path) => !due.has(path));
  if (unexpected !== undefined) throw new Finding('INTEGRITY', `unexpected file ${JSON.stringify(unexpected)}: nothing under the checkpoint of ${size} records accounts for it`, Math.max(0, size - 1));
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

function completenessVerdict({ minSize = 0 }: VerifyOptions, claimed: Checkpoint, pinned: Checkpoint | null, result: PassResult | null, finding: Finding | null): Verdict {
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
  if (claimed.size === 0) return { name, status: 'notEstablished', message: 'the ledger is empty' };
  const anchored = pinned === null ? '' : `, and the first ${pinned.size} are those of the pinned checkpoint`;
  return { name, status: 'holds', message: `records 0 to ${claimed.size - 1} follow one on another, and so do those of each change${anchored}` };
}

export function witnessVerdict(trust: TrustPolicy | null, opened: OpenedCheckpoint | null): Verdict {
  const name = 'WITNESS';
  if (trust === null || opened === null) return { name, status: 'notEstablished', message: 'no trusted checkpoint to look for cosignatures on' };
  const { cosigned, known, demand, met } = opened.witness;
  const count = `${cosigned}/${known}`;
  if (demand === 'none') return { name, status: 'notEstablished', message: `${count}: the trust policy demands no cosignature` };
  return { name, status: met ? 'holds' : 'fails', message: `${count}: the quorum (${demand}) is ${met ? 'met' : 'not met'}` };
}

export function timeVerdict(time: TimeSpan | null, opened: OpenedCheckpoint | null): Verdict {
  const name = 'TIME';
  if (time?.first == null || time.last === null) return { name, status: 'notEstablished', message: 'no records to tell a time' };
  if (time.worstStepBackMs > CLOCK_TOLERANCE_MS) {
    return { name, status: 'fails', message: `record ${time.worstSeq} says it is ${time.worstStepBackMs} ms earlier than a record before it`, seq: time.worstSeq };
  }
  const range = `records say ${time.first} to ${time.last}, none more than ${CLOCK_TOLERANCE_MS / 1000} s before an earlier one`;
  const cosigned = (opened?.signatures ?? []).filter(({ verifier }) => verifier.type === ALG_COSIGNATURE_V1).map(({ signature }) => cosignatureTime(signature));
  if (cosigned.length === 0) return { name, status: 'notEstablished', message: `${range}; that these times are true is the ledger's word, no witness states one` };
  const firstSeconds = Math.min(...cosigned);
  const witnessed = new Date(firstSeconds * 1000).toISOString();
  if (time.latestMs > firstSeconds * 1000 + CLOCK_TOLERANCE_MS) return { name, status: 'fails', message: `a record says it is later than ${witnessed}, when a witness had cosigned it` };
  return { name, status: 'holds', message: `${range}; all were there by ${witnessed}, when a witness cosigned them; that none is older than it says is not shown` };
}

function notProvenItems(isUnanchored: boolean, isUntrusted: boolean): string[] {
  return [
    'changes made outside Countersign since the last reconcile',
    ...(isUnanchored ? ['no external anchor: rollback not excluded'] : ['records after the last anchored checkpoint']),
    ...(isUntrusted ? ['whose ledger this is'] : []),
    'that the times in the records are true, but where TIME says so',
  ];
}
