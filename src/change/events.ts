/**
 * The events of a change, which are the bodies of its records. An event is in the past tense: it has been decided, and once its record
 * is durable, it has happened. `docs/records.md` is generated from these schemas.
 */
import { z } from 'zod';
import { authenticationSchema } from '../protocol/authentication.ts';
import { acceptanceSchema, decisionSchema, ESCALATED_TO_MAX, provenanceSchema, redecisionSchema, requirementSchema, verificationSchema } from '../protocol/decision.ts';
import { breakGlassRotationSchema, breakGlassVerdictSchema } from '../protocol/break-glass-review.ts';
import { recordedClassSchema } from '../protocol/own-proof.ts';
import { planWindowSchema, type Plan, type TargetState } from '../protocol/plan.ts';
import { proseSchema } from '../protocol/disclosure.ts';
import { recordedRequestSchema } from '../protocol/request.ts';
import { approvalSchema, dsseSchema, sealSchema } from '../protocol/signed.ts';
import { approvalIdSchema, changeIdSchema, digestSchema, leaseIdSchema, logIdSchema, personIdSchema, plainTextSchema, principalSchema, stepIdSchema, timeSchema } from '../protocol/values.ts';
import { REJECTION_OUTCOMES } from './rejecting.ts';

/** What receivers of webhooks are told about. */
export const NOTIFICATION_EVENTS = [
  'approval.requested', 'approval.decided', 'approval.escalated', 'change.reduced', 'change.revised', 'change.withdrawn', 'change.expired', 'breakglass.used', 'breakglass.reviewed', 'standing.used', 'window.opened', 'window.closed', 'credential.staged', 'credential.withdrawn', 'offboarding.started', 'offboarding.item', 'offboarding.finished', 'revoke.overdue',
  'change.stuck', 'policy.proposed',
] as const;
export const notificationEventSchema = z.enum(NOTIFICATION_EVENTS);
export type NotificationEvent = z.infer<typeof notificationEventSchema>;
/** A webhook by the name that the configuration gives it. */
export const webhookNameSchema = z.string().regex(/^[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?$/);

/** A message to a receiver: the same for every attempt to tell it. */
export const messageIdSchema = z.string().regex(/^msg_[0-9a-f]{32}$/);

/** A change that has this many is asked for anew: records and plans have no room for more. */
export const REVISIONS_MAX = 9_999;
const revision = z.int().min(1).max(REVISIONS_MAX);
const comment = proseSchema.nullable();
/** How the actor was authenticated, by the sidecar's word; left out where it was with a token of the sidecar's own, by a press in Slack, or at the sidecar of another log. */
const authentication = authenticationSchema.optional();
/** Where a person decided, where that was no request with a token of hers: what the sidecar knows by itself, and what nobody who asks can claim. */
export const CHANNELS = ['slack'] as const;
export type Channel = (typeof CHANNELS)[number];
const channel = z.enum(CHANNELS).optional();
/** What the sidecar of another log has signed, where the person decided there. */
const relayed = dsseSchema.optional();

export const FINDING_CODES = [
  'policy-fault', 'revoke-overdue', 'revoke-failed', 'revoke-mismatch', 'step-stuck', 'verification-failed', 'log-rolled-back', 'rotation-stalled', 'caller-silent',
  'offboarding-open', 'lease-denied', 'lease-revoke-held', 'review-overdue', 'rotation-overdue',
] as const;
export const findingCodeSchema = z.enum(FINDING_CODES);
export type FindingCode = z.infer<typeof findingCodeSchema>;

/** Body of each record type that belongs to a change, at its newest version. */
export const changeEventBodies = {
  /** Somebody asked. Nothing has been looked at. */
  'change.requested': z.strictObject({
    request: recordedRequestSchema,
    /** Caller first, then whoever it acts for. */
    requester: z.array(principalSchema).min(1).max(8),
    /** Digest of (caller, Idempotency-Key), and of the request without its reason; null where no key was sent. */
    idempotency: z.strictObject({ key: digestSchema, request: digestSchema }).nullable(),
    /** The offboarding whose item this is. */
    parent: changeIdSchema.optional(),
    authentication,
  }),
  /** The request was replaced. Every approval is void; the requirement never shrinks. */
  'change.revised': z.strictObject({
    revision, request: recordedRequestSchema,
    /** Set where nobody asked for it: the same request, planned anew by the sidecar. */
    cause: z.literal('windowMissed').optional(),
    /** Set where an approver, the actor, has made it less: of which revision, and of which plan of it. Who asked stays who asked. */
    reduced: z.strictObject({ revision, planDigest: digestSchema }).optional(),
  }),
  'change.withdrawn': z.strictObject({ comment }),
  /**
   * Nobody decided in time, the time for the change was over before it began, or the caller never took its ticket up. `adopted`: it was begun
   * under an earlier log, and had given nothing; or nothing more was heard of it.
   */
  'change.expired': z.strictObject({ cause: z.enum(['approval', 'window', 'unclaimed', 'adopted']) }),
  /**
   * A change that was begun under an earlier log, which this one has adopted: its records are in `parts`, each with its proof. Nothing is gained
   * by it any more.
   */
  'change.adopted': z.strictObject({
    log: logIdSchema, records: z.int().min(1), /** Leaf hash of the last of them. */ head: digestSchema, /** Objects, oldest first. */ parts: z.array(digestSchema).min(1).max(64).refine((parts) => new Set(parts).size === parts.length, 'an object is named twice').meta({ uniqueItems: true }),
  }),
  /** What policy answered about this revision. The plan and the input are objects, named by digest. */
  'policy.decided': z.strictObject({
    revision,
    phase: z.enum(['request', 'dispatch']),
    planDigest: digestSchema.nullable(),
    decision: decisionSchema,
    provenance: provenanceSchema,
    /** The strictest of this decision, of `floor`, and of all before them in this change. */
    requirement: requirementSchema,
    /** What the floor of the sidecar's own trust folder asks for beyond that. Left out: nothing. */
    floor: requirementSchema.optional(),
    /** Approvals that count no more: whose own proof does not hold any more by the sidecar's own trust folder, such as by a key that is over, or standing ones, of which the executor will have none. Left out: none. */
    uncounted: z.array(approvalIdSchema).min(1).max(256).optional(),
    /** How long approvers have, from this record; null when no approval is asked. */
    approvalsBy: timeSchema.nullable(),
  }),
  /** Policy was asked whether this person may approve this plan, just before the approval that rests on its answer. The input is the object. */
  'approval.judged': z.strictObject({ revision, planDigest: digestSchema, approver: personIdSchema, acceptance: acceptanceSchema, provenance: provenanceSchema }),
  'approval.recorded': z.strictObject({
    approval: approvalSchema, comment, relayed, authentication, channel,
    /** The input of the `approval.judged` that it rests on; left out where policy has no say in it. */
    acceptance: digestSchema.optional(),
  }),
  'approval.rejected': z.strictObject({
    approval: approvalSchema, comment, relayed, authentication, channel,
    /** What it comes to, where more than one person must reject: it waits on, so many have, or those who are left cannot approve it. Left out where one is enough. */
    outcome: z.enum(REJECTION_OUTCOMES).optional(),
    /** By which else of her ids she is asked, as the directory had it, where more than one person must reject: they are one person's. Left out: by none. */
    otherIds: z.array(personIdSchema).min(1).max(16).optional(),
  }),
  /** Somebody whom floors name gives this lease alone, by a signature of her own, and says why. Those who were asked are told, and one of them reviews it by `reviewBy`. */
  'breakglass.used': z.strictObject({
    revision, statement: dsseSchema, reason: proseSchema, reviewBy: timeSchema,
    /** Of a grant: how long after the lease's end the login that was lent to has a new credential. Left out: it owes none. */
    rotateWithinSeconds: z.int().min(1).max(2_592_000).optional(),
  }),
  /** One of those who were not waited for has looked at it; or says, then or later, that the rotation that is owed is not needed. */
  'breakglass.reviewed': z.strictObject({
    verdict: breakGlassVerdictSchema, comment: proseSchema, rotation: breakGlassRotationSchema.optional(),
    /** Her own signature; left out where her session was enough. */
    statement: dsseSchema.optional(),
    /** What that is: left out, an SSH signature. */
    proofClass: recordedClassSchema,
    /** She was not asked, and is in security: by the directory nobody who was asked could review it any more. */
    standsIn: z.literal('security').optional(),
  }),
  /** The login that was lent to has a new credential, made after the lease's end: `change` rotated it. */
  'breakglass.rotated': z.strictObject({ change: changeIdSchema }),
  /** The change has waited for approvals for so long that further people are told. Who may approve is what it was; `dueAt` is when it was time. */
  'approval.escalated': z.strictObject({ revision, to: z.array(personIdSchema).min(1).max(ESCALATED_TO_MAX), dueAt: timeSchema }),
  /** The sidecar authorises an executor. The receipt is this very record. */
  'step.authorised': z.discriminatedUnion('kind', [
    z.strictObject({ kind: z.literal('read'), revision, stepId: stepIdSchema, issue: z.int().min(1), ticket: dsseSchema }),
    z.strictObject({
      kind: z.literal('act'), revision, stepId: stepIdSchema, issue: z.int().min(1), ticket: dsseSchema,
      planDigest: digestSchema, requirement: requirementSchema, approvals: z.array(approvalIdSchema).max(32),
      /** Digest of the statement by which somebody broke the glass, where that stands for what of the approvals is missing. */
      breakGlass: digestSchema.optional(),
      /** What takes it back, fixed by the first issue; null for a change that leaves nothing to take back. */
      lease: z.strictObject({ leaseId: leaseIdSchema, epoch: z.int().min(1), endsAt: timeSchema, order: dsseSchema }).nullable(),
    }),
    z.strictObject({
      kind: z.literal('revoke'), stepId: stepIdSchema, order: dsseSchema, comment,
      /** Where policy takes a lease back before its end: the input of the `lease.redecided` that it rests on. */
      redecision: digestSchema.optional(),
    }),
  ]),
  'step.claimed': z.strictObject({ report: dsseSchema }),
  'step.succeeded': z.strictObject({ report: dsseSchema }),
  'step.failed': z.strictObject({ report: dsseSchema }),
  'step.refused': z.strictObject({ report: dsseSchema }),
  /** An executor does not know, or a caller has said nothing by its deadline. */
  'step.ambiguous': z.union([z.strictObject({ report: dsseSchema }), z.strictObject({ stepId: stepIdSchema, cause: z.literal('deadline') })]),
  /** The order that will take the access back is held by the transport, or by the executor itself. */
  'lease.armed': z.strictObject({ leaseId: leaseIdSchema, epoch: z.int().min(1), order: digestSchema }),
  'lease.activated': z.strictObject({ leaseId: leaseIdSchema, epoch: z.int().min(1), endsAt: timeSchema }),
  /** An extension was applied and verified: the lease ends later, by another order. The extension's own records say who decided, approved and did it. */
  'lease.extended': z.strictObject({ leaseId: leaseIdSchema, change: changeIdSchema, epoch: z.int().min(2), endsAt: timeSchema, order: dsseSchema }),
  /** The order of an earlier epoch is no longer armed where it would act without the sidecar. */
  'lease.disarmed': z.strictObject({ leaseId: leaseIdSchema, epoch: z.int().min(1), order: digestSchema }),
  /**
   * Policy was asked again about a lease that runs, and its answer is another than the last on record. `held`: of a `revoke` that waits for a person,
   * since so many leases would be taken back at once, of so many; one that does not wait is ordered with it. The input is the object.
   */
  'lease.redecided': z.strictObject({
    leaseId: leaseIdSchema, redecision: redecisionSchema, provenance: provenanceSchema,
    held: z.strictObject({ revokes: z.int().min(1), leases: z.int().min(1) }).nullable(),
  }),
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
  /** The planned window is open and the change about to go on; its consumers are told. */
  'window.opened': planWindowSchema,
  /** `over`: its time has come. `finished`: nothing of the change needs it any more. `missed`: it closed before the change began. */
  'window.closed': z.strictObject({ ...planWindowSchema.shape, cause: z.enum(['over', 'finished', 'missed']) }),
  /** A consumer uses the new credential. */
  'consumer.confirmed': z.strictObject({ consumer: plainTextSchema(128) }),
  /** Work on an item of an offboarding began: `change` takes it back. */
  'item.started': z.strictObject({ item: z.int().min(0).max(511), change: changeIdSchema }),
  /** `gone`: taken back and seen to be. `open`: not yet, and somebody's to look at; it is tried on. */
  'item.settled': z.strictObject({
    item: z.int().min(0).max(511), outcome: z.enum(['gone', 'open']), owner: principalSchema.nullable(), detail: plainTextSchema(500),
  }),
  /** A receiver took in what it was told about record `about`. */
  'notification.delivered': z.strictObject({
    webhook: webhookNameSchema, event: notificationEventSchema, about: z.int().min(0), attempts: z.int().min(1),
    /** Set where one message told of several: its id, the same in the record of each. */
    message: messageIdSchema.optional(),
  }),
  /** It did not, for so long that it is not told any more. */
  'notification.failed': z.strictObject({
    webhook: webhookNameSchema, event: notificationEventSchema, about: z.int().min(0), attempts: z.int().min(0), reason: plainTextSchema(200),
    message: messageIdSchema.optional(),
  }),
} as const;

export type ChangeEventType = keyof typeof changeEventBodies;
export type EventBody<T extends ChangeEventType> = z.infer<(typeof changeEventBodies)[T]>;

/** What an event carries beside its body: objects that its record names by digest, and that the fold needs. */
export interface Attached {
  readonly plan?: Plan;
  readonly before?: TargetState;
  readonly after?: TargetState;
  /** With which somebody else has committed to what the record is to commit to. */
  readonly salt?: string;
  /** What the record commits to is no longer there, or is not what is there. */
  readonly prose?: 'gone' | 'another';
}

/** A new event: decided, not yet in the ledger. */
export type NewEvent = { [T in ChangeEventType]: { readonly type: T; readonly actor: string; readonly body: EventBody<T>; readonly attached?: Attached } }[ChangeEventType];

/** An event in the ledger's order. `atMs` is epoch milliseconds; `seq` the index of its record. */
export type ChangeEvent = NewEvent & { readonly changeId: string; readonly seq: number; readonly atMs: number };
