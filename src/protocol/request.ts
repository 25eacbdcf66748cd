/** What a caller sends to `POST /v1/changes`: the intent. Everything that is derived from it is the server's. */
import { z } from 'zod';
import { durationSchema, entitlementSchema, nhiIdSchema, plainTextSchema, timeSchema } from './values.ts';

/** An age X25519 recipient (age-encryption.org/v1): where a secret that is issued will be sealed to. */
export const recipientSchema = z.string().regex(/^age1[02-9ac-hj-np-z]{58}$/);
export const purposeIdSchema = z.string().regex(/^[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?$/);

const common = {
  /** Whose access changes. */
  subject: nhiIdSchema,
  /** All of one connector and target: a change touches one system. */
  entitlements: z.array(entitlementSchema).min(1).max(16),
  /** An id in the entitlement catalogue. */
  purpose: purposeIdSchema,
  /** Prose for the approver; never trusted. */
  reason: plainTextSchema(500),
};

export const provisionRequestSchema = z.strictObject({
  kind: z.literal('provision'),
  ...common,
  /** How long the new credential may live. Absent: standing, which policy may refuse. */
  duration: durationSchema.optional(),
  /** The access ends by then, however late it began. */
  endsBy: timeSchema.optional(),
  recipient: recipientSchema,
});
export const grantRequestSchema = z.strictObject({
  kind: z.literal('grant'),
  ...common,
  duration: durationSchema,
  endsBy: timeSchema.optional(),
});
export const revokeRequestSchema = z.strictObject({ kind: z.literal('revoke'), ...common });

export const changeRequestSchema = z.discriminatedUnion('kind', [provisionRequestSchema, grantRequestSchema, revokeRequestSchema]);
export type ChangeRequest = z.infer<typeof changeRequestSchema>;
export type ChangeKind = ChangeRequest['kind'];
