/**
 * The documents that cross between sidecar and executor, each a DSSE envelope over RFC 8785 bytes.
 *
 * - ticket: the sidecar authorises one step (or one read) for one executor, for minutes;
 * - revoke order: take back what one lease gave, not before a time; true however it arrives;
 * - approval: one person's verdict on one plan;
 * - report: what an executor did or saw.
 *
 * A signature says who wrote it; only a *receipt* (see `envelope.ts`) says that it was recorded first.
 *
 * @see https://github.com/secure-systems-lab/dsse/blob/master/protocol.md (DSSE v1.0)
 */
import { z } from 'zod';
import { proofClassSchema } from './decision.ts';
import { clientTokenSchema, lentActionSchema, planStepSchema, STEP_ACTIONS, UNDOABLE_ACTIONS } from './plan.ts';
import {
  actorIdSchema, approvalIdSchema, changeIdSchema, connectorIdSchema, digestSchema, executorIdSchema, leaseIdSchema, logIdSchema, personIdSchema,
  plainTextSchema, principalSchema, stepIdSchema, timeSchema,
} from './values.ts';
import { recipientSchema } from './request.ts';

const base64 = z.base64().max(131_072);

export const dsseSchema = z.strictObject({
  payloadType: z.string().max(128),
  /** Standard base64 of the payload's bytes: these bytes are what is signed, never a re-serialisation. */
  payload: base64,
  /** `keyid` is the key's name and hash as in its vkey: `name+xxxxxxxx`. */
  signatures: z.array(z.strictObject({ keyid: z.string().max(256), sig: base64 })).length(1),
});
export type Dsse = z.infer<typeof dsseSchema>;

/** What a read asks: the state of one account, as one change or one step of it would touch it. */
export const querySchema = z.strictObject({
  connector: connectorIdSchema,
  target: plainTextSchema(128),
  /** `rotate`: how the account can be rotated, and what every step of that will touch. */
  action: z.enum([...STEP_ACTIONS, 'rotate']),
  account: plainTextSchema(128),
  other: plainTextSchema(128).optional(),
  privileges: z.array(plainTextSchema(256)).max(16),
  clientToken: clientTokenSchema,
  gave: lentActionSchema.optional(),
});
export type Query = z.infer<typeof querySchema>;

/** The longest that a ticket lives. A record that authorises one is never older than that, give or take clocks, when the ticket is used. */
export const TICKET_SECONDS_MAX = 3_600;

const ticketCommon = {
  v: z.literal(1),
  log: logIdSchema,
  changeId: changeIdSchema,
  revision: z.int().min(1),
  stepId: stepIdSchema,
  /** 1, 2, …: a ticket that ran out is issued again, each issue a record of its own. */
  issue: z.int().min(1),
  audience: actorIdSchema,
  notBefore: timeSchema,
  notAfter: timeSchema,
};
export const actTicketSchema = z.strictObject({ kind: z.literal('act'), ...ticketCommon, planDigest: digestSchema, step: planStepSchema });
export const readTicketSchema = z.strictObject({ kind: z.literal('read'), ...ticketCommon, queryDigest: digestSchema, query: querySchema });
export const ticketSchema = z.discriminatedUnion('kind', [actTicketSchema, readTicketSchema]);
export type Ticket = z.infer<typeof ticketSchema>;
export type ActTicket = z.infer<typeof actTicketSchema>;
export type ReadTicket = z.infer<typeof readTicketSchema>;
export const TICKET_TYPE = 'application/vnd.countersign.ticket+json';

export const revokeOrderSchema = z.strictObject({
  v: z.literal(1),
  log: logIdSchema,
  changeId: changeIdSchema,
  leaseId: leaseIdSchema,
  /** 1 for a grant; only an applied `extend` raises it. */
  epoch: z.int().min(1),
  /** The access ends then. An order that comes earlier is held, never dropped. */
  notBefore: timeSchema,
  audience: executorIdSchema,
  /** What gave the access, and so what must be undone. */
  action: z.enum(UNDOABLE_ACTIONS),
  connector: connectorIdSchema,
  target: plainTextSchema(128),
  account: plainTextSchema(128),
  privileges: z.array(plainTextSchema(256)).min(1).max(16),
  clientToken: clientTokenSchema,
  /** `reconcile`: it was found at the target though its lease is over, and is carried out whatever was taken back before. */
  cause: z.enum(['leaseEnd', 'early', 'compensation', 'reconcile']),
  orderedBy: principalSchema,
});
export type RevokeOrder = z.infer<typeof revokeOrderSchema>;
export const REVOKE_ORDER_TYPE = 'application/vnd.countersign.revoke-order+json';

