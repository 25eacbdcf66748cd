/**
 * What receivers of webhooks are told, as JSON: `{type, timestamp, data}`. No secret is in it, and nothing that a person wrote but what stands
 * under `requesterWords`: prose of whoever asked, to be shown as such and never to be acted on.
 */
import { z } from 'zod';
import { changeEventBodies, findingCodeSchema } from '../change/events.ts';
import { breakGlassVerdictSchema } from '../protocol/break-glass-review.ts';
import { offboardItemSchema } from '../protocol/plan.ts';
import { calendarIdSchema } from '../protocol/request.ts';
import { revokeOrderSchema } from '../protocol/signed.ts';
import { approvalIdSchema, changeIdSchema, connectorIdSchema, digestSchema, durationSchema, entitlementSchema, personIdSchema, plainTextSchema, principalSchema, proposalIdSchema, stepIdSchema, subjectSchema, timeSchema } from '../protocol/values.ts';

const about = {
  changeId: changeIdSchema,
  /** Index of the record in the ledger that this tells of. */
  record: z.int().min(0),
  kind: z.enum(['provision', 'grant', 'extend', 'revoke', 'rotate', 'disable', 'offboard']),
  subject: subjectSchema,
  /** The system that the change is about; an offboarding has none of its own. */
  connector: connectorIdSchema.optional(),
  target: plainTextSchema(128).optional(),
};
const requester = z.array(principalSchema).min(1).max(8);
/** Where whoever is asked looks at the change and decides. Absent where the sidecar does not say where it is reached. */
const link = z.url().max(512).optional();
const requesterWords = z.strictObject({ /** null: it was erased. */ reason: plainTextSchema(500).nullable() });
const consumers = z.array(plainTextSchema(128)).max(256);
const window = { calendar: calendarIdSchema, opensAt: timeSchema, closesAt: timeSchema, consumers };
/** Who looks after it; null where nobody is known. */
const owner = principalSchema.nullable();
const items = z.int().min(0).max(512);

/** Who did it, and everyone who had been asked to approve. */
const ended = { by: principalSchema, approvers: z.array(personIdSchema) };

const payload = <T extends string, S extends z.ZodRawShape>(type: T, shape: S) =>
  z.strictObject({
    type: z.literal(type),
    /** When it happened: the time of the record. */
    timestamp: timeSchema,
    data: z.strictObject({ ...about, ...shape }),
  });

/** A policy bundle waits for people to let it come into force. Whoever decides looks at that bundle, not at this message. */
const policyProposed = z.strictObject({
  type: z.literal('policy.proposed'),
  timestamp: timeSchema,
  data: z.strictObject({
    proposalId: proposalIdSchema, record: z.int().min(0), bundle: digestSchema,
    /** What its source calls it; null where it came from none that says. */
    revision: plainTextSchema(128).nullable(),
    /** Everyone whom a floor names; how many of them it takes, and how they prove it, `GET /v1/policy/proposed` says. */
    approvers: z.array(personIdSchema),
  }),
});

