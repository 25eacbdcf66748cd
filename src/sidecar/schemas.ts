/** What crosses the HTTP surface, as closed schemas: the one source of types, checks and `docs/openapi.json`. */
import { z } from 'zod';
import { CHANNELS, findingCodeSchema } from '../change/events.ts';
import { DISCREPANCY_CODES } from '../change/compare.ts';
import { STATES } from '../change/state.ts';
import { ERASABLE_KINDS, ERASED_MAX, OBJECT_KINDS } from '../evidence/erasable.ts';
import { askedSchema } from '../evidence/pack-format.ts';
import { countsSchema, findingIdSchema } from '../evidence/reconciled.ts';
import { breakGlassReviewStatementSchema, breakGlassRotationSchema, breakGlassVerdictSchema } from '../protocol/break-glass-review.ts';
import { breakGlassStatementSchema } from '../protocol/break-glass.ts';
import { STANDING_STATES, standingStatementSchema } from '../protocol/standing-approval.ts';
import { ownClassSchema } from '../protocol/own-proof.ts';
import { passkeyAnswerSchema, passkeySchema } from '../protocol/passkeys.ts';
import { counterOfferSchema, decisionSchema, proofClassSchema, reasonSchema, requirementSchema, verificationSchema } from '../protocol/decision.ts';
import { PROSE_NAMES } from '../protocol/disclosure.ts';
import { discoveryIdSchema, foundSchema } from '../protocol/discovery.ts';
import { stepEnvelopeSchema, reportMessageSchema } from '../protocol/envelope.ts';
import { jsonValueSchema, planRotationSchema, planSchema, planWindowSchema, stepActionSchema } from '../protocol/plan.ts';
import { bearingSchema } from '../protocol/plan-as-seen.ts';
import { changeRequestSchema, purposeIdSchema, recipientSchema } from '../protocol/request.ts';
import { proposalStatementSchema } from '../protocol/activation.ts';
import { ACT_OUTCOMES, approvalStatementSchema, REVOKE_OUTCOMES } from '../protocol/signed.ts';
import {
  actorIdSchema, approvalIdSchema, changeIdSchema, connectorIdSchema, digestSchema, durationSchema, durationSeconds, entitlementSchema,
  leaseIdSchema, lockIdSchema, logIdSchema, nhiIdSchema, pastedTextSchema, personIdSchema, plainTextSchema, principalSchema, proposalIdSchema, saltSchema, stepIdSchema, subjectSchema, timeSchema,
  writtenTextSchema,
} from '../protocol/values.ts';
import { ENGINE_FAULTS } from '../pdp/fault.ts';
import { inventoryFactSchema } from '../facts/schemas.ts';
import { ROLES } from '../identity/tokens.ts';
import { ERROR_CODES } from './errors.ts';

/** The longest that a request may be held open, in seconds. */
export const WAIT_SECONDS_MAX = 60;
export const LIST_LIMIT_MAX = 200;

const stateSchema = z.enum(STATES);
const kindSchema = planSchema.shape.kind;
/** As it comes in. */
const commentSchema = writtenTextSchema(500);
/** As it comes in where access is taken away. */
const pastedCommentSchema = pastedTextSchema(500);
/** What is told. */
const toldCommentSchema = plainTextSchema(500);
const consumerSchema = plainTextSchema(128);
const counterSchema = z.int().min(0);
/** Of a list that is told in pages. `next`: the cursor of the page after this one, null where this is the last; `count`: how many there are of what was asked for; `all`: how many the caller may see. Absent in answers of earlier versions. */
const pagedShape = { next: z.string().nullable().optional(), count: counterSchema.optional(), all: counterSchema.optional() };

export const problemSchema = z.strictObject({
  type: z.url(),
  title: z.string(),
  status: z.int(),
  detail: z.string(),
  instance: z.string(),
  code: z.enum(ERROR_CODES as [(typeof ERROR_CODES)[number], ...(typeof ERROR_CODES)[number][]]),
  errors: z.array(z.strictObject({ pointer: z.string(), detail: z.string() })).optional(),
  /** Policy's, where it is policy that refuses. */
  reasons: z.array(reasonSchema).optional(),
  /** Of a 409: the change whose state says no, as it was then. */
  change: z.strictObject({ state: stateSchema, revision: z.int().min(1), lastRecord: counterSchema }).optional(),
});

/**
 * How far a step of the plan is. `ambiguous`: what it did is not known (yet). `notMade`: the change is over without it. A step that is
 * `done` was done then: whether it was undone since, the change's own state says.
 */
export const STEP_STATES = ['waiting', 'authorised', 'executing', 'ambiguous', 'verifying', 'done', 'notMade'] as const;

