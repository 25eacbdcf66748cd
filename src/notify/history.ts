/** The recent past, folded out of the ledger: only what was touched since, so that a long ledger costs a restart nothing. */
import type { Log } from '../../ledger/index.ts';
import { evolve, type ChangeState } from '../change/state.ts';
import { eventsOf } from '../evidence/adoption.ts';
import { isChangeEventType } from '../evidence/record.ts';
import { parseTime } from '../protocol/values.ts';
import type { Told } from './derive.ts';

/**
 * Every durable event of the changes that have a record younger than `sinceMs`, each with the state just after it, in the ledger's order.
 *
 * @param changes as they are now
 * @throws LedgerError or MalformedRecord while it is read
 */
export async function* recentHistory(log: Pick<Log, 'entries' | 'object' | 'durableSize'>, changes: Iterable<ChangeState>, sinceMs: number): AsyncGenerator<Told> {
  const states = new Map<string, ChangeState | null>();
  let fromMs = Infinity;
  for (const { changeId, requestedAtMs, lastAtMs } of changes) {
    if (lastAtMs <= sinceMs) continue;
    states.set(changeId, null);
    fromMs = Math.min(fromMs, requestedAtMs);
  }
  if (states.size === 0) return;
  for await (const { record } of log.entries(await firstSince(log, fromMs))) {
    if (record.change === null || !states.has(record.change) || !isChangeEventType(record.type)) continue;
    for await (const event of eventsOf(record, (digest) => log.object(digest))) {
      const state = evolve(states.get(record.change) ?? null, event);
      states.set(record.change, state);
      // What happened under an earlier log was its sidecar's to tell.
      if (record.type !== 'change.adopted') yield { event, state };
    }
  }
}

/** The first durable record that is not older than `atMs`. Records are never stamped earlier than those before them. */
async function firstSince(log: Pick<Log, 'entries' | 'durableSize'>, atMs: number): Promise<number> {
  let [low, high] = [0, log.durableSize];
  while (low < high) {
    const middle = low + Math.floor((high - low) / 2);
    for await (const { record } of log.entries(middle, middle + 1)) {
      if (parseTime(record.at) < atMs) low = middle + 1;
      else high = middle;
    }
  }
  return low;
}
