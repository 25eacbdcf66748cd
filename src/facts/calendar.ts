/** When maintenance windows open and freezes hold. Pure: equal arguments give equal answers, whatever was asked before. */
import { parseCron, type CronTimes } from './cron.ts';
import { formatLocalDate, instantsOf, localTimeAt, parseLocalTime } from './local-time.ts';
import type { CalendarFile } from './schemas.ts';
import { durationSeconds } from '../protocol/values.ts';

export type CalendarWindow = CalendarFile['windows'][number];
export type CalendarFreeze = CalendarFile['freezes'][number];

/** The system that a change touches, and the environment of the identity; null where nobody knows it. */
export interface CalendarScope {
  readonly connector: string;
  readonly target: string;
  readonly environment: string | null;
}

/** One time that a window is open: from `opensAtMs` up to, but not including, `closesAtMs`. */
export interface Occurrence {
  /** The window's id. */
  readonly calendar: string;
  readonly opensAtMs: number;
  readonly closesAtMs: number;
}

export interface Freeze {
  readonly id: string;
  readonly fromMs: number;
  readonly untilMs: number;
}

/** How far ahead policy is told of windows and freezes: a monthly window is always among them. */
export const HORIZON_MS = 35 * 86_400_000;
const OCCURRENCES_MAX = 64;
const FREEZES_MAX = 64;

/**
 * The windows for this system that are open at `fromMs` or open within `horizonMs` after it, in the order in which they open; at most 64.
 * Where there are more, each window has an equal share, so that one that opens every hour hides no weekly one.
 */
export function occurrences(calendar: CalendarFile, scope: CalendarScope, fromMs: number, horizonMs: number): Occurrence[] {
  const windows = calendar.windows.filter((window) => covers(window, scope));
  const share = Math.max(1, Math.floor(OCCURRENCES_MAX / windows.length));
  const each = windows.map((window) => upcoming(window, fromMs, fromMs + horizonMs));
  const first = each.flatMap((list) => list.slice(0, share)).sort(byOpening);
  const further = each.flatMap((list) => list.slice(share)).sort(byOpening);
  return [...first, ...further].slice(0, OCCURRENCES_MAX).sort(byOpening);
}

/** The freezes for this system that hold at `fromMs` or begin within `horizonMs` after it, in the order in which they begin; at most 64. */
export function freezes(calendar: CalendarFile, scope: CalendarScope, fromMs: number, horizonMs: number): Freeze[] {
  return calendar.freezes
    .filter((freeze) => covers(freeze, scope))
    .map(spanOf)
    .filter((freeze) => freeze.untilMs > fromMs && freeze.fromMs < fromMs + horizonMs)
    .sort((a, b) => a.fromMs - b.fromMs || (a.id < b.id ? -1 : 1))
    .slice(0, FREEZES_MAX);
}

const spans = new WeakMap<CalendarFreeze, Freeze>();

function spanOf(freeze: CalendarFreeze): Freeze {
  const { id, timeZone, from, until } = freeze;
  const span = spans.get(freeze) ?? { id, fromMs: instantOf(timeZone, from), untilMs: instantOf(timeZone, until) };
  spans.set(freeze, span);
  return span;
}

/** Who is told when this window opens and closes, beside the consumers of the identity; nobody for a window that is not in the calendar. */
export function consumersOf(calendar: CalendarFile | null, window: string): readonly string[] {
  return calendar?.windows.find(({ id }) => id === window)?.consumers ?? [];
}

/** The instant of a local time that a checked calendar holds: the first, where clocks show it twice. */
function instantOf(timeZone: string, text: string): number {
  const localMs = parseLocalTime(text);
  const [instantMs] = localMs === null ? [] : instantsOf(timeZone, localMs);
  if (instantMs === undefined) throw new RangeError(`${text} does not exist in ${timeZone}`);
  return instantMs;
}

