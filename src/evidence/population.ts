/** The changes that a verification was about, a row each: what an auditor draws a sample from, and compares with a list from elsewhere. */
import type { ChangeEvent } from '../change/events.ts';
import { shownState, type ChangeState, type StateName } from '../change/state.ts';
import { entitlementsOf, type RecordedRequest } from '../protocol/request.ts';
import { formatTime } from '../protocol/values.ts';
import type { Audited } from './audited.ts';

export interface PopulationRow {
  readonly change: string;
  readonly kind: RecordedRequest['kind'];
  /** Whose access it is about. */
  readonly subject: string;
  /** null for what is about no one system. */
  readonly connector: string | null;
  readonly target: string | null;
  readonly privileges: readonly string[];
  /** Who asked, and for whom they did. */
  readonly requester: readonly string[];
  /** Whose approvals of the newest revision were checked, and hold. */
  readonly approvers: readonly string[];
  readonly requestedAt: string;
  /** When its first step was recorded as done; null where nothing was. */
  readonly effectAt: string | null;
  /** When its access is to end; null where it has no end of its own. */
  readonly endsAt: string | null;
  /** When what it gave was recorded as gone. */
  readonly endedAt: string | null;
  readonly state: StateName;
  /** Its first record here. */
  readonly record: number;
}

export interface Population {
  /** Takes what became of a change by `event`, of which record `seq` tells. */
  follow(after: Audited, event: ChangeEvent, seq: number): void;
  /** In the order of their first records. */
  rows(): readonly PopulationRow[];
}

export function openPopulation(): Population {
  const rows = new Map<string, PopulationRow>();
  return {
    follow(after, event, seq) {
      rows.set(event.changeId, rowOf(after, event, rows.get(event.changeId) ?? null, seq));
    },
    rows: () => [...rows.values()],
  };
}

/** After these it may be others who have approved the change: by a rejection all ids of whoever rejects, and by a decision what counts no more, are out. */
const COUNTS_ANEW: ReadonlySet<ChangeEvent['type']> = new Set(['approval.recorded', 'approval.rejected', 'change.revised', 'policy.decided']);

/** The row of a change once `event` has happened, of which record `seq` tells. */
export function rowOf({ state, approvals }: Audited, event: ChangeEvent, before: PopulationRow | null, seq: number): PopulationRow {
  const { request } = state;
  const place = placeOf(request);
  return {
    change: event.changeId, kind: request.kind, subject: request.subject, ...place, privileges: entitlementsOf(request).map(({ privilege }) => privilege),
    requester: state.requester,
    // What is remembered of a change that is over has no approvals any more.
    approvers: COUNTS_ANEW.has(event.type) ? [...new Set(approvals.map(({ statement }) => statement.approver))] : (before?.approvers ?? []),
    requestedAt: formatTime(state.requestedAtMs),
    effectAt: before?.effectAt ?? (event.type === 'step.succeeded' ? formatTime(event.atMs) : null),
    endsAt: endsAt(state) ?? before?.endsAt ?? null,
    endedAt: before?.endedAt ?? (event.type === 'lease.ended' && state.ended !== null ? formatTime(event.atMs) : null),
    state: shownState(state), record: before?.record ?? seq,
  };
}

function endsAt({ lease, extension }: ChangeState): string | null {
  const ends = lease ?? extension;
  return ends === null ? null : formatTime(ends.endsAtMs);
}

function placeOf(request: RecordedRequest): { readonly connector: string | null; readonly target: string | null } {
  if ('connector' in request) return { connector: request.connector, target: request.target };
  const [first] = entitlementsOf(request);
  return { connector: first?.connector ?? null, target: first?.target ?? null };
}

export const POPULATION_COLUMNS = [
  'change', 'kind', 'subject', 'connector', 'target', 'privileges', 'requester', 'approvers', 'requestedAt', 'effectAt', 'endsAt', 'endedAt', 'state', 'record',
] as const satisfies readonly (keyof PopulationRow)[];

/** What a row says in one column, as text; lists are separated by spaces. */
export function cellOf(row: PopulationRow, column: (typeof POPULATION_COLUMNS)[number]): string {
  const value = row[column];
  if (value === null) return '';
  return typeof value === 'object' ? value.join(' ') : String(value);
}

/** RFC 4180, a header first; every field is quoted, and none is a formula to a spreadsheet. */
export function populationCsv(rows: readonly PopulationRow[]): string {
  const lines = [POPULATION_COLUMNS, ...rows.map((row) => POPULATION_COLUMNS.map((column) => cellOf(row, column)))];
  return lines.map((cells) => `${cells.map(csvField).join(',')}\r\n`).join('');
}

/** A cell that begins like a formula is one to a spreadsheet, quoted or not: an apostrophe before it makes it text. */
export function csvField(text: string): string {
  return `"${/^[=+\-@\t\r\n]/.test(text) ? '\'' : ''}${text.replaceAll('"', '""')}"`;
}