/** The planned occurrence of a maintenance window. Who is told of it is in the plan. */
const windowViewSchema = z.strictObject({
  calendar: planWindowSchema.shape.calendar,
  opensAt: timeSchema,
  closesAt: timeSchema,
  onMissed: planWindowSchema.shape.onMissed,
  state: z.enum(['planned', 'open', 'closed']),
});

const rotationViewSchema = z.strictObject({
  overlap: planRotationSchema.shape.overlap,
  retire: planRotationSchema.shape.retire,
  /** Whether it has said that it uses the new credential. */
  consumers: z.array(z.strictObject({ consumer: consumerSchema, confirmed: z.boolean() })),
  /** From then on consumers that have not confirmed are waited for no more; null until the new credential is staged. */
  graceEndsAt: timeSchema.nullable(),
  /** `valid`: nothing says that it is gone. */
  oldCredential: z.enum(['valid', 'gone']),
});

/** What became of an item; `outcome` null: its turn has not come, or it is being taken back. */
const becameOf = { outcome: z.enum(['gone', 'open']).nullable(), owner: principalSchema.nullable(), detail: plainTextSchema(500).nullable() };
const itemViewSchema = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('lease'), nhi: nhiIdSchema, change: changeIdSchema, ...becameOf }),
  z.strictObject({
    kind: z.literal('account'), nhi: nhiIdSchema, connector: connectorIdSchema, target: plainTextSchema(128), account: plainTextSchema(128),
    /** The change that shuts it out; null until it is asked for. */
    change: changeIdSchema.nullable(), ...becameOf,
  }),
]);

/** Where a person decided, as far as the sidecar knows that by itself: by a press in Slack, or at the sidecar of another log. Absent: by a request with a token of hers. */
const channelSchema = z.enum([...CHANNELS, 'relay']).optional();

