/** The time that a command is about, as `--from` and `--to` say it. */
import { parseTime, timeSchema } from '../protocol/values.ts';
import { CliError, EXIT } from './exit.ts';

export interface Span {
  readonly fromMs: number | null;
  /** Not included. */
  readonly toMs: number | null;
}

export interface SpanFlags {
  readonly from?: string;
  readonly to?: string;
}

/** @throws CliError `usage` */
export function spanOf({ from, to }: SpanFlags): Span {
  const span = { fromMs: timeOf('--from', from), toMs: timeOf('--to', to) };
  if (span.fromMs !== null && span.toMs !== null && span.fromMs >= span.toMs) throw new CliError(EXIT.usage, 'usage', { cause: '--from is not before --to', effect: 'Nothing was asked.' });
  return span;
}

/** In epoch ms; null for none. @throws CliError `usage` */
export function timeOf(flag: string, text: string | undefined): number | null {
  if (text === undefined) return null;
  const whole = /^\d{4}-\d\d-\d\d$/.test(text) ? `${text}T00:00:00.000Z` : text;
  if (!timeSchema.safeParse(whole).success) throw new CliError(EXIT.usage, 'usage', { cause: `${flag} takes a day such as 2026-10-01 or a time such as 2026-10-01T00:00:00.000Z, UTC`, effect: 'Nothing was asked.' });
  return parseTime(whole);
}
