/** What a client's call rejects with. */
import type { ErrorCode, FieldError } from '../sidecar/errors.ts';

/**
 * A code of the server's (see `docs/surface.md`), or one of the client's own: `unreachable` (nothing was sent, or it is not known to
 * have arrived), `timed-out` and `aborted` (it may have arrived: ask again with the same Idempotency-Key), `unexpected-answer` (not this API's answer).
 */
export type ClientErrorCode = ErrorCode | 'unreachable' | 'timed-out' | 'aborted' | 'unexpected-answer';

export class ClientError extends Error {
  readonly code: ClientErrorCode;
  /** null where there was no answer. */
  readonly status: number | null;
  /** Which fields were wrong, by JSON pointer. */
  readonly errors: readonly FieldError[];
  /** The parsed answer, where there was one. */
  readonly body: unknown;
  constructor(code: ClientErrorCode, message: string, more: { status?: number; errors?: readonly FieldError[]; body?: unknown; cause?: unknown } = {}) {
    super(message, more.cause === undefined ? undefined : { cause: more.cause });
    this.name = 'ClientError';
    this.code = code;
    this.status = more.status ?? null;
    this.errors = more.errors ?? [];
    this.body = more.body ?? null;
  }
}
