/** Words that several reports share. */
import { plain, formatSpan } from '../protocol/plain.ts';
import { formatTime } from '../protocol/values.ts';
import type { Source } from './model.ts';
import type { ReportChange } from './facts.ts';

/** `2026-11-23 19:05:00Z`: to the second, for people. */
export function timeWords(atMs: number): string {
  return formatTime(atMs).replace('T', ' ').replace(/\.\d{3}Z$/, 'Z');
}

/** `0.4 s`, `2 h 5 min`. */
export function spanWords(ms: number): string {
  return ms < 60_000 ? `${(ms / 1000).toFixed(1)} s` : formatSpan(ms);
}

export function plural(count: number, one: string, more = `${one}s`): string {
  return `${count} ${count === 1 ? one : more}`;
}

/** The change, in a few words, with all its records. */
export function ofChange(change: ReportChange): Source {
  return { what: changeWords(change), records: change.records };
}

export function changeWords({ change, kind, subject, state }: Pick<ReportChange, 'change' | 'kind' | 'subject' | 'state'>): string {
  return plain(`${change}: ${kind} for ${subject}, ${state}`);
}

export const placeWords = ({ connector, target }: { readonly connector: string | null; readonly target: string | null }): string => (connector === null ? '' : `${connector}/${target ?? ''}`);

export const faultsOf = ({ violations }: Pick<ReportChange, 'violations'>): string[] => violations.map(({ code, message, seq }) => `record ${seq}: ${message} (${code})`);
