/** The operating errors of a ledger: a closed set of codes, with the record concerned where one is known. */

/**
 * - `unwritable`: the writer met a write or sync error (or was closed) and is poisoned; reopen to go on. Nothing later was sequenced.
 * - `locked`: another process holds the ledger; nothing was read or changed.
 * - `corrupt`: bytes that were once durable are no longer what was signed or chained; nothing was cut or repaired.
 * - `rolled-back`: the journal ends before the last signed checkpoint; nothing was cut.
 * - `copied`: the writer's files are a copy, or in another place than they were; nothing was changed. Going on is for `countersign restore --moved`.
 * - `full`: there is no room but for what takes back, or none at all; nothing was sequenced. It goes on by itself once there is.
 * - `forked`: two heads of one log, neither of which extends the other; nothing was changed.
 * - `too-large`: a record, an object or a group is over its limit; nothing was sequenced.
 * - `malformed`: a draft, note, proof or policy is not in its one allowed form.
 * - `missing-object`: a draft names an object that is neither given nor stored; nothing was sequenced.
 * - `not-found`: no such entry, object or size.
 * - `archived`: what was asked for was moved to an archive that cannot be reached now; nothing was changed.
 * - `untrusted`: a checkpoint or proof is well formed, but not signed as the trust policy demands.
 * - `invalid-proof`: hashes do not prove what they are said to.
 */
export const LEDGER_ERROR_CODES = [
  'unwritable', 'locked', 'corrupt', 'rolled-back', 'copied', 'full', 'forked', 'too-large', 'malformed', 'missing-object', 'not-found', 'archived', 'untrusted', 'invalid-proof',
] as const;
export type LedgerErrorCode = (typeof LEDGER_ERROR_CODES)[number];

export class LedgerError extends Error {
  readonly code: LedgerErrorCode;
  /** The record concerned, where one is known. */
  readonly seq: number | undefined;

  constructor(code: LedgerErrorCode, message: string, options: { seq?: number; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'LedgerError';
    this.code = code;
    this.seq = options.seq;
  }
}
