/** What crosses the HTTP surface, as closed schemas: the one source of types, checks and `docs/openapi.json`. */
import { z } from 'zod';
import { findingCodeSchema } from '../change/events.ts';
import { STATES } from '../change/state.ts';
import { counterOfferSchema, decisionSchema, requirementSchema, verificationSchema } from '../protocol/decision.ts';
import { jsonValueSchema, planSchema } from '../protocol/plan.ts';
import { changeRequestSchema, purposeIdSchema, recipientSchema } from '../protocol/request.ts';
import { ACT_OUTCOMES, REVOKE_OUTCOMES } from '../protocol/signed.ts';
import {
  approvalIdSchema, changeIdSchema, connectorIdSchema, digestSchema, durationSchema, durationSeconds, entitlementSchema, executorIdSchema,
  leaseIdSchema, nhiIdSchema, personIdSchema, plainTextSchema, principalSchema, timeSchema,
} from '../protocol/values.ts';
import { inventoryFactSchema } from '../facts/schemas.ts';
import { ERROR_CODES } from './errors.ts';

/** The longest that a request may be held open, in seconds. */
export const WAIT_SECONDS_MAX = 60;
export const LIST_LIMIT_MAX = 200;

const stateSchema = z.enum(STATES);
const kindSchema = z.enum(['provision', 'grant', 'revoke']);
const commentSchema = plainTextSchema(500);
const counterSchema = z.int().min(0);

export const problemSchema = z.strictObject({
  type: z.url(),
  title: z.string(),
  status: z.int(),
  detail: z.string(),
  instance: z.string(),
  code: z.enum(ERROR_CODES as [(typeof ERROR_CODES)[number], ...(typeof ERROR_CODES)[number][]]),
  errors: z.array(z.strictObject({ pointer: z.string(), detail: z.string() })).optional(),
});

/** A change as people and callers see it. */
export const changeViewSchema = z.strictObject({
  id: changeIdSchema,
  kind: kindSchema,
  state: stateSchema,
  revision: z.int().min(1),
  subject: nhiIdSchema,
  requester: z.array(principalSchema),
  purpose: purposeIdSchema,
  reason: plainTextSchema(500),
  entitlements: z.array(entitlementSchema),
  duration: durationSchema.nullable(),
  endsBy: timeSchema.nullable(),
  requestedAt: timeSchema,
  /** What will be done, and the digest that an approval names; null until it is derived. */
  plan: planSchema.nullable(),
  planDigest: digestSchema.nullable(),
  decision: z
    .strictObject({
      effect: decisionSchema.shape.effect,
      reasons: decisionSchema.shape.reasons,
      excess: z.array(entitlementSchema),
      counterOffer: counterOfferSchema.nullable(),
      controls: decisionSchema.shape.controls,
    })
    .nullable(),
  /** The strictest of every decision so far. */
  requirement: requirementSchema,
  /** Of this revision and plan; `record` is where the ledger holds it. */
  approvals: z.array(z.strictObject({ approvalId: approvalIdSchema, approver: personIdSchema, verdict: z.enum(['approve', 'reject']), record: counterSchema })),
  approvalsBy: timeSchema.nullable(),
  executor: executorIdSchema.nullable(),
  /** What the executor did; null until it says so. */
  result: z.strictObject({ outcome: z.enum(ACT_OUTCOMES), byUse: z.enum(['works', 'fails', 'notTried']), at: timeSchema }).nullable(),
  verification: verificationSchema.nullable(),
  lease: z.strictObject({ leaseId: leaseIdSchema, endsAt: timeSchema, armed: z.boolean(), active: z.boolean() }).nullable(),
  /** How the access ended; null while it lasts, or where there was none. */
  ended: z.strictObject({ outcome: z.enum(REVOKE_OUTCOMES), at: timeSchema }).nullable(),
  delivery: z.strictObject({ status: z.enum(['sealed', 'acknowledged', 'undeliverable']), digest: digestSchema }).nullable(),
  findings: z.array(z.strictObject({ code: findingCodeSchema, message: z.string(), owner: principalSchema.nullable(), at: timeSchema })),
  /** How many records the change has: what `since` of the next long poll takes. */
  length: z.int().min(1),
  /** Index of its last record in the ledger, and when that was written. */
  lastRecord: counterSchema,
  updatedAt: timeSchema,
  links: z.strictObject({ self: z.string(), approvals: z.string(), delivery: z.string(), evidence: z.string() }),
});
export type ChangeView = z.infer<typeof changeViewSchema>;

/** `next`: the cursor of the page after this one; null where this is the last. */
export const changeListSchema = z.strictObject({ changes: z.array(changeViewSchema), next: changeIdSchema.nullable() });
export type ChangeList = z.infer<typeof changeListSchema>;