/** A change as people and callers see it. */
export const changeViewSchema = z.strictObject({
  id: changeIdSchema,
  kind: kindSchema,
  state: stateSchema,
  /** Who makes the change: an executor, or the caller's own code. */
  mode: z.enum(['executor', 'caller']),
  revision: z.int().min(1),
  /** Who, asked to approve it, has made this revision out of an earlier one by taking something off; null where it is as it was asked for. */
  reduced: z.strictObject({ by: personIdSchema, revision: z.int().min(1), at: timeSchema }).nullable(),
  subject: subjectSchema,
  /** The offboarding that it is part of. */
  parent: changeIdSchema.nullable(),
  /** The log that it was begun under, where this one has adopted it: nothing is gained by it any more. */
  adoptedFrom: logIdSchema.nullable(),
  /** Of an `extend`: the change whose lease it is, and the end that it gives, once that is fixed. The lease itself is that change's. */
  extends: z.strictObject({ change: changeIdSchema, endsAt: timeSchema.nullable() }).nullable(),
  requester: z.array(principalSchema),
  purpose: purposeIdSchema,
  /** null: it was erased; the evidence says under which record. */
  reason: plainTextSchema(500).nullable(),
  /** The one connector and target that it touches; null for an offboarding, whose items have theirs. */
  system: z.strictObject({ connector: connectorIdSchema, target: plainTextSchema(128) }).nullable(),
  entitlements: z.array(entitlementSchema),
  duration: durationSchema.nullable(),
  endsBy: timeSchema.nullable(),
  requestedAt: timeSchema,
  /** What will be done, and the digest that an approval names; null until it is derived. */
  plan: planSchema.nullable(),
  planDigest: digestSchema.nullable(),
  /** What an approver is to know beside the plan; null where there is none. Absent but where one change was asked for by its id. */
  bearing: bearingSchema.nullable().optional(),
  decision: z
    .strictObject({
      effect: decisionSchema.shape.effect,
      reasons: decisionSchema.shape.reasons,
      excess: z.array(entitlementSchema),
      counterOffer: counterOfferSchema.nullable(),
      controls: decisionSchema.shape.controls,
      /** Exceptions that took a denial away; absent: none did. */
      exceptions: decisionSchema.shape.exceptions,
      /** What policy says and what was not enforced, until when; absent: it is enforced. */
      observed: decisionSchema.shape.observed,
    })
    .nullable(),
  /** The strictest of every decision so far, and of the sidecar's own floor. */
  requirement: requirementSchema,
  /** What of it the floor asked for beyond policy; left out: nothing. */
  floor: requirementSchema.optional(),
  /** Of those who are asked, did not ask for it and have not decided: whose turn it is, and who is asked then. Left out unless it waits for approvals. */
  turns: z.strictObject({ now: z.array(personIdSchema), then: z.array(personIdSchema) }).optional(),
  /** How many people must reject before that ends the change; left out: one. */
  rejectionsDue: z.int().min(2).optional(),
  /** Of this revision and plan; `record` is where the ledger holds it. */
  approvals: z.array(z.strictObject({ approvalId: approvalIdSchema, approver: personIdSchema, verdict: z.enum(['approve', 'reject']), proofClass: proofClassSchema, record: counterSchema, channel: channelSchema, /** It is a use of a standing approval: which, and until when that is good. */ standing: z.strictObject({ use: z.int().min(1), uses: z.int().min(1), expiresAt: timeSchema }).optional() })),
  approvalsBy: timeSchema.nullable(),
  /** Who is told as well when it waits for approvals for long, when that is due, and when it was recorded. Who may approve is in `requirement`. */
  escalation: z.strictObject({ to: z.array(personIdSchema), dueAt: timeSchema, at: timeSchema.nullable() }).nullable(),
  /** Somebody has broken the glass; absent: nobody has. `review` null: it waits for one of `reviewers`. */
  breakGlass: z.strictObject({
    usedBy: personIdSchema, record: counterSchema, reviewBy: timeSchema, review: z.strictObject({ by: personIdSchema, verdict: breakGlassVerdictSchema }).nullable(),
    /** The new credential that the login owes since the lease has ended; null: none is owed, or not yet. `change`: made it; `waivedBy`: said that none is needed. */
    rotation: z.strictObject({ connector: connectorIdSchema, target: plainTextSchema(128), account: plainTextSchema(128), rotateBy: timeSchema, change: changeIdSchema.nullable(), waivedBy: personIdSchema.nullable() }).nullable(),
    /** Whose review counts now, by directory and floor: who is asked for it. Left out where nothing is owed any more. */
    reviewers: z.array(personIdSchema).optional(),
  }).optional(),
  window: windowViewSchema.nullable(),
  /** In the plan's order; empty until there is a plan. */
  steps: z.array(z.strictObject({ stepId: stepIdSchema, action: stepActionSchema, account: plainTextSchema(128), state: z.enum(STEP_STATES) })),
  rotation: rotationViewSchema.nullable(),
  /** Of an offboarding, in the order in which they are worked through. */
  items: z.array(itemViewSchema),
  /** Whom the newest ticket is for: an executor, or a caller's run. */
  executor: actorIdSchema.nullable(),
  /** What was done in the step under way, or else in the last one; null until somebody says so. `selfReported`: by nobody but the caller. */
  result: z.strictObject({ outcome: z.enum(ACT_OUTCOMES), byUse: z.enum(['works', 'fails', 'notTried']), selfReported: z.boolean(), at: timeSchema }).nullable(),
  verification: verificationSchema.nullable(),
  lease: z.strictObject({ leaseId: leaseIdSchema, endsAt: timeSchema, armed: z.boolean(), active: z.boolean() }).nullable(),
  /** How the access ended; null while it lasts, or where there was none. */
  ended: z.strictObject({ outcome: z.enum(REVOKE_OUTCOMES), at: timeSchema }).nullable(),
  delivery: z.strictObject({ status: z.enum(['sealed', 'acknowledged', 'undeliverable']), digest: digestSchema }).nullable(),
  /** Why an approved change does not go on just now, or what the floor has one wait for beside policy, in a sentence; null where nothing holds it up. */
  waitingFor: z.string().nullable(),
  /** Only while `state` is `stuck`: whose it is, since when, and what happens without anybody's doing. */
  stuck: z.strictObject({ owner: principalSchema.nullable(), since: timeSchema, findings: z.array(findingCodeSchema), nextTry: z.string() }).nullable(),
  findings: z.array(z.strictObject({ code: findingCodeSchema, message: z.string(), owner: principalSchema.nullable(), at: timeSchema })),
  /** How many records the change has: what `since` of the next long poll takes. */
  length: z.int().min(1),
  /** Index of its last record in the ledger, and when that was written. */
  lastRecord: counterSchema,
  updatedAt: timeSchema,
  links: z.strictObject({
    self: z.string(), approvals: z.string(), delivery: z.string(), evidence: z.string(),
    /** The page where those who are asked look at it and sign; absent where nobody is, or where the sidecar does not say where it is reached. */
    approve: z.url().max(512).optional(),
  }),
});
export type ChangeView = z.infer<typeof changeViewSchema>;

/** `next`: the cursor of the page after this one; null where this is the last. `count`: how many wait for whoever asks; there where those were asked for. */
export const changeListSchema = z.strictObject({ changes: z.array(changeViewSchema), next: changeIdSchema.nullable(), count: counterSchema.optional() });
export type ChangeList = z.infer<typeof changeListSchema>;

