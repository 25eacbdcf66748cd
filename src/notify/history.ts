/** The recent past, folded out of the ledger: only what was touched since, so that a long ledger costs a restart nothing. */
import type { Log } from '../../ledger/index.ts';
import { evolve, type ChangeState } from '../change/state.ts';
import { entriesAt } from '../engine/entries-at.ts';
import { eventsOf } from '../evidence/adoption.ts';
import type { Told } from './derive.ts';

/**
 * Every event of the durable records at `seqs`, each with the state just after it, in the ledger's order.
 *
 * @param seqs in order; of each change all, or none
 * @throws LedgerError or MalformedRecord while it is read
 */
export async function* recentHistory(log: Pick<Log, 'entries' | 'object'>, seqs: readonly number[]): AsyncGenerator<Told> {
  const states = new Map<string, ChangeState | null>();
  for await (const { record } of entriesAt(log, seqs)) {
    for await (const event of eventsOf(record, (digest) => log.object(digest))) {
      const state = evolve(states.get(event.changeId) ?? null, event);
      states.set(event.changeId, state);
      // What happened under an earlier log was its sidecar's to tell.
      if (record.type !== 'change.adopted') yield { event, state };
    }
  }
}
