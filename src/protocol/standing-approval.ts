/**
 * Standing approvals: a bounded template that a person signs once, against the fatigue of approving the same thing again and again. A plan that is within
 * it, in its time, by the log that it names, is approved by her; how often, it says itself. A stolen sidecar key widens nothing: executors and verifiers
 * hold each plan to the template that she signed, by their own trust folders, and a floor counts it only where it says so (`standing`).
 *
 * An approval whose envelope is such a template says which use of it it is (`use`). All else about it is as of any approval.
 */
import { z } from 'zod';
import { commitmentSchema } from './disclosure.ts';
import { readPayload } from './dsse.ts';
import { ProtocolError } from './errors.ts';
import { personBehind, requireOwn, type OwnClass, type OwnProofs } from './own-proof.ts';
import { recipientSchema } from './request.ts';
import { approvalStatementSchema, type Approval, type ApprovalStatement, type Dsse } from './signed.ts';
import type { SshSigned } from './ssh-proof.ts';
import { connectorIdSchema, logIdSchema, nhiIdSchema, parseTime, personIdSchema, plainTextSchema, timeSchema } from './values.ts';

/** `inForce` approves what is within it; `over` has ended, is used up or revoked. */
export const STANDING_STATES = ['inForce', 'over'] as const;
export type StandingState = (typeof STANDING_STATES)[number];

/** `ssh-keygen -Y sign -n standing-approval@countersign`: an approval of one plan is never taken for this, nor this for one. */
export const STANDING_NAMESPACE = 'standing-approval@countersign';
export const STANDING_TYPE = 'application/vnd.countersign.standing-approval+json';
/** The longest that a standing approval is good for: 30 days. */
export const STANDING_SECONDS_MAX = 2_592_000;
export const STANDING_USES_MAX = 1_000;
/** What may be approved so: what an executor gives for a time, and the new secret of what stands already. */
export const STANDING_KINDS = ['provision', 'grant', 'extend', 'rotate'] as const;

const listOf = <T extends z.ZodType>(one: T, min: number, max: number): z.ZodArray<T> => z.array(one).min(min).max(max).meta({ uniqueItems: true });

/** The bytes that an approver signs: RFC 8785 of this. Each list is closed: what is not in it is not approved. */
export const standingStatementSchema = z.strictObject({
  v: z.literal(1),
  log: logIdSchema,
  approver: personIdSchema,
  subject: nhiIdSchema,
  kinds: listOf(z.enum(STANDING_KINDS), 1, STANDING_KINDS.length),
  connector: connectorIdSchema,
  target: plainTextSchema(128),
  /** At the target. That of a provision is none of them: it is new. */
  accounts: listOf(plainTextSchema(128), 0, 8),
  privileges: listOf(plainTextSchema(256), 0, 16),
  /** Whom a new secret may be sealed to, or where it may be kept. */
  recipients: listOf(recipientSchema, 0, 8),
  /** Of each lease, an extension's counted from when it is given. Nothing is given so without one; null where only rotations are approved, which have none. */
  maxLeaseSeconds: z.int().min(1).max(STANDING_SECONDS_MAX).nullable(),
  uses: z.int().min(1).max(STANDING_USES_MAX),
  notBefore: timeSchema,
  expiresAt: timeSchema,
  /** To why. What is signed cannot be erased, and the text can. */
  reason: commitmentSchema,
});
export type StandingStatement = z.infer<typeof standingStatementSchema>;

const STANDING_APPROVAL: SshSigned = { payloadType: STANDING_TYPE, namespace: STANDING_NAMESPACE, what: 'a standing approval' };

/** Why this is no template at all, in a phrase; null where it is one. */
export function templateFault({ kinds, accounts, privileges, recipients, maxLeaseSeconds, notBefore, expiresAt }: StandingStatement): string | null {
  if ([kinds, accounts, privileges, recipients].some((list: readonly string[]) => new Set(list).size !== list.length)) return 'something is listed twice';
  if (kinds.some((kind) => kind !== 'rotate') !== (maxLeaseSeconds !== null)) return 'the longest lease is said where something is leased, and nowhere else';
  const lastsMs = parseTime(expiresAt) - parseTime(notBefore);
  if (lastsMs <= 0) return 'it ends before it begins';
  return lastsMs > STANDING_SECONDS_MAX * 1000 ? 'it is good for longer than 30 days' : null;
}

/**
 * The template, once the very person whose word it is has proven it, by a key or a passkey that was good then. Nothing has been compared with any plan.
 *
 * @throws ProtocolError `approval-invalid` or `malformed`; nothing was believed
 */
export function openStanding(envelope: Dsse, proofClass: OwnClass, proofs: OwnProofs): StandingStatement {
  const person = personBehind(envelope, proofClass, STANDING_APPROVAL, proofs);
  const template = readStanding(envelope);
  requireOwn(person, template.approver, proofClass);
  const why = templateFault(template);
  if (why !== null) throw new ProtocolError('approval-invalid', `no standing approval: ${why}`);
  return template;
}

export function readStanding(envelope: Dsse): StandingStatement {
  return readPayload(envelope, standingStatementSchema);
}

/** What an approval of one plan by the template says, in the words of any other approval: it is compared, counted and told of as one. */
export function impliedBy({ log, approver, expiresAt }: StandingStatement, { changeId, revision, planDigest }: Pick<ApprovalStatement, 'changeId' | 'revision' | 'planDigest'>): ApprovalStatement {
  return { v: 1, log, changeId, revision, planDigest, verdict: 'approve', approver, expiresAt };
}

/** The statement of a recorded approval, whatever it is proven by: for those who only fold what was recorded. @param about what is to be approved: of a standing one it follows from where it stands */
export function statementIn({ envelope, use }: Approval, about: { readonly changeId: string; readonly revision: number; readonly planDigest: string | null }): ApprovalStatement {
  return use === undefined ? readPayload(envelope, approvalStatementSchema) : impliedBy(readStanding(envelope), { ...about, planDigest: about.planDigest ?? '' });
}