/** An SSH signature of the statement, by a key that the trust folders give to the approver. */
export const sshProofSchema = z.strictObject({
  /** As in the statement that was signed. */
  expiresAt: timeSchema,
  /** As `ssh-keygen -Y sign -n approval@countersign` writes it, armour and all. */
  signature: z.string().min(1).max(4_096),
});
export type SshProof = z.infer<typeof sshProofSchema>;

/** A browser's answer by a passkey that the trust folders give to the approver. Its challenge is the SHA-256 of the statement's RFC 8785 bytes. */
export const passkeyProofSchema = z.strictObject({
  /** As in the statement that was signed. */
  expiresAt: timeSchema,
  ...passkeyAnswerSchema.shape,
});
export type PasskeyProof = z.infer<typeof passkeyProofSchema>;

/** What an approver stands for, and how it must be proven at least: RFC 8785 of `statement` is what is signed. */
export const statementAnswerSchema = z.strictObject({
  statement: approvalStatementSchema, proofClass: proofClassSchema,
  /** Those of the approver that the sidecar's trust folder lists and that are good now. */
  passkeys: z.array(passkeySchema.pick({ credentialId: true, rpId: true })),
});
export type StatementAnswer = z.infer<typeof statementAnswerSchema>;
export const statementQuerySchema = z.strictObject({ verdict: z.enum(['approve', 'reject']) });

const verdictSchema = z.strictObject({
  verdict: z.enum(['approve', 'reject']),
  /** The plan that was seen: a verdict on any other is refused. */
  planDigest: digestSchema,
  comment: commentSchema.optional(),
});

export const approvalBodySchema = z
  .strictObject({
    ...verdictSchema.shape,
    /** Her own signature of the statement; absent: that she is authenticated is what proves it. */
    ssh: sshProofSchema.optional(),
    /** Instead of it, an assertion of her passkey. */
    passkey: passkeyProofSchema.optional(),
  })
  .refine((body) => body.ssh === undefined || body.passkey === undefined, { path: ['passkey'], error: 'one proof, not two' })
  .refine((body) => body.verdict === 'approve' || body.comment !== undefined, { path: ['comment'], error: 'a rejection says why' });
export type ApprovalBody = z.infer<typeof approvalBodySchema>;

/** What whoever breaks the glass signs, but for the reason: the commitment to that is hers to make (SHA-256 of JCS `{name: "reason", salt, value}`). */
export const breakGlassAnswerSchema = breakGlassStatementSchema.omit({ reason: true });
export type BreakGlassAnswer = z.infer<typeof breakGlassAnswerSchema>;

export const breakGlassBodySchema = z.strictObject({
  /** The plan that was seen. */
  planDigest: digestSchema,
  /** Why nobody could be waited for; the statement commits to it. */
  reason: commentSchema,
  /** With which it does: 16 random bytes, of this text alone. */
  salt: saltSchema,
  ssh: z.strictObject({ expiresAt: timeSchema, /** As `ssh-keygen -Y sign -n breakglass@countersign` writes it, armour and all. */ signature: sshProofSchema.shape.signature }),
});
export type BreakGlassBody = z.infer<typeof breakGlassBodySchema>;

export const breakGlassReviewAnswerSchema = z.strictObject({
  /** What a reviewer signs, but for what she says: verdict, rotation, and the commitment to her comment (SHA-256 of JCS `{name: "comment", salt, value}`). */
  statement: breakGlassReviewStatementSchema.omit({ verdict: true, rotation: true, comment: true }),
  /** The weakest that the floor takes, and what she could prove it by. */
  proofClass: proofClassSchema, passkeys: statementAnswerSchema.shape.passkeys,
  /** She was not asked and may review it all the same: by the directory nobody who was can any more, and she is in security. */
  standsIn: z.literal('security').optional(),
  /** Whose review alone the floor counts. Left out: that of whoever may review it. */
  reviewers: z.array(personIdSchema).optional(),
});
export type BreakGlassReviewAnswer = z.infer<typeof breakGlassReviewAnswerSchema>;

export const breakGlassReviewBodySchema = z.strictObject({
  verdict: breakGlassVerdictSchema, comment: commentSchema,
  /** Once the lease has ended: the rotation that is owed is not needed. */
  rotation: breakGlassRotationSchema.optional(),
  /** Her own signature of the statement, or her passkey's answer to it, where the floor asks for it; and the salt with which that commits to the comment: 16 random bytes, of this text alone. */
  signed: z.union([
    z.strictObject({ salt: saltSchema, ssh: z.strictObject({ expiresAt: timeSchema, /** As `ssh-keygen -Y sign -n breakglass-review@countersign` writes it, armour and all. */ signature: sshProofSchema.shape.signature }) }),
    z.strictObject({ salt: saltSchema, passkey: passkeyProofSchema }),
  ]).optional(),
});
export type BreakGlassReviewBody = z.infer<typeof breakGlassReviewBodySchema>;

