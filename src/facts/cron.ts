/**
 * Five fields of cron, read by croner, in local time.
 *
 * Croner is given local times as if they were UTC: what clocks do in spring and autumn is then decided in one place, `local-time.ts`, and
 * not by croner's rules, under which a time that clocks skip takes place later and one that comes twice may happen twice.
 */
import { Cron } from 'croner';

export interface CronTimes {
  /** The first local time after this one, in epoch ms as if the zone were UTC; null where none follows. */
  next(localMs: number): number | null;
}

/** No `?` and `@…`, which croner takes from the clock, and no `+`. */
const FIELD = /^[0-9A-Za-z*,/#-]+$/;

/** @throws RangeError saying what is wrong with the text */
export function parseCron(text: string): CronTimes {
  const fields = text.split(' ');
  if (fields.length !== 5) throw new RangeError('five fields with a space between: minute, hour, day, month, weekday');
  const foreign = fields.find((field) => !FIELD.test(field));
  if (foreign !== undefined) throw new RangeError(`${JSON.stringify(foreign)} is not a field of cron`);
  let cron: Cron;
  try {
    cron = new Cron(text, { mode: '5-part', timezone: 'UTC', paused: true });
  } catch (cause) {
    throw new RangeError(cause instanceof Error ? cause.message.replace(/^CronPattern: /, '') : 'not cron', { cause });
  }
  return { next: (localMs) => cron.nextRun(new Date(localMs))?.getTime() ?? null };
}
