/**
 * The events of a change, which are the bodies of its records. An event is in the past tense: it has been decided, and once its record
 * is durable, it has happened. `docs/records.md` is generated from these schemas.
 */
import { z } from 'zod';
import { decisionSchema, provenanceSchema, requirementSchema, verificationSchema } from '../protocol/decision.ts';
import type { Plan, TargetState } from '../protocol/plan.ts';
import { changeRequestSchema } from '../protocol/request.ts';
import { approvalSchema, dsseSchema, sealSchema } from '../protocol/signed.ts';
import { approvalIdSchema, digestSchema, leaseIdSchema, plainTextSchema, principalSchema, stepIdSchema, timeSchema } from '../protocol/values.ts';

const revision = z.int().min(1).max(9999);
const comment = plainTextSchema(500).nullable();

export const FINDING_CODES = ['policy-fault', 'revoke-overdue', 'revoke-failed', 'revoke-mismatch', 'step-stuck', 'verification-failed', 'log-rolled-back'] as const;
export const findingCodeSchema = z.enum(FINDING_CODES);
export type FindingCode = z.infer<typeof findingCodeSchema>;

/** Body of each record type that belongs to a change, at its newest version. */
export const changeEventBodies = {
  /** Somebody asked. Nothing has been looked at. */
  'change.requested': z.strictObject({
    request: changeRequestSchema,
    /** Caller first, then whoever it acts for. */
    requester: z.array(principalSchema).min(1).max(8),
    /** Digest of (caller, Idempotency-Key) and of the request's bytes; null where no key was sent. */
    idempotency: z.strictObject({ key: digestSchema, request: digestSchema }).nullable(),
  }),
  /** The request was replaced. Every approval is void; the requirement never shrinks. */
  'change.revised': z.strictObject({ revision, request: changeRequestSchema }),
  'change.withdrawn': z.strictObject({ comment }),
  /** Nobody decided in time, or the time for the access was over before it began. */
  'change.expired': z.strictObject({ cause: z.enum(['approval', 'window']) }),
  /** What policy answered about this revision. The plan and the input are objects, named by digest. */
  'policy.decided': z.strictObject({
    revision,
    phase: z.enum(['request', 'dispatch']),
    planDigest: digestSchema.nullable(),
    decision: decisionSchema,
    provenance: provenanceSchema,
    /** The strictest of this decision and all before it in this change. */
    requirement: requirementSchema,
    /** How long approvers have, from this record; null when no approval is asked. */
    approvalsBy: timeSchema.nullable(),
  }),
  'approval.recorded': z.strictObject({ approval: approvalSchema, comment }),
  'approval.rejected': z.strictObject({ approval: approvalSchema, comment }),
  /** The sidecar authorises an executor. The receipt is this very record. */
  'step.authorised': z.discriminatedUnion('kind', [
    z.strictObject({ kind: z.literal('read'), revision, stepId: stepIdSchema, issue: z.int().min(1), ticket: dsseSchema }),
    z.strictObject({
      kind: z.literal('act'), revision, stepId: stepIdSchema, issue: z.int().min(1), ticket: dsseSchema,
      planDigest: digestSchema, requirement: requirementSchema, approvals: z.array(approvalIdSchema).max(32),
      /** What takes it back, fixed by the first issue; null for a change that leaves nothing to take back. */
      lease: z.strictObject({ leaseId: leaseIdSchema, epoch: z.int().min(1), endsAt: timeSchema, order: dsseSchema }).nullable(),
    }),
    z.strictObject({ kind: z.literal('revoke'), stepId: stepIdSchema, order: dsseSchema, comment }),
  ]),
  'step.claimed': z.strictObject({ report: dsseSchema }),
  'step.succeeded': z.strictObject({ report: dsseSchema }),
  'step.failed': z.strictObject({ report: dsseSchema }),
  'step.refused': z.strictObject({ report: dsseSchema }),
  'step.ambiguous': z.strictObject({ report: dsseSchema }),
  /** The order that will take the access back is held by the transport, or by the executor itself. */
  'lease.armed': z.strictObject({ leaseId: leaseIdSchema, epoch: z.int().min(1), order: digestSchema }),
  'lease.activated': z.strictObject({ leaseId: leaseIdSchema, epoch: z.int().min(1), endsAt: timeSchema }),
  /** The access is gone: the target was tried or read. `order`: what was carried out, as its executor received it. */
  'lease.ended': z.strictObject({ report: dsseSchema, order: dsseSchema }),
  'state.read': z.strictObject({ report: dsseSchema }),
  'entitlement.verified': z.strictObject({ stepId: stepIdSchema, verification: verificationSchema, provenance: provenanceSchema }),
  /** A ciphertext is durable at the executor, before the secret in it was applied. */
  'delivery.sealed': z.strictObject({ stepId: stepIdSchema, seal: sealSchema }),
  'delivery.acknowledged': z.strictObject({ ciphertext: digestSchema }),
  'delivery.undeliverable': z.strictObject({ ciphertext: digestSchema, reason: plainTextSchema(200) }),
  'finding.opened': z.strictObject({ code: findingCodeSchema, message: plainTextSchema(500), owner: principalSchema.nullable() }),
  'finding.closed': z.strictObject({ code: findingCodeSchema }),
} as const;

export type ChangeEventType = keyof typeof changeEventBodies;
export type EventBody<T extends ChangeEventType> = z.infer<(typeof changeEventBodies)[T]>;

/** What an event carries beside its body: objects that its record names by digest, and that the fold needs. */
export interface Attached {
  readonly plan?: Plan;
  readonly before?: TargetState;
  readonly after?: TargetState;
}

/** A new event: decided, not yet in the ledger. */
export type NewEvent = { [T in ChangeEventType]: { readonly type: T; readonly actor: string; readonly body: EventBody<T>; readonly attached?: Attached } }[ChangeEventType];

/** An event in the ledger's order. `atMs` is epoch milliseconds; `seq` the index of its record. */
export type ChangeEvent = NewEvent & { readonly changeId: string; readonly seq: number; readonly atMs: number };