/** What is taken off what is asked for: nothing can be said here that would add to it. `duration` is the new one. */
export const reductionBodySchema = z
  .strictObject({
    /** The plan that was seen: a reduction of any other is refused. */
    planDigest: digestSchema,
    without: z.array(entitlementSchema).min(1).max(16).optional(),
    duration: durationSchema.optional(),
  })
  .refine((body) => body.without !== undefined || body.duration !== undefined, { path: ['duration'], error: 'a reduction names what to leave out, or a shorter duration' });
export type ReductionBody = z.infer<typeof reductionBodySchema>;

/** A verdict on a change of another log. */
export const relayBodySchema = z
  .strictObject({ changeId: changeIdSchema, ...verdictSchema.shape })
  .refine((body) => body.verdict === 'approve' || body.comment !== undefined, { path: ['comment'], error: 'a rejection says why' });
/** What the sidecar of that log says: the state of the change, after it. */
export const relayAnswerSchema = z.strictObject({ changeId: changeIdSchema, state: z.string() });

export const commentBodySchema = z.strictObject({ comment: pastedCommentSchema.optional() });
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

/** The end is counted anew, from when the extension is authorised; all else is what the change gave. */
export const extendBodySchema = z.strictObject({ duration: durationSchema, endsBy: timeSchema.optional(), reason: commentSchema });
export type ExtendBody = z.infer<typeof extendBodySchema>;

export const confirmationBodySchema = z.strictObject({ consumer: consumerSchema });
export type ConfirmationBody = z.infer<typeof confirmationBodySchema>;

/** Nothing is gained by the identity, or at the connector, or by that identity at that connector. */
export const lockBodySchema = z
  .strictObject({ nhi: nhiIdSchema.optional(), connector: connectorIdSchema.optional(), reason: pastedCommentSchema })
  .refine((body) => body.nhi !== undefined || body.connector !== undefined, { path: ['nhi'], error: 'a lock names an identity, a connector, or both' });
export type LockBody = z.infer<typeof lockBodySchema>;
export const liftBodySchema = z.strictObject({ reason: commentSchema });
export type LiftBody = z.infer<typeof liftBodySchema>;
/** `nhi` null: every identity; `connector` null: everywhere. */
export const lockViewSchema = z.strictObject({
  lockId: lockIdSchema, nhi: nhiIdSchema.nullable(), connector: connectorIdSchema.nullable(), reason: toldCommentSchema, by: principalSchema, at: timeSchema,
});
export type LockView = z.infer<typeof lockViewSchema>;
export const lockListSchema = z.strictObject({ locks: z.array(lockViewSchema) });
export type LockList = z.infer<typeof lockListSchema>;

/** What was signed, why, and what proves it: the signature as `ssh-keygen -Y sign -n standing-approval@countersign` writes it, armour and all; or instead of it a passkey's answer. */
export const standingApprovalBodySchema = z.strictObject({
  statement: standingStatementSchema,
  /** The statement commits to it. */
  reason: commentSchema,
  /** With which it does: 16 random bytes, of this text alone. */
  salt: saltSchema,
  signature: sshProofSchema.shape.signature.optional(),
  passkey: passkeyAnswerSchema.optional(),
}).refine(({ signature, passkey }) => (signature === undefined) !== (passkey === undefined), { path: ['signature'], error: 'either a signature or a passkey’s answer' });
export type StandingApprovalBody = z.infer<typeof standingApprovalBodySchema>;
export const standingApprovalViewSchema = z.strictObject({
  approvalId: approvalIdSchema, statement: standingStatementSchema,
  proofClass: ownClassSchema,
  /** How often it has approved a plan. */
  used: counterSchema,
  at: timeSchema,
  revoked: z.strictObject({ by: personIdSchema, reason: toldCommentSchema.nullable(), at: timeSchema }).nullable(),
});
export type StandingApprovalView = z.infer<typeof standingApprovalViewSchema>;
/** Why it approves nothing more. */
export const standingRevocationBodySchema = z.strictObject({ reason: pastedCommentSchema });
/** `log`: the one that a new one must name; `principal`: in whose name; `passkeys`: those of hers that she could prove it by. */
export const standingApprovalListSchema = z.strictObject({ log: logIdSchema, principal: principalSchema, passkeys: statementAnswerSchema.shape.passkeys, standingApprovals: z.array(standingApprovalViewSchema), ...pagedShape });
export type StandingApprovalList = z.infer<typeof standingApprovalListSchema>;

