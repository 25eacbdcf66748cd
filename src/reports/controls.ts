/** `report controls`: by framework and control, which records are evidence for it, and for which there is none. */
import { formatTime } from '../protocol/values.ts';
import { counted, type Cell, type Column, type Figure, type Report, type Row, type Source } from './model.ts';
import { changesIn, spanWordsOf, type Given } from './given.ts';
import type { At, ControlCount, ReportChange } from './facts.ts';
import { isExceptional } from './population.ts';
import { faultsOf, ofChange, plural } from './words.ts';

const COLUMNS: readonly Column[] = [
  { name: 'control', title: 'Control' }, { name: 'framework', title: '', under: 'Control' }, { name: 'title', title: '', under: 'Control' },
  { name: 'types', title: 'What is evidence', hasRecords: true }, { name: 'count', title: 'Records', under: 'Numbers' }, { name: 'operations', title: 'Changes', under: 'Numbers' }, { name: 'exceptions', title: 'Exceptions', under: 'Numbers' },
  { name: 'first', title: 'First', under: 'When', hasRecords: true }, { name: 'last', title: 'Last', under: 'When', hasRecords: true },
];

/** `soc-2/CC6.1`. */
export function controlKey({ framework, id }: Pick<ControlCount, 'framework' | 'id'>): string {
  return `${slugOf(framework)}/${id.replaceAll(/\s+/g, '-')}`;
}

export function slugOf(framework: string): string {
  const slug = framework.toLowerCase().replaceAll(/[^\p{L}\p{M}\p{N}]+/gu, '-').replaceAll(/^-+|-+$/g, '');
  return slug === '' ? encodeURIComponent(framework) : slug;
}

/** @param rulesOf codes of the rules of the shipped policy that are evidence for a control, where they speak */
export function controlsReport(given: Given, rulesOf: (control: ControlCount) => readonly string[]): Report {
  const { controls, controlsLeftOut } = given.facts;
  const changes = changesIn(given);
  const frameworks = [...new Set(controls.map(({ framework }) => framework))];
  const rows = controls.map((control, n) => rowOf(control, changes.filter((change) => ((change.controls >> BigInt(n)) & 1n) === 1n), rulesOf(control)));
  const group = (prefix: string, title: string, test: (control: ControlCount) => boolean): Report['groups'][number] => ({
    title, isCompared: true, figures: frameworks.map((framework) => counted(`${prefix}/${slugOf(framework)}`, framework, controls.filter((control) => control.framework === framework && test(control)), sourceOf)),
  });
  return {
    kind: 'controls', title: 'Evidence by control',
    intro: [
      `Which records are evidence for which control, ${spanWordsOf(given.span)}: by their type, and by the rules of policy that spoke in them. Evidence for a control is not the control.`,
      'A change counts for a control where a record of it is evidence for that; it is an exception where WORKFLOW found fault with it, an exception or a broken glass let it through, or what policy said was not enforced.',
    ],
    groups: [
      { title: 'In short', figures: [counted('controls', 'controls', controls, sourceOf), counted('evidenced', 'with evidence', controls.filter(({ records }) => records > 0), sourceOf), counted('exceptional', 'changes that are exceptions', changes.filter(isExceptional), ofChange)] },
      group('with', 'Controls with evidence', ({ records }) => records > 0), group('silent', 'Controls that something could be evidence for, and nothing was', (control) => isSilent(control, rulesOf)),
      group('nothing', 'Controls that nothing here covers', (control) => control.records === 0 && !isSilent(control, rulesOf)),
    ],
    caption: 'Controls, by framework', columns: COLUMNS, rowCount: rows.length, rows: () => rows,
    notCovered: ['whether a control is designed well, kept, or enough: its other parts, and who reviews it, are for whoever answers for it', 'the controls that are said to have no evidence here', ...(controlsLeftOut === 0 ? [] : [`further controls that policy named in ${plural(controlsLeftOut, 'record')}: it names more than are told apart here`])],
  };
}

const isSilent = (control: ControlCount, rulesOf: (control: ControlCount) => readonly string[]): boolean => control.records === 0 && (control.couldBe > 0 || rulesOf(control).length > 0);

function sourceOf(control: ControlCount): Source {
  const { framework, id, title, first, last } = control;
  return { what: `${framework} ${id} ${title}`, records: seqsOf([first, last]) };
}

function rowOf(control: ControlCount, changes: readonly ReportChange[], rules: readonly string[]): Row {
  const { framework, id, title, types, records, first, last, seqs } = control;
  const key = controlKey(control);
  const exceptional = changes.filter(isExceptional);
  const ofRecords: Figure = { key: `${key}/records`, label: `records that are evidence for ${framework} ${id}`, value: records, sources: () => (seqs ?? []).map((seq) => ({ what: `record ${seq}`, records: [seq] })) };
  const spoken = [...types].sort((a, b) => b[1] - a[1]).map(([type, count]) => `${type} ×${count}`).join(', ');
  const none = isSilent(control, () => rules) ? `nothing in this time; ${[...(control.couldBe > 0 ? ['records of its types'] : []), ...(rules.length > 0 ? [`the rules ${rules.join(', ')}`] : [])].join(' and ')} would be` : 'nothing here covers it';
  return {
    key, records: seqsOf([first, last]), faults: exceptional.flatMap(faultsOf).slice(0, 3),
    cells: [
      { text: id }, { text: framework }, { text: title }, { text: records > 0 ? spoken : none, records: seqsOf([first, last]) }, number(ofRecords), number(counted(`${key}/operations`, `changes of which a record is evidence for ${framework} ${id}`, changes, ofChange)),
      number(counted(`${key}/exceptions`, `exceptions among the changes of ${framework} ${id}`, exceptional, ofChange)), at(first), at(last),
    ],
  };
}

const number = (figure: Figure): Cell => ({ text: String(figure.value), figure });
const at = (what: At | null): Cell => (what === null ? { text: '' } : { text: formatTime(what.atMs), records: [what.seq] });
const seqsOf = (those: readonly (At | null)[]): number[] => [...new Set(those.flatMap((one) => (one === null ? [] : [one.seq])))];
