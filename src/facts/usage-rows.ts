/**
 * Observed usage as targets export it, a row for each use: `connector,account,privilege[,lastUsedAt]` in CSV, or an object of these a line. Folded as it
 * comes into what a `usage.yaml` would say; the rows are not kept. An account without a privilege was looked at, and used nothing.
 */
import { z } from 'zod';
import { JsonError, parseStrict } from '../../ledger/index.ts';
import { connectorIdSchema, plainTextSchema } from '../protocol/values.ts';
import { CsvError, openTable, type CsvReader } from './csv.ts';
import { FactsError, FILE_BYTES_MAX, ISSUES_MAX, type FactsIssue } from './facts-error.ts';
import { usageFileSchema, type UsageFile } from './schemas.ts';

export type UsageFormat = 'csv' | 'jsonl';

/** As the file's name says; null: it is YAML or JSON. */
export function usageFormat(name: string): UsageFormat | null {
  return name.endsWith('.csv') ? 'csv' : name.endsWith('.jsonl') ? 'jsonl' : null;
}

const FIELDS = ['connector', 'account', 'privilege', 'lastUsedAt'] as const;
const rowSchema = z.strictObject({
  connector: connectorIdSchema,
  account: plainTextSchema(128),
  privilege: plainTextSchema(256).optional(),
  lastUsedAt: z.iso.datetime({ offset: true, error: 'a time such as 2026-11-20T08:15:00Z' }).optional(),
});

export interface UsageRows {
  push(text: string): void;
  end(): UsageFile;
}

/** Clocks of targets may be wrong by this much; what was used later than that was not. */
const AHEAD_MAX_MS = 86_400_000;
const LINE_LENGTH_MAX = 65_536;
/** As a file of YAML may have. */
const ACCOUNTS_MAX = 50_000;
const PRIVILEGES_MAX = 1_024;

/**
 * Takes text in pieces, cut anywhere. When it was looked at is the latest `lastUsedAt`, which is never later than that; `otherwiseAtMs` where no row has one.
 *
 * @throws FactsError `malformed` from both, naming the lines
 */
export function openUsageRows(file: string, format: UsageFormat, { nowMs, otherwiseAtMs }: { readonly nowMs: number; readonly otherwiseAtMs: number }): UsageRows {
  const accounts = new Map<string, { readonly connector: string; readonly account: string; readonly privileges: Set<string> }>();
  const issues: FactsIssue[] = [];
  let latestMs: number | null = null;
  // Of what was said so far, as JSON: what is known stays within it however many rows are yet to come.
  let bytes = bytesOf({ v: 1, observedAtMs: nowMs, usage: [] });
  const stop = (): never => {
    throw new FactsError('malformed', issues);
  };
  const wrong = (line: number | null, pointer: string, message: string): void => {
    issues.push({ file, line, pointer, message });
    if (issues.length >= ISSUES_MAX) stop();
  };
  const take = (line: number, value: unknown): void => {
    const row = rowSchema.safeParse(value);
    if (!row.success) {
      for (const { path, message } of row.error.issues) wrong(line, path.map((part) => `/${String(part)}`).join(''), message);
      return;
    }
    const { connector, account, privilege, lastUsedAt } = row.data;
    if (lastUsedAt !== undefined) {
      const usedAtMs = Date.parse(lastUsedAt);
      if (usedAtMs > nowMs + AHEAD_MAX_MS) return wrong(line, '/lastUsedAt', `${lastUsedAt} is yet to come`);
      latestMs = Math.max(latestMs ?? usedAtMs, usedAtMs);
    }
    const key = JSON.stringify([connector, account]);
    let known = accounts.get(key);
    if (known === undefined) {
      known = { connector, account, privileges: new Set<string>() };
      bytes += bytesOf({ connector, account, privileges: [] }) + (accounts.size === 0 ? 0 : 1);
      accounts.set(key, known);
    }
    if (privilege !== undefined && !known.privileges.has(privilege)) {
      bytes += bytesOf(privilege) + (known.privileges.size === 0 ? 0 : 1);
      known.privileges.add(privilege);
    }
    const full = accounts.size > ACCOUNTS_MAX ? `more than ${ACCOUNTS_MAX} accounts`
      : known.privileges.size > PRIVILEGES_MAX ? `more than ${PRIVILEGES_MAX} privileges of ${account} at ${connector}`
      : bytes > FILE_BYTES_MAX ? `says more than ${FILE_BYTES_MAX} bytes, each use told once` : null;
    if (full === null) return;
    wrong(line, '', full);
    stop();
  };
  const rows = format === 'csv' ? openCsvRows(take, wrong) : openLines(take, wrong);
  const reading = (act: () => void): void => {
    try {
      act();
    } catch (error) {
      if (!(error instanceof CsvError)) throw error;
      wrong(error.problem.line, error.problem.column === null ? '' : `/${error.problem.column}`, error.problem.message);
      stop();
    }
  };
  return {
    push: (text) => reading(() => rows.push(text)),
    end() {
      reading(() => rows.end());
      if (issues.length > 0) stop();
      const usage = [...accounts.values()].map((one) => ({ ...one, privileges: [...one.privileges].sort() })).sort(byAccount);
      return usageFileSchema.parse({ v: 1, observedAtMs: latestMs ?? Math.floor(otherwiseAtMs), usage });
    },
  };
}

/** As JSON. */
const bytesOf = (value: unknown): number => Buffer.byteLength(JSON.stringify(value));

type Account = UsageFile['usage'][number];

function byAccount(a: Account, b: Account): number {
  const [left, right] = [[a.connector, a.account], [b.connector, b.account]].map((key) => JSON.stringify(key)) as [string, string];
  return left < right ? -1 : 1;
}

type Take = (line: number, value: unknown) => void;
type Wrong = (line: number, pointer: string, message: string) => void;

function openCsvRows(take: Take, wrong: Wrong): CsvReader {
  return openTable({
    fields: FIELDS, required: ['connector', 'account', 'privilege'],
    take({ line, cells, problem }) {
      if (problem !== null) wrong(problem.line, problem.column === null ? '' : `/${problem.column}`, problem.message);
      else take(line, Object.fromEntries([...cells].filter(([, { text }]) => text !== '').map(([field, { text }]) => [field, text])));
    },
  });
}

/** A value of strict JSON a line; blank lines say nothing. */
function openLines(take: Take, wrong: Wrong): CsvReader {
  let rest = '';
  let line = 1;
  const takeLine = (text: string): void => {
    if (text.trim() === '') return;
    if (text.length > LINE_LENGTH_MAX) return wrong(line, '', `longer than ${LINE_LENGTH_MAX} characters`);
    try {
      take(line, parseStrict(Buffer.from(text)));
    } catch (error) {
      if (!(error instanceof JsonError)) throw error;
      wrong(line, error.pointer, error.message);
    }
  };
  return {
    push(text) {
      const lines = (rest + text).split('\n');
      rest = lines.pop()!;
      for (const one of lines) {
        takeLine(one);
        line += 1;
      }
      if (rest.length > LINE_LENGTH_MAX) throw new CsvError({ line, column: null, message: `longer than ${LINE_LENGTH_MAX} characters` });
    },
    end: () => takeLine(rest),
  };
}
