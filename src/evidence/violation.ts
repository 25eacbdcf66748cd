/** What can be wrong with the workflow that a ledger tells, each under a stable code. The names are part of `verify --json`. */

export const VIOLATIONS = [
  // The record itself.
  'malformed-record', 'wrong-order', 'wrong-actor', 'wrong-log', 'record-after-end', 'disclosure-mismatch',
  // What was decided, and on what plan.
  'plan-missing', 'plan-digest-mismatch', 'plan-not-requested', 'requirement-shrunk', 'not-decided', 'stale-decision', 'exception-unapproved', 'exception-ungranted', 'observe-unfounded', 'activation-unapproved', 'bundle-mismatch',
  // Who approved.
  'approval-signature', 'approval-mismatch', 'approval-expired', 'approval-out-of-stage', 'rejection-mismatch', 'self-approval', 'not-an-approver', 'approvals-insufficient', 'below-floor', 'escalation-mismatch', 'acceptance-mismatch', 'reduction-mismatch',
  // What was approved beforehand.
  'standing-signature', 'standing-mismatch', 'standing-not-allowed', 'standing-not-in-force', 'standing-widened', 'standing-overused',
  // What was given without them.
  'break-glass-signature', 'break-glass-mismatch', 'break-glass-not-allowed', 'review-overdue', 'own-review', 'review-signature', 'review-mismatch', 'rotation-overdue', 'rotation-mismatch',
  // What was authorised.
  'ticket-signature', 'ticket-mismatch', 'lease-mismatch', 'order-signature', 'order-mismatch', 'extension-mismatch',
  // When, and in which order.
  'step-order', 'cutover-early', 'retired-early', 'outside-window', 'window-mismatch', 'frozen', 'locked', 'lock-signature', 'target-taken',
  // What was carried over from an earlier log.
  'adoption-mismatch', 'adoption-incomplete', 'adopted-late', 'gained-after-adoption',
  // What is one part of something larger.
  'parent-mismatch', 'item-mismatch', 'item-not-gone', 'item-missing', 'notice-mismatch',
  // What executors did.
  'unknown-executor', 'executor-not-entitled', 'report-signature', 'report-mismatch', 'not-authorised', 'effect-before-evidence', 'not-armed',
  'second-effect', 'not-claimed', 'seal-mismatch', 'state-missing', 'state-mismatch', 'not-verified',
  // What was taken back.
  'redecision-mismatch', 'not-extended', 'disarmed-early', 'ended-late', 'lease-overdue', 'not-undone', 'undone-in-use', 'undone-after-cutover',
] as const;
export type ViolationCode = (typeof VIOLATIONS)[number];

export interface Violation {
  readonly code: ViolationCode;
  /** Index of the record that breaks the rule; for a lease that is overdue, of the record that authorised it. */
  readonly seq: number;
  readonly changeId: string | null;
  /** One sentence, without the record's number. */
  readonly message: string;
}

/** What a single check finds: the caller knows the record. */
export interface Fault {
  readonly code: ViolationCode;
  readonly message: string;
}

export function fault(code: ViolationCode, message: string): Fault {
  return { code, message };
}