/** These objects, or those of one change: without `kinds` its policy inputs, plans, states and what people wrote, not the facts, which are others' as well. `basis`: why it may, or must, be. */
export const eraseBodySchema = z
  .strictObject({
    objects: z.array(digestSchema).min(1).max(ERASED_MAX).refine((digests) => new Set(digests).size === digests.length, 'an object is named twice').optional(),
    change: changeIdSchema.optional(), kinds: z.array(z.enum(ERASABLE_KINDS)).min(1).max(ERASABLE_KINDS.length).optional(), basis: commentSchema,
  })
  .refine((body) => (body.objects === undefined) !== (body.change === undefined), { path: ['objects'], error: 'name objects, or a change' })
  .refine((body) => body.kinds === undefined || body.change !== undefined, { path: ['kinds'], error: 'kinds are those of a change' });
export type EraseBody = z.infer<typeof eraseBodySchema>;
const erasedObjectSchema = z.strictObject({
  digest: digestSchema, kind: z.enum(OBJECT_KINDS), /** Of the record that says so. */ seq: z.int().min(0), /** Every change whose records name it. */ changes: z.array(changeIdSchema),
});
/** `already`: under an earlier record. */
export const erasureViewSchema = z.strictObject({ erased: z.array(erasedObjectSchema), already: z.array(erasedObjectSchema) });
export type ErasureView = z.infer<typeof erasureViewSchema>;

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
  /** What the records commit to: the text, or null once it is gone, and the record under which it was erased; null for what an earlier log has erased, or was not carried over from it. */
  disclosures: z.array(z.strictObject({ commitment: digestSchema, name: z.enum(PROSE_NAMES), text: plainTextSchema(500).nullable(), erasedUnder: counterSchema.nullable() })),
  /** C2SP tlog-proof text of the last record. */
  proof: z.string(),
  /** C2SP tlog-checkpoint text which that proof is under. */
  checkpoint: z.string(),
});
export type Evidence = z.infer<typeof evidenceSchema>;

export const leaseViewSchema = z.strictObject({
  leaseId: leaseIdSchema,
  changeId: changeIdSchema,
  subject: subjectSchema,
  state: stateSchema,
  connector: connectorIdSchema,
  target: z.string(),
  account: z.string(),
  privileges: z.array(z.string()),
  endsAt: timeSchema,
  armed: z.boolean(),
  active: z.boolean(),
  /** Policy’s reasons to take it back, where that waits for a person and whoever asks may see what does. Absent: it does not, or she may not. */
  held: z.array(z.string()).optional(),
});
export type LeaseView = z.infer<typeof leaseViewSchema>;
export const leaseListSchema = z.strictObject({ leases: z.array(leaseViewSchema), ...pagedShape });
export type LeaseList = z.infer<typeof leaseListSchema>;

/** At one connector; `account` null: it has none there but those that leases give it. */
export const nhiPrivilegesSchema = z.strictObject({
  connector: connectorIdSchema,
  account: z.string().nullable(),
  /** What the purposes that it may claim need there. */
  declared: z.array(z.string()),
  /** What the account was seen to use; null where nobody has looked. */
  used: z.array(z.string()).nullable(),
});
export type NhiPrivileges = z.infer<typeof nhiPrivilegesSchema>;
export const nhiViewSchema = z.strictObject({
  ...inventoryFactSchema.shape,
  leases: z.array(leaseViewSchema),
  /** By connector. Absent in answers of earlier versions. */
  privileges: z.array(nhiPrivilegesSchema).optional(),
  /** When use was looked at; null where nobody has. Absent in answers of earlier versions. */
  useObservedAt: timeSchema.nullable().optional(),
  /** How much is not at its target as it is recorded. Absent in answers of earlier versions. */
  openFindings: counterSchema.optional(),
});
export type NhiView = z.infer<typeof nhiViewSchema>;
/** `environments`: of all that the caller may see. Absent in answers of earlier versions. */
export const nhiListSchema = z.strictObject({ nhis: z.array(nhiViewSchema), ...pagedShape, environments: z.array(z.string()).optional() });
export type NhiList = z.infer<typeof nhiListSchema>;

