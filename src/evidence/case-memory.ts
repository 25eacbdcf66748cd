/**
 * What is remembered of changes that are closed, for offboardings that are open: those that one lists or that are part of one; and all that close while
 * there is one whose list is not known yet. What is done for a change or a case does not grow with how many others there are.
 */

/** A change that is part of `parent`, or of nothing. */
interface Part {
  readonly parent: string | null;
}

export interface CaseMemory<T extends Part> {
  /** A change is closed, as it is now. It is remembered only if it may be asked for. */
  closed(changeId: string, known: T): void;
  find(changeId: string): T | null;
  /** The changes that an open case lists; null while that is not known. */
  opened(caseId: string, listed: ReadonlySet<string> | null): void;
  ended(caseId: string): void;
}

export function openCaseMemory<T extends Part>(): CaseMemory<T> {
  const cases = new Map<string, ReadonlySet<string> | null>();
  /** How many cases list a change. */
  const listings = new Map<string, number>();
  /** How many cases may yet come to list any. */
  let undecided = 0;
  const named = new Map<string, T>();
  /** Remembered for the undecided alone. */
  const waiting = new Map<string, T>();
  /** Of those remembered, the parts of each case. */
  const parts = new Map<string, Set<string>>();

  const isNamed = (changeId: string, { parent }: T): boolean => listings.has(changeId) || (parent !== null && cases.has(parent));
  const find = (changeId: string): T | null => named.get(changeId) ?? waiting.get(changeId) ?? null;
  const forget = (changeId: string, { parent }: T): void => {
    if (parent === null) return;
    const those = parts.get(parent);
    those?.delete(changeId);
    if (those?.size === 0) parts.delete(parent);
  };
  /** Where it belongs by now. */
  const sort = (changeId: string, known: T): void => {
    named.delete(changeId);
    waiting.delete(changeId);
    if (isNamed(changeId, known)) named.set(changeId, known);
    else if (undecided > 0) waiting.set(changeId, known);
    else forget(changeId, known);
  };
  /** Changes whose standing a case may have changed. */
  const sortAll = (changeIds: Iterable<string>): void => {
    for (const changeId of changeIds) {
      const known = find(changeId);
      if (known !== null) sort(changeId, known);
    }
    if (undecided > 0) return;
    for (const [changeId, known] of waiting) forget(changeId, known);
    waiting.clear();
  };
  const count = (listed: ReadonlySet<string> | null | undefined, by: 1 | -1): readonly string[] => {
    if (listed === null) undecided += by;
    for (const changeId of listed ?? []) {
      const after = (listings.get(changeId) ?? 0) + by;
      if (after === 0) listings.delete(changeId);
      else listings.set(changeId, after);
    }
    return [...(listed ?? [])];
  };

  return {
    find,
    closed(changeId, known) {
      if (!isNamed(changeId, known) && undecided === 0) return;
      if (known.parent !== null) parts.set(known.parent, (parts.get(known.parent) ?? new Set()).add(changeId));
      sort(changeId, known);
    },
    opened(caseId, listed) {
      const before = cases.get(caseId);
      if (before !== undefined && (before === null) === (listed === null)) return;
      cases.set(caseId, listed);
      // Counted before what it listed until now is given up: it may be the same.
      const concerned = [...count(listed, 1), ...count(before, -1), ...(before === undefined ? (parts.get(caseId) ?? []) : [])];
      sortAll(concerned);
    },
    ended(caseId) {
      const before = cases.get(caseId);
      if (before === undefined) return;
      cases.delete(caseId);
      sortAll([...count(before, -1), ...(parts.get(caseId) ?? [])]);
    },
  };
}
