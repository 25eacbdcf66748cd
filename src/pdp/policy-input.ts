/**
 * What policy is asked, one shape per entrypoint. Times are epoch milliseconds, durations seconds; absent things are null, never missing,
 * because an undefined reference in Rego is not a denial.
 */
import { z } from 'zod';
import { inventoryFactSchema, catalogueSchema, directorySchema } from '../facts/schemas.ts';
import { requirementSchema } from '../protocol/decision.ts';
import { entitlementSchema, nhiIdSchema, plainTextSchema, principalSchema } from '../protocol/values.ts';

/** Entrypoint `access/decide`: may this change go ahead, and who must approve? */
export const changeInputSchema = z.strictObject({
  v: z.literal(1),
  /** `request` when the plan is derived, `dispatch` just before the step is authorised. */
  phase: z.enum(['request', 'dispatch']),
  nowMs: z.int(),
  change: z.strictObject({
    changeId: z.string(),
    revision: z.int(),
    kind: z.enum(['provision', 'grant', 'revoke']),
    /** The caller first, then whoever it acts for. */
    requester: z.array(principalSchema).min(1),
    subject: nhiIdSchema,
    purpose: z.string(),
    entitlements: z.array(entitlementSchema),
    /** null: standing access is asked for. */
    leaseSeconds: z.int().nullable(),
    /** null while the request has no plan (an unknown connector cannot be read). */
    planDigest: z.string().nullable(),
  }),
  /** What the account holds at the target, as read; null where it could not be read. */
  held: z.array(plainTextSchema(256)).nullable(),
  /** Privileges observed in use, and how old that observation is; null where nothing is known. */
  used: z.strictObject({ privileges: z.array(plainTextSchema(256)), ageMs: z.int() }).nullable(),
  facts: z.strictObject({
    /** The inventory's entry for the subject; null if it has none. */
    nhi: inventoryFactSchema.nullable(),
    catalogue: catalogueSchema,
    directory: directorySchema,
    /** Connectors this sidecar can reach, by id. */
    connectors: z.array(z.string()),
    /** Age of the oldest fact above. */
    ageMs: z.int(),
  }),
});
export type ChangeInput = z.infer<typeof changeInputSchema>;

/** Entrypoint `access/verify`: is the state that was read after the effect what was decided? */
export const verificationInputSchema = z.strictObject({
  v: z.literal(1),
  nowMs: z.int(),
  kind: z.enum(['provision', 'grant', 'revoke']),
  account: z.string(),
  /** What the plan's step was to give or take. */
  privileges: z.array(plainTextSchema(256)),
  /** What those privileges are catalogued to bring with them (a role's own): neither missed nor a surprise. */
  conveyed: z.array(plainTextSchema(256)).optional(),
  verification: z.enum(['readBack', 'byUse']),
  byUse: z.enum(['works', 'fails', 'notTried']),
  before: z.strictObject({ exists: z.boolean(), held: z.array(plainTextSchema(256)) }),
  after: z.strictObject({ exists: z.boolean(), held: z.array(plainTextSchema(256)) }),
});
export type VerificationInput = z.infer<typeof verificationInputSchema>;

/** Entrypoint `access/revoker`: may this person take access back now, without an approval? */
export const revokerInputSchema = z.strictObject({
  v: z.literal(1),
  principal: principalSchema,
  nhi: inventoryFactSchema.nullable(),
  directory: directorySchema,
});
export type RevokerInput = z.infer<typeof revokerInputSchema>;
export type { Requirement } from '../protocol/decision.ts';
export { requirementSchema };
