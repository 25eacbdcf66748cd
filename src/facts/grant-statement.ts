/** What a person signs to grant an exception or a scope under observe, and how it stands in the entry. */
import { z } from 'zod';
import { passkeyAnswerSchema } from '../protocol/passkeys.ts';
import { logIdSchema, personIdSchema } from '../protocol/values.ts';
import { checkDates, dayInUtc } from './dated.ts';

/** As long as an exception may be, and a scope. Of a signature for longer one could be made after the other. */
const GRANTED_DAYS_MAX = 90;

const granted = {
  kind: z.enum(['exception', 'observe']),
  approver: personIdSchema,
  /** The entry as it is in the file, without its signatures, and with the days of this one. */
  entry: z.record(z.string(), z.json()),
};

/** RFC 8785 of this is what is signed. */
export const grantStatementSchema = z.discriminatedUnion('v', [
  z.strictObject({ v: z.literal(1), ...granted }),
  /** Good in this log alone. */
  z.strictObject({ v: z.literal(2), log: logIdSchema, ...granted }),
]);
export type GrantStatement = z.infer<typeof grantStatementSchema>;

const grantSignatureSchema = z
  .strictObject({
    approver: personIdSchema,
    /** The days that she has granted: the entry may be shorter, and not longer. */
    from: dayInUtc,
    until: dayInUtc,
    /** In which log alone she has; left out: in each. */
    log: logIdSchema.optional(),
    /** SSHSIG in base64: what `ssh-keygen -Y sign -n exception@countersign` writes between its two lines. */
    signature: z.base64().min(1).max(4_096).optional(),
    /** Instead of it, her passkey's answer. */
    passkey: passkeyAnswerSchema.optional(),
  })
  .superRefine((signature, context) => checkDates(signature, GRANTED_DAYS_MAX, context))
  .refine(({ signature, passkey }) => (signature === undefined) !== (passkey === undefined), { path: ['signature'], error: 'either a signature or a passkey’s answer' });
export type GrantSignature = z.infer<typeof grantSignatureSchema>;
export const grantSignaturesSchema = z.array(grantSignatureSchema).min(1).max(16).optional();
