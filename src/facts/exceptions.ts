/**
 * Exceptions: what policy would deny an identity, and people let through for a time. An exception names one rule and one identity, has an owner
 * who approves each change that it lets through, and ends. What it can take away is policy's to say; it never makes an approval unnecessary.
 */
import { z } from 'zod';
import { reasonSchema } from '../protocol/decision.ts';
import { nhiIdSchema, personIdSchema, plainTextSchema } from '../protocol/values.ts';
import { checkDates, dayInUtc, dayStartMs } from './dated.ts';
import { grantSignaturesSchema } from './grant-statement.ts';
import { observeScopeSchema, SCOPES_MAX } from './observe.ts';

export const EXCEPTION_DAYS_MAX = 90;

export const exceptionIdSchema = z.string().regex(/^[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?$/);

const exceptionSchema = z
  .strictObject({
    id: exceptionIdSchema,
    /** The code of the reason that it takes away, such as `exceeds-purpose`. */
    rule: reasonSchema.shape.code,
    subject: nhiIdSchema,
    /** Why, and what becomes of it. */
    reason: plainTextSchema(500),
    owner: personIdSchema,
    /** It holds from the first moment of `from` until, and not on, `until`: days in UTC. */
    from: dayInUtc,
    until: dayInUtc,
    /** Who has granted it, by her own signature; where people are asked (`exceptionGrants`) it holds only by enough of these. */
    signatures: grantSignaturesSchema,
  })
  .superRefine((exception, context) => checkDates(exception, EXCEPTION_DAYS_MAX, context));

export const exceptionsFileSchema = z.strictObject({ v: z.literal(1), exceptions: z.array(exceptionSchema).max(10_000), /** Absent: nothing is under observe. */ observe: z.array(observeScopeSchema).max(SCOPES_MAX).optional() });
export type ExceptionsFile = z.infer<typeof exceptionsFileSchema>;

/** What policy is told of one: no prose. */
export const exceptionAskedSchema = z.strictObject({ id: exceptionIdSchema, rule: reasonSchema.shape.code, subject: nhiIdSchema, owner: personIdSchema, fromMs: z.int(), untilMs: z.int() });
export type ExceptionAsked = z.infer<typeof exceptionAskedSchema>;

/** Of one identity: more are not told, and take nothing away. */
export const EXCEPTIONS_ASKED_MAX = 64;

/** The exceptions for an identity by id, over and to come as well: which of them hold is policy's to say. */
export function exceptionsOf({ exceptions }: ExceptionsFile, subject: string): ExceptionAsked[] {
  return exceptions
    .filter((one) => one.subject === subject)
    .sort((a, b) => (a.id < b.id ? -1 : 1))
    .slice(0, EXCEPTIONS_ASKED_MAX)
    .map(({ id, rule, owner, from, until }) => ({ id, rule, subject, owner, fromMs: dayStartMs(from), untilMs: dayStartMs(until) }));
}
