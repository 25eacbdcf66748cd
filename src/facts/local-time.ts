/** Local times of a time zone and the instants they stand for. A local time is kept as epoch milliseconds, as if its zone were UTC. */

/** IANA names only: an offset such as `+02:00` knows no daylight saving, and would silently be an hour off for half of the year. */
const ZONE_NAME = /^[A-Za-z][A-Za-z0-9_+-]*(?:\/[A-Za-z0-9_+-]+)*$/;
const DAY_MS = 86_400_000;

const formats = new Map<string, Intl.DateTimeFormat>();

export function isTimeZone(name: string): boolean {
  if (!ZONE_NAME.test(name)) return false;
  try {
    formatOf(name);
    return true;
  } catch {
    return false;
  }
}

/** The local time of `2026-12-24T22:00`, or of midnight for `2026-12-24`; null where that is no day or time from 2000 to 2999. */
export function parseLocalTime(text: string): number | null {
  const full = text.length === 10 ? `${text}T00:00` : text;
  const ms = /^2\d{3}-\d\d-\d\dT\d\d:\d\d$/.test(full) ? Date.parse(`${full}:00.000Z`) : NaN;
  return Number.isFinite(ms) && new Date(ms).toISOString().startsWith(full) ? ms : null;
}

/** `2026-12-24`, of a local time. */
export function formatLocalDate(localMs: number): string {
  return new Date(localMs).toISOString().slice(0, 10);
}

/** What clocks in the zone show at this instant, to the second. @throws RangeError for a zone that is none */
export function localTimeAt(timeZone: string, instantMs: number): number {
  const [month, day, year, hour, minute, second] = formatOf(timeZone).format(instantMs).split(/\D+/).map(Number);
  return Date.UTC(year!, month! - 1, day, hour, minute, second);
}

/**
 * The instants at which clocks in the zone show this local time, first to last: none where clocks go forward over it, two where they go
 * back through it.
 */
export function instantsOf(timeZone: string, localMs: number): number[] {
  // A zone is never further than a day from UTC, so these are the offsets before and after whatever clocks do around then.
  const offsets = new Set([localMs - DAY_MS, localMs + DAY_MS].map((nearMs) => localTimeAt(timeZone, nearMs) - nearMs));
  return [...offsets].map((offset) => localMs - offset).filter((instantMs) => localTimeAt(timeZone, instantMs) === localMs).sort((a, b) => a - b);
}

function formatOf(timeZone: string): Intl.DateTimeFormat {
  const known = formats.get(timeZone);
  if (known !== undefined) return known;
  const format = new Intl.DateTimeFormat('en-US', {
    timeZone, hourCycle: 'h23', calendar: 'gregory', numberingSystem: 'latn',
    year: 'numeric', month: 'numeric', day: 'numeric', hour: 'numeric', minute: 'numeric', second: 'numeric',
  });
  formats.set(timeZone, format);
  return format;
}
