/**
 * What is where on the bus. Subjects are routing, never authority: whatever comes is believed for its signatures alone.
 *
 *     cs.step.<lane>.act.<log>.<token>      CS_STEPS     sidecar ▶ workers     a step, to be taken up
 *     cs.step.<lane>.revoke.<log>.<token>   CS_STEPS     sidecar ▶ workers     an order to take back; what a schedule becomes as well
 *     cs.arm.<lane>.<log>.<token>           CS_STEPS     sidecar               an order, scheduled for its `notBefore`
 *     cs.result.<lane>.<log>.<token>        CS_RESULTS   worker ▶ sidecar      a signed report
 *     cs.delivery.<lane>.<log>.<token>      CS_DELIVERY  worker ▶ sidecar      a sealed secret, for a while
 *     cs.claim.<lane>.<leaseId>             CS_CLAIMS    worker ▶ workers      which of them acts under a lease
 *     cs.ledger.<log>                       CS_LEDGER    sidecar               its records, page after page
 *     cs.ledger.<log>.object.<digest>.<n>   CS_LEDGER    sidecar               an object that one of them names, in parts
 *     cs.lock.<authority>.<lockId>          CS_LOCKS     sidecar ▶ sidecars    a lock that stands, or its end; the authority is a log, or `revoker`
 *     cs.event.<log>.<event>                CS_EVENTS    sidecar ▶ anybody     what happens, as a CloudEvent
 *     cs.verdict.<log>                      core         sidecar ▶ sidecar     a person's verdict on a change of that log, relayed
 *     cs.api.<log>.recipient                core         console ▶ sidecar     to whom calls of its API are sealed
 *     cs.api.<log>.call                     core         console ▶ sidecar     a sealed call; its answer comes sealed, in parts
 *     cs.say.<lane>.<log>                   core         worker ▶ sidecar      an answer; under `all`, to every sidecar, that it is there, and locks
 *     cs.ack.<lane>.<log>                   core         sidecar ▶ workers     what became of a report; a lock that is set or lifted
 *
 * A lane is an executor: an account of its own on the server, so that no worker of another reaches it (a shared account lets one disarm
 * what another is to revoke, by the reply subject of a publish). Tokens of what is sent to workers are derived by HMAC from a key of the
 * sidecar's: they cannot be guessed from an id, and are written down nowhere.
 */
import { createHash, createHmac } from 'node:crypto';
import type { Signer } from '../../../ledger/index.ts';

export const STREAMS = { steps: 'CS_STEPS', results: 'CS_RESULTS', deliveries: 'CS_DELIVERY', claims: 'CS_CLAIMS', ledger: 'CS_LEDGER', locks: 'CS_LOCKS', events: 'CS_EVENTS' } as const;

/** The header that says in which trace a step or an order was sent. @see https://www.w3.org/TR/trace-context/ */
export const TRACEPARENT = 'traceparent';

/** Workers reach JetStream under this name: under the usual one their own account would answer, which has none. */
export const API_PREFIX = 'CSJS.API';

/** Bytes of one message: an envelope, or a report with its states. The server's default would refuse some. */
export const MESSAGE_BYTES_MAX = 2_097_152;
/** The same with its headers, which servers and streams count as well. */
export const WIRE_BYTES_MAX = MESSAGE_BYTES_MAX + 4_096;

/** Bytes of a sealed call: its body in base64, and its headers. */
export const API_CALL_BYTES_MAX = 131_072;
/** Bytes of an answer's body. It comes in messages far smaller than this, but all of it may be held for who reads slowly. */
export const API_ANSWER_BYTES_MAX = 16_777_216;
/** Header of a message that is no part of an answer: why there is none. */
export const API_REFUSED = 'Countersign-Refused';

/** Inboxes of the console with this nkey (`U…`) are below it, and no other hears them. What comes there is sealed, to one call. */
export const consoleInboxOf = (key: string): string => `_INBOX_console.${key}`;

/** `wrong last sequence`: what was published was to follow on another message of its subject than is there, or on none. */
export const NOT_THE_LAST = 10_071;

/** How often a worker says that it is there. */
export const BEAT_MS = 2_000;

/** The subject token of an executor. Injective: `=` is in no id. */
export function laneOf(executorId: string): string {
  return executorId.slice('executor:'.length).replaceAll('.', '=2e');
}

export function executorOf(lane: string): string {
  return `executor:${lane.replaceAll('=2e', '.')}`;
}

export const act = (lane: string, log: string, token: string): string => `cs.step.${lane}.act.${log}.${token}`;
export const revoke = (lane: string, log: string, token: string): string => `cs.step.${lane}.revoke.${log}.${token}`;
export const arm = (lane: string, log: string, token: string): string => `cs.arm.${lane}.${log}.${token}`;
export const result = (lane: string, log: string, token: string): string => `cs.result.${lane}.${log}.${token}`;
export const delivery = (lane: string, log: string, token: string): string => `cs.delivery.${lane}.${log}.${token}`;
export const claim = (lane: string, leaseId: string): string => `cs.claim.${lane}.${leaseId}`;
/** @param authority a log id, or `revoker` */
export const lock = (authority: string, lockId: string): string => `cs.lock.${authority}.${lockId}`;
/** @param type such as `approval.requested`, which is two tokens */
export const event = (log: string, type: string): string => `cs.event.${log}.${type}`;
export const verdict = (log: string): string => `cs.verdict.${log}`;
export const apiRecipient = (log: string): string => `cs.api.${log}.recipient`;
export const apiCalls = (log: string): string => `cs.api.${log}.call`;
export const say = (lane: string, log: string): string => `cs.say.${lane}.${log}`;
export const ack = (lane: string, log: string): string => `cs.ack.${lane}.${log}`;

export const pages = (log: string): string => `cs.ledger.${log}`;
/** @param digest `sha256:<hex>` */
export const objectPart = (log: string, digest: string, part: number): string => `cs.ledger.${log}.object.${digest.slice('sha256:'.length)}.${part}`;

/** Under this instead of a log, a worker speaks to every sidecar. */
export const EVERY_LOG = 'all';

/** The durable consumers of a lane: apart, so that steps that wait never delay a revoke. */
export const consumerOf = (lane: string, kind: 'act' | 'revoke'): string => `${lane}-${kind}`;
export const resultsConsumerOf = (log: string): string => `results-${log}`;

/** Says what may be put into a subject for an id, a digest or anything else: 128 bits, by a key that only this sidecar has. */
export type Tokens = (...parts: readonly (string | number)[]) => string;

/** Signed by nothing else: what is signed for other ends is a note or a DSSE envelope, and neither begins so. */
const SUBJECT_KEY_OF = 'countersign bus subjects, v1';

/** The same sidecar makes the same tokens after a restart: its key is derived from its ticket key (an Ed25519 signature is deterministic). */
export function subjectTokens(ticketSigner: Pick<Signer, 'sign'>): Tokens {
  const key = createHash('sha256').update(ticketSigner.sign(Buffer.from(SUBJECT_KEY_OF))).digest();
  return (...parts) => createHmac('sha256', key).update(JSON.stringify(parts)).digest('hex').slice(0, 32);
}
