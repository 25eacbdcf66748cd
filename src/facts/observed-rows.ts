/** Rows of a query about use → what a `usage.yaml` would say. Columns: `account` and `connector`, or `nhi`; `privilege`; perhaps `lastUsedAt`. */
import type { FactsIssue } from './facts-error.ts';
import { FactsError, ISSUES_MAX } from './facts-error.ts';
import type { InventoryEntry, UsageFile } from './schemas.ts';
import { openUsageRows } from './usage-rows.ts';

export interface ObservedRows {
  /** @throws FactsError `malformed` */
  take(row: unknown): void;
  /** @throws FactsError `malformed` */
  end(): UsageFile;
}

export interface ObservedFrom {
  /** Whose rows these are, for messages. */
  readonly name: string;
  /** Of rows that name none. */
  readonly connector: string | null;
  /** What `nhi` is looked up in; null: rows name accounts. */
  readonly nhis: readonly Pick<InventoryEntry, 'id' | 'accounts'>[] | null;
  readonly nowMs: number;
}

const COLUMNS: Readonly<Record<string, string>> = { connector: 'connector', account: 'account', nhi: 'nhi', privilege: 'privilege', lastusedat: 'lastUsedAt', last_used_at: 'lastUsedAt' };

/** Columns may be in any case, as PostgreSQL folds names; `null` says nothing. A row that is not understood is a row that says nothing of use: all are refused. */
export function openObservedRows({ name, connector, nhis, nowMs }: ObservedFrom): ObservedRows {
  const rows = openUsageRows(name, 'jsonl', { nowMs, otherwiseAtMs: nowMs });
  const accounts = new Map<unknown, InventoryEntry['accounts']>((nhis ?? []).map((nhi) => [nhi.id, nhi.accounts]));
  const issues: FactsIssue[] = [];
  let line = 0;
  const wrong = (pointer: string, message: string): void => {
    issues.push({ file: name, line, pointer, message });
    if (issues.length >= ISSUES_MAX) throw new FactsError('malformed', issues);
    // So that the rows after it keep their numbers.
    rows.push('\n');
  };
  return {
    take(row) {
      line += 1;
      const said: Record<string, unknown> = connector === null ? {} : { connector };
      for (const [column, value] of Object.entries(row as Record<string, unknown>)) {
        const field = Object.hasOwn(COLUMNS, column.toLowerCase()) ? COLUMNS[column.toLowerCase()]! : null;
        if (field === null) return wrong(`/${column}`, 'no such column: connector, account or nhi, privilege, lastUsedAt');
        if (value !== null) said[field] = value;
      }
      const { nhi, ...known } = said;
      if (nhi !== undefined) {
        if (known['account'] !== undefined) return wrong('/nhi', 'names an account as well: one of the two');
        const account = accounts.get(nhi)?.[String(known['connector'])];
        if (account === undefined) return wrong('/nhi', nhis === null ? 'is looked up in an inventory, and none was named' : `${JSON.stringify(nhi)} has no account at ${String(known['connector'])} in the inventory`);
        known['account'] = account;
      }
      rows.push(`${JSON.stringify(known)}\n`);
    },
    end() {
      if (issues.length > 0) throw new FactsError('malformed', issues);
      return rows.end();
    },
  };
}
