/**
 * Every error that the HTTP surface answers with: one closed table of code → status, and the only place where the two meet (RFC 9457).
 *
 * A code is part of the surface: it is in `docs/surface.md` and never changes its meaning.
 */
import type { StateName } from '../change/state.ts';
import type { Answer } from '../engine/engine.ts';
import type { Decision } from '../protocol/decision.ts';

interface ErrorEntry {
  readonly status: number;
  readonly title: string;
}

export const ERRORS = {
  'malformed-json': { status: 400, title: 'The body is not strict JSON' },
  'malformed-header': { status: 400, title: 'A header is not well-formed' },
  'malformed-query': { status: 400, title: 'The query is not one that this resource knows' },
  'unauthenticated': { status: 401, title: 'A bearer token is required' },
  'token-refused': { status: 401, title: 'A token of an issuer does not hold' },
  'origin-refused': { status: 403, title: 'Requests from web pages are refused' },
  'role-required': { status: 403, title: 'The token lacks a role' },
  'token-not-mapped': { status: 403, title: 'A token that holds stands for nobody here' },
  'acting-for-another': { status: 403, title: 'Not with a token that is used for somebody else' },
  'nhi-cannot-approve': { status: 403, title: 'A machine identity cannot approve' },
  'self-approval': { status: 403, title: 'Who asked cannot approve' },
  'not-an-approver': { status: 403, title: 'Not one of those who are asked' },
  'proof-too-weak': { status: 403, title: 'A stronger proof of the approval is asked for' },
  'approval-refused': { status: 403, title: 'Policy refuses the approval' },
  'break-glass-refused': { status: 403, title: 'The glass is not to be broken for this' },
  'standing-refused': { status: 403, title: 'The standing approval is not taken' },
  'not-requester': { status: 403, title: 'Only who asked may do this' },
  'not-a-consumer': { status: 403, title: 'Only a consumer, who asked, or an owner may confirm' },
  'not-allowed': { status: 403, title: 'Not allowed' },
  'not-found': { status: 404, title: 'No such resource' },
  'no-such-change': { status: 404, title: 'No such change' },
  'no-such-nhi': { status: 404, title: 'No such machine identity' },
  'no-such-lock': { status: 404, title: 'No such lock' },
  'no-such-standing-approval': { status: 404, title: 'No such standing approval' },
  'no-such-proposal': { status: 404, title: 'No such proposal' },
  'no-such-connector': { status: 404, title: 'No such connector' },
  'no-such-object': { status: 404, title: 'No such object' },
  'method-not-allowed': { status: 405, title: 'The resource has no such method' },
  'already-exists': { status: 409, title: 'It exists already' },
  'plan-changed': { status: 409, title: 'The plan is another one now' },
  'already-decided': { status: 409, title: 'Decided already' },
  'approval-out-of-stage': { status: 409, title: 'Others are asked first' },
  'approval-expired': { status: 409, title: 'The time to decide is over' },
  'too-late': { status: 409, title: 'Too late' },
  'not-expected': { status: 409, title: 'Not expected in this state' },
  'not-approved': { status: 409, title: 'Not approved' },
  'stale-decision': { status: 409, title: 'The decision is too old' },
  'nothing-to-revoke': { status: 409, title: 'Nothing to revoke' },
  'held-changed': { status: 409, title: 'What waits is other than was shown' },
  'not-extendable': { status: 409, title: 'What it gave gets no later end' },
  'no-delivery': { status: 409, title: 'Nothing to deliver' },
  'not-erasable': { status: 409, title: 'It is needed, or is no one’s to erase' },
  'erased': { status: 410, title: 'What this needs was erased' },
  'archived': { status: 410, title: 'What this needs is in an archive that cannot be read now' },
  'body-too-large': { status: 413, title: 'The body is too large' },
  'unsupported-media-type': { status: 415, title: 'The body must be application/json' },
  'misdirected': { status: 421, title: 'Not a name of this sidecar' },
  'invalid-request': { status: 422, title: 'The body is not what this resource takes' },
  'proof-invalid': { status: 422, title: 'The signature does not prove this approval' },
  'not-a-reduction': { status: 422, title: 'It is not less of the same' },
  'mixed-targets': { status: 422, title: 'A change touches one connector and target' },
  'lease-needs-executor': { status: 422, title: 'What ends by itself needs an executor, not a caller' },
  'pack-too-large': { status: 422, title: 'More than one evidence pack holds' },
  'idempotency-key-reused': { status: 422, title: 'The Idempotency-Key came with another request' },
  'too-many-open': { status: 429, title: 'Too many open changes' },
  'internal': { status: 500, title: 'Internal error' },
  'not-relayed': { status: 502, title: 'The sidecar of that log takes no verdict from here' },
  'unreachable': { status: 503, title: 'The sidecar of that log cannot be reached' },
  'issuer-unavailable': { status: 503, title: 'The keys of the token’s issuer cannot be had' },
  'not-cosigned': { status: 503, title: 'No quorum of witnesses has cosigned it yet' },
  'not-copied': { status: 503, title: 'The copy of the ledger does not hold it yet' },
  'approval-not-judged': { status: 503, title: 'Policy has not answered whether the approval is accepted' },
  'ledger-unwritable': { status: 503, title: 'The ledger cannot be written, so nothing is given' },
} as const satisfies Record<Extract<Answer, { ok: false }>['code'], ErrorEntry> & Record<string, ErrorEntry>;

export type ErrorCode = keyof typeof ERRORS;
export const ERROR_CODES = Object.keys(ERRORS) as readonly ErrorCode[];

/** `pointer` is an RFC 6901 JSON pointer into the body; empty for the body as a whole. */
export interface FieldError {
  readonly pointer: string;
  readonly detail: string;
}

/** The change as it was when its state said no: what came before it, for whoever came too late. */
export interface RefusedBy {
  readonly state: StateName;
  readonly revision: number;
  readonly lastRecord: number;
}

/** What the caller is told; anything else that is thrown is `internal` to her, and a log line to the operator. */
export class Problem extends Error {
  readonly code: ErrorCode;
  readonly errors: readonly FieldError[];
  readonly headers: Readonly<Record<string, string>>;
  readonly reasons: Decision['reasons'];
  readonly change: RefusedBy | null;
  constructor(code: ErrorCode, detail: string, more: { errors?: readonly FieldError[]; reasons?: Decision['reasons']; change?: RefusedBy; headers?: Record<string, string>; cause?: unknown } = {}) {
    super(detail, more.cause === undefined ? undefined : { cause: more.cause });
    this.name = 'Problem';
    this.code = code;
    this.errors = more.errors ?? [];
    this.headers = more.headers ?? {};
    this.reasons = more.reasons ?? [];
    this.change = more.change ?? null;
  }
}

/** The problem document, its `type` a stable URL. @see RFC 9457 §3 */
export function problemBody(problem: Problem, instance: string): ProblemBody {
  const { status, title } = ERRORS[problem.code];
  return {
    type: `https://countersign.dev/errors/${problem.code}`, title, status, detail: problem.message, instance, code: problem.code,
    ...(problem.errors.length === 0 ? {} : { errors: problem.errors }),
    ...(problem.reasons.length === 0 ? {} : { reasons: problem.reasons }),
    ...(problem.change === null || status !== 409 ? {} : { change: problem.change }),
  };
}

export interface ProblemBody {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  readonly instance: string;
  readonly code: ErrorCode;
  readonly errors?: readonly FieldError[];
  /** Policy's, where it is policy that refuses. */
  readonly reasons?: Decision['reasons'];
  /** Of a 409, where it is a change that says no. */
  readonly change?: RefusedBy;
}
