/** What a report is made from: the facts of a verification, its verdicts, and what was asked for. */
import type { EvidenceVerification } from '../evidence/verify.ts';
import type { PackVerification } from '../evidence/pack-verify.ts';
import type { Trust } from '../protocol/trust-folder.ts';
import type { Facts, ReportChange } from './facts.ts';
import { timeWords } from './words.ts';

export interface Span {
  readonly fromMs: number | null;
  /** Not included. */
  readonly toMs: number | null;
}

export interface Given {
  readonly facts: Facts;
  readonly verification: EvidenceVerification | PackVerification;
  readonly trust: Trust;
  readonly span: Span;
  /** The moment that “now” is. */
  readonly asOfMs: number;
}

export const isWithin = ({ fromMs, toMs }: Span, atMs: number): boolean => (fromMs === null || atMs >= fromMs) && (toMs === null || atMs < toMs);

/** The changes that went on in that time, from their first record to their last: also those of which nothing was recorded in it, while what they gave was there. */
export function changesIn({ facts, span: { fromMs, toMs } }: Pick<Given, 'facts' | 'span'>): readonly ReportChange[] {
  return facts.changes.filter(({ firstAtMs, lastAtMs }) => (toMs === null || firstAtMs < toMs) && (fromMs === null || lastAtMs >= fromMs));
}

/** `from 2026-10-01 00:00:00Z to before 2026-11-01 00:00:00Z`; `of all time` where nothing limits it. */
export function spanWordsOf({ fromMs, toMs }: Span): string {
  if (fromMs === null && toMs === null) return 'of all time';
  return [...(fromMs === null ? [] : [`from ${timeWords(fromMs)}`]), ...(toMs === null ? [] : [`to before ${timeWords(toMs)}`])].join(' ');
}