export const notificationSchema = z.discriminatedUnion('type', [
  policyProposed,
  /** The change waits for people. Whoever approves looks at the plan of this digest, not at this message. */
  payload('approval.requested', {
    revision: z.int().min(1), requester, planDigest: digestSchema,
    /** Everyone whom the requirement names and whose turn it is, or, of a later stage, whose turn has come; how many of them it takes is in the change. */
    approvers: z.array(personIdSchema),
    approvalsBy: timeSchema.nullable(),
    urgency: z.literal('emergency').optional(),
    link,
    requesterWords,
  }),
  /** Somebody has decided. What she wrote beside it is in the change. */
  payload('approval.decided', {
    revision: z.int().min(1), planDigest: digestSchema, approver: personIdSchema, verdict: z.enum(['approve', 'reject']),
    /** Whether it still waits for others. */
    pending: z.boolean(),
  }),
  /** It has waited for long, and these are told as well. Who may approve is still who was asked. */
  payload('approval.escalated', {
    revision: z.int().min(1), requester, planDigest: digestSchema,
    /** Whom this is for. */
    to: z.array(personIdSchema),
    /** Everyone who may approve, as in `approval.requested`: being in `to` lets nobody do so. */
    approvers: z.array(personIdSchema),
    /** When it was time to tell them; `timestamp` is later where the sidecar was away. */
    dueAt: timeSchema,
    approvalsBy: timeSchema.nullable(),
    urgency: z.literal('emergency').optional(),
    link,
    requesterWords,
  }),
  /** Somebody gives the lease alone. Those who were asked and not waited for are told, and one of `reviewers` reviews it with `POST` to `review`. */
  payload('breakglass.used', {
    revision: z.int().min(1), requester, planDigest: digestSchema, usedBy: personIdSchema,
    /** Whom this is for: everyone who was asked and had not approved. */
    skipped: z.array(personIdSchema),
    /** Whose review counts, by directory and floor, when it is told: of those who were asked, or of security where none of them is left. */
    reviewers: z.array(personIdSchema),
    reviewBy: timeSchema,
    /** A path at the sidecar; its body is `{"verdict": "…", "comment": "…"}`. */
    review: z.string().max(256),
    requesterWords,
    /** Of whoever broke it; as little to be acted on. null: it was erased. */
    usersWords: z.strictObject({ reason: plainTextSchema(500).nullable() }),
  }),
  /** A standing approval approved the plan that follows from a request: for whoever gave it, who has not seen this plan. Until it is dispatched she may reject it. */
  payload('standing.used', {
    revision: z.int().min(1), requester, planDigest: digestSchema, approvalId: approvalIdSchema,
    /** Whom this is for. */
    approver: personIdSchema,
    /** This is use number `use` of `uses`. */
    use: z.int().min(1), uses: z.int().min(1),
    /** Of the standing approval. */
    expiresAt: timeSchema,
    requesterWords,
  }),
  payload('breakglass.reviewed', { usedBy: personIdSchema, reviewer: personIdSchema, verdict: breakGlassVerdictSchema }),
  /** Who is asked to approve has made it less than was asked for: these are left, and policy decides again. Every approval before is void. */
  payload('change.reduced', {
    revision: z.int().min(1), requester,
    /** Who did. */
    by: personIdSchema,
    /** Of the plan that she looked at, which is void. */
    planDigest: digestSchema,
    entitlements: z.array(entitlementSchema).min(1).max(16), duration: durationSchema.nullable(),
  }),
  /** What people were asked to approve is another request by now, which policy decides on: every approval before is void. */
  payload('change.revised', { revision: z.int().min(1), requester, ...ended }),
  /** Nobody is asked any more. */
  payload('change.withdrawn', { revision: z.int().min(1), requester, ...ended }),
  payload('change.expired', { revision: z.int().min(1), requester, ...ended, cause: changeEventBodies['change.expired'].shape.cause }),
  payload('window.opened', window),
  payload('window.closed', { ...window, cause: z.enum(['over', 'finished', 'missed']) }),
  /** A new credential works beside the old one: each consumer changes over, and says so with `POST` to `confirmations`. */
  payload('credential.staged', {
    stepId: stepIdSchema,
    /** The new login, and the one that it replaces. */
    account: plainTextSchema(128), replaces: plainTextSchema(128).nullable(),
    consumers,
    /** A path at the sidecar; its body is `{"consumer": "…"}`. */
    confirmations: z.string().max(256),
    /** Whoever has not confirmed by then is not waited for. */
    confirmBy: timeSchema,
    /** `endSessions`: what still uses the old credential then is cut off. */
    retire: z.enum(['whenUnused', 'endSessions']),
  }),
  /** What was staged is being taken back: whoever has changed over changes back, at once. */
  payload('credential.withdrawn', {
    stepId: stepIdSchema,
    /** The new login, and the one to go on with; null where that one is no more, or is about to go. */
    account: plainTextSchema(128), fallBack: plainTextSchema(128).nullable(),
    consumers, cause: revokeOrderSchema.shape.cause,
  }),
  payload('offboarding.started', { requester, items, requesterWords }),
  payload('offboarding.item', {
    item: offboardItemSchema,
    /** Its place among `items`, from 0. */
    number: z.int().min(0).max(511), items, outcome: z.enum(['gone', 'open']), owner, detail: plainTextSchema(500),
  }),
  payload('offboarding.finished', { items }),
  /** Access that should be gone, and nobody has said that it is. */
  payload('revoke.overdue', { dueAt: timeSchema.nullable(), owner, message: plainTextSchema(500) }),
  payload('change.stuck', { code: findingCodeSchema, owner, message: plainTextSchema(500) }),
]);
export type NotificationPayload = z.infer<typeof notificationSchema>;

/** Of what many may come at once, and nothing of it is so urgent that it could not be told with others. */
export const COALESCED_EVENTS = ['approval.requested', 'approval.decided', 'approval.escalated', 'change.reduced', 'change.revised', 'change.withdrawn', 'change.expired', 'offboarding.item'] as const;
type Coalescable = Extract<NotificationPayload, { type: (typeof COALESCED_EVENTS)[number] }>;
/** Told whole in a message about several; so many or fewer are not told together. */
export const COALESCED_FIRST = 3;
/** In one message. */
export const COALESCED_MAX = 200;

/** Whether it may be told with others of its kind. An item that could not be taken back is somebody's to look at. */
export function isCoalescable(payload: NotificationPayload): payload is Coalescable {
  const isOpen = payload.type === 'offboarding.item' && payload.data.outcome === 'open';
  return !isOpen && (COALESCED_EVENTS as readonly string[]).includes(payload.type);
}

/** Several notifications of one event in one message: `first` as they would have been told, of the others where they are. */
export const coalescedSchema = z.strictObject({
  type: z.literal('notifications.coalesced'),
  /** When the last of it happened. */
  timestamp: timeSchema,
  data: z.strictObject({
    event: z.enum(COALESCED_EVENTS),
    /** Whom it is for; nobody where that is whoever is told. */
    to: z.array(personIdSchema),
    /** How many it tells of. */
    count: z.int().min(COALESCED_FIRST + 1).max(COALESCED_MAX),
    /** In the ledger's order, as all that follows. */
    first: z.array(notificationSchema.refine(isCoalescable)).length(COALESCED_FIRST),
    rest: z.array(z.strictObject({ changeId: changeIdSchema, record: about.record })).min(1).max(COALESCED_MAX - COALESCED_FIRST),
  }),
});
export type CoalescedPayload = z.infer<typeof coalescedSchema>;

/** Whatever a receiver is sent. */
export const notificationMessageSchema = z.discriminatedUnion('type', [notificationSchema, coalescedSchema]);
export type NotificationMessage = z.infer<typeof notificationMessageSchema>;

/** The consumers that it is about; none where it is about people. */
export function consumersOf({ data }: NotificationPayload): readonly string[] {
  return 'consumers' in data ? data.consumers : [];
}