/** What waits for a person of the leases that policy would take back. */
export const heldViewSchema = z.strictObject({
  /** Oldest first. `codes`: policy's reasons. */
  held: z.array(z.strictObject({ changeId: changeIdSchema, subject: subjectSchema, owner: principalSchema.nullable(), codes: z.array(z.string()) })),
  /** Stands for exactly these; null where nothing waits. */
  digest: digestSchema.nullable(),
  /** Leases that run now. */
  leases: z.int().min(0),
  /** The last time that policy was asked about them, it gave no answer about so many: nothing is taken back for it. */
  failed: z.strictObject({ code: z.enum(ENGINE_FAULTS), unanswered: z.int().min(1), leases: z.int().min(1), owner: principalSchema.nullable() }).nullable(),
});
export type HeldView = z.infer<typeof heldViewSchema>;
export const confirmHeldBodySchema = z.strictObject({ digest: digestSchema, comment: pastedCommentSchema.optional() });
export const heldAnswerSchema = z.strictObject({ revokes: z.array(z.strictObject({ changeId: changeIdSchema, recorded: z.boolean() })) });
export type HeldAnswer = z.infer<typeof heldAnswerSchema>;

const bundleFileSchema = z.strictObject({ path: z.string(), digest: digestSchema, /** The same file of the bundle that came into force last; null where there is none. */ before: digestSchema.nullable() });
/** A policy bundle that people are asked about, or were. */
export const proposalViewSchema = z.strictObject({
  proposalId: proposalIdSchema,
  /** What is approved. */
  bundle: digestSchema,
  revision: z.string().nullable(),
  proposedAt: timeSchema,
  outcome: z.enum(['waiting', 'activated', 'rejected']),
  /** Of those in force, by whom and until when each lets it come into force. */
  approvals: z.array(z.strictObject({ approvalId: approvalIdSchema, approver: principalSchema, proofClass: proofClassSchema, expiresAt: timeSchema })),
  rejected: z.strictObject({ by: principalSchema, reason: z.string().nullable() }).nullable(),
  /** The key that has signed it, by its own word; null where nobody has. */
  signedBy: z.string().nullable(),
  entrypoints: z.array(z.string()),
  files: z.array(bundleFileSchema),
});
export type ProposalView = z.infer<typeof proposalViewSchema>;
export const proposedViewSchema = z.strictObject({
  /** The newest; null where none was ever proposed. */
  proposed: proposalViewSchema.nullable(),
  /** What came into force last; null where nothing did. */
  before: z.strictObject({ bundle: digestSchema, revision: z.string().nullable() }).nullable(),
  /** Who must let a bundle come into force: all of these. Empty where nobody is asked. */
  asked: z.array(z.strictObject({ quorum: z.int().min(1), approvers: z.array(principalSchema), proofClass: proofClassSchema })),
});
export type ProposedView = z.infer<typeof proposedViewSchema>;
/** `bundle`: what the person saw. */
export const proposalVerdictBodySchema = z.strictObject({
  proposalId: proposalIdSchema,
  bundle: digestSchema,
  verdict: z.enum(['approve', 'reject']),
  /** On record, in clear. A rejection says why. */
  reason: commentSchema.optional(),
  /** Her own signature of the statement; absent: that she is authenticated is what proves it. */
  ssh: sshProofSchema.optional(),
  /** Instead of it, an assertion of her passkey. */
  passkey: passkeyProofSchema.optional(),
})
  .refine((body) => body.ssh === undefined || body.passkey === undefined, { path: ['passkey'], error: 'one proof, not two' })
  .refine(({ verdict, reason }) => verdict === 'approve' || reason !== undefined, { message: 'a rejection says why', path: ['reason'] });
/** What an approver stands for, and how it must be proven at least: RFC 8785 of `statement` is what is signed. */
export const proposalStatementAnswerSchema = z.strictObject({ statement: proposalStatementSchema, proofClass: proofClassSchema, passkeys: statementAnswerSchema.shape.passkeys });
export type ProposalStatementAnswer = z.infer<typeof proposalStatementAnswerSchema>;
export type ProposalVerdictBody = z.infer<typeof proposalVerdictBodySchema>;

/** Something at a target that is not as it is recorded. */
export const findingViewSchema = z.strictObject({
  id: findingIdSchema, code: z.enum(DISCREPANCY_CODES), connector: connectorIdSchema, target: z.string(), account: z.string(), nhi: nhiIdSchema.nullable(), changeId: changeIdSchema.nullable(),
  owner: principalSchema.nullable(), privileges: z.array(z.string()), message: z.string(), since: timeSchema,
  /** When it was last ordered back; null where nobody ordered that: people decide. */
  orderedAt: timeSchema.nullable(),
  /** The change that was asked for to end it. */
  proposed: changeIdSchema.nullable(),
});
export type FindingView = z.infer<typeof findingViewSchema>;
export const findingListSchema = z.strictObject({ findings: z.array(findingViewSchema) });
export type FindingList = z.infer<typeof findingListSchema>;