export const approvalBodySchema = z
  .strictObject({
    verdict: z.enum(['approve', 'reject']),
    /** The plan that was seen: a verdict on any other is refused. */
    planDigest: digestSchema,
    comment: commentSchema.optional(),
  })
  .refine((body) => body.verdict === 'approve' || body.comment !== undefined, { path: ['comment'], error: 'a rejection says why' });
export type ApprovalBody = z.infer<typeof approvalBodySchema>;

export const commentBodySchema = z.strictObject({ comment: commentSchema.optional() });
export type CommentBody = z.infer<typeof commentBodySchema>;

/** `recorded: false`: the order is on its way though the ledger could not be written; its evidence follows from the executor. */
export const revokeAnswerSchema = z.strictObject({ recorded: z.boolean(), change: changeViewSchema });
export type RevokeAnswer = z.infer<typeof revokeAnswerSchema>;
export const revokeAllAnswerSchema = z.strictObject({ nhi: nhiIdSchema, revokes: z.array(z.strictObject({ changeId: changeIdSchema, recorded: z.boolean() })) });
export type RevokeAllAnswer = z.infer<typeof revokeAllAnswerSchema>;

/** `ciphertext`: an age file sealed to `recipient`, base64. */
export const deliverySchema = z.strictObject({ ciphertext: z.base64(), digest: digestSchema, recipient: recipientSchema });
export type Delivery = z.infer<typeof deliverySchema>;
export const acknowledgeBodySchema = z.strictObject({ digest: digestSchema });
export type AcknowledgeBody = z.infer<typeof acknowledgeBodySchema>;

/** A record as the ledger holds it: its RFC 8785 form is the entry's bytes. `docs/records.md` has the bodies. */
export const recordSchema = z.strictObject({
  v: z.int().min(1),
  seq: counterSchema,
  prev: digestSchema.nullable(),
  change: changeIdSchema.nullable(),
  changeSeq: counterSchema.nullable(),
  changePrev: digestSchema.nullable(),
  type: z.string(),
  at: timeSchema,
  actor: principalSchema,
  body: z.record(z.string(), jsonValueSchema),
  objects: z.array(digestSchema),
});

/** The change's records, in order. */
export const evidenceSchema = z.strictObject({
  records: z.array(recordSchema),
  /** C2SP tlog-proof text of the last record. */
  proof: z.string(),
  /** C2SP tlog-checkpoint text which that proof is under. */
  checkpoint: z.string(),
});
export type Evidence = z.infer<typeof evidenceSchema>;

export const leaseViewSchema = z.strictObject({
  leaseId: leaseIdSchema,
  changeId: changeIdSchema,
  subject: nhiIdSchema,
  state: stateSchema,
  connector: connectorIdSchema,
  target: z.string(),
  account: z.string(),
  privileges: z.array(z.string()),
  endsAt: timeSchema,
  armed: z.boolean(),
  active: z.boolean(),
});
export type LeaseView = z.infer<typeof leaseViewSchema>;
export const leaseListSchema = z.strictObject({ leases: z.array(leaseViewSchema) });
export type LeaseList = z.infer<typeof leaseListSchema>;

export const nhiViewSchema = z.strictObject({ ...inventoryFactSchema.shape, leases: z.array(leaseViewSchema) });
export type NhiView = z.infer<typeof nhiViewSchema>;
export const nhiListSchema = z.strictObject({ nhis: z.array(nhiViewSchema) });
export type NhiList = z.infer<typeof nhiListSchema>;

export const healthSchema = z.strictObject({ status: z.literal('ok') });
/** `required: false`: worth knowing, but the sidecar is of use without it. */
export const readinessSchema = z.strictObject({
  ready: z.boolean(),
  checks: z.array(z.strictObject({ check: z.string(), ok: z.boolean(), required: z.boolean(), message: z.string() })),
});
export type Readiness = z.infer<typeof readinessSchema>;

const waitSchema = durationSchema.refine((text) => durationSeconds(text) <= WAIT_SECONDS_MAX, `at most PT${WAIT_SECONDS_MAX}S`);
const digits = z.string().regex(/^(0|[1-9][0-9]{0,8})$/, 'a whole number');

export const waitQuerySchema = z.strictObject({ wait: waitSchema.optional() });
/** Answers at once if the change has other than `since` records, else when it has or `wait` is over. */
export const getQuerySchema = z.strictObject({ wait: waitSchema.optional(), since: digits.optional() });
export const listQuerySchema = z.strictObject({
  state: stateSchema.optional(),
  subject: nhiIdSchema.optional(),
  kind: kindSchema.optional(),
  limit: digits.refine((text) => Number(text) >= 1 && Number(text) <= LIST_LIMIT_MAX, `1 to ${LIST_LIMIT_MAX}`).optional(),
  /** `next` of the page before. */
  cursor: changeIdSchema.optional(),
});
export type ListQuery = z.infer<typeof listQuerySchema>;
export const subjectQuerySchema = z.strictObject({ subject: nhiIdSchema.optional() });
export const noQuerySchema = z.strictObject({});

export { changeRequestSchema };
