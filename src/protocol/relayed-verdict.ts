/**
 * A person's verdict on a plan of another log, relayed by the sidecar that authenticated her. It approves nothing by itself: the log that owns
 * the change lets a few other logs' sidecars say who has decided, and records what it makes of it as an approval of its own.
 */
import { z } from 'zod';
import { commitmentSchema, commitmentTo, disclosureSchema, type Disclosure } from './disclosure.ts';
import { openDsse, readPayload } from './dsse.ts';
import { ProtocolError } from './errors.ts';
import { dsseSchema, type Dsse, type Refusal } from './signed.ts';
import type { Trust } from './trust-folder.ts';
import { changeIdSchema, digestSchema, logIdSchema, parseTime, personIdSchema, timeSchema } from './values.ts';

/** Unlike that of any other document: what a sidecar signs for its own log is not to be taken for a verdict on another's. */
export const RELAYED_VERDICT_TYPE = 'application/vnd.countersign.relayed-verdict+json';
/** Longest that one may be good for. */
export const RELAYED_MS_MAX = 300_000;

export const relayedVerdictSchema = z.strictObject({
  v: z.literal(2),
  /** Whose change it is. */
  log: logIdSchema,
  changeId: changeIdSchema,
  /** The plan that was seen; it says which revision. */
  planDigest: digestSchema,
  verdict: z.enum(['approve', 'reject']),
  approver: personIdSchema,
  /** To what she wrote, which comes beside the verdict: that is recorded as it is signed, and what is signed cannot be erased. */
  comment: commitmentSchema.nullable(),
  /** The log whose sidecar has authenticated her. */
  relayedBy: logIdSchema,
  notBefore: timeSchema,
  notAfter: timeSchema,
});
export type RelayedVerdict = z.infer<typeof relayedVerdictSchema>;

/** A verdict on its way. */
export const relayedMessageSchema = z.strictObject({ v: z.literal(1), verdict: dsseSchema, disclosure: disclosureSchema.nullable() });
export type RelayedMessage = z.infer<typeof relayedMessageSchema>;

export interface RelayContext {
  readonly trust: Trust;
  /** This log. */
  readonly log: string;
  /** Logs whose sidecars may say who has decided. */
  readonly relays: ReadonlySet<string>;
  readonly nowMs: number;
}

export interface OpenedVerdict {
  readonly envelope: Dsse;
  readonly content: RelayedVerdict;
  /** What she wrote. */
  readonly comment: Disclosure | null;
}

/**
 * The verdict, once a sidecar that may relay has signed it for this log, and while it is good. Pure.
 *
 * @throws ProtocolError `malformed` (also where what she wrote is not what is signed), `unknown-sidecar`, `bad-signature`, `wrong-audience` (another log's) or `outside-window`; nothing was believed
 */
export function openRelayedVerdict(message: unknown, { trust, log, relays, nowMs }: RelayContext): OpenedVerdict {
  const parsed = relayedMessageSchema.safeParse(message);
  if (!parsed.success) return refuse('malformed', 'not a relayed verdict');
  const { verdict: envelope, disclosure: comment } = parsed.data;
  const { relayedBy } = readPayload(envelope, relayedVerdictSchema);
  if (!relays.has(relayedBy)) refuse('unknown-sidecar', `the sidecar of log ${relayedBy} may not relay`);
  const content = openDsse(envelope, RELAYED_VERDICT_TYPE, relayedVerdictSchema, trust.sidecars.get(relayedBy) ?? []);
  const isDisclosed = comment === null ? content.comment === null : comment.name === 'comment' && commitmentTo(comment).commitment === content.comment?.commitment;
  if (!isDisclosed) refuse('malformed', 'what is beside the verdict is not what it commits to');
  if (content.log !== log || !content.changeId.startsWith(`chg_${log}_`)) refuse('wrong-audience', `a verdict on a change of log ${content.log}`);
  const [fromMs, untilMs] = [parseTime(content.notBefore), parseTime(content.notAfter)];
  const { clockSkewMs } = trust.requirements;
  const isGood = untilMs - fromMs <= RELAYED_MS_MAX && nowMs >= fromMs - clockSkewMs && nowMs < untilMs + clockSkewMs;
  if (!isGood) refuse('outside-window', `good from ${content.notBefore} to ${content.notAfter}, and for ${RELAYED_MS_MAX / 1000} s at most`);
  return { envelope, content, comment };
}

function refuse(code: Refusal, message: string): never {
  throw new ProtocolError(code, message);
}
