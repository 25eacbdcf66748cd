/** `report sample`: changes drawn from the population, the same for everybody who draws with this seed from this ledger. */
import { sha256 } from '../../ledger/index.ts';
import { counted, type Report, type Row } from './model.ts';
import { changesIn, spanWordsOf, type Given } from './given.ts';
import type { ReportChange } from './facts.ts';
import { CHANGE_COLUMNS, cellsOf } from './population.ts';
import { faultsOf, ofChange } from './words.ts';

export interface Draw {
  readonly seed: string;
  readonly size: number;
}

/**
 * What a change is ranked by: SHA-256 over seed, root of the ledger in hex and the change’s id, each on a line of its own without the last line’s end.
 *
 *     printf '%s\n%s\n%s' SEED ROOT CHANGE | sha256sum
 */
export function drawOf(seed: string, root: string, change: string): string {
  return Buffer.from(sha256(Buffer.from(`${seed}\n${root}\n${change}`))).toString('hex');
}

/** The `size` changes whose draw comes first, in that order. */
export function drawn(changes: readonly ReportChange[], { seed, size }: Draw, root: string): { readonly change: ReportChange; readonly draw: string }[] {
  return changes.map((change) => ({ change, draw: drawOf(seed, root, change.change) })).sort((a, b) => (a.draw < b.draw ? -1 : 1)).slice(0, size);
}

export function sampleReport(given: Given, draw: Draw, root: string): Report {
  const population = changesIn(given);
  const sample = drawn(population, draw, root);
  return {
    kind: 'sample', title: 'Sample of access changes',
    intro: [
      `${sample.length} of the ${population.length} changes that went on, ${spanWordsOf(given.span)}, drawn with the seed “${draw.seed}”.`,
      'Each change is ranked by SHA-256(seed, newline, root of the ledger in hex, newline, change id), and those that come first are the sample: for one of them, printf \'%s\\n%s\\n%s\' SEED ROOT CHANGE | sha256sum.',
      'A seed that was chosen after the ledger was handed over leaves nobody a choice of what is drawn.',
    ],
    groups: [{ title: 'In short', figures: [counted('population', 'changes to draw from', population, ofChange), counted('drawn', 'drawn', sample.map(({ change }) => change), ofChange), counted('faults', 'of these at fault', sample.map(({ change }) => change).filter(({ violations }) => violations.length > 0), ofChange)] }],
    caption: 'The sample, in the order in which it was drawn', columns: [...CHANGE_COLUMNS.slice(0, 1), { name: 'draw', title: 'Drawn by', under: 'Change' }, ...CHANGE_COLUMNS.slice(1)], rowCount: sample.length,
    rows: () => rowsOf(sample), notCovered: ['the changes that were not drawn: report population has all of them'],
  };
}

function* rowsOf(sample: readonly { readonly change: ReportChange; readonly draw: string }[]): Generator<Row> {
  for (const { change, draw } of sample) {
    const [id, ...rest] = cellsOf(change);
    yield { key: change.change, cells: [id!, { text: draw }, ...rest], records: change.records, faults: faultsOf(change) };
  }
}
