/** What an evidence pack proves to whoever brings their own trust, and what it does not. Needs the pack, this code and that trust; nothing else. */
import {
  checkSignature, KEY_ROTATED_TYPE, openCheckpoint, readCheckpoint, RecordedKeys, RecordTimes, sameBytes, TimeBrackets, witnessedTimes, witnessVerdict, type Checkpoint, type Signed, type Verdict,
} from '../../ledger/index.ts';
import { inMemory, openArchive, type PackArchive, type PackBytes } from './pack-archive.ts';
import { byChange, completenessOf } from './pack-complete.ts';
import { PackFault, readContents, textOf, type PackContents } from './pack-contents.ts';
import { PackError, type PackAsked } from './pack-format.ts';
import { workflowOf, type PackWorkflow } from './pack-workflow.ts';
import { openPopulation } from './population.ts';
import { openReplay, type Replay, type ReplayFindings } from './replay.ts';
import { replayVerdict, unprovenByReplay, whyNoReplay } from './replay-verdict.ts';
import { UNSEEN, unprovenIn, watching, type EvidenceVerification, type VerifyEvidenceOptions } from './verify.ts';
import type { WorkflowOptions } from './workflow.ts';

export type { PackBytes } from './pack-archive.ts';
export type { PackAsked } from './pack-format.ts';

/** As of a ledger. Trust is never taken from the pack. */
export interface VerifyPackOptions extends Omit<VerifyEvidenceOptions, 'disk' | 'directory' | 'old' | 'ahead'> {
  /** The whole pack in memory, or a way to read it. */
  readonly pack: Uint8Array | PackBytes;
}

export interface PackVerification extends EvidenceVerification {
  /** What the pack is of, by its own word, and what is in it; null where it is no pack. */
  readonly pack: { readonly asked: PackAsked; readonly records: number; readonly changes: readonly string[] } | null;
}

/**
 * What holds of the pack. Faults of the pack are verdicts, never errors.
 *
 * @throws what reading throws; LedgerError for a `pinned` checkpoint that is itself no good; the reason of `signal` once it is aborted
 */
export async function verifyPack(options: VerifyPackOptions): Promise<PackVerification> {
  const pinned = openPinned(options);
  const pack = options.pack instanceof Uint8Array ? inMemory(options.pack) : options.pack;
  if (pack.byteLength === 0) return withoutContents({ name: 'INTEGRITY', status: 'notEstablished', message: 'the file is empty' });
  let archive: PackArchive;
  let note: string;
  try {
    archive = await openArchive(pack);
    note = await textOf(archive, { kind: 'checkpoint' });
  } catch (error) {
    return withoutContents(integrityFault(error));
  }
  const signed = checkSignature(Buffer.from(note, 'utf8').toString('latin1'), options.trust?.policy ?? null);
  if (signed.claimed === null) return withoutContents({ name: 'INTEGRITY', status: 'notEstablished', message: 'there is no size and root to hold the records to' }, signed.verdict);
  const { claimed, opened } = signed;
  const head = { origin: claimed.origin, size: claimed.size, root: claimed.root, keyName: opened?.logKey ?? null };
  const { asked } = archive.manifest;
  let contents: PackContents;
  try {
    contents = await readContents(archive, { checkpoint: claimed, note, progress: options.progress ?? (() => undefined), signal: options.signal });
  } catch (error) {
    return { ...withoutContents(integrityFault(error), signed.verdict, witnessVerdict(options.trust?.policy ?? null, opened)), head };
  }
  const { shown, objectCount, erasedCount } = contents;
  if (shown.length === 0) return { ...withoutContents({ name: 'INTEGRITY', status: 'notEstablished', message: 'there is no record in it' }, signed.verdict), head };
  const times = new RecordTimes();
  const brackets = new TimeBrackets();
  for (const one of shown) brackets.record(one.seq, times.note(one), one.at);
  for (const time of opened === null ? [] : witnessedTimes(opened)) brackets.covered(claimed.size, time, opened!.witness.met);
  const population = options.listChanges === true ? openPopulation() : null;
  const onlooker = options.onlooker?.(claimed);
  if (onlooker !== undefined) for (const { seq } of shown) onlooker.record(await contents.readRecord(seq));
  const noReplay = whyNoReplay(options.trust, options.wholeFolder, options.replayer !== undefined);
  const replay = noReplay !== null ? null : openReplay(options.trust!, options.replayer!);
  const [workflow, replayed] = await replaying(replay, () => judged({ ...options, ...watching(population, onlooker) }, asked, contents, claimed, replay));
  const notProven = [...unproven(options, asked, contents, claimed, workflow, pinned !== null || (opened?.witnesses.length ?? 0) > 0), ...(replayed === null || replayed.same === 0 ? [] : [unprovenByReplay(replayed)])];
  return {
    verdicts: [
      integrityOf(contents, claimed),
      await signatureOf(contents, signed),
      witnessVerdict(options.trust?.policy ?? null, opened),
      against(options, pinned, claimed) ?? completenessOf(asked, contents, claimed),
      workflow.verdict,
      brackets.verdict(times.span(), claimed.size),
      replayed === null ? notRun(noReplay!) : replayVerdict(replayed),
      { name: 'NOT PROVEN', status: 'notEstablished', message: notProven.join('; ') },
    ],
    notProven, head, replay: replayed, erased: [], workflow: workflow.findings, population: workflow.findings === null ? null : (population?.rows() ?? null),
    objects: { count: objectCount + erasedCount, erased: erasedCount },
    firstAt: shown[0]!.at, lastAt: shown.at(-1)!.at,
    pack: { asked, records: shown.length, changes: [...byChange(shown).keys()] },
  };
}

