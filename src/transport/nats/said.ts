/** What goes over the bus beside steps, orders and reports: small, lossy, and believed for nothing but pace. */
import { z } from 'zod';
import { JsonError, parseStrict } from '../../../ledger/index.ts';
import { reportMessageSchema } from '../../protocol/envelope.ts';
import { dsseSchema } from '../../protocol/signed.ts';
import { logIdSchema } from '../../protocol/values.ts';
import { workerKnowsSchema } from '../../protocol/worker-knows.ts';
import { runSchema, workerStateSchema } from '../../protocol/worker-state.ts';

const token = z.string().regex(/^[0-9a-f]{32}$/);
const hash = z.base64().length(44);
const error = z.string().max(500);

/** A worker speaks: that it is there and how it is, what can be proven to it, or that it goes, by the name of its run; or what it says to the step of this token. */
export const saidSchema = z.discriminatedUnion('t', [
  z.strictObject({ t: z.literal('beat'), ...workerStateSchema.shape }),
  /** What can be proven to it, for a sidecar that has asked. */
  z.strictObject({ t: z.literal('knows'), ...workerKnowsSchema.shape }),
  z.strictObject({ t: z.literal('bye'), run: runSchema }),
  z.strictObject({ t: z.literal('accepted'), token }),
  /** It has seen another, or a longer, log: the size and root that a proof must start from. */
  z.strictObject({ t: z.literal('inconsistent'), token, fromSize: z.int().min(0), root: hash }),
  z.strictObject({ t: z.literal('refused'), token, error }),
  /** This run of it holds the lock of this token. */
  z.strictObject({ t: z.literal('locked'), token, run: runSchema }),
  /** A lock that it has heard of, from whomever. */
  z.strictObject({ t: z.literal('lock'), lock: dsseSchema }),
]);
export type Said = z.infer<typeof saidSchema>;

/** A sidecar speaks: it is there, what it asks, what became of the report of this token, or that a lock is set or lifted. */
export const ackSchema = z.discriminatedUnion('t', [
  z.strictObject({ t: z.literal('hello'), log: logIdSchema }),
  /** What can be proven to a worker is asked for. One of before passes it over. */
  z.strictObject({ t: z.literal('knows'), log: logIdSchema }),
  z.strictObject({ t: z.literal('taken'), token }),
  z.strictObject({ t: z.literal('refused'), token, error }),
  z.strictObject({ t: z.literal('lock'), token, lock: dsseSchema }),
]);
export type Ack = z.infer<typeof ackSchema>;

/** A report as it is published: its sealed secret, if it has one, lies in the stream of deliveries under the same token. */
export const publishedReportSchema = z.strictObject({ v: z.literal(1), message: reportMessageSchema.extend({ ciphertext: z.null() }), delivery: z.boolean() });

/** The value, or null for what is not strict JSON of this schema: on a bus, anything may come. */
export function readMessage<T>(bytes: Uint8Array, schema: z.ZodType<T>, bytesMax: number): T | null {
  try {
    const parsed = schema.safeParse(parseStrict(bytes, { maxBytes: bytesMax }));
    return parsed.success ? parsed.data : null;
  } catch (problem) {
    if (problem instanceof JsonError) return null;
    throw problem;
  }
}

/** A lock is the largest but for floors: its reason alone may have two thousand bytes, in base64. */
export const SAID_BYTES_MAX = 8_192;
/** Floors that are larger are not told: nothing is known of them then. */
export const KNOWS_BYTES_MAX = 65_536;