/** `running`: not over when the wait was. `failed`: the target could not be looked at. `never`: nobody has looked yet. */
export const RECONCILIATION_STATES = ['done', 'running', 'failed', 'never'] as const;
export const reconciliationViewSchema = z.strictObject({
  connector: connectorIdSchema,
  state: z.enum(RECONCILIATION_STATES),
  /** Of the last comparison that was made, whatever became of this one; all null where there was none. */
  discoveryId: discoveryIdSchema.nullable(), target: z.string().nullable(), at: timeSchema.nullable(), complete: z.boolean().nullable(), counts: countsSchema.nullable(),
  /** Findings that this one has opened and cleared. */
  found: z.int().min(0), cleared: z.int().min(0),
  /** Why it failed. */
  reason: z.string().nullable(),
});
export type ReconciliationView = z.infer<typeof reconciliationViewSchema>;
export const reconciliationListSchema = z.strictObject({ reconciliations: z.array(reconciliationViewSchema), findings: z.array(findingViewSchema) });
export type ReconciliationList = z.infer<typeof reconciliationListSchema>;
/** Left out: every connector. */
export const reconcileBodySchema = z.strictObject({ connector: connectorIdSchema.optional() });
export type ReconcileBody = z.infer<typeof reconcileBodySchema>;
/** A change, what there is about an identity, or the records of a time, `to` not included. */
export const packBodySchema = askedSchema;
export type PackBody = z.infer<typeof packBodySchema>;
export const discoverySchema = z.strictObject({ connector: connectorIdSchema, target: z.string(), discoveryId: discoveryIdSchema, at: timeSchema, complete: z.boolean(), entries: z.array(foundSchema) });
export type Discovery = z.infer<typeof discoverySchema>;

/** Whom a token stands for. `actsFor`: the rest of the chain in which it acts, whom it is all for last. */
export const meSchema = z.strictObject({ principal: principalSchema, actsFor: z.array(principalSchema), roles: z.array(z.enum(ROLES)) });
export type Me = z.infer<typeof meSchema>;

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
const limitSchema = digits.refine((text) => Number(text) >= 1 && Number(text) <= LIST_LIMIT_MAX, `1 to ${LIST_LIMIT_MAX}`);
export const listQuerySchema = z.strictObject({
  state: stateSchema.optional(),
  subject: subjectSchema.optional(),
  kind: kindSchema.optional(),
  /** Only those that wait for the caller's own decision. */
  waitingForMe: z.literal('true').optional(),
  limit: limitSchema.optional(),
  /** `next` of the page before. */
  cursor: changeIdSchema.optional(),
  /** Of those that wait for the caller: soonest to end first, and so the first page alone. Left out: newest first. */
  order: z.literal('soonest').optional(),
}).refine(({ order, waitingForMe, cursor }) => order === undefined || (waitingForMe !== undefined && cursor === undefined), { path: ['order'], error: 'with waitingForMe, and without cursor' });
export type ListQuery = z.infer<typeof listQuerySchema>;
/** Left out: all of it, in one answer. */
const pageShape = {
  limit: limitSchema.optional(),
  /** `next` of the page before. */
  cursor: z.string().min(1).max(512).optional(),
  /** Every one of these words is somewhere in it. */
  q: z.string().max(200).optional(),
};
export const leaseQuerySchema = z.strictObject({ subject: nhiIdSchema.optional(), ...pageShape, /** Left out: soonest to end first. */ order: z.literal('identity').optional() });
export type LeaseQuery = z.infer<typeof leaseQuerySchema>;
/** What is the matter with an identity: something open at a target, leases that run, an owner by a rule alone, or something declared that was not seen to be used. */
export const NHI_MATTERS = ['findings', 'leases', 'fallback', 'unused'] as const;
export type NhiMatter = (typeof NHI_MATTERS)[number];
export const nhiQuerySchema = z.strictObject({
  ...pageShape, environment: z.string().max(64).optional(), riskTier: inventoryFactSchema.shape.riskTier.optional(), with: z.enum(NHI_MATTERS).optional(),
});
export type NhiQuery = z.infer<typeof nhiQuerySchema>;
export const standingQuerySchema = z.strictObject({ ...pageShape, state: z.enum(STANDING_STATES).optional(), /** Left out: oldest first. */ order: z.literal('newest').optional() });
export type StandingQuery = z.infer<typeof standingQuerySchema>;
export const findingQuerySchema = z.strictObject({ nhi: nhiIdSchema.optional() });
/** `from`: the size of the newest checkpoint that the caller has seen; the receipt then proves that it was not rewritten since. */
export const ticketQuerySchema = z.strictObject({ from: z.string().regex(/^(0|[1-9][0-9]{0,15})$/, 'a whole number').optional() });
export const noQuerySchema = z.strictObject({});

export { changeRequestSchema, reportMessageSchema, stepEnvelopeSchema };
