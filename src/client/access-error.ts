/** What {@link withAccess} rejects with where it is not the caller's own code that failed. */
import type { ChangeView } from '../sidecar/schemas.ts';

/**
 * - `denied`, `rejected`, `expired`, `withdrawn`, `revoked`, `failed`: what became of the change; its code never ran
 * - `still-pending`: not decided, or not its time, when the wait was over; it was withdrawn and its code never ran
 * - `aborted`: the caller gave up; the same
 * - `refused`: the ticket does not prove what the caller's trust folder asks for; its code never ran
 * - `not-claimed`: the claim could not be made durable, or came too late; its code never ran
 * - `not-reported`: its code ran, and the sidecar could not be told what became of it
 * - `not-released`: its code ran, and the access could not be given back: it ends by itself, with its lease
 */
export type AccessErrorCode =
  | 'denied' | 'rejected' | 'expired' | 'withdrawn' | 'revoked' | 'failed' | 'still-pending' | 'aborted' | 'refused' | 'not-claimed' | 'not-reported' | 'not-released';

export class AccessError extends Error {
  readonly code: AccessErrorCode;
  /** The change as it was seen last. */
  readonly change: ChangeView;
  /** Why, in the words of policy, of whoever rejected it, or of the check that failed: stable codes first. */
  readonly reasons: readonly { readonly code: string; readonly message: string }[];
  /** Whether the caller's code was called. */
  readonly ran: boolean;
  constructor(
    code: AccessErrorCode, message: string, change: ChangeView, more: { reasons?: readonly { code: string; message: string }[]; ran?: boolean; cause?: unknown } = {},
  ) {
    super(message, more.cause === undefined ? undefined : { cause: more.cause });
    this.name = 'AccessError';
    this.code = code;
    this.change = change;
    this.reasons = more.reasons ?? [];
    this.ran = more.ran ?? false;
  }
}

/**
 * Thrown by the caller's code to say what is to be reported. Anything else that it throws is reported as `failed`, code `threw`, without a
 * word of its message: that may hold a secret.
 */
export class WorkError extends Error {
  /** `failed`: the change was not made. `ambiguous`: nobody knows; somebody is told to look. */
  readonly outcome: 'failed' | 'ambiguous';
  /** Recorded: `exit-3`, at most 64 plain characters. */
  readonly code: string;
  constructor(outcome: 'failed' | 'ambiguous', code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'WorkError';
    this.outcome = outcome;
    this.code = code;
  }
}
