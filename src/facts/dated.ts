/** Facts that hold for a time only: from one day to another in UTC, a number of days apart at most. */
import { z } from 'zod';
import { parseLocalTime } from './local-time.ts';

const DAY_MS = 86_400_000;

export const dayInUtc = z.string().regex(/^\d{4}-\d\d-\d\d$/, 'a date such as 2026-12-24');

/** A day and the one until which it goes on; the first is `since` where `from` says from whom. */
type Dated = { readonly from: string; readonly until: string } | { readonly since: string; readonly until: string };

/** Says of the two what is no day, not after the other, or too far from it. */
export function checkDates(dated: Dated, daysMax: number, context: z.RefinementCtx): void {
  const { until } = dated;
  const [begin, from] = 'since' in dated ? ['since', dated.since] as const : ['from', dated.from] as const;
  const [fromMs, untilMs] = [parseLocalTime(from), parseLocalTime(until)];
  const say = (member: 'from' | 'since' | 'until', message: string): void => context.addIssue({ code: 'custom', path: [member], message });
  if (fromMs === null) say(begin, `${from} is not a day from 2000 to 2999`);
  if (untilMs === null) say('until', `${until} is not a day from 2000 to 2999`);
  if (fromMs === null || untilMs === null) return;
  if (untilMs <= fromMs) say('until', `${until} is not after ${from}`);
  if (untilMs - fromMs > daysMax * DAY_MS) say('until', `${until} is more than ${daysMax} days after ${from}`);
}

/** The first moment of a day in UTC. */
export const dayStartMs = (day: string): number => Date.parse(`${day}T00:00:00.000Z`);
