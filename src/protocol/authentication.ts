/**
 * How somebody was authenticated who came with a token of an issuer: whose word it is, and about whom. Never the token.
 *
 * It is the sidecar's word, as the principal beside it is: nobody else has seen the token.
 */
import { z } from 'zod';
import { digestSchema, plainTextSchema } from './values.ts';

/** What an issuer is, and so how its claims become a principal. */
export const ISSUER_KINDS = ['person', 'github-actions', 'kubernetes', 'spiffe'] as const;

export const ISSUER_CHARS_MAX = 512;
export const SUBJECT_CHARS_MAX = 512;

export const authenticationSchema = z.strictObject({
  kind: z.enum(ISSUER_KINDS),
  /** As the configuration names it. */
  issuer: plainTextSchema(ISSUER_CHARS_MAX),
  /** `sub`: of a token that somebody else acts with, whom it is about. */
  subject: plainTextSchema(SUBJECT_CHARS_MAX),
  /** RFC 7638 thumbprint of the issuer's key that the signature holds by. */
  key: digestSchema,
});
export type Authentication = z.infer<typeof authenticationSchema>;
