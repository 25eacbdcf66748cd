/** The records of one change and the proof that the last of them is in the ledger. */
import { formatProof, type LedgerRecord, type Log } from '../../ledger/index.ts';
import type { ChangeState } from '../change/state.ts';
import { readAdopted } from '../evidence/adoption.ts';
import { entriesAt } from '../engine/entries-at.ts';
import type { Evidence } from './schemas.ts';

/**
 * The evidence of a change as it stands at `state`; of one that was adopted, its records under earlier logs first.
 *
 * @param seqs of its records, in order; any that come after `state` are left out
 * @throws LedgerError, MalformedRecord
 */
export async function readEvidence(log: Log, seqs: readonly number[], state: ChangeState): Promise<Evidence> {
  if (state.lastSeq >= log.checkpoint().size) await log.sync();
  const records: LedgerRecord[] = [];
  for await (const entry of entriesAt(log, seqs.filter((seq) => seq <= state.lastSeq))) {
    if (entry.record.type === 'change.adopted') for await (const { record } of readAdopted(entry.record, (digest) => log.object(digest))) records.push(record);
    records.push(entry.record);
  }
  const { text, size } = log.checkpoint();
  const { hashes } = log.prove(state.lastSeq, size);
  return {
    records: records.map((record) => {
      const body = record.body as Evidence['records'][number]['body'];
      return { ...record, body, objects: [...record.objects] };
    }),
    proof: formatProof({ index: state.lastSeq, hashes, checkpoint: text }),
    checkpoint: text,
  };
}