function covers(limits: Pick<CalendarWindow, 'connectors' | 'targets' | 'environments'>, scope: CalendarScope): boolean {
  const has = (list: readonly string[] | undefined, value: string | null): boolean => list === undefined || (value !== null && list.includes(value));
  return has(limits.connectors, scope.connector) && has(limits.targets, scope.target) && has(limits.environments, scope.environment);
}

const byOpening = (a: Occurrence, b: Occurrence): number => a.opensAtMs - b.opensAtMs || (a.calendar < b.calendar ? -1 : 1);

/** What has been worked out of one window: all its occurrences from `sinceMs` on, as far as anybody asked. It only saves time. */
interface Known {
  readonly sinceMs: number;
  readonly found: Occurrence[];
  /** The next occurrence; null where none follows. */
  readonly more: () => Occurrence | null;
  next: Occurrence | null;
}

const known = new WeakMap<CalendarWindow, Known>();
const KNOWN_MAX = 4_096;

function upcoming(window: CalendarWindow, fromMs: number, untilMs: number): Occurrence[] {
  let state = known.get(window);
  const isUseless = (old: Known): boolean => fromMs < old.sinceMs || old.found.length > KNOWN_MAX || (old.next !== null && fromMs > old.next.closesAtMs);
  if (state === undefined || isUseless(state)) {
    const more = window.dates === undefined ? recurring(window, fromMs) : listed(window, fromMs);
    state = { sinceMs: fromMs, found: [], more, next: more() };
    known.set(window, state);
  }
  const wanted: Occurrence[] = state.found.filter((one) => one.closesAtMs > fromMs && one.opensAtMs < untilMs).slice(0, OCCURRENCES_MAX);
  while (state.next !== null && state.next.opensAtMs < untilMs && wanted.length < OCCURRENCES_MAX) {
    const following = state.more();
    // Clocks that go forward bring two occurrences closer together: the earlier one closes when the later one opens.
    const closesAtMs = Math.min(state.next.closesAtMs, following?.opensAtMs ?? Infinity);
    const one = { ...state.next, closesAtMs };
    state.found.push(one);
    if (one.closesAtMs > fromMs) wanted.push(one);
    state.next = following;
  }
  return wanted;
}

function listed(window: CalendarWindow, fromMs: number): () => Occurrence | null {
  const dates = (window.dates ?? [])
    .map(({ from, until }) => ({ calendar: window.id, opensAtMs: instantOf(window.timeZone, from), closesAtMs: instantOf(window.timeZone, until) }))
    .filter((one) => one.closesAtMs > fromMs)
    .sort(byOpening);
  return () => dates.shift() ?? null;
}

function recurring(window: CalendarWindow, fromMs: number): () => Occurrence | null {
  const { id, timeZone, cron = '', duration = '' } = window;
  const durationMs = durationSeconds(duration) * 1000;
  const begins = openings({ timeZone, exceptions: window.exceptions ?? [], times: parseCron(cron) }, fromMs - durationMs);
  return () => {
    const opensAtMs = begins();
    return opensAtMs === null ? null : { calendar: id, opensAtMs, closesAtMs: opensAtMs + durationMs };
  };
}

/**
 * The instants after `afterMs` at which a recurring window opens, one a call; null when none follows. A local time that clocks skip does
 * not take place; one that they show twice takes place the first time.
 */
export function openings(window: { readonly timeZone: string; readonly exceptions: readonly string[]; readonly times: CronTimes }, afterMs: number): () => number | null {
  const exceptions = new Set(window.exceptions);
  // What comes after an instant comes after its local time too: clocks that go back show again only what has had its first time.
  let localMs: number | null = localTimeAt(window.timeZone, afterMs) - 1000;
  return () => {
    for (;;) {
      localMs = localMs === null ? null : window.times.next(localMs);
      if (localMs === null) return null;
      const [instantMs] = exceptions.has(formatLocalDate(localMs)) ? [] : instantsOf(window.timeZone, localMs);
      if (instantMs !== undefined && instantMs > afterMs) return instantMs;
    }
  };
}
