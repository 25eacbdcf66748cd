/** Records of a ledger that stand apart from one another. */
import type { Appended, Log } from '../../ledger/index.ts';

/** To read so many records that nobody asked for costs less than to begin anew. */
const GAP_MAX = 8;

/** The durable records at `seqs`, which are in order. @throws LedgerError */
export async function* entriesAt(log: Pick<Log, 'entries'>, seqs: readonly number[]): AsyncGenerator<Appended> {
  for (let at = 0; at < seqs.length; ) {
    let end = at + 1;
    while (end < seqs.length && seqs[end]! - seqs[end - 1]! <= GAP_MAX) end += 1;
    const wanted = new Set(seqs.slice(at, end));
    for await (const entry of log.entries(seqs[at]!, seqs[end - 1]! + 1)) if (wanted.has(entry.seq)) yield entry;
    at = end;
  }
}
