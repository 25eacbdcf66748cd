/** What `verify --json` prints: all that the lines say, for programs. */
import { z } from 'zod';
import type { PackVerification } from '../evidence/pack-verify.ts';
import type { EvidenceVerification } from '../evidence/verify.ts';
import { digestSchema, timeSchema } from '../protocol/values.ts';
import { VERSION } from '../version.ts';

const seq = z.int().min(0);

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
  /** Where the attestation was written. */
  attestation: z.string().nullable(),
});
export type VerifyDocument = z.infer<typeof verifyDocumentSchema>;

export interface Verified {
  readonly verification: EvidenceVerification | PackVerification;
  readonly required: readonly string[];
  readonly directory: string;
  readonly exit: 0 | 1 | 3;
  readonly trust: string | null;
  readonly attestation: string | null;
}

export function documentOf({ verification, required, directory, exit, trust, attestation }: Verified): VerifyDocument {
  const { verdicts, notProven, head, objects, firstAt, lastAt, workflow } = verification;
  return {
    v: 1, exit, required: [...required], directory, verifier: `countersign ${VERSION}`, trust,
    verdicts: verdicts.filter(({ name }) => name !== 'NOT PROVEN').map((verdict) => ({ ...verdict })), notProven: [...notProven],
    head: head === null ? null : { origin: head.origin, size: head.size, root: Buffer.from(head.root).toString('base64'), key: head.keyName },
    objects, firstAt, lastAt,
    workflow: workflow === null ? null : { counts: { ...workflow.counts }, violationCount: workflow.violationCount, violations: workflow.violations.map((one) => ({ ...one })), erasedPlans: workflow.erasedPlans },
    ...('pack' in verification ? { pack: verification.pack === null ? null : { ...verification.pack, changes: [...verification.pack.changes] } } : {}),
    attestation,
  };
}