/** The bytes an approver stands for: SHA-256 of this statement's JCS is the approval digest (invariant 2). */
export const approvalStatementSchema = z.strictObject({
  v: z.literal(1),
  log: logIdSchema,
  changeId: changeIdSchema,
  revision: z.int().min(1),
  planDigest: digestSchema,
  verdict: z.enum(['approve', 'reject']),
  approver: personIdSchema,
  expiresAt: timeSchema,
});
export type ApprovalStatement = z.infer<typeof approvalStatementSchema>;
export const APPROVAL_TYPE = 'application/vnd.countersign.approval+json';

/** A statement and how it is proven. `session`: `envelope` is signed by the sidecar that authenticated the person. */
export const approvalSchema = z.strictObject({
  approvalId: approvalIdSchema,
  proofClass: proofClassSchema,
  envelope: dsseSchema,
  /** The envelope is a standing approval, and this the use of it of that number. Absent: a verdict on this very plan. */
  use: z.int().min(1).max(1_000).optional(),
});
export type Approval = z.infer<typeof approvalSchema>;

/** What a sealed secret may be known by: never a bare hash of it. */
export const sealSchema = z.strictObject({
  recipient: recipientSchema,
  /** sha256 of the ciphertext. */
  ciphertext: digestSchema,
  /** HMAC-SHA-256 of the secret under the executor's fingerprint key, hex: recognises a leaked secret without revealing one. */
  fingerprint: z.string().regex(/^[0-9a-f]{64}$/),
  /** The seal of an earlier attempt that was probed as not applied. */
  replaces: digestSchema.nullable(),
});
export type Seal = z.infer<typeof sealSchema>;

/** Why an executor did not act, or could not. */
export const REFUSALS = [
  'bad-signature', 'unknown-sidecar', 'wrong-audience', 'outside-window', 'wrong-step', 'plan-digest-mismatch', 'no-receipt', 'receipt-mismatch',
  'untrusted-checkpoint', 'inconsistent-checkpoint', 'approvals-insufficient', 'approval-invalid', 'below-floor', 'order-mismatch',
  'lease-ended', 'unknown-connector', 'malformed', 'not-yet', 'locked',
] as const;
export type Refusal = (typeof REFUSALS)[number];

const reportCommon = {
  v: z.literal(1),
  /** Who reports: an executor, or the run of a caller. */
  executor: actorIdSchema,
  log: logIdSchema,
  changeId: changeIdSchema,
  at: timeSchema,
};
/** `done`: the effect is there and was read back. `ambiguous`: not known; it will be probed, never blindly repeated. */
export const ACT_OUTCOMES = ['done', 'already-absent', 'immutable', 'ambiguous', 'drifted', 'refused', 'failed'] as const;
export const REVOKE_OUTCOMES = ['done', 'already-absent', 'mismatch', 'failed'] as const;

/** The executor took the step up; nothing has been touched. */
export const claimedReportSchema = z.strictObject({ kind: z.literal('claimed'), ...reportCommon, stepId: stepIdSchema, issue: z.int().min(1) });
export const readReportSchema = z.strictObject({
  kind: z.literal('read'), ...reportCommon, stepId: stepIdSchema, issue: z.int().min(1),
  outcome: z.enum(['done', 'refused', 'failed']), code: plainTextSchema(64).nullable(), detail: plainTextSchema(500).nullable(),
  state: digestSchema.nullable(),
});
export const actedReportSchema = z.strictObject({
  kind: z.literal('acted'), ...reportCommon, stepId: stepIdSchema, issue: z.int().min(1),
  /** 1, 2, …: attempts at the target under this step. */
  attempt: z.int().min(0),
  outcome: z.enum(ACT_OUTCOMES), code: plainTextSchema(64).nullable(), detail: plainTextSchema(500).nullable(),
  before: digestSchema.nullable(), after: digestSchema.nullable(),
  /** Whether the credential was used and worked (`works`), was not to be tried (`notTried`), or failed (`fails`). */
  byUse: z.enum(['works', 'fails', 'notTried']),
  seal: sealSchema.nullable(),
});
export const revokedReportSchema = z.strictObject({
  kind: z.literal('revoked'), ...reportCommon, leaseId: leaseIdSchema, epoch: z.int().min(1), order: digestSchema,
  outcome: z.enum(REVOKE_OUTCOMES), code: plainTextSchema(64).nullable(), detail: plainTextSchema(500).nullable(),
  after: digestSchema.nullable(),
  /** `fails`: a use of the old access was tried and refused; `notTried`: nothing to try it with, the catalogs say it is gone. */
  byUse: z.enum(['works', 'fails', 'notTried']),
  /** Attempts so far; a failed report is followed by others until one says done. */
  attempt: z.int().min(1),
});
export const reportSchema = z.discriminatedUnion('kind', [claimedReportSchema, readReportSchema, actedReportSchema, revokedReportSchema]);
export type Report = z.infer<typeof reportSchema>;
export type ActedReport = z.infer<typeof actedReportSchema>;
export type ReadReport = z.infer<typeof readReportSchema>;
export type RevokedReport = z.infer<typeof revokedReportSchema>;
export const REPORT_TYPE = 'application/vnd.countersign.report+json';
