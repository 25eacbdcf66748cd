/**
 * What travels to an executor: a ticket and everything it needs to believe it without asking anyone.
 */
import { z } from 'zod';
import { parseBase64 } from '../../ledger/index.ts';
import { planSchema } from './plan.ts';
import { approvalSchema, dsseSchema } from './signed.ts';

/** What is hashed has one spelling: a second one would be read by some and refused by others. */
const oneSpelling = (text: string): boolean => parseBase64(text) !== null;
const hash = z.base64().length(44).refine(oneSpelling, 'not canonical base64');

/** Checkpoints that one receipt is proven to continue: as many workers of an executor as can be spoken to without being asked again. */
export const HEADS_MAX = 8;

/**
 * The receipt: the very `step.authorised` record, proven included under a signed checkpoint.
 * `consistency` proves of checkpoints that the executor's workers may have seen last, each of `fromSize` entries, that they are prefixes of this one.
 */
export const receiptSchema = z.strictObject({
  /** base64 of the record's bytes, exactly as they are in the log. */
  record: z.base64().max(131_072).refine(oneSpelling, 'not canonical base64'),
  index: z.int().min(0),
  inclusion: z.array(hash).max(64),
  /** A C2SP tlog-checkpoint signed note, text. */
  checkpoint: z.string().max(16_384),
  consistency: z.array(z.strictObject({ fromSize: z.int().min(0), proof: z.array(hash).max(64) })).max(HEADS_MAX),
});
export type Receipt = z.infer<typeof receiptSchema>;

export const stepEnvelopeSchema = z.strictObject({
  v: z.literal(1),
  ticket: dsseSchema,
  /** null for a read ticket. */
  plan: planSchema.nullable(),
  /** The order that takes it back, for a step that gives a lease. */
  order: dsseSchema.nullable(),
  approvals: z.array(approvalSchema).max(32),
  /** What somebody has signed to break the glass, where the record says that it stands for the approvals. */
  breakGlass: dsseSchema.optional(),
  receipt: receiptSchema,
});
export type StepEnvelope = z.infer<typeof stepEnvelopeSchema>;

/** A signed report with what it names by digest: target states (salted JSON text) and, once, the sealed secret. */
export const reportMessageSchema = z.strictObject({
  v: z.literal(1),
  report: dsseSchema,
  /** RFC 8785 text of each state the report names. */
  objects: z.array(z.string().max(262_144)).max(4),
  /** age ciphertext, base64; its digest is in the report's seal. */
  ciphertext: z.base64().max(65_536).nullable(),
  /** For a `revoked` report: the order that was carried out, as it was received. Its digest is in the report. */
  order: dsseSchema.nullable(),
});
export type ReportMessage = z.infer<typeof reportMessageSchema>;
