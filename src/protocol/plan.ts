/**
 * The plan: what will be done, derived by the server, approved by digest, and recomputed by the executor.
 *
 * `planDigest = sha256(JCS(plan))`. The salt makes the digest safe to publish where the plan is erased.
 */
import { z } from 'zod';
import { canonicalBytes, digestOf } from '../../ledger/index.ts';
import { purposeIdSchema, recipientSchema } from './request.ts';
import {
  changeIdSchema, connectorIdSchema, entitlementSchema, leaseIdSchema, logIdSchema, nhiIdSchema, plainTextSchema, principalSchema,
  stepIdSchema, timeSchema,
} from './values.ts';

/** 16 random bytes, base64url without padding. */
export const saltSchema = z.string().regex(/^[A-Za-z0-9_-]{22}$/);
/** What a credential is found again by at the target, without anyone's lease book: `cs_` and the change's ulid in lower case. */
export const clientTokenSchema = z.string().regex(/^cs_[0-7][0-9a-hjkmnp-tv-z]{25}$/);
export const jsonValueSchema = z.json();

/** What was read at the target. `touched`: the attributes that the step depends on; `held`: the privileges that the account has. */
export const targetStateSchema = z.strictObject({
  v: z.literal(1),
  salt: saltSchema,
  connector: connectorIdSchema,
  target: plainTextSchema(128),
  account: plainTextSchema(128),
  /** Whether the account is there. */
  exists: z.boolean(),
  touched: z.record(z.string(), jsonValueSchema),
  held: z.array(plainTextSchema(256)).max(1024),
});
export type TargetState = z.infer<typeof targetStateSchema>;

/** One effect on one target. `action` is what the connector is asked to do. */
export const planStepSchema = z.strictObject({
  stepId: stepIdSchema,
  action: z.enum(['provision', 'grant', 'revoke']),
  connector: connectorIdSchema,
  target: plainTextSchema(128),
  /** The account at the target: a new name for `provision`, the identity's own for `grant` and `revoke`. */
  account: plainTextSchema(128),
  privileges: z.array(plainTextSchema(256)).min(1).max(16),
  clientToken: clientTokenSchema,
});
export type PlanStep = z.infer<typeof planStepSchema>;

export const planSchema = z.strictObject({
  v: z.literal(1),
  salt: saltSchema,
  log: logIdSchema,
  changeId: changeIdSchema,
  revision: z.int().min(1).max(9999),
  kind: z.enum(['provision', 'grant', 'revoke']),
  /** First the principal that called, then whoever it acts for (RFC 8693 `act`), outermost first. */
  requester: z.array(principalSchema).min(1).max(8),
  subject: nhiIdSchema,
  purpose: purposeIdSchema,
  connector: connectorIdSchema,
  target: plainTextSchema(128),
  mode: z.literal('executor'),
  entitlements: z.array(entitlementSchema).min(1).max(16),
  steps: z.array(planStepSchema).length(1),
  /** What the step depends on, as read. Read again just before the effect: a difference is `drifted`. */
  before: z.record(z.string(), jsonValueSchema),
  /** The first `step.authorised` fixes the end: min(its time + leaseSeconds, endsBy). */
  lease: z.strictObject({ leaseId: leaseIdSchema, leaseSeconds: z.int().min(1), endsBy: timeSchema.nullable() }).nullable(),
  recipient: recipientSchema.nullable(),
});
export type Plan = z.infer<typeof planSchema>;

/** `sha256:<hex>` of the plan's RFC 8785 bytes. */
export function planDigest(plan: Plan): string {
  return digestOf(canonicalBytes(plan));
}
