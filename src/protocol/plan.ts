/**
 * The plan: what will be done, derived by the server, approved by digest, and recomputed by the executor.
 *
 * `planDigest = sha256(JCS(plan))`. The salt makes the digest safe to publish where the plan is erased.
 */
import { z } from 'zod';
import { canonicalBytes, digestOf } from '../../ledger/index.ts';
import { calendarIdSchema, purposeIdSchema, recipientSchema, runKeySchema } from './request.ts';
import {
  changeIdSchema, connectorIdSchema, entitlementSchema, leaseIdSchema, logIdSchema, nhiIdSchema, plainTextSchema, principalSchema,
  saltSchema, stepIdSchema, subjectSchema, timeSchema,
} from './values.ts';

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
  /** What was seen beside, such as open sessions: evidence, and never compared. */
  seen: z.record(z.string(), jsonValueSchema).optional(),
});
export type TargetState = z.infer<typeof targetStateSchema>;

/**
 * What a step does at its target.
 *
 * - `provision`, `grant`: access is made or lent; `revoke`: privileges are taken;
 * - `extend`: access that was made or lent gets a later end;
 * - `stage`, `cutover`, `retire`: a rotation with overlap makes the new login, checks that it can take over, and shuts out the old one;
 * - `replace`: a rotation without overlap sets a new secret in place;
 * - `disable`: an account is shut out and holds nothing of its own any more;
 * - `call`: the caller's own code makes the change (mode `caller`).
 */
export const STEP_ACTIONS = ['provision', 'grant', 'extend', 'revoke', 'stage', 'cutover', 'retire', 'replace', 'disable', 'call'] as const;
export const stepActionSchema = z.enum(STEP_ACTIONS);
export type StepAction = z.infer<typeof stepActionSchema>;

/** Whether the step makes a new secret. */
export function makesSecret(action: StepAction): boolean {
  return action === 'provision' || action === 'stage' || action === 'replace';
}

/** Whether the step may leave more access than there was. What a caller's own code does, nobody can tell beforehand. */
export function givesAccess(action: StepAction): boolean {
  return makesSecret(action) || action === 'grant' || action === 'extend' || action === 'call';
}

/** Whether the step leaves less access than there was: no window, freeze, lock or floor holds it up. */
export function takesAway(action: StepAction): boolean {
  return action === 'revoke' || action === 'retire' || action === 'disable';
}

/** What can be undone by an order: what a revoke order may name as its action. */
export const UNDOABLE_ACTIONS = ['provision', 'grant', 'stage'] as const;
export type UndoableAction = (typeof UNDOABLE_ACTIONS)[number];

export function isUndoable(action: StepAction): action is UndoableAction {
  return (UNDOABLE_ACTIONS as readonly string[]).includes(action);
}

/** What gives access that ends by itself. */
export const lentActionSchema = z.enum(['provision', 'grant']);
export type LentAction = z.infer<typeof lentActionSchema>;

/** One effect on one target. `action` is what the connector is asked to do. */
export const planStepSchema = z.strictObject({
  stepId: stepIdSchema,
  action: stepActionSchema,
  connector: connectorIdSchema,
  target: plainTextSchema(128),
  /** The account at the target: a new name for `provision`, the new login for `stage` and `cutover`, the old one for `retire`, else the identity's own. */
  account: plainTextSchema(128),
  /** The other login of a rotation: the old one for `stage` and `cutover`, the new one for `retire`. */
  other: plainTextSchema(128).optional(),
  privileges: z.array(plainTextSchema(256)).max(16),
  /** For `extend`, of the change whose lease it is. */
  clientToken: clientTokenSchema,
  /** What an `extend` extends: the action that gave it. */
  gave: lentActionSchema.optional(),
});
export type PlanStep = z.infer<typeof planStepSchema>;

/** So many are told of one window. */
export const WINDOW_CONSUMERS_MAX = 256;

/** One occurrence of a maintenance window: what gives access happens inside it, or not at all. */
export const planWindowSchema = z.strictObject({
  calendar: calendarIdSchema,
  opensAt: timeSchema,
  closesAt: timeSchema,
  onMissed: z.enum(['replan', 'expire']),
  /** Who is told when it opens and closes. */
  consumers: z.array(plainTextSchema(128)).max(WINDOW_CONSUMERS_MAX),
});
export type PlanWindow = z.infer<typeof planWindowSchema>;

export const planRotationSchema = z.strictObject({
  /** `twin`: old and new work side by side until the old one is retired. `none`: the target has one secret, and the new one ends the old. */
  overlap: z.enum(['twin', 'none']),
  graceSeconds: z.int().min(0),
  retire: z.enum(['whenUnused', 'endSessions']),
  /** Who must confirm that they use the new credential, unless the grace is over. */
  consumers: z.array(plainTextSchema(128)).max(256),
});

/** What an offboarding takes back, in the order in which it is worked through. */
export const offboardItemSchema = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('lease'), nhi: nhiIdSchema, change: changeIdSchema }),
  z.strictObject({ kind: z.literal('account'), nhi: nhiIdSchema, connector: connectorIdSchema, target: plainTextSchema(128), account: plainTextSchema(128) }),
]);
export type OffboardItem = z.infer<typeof offboardItemSchema>;

export const planSchema = z.strictObject({
  v: z.literal(1),
  salt: saltSchema,
  log: logIdSchema,
  changeId: changeIdSchema,
  revision: z.int().min(1).max(9999),
  kind: z.enum(['provision', 'grant', 'extend', 'revoke', 'rotate', 'disable', 'offboard']),
  /** First the principal that called, then whoever it acts for (RFC 8693 `act`), outermost first. */
  requester: z.array(principalSchema).min(1).max(8),
  subject: subjectSchema,
  purpose: purposeIdSchema,
  /** `-` for an offboarding, whose children have systems of their own; so is `target`. */
  connector: z.union([connectorIdSchema, z.literal('-')]),
  target: plainTextSchema(128),
  mode: z.enum(['executor', 'caller']),
  entitlements: z.array(entitlementSchema).max(16),
  /** Carried out in this order, each once the one before it is verified. */
  steps: z.array(planStepSchema).max(3),
  /** What the step depends on, as read. Read again just before the effect: a difference is `drifted`. */
  before: z.record(z.string(), jsonValueSchema),
  /** The first `step.authorised` fixes the end: min(its time + leaseSeconds, endsBy). */
  lease: z.strictObject({ leaseId: leaseIdSchema, leaseSeconds: z.int().min(1), endsBy: timeSchema.nullable() }).nullable(),
  /** Whose lease an `extend` extends, and to which epoch; `lease` is that change's, with the length from now on. */
  extends: z.strictObject({ change: changeIdSchema, epoch: z.int().min(2).max(9999) }).optional(),
  recipient: recipientSchema.nullable(),
  window: planWindowSchema.optional(),
  rotation: planRotationSchema.optional(),
  /** Mode `caller`: whose run it is, and how long its code may take from the claim on. */
  caller: z.strictObject({ key: runKeySchema, timeoutSeconds: z.int().min(1) }).optional(),
  /** The offboarding that this change is part of. */
  parent: changeIdSchema.optional(),
  items: z.array(offboardItemSchema).max(512).optional(),
});
export type Plan = z.infer<typeof planSchema>;

/** `sha256:<hex>` of the plan's RFC 8785 bytes. */
export function planDigest(plan: Plan): string {
  return digestOf(canonicalBytes(plan));
}
