/** What a verification is told as, by whatever tells it: the JSON document, and the words for a status and for the whole. */
import { exitCodeOf, REQUIRED_BY_DEFAULT, type VerdictStatus } from '../../ledger/index.ts';
import { z } from 'zod';
import { digestSchema, timeSchema } from '../protocol/values.ts';
import { VERSION } from '../version.ts';
import type { PackVerification } from './pack-verify.ts';
import type { EvidenceVerification } from './verify.ts';

const seq = z.int().min(0);

/** What `verify --json` prints: all that the lines say, for programs. */
export const verifyDocumentSchema = z.strictObject({
  v: z.literal(1),
  /** 0: all that is required holds; 1: some of it fails; 3: none fails, and some is not established. */
  exit: z.union([z.literal(0), z.literal(1), z.literal(3)]),
  required: z.array(z.string()),
  directory: z.string(),
  verifier: z.string(),
  /** Of the auditor's trust: the digest of its files by name; null where none was given. */
  trust: digestSchema.nullable(),
  verdicts: z.array(z.strictObject({ name: z.string(), status: z.enum(['holds', 'fails', 'notEstablished']), message: z.string(), /** The record concerned, or the nearest to what is. */ seq: seq.optional() })),
  notProven: z.array(z.string()),
  /** What the checkpoint says, and the key that signed it, where that is trusted; null where there is none to read. */
  head: z.strictObject({ origin: z.string(), size: seq, root: z.base64(), key: z.string().nullable() }).nullable(),
  objects: z.strictObject({ count: seq, erased: seq }),
  /** The first of what was erased on record; `objects.erased` counts all of it. */
  erased: z.array(z.strictObject({ digest: digestSchema, kind: z.string(), change: z.string().nullable(), namedBy: seq, seq })),
  firstAt: timeSchema.nullable(),
  lastAt: timeSchema.nullable(),
  workflow: z.strictObject({
    counts: z.record(z.string(), z.number().nullable()),
    violationCount: seq,
    /** The first of them. */
    violations: z.array(z.strictObject({ seq, changeId: z.string().nullable(), code: z.string(), message: z.string() })),
    erasedPlans: seq,
  }).nullable(),
  /** Of an evidence pack: what it is of, by its own word, and what is in it. */
  pack: z.strictObject({ asked: z.unknown(), records: seq, changes: z.array(z.string()) }).nullable().optional(),
  /** Recorded policy that was run again; null where none was. */
  replay: z.strictObject({
    decisions: seq, same: seq, engineDenied: seq, differing: seq,
    kept: z.array(z.strictObject({ seq, changeId: z.string().nullable(), message: z.string() })), unreplayed: z.array(z.strictObject({ why: z.string(), count: seq, message: z.string() })),
  }).nullable(),
  /** Where the attestation was written. */
  attestation: z.string().nullable(),
});
export type VerifyDocument = z.infer<typeof verifyDocumentSchema>;

/** A lone `trust.policy` says nothing of tickets and executors: WORKFLOW is not asked of it by default. */
const REQUIRED_ALONE = REQUIRED_BY_DEFAULT.filter((name) => name !== 'WORKFLOW');

export const STATUS_MARKS: Readonly<Record<VerdictStatus, string>> = { holds: '✓', fails: '✗', notEstablished: '–' };
export const STATUS_WORDS: Readonly<Record<VerdictStatus, string>> = { holds: 'holds', fails: 'FAILS', notEstablished: 'not established' };

/** What must hold where nobody has said what must. */
export function requiredUnder(isTrustGiven: boolean, wholeFolder: boolean): readonly string[] {
  return isTrustGiven && !wholeFolder ? REQUIRED_ALONE : REQUIRED_BY_DEFAULT;
}

/** 0 only where records were read to the end, whatever is asked for: of an empty ledger, or of one whose first record is missing, nothing is verified. */
export function exitOf({ verdicts, firstAt }: EvidenceVerification, required: readonly string[]): 0 | 1 | 3 {
  const exit = exitCodeOf(verdicts, required);
  return exit === 0 && firstAt === null ? 3 : exit;
}

export interface Verified {
  readonly verification: EvidenceVerification | PackVerification;
  readonly required: readonly string[];
  readonly directory: string;
  readonly exit: 0 | 1 | 3;
  /** Digest of the trust folder; null where none was given. */
  readonly trust: string | null;
  /** Where the attestation was written. */
  readonly attestation: string | null;
}

export function documentOf({ verification, required, directory, exit, trust, attestation }: Verified): VerifyDocument {
  const { verdicts, notProven, head, objects, erased, firstAt, lastAt, workflow, replay } = verification;
  return {
    v: 1, exit, required: [...required], directory, verifier: `countersign ${VERSION}`, trust,
    verdicts: verdicts.filter(({ name }) => name !== 'NOT PROVEN').map((verdict) => ({ ...verdict })), notProven: [...notProven],
    head: head === null ? null : { origin: head.origin, size: head.size, root: Buffer.from(head.root).toString('base64'), key: head.keyName },
    objects, erased: erased.map((one) => ({ ...one })), firstAt, lastAt,
    ...('pack' in verification ? { pack: verification.pack === null ? null : { ...verification.pack, changes: [...verification.pack.changes] } } : {}),
    workflow: workflow === null ? null : { counts: { ...workflow.counts }, violationCount: workflow.violationCount, violations: workflow.violations.map((one) => ({ ...one })), erasedPlans: workflow.erasedPlans },
    replay: replay === null ? null : { decisions: replay.decisions, same: replay.same, engineDenied: replay.engineDenied, differing: replay.differing, kept: replay.kept.map((one) => ({ ...one })), unreplayed: replay.unreplayed.map((one) => ({ ...one })) },
    attestation,
  };
}

/** The last line: whether what was required holds, and if not, what of it does not. */
export function conclusionOf({ verdicts, firstAt }: EvidenceVerification, required: readonly string[], exit: 0 | 1 | 3): string {
  if (exit === 0) return `verified: ${required.join(', ')}`;
  if (exit === 3 && firstAt === null && exitCodeOf(verdicts, required) === 0) return 'NOT VERIFIED: no record was verified';
  const status = exit === 1 ? 'fails' : 'notEstablished';
  const those = required.filter((name) => (verdicts.find((verdict) => verdict.name === name)?.status ?? 'notEstablished') === status);
  return `NOT VERIFIED: ${those.join(', ')} ${exit === 1 ? 'failed' : 'could not be established'}`;
}
