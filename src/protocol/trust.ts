/**
 * A trust folder: what a verifier or an executor believes, never taken from evidence or from the bus.
 *
 * - `trust.policy`      C2SP tlog-policy: logs, witnesses, quorum
 * - `sidecars.json`     ticket keys per log (never the log key)
 * - `executors.json`    report keys, and the connectors each may speak for
 * - `requirements.json` the floor: what must hold whatever the sidecar claims
 * - `allowed_signers`   people's SSH keys (`allowed-signers.ts`); may be left out
 * - `passkeys.json`     people's passkeys (`passkeys.ts`); may be left out
 */
import { z } from 'zod';
import { PEOPLE_MAX, proofClassSchema } from './decision.ts';
import { ownClassSchema } from './own-proof.ts';
import { connectorIdSchema, executorIdSchema, personIdSchema, plainTextSchema, timeSchema } from './values.ts';

/** A C2SP signed-note verifier key: `name+xxxxxxxx+base64`. */
export const vkeySchema = z.string().regex(/^[^\s+]+\+[0-9a-f]{8}\+[A-Za-z0-9+/=]+$/).max(512);

export const sidecarsFileSchema = z.array(z.strictObject({ origin: plainTextSchema(255), key: vkeySchema })).max(64);
export const executorsFileSchema = z
  .array(z.strictObject({ id: executorIdSchema, key: vkeySchema, connectors: z.array(connectorIdSchema).min(1).max(64) }))
  .max(256);

/** `*` matches anything; otherwise exact. The strictest of all that match holds. */
export const floorSchema = z.strictObject({
  connector: z.union([z.literal('*'), connectorIdSchema]),
  target: plainTextSchema(128),
  privilege: plainTextSchema(256),
  /** Distinct approvers other than the requester. 0 states in so many words that none is needed. */
  quorum: z.int().min(0).max(16),
  proofClass: proofClassSchema,
  /** Only approvals by these count, where given. */
  approvers: z.array(personIdSchema).min(1).max(PEOPLE_MAX).nullable(),
  /** Seconds; null for no limit of the executor's own. */
  maxLeaseSeconds: z.int().min(1).nullable(),
  /** Whether standing approvals count. Left out: none does, and each of `quorum` has seen this very plan. */
  standing: z.boolean().optional(),
});
export type Floor = z.infer<typeof floorSchema>;

/** Who lets a policy bundle come into force. */
export const activationFloorSchema = z
  .strictObject({
    /** So many of `approvers`. */
    quorum: z.int().min(1).max(16),
    approvers: z.array(personIdSchema).min(1).max(64).refine((people) => new Set(people).size === people.length, 'somebody is listed twice').meta({ uniqueItems: true }),
    proofClass: proofClassSchema.default('session'),
    /** What came into force before any record of this time or later is not judged. Left out: all of it is. */
    from: timeSchema.optional(),
  })
  .refine(({ quorum, approvers }) => quorum <= approvers.length, 'quorum is more than there are approvers, so that nothing could ever come into force');
export type ActivationFloor = z.infer<typeof activationFloorSchema>;

/** Who may break the glass, where and how far. As with floors, the strictest of all that match holds; what none matches nobody may. */
export const breakGlassFloorSchema = z.strictObject({
  connector: floorSchema.shape.connector, target: floorSchema.shape.target, privilege: floorSchema.shape.privilege,
  /** By keys of theirs in `allowed_signers`. */
  people: z.array(personIdSchema).min(1).max(64).refine((people) => new Set(people).size === people.length, 'somebody is listed twice').meta({ uniqueItems: true }),
  /** The longest lease that is given so. At most a day. */
  maxLeaseSeconds: z.int().min(1).max(86_400),
  /** By when somebody else has reviewed it. At most 30 days. */
  reviewWithinSeconds: z.int().min(1).max(2_592_000),
  /** By when, from the lease's end on, a login that was lent more has a new credential. At most 30 days. Left out: the sidecar takes the time for the review, and nothing is demanded of it. */
  rotateWithinSeconds: z.int().min(1).max(2_592_000).optional(),
  /** `ssh`: only a review by the reviewer's own signature, or her passkey, is one; `passkey`: only by her passkey. Left out: her session does. */
  reviewProofClass: ownClassSchema.optional(),
  /** Only reviews by these count, whatever the directory says of others. Left out: that of anybody who was asked, and of security where nobody of them is left. */
  reviewers: z.array(personIdSchema).min(1).max(64).refine((people) => new Set(people).size === people.length, 'somebody is listed twice').meta({ uniqueItems: true }).optional(),
}).refine(({ people, reviewers }) => reviewers === undefined || reviewers.length > 1 || !people.includes(reviewers[0]!), 'somebody who may break the glass is the only one to review it');
export type BreakGlassFloor = z.infer<typeof breakGlassFloorSchema>;

/** Who grants exceptions and scopes under observe, each by her own SSH signature. */
export const exceptionFloorSchema = z
  .strictObject({
    /** So many of `approvers`. */
    quorum: z.int().min(1).max(16),
    approvers: z.array(personIdSchema).min(1).max(64).refine((people) => new Set(people).size === people.length, 'somebody is listed twice').meta({ uniqueItems: true }),
    /** What was decided before any record of this time or later is not judged. Left out: all of it is. */
    from: timeSchema.optional(),
  })
  .refine(({ quorum, approvers }) => quorum <= approvers.length, 'quorum is more than there are approvers, so that nothing could ever be granted');
export type ExceptionFloor = z.infer<typeof exceptionFloorSchema>;

export const requirementsFileSchema = z.strictObject({
  v: z.literal(1),
  /** What no floor matches needs one approval by session: silence is not consent. */
  floors: z.array(floorSchema).max(256),
  /** Keys that may revoke straight at the executor, the sidecar dead. */
  revokers: z.array(z.strictObject({ principal: personIdSchema, key: vkeySchema })).max(64),
  /** Whose policy bundles may be run: by a sidecar, and again by a verifier (REPLAY). Left out or empty: a sidecar runs what it is given, a verifier none. */
  policySigners: z.array(vkeySchema).max(16).optional(),
  /** Who must approve that a policy bundle comes into force, whatever a sidecar is configured to. Left out: nobody. */
  policyActivation: activationFloorSchema.optional(),
  /** Who may give a lease alone when nobody can be waited for. Left out: nobody. */
  breakGlass: z.array(breakGlassFloorSchema).max(256).optional(),
  /** Who must grant exceptions and scopes under observe, whatever a sidecar is configured to. Left out: nobody. */
  exceptionGrants: exceptionFloorSchema.optional(),
  /** Milliseconds of clock difference between signer and executor that are tolerated. */
  clockSkewMs: z.int().min(0).max(60_000),
});
export type RequirementsFile = z.infer<typeof requirementsFileSchema>;
