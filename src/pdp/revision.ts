/**
 * What is newer: a revision begins with a whole number, and may go on after `-`, `+` or `.` with whatever its builder wants (`17`, `17-3fa2c1b`).
 * The number is what counts.
 */

/** null where it begins with none, so that nobody can tell. */
export function revisionNumber(revision: string): number | null {
  const digits = /^(0|[1-9][0-9]{0,14})(?:[-+.]|$)/.exec(revision)?.[1];
  return digits === undefined ? null : Number(digits);
}

export interface Revised {
  readonly revision: string;
  /** Digest of the bundle; null where none is in force, whatever was before. */
  readonly bundle: string | null;
}

/** Why `next` may not come into force after `last`, in a phrase; null where it may. One revision is one bundle. */
export function notForward(last: Revised | null, next: { readonly revision: string; readonly bundle: string }): string | null {
  const number = revisionNumber(next.revision);
  if (number === null) return `revision ${JSON.stringify(next.revision)} begins with no number, so that nobody can tell whether it is newer`;
  const before = last === null ? null : revisionNumber(last.revision);
  if (last === null || before === null || number > before) return null;
  if (number < before) return `revision ${next.revision} is behind ${last.revision}`;
  return last.bundle === null || last.bundle === next.bundle ? null : `revision ${next.revision} is another bundle than ${last.revision} was`;
}
