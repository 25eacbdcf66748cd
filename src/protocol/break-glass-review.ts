/**
 * The review of a broken glass by the reviewer's own signature or passkey, where a floor asks for it (`breakGlass`, `reviewProofClass`): then a session is no review,
 * and whoever has the sidecar's keys alone cannot make one up.
 */
import { z } from 'zod';
import { commitmentSchema } from './disclosure.ts';
import { readPayload } from './dsse.ts';
import { personBehind, requireOwn, type OwnClass, type OwnProofs } from './own-proof.ts';
import type { Dsse } from './signed.ts';
import type { SshSigned } from './ssh-proof.ts';
import { changeIdSchema, digestSchema, logIdSchema, personIdSchema, timeSchema } from './values.ts';

/** `ssh-keygen -Y sign -n breakglass-review@countersign`: neither an approval nor a broken glass is ever taken for it. */
export const BREAK_GLASS_REVIEW_NAMESPACE = 'breakglass-review@countersign';
export const BREAK_GLASS_REVIEW_TYPE = 'application/vnd.countersign.break-glass-review+json';
const REVIEW: SshSigned = { payloadType: BREAK_GLASS_REVIEW_TYPE, namespace: BREAK_GLASS_REVIEW_NAMESPACE, what: 'a review of a broken glass' };

/** What a review of a broken glass comes to. */
export const BREAK_GLASS_VERDICTS = ['justified', 'unjustified'] as const;
export const breakGlassVerdictSchema = z.enum(BREAK_GLASS_VERDICTS);
/** What a reviewer may say of the rotation that is owed; left out, it stays owed. */
export const BREAK_GLASS_ROTATIONS = ['notNeeded'] as const;
export const breakGlassRotationSchema = z.enum(BREAK_GLASS_ROTATIONS);

/** The bytes that a reviewer signs: RFC 8785 of this. */
export const breakGlassReviewStatementSchema = z.strictObject({
  v: z.literal(1),
  log: logIdSchema,
  changeId: changeIdSchema,
  /** For which the glass was broken. */
  revision: z.int().min(1),
  /** Digest of the statement by which it was. */
  breakGlass: digestSchema,
  verdict: breakGlassVerdictSchema,
  rotation: breakGlassRotationSchema.optional(),
  /** To what was found: what is signed cannot be erased, and the text can. */
  comment: commitmentSchema,
  reviewer: personIdSchema,
  expiresAt: timeSchema,
});
export type BreakGlassReviewStatement = z.infer<typeof breakGlassReviewStatementSchema>;

export function readBreakGlassReview(envelope: Dsse): BreakGlassReviewStatement {
  return readPayload(envelope, breakGlassReviewStatementSchema);
}

/**
 * The statement, once the reviewer's own key or passkey proves it. What it is about has not been compared with anything.
 *
 * @throws ProtocolError `approval-invalid`; nothing was believed
 */
export function openBreakGlassReview(envelope: Dsse, proofClass: OwnClass, proofs: OwnProofs): BreakGlassReviewStatement {
  const person = personBehind(envelope, proofClass, REVIEW, proofs);
  const statement = readBreakGlassReview(envelope);
  requireOwn(person, statement.reviewer, proofClass);
  return statement;
}
