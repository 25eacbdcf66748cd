/**
 * The review of a broken glass by the reviewer's own signature, where a floor asks for it (`breakGlass`, `reviewProofClass`): then a session is no review,
 * and whoever has the sidecar's keys alone cannot make one up.
 */
import { z } from 'zod';
import type { AllowedSigners } from './allowed-signers.ts';
import { commitmentSchema } from './disclosure.ts';
import { readPayload } from './dsse.ts';
import { ProtocolError } from './errors.ts';
import type { Dsse } from './signed.ts';
import { signerBySsh } from './ssh-proof.ts';
import { changeIdSchema, digestSchema, logIdSchema, personIdSchema, timeSchema } from './values.ts';

/** `ssh-keygen -Y sign -n breakglass-review@countersign`: neither an approval nor a broken glass is ever taken for it. */
export const BREAK_GLASS_REVIEW_NAMESPACE = 'breakglass-review@countersign';
export const BREAK_GLASS_REVIEW_TYPE = 'application/vnd.countersign.break-glass-review+json';

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
 * The statement, once the reviewer's own key proves it. What it is about has not been compared with anything.
 *
 * @param proofs `atMs`: when it was, or is to be, counted @throws ProtocolError `approval-invalid`; nothing was believed
 */
export function openBreakGlassReview(envelope: Dsse, proofs: { readonly signers: AllowedSigners; readonly atMs: number }): BreakGlassReviewStatement {
  const signer = signerBySsh(envelope, { payloadType: BREAK_GLASS_REVIEW_TYPE, namespace: BREAK_GLASS_REVIEW_NAMESPACE, what: 'a review of a broken glass' }, proofs);
  const statement = readPayload(envelope, breakGlassReviewStatementSchema);
  if (statement.reviewer !== signer.person) throw new ProtocolError('approval-invalid', `a key of ${signer.person} under the name of ${statement.reviewer}`);
  return statement;
}
