import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { consumersOf, freezes, HORIZON_MS, occurrences, type Occurrence } from '../../src/facts/calendar.ts';
import { instantsOf, isTimeZone, localTimeAt } from '../../src/facts/local-time.ts';
import { calendarSchema, type CalendarFile } from '../../src/facts/schemas.ts';

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;
const SYSTEM = { connector: 'pg-main', target: 'app', environment: 'prod' };

type Window = CalendarFile['windows'][number];
const calendarOf = (windows: Window[], frozen: CalendarFile['freezes'] = []): CalendarFile => calendarSchema.parse({ v: 1, windows, freezes: frozen });
const weekly = (more: Partial<Window> = {}): Window => ({ id: 'weekly', timeZone: 'Europe/Berlin', cron: '0 3 * * SUN', duration: 'PT2H', ...more });
const ms = (text: string): number => Date.parse(text);
const shown = (list: readonly Occurrence[]): string[] => list.map((one) => `${new Date(one.opensAtMs).toISOString().slice(0, 16)} ${(one.closesAtMs - one.opensAtMs) / MINUTE_MS}`);
const berlin = (window: Partial<Window>, from: string, days: number): string[] => shown(occurrences(calendarOf([weekly(window)]), SYSTEM, ms(from), days * DAY_MS));

/** Cron by its definition, for `*`, steps, lists and ranges of numbers. */
function cronMatcher(cron: string): (local: Date) => boolean {
  const fields = cron.split(' ');
  const [minutes, hoursOfDay, days, months, weekdays] = fields.map((text, index) => {
    const [least, most] = [[0, 59], [0, 23], [1, 31], [1, 12], [0, 6]][index] as [number, number];
    return new Set(text.split(',').flatMap((part) => {
      const [span = '*', step = '1'] = part.split('/');
      const [low, high = low] = span === '*' ? [least, most] : span.split('-').map(Number);
      return Array.from({ length: most + 1 }, (_, value) => value).filter((value) => value >= low! && value <= high! && (value - low!) % Number(step) === 0);
    }));
  });
  const isEither = fields[2] !== '*' && fields[4] !== '*';
  return (local) => {
    if (!minutes!.has(local.getUTCMinutes()) || !hoursOfDay!.has(local.getUTCHours()) || !months!.has(local.getUTCMonth() + 1)) return false;
    const [onDay, onWeekday] = [days!.has(local.getUTCDate()), weekdays!.has(local.getUTCDay())];
    return isEither ? onDay || onWeekday : onDay && onWeekday;
  };
}

const clocks = new Map<string, Intl.DateTimeFormat>();
/** What a clock on the wall shows, by another way than the code's. */
function wall(timeZone: string, instantMs: number): string {
  const clock = clocks.get(timeZone) ?? new Intl.DateTimeFormat('sv-SE', { timeZone, dateStyle: 'short', timeStyle: 'short' });
  clocks.set(timeZone, clock);
  return clock.format(instantMs).replace(' ', 'T');
}

interface Minute {
  readonly atMs: number;
  readonly text: string;
  readonly local: Date;
}
/** Every minute of a span; a local one that is shown twice only the first time. */
function minutesOf(timeZone: string, fromMs: number, untilMs: number): Minute[] {
  const seen = new Set<string>();
  const found: Minute[] = [];
  for (let atMs = fromMs; atMs < untilMs; atMs += MINUTE_MS) {
    const text = wall(timeZone, atMs);
    if (!seen.has(text)) found.push({ atMs, text, local: new Date(`${text}:00Z`) });
    seen.add(text);
  }
  return found;
}

/** The window's occurrences by looking at every minute. */
function scanned(window: Window, minutes: readonly Minute[], fromMs: number, untilMs: number): Occurrence[] {
  const durationMs = Number(/^PT(\d+)M$/.exec(window.duration!)![1]) * MINUTE_MS;
  const matches = cronMatcher(window.cron!);
  const opens = minutes.filter(({ local, text }) => matches(local) && window.exceptions?.includes(text.slice(0, 10)) !== true).map(({ atMs }) => atMs);
  return opens
    .map((opensAtMs, index) => ({ calendar: window.id, opensAtMs, closesAtMs: Math.min(opensAtMs + durationMs, opens[index + 1] ?? Infinity) }))
    .filter((one) => one.closesAtMs > fromMs && one.opensAtMs < untilMs);
}

