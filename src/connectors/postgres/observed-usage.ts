/** What a query at a PostgreSQL server says was used, row by row: read only, and never all of it in memory. */
import type { PostgresAddress } from './address.ts';
import { withSession } from './session.ts';

const ROWS_AT_ONCE = 1_000;

/**
 * Every row has been given to `take`, as JSON has it: a `timestamptz` with its offset, a `timestamp` without one.
 *
 * The query runs in a transaction that can only read, with nothing but `pg_catalog` on the search path, and by itself: what is not one query is refused.
 *
 * @throws TargetError where the server cannot be reached or refuses it, and whatever `take` throws
 */
export async function readObservedUsage(at: { readonly address: PostgresAddress; readonly query: string; readonly statementTimeoutMs: number }, signal: AbortSignal, take: (row: unknown) => void): Promise<void> {
  const { address, query, statementTimeoutMs } = at;
  await withSession({ address, as: 'admin', statementTimeoutMs }, signal, async (session) => {
    await session.query('BEGIN READ ONLY');
    await session.query(`SET LOCAL TIME ZONE 'UTC'`);
    // Its own lines, so that a comment at its end ends there.
    await session.query(`DECLARE observed NO SCROLL CURSOR FOR SELECT pg_catalog.to_json(usage) AS row FROM (\n${query.replace(/;\s*$/, '')}\n) AS usage`);
    for (;;) {
      const rows = await session.query(`FETCH ${ROWS_AT_ONCE} FROM observed`);
      for (const { row } of rows) take(row);
      if (rows.length < ROWS_AT_ONCE) break;
    }
    await session.query('ROLLBACK');
  });
}
