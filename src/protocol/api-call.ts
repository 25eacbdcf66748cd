/**
 * What a console and a sidecar say to each other over the bus: to whom a call is sealed, the call, and the answer. The bus gives no authority and
 * sees none of it: whoever asks is who the token in the call says, and the recipient is believed for the sidecar's signature.
 */
import { z } from 'zod';
import type { Verifier } from '../../ledger/index.ts';
import { openDsse } from './dsse.ts';
import { ProtocolError } from './errors.ts';
import type { Dsse } from './signed.ts';
import { logIdSchema, parseTime, timeSchema } from './values.ts';

export const API_RECIPIENT_TYPE = 'application/vnd.countersign.api-recipient+json';

/** Longest that a call may still be good for when it comes. */
export const CALL_MS_MAX = 60_000;
/** Bytes of a call's body, as over HTTP. */
export const CALL_BODY_BYTES_MAX = 65_536;

const randomSchema = z.string().regex(/^[0-9a-f]{32}$/, '32 hex digits');
const ageRecipientSchema = z.string().regex(/^age1[02-9ac-hj-np-z]{58}$/, 'an age X25519 recipient');
const headerSchema = (most: number): z.ZodString => z.string().max(most).regex(/^[\x20-\x7e]+$/, 'printable ASCII');

/** Asked in the clear: the sidecar signs the nonce with the recipient, so that none of before is taken for it. */
export const recipientAskSchema = z.strictObject({ v: z.literal(1), nonce: randomSchema });

/** To whom calls of this log's API are sealed: a key of the process that answers, and of no file. Signed by the sidecar's ticket key. */
export const apiRecipientSchema = z.strictObject({ v: z.literal(1), log: logIdSchema, nonce: randomSchema, recipient: ageRecipientSchema });
export type ApiRecipient = z.infer<typeof apiRecipientSchema>;

/** Headers that come along; any other stays behind. */
export const CALL_HEADERS = ['authorization', 'content-type', 'idempotency-key', 'traceparent', 'tracestate'] as const;

/** Sealed to the recipient. */
export const apiCallSchema = z.strictObject({
  v: z.literal(1),
  log: logIdSchema,
  /** Of this call alone: the same is not answered twice. */
  id: randomSchema,
  expiresAt: timeSchema,
  /** To whom the answer is sealed: a key of this call alone. */
  answerTo: ageRecipientSchema,
  method: z.enum(['GET', 'POST']),
  path: z.string().max(2_048).regex(/^\/[\x21-\x22\x24-\x3e\x40-\x7e]*$/, 'a path'),
  /** Without its `?`; empty where there is none. */
  query: z.string().max(4_096).regex(/^[\x21-\x22\x24-\x7e]*$/, 'a query'),
  headers: z.strictObject({
    'authorization': headerSchema(16_384).optional(), 'content-type': headerSchema(256).optional(), 'idempotency-key': headerSchema(512).optional(),
    'traceparent': headerSchema(256).optional(), 'tracestate': headerSchema(1_024).optional(),
  }),
  /** Base64; null where there is none. */
  body: z.base64().max(Math.ceil((CALL_BODY_BYTES_MAX + 1) / 3) * 4).nullable(),
});
export type ApiCall = z.infer<typeof apiCallSchema>;

/** The first line of an answer; the bytes of the body follow it. The whole is one age file, cut into messages; an empty one is the last. */
export const apiAnswerHeadSchema = z.strictObject({
  v: z.literal(1),
  status: z.int().min(200).max(599),
  headers: z.strictObject({ 'content-type': headerSchema(256).optional(), 'retry-after': headerSchema(64).optional() }),
});
export type ApiAnswerHead = z.infer<typeof apiAnswerHeadSchema>;

/** Why a call has no sealed answer. Nobody has signed it: a hint, by which nothing is taken for done or not done. */
export const CALL_REFUSALS = ['malformed', 'busy', 'unopened', 'outside-window', 'replayed', 'too-large', 'cut-short'] as const;
export type CallRefusal = (typeof CALL_REFUSALS)[number];

/** The recipient that a sidecar of this log has signed for this very asking. @throws ProtocolError; nothing was believed */
export function openApiRecipient(envelope: Dsse, { log, nonce, keys }: { readonly log: string; readonly nonce: string; readonly keys: readonly Verifier[] }): string {
  const content = openDsse(envelope, API_RECIPIENT_TYPE, apiRecipientSchema, keys);
  if (content.log !== log) throw new ProtocolError('wrong-audience', `the recipient of log ${content.log}`);
  if (content.nonce !== nonce) throw new ProtocolError('outside-window', 'signed for another asking');
  return content.recipient;
}

/** Whether a call is good now: not over, and not good for longer than any is. A clock may differ by the half of it. */
export function isCallGood({ expiresAt }: Pick<ApiCall, 'expiresAt'>, nowMs: number): boolean {
  const untilMs = parseTime(expiresAt);
  return nowMs < untilMs && untilMs <= nowMs + CALL_MS_MAX;
}
