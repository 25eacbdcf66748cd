/** What comes of a command: events, or why it may not be. A rejection is an outcome, not an error: nothing has happened. */
import type { Decision } from '../protocol/decision.ts';
import type { NewEvent } from './events.ts';

export const REJECTIONS = [
  'no-such-change', 'already-exists', 'already-decided', 'plan-changed', 'self-approval', 'not-an-approver', 'approval-expired', 'approval-out-of-stage', 'approval-refused', 'not-requester',
  'proof-too-weak', 'proof-invalid', 'not-a-reduction', 'break-glass-refused', 'too-late', 'not-expected', 'not-approved', 'stale-decision', 'nothing-to-revoke', 'no-delivery',
] as const;
export type RejectionCode = (typeof REJECTIONS)[number];

export type Decided =
  | { readonly ok: true; readonly events: readonly NewEvent[] }
  /** `reasons`: policy's, where it is policy that says no. */
  | { readonly ok: false; readonly code: RejectionCode; readonly message: string; readonly reasons?: Decision['reasons'] };

export const no = (code: RejectionCode, message: string, reasons?: Decision['reasons']): Decided => ({ ok: false, code, message, ...(reasons === undefined ? {} : { reasons }) });
export const yes = (...events: NewEvent[]): Decided => ({ ok: true, events });
/** Already so: the same command again. Nothing is added. */
export const ALREADY: Decided = { ok: true, events: [] };
