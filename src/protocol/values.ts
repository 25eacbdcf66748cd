/**
 * The small words of the protocol: ids, digests, times, durations, principals, entitlements.
 *
 * Each has one spelling. A schema here refuses a second one, so that equal things have equal bytes.
 */
import { z } from 'zod';
import { timeOf } from '../../ledger/index.ts';
import { hiddenIn, withoutHidden } from './plain.ts';

/** 26 characters of Crockford base 32, as in the ULID specification: 48 bits of ms time, 80 of randomness. */
export const ULID = '[0-7][0-9A-HJKMNP-TV-Z]{25}';
/** First 16 hex characters of SHA-256(origin): survives a rotation of the log's key. */
const LOG_ID = '[0-9a-f]{16}';

export const logIdSchema = z.string().regex(new RegExp(`^${LOG_ID}$`));
export const changeIdSchema = z.string().regex(new RegExp(`^chg_${LOG_ID}_${ULID}$`));
/** `stp_<log>_<ulid of the change>_r<revision>_<n>`; a read is `…_r<revision>_read`; an early revoke `…_revoke`. */
export const stepIdSchema = z.string().regex(new RegExp(`^stp_${LOG_ID}_${ULID}_(r[1-9][0-9]{0,3}_(read|[1-9][0-9]{0,2})|revoke)$`));
/** One lease a change: the change's id with another prefix. */
export const leaseIdSchema = z.string().regex(new RegExp(`^lse_${LOG_ID}_${ULID}$`));
/** `apr_` and the first 32 hex characters of the approval digest. */
export const approvalIdSchema = z.string().regex(/^apr_[0-9a-f]{32}$/);
export const digestSchema = z.string().regex(/^sha256:[0-9a-f]{64}$/);

/** RFC 3339, UTC, exactly three decimals: `2026-11-23T19:05:00.123Z`. */
export const timeSchema = z
  .string()
  .regex(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
  .refine((text) => !Number.isNaN(timeOf(text)), 'not a real UTC time with milliseconds');

/** ISO 8601 duration of days, hours, minutes and seconds (`PT15M`, `P30D`): no months or years, whose length varies. */
export const durationSchema = z
  .string()
  .regex(/^P(?=\d|T\d)(\d{1,5}D)?(T(?=\d)(\d{1,6}H)?(\d{1,7}M)?(\d{1,9}S)?)?$/, { error: 'an ISO 8601 duration such as PT15M or P30D', abort: true })
  .refine((text) => durationSeconds(text) > 0, 'a duration longer than zero');

const segment = '[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?';
/** `nhi:<environment>/<name>`: a machine identity. It requests; it never approves. */
export const nhiIdSchema = z.string().regex(new RegExp(`^nhi:${segment}/${segment}$`));
/** `person:<id>`: someone in the directory. */
export const personIdSchema = z.string().regex(new RegExp(`^person:${segment}$`));
/** Whoever acts: a person, a machine identity, or a part of the control plane (`sidecar:…`, `executor:…`). */
export const principalSchema = z
  .string()
  .regex(new RegExp(`^(?:nhi:${segment}/${segment}|person:${segment}|sidecar:${segment}|executor:${segment}|caller:[0-9a-f]{32})$`));
/** `thirdParty:<slug>`: an organisation that the inventory names, in lower case with `-` for everything else. */
const thirdPartyIdSchema = z.string().regex(new RegExp(`^thirdParty:${segment}$`));
/** What a change is about: one identity; for an offboarding also everything of an owner or a third party. */
export const subjectSchema = z.union([nhiIdSchema, personIdSchema, thirdPartyIdSchema]);
export const connectorIdSchema = z.string().regex(/^[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?$/);
export const executorIdSchema = z.string().regex(new RegExp(`^executor:${segment}$`));
/** Whom a ticket is for and who reports: an executor, or one run of a caller (`caller:` and 32 hex characters of its key's SHA-256). */
export const actorIdSchema = z.string().regex(new RegExp(`^(?:executor:${segment}|caller:[0-9a-f]{32})$`));
/** `lck_<ulid>`: a lock. */
export const lockIdSchema = z.string().regex(new RegExp(`^lck_${ULID}$`));
export const proposalIdSchema = z.string().regex(new RegExp(`^prp_${ULID}$`));

/** Text a person wrote or a target chose. No control characters: it is shown in terminals and logs. */
export const plainTextSchema = (max: number): z.ZodString =>
  z.string().min(1).max(max).regex(/^[^\u0000-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]*$/u, {
    error: ({ input }) => `no control or direction characters: ${hiddenIn(String(input))}`, abort: true,
  });

/**
 * What a person writes, where it comes in: nothing is in it that is not seen. Only there: what is on record is read as it is, and what a target has is
 * called by its name, whatever is in that, so that it can be taken back.
 */
export const writtenTextSchema = (max: number): z.ZodString =>
  plainTextSchema(max).refine((text) => hiddenIn(text) === null, { error: ({ input }) => `no characters that are not seen: ${hiddenIn(String(input))}` });

/** The same beside what takes access away, which nobody is held up in by what was pasted: a space stands for each run of what is not seen. */
export const pastedTextSchema = (max: number): z.ZodString => z.string().overwrite(withoutHidden).min(1).max(max);

/** `{connector, target, privilege, scope?}`: the privilege is in the connector's own words. */
export const entitlementSchema = z.strictObject({
  connector: connectorIdSchema,
  target: plainTextSchema(128),
  privilege: plainTextSchema(256),
  scope: plainTextSchema(256).optional(),
});
export type Entitlement = z.infer<typeof entitlementSchema>;

/** `thirdParty:<slug>` of the name that an inventory gives an organisation. */
export function thirdPartyId(name: string): string {
  return `thirdParty:${name.toLowerCase().replaceAll(/[^a-z0-9]+/g, '-').replaceAll(/^-+|-+$/g, '').slice(0, 64)}`;
}

/** 16 random bytes, base64url without padding. */
export const saltSchema = z.string().regex(/^[A-Za-z0-9_-]{22}$/);

/** Seconds in a duration of {@link durationSchema}'s form. @throws RangeError on any other text. */
export function durationSeconds(text: string): number {
  const match = /^P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?$/.exec(text);
  if (match === null) throw new RangeError(`not a duration: ${text}`);
  const [, days = '0', hours = '0', minutes = '0', seconds = '0'] = match;
  return Number(days) * 86_400 + Number(hours) * 3_600 + Number(minutes) * 60 + Number(seconds);
}

/** RFC 3339 UTC text with milliseconds, of epoch milliseconds. */
export function formatTime(epochMs: number): string {
  return new Date(epochMs).toISOString();
}

/** Epoch milliseconds of a time in {@link timeSchema}'s form. */
export function parseTime(text: string): number {
  return Date.parse(text);
}
