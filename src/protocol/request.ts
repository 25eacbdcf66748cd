/** What a caller sends to `POST /v1/changes`: the intent. Everything that is derived from it is the server's. */
import { z } from 'zod';
import { canonicalBytes, digestOf } from '../../ledger/index.ts';
import { proseSchema, type Prose } from './disclosure.ts';
import { changeIdSchema, connectorIdSchema, durationSchema, durationSeconds, entitlementSchema, nhiIdSchema, pastedTextSchema, plainTextSchema, subjectSchema, timeSchema, writtenTextSchema } from './values.ts';

/**
 * Where a secret that is issued goes: an age X25519 recipient (age-encryption.org/v1) that it is sealed to, or `kv:<sink>/<path>`, a place in a store of
 * secrets that the executor keeps it in.
 */
export const recipientSchema = z.string().regex(/^(?:age1[02-9ac-hj-np-z]{58}|kv:[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?(?:\/[A-Za-z0-9_-][A-Za-z0-9_.-]{0,62}){1,8})$/);

/** The place that a recipient names; null for one that a secret is sealed to. */
export function placeOf(recipient: string): { readonly sink: string; readonly path: string } | null {
  const [, sink, path] = /^kv:([^/]+)\/(.+)$/.exec(recipient) ?? [];
  return sink === undefined || path === undefined ? null : { sink, path };
}
export const purposeIdSchema = z.string().regex(/^[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?$/);
/** A raw Ed25519 public key (32 bytes), standard base64. */
export const runKeySchema = z.string().regex(/^[A-Za-z0-9+/]{43}=$/);
/** The id of a maintenance calendar in the facts. */
export const calendarIdSchema = z.string().regex(/^[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?$/);

/** Prose for the approver; never trusted. */
const reason = writtenTextSchema(500);
/** Of what only takes away. */
const pastedReason = pastedTextSchema(500);

const common = {
  /** Whose access changes. */
  subject: nhiIdSchema,
  /** All of one connector and target: a change touches one system. */
  entitlements: z.array(entitlementSchema).min(1).max(16),
  /** An id in the entitlement catalogue. */
  purpose: purposeIdSchema,
  reason,
};

/** A duration with an upper bound: nobody may hold a target for ever by asking for it. */
const atMost = (seconds: number, text: string): z.ZodType<string> => durationSchema.refine((duration) => durationSeconds(duration) <= seconds, `at most ${text}`);

/** The caller makes the change itself, in one run that has a key of its own; the ticket is for that key. */
export const callerSchema = z.strictObject({
  key: runKeySchema,
  /** How long its code may take, from the claim on; without a result by then the outcome is `ambiguous`. */
  timeout: atMost(86_400, 'PT24H'),
});

const inTime = {
  /** Which maintenance window to use, and what becomes of the change when it is missed; default `expire`. */
  window: z.strictObject({ calendar: calendarIdSchema.optional(), onMissed: z.enum(['replan', 'expire']).optional() }).optional(),
  /** Waits for no window and no freeze; policy asks for more approvals instead. */
  urgency: z.literal('emergency').optional(),
  caller: callerSchema.optional(),
};

const provision = {
  kind: z.literal('provision'),
  ...common,
  /** How long the new credential may live. Absent: standing, which policy may refuse. */
  duration: durationSchema.optional(),
  /** The access ends by then, however late it began: only beside a duration. */
  endsBy: timeSchema.optional(),
  recipient: recipientSchema,
  ...inTime,
};
/** Without a duration there is no lease, and an end that nobody would keep. */
const hasEndWithDuration = ({ duration, endsBy }: { readonly duration?: string | undefined; readonly endsBy?: string | undefined }): boolean => endsBy === undefined || duration !== undefined;
export const provisionRequestSchema = z.strictObject(provision).refine(hasEndWithDuration, { error: 'access with an end has a duration: without one it would stand', path: ['duration'] });
export const grantRequestSchema = z.strictObject({
  kind: z.literal('grant'),
  ...common,
  duration: durationSchema,
  endsBy: timeSchema.optional(),
  ...inTime,
});
/** The lease that a change gave ends later: counted anew, from when this is authorised. Everything else stays what that change gave. */
export const extendRequestSchema = z.strictObject({
  kind: z.literal('extend'),
  /** The change whose lease it is. */
  change: changeIdSchema,
  ...common,
  duration: durationSchema,
  endsBy: timeSchema.optional(),
  window: inTime.window,
  urgency: inTime.urgency,
});
export const revokeRequestSchema = z.strictObject({ kind: z.literal('revoke'), ...common, reason: pastedReason, caller: callerSchema.optional() });

const account = {
  subject: nhiIdSchema,
  connector: connectorIdSchema,
  target: plainTextSchema(128),
  reason,
};

const rotation = {
  kind: z.literal('rotate'),
  ...account,
  purpose: purposeIdSchema,
  /** Where the new secret goes. Absent in caller mode only: there the caller's code makes the secret. */
  recipient: recipientSchema.optional(),
  /** How long consumers that do not confirm are waited for; default PT15M. */
  grace: atMost(604_800, 'P7D').optional(),
  /** `whenUnused` (default): the old credential stays until nothing uses it. `endSessions`: after the grace, what still uses it is ended. */
  retire: z.enum(['whenUnused', 'endSessions']).optional(),
  ...inTime,
};
const hasOneMaker = (request: { readonly recipient?: string | undefined; readonly caller?: unknown }): boolean => (request.recipient === undefined) === (request.caller !== undefined);
const ONE_MAKER = { error: 'a rotation has a recipient for the new secret, or a caller who makes it, and not both', path: ['recipient'] };

/** The identity's credential at one system is replaced by a new one, with an overlap where the target allows it. */
export const rotateRequestSchema = z.strictObject(rotation).refine(hasOneMaker, ONE_MAKER);

/** The identity's account at one system is shut out: no login, no sessions, nothing held. */
export const disableRequestSchema = z.strictObject({ kind: z.literal('disable'), ...account, reason: pastedReason, caller: callerSchema.optional() });

/** Everything that an identity, an owner or a third party holds is taken back, as one case. */
export const offboardRequestSchema = z.strictObject({ kind: z.literal('offboard'), subject: subjectSchema, reason: pastedReason });

export const changeRequestSchema = z.discriminatedUnion('kind', [
  provisionRequestSchema, grantRequestSchema, extendRequestSchema, revokeRequestSchema, rotateRequestSchema, disableRequestSchema, offboardRequestSchema,
]);
export type ChangeRequest = z.infer<typeof changeRequestSchema>;
export type ChangeKind = ChangeRequest['kind'];
type WithProse<R> = R extends unknown ? Omit<R, 'reason'> & { reason: Prose } : never;
/** A request as a record tells of it: its reason may be known no more. */
export type RecordedRequest = WithProse<ChangeRequest>;

/** The same of each kind, but that the record commits to the reason, and that of a provision an end without a duration was once taken. */
export const recordedRequestSchema: z.ZodType<RecordedRequest> = z.discriminatedUnion('kind', [
  z.strictObject({ ...provision, reason: proseSchema }), grantRequestSchema.extend({ reason: proseSchema }), extendRequestSchema.extend({ reason: proseSchema }),
  revokeRequestSchema.extend({ reason: proseSchema }), z.strictObject({ ...rotation, reason: proseSchema }).refine(hasOneMaker, ONE_MAKER), disableRequestSchema.extend({ reason: proseSchema }),
  offboardRequestSchema.extend({ reason: proseSchema }),
]);

/** Of everything in the request but its reason: that could be guessed from a digest once it is erased. */
export function requestDigest(request: RecordedRequest): string {
  const { reason: _reason, ...rest } = request;
  return digestOf(canonicalBytes(rest));
}

/** Whether it is the same request, as far as the reasons of both are still known. */
export function isSameRequest(a: RecordedRequest, b: RecordedRequest): boolean {
  return requestDigest(a) === requestDigest(b) && (typeof a.reason !== 'string' || typeof b.reason !== 'string' || a.reason === b.reason);
}
export type ExtendRequest = z.infer<typeof extendRequestSchema>;
export type RotateRequest = z.infer<typeof rotateRequestSchema>;
export type Caller = z.infer<typeof callerSchema>;

/** Kinds whose requests name entitlements. The others are about an account, or about everything. */
export type EntitlementRequest = Extract<RecordedRequest, { entitlements: unknown }>;

export function entitlementsOf(request: RecordedRequest): EntitlementRequest['entitlements'] {
  return 'entitlements' in request ? request.entitlements : [];
}

/** The purpose that was named; `offboarding` for what needs none. */
export function purposeOf(request: RecordedRequest): string {
  return 'purpose' in request ? request.purpose : 'offboarding';
}

export function callerOf(request: RecordedRequest): Caller | null {
  return 'caller' in request ? (request.caller ?? null) : null;
}

export function windowOf(request: RecordedRequest): { readonly calendar?: string | undefined; readonly onMissed?: 'replan' | 'expire' | undefined } | null {
  return 'window' in request ? (request.window ?? null) : null;
}

export function isEmergency(request: RecordedRequest): boolean {
  return 'urgency' in request && request.urgency === 'emergency';
}
