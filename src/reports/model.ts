/** What a report is made of, before it is a page, a table or lines: every number of it has a key, by which it is traced to its records. */

/** What a number counts one of, or is computed from: said in words, with the records that say so. */
export interface Source {
  readonly what: string;
  readonly records: readonly number[];
}

export interface Figure {
  readonly key: string;
  readonly label: string;
  /** A count of its sources, or text that is computed from them. */
  readonly value: number | string;
  readonly sources: () => Iterable<Source>;
}

export interface Group {
  readonly title: string;
  readonly figures: readonly Figure[];
  /** Shown as bars, against the largest of them; otherwise as numbers alone. */
  readonly isCompared?: boolean;
}

export interface Bar {
  readonly label: string;
  readonly figure: Figure;
}

export interface Cell {
  readonly text: string;
  /** What says so. */
  readonly records?: readonly number[];
  /** A number that is traced by a key of its own. */
  readonly figure?: Figure;
  readonly bars?: readonly Bar[];
}

export interface Row {
  /** Traces it to its records. */
  readonly key: string;
  readonly cells: readonly Cell[];
  readonly records: readonly number[];
  /** What WORKFLOW found wrong with it; empty: nothing. */
  readonly faults: readonly string[];
}

export interface Column {
  /** In CSV and JSON Lines: stable. */
  readonly name: string;
  /** On a page. */
  readonly title: string;
  /** On a page, the column that it stands in with others; left out: one of its own. */
  readonly under?: string;
  /** Whether its cells name records: then a column more names them. */
  readonly hasRecords?: true;
}

export interface Report {
  readonly kind: ReportKind;
  readonly title: string;
  /** What it is and what it is of, a sentence each. */
  readonly intro: readonly string[];
  readonly groups: readonly Group[];
  readonly caption: string;
  readonly columns: readonly Column[];
  readonly rowCount: number;
  readonly rows: () => Iterable<Row>;
  /** Beside what the verification does not prove, what this report does not cover. */
  readonly notCovered: readonly string[];
}

export const REPORT_KINDS = ['population', 'sample', 'gaps', 'controls', 'privilege'] as const;
export type ReportKind = (typeof REPORT_KINDS)[number];

/** A figure that counts what it is of. */
export function counted<T>(key: string, label: string, of: readonly T[], source: (one: T) => Source): Figure {
  return { key, label, value: of.length, sources: () => sourcesOf(of, source) };
}

function* sourcesOf<T>(of: readonly T[], source: (one: T) => Source): Generator<Source> {
  for (const one of of) yield source(one);
}

/** The figure, or the row, with that key; null for none. Also a cell's, or a bar's. */
export function traced(report: Report, key: string): Figure | null {
  for (const { figures } of report.groups) {
    const found = figures.find((figure) => figure.key === key);
    if (found !== undefined) return found;
  }
  for (const row of report.rows()) {
    if (row.key === key) return { key, label: row.cells.map(({ text }) => text).filter((text) => text !== '').slice(0, 3).join(' '), value: row.records.length, sources: () => [{ what: row.key, records: row.records }] };
    for (const { figure, bars } of row.cells) {
      const found = figure?.key === key ? figure : bars?.find((bar) => bar.figure.key === key)?.figure;
      if (found !== undefined) return found;
    }
  }
  return null;
}
