/**
 * How often was given and asked for before a change, counted once more from the records: what policy was told of it (`recent`) is held to that.
 *
 * A question was asked some time before its record, and other changes go on meanwhile: what was authorised, or came to nothing, in between may have counted or not. What is
 * older than a day by then may have been forgotten. So a count is held to a range, which is one number where nothing of that was going on.
 */
import { COUNTED_MAX, type RecentChanges } from '../change/recent.ts';
import type { ChangeEvent } from '../change/events.ts';
import type { ChangeState } from '../change/state.ts';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
/** A question waits for its answer at most eleven seconds. */
const UNDER_WAY_MS = 60_000;
/** A clock that is set forward while policy is asked makes that look longer; no more than this is believed. */
const SPREAD_MS = HOUR_MS;
const KEPT_MS = 2 * DAY_MS;
/** Of all together: of more nothing is said, so that a ledger from an attacker takes no more memory. */
const ENTRIES_MAX = 400_000;

const GAINS: ReadonlySet<string> = new Set(['provision', 'grant', 'extend', 'rotate']);
const MAKES: ReadonlySet<string> = new Set(['provision', 'rotate']);
const ENDS: ReadonlySet<ChangeEvent['type']> = new Set(['approval.rejected', 'change.expired', 'change.withdrawn'] as const);

interface Entry {
  readonly seq: number;
  /** When its change was asked for. */
  readonly atMs: number;
  readonly makes: boolean;
  /** When it began to count. */
  readonly addedAtMs: number;
  /** When its change came to nothing. */
  removedAtMs: number | null;
}

/** The question, by its record. `firstSeq`: of the change's first record. */
export interface CountedQuestion {
  readonly firstSeq: number;
  readonly change: Pick<ChangeState, 'request' | 'requestedAtMs' | 'requester'>;
  readonly nowMs: number;
  readonly recordedAtMs: number;
  /** The time of a record that there was when it was asked. */
  readonly afterMs: number;
}

export interface CountedAgain {
  /** Takes the next event of this log. `firstSeq`: of its change's first record; null where it is this one. */
  take(event: ChangeEvent, before: ChangeState | null, firstSeq: number | null): void;
  /** Something is counted from here on that was not told here. */
  giveUp(): void;
  /** Whether all that was asked about so far could be counted. */
  readonly isWhole: boolean;
  /** Which count is none that the records lead to, and what they lead to; null where all of them may be. */
  differing(given: RecentChanges, question: CountedQuestion): string | null;
}

/** @param entriesMax of all together */
export function openCountedAgain(entriesMax = ENTRIES_MAX): CountedAgain {
  const entriesOf = new Map<string, Entry[]>();
  let total = 0;
  let isWhole = true;

  const giveUp = (): void => {
    isWhole = false;
    total = 0;
    entriesOf.clear();
  };
  const forget = (atMs: number): void => {
    for (const [key, entries] of entriesOf) {
      const kept = entries.filter((one) => one.atMs > atMs - KEPT_MS);
      total -= entries.length - kept.length;
      if (kept.length === 0) entriesOf.delete(key);
      else entriesOf.set(key, kept);
    }
  };
  const add = (key: string, entry: Entry): void => {
    const entries = entriesOf.get(key) ?? [];
    entriesOf.set(key, entries);
    entries.push(entry);
    total += 1;
    // The oldest: from then on nothing is said of this one.
    if (entries.length > COUNTED_MAX) {
      entries.shift();
      total -= 1;
    }
    if (total > entriesMax) forget(entry.addedAtMs);
    if (total > entriesMax) giveUp();
  };

  return {
    giveUp,
    get isWhole() {
      return isWhole;
    },
    take(event, before, firstSeq) {
      if (!isWhole) return;
      const { atMs: addedAtMs } = event;
      if (event.type === 'change.requested') {
        const { request: { kind }, requester } = event.body;
        const entry = { seq: event.seq, atMs: addedAtMs, makes: MAKES.has(kind), addedAtMs };
        if (GAINS.has(kind)) for (const one of new Set(requester)) add(`requester ${one}`, { ...entry, removedAtMs: null });
        return;
      }
      if (before === null || firstSeq === null || before.firstActAtMs !== null || !GAINS.has(before.request.kind)) return;
      const { request: { kind, subject }, requestedAtMs: atMs, requester } = before;
      if (event.type === 'step.authorised' && event.body.kind === 'act') add(`subject ${subject}`, { seq: firstSeq, atMs, makes: MAKES.has(kind), addedAtMs, removedAtMs: null });
      if (event.type === 'approval.rejected' && event.body.outcome === 'open') return;
      if (!ENDS.has(event.type) && !(event.type === 'policy.decided' && event.body.decision.effect === 'deny')) return;
      for (const one of new Set(requester)) {
        const entry = entriesOf.get(`requester ${one}`)?.findLast(({ seq }) => seq === firstSeq);
        if (entry !== undefined) entry.removedAtMs ??= addedAtMs;
      }
    },
    differing(given, { change: { request: { subject }, requestedAtMs, requester }, firstSeq, afterMs, nowMs, recordedAtMs }) {
      if (!isWhole) return null;
      // What was recorded before this was recorded when policy was asked.
      const sinceMs = Math.max(afterMs, Math.min(nowMs, recordedAtMs - UNDER_WAY_MS), recordedAtMs - SPREAD_MS);
      // What was asked for before it was on record when it was asked for itself.
      const rangeOf = (key: string, spanMs: number, { isAsked = false, makes = false } = {}): Range => {
        const entries = entriesOf.get(key) ?? [];
        if (entries.length >= COUNTED_MAX) return [0, Infinity];
        const counting = entries.filter((one) => one.seq < firstSeq && one.atMs <= requestedAtMs && one.atMs > requestedAtMs - spanMs && (one.makes || !makes) && (one.removedAtMs === null || one.removedAtMs >= sinceMs));
        const certain = counting.filter((one) => one.removedAtMs === null && (isAsked || one.addedAtMs < sinceMs) && one.atMs > recordedAtMs - DAY_MS);
        // Of what is older than all that is kept, more may have been counted.
        return [certain.length, requestedAtMs - spanMs < recordedAtMs - KEPT_MS ? Infinity : counting.length];
      };
      const most = (spanMs: number): Range => requester.map((one) => rangeOf(`requester ${one}`, spanMs, { isAsked: true })).reduce(([least, top], [from, to]) => [Math.max(least, from), Math.max(top, to)], [0, 0]);
      const ofSubject = `subject ${subject}`;
      const counts: readonly [string, number, Range][] = [
        ['subject.hour', given.subject.hour, rangeOf(ofSubject, HOUR_MS)], ['subject.day', given.subject.day, rangeOf(ofSubject, DAY_MS)],
        ['requester.hour', given.requester.hour, most(HOUR_MS)], ['requester.day', given.requester.day, most(DAY_MS)],
        ['newCredentials.day', given.newCredentials.day, rangeOf(ofSubject, DAY_MS, { makes: true })],
      ];
      const wrong = counts.find(([, told, [from, to]]) => told < from || told > to);
      if (wrong === undefined) return null;
      const [name, told, [from, to]] = wrong;
      return `policy was told of ${told} as recent.${name}, where the records have ${from === to ? from : `${from} to ${to}`}`;
    },
  };
}

/** The least and the greatest that a count may be. */
type Range = readonly [number, number];