const notRun = (message: string): Verdict => ({ name: 'REPLAY', status: 'notEstablished', message });

/** What `judge` comes to, and what was replayed meanwhile. Nothing runs any more afterwards. */
async function replaying<T>(replay: Replay | null, judge: () => Promise<T>): Promise<readonly [T, ReplayFindings | null]> {
  try {
    const judged = await judge();
    return [judged, replay === null ? null : await replay.finish()];
  } finally {
    await replay?.close();
  }
}

/** SIGNATURE, as what is shown of the log's keys has it. */
async function signatureOf({ shown, readRecord }: PackContents, signed: Signed): Promise<Verdict> {
  const keys = new RecordedKeys(signed.claimed!.origin);
  for (const { seq, type } of shown) if (type === KEY_ROTATED_TYPE) keys.note(await readRecord(seq));
  return keys.judge(signed);
}

function openPinned({ pinned, trust }: VerifyPackOptions): Checkpoint | null {
  if (pinned === undefined || pinned === null) return null;
  return trust === null ? readCheckpoint(pinned) : openCheckpoint(pinned, trust.policy);
}

/** @throws what is no fault of the pack */
function integrityFault(error: unknown): Verdict {
  if (!(error instanceof PackError)) throw error;
  const seq = error instanceof PackFault ? error.seq : undefined;
  return { name: 'INTEGRITY', status: 'fails', message: error.message, ...(seq === undefined ? {} : { seq }) };
}

/** Where the pack is no pack, or does not hold: all else is without ground. */
function withoutContents(integrity: Verdict, signature?: Verdict, witness?: Verdict): PackVerification {
  const none = (name: string): Verdict => ({ name, status: 'notEstablished', message: 'there are no records to hold to it' });
  const notProven = [UNSEEN, ...outside()];
  return {
    verdicts: [integrity, signature ?? none('SIGNATURE'), witness ?? none('WITNESS'), none('COMPLETENESS'), none('WORKFLOW'), none('TIME'), notRun('not run'), { name: 'NOT PROVEN', status: 'notEstablished', message: notProven.join('; ') }],
    notProven, head: null, workflow: null, population: null, replay: null, erased: [], objects: { count: 0, erased: 0 }, firstAt: null, lastAt: null, pack: null,
  };
}

