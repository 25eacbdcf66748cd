/**
 * The lines in a role's comment by which what this connector did is found again and told from another role of the same name.
 *
 * A comment, because the account itself may not change it (its settings it may reset), and a line of it, because an operator's own words stay.
 */

/**
 * What was done to a login that was there before: it is not ours, and its mark says what happened to it. `retire` and `disable` are begun,
 * with nobody getting in any more; `retired` and `disabled` are done, sessions included. Only who ended the sessions writes the latter, so
 * that a change that was cut short is told from one that was not, however its sessions may have ended meanwhile.
 */
export type InPlace = 'retire' | 'retired' | 'replace' | 'disable' | 'disabled';

/** The line of a role that this connector made or made to live again; or, with an action, of one that it changed in place. */
export function marker(clientToken: string, inPlace?: InPlace): string {
  return inPlace === undefined ? `countersign ${clientToken}` : `countersign ${inPlace} ${clientToken}`;
}

export function isMarked(comment: string | null, clientToken: string, inPlace?: InPlace): boolean {
  return linesOf(comment).includes(marker(clientToken, inPlace));
}

/** Whether this connector may give the login a new life: it made it or retired it, and has not shut it out for good since. */
export function isRevivable(comment: string | null): boolean {
  const lines = linesOf(comment);
  return lines.some((line) => MADE.test(line) || /^countersign retired? /.test(line)) && !lines.some((line) => /^countersign disabled? /.test(line));
}

/** The comment of a login that has been given to the client token: the operator's own words, and its line. */
export function claimedComment(comment: string | null, clientToken: string): string {
  return [...linesOf(comment).filter((line) => !MADE.test(line) && !DONE.test(line)), marker(clientToken)].join('\n');
}

/** The comment with what was done in place of what was done before. Whose the role is stays: a lease is ended by that. */
export function amendedComment(comment: string | null, clientToken: string, inPlace: InPlace): string {
  return [...linesOf(comment).filter((line) => !DONE.test(line)), marker(clientToken, inPlace)].join('\n');
}

/** Every line of a comment by which something of Countersign is found again; `what` is null for a role that it made. */
export function marksIn(comment: string | null): { readonly clientToken: string; readonly what: InPlace | null }[] {
  return linesOf(comment).flatMap((line) => {
    const match = /^countersign (?:(retired?|replace|disabled?) )?(cs_[0-7][0-9a-hjkmnp-tv-z]{25})$/.exec(line);
    return match === null ? [] : [{ clientToken: match[2]!, what: (match[1] as InPlace | undefined) ?? null }];
  });
}

const MADE = /^countersign cs_[0-7][0-9a-hjkmnp-tv-z]{25}$/;
const DONE = /^countersign (?:retired?|replace|disabled?) cs_[0-7][0-9a-hjkmnp-tv-z]{25}$/;

function linesOf(comment: string | null): string[] {
  return comment === null ? [] : comment.split('\n');
}
