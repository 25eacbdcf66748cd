/** What the client of a guarded route is told where it has no access. */
import { AccessError, type AccessErrorCode } from '../access-error.ts';
import { ClientError } from '../errors.ts';

export interface Refusal {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  /** A problem document (RFC 9457). */
  readonly body: object;
}

/** When to come again, in seconds. */
const RETRY_AFTER = '30';

/** 403: somebody, or policy, said no. 503: nobody has said anything yet, and what was asked for is withdrawn: it would be asked for again. 502: it was not to be made. */
const BY_CODE: Readonly<Record<AccessErrorCode, readonly [status: number, detail: string]>> = {
  'denied': [403, 'policy denies the access that this needs'],
  'rejected': [403, 'an approver has rejected the access that this needs'],
  'withdrawn': [403, 'the access that this needs was withdrawn'],
  'revoked': [403, 'the access that this needs was taken back'],
  'still-pending': [503, 'the access that this needs was not given in time'],
  'expired': [503, 'nobody has decided on the access that this needs'],
  'aborted': [503, 'the request was given up'],
  'failed': [502, 'the access that this needs could not be given'],
  'refused': [502, 'the access that this needs could not be given'],
  'not-claimed': [502, 'the access that this needs could not be given'],
  'not-reported': [502, 'the access that this needs could not be given'],
  'not-released': [502, 'the access that this needs could not be given'],
};

/** null: it is not about access, and the framework's own. A sidecar that cannot be asked is 503; one that says that the question is wrong is a mistake of ours. */
export function refusalOf(error: unknown): Refusal | null {
  if (error instanceof AccessError) {
    const [status, detail] = BY_CODE[error.code];
    return refusal(status, error.code, detail, { change: error.change.id, reasons: error.reasons });
  }
  if (!(error instanceof ClientError)) return null;
  const isPassing = error.status === null ? error.code !== 'unexpected-answer' : error.status === 429 || error.status >= 500;
  return isPassing ? refusal(503, 'unavailable', 'nobody can be asked for the access that this needs', {}) : null;
}

/** What the framework is told where it is not about access: not the sidecar's error itself, whose `status` frameworks would answer with. */
export function mistakeOf(error: unknown): unknown {
  return error instanceof ClientError ? new Error(`the change of this route cannot be asked for: ${error.code}`, { cause: error }) : error;
}

function refusal(status: number, code: string, detail: string, more: object): Refusal {
  return {
    status, headers: { 'content-type': 'application/problem+json', 'cache-control': 'no-store', ...(status === 503 ? { 'retry-after': RETRY_AFTER } : {}) },
    body: { type: `https://countersign.dev/errors/${code}`, title: status === 403 ? 'No access' : 'No access now', status, detail, code, ...more },
  };
}
