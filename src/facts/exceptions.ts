/**
 * Exceptions: what policy would deny an identity, and people let through for a time. An exception names one rule and one identity, has an owner
 * who approves each change that it lets through, and ends. What it can take away is policy's to say; it never makes an approval unnecessary.
 */
import { z } from 'zod';
import { reasonSchema } from '../protocol/decision.ts';
import { nhiIdSchema, personIdSchema, plainTextSchema } from '../protocol/values.ts';
import { parseLocalTime } from './local-time.ts';

export const EXCEPTION_DAYS_MAX = 90;
const DAY_MS = 86_400_000;

export const exceptionIdSchema = z.string().regex(/^[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?$/);
const dayInUtc = z.string().regex(/^\d{4}-\d\d-\d\d$/, 'a date such as 2026-12-24');

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
  })
  .superRefine(({ from, until }, context) => {
    const [fromMs, untilMs] = [parseLocalTime(from), parseLocalTime(until)];
    if (fromMs === null) context.addIssue({ code: 'custom', path: ['from'], message: `${from} is not a day from 2000 to 2999` });
    if (untilMs === null) context.addIssue({ code: 'custom', path: ['until'], message: `${until} is not a day from 2000 to 2999` });
    if (fromMs === null || untilMs === null) return;
    if (untilMs <= fromMs) context.addIssue({ code: 'custom', path: ['until'], message: `${until} is not after ${from}` });
    if (untilMs - fromMs > EXCEPTION_DAYS_MAX * DAY_MS) context.addIssue({ code: 'custom', path: ['until'], message: `${until} is more than ${EXCEPTION_DAYS_MAX} days after ${from}` });
  });

export const exceptionsFileSchema = z.strictObject({ v: z.literal(1), exceptions: z.array(exceptionSchema).max(10_000) });
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
    .map(({ id, rule, owner, from, until }) => ({ id, rule, subject, owner, fromMs: Date.parse(`${from}T00:00:00.000Z`), untilMs: Date.parse(`${until}T00:00:00.000Z`) }));
}
