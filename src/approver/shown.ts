/** What there is to decide on, as it is shown, and what a verdict on it does. */
export type Verdict = 'approve' | 'reject';

export interface Shown {
  readonly what: 'plan' | 'policy' | 'glass';
  readonly lines: readonly string[];
  /** Computed here; null where there is none to compute. */
  readonly digest: string | null;
  /** What of it has not been looked at here; null where all of it has. */
  readonly unchecked: string | null;
  /** Why it is not to be decided on, and whether something is wrong with it; null where it is. */
  readonly closed: { readonly how: 'bad' | 'open'; readonly why: string } | null;
  /** What the two buttons say; left out: to approve and to reject. Where they are given, both verdicts say why. */
  readonly words?: Readonly<Record<Verdict, string>>;
  /** The verdict is with the sidecar. What became of it, in a sentence. @throws Error; where it says so, nothing was signed */
  decide(verdict: Verdict, comment: string): Promise<string>;
}
