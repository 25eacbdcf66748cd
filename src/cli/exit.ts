/** Exit codes and what the terminal is told when a command cannot do its work: what happened, what that means, what to type next. */

export const EXIT = {
  /** Done, or every required check holds. */
  ok: 0,
  /** Denied, rejected, or a check failed. */
  failed: 1,
  usage: 2,
  /** It could not be established: no trust, nothing there, incomplete. */
  notEstablished: 3,
  /** A file or a remote end did not do its part. */
  io: 4,
  /** Still waiting for somebody. */
  pending: 5,
  /** What a shell says of a command that may not be run, and of one that is not there. */
  mayNotRun: 126,
  noSuchCommand: 127,
} as const;
export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

export interface Trouble {
  /** What happened, in words of the command's. */
  readonly cause: string;
  /** What has, or has not, happened because of it. */
  readonly effect?: string;
  /** What to type or do next. */
  readonly next?: string;
}

/** Ends a command with `exit` and says why. */
export class CliError extends Error {
  readonly exit: ExitCode;
  readonly code: string;
  readonly trouble: Trouble;
  constructor(exit: ExitCode, code: string, trouble: Trouble, options?: ErrorOptions) {
    super(trouble.cause, options);
    this.name = 'CliError';
    this.exit = exit;
    this.code = code;
    this.trouble = trouble;
  }
}