/** Zones and a moment at which each changes its clocks; Kathmandu, 5:45 from UTC, never does. */
const CHANGES: [string, string][] = [
  ['Europe/Berlin', '2026-03-29T01:00Z'], ['Europe/Berlin', '2026-10-25T01:00Z'],
  ['America/New_York', '2026-03-08T07:00Z'], ['America/New_York', '2026-11-01T06:00Z'],
  ['Australia/Lord_Howe', '2026-04-04T15:00Z'], ['Australia/Lord_Howe', '2026-10-03T15:30Z'],
  ['Asia/Kathmandu', '2026-10-25T01:00Z'],
];
const field = (least: number, most: number): fc.Arbitrary<string> => {
  const value = fc.integer({ min: least, max: most });
  const range = fc.tuple(value, value).map(([a, b]) => `${Math.min(a, b)}-${Math.max(a, b)}`);
  return fc.oneof(fc.constant('*'), fc.constantFrom('*/2', '*/3', '*/5'), value.map(String), range, fc.tuple(value, value).map(([a, b]) => `${a},${b}`));
};
// Mostly the small hours, in which clocks change.
const hours = fc.oneof({ weight: 3, arbitrary: field(0, 4) }, { weight: 1, arbitrary: field(0, 23) });
const crons = fc.tuple(field(0, 59), hours, fc.oneof(fc.constant('*'), field(1, 31)), fc.oneof(fc.constant('*'), field(1, 12)), fc.oneof(fc.constant('*'), field(0, 6))).map((fields) => fields.join(' '));

test.each(CHANGES)('occurrences in %s around %s are those of a scan of every minute', (timeZone, changeAt) => {
  // A day more than is asked about on either side: for what is open already, and for what follows the last one.
  const minutes = minutesOf(timeZone, ms(changeAt) - 4 * DAY_MS, ms(changeAt) + 5 * DAY_MS);
  let compared = 0;
  fc.assert(fc.property(
    crons, fc.constantFrom('PT1M', 'PT29M', 'PT60M', 'PT120M', 'PT1440M'), fc.integer({ min: -36 * HOUR_MS, max: 6 * HOUR_MS }), fc.integer({ min: 1, max: 60 }), fc.boolean(),
    (cron, duration, offsetMs, hoursAhead, isExcepted) => {
      const fromMs = ms(changeAt) + offsetMs;
      const untilMs = fromMs + hoursAhead * HOUR_MS;
      const exceptions = isExcepted ? { exceptions: [wall(timeZone, ms(changeAt)).slice(0, 10)] } : {};
      const parsed = calendarSchema.safeParse({ v: 1, freezes: [], windows: [{ id: 'w', timeZone, cron, duration, ...exceptions }] });
      // Most of the others overlap.
      if (!parsed.success) return;
      const due = scanned(parsed.data.windows[0]!, minutes, fromMs, untilMs);
      compared += due.length;
      expect(occurrences(parsed.data, SYSTEM, fromMs, untilMs - fromMs)).toEqual(due.slice(0, 64));
    },
  ), { numRuns: 80, seed: 20_261_124 });
  expect(compared).toBeGreaterThan(200);
});

