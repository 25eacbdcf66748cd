/** `report population`: every change of a time, none left out, and what became of each. */
import { formatTime } from '../protocol/values.ts';
import { counted, type Cell, type Column, type Figure, type Group, type Report, type Row } from './model.ts';
import { changesIn, spanWordsOf, type Given } from './given.ts';
import type { At, ReportChange } from './facts.ts';
import { faultsOf, ofChange, spanWords } from './words.ts';

const time = (name: string, title: string): Column => ({ name, title, under: 'Times', hasRecords: true });
export const CHANGE_COLUMNS: readonly Column[] = [
  { name: 'change', title: 'Change' },
  { name: 'kind', title: 'Kind', under: 'Access' }, { name: 'subject', title: 'Identity', under: 'Access' }, { name: 'connector', title: 'Connector', under: 'Access' }, { name: 'target', title: 'Target', under: 'Access' },
  { name: 'privileges', title: 'Privileges', under: 'Access' },
  { name: 'requester', title: 'Asked by', under: 'Who' }, { name: 'decision', title: 'Policy', under: 'Who', hasRecords: true }, { name: 'approvers', title: 'Approved by', under: 'Who', hasRecords: true },
  time('requestedAt', 'Requested'), time('authorisedAt', 'Authorised'), time('effectAt', 'Effect'), time('verifiedAt', 'Verified'), time('endsAt', 'To end'), time('endedAt', 'Gone'),
  { name: 'state', title: 'State', under: 'State' }, { name: 'remarks', title: 'Remarks', under: 'State', hasRecords: true },
];

export function populationReport(given: Given): Report {
  const changes = changesIn(given);
  return {
    kind: 'population', title: 'Population of access changes',
    intro: [
      `Every change that went on, ${spanWordsOf(given.span)}, from its first record to its last: the whole population, not a sample.`,
      'State and times are those at the end of what was verified. Approvals are those of the newest revision whose proof was checked and holds.',
    ],
    groups: figuresOf(changes), caption: 'Changes, in the order of their first records', columns: CHANGE_COLUMNS, rowCount: changes.length, rows: () => rowsOf(changes), notCovered: [],
  };
}

function* rowsOf(changes: readonly ReportChange[]): Generator<Row> {
  for (const change of changes) yield { key: change.change, cells: cellsOf(change), records: change.records, faults: faultsOf(change) };
}

const at = (what: At | null): Cell => (what === null ? { text: '' } : { text: formatTime(what.atMs), records: [what.seq] });

export function cellsOf(change: ReportChange): Cell[] {
  const { decision, ends, verified } = change;
  const remarks = remarksOf(change);
  return [
    { text: change.change }, { text: change.kind }, { text: change.subject }, { text: change.connector ?? '' }, { text: change.target ?? '' }, { text: change.privileges.join(' ') },
    { text: change.requester.join(' for ') },
    decision === null ? { text: '' } : { text: `${DECIDED[decision.effect]} (${decision.codes.join(' ')})`, records: [decision.seq] },
    { text: change.approvals.map(({ person, proofClass, isStanding }) => `${person} (${proofClass}${isStanding ? ', standing' : ''})`).join(', '), records: change.approvals.map(({ seq }) => seq) },
    { text: change.requestedAt, records: [change.record] }, at(change.authorised), at(change.effect), verified === null ? { text: '' } : { text: `${formatTime(verified.atMs)}${verified.effect === 'allow' ? '' : ' (not as decided)'}`, records: [verified.seq] },
    ends === null ? { text: '' } : { text: formatTime(ends.endsAtMs), records: [ends.seq] }, at(change.ended),
    { text: change.state }, { text: remarks.map(({ text }) => text).join('; '), records: remarks.map(({ seq }) => seq) },
  ];
}

const DECIDED = { allow: 'allowed', deny: 'denied', needsApproval: 'not without approval' } as const;

/** What is unlike the usual way of a change. */
function remarksOf({ exceptions, observed, glass, selfReported, effect, findings }: ReportChange): { readonly text: string; readonly seq: number }[] {
  return [
    ...exceptions.map(({ id, rule, owner, until, seq }) => ({ text: `exception ${id} of ${owner} took ${rule} away, until ${until}`, seq })),
    ...(observed === null ? [] : [{ text: `not enforced: scope ${observed.scope} of ${observed.owner} is under observe until ${observed.until}`, seq: observed.seq }]),
    ...(glass === null ? [] : [{ text: `${glass.by} broke the glass${glass.review === null ? ', not reviewed' : `; reviewed by ${glass.review.by}: ${glass.review.verdict}`}`, seq: glass.seq }]),
    ...(selfReported && effect !== null ? [{ text: 'self-reported', seq: effect.seq }] : []),
    ...[...findings].map(([code, { seq }]) => ({ text: `open: ${code}`, seq })),
  ];
}

export const isExceptional = ({ exceptions, observed, glass, violations }: ReportChange): boolean => exceptions.length > 0 || observed !== null || glass !== null || violations.length > 0;

function figuresOf(changes: readonly ReportChange[]): Group[] {
  const of = (key: string, label: string, test: (change: ReportChange) => boolean): Figure => counted(key, label, changes.filter(test), ofChange);
  const each = (prefix: string, value: (change: ReportChange) => string): Figure[] => [...new Set(changes.map(value))].sort().map((one) => of(`${prefix}/${one}`, one, (change) => value(change) === one));
  return [
    {
      title: 'In short',
      figures: [
        of('changes', 'changes', () => true), of('effect', 'had an effect', ({ effect }) => effect !== null), of('approved', 'approved by people', ({ approvals }) => approvals.length > 0),
        of('gone', 'taken back', ({ ended }) => ended !== null), latest(changes),
        of('exceptional', 'out of the usual way', isExceptional), of('self-reported', 'self-reported', ({ selfReported, effect }) => selfReported && effect !== null), of('faults', 'at fault', ({ violations }) => violations.length > 0),
      ],
    },
    { title: 'By what became of them', figures: each('state', ({ state }) => state), isCompared: true },
    { title: 'By kind', figures: each('kind', ({ kind }) => kind), isCompared: true },
    { title: 'By what policy said last', figures: each('decision', ({ decision }) => (decision === null ? 'nothing' : decision.effect)), isCompared: true },
    { title: 'By the weakest proof of their approvals', figures: each('proof', weakestProof), isCompared: true },
  ];
}

function weakestProof({ approvals }: ReportChange): string {
  return (['session', 'ssh', 'passkey'] as const).find((proofClass) => approvals.some((approval) => approval.proofClass === proofClass)) ?? 'none';
}

/** The latest that access was gone after it should have been. */
function latest(changes: readonly ReportChange[]): Figure {
  let worst: ReportChange | null = null;
  for (const change of changes) if ((change.ended?.lateMs ?? -1) > (worst?.ended?.lateMs ?? 0)) worst = change;
  const { ended } = worst ?? { ended: null };
  return { key: 'latest', label: 'the latest end, after it was due', value: ended === null ? 'none' : spanWords(ended.lateMs ?? 0), sources: () => (worst === null ? [] : [ofChange(worst)]) };
}
