/**
 * What is asked of a receiver, and what it answers. `docs/connectors/webhook.md` has the rules; `docs/schemas/webhook-request.json` and
 * `webhook-answer.json` are made from these schemas.
 */
import { z } from 'zod';
import { clientTokenSchema, planStepSchema, stepActionSchema, UNDOABLE_ACTIONS } from '../../protocol/plan.ts';
import { querySchema } from '../../protocol/signed.ts';
import { connectorIdSchema, plainTextSchema, timeSchema } from '../../protocol/values.ts';

const common = {
  v: z.literal(1),
  /** The executor's time when it was sent. */
  sentAt: timeSchema,
  /** From then on the receiver does not begin it: whoever asked has given up, and may be asking for the opposite. */
  notAfter: timeSchema,
};

/** The step as far as what it did can be looked for. */
const probedStepSchema = planStepSchema.omit({ stepId: true });

/** What an order takes back. */
const undoneSchema = z.strictObject({
  action: z.enum(UNDOABLE_ACTIONS), connector: connectorIdSchema, target: plainTextSchema(128), account: plainTextSchema(128), privileges: z.array(plainTextSchema(256)).max(16),
  clientToken: clientTokenSchema,
});

const secretSchema = z.string().min(1).max(1024);

export const webhookRequestSchema = z.discriminatedUnion('operation', [
  z.strictObject({ ...common, operation: z.literal('describe') }),
  z.strictObject({ ...common, operation: z.literal('read'), query: querySchema }),
  z.strictObject({
    ...common, operation: z.literal('apply'), step: planStepSchema,
    /** Until when the access lives, for receivers that end it themselves; null for standing access. Of an `extend`, the later end. */
    validUntil: timeSchema.nullable(),
    /** Of a `provision`, `stage` or `replace`. */
    secret: secretSchema.nullable(),
    /** For `cutover` and `retire`: sessions of the old login do not keep it, they are ended. */
    endSessions: z.boolean(),
  }),
  z.strictObject({
    ...common, operation: z.literal('probe'), step: probedStepSchema,
    /** Of an `extend` alone: whether the access is there and, where it ends by itself, ends no earlier. */
    validUntil: timeSchema.nullable().optional(),
  }),
  z.strictObject({ ...common, operation: z.literal('tryUse'), step: planStepSchema, secret: secretSchema.nullable() }),
  z.strictObject({ ...common, operation: z.literal('revoke'), order: undoneSchema }),
]);
export type WebhookRequest = z.infer<typeof webhookRequestSchema>;
export type Operation = WebhookRequest['operation'];

const describedSchema = z.strictObject({
  expiry: z.enum(['native', 'external']),
  endsSessions: z.boolean(),
  residualMs: z.int().min(0).max(86_400_000),
  findable: z.boolean(),
});

const reasonSchema = plainTextSchema(300);
const v = z.literal(1);
/** What a state shows: evidence, compared byte for byte, so of values that have one spelling. */
const shownSchema = z.record(plainTextSchema(256), z.union([plainTextSchema(512), z.int(), z.boolean(), z.null()])).refine((shown) => Object.keys(shown).length <= 64, 'at most 64 attributes');

/** By operation, with status 200. */
export const webhookAnswerSchemas = {
  /** Actions that are left out are not done there. */
  describe: z.strictObject({ v, actions: z.partialRecord(stepActionSchema.exclude(['call']), describedSchema) }),
  read: z.strictObject({ v, exists: z.boolean(), touched: shownSchema, held: z.array(plainTextSchema(256)).max(1024), seen: shownSchema.optional() }),
  apply: z.discriminatedUnion('outcome', [
    z.strictObject({ v, outcome: z.literal('done') }),
    /** `rejected`: nothing was changed. `notYet`: what the step waits for is not so yet, nothing was changed. */
    z.strictObject({ v, outcome: z.enum(['rejected', 'notYet']), reason: reasonSchema }),
  ]),
  probe: z.strictObject({ v, found: z.enum(['applied', 'absent']) }),
  tryUse: z.strictObject({ v, byUse: z.enum(['works', 'fails', 'notTried']) }),
  revoke: z.strictObject({ v, outcome: z.enum(['done', 'already-absent', 'mismatch']) }),
} as const satisfies Record<Operation, z.ZodType>;
export type WebhookAnswer<O extends Operation> = z.infer<(typeof webhookAnswerSchemas)[O]>;

/** With a status of 400 to 499, to any operation: why it was refused. May be left out. */
export const webhookRefusalSchema = z.strictObject({ v, reason: reasonSchema });

/** Every answer, for `docs/schemas/`. */
export const webhookAnswerSchema = z.union([...Object.values(webhookAnswerSchemas), webhookRefusalSchema]);
