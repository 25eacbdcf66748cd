/** What verification says: one line a question, and what it did not answer. */

/** `notEstablished`: neither shown nor refuted, and `message` says what was lacking. */
export type VerdictStatus = 'holds' | 'fails' | 'notEstablished';

export interface Verdict {
  readonly name: string;
  readonly status: VerdictStatus;
  readonly message: string;
  /** The record concerned, or the nearest to what is. */
  readonly seq?: number;
}

export const REQUIRED_BY_DEFAULT: readonly string[] = ['INTEGRITY', 'SIGNATURE', 'COMPLETENESS', 'WORKFLOW'];

/** 0: all that is required holds; 1: one of it fails; 3: none fails, and one could not be established. */
export function exitCodeOf(verdicts: readonly Verdict[], required: readonly string[] = REQUIRED_BY_DEFAULT): 0 | 1 | 3 {
  const asked = required.map((name) => verdicts.find((verdict) => verdict.name === name)?.status ?? 'notEstablished');
  if (asked.includes('fails')) return 1;
  return asked.includes('notEstablished') ? 3 : 0;
}

/** Thrown inside verification to end a check at its first fault; never leaves the module. */
export class Finding extends Error {
  readonly verdict: string;
  readonly seq: number | undefined;

  constructor(verdict: 'INTEGRITY' | 'COMPLETENESS', message: string, seq?: number) {
    super(message);
    this.name = 'Finding';
    this.verdict = verdict;
    this.seq = seq;
  }
}
