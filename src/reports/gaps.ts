/** `report gaps`: what is missing, late, unreviewed, not enforced or not looked at. What is not listed was looked for and not found. */
import { formatTime } from '../protocol/values.ts';
import { counted, type Column, type Figure, type Report, type Row, type Source } from './model.ts';
import { isWithin, spanWordsOf, type Given } from './given.ts';
import { findGaps, GAPS, type Gap, type GapKind } from './find-gaps.ts';
import { spanWords, timeWords } from './words.ts';

const COLUMNS: readonly Column[] = [
  { name: 'gap', title: 'Gap' }, { name: 'from', title: 'From', under: 'When' }, { name: 'to', title: 'To', under: 'When' }, { name: 'lasted', title: 'For', under: 'When' },
  { name: 'about', title: 'About' }, { name: 'what', title: 'What', hasRecords: true },
];

export function gapsReport(given: Given): Report {
  const { span } = given;
  const gaps = findGaps(given).filter(({ fromMs, toMs, isLasting }) => isLasting || isWithin(span, fromMs) || ((span.toMs === null || fromMs < span.toMs) && (span.fromMs === null || (toMs ?? fromMs) >= span.fromMs)));
  const figures = (Object.keys(GAPS) as GapKind[]).map((kind): Figure => counted(kind, GAPS[kind], gaps.filter((gap) => gap.kind === kind), sourceOf));
  return {
    kind: 'gaps', title: 'Gaps in the evidence, and what was late',
    intro: [`What was looked for, and found or not, ${spanWordsOf(span)}, judged as of ${timeWords(given.asOfMs)}.`, 'A number that is 0 was looked for and not found. Nothing here says how bad a gap is.'],
    groups: [
      { title: 'In short', figures: [counted('gaps', 'gaps in all', gaps, sourceOf), down(gaps)] },
      { title: 'What was looked for', figures, isCompared: true },
    ],
    caption: 'Gaps, each with the records that show it', columns: COLUMNS, rowCount: gaps.length, rows: () => rowsOf(gaps),
    notCovered: [
      'changes made outside Countersign since each connector was last looked at, which the rows “not looked at” name',
      'whether anything ran while nothing was recorded: silence is no proof of either',
    ],
  };
}

function sourceOf({ about, what, records }: Gap): Source {
  return { what: [about, what].filter((text) => text !== '').join(': '), records };
}

function* rowsOf(gaps: readonly Gap[]): Generator<Row> {
  const numbers = new Map<GapKind, number>();
  for (const { kind, fromMs, toMs, about, what, records, faults } of gaps) {
    const number = (numbers.get(kind) ?? 0) + 1;
    numbers.set(kind, number);
    yield {
      key: `${kind}/${number}`, records, faults,
      cells: [
        { text: GAPS[kind] }, { text: formatTime(fromMs) }, { text: toMs === null ? '' : formatTime(toMs) }, { text: toMs === null ? '' : spanWords(toMs - fromMs) }, { text: about },
        { text: what, records },
      ],
    };
  }
}

/** How long at most the ledger was not open, all in all. */
function down(gaps: readonly Gap[]): Figure {
  const those = gaps.filter(({ kind }) => kind === 'reopened');
  return { key: 'down', label: 'the longest that it may have been down in all', value: spanWords(those.reduce((sum, { fromMs, toMs }) => sum + (toMs ?? fromMs) - fromMs, 0)), sources: () => those.map(sourceOf) };
}