describe('a window', () => {
  test('opens at its local time, summer and winter', () => {
    expect(berlin({}, '2026-10-17T00:00Z', 16)).toEqual(['2026-10-18T01:00 120', '2026-10-25T02:00 120', '2026-11-01T02:00 120']);
  });

  test('whose time clocks skip does not open, and one whose time comes twice opens once', () => {
    expect(berlin({ cron: '30 2 * * *', duration: 'PT30M' }, '2026-03-28T00:00Z', 3)).toEqual(['2026-03-28T01:30 30', '2026-03-30T00:30 30']);
    expect(berlin({ cron: '30 2 * * *', duration: 'PT30M' }, '2026-10-24T12:00Z', 2)).toEqual(['2026-10-25T00:30 30', '2026-10-26T01:30 30']);
  });

  test('closes before it opens again, where clocks go forward between the two', () => {
    expect(berlin({ cron: '0 1,3 * * *', duration: 'PT2H' }, '2026-03-29T00:00Z', 0.2)).toEqual(['2026-03-29T00:00 60', '2026-03-29T01:00 120']);
  });

  test('that is open now is among them until the moment it closes', () => {
    expect(berlin({}, '2026-11-29T03:59:59.999Z', 6)).toEqual(['2026-11-29T02:00 120']);
    expect(berlin({}, '2026-11-29T04:00:00.000Z', 7)).toEqual(['2026-12-06T02:00 120']);
    expect(berlin({}, '2026-11-29T04:00:00.000Z', 6)).toEqual([]);
  });

  test('does not open on a day that is an exception, and is open into one', () => {
    expect(berlin({ cron: '0 23 * * *', exceptions: ['2026-11-28'] }, '2026-11-27T23:30Z', 2)).toEqual(['2026-11-27T22:00 120', '2026-11-29T22:00 120']);
  });

  test('of dates opens on those, in order, and at the first of two equal local times', () => {
    const dates = [{ from: '2026-12-01T10:00', until: '2026-12-01T12:00' }, { from: '2026-10-25T02:30', until: '2026-10-25T03:30' }];
    const { cron: _cron, duration: _duration, ...window } = weekly({ dates });
    expect(shown(occurrences(calendarOf([window]), SYSTEM, ms('2026-10-20T00:00Z'), 60 * DAY_MS))).toEqual(['2026-10-25T00:30 120', '2026-12-01T09:00 120']);
    expect(shown(occurrences(calendarOf([window]), SYSTEM, ms('2026-10-25T02:30Z'), 60 * DAY_MS))).toEqual(['2026-12-01T09:00 120']);
  });

  test('on the first Sunday of the month is said with #', () => {
    expect(berlin({ cron: '0 3 * * SUN#1' }, '2026-11-02T00:00Z', 35)).toEqual(['2026-12-06T02:00 120']);
  });

  test('for other systems is not among them', () => {
    const of = (limits: Partial<Window>, scope: Partial<Parameters<typeof occurrences>[1]> = {}): number => occurrences(calendarOf([weekly(limits)]), { ...SYSTEM, ...scope }, ms('2026-11-24T00:00Z'), 7 * DAY_MS).length;
    expect([of({ connectors: ['pg-dev', 'pg-main'] }), of({ targets: ['app'] }), of({ environments: ['prod'] })]).toEqual([1, 1, 1]);
    expect([of({ connectors: ['pg-dev'] }), of({ targets: ['other'] }), of({ environments: ['dev'] }), of({ connectors: ['pg-main'], targets: ['other'] })]).toEqual([0, 0, 0, 0]);
    expect([of({ environments: ['prod'] }, { environment: null }), of({}, { environment: null })]).toEqual([0, 1]);
  });
});

describe('occurrences', () => {
  test('are at most 64, and a window that opens often leaves room for one that does not', () => {
    const calendar = calendarOf([weekly({ id: 'often', cron: '*/10 * * * *', duration: 'PT5M' }), weekly(), weekly({ id: 'nightly', cron: '0 1 * * *' })]);
    const found = occurrences(calendar, SYSTEM, ms('2026-11-24T00:00Z'), HORIZON_MS);
    const count = (id: string): number => found.filter((one) => one.calendar === id).length;
    expect([found.length, count('weekly'), count('nightly'), count('often')]).toEqual([64, 5, 21, 38]);
    expect(found).toEqual([...found].sort((a, b) => a.opensAtMs - b.opensAtMs));
  });

  test('are the same, whatever was asked before', () => {
    const make = (): CalendarFile => calendarOf([weekly({ cron: '15 1,2 * * *', duration: 'PT45M' }), weekly({ id: 'other', timeZone: 'America/New_York', cron: '0 0 1,15 * *', duration: 'P1D' })]);
    const asked = make();
    fc.assert(fc.property(fc.array(fc.integer({ min: ms('2026-01-01T00:00Z'), max: ms('2028-01-01T00:00Z') }), { minLength: 1, maxLength: 6 }), fc.integer({ min: 0, max: 40 }), (times, days) => {
      for (const atMs of times) expect(occurrences(asked, SYSTEM, atMs, days * DAY_MS)).toEqual(occurrences(make(), SYSTEM, atMs, days * DAY_MS));
    }), { numRuns: 20 });
  });

  test('of a year that is long past are not worked out on the way to today', () => {
    const calendar = calendarOf([weekly({ cron: '* * * * *', duration: 'PT1M' })]);
    expect(occurrences(calendar, SYSTEM, ms('2024-01-01T00:00Z'), DAY_MS)).toHaveLength(64);
    expect(occurrences(calendar, SYSTEM, ms('2026-11-24T00:00:30Z'), DAY_MS)[0]?.opensAtMs).toBe(ms('2026-11-24T00:00Z'));
  });

  test('of no windows are none', () => {
    const calendar = calendarOf([], [{ id: 'f', timeZone: 'UTC', from: '2026-01-01T00:00', until: '2026-01-02T00:00' }]);
    expect(occurrences(calendar, SYSTEM, 0, HORIZON_MS)).toEqual([]);
  });
});

