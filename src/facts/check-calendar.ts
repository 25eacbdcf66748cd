/**
 * What the form of a calendar cannot say: that every time in it exists, and that every window opens now and then and closes before it opens
 * again. Nothing here depends on today, so a calendar that was good stays good when its dates have passed.
 */
import { durationSeconds } from '../protocol/values.ts';
import { parseCron, type CronTimes } from './cron.ts';
import { formatLocalDate, instantsOf, isTimeZone, parseLocalTime } from './local-time.ts';
import type { CalendarFile } from './schemas.ts';

export interface CalendarProblem {
  readonly path: readonly (string | number)[];
  readonly message: string;
}
type Window = CalendarFile['windows'][number];

const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;
/** Any day will do, if it is always the same one. */
const START_MS = Date.UTC(2024, 0, 1);
/** 29 February comes back to its weekday within this. */
const SEARCH_UNTIL_MS = Date.UTC(2064, 0, 1);
const DAYS_SEARCH_UNTIL_MS = Date.UTC(2032, 0, 1);

/** Everything that is impossible about a calendar of the right form; none for one that can be kept. */
export function calendarProblems(calendar: CalendarFile): CalendarProblem[] {
  if (calendar.windows.length === 0 && calendar.freezes.length === 0) {
    return [{ path: [], message: 'neither a window nor a freeze is in it; where no calendar is kept, there is no file' }];
  }
  return [
    ...calendar.windows.flatMap((window, index) => under(['windows', index], windowProblems(window))),
    ...calendar.freezes.flatMap((freeze, index) => under(['freezes', index], isTimeZone(freeze.timeZone) ? spanProblems(freeze, freeze.timeZone) : [unknownZone(freeze)])),
  ];
}

function under(path: readonly (string | number)[], problems: readonly CalendarProblem[]): CalendarProblem[] {
  return problems.map((problem) => ({ path: [...path, ...problem.path], message: problem.message }));
}

function unknownZone({ timeZone }: { timeZone: string }): CalendarProblem {
  return { path: ['timeZone'], message: `${JSON.stringify(timeZone)} is not a time zone such as Europe/Berlin` };
}

function windowProblems(window: Window): CalendarProblem[] {
  const { cron, duration, dates, exceptions = [] } = window;
  if (!isTimeZone(window.timeZone)) return [unknownZone(window)];
  if ((dates === undefined) === (cron === undefined)) return [{ path: [], message: 'a window has either cron and duration, or dates' }];
  if ((cron === undefined) !== (duration === undefined)) {
    return [{ path: [], message: cron === undefined ? 'duration belongs to cron; each of dates says its own end' : 'cron needs a duration: how long each occurrence lasts' }];
  }
  const wrongDates = exceptions.flatMap((date, index) => (parseLocalTime(date) === null ? [{ path: ['exceptions', index], message: `${date} is not a day` }] : []));
  if (wrongDates.length > 0) return wrongDates;
  if (cron !== undefined && duration !== undefined) return cronProblems(cron, duration, window.timeZone, exceptions);
  if (window.exceptions !== undefined) return [{ path: ['exceptions'], message: 'exceptions are from cron; leave the date out of dates instead' }];
  return dateProblems(dates ?? [], window.timeZone);
}

function dateProblems(dates: NonNullable<Window['dates']>, timeZone: string): CalendarProblem[] {
  const wrong = dates.flatMap((span, index) => under(['dates', index], spanProblems(span, timeZone)));
  if (wrong.length > 0) return wrong;
  const order = dates.map((span, index) => ({ ...span, index })).sort((a, b) => (a.from < b.from ? -1 : 1));
  return order.flatMap((span, position) => {
    const before = order[position - 1];
    return before === undefined || before.until <= span.from ? [] : [{ path: ['dates', span.index, 'from'], message: `begins before the occurrence of ${before.from} is over` }];
  });
}

function spanProblems({ from, until }: { from: string; until: string }, timeZone: string): CalendarProblem[] {
  const wrong = (['from', 'until'] as const).flatMap((name) => timeProblems(name, name === 'from' ? from : until, timeZone));
  if (wrong.length > 0) return wrong;
  return from < until ? [] : [{ path: ['until'], message: `${until} is not after ${from}` }];
}

function timeProblems(name: string, text: string, timeZone: string): CalendarProblem[] {
  const localMs = parseLocalTime(text);
  if (localMs === null) return [{ path: [name], message: `${text} is not a day and time from 2000 to 2999` }];
  return instantsOf(timeZone, localMs).length > 0 ? [] : [{ path: [name], message: `${text} does not exist in ${timeZone}: clocks go forward over it` }];
}

function cronProblems(cron: string, duration: string, timeZone: string, exceptions: readonly string[]): CalendarProblem[] {
  let times: CronTimes;
  try {
    times = parseCron(cron);
  } catch (cause) {
    return [{ path: ['cron'], message: cause instanceof Error ? cause.message : 'not cron' }];
  }
  if (!everOpens(times, timeZone, new Set(exceptions))) return [{ path: ['cron'], message: 'never comes: no day has that date, or clocks go forward over that time, or every one is an exception' }];
  const periodMs = shortPeriod(cron, durationSeconds(duration) * 1000);
  return periodMs === null ? [] : [{ path: ['duration'], message: `${duration} is longer than the ${periodMs / MINUTE_MS} minutes until the window opens again` }];
}

function everOpens(times: CronTimes, timeZone: string, exceptions: ReadonlySet<string>): boolean {
  for (let localMs = times.next(START_MS - 1000); localMs !== null && localMs < SEARCH_UNTIL_MS; localMs = times.next(localMs)) {
    if (!exceptions.has(formatLocalDate(localMs)) && instantsOf(timeZone, localMs).length > 0) return true;
  }
  return false;
}

/**
 * A time between two occurrences that is shorter than `durationMs`, by the clock on the wall; null where there is none. Cron says times of
 * the day and days apart from each other, so each is looked at by itself.
 */
function shortPeriod(cron: string, durationMs: number): number | null {
  const [minute, hour, ...days] = cron.split(' ');
  const inDay = list(parseCron(`${minute!} ${hour!} * * *`), START_MS, START_MS + DAY_MS, durationMs);
  if (inDay.shortMs !== null) return inDay.shortMs;
  const overnightMs = DAY_MS - (inDay.lastMs - inDay.firstMs);
  if (overnightMs >= durationMs) return null;
  const betweenDaysMs = durationMs + (inDay.lastMs - inDay.firstMs);
  const { shortMs } = list(parseCron(`0 0 ${days.join(' ')}`), START_MS, DAYS_SEARCH_UNTIL_MS, betweenDaysMs);
  return shortMs === null ? null : shortMs - (inDay.lastMs - inDay.firstMs);
}

/** First and last of the times in a span, and the first time between two of them that is shorter than `leastMs`, where it ends. */
function list(times: CronTimes, fromMs: number, untilMs: number, leastMs: number): { firstMs: number; lastMs: number; shortMs: number | null } {
  const first = times.next(fromMs - 1000) ?? fromMs;
  let last = first;
  for (let localMs = times.next(first); localMs !== null && localMs < untilMs; localMs = times.next(localMs)) {
    if (localMs - last < leastMs) return { firstMs: first, lastMs: last, shortMs: localMs - last };
    last = localMs;
  }
  return { firstMs: first, lastMs: last, shortMs: null };
}
