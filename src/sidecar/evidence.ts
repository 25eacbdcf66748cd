/** The records of one change and the proof that the last of them is in the ledger. */
import { formatProof, type LedgerRecord, type Log } from '../../ledger/index.ts';
import type { ChangeState } from '../change/state.ts';
import { readAdopted } from '../evidence/adoption.ts';
import { parseTime } from '../protocol/values.ts';
import type { Evidence } from './schemas.ts';

/** The evidence of a change as it stands at `state`; of one that was adopted, its records under earlier logs first. @throws LedgerError, MalformedRecord */
export async function readEvidence(log: Log, state: ChangeState): Promise<Evidence> {
  if (state.lastSeq >= log.checkpoint().size) await log.sync();
  const records: LedgerRecord[] = [];
  for await (const entry of log.entries(await firstAt(log, state.requestedAtMs, state.lastSeq), state.lastSeq + 1)) {
    if (entry.record.change !== state.changeId) continue;
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

/** The first record that was written at `atMs` or later: records are never younger than those before them. */
async function firstAt(log: Log, atMs: number, lastSeq: number): Promise<number> {
  let low = 0;
  for (let high = lastSeq; low < high; ) {
    const middle = Math.floor((low + high) / 2);
    for await (const { record } of log.entries(middle, middle + 1)) {
      if (parseTime(record.at) < atMs) low = middle + 1;
      else high = middle;
    }
  }
  return low;
}