function integrityOf({ shown, objectCount, erasedCount }: PackContents, { size }: Checkpoint): Verdict {
  const erased = erasedCount === 0 ? '' : `, and ${erasedCount} more were erased on record`;
  return { name: 'INTEGRITY', status: 'holds', message: `${shown.length} of the ${size} records under the checkpoint, each under its proof, and ${objectCount} objects are, byte for byte, what was signed${erased}` };
}

async function judged({ trust, wholeFolder, graceMs, asOfMs, acceptObserved, onChange, onViolation, signal }: VerifyPackOptions & Pick<WorkflowOptions, 'onChange' | 'onViolation'>, asked: PackAsked, contents: PackContents, { origin }: Checkpoint, replay: Replay | null): Promise<PackWorkflow> {
  if (trust === null || !wholeFolder) {
    return { findings: null, verdict: { name: 'WORKFLOW', status: 'notEstablished', message: trust === null ? 'no trust was given' : 'no trust folder' } };
  }
  return workflowOf(asked, contents, { trust, origin, ...(graceMs === undefined ? {} : { graceMs }), ...(asOfMs === undefined ? {} : { asOfMs }), ...(onChange === undefined ? {} : { onChange }), ...(onViolation === undefined ? {} : { onViolation }), ...(acceptObserved === undefined ? {} : { acceptObserved }) }, replay, signal);
}

/** What a pinned checkpoint and a least size say against the pack, or leave open; null for nothing. */
function against({ minSize = 0 }: VerifyPackOptions, pinned: Checkpoint | null, claimed: Checkpoint): Verdict | null {
  const verdict = (status: Verdict['status'], message: string): Verdict => ({ name: 'COMPLETENESS', status, message });
  if (claimed.size < minSize) return verdict('fails', `the checkpoint is of ${claimed.size} records where at least ${minSize} are due`);
  if (pinned === null) return null;
  if (pinned.origin !== claimed.origin) return verdict('fails', `the pinned checkpoint is of ${pinned.origin}, this pack is of ${claimed.origin}`);
  if (pinned.size > claimed.size) return verdict('notEstablished', `the pack is of ${claimed.size} records, from before the pinned checkpoint of ${pinned.size}: that those go on from these, only the ledger shows`);
  if (pinned.size < claimed.size) return verdict('notEstablished', `that the ${claimed.size} records go on from the ${pinned.size} of the pinned checkpoint, a pack does not show: the ledger does`);
  return sameBytes(pinned.root, claimed.root) ? null : verdict('fails', `split view: the ${claimed.size} records of the pack are not those of the pinned checkpoint`);
}

/** What no pack can show, since it is not in it. */
function outside(): string[] {
  return ['anything about records that are not in the pack: that no lock, no offboarding and no other change at the same target stood against what was authorised, but for those shown'];
}

function unproven({ trust }: VerifyPackOptions, asked: PackAsked, { shown, heads }: PackContents, { origin, size }: Checkpoint, { findings }: PackWorkflow, isAnchored: boolean): string[] {
  const keys = trust?.policy.logs.filter(({ verifier }) => verifier.name === origin).length ?? 0;
  return [
    UNSEEN,
    ...outside(),
    ...('nhi' in asked ? [`that ${asked.nhi} had no other change`] : []),
    ...(heads.length === 0 ? [] : [`that the heads which record ${heads[0]!.seq} states are those of the records before it: the log has signed that, and only the whole ledger shows it`]),
    ...(heads.length === 0 || heads[0]!.seq >= size - 1 ? [] : [`what came after record ${heads[0]!.seq}, where the heads were stated, under a checkpoint of ${size} records`]),
    ...(keys < 2 ? [] : ['that no record outside the pack has ended the key which signed the checkpoint: the trust policy lists more than one of this log']),
    ...(shown.some(({ type }) => type.startsWith('reconcile.') || type.startsWith('discovery.')) ? ['what looking at targets came to: its records are in the pack, and are not judged'] : []),
    isAnchored ? 'records after the last anchored checkpoint' : 'no external anchor: rollback not excluded',
    ...(trust === null ? ['whose ledger this is'] : []),
    'that the times in the records are true, but where TIME says so',
    ...(findings === null ? [] : unprovenIn(findings, null)),
  ];
}