describe('freezes', () => {
  const freeze = (id: string, from: string, until: string, more: Partial<CalendarFile['freezes'][number]> = {}): CalendarFile['freezes'][number] => ({ id, timeZone: 'Europe/Berlin', from, until, ...more });

  test('are those that hold now or begin before the horizon, for this system', () => {
    const calendar = calendarOf([], [
      freeze('later', '2027-03-01T00:00', '2027-03-02T00:00'), freeze('year-end', '2026-12-18T18:00', '2027-01-04T06:00'), freeze('over', '2026-11-01T00:00', '2026-12-01T00:00'),
      freeze('now', '2026-11-20T00:00', '2026-12-01T00:01'), freeze('elsewhere', '2026-12-01T00:00', '2026-12-24T00:00', { connectors: ['pg-dev'] }),
    ]);
    expect(freezes(calendar, SYSTEM, ms('2026-11-30T23:00Z'), HORIZON_MS)).toEqual([
      { id: 'now', fromMs: ms('2026-11-19T23:00Z'), untilMs: ms('2026-11-30T23:01Z') }, { id: 'year-end', fromMs: ms('2026-12-18T17:00Z'), untilMs: ms('2027-01-04T05:00Z') },
    ]);
  });

  test('are over at the moment they end', () => {
    const calendar = calendarOf([], [freeze('f', '2026-11-20T00:00', '2026-12-01T00:00')]);
    expect(freezes(calendar, SYSTEM, ms('2026-11-30T23:00Z') - 1, HORIZON_MS)).toHaveLength(1);
    expect(freezes(calendar, SYSTEM, ms('2026-11-30T23:00Z'), HORIZON_MS)).toEqual([]);
  });
});

test('the consumers of a window are those that it names', () => {
  const calendar = calendarOf([weekly({ consumers: ['billing', 'database-team'] }), weekly({ id: 'quiet' })]);
  expect([consumersOf(calendar, 'weekly'), consumersOf(calendar, 'quiet'), consumersOf(calendar, 'unknown'), consumersOf(null, 'weekly')]).toEqual([['billing', 'database-team'], [], [], []]);
});

describe('local time', () => {
  test.each(CHANGES)('of every minute around the change in %s at %s leads back to that minute, or to the first like it', (timeZone, changeAt) => {
    const first = new Map<number, number>();
    for (let atMs = ms(changeAt) - 3 * HOUR_MS; atMs < ms(changeAt) + 3 * HOUR_MS; atMs += MINUTE_MS) {
      const localMs = localTimeAt(timeZone, atMs);
      expect(new Date(localMs).toISOString().slice(0, 16)).toBe(wall(timeZone, atMs));
      const instants = instantsOf(timeZone, localMs);
      expect(instants).toContain(atMs);
      if (!first.has(localMs)) first.set(localMs, atMs);
      expect(instants.length).toBeLessThanOrEqual(2);
      if (instants[0]! >= ms(changeAt) - 3 * HOUR_MS) expect(instants[0]).toBe(first.get(localMs));
    }
  });

  test('that a whole day of Samoa skipped does not exist', () => {
    expect(instantsOf('Pacific/Apia', ms('2011-12-30T12:00Z'))).toEqual([]);
    expect(instantsOf('Pacific/Apia', ms('2011-12-31T00:00Z'))).toEqual([ms('2011-12-30T10:00Z')]);
  });

  test('is of zones by name', () => {
    expect(['Europe/Berlin', 'UTC', 'Etc/GMT+2', 'America/Argentina/Buenos_Aires'].map(isTimeZone)).toEqual([true, true, true, true]);
    expect(['', '+02:00', 'Mars/Olympus', 'Europe/Berlin ', '../UTC', 'UTC+2'].map(isTimeZone)).toEqual([false, false, false, false, false, false]);
  });
});
