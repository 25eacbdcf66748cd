/** The records of one change and the proof that the last of them is in the ledger. */
import { formatProof, type LedgerRecord, type Log } from '../../ledger/index.ts';
import type { ChangeState } from '../change/state.ts';
import { carriedBy, readAdopted } from '../evidence/adoption.ts';
import { commitmentIn } from '../evidence/prose.ts';
import type { ReadObject } from '../evidence/record.ts';
import { disclosedBy, type ProseName } from '../protocol/disclosure.ts';
import { entriesAt } from '../engine/entries-at.ts';
import type { Evidence } from './schemas.ts';

/**
 * The evidence of a change as it stands at `state`; of one that was adopted, its records under earlier logs first.
 *
 * @param seqs of its records, in order; any that come after `state` are left out
 * @throws LedgerError, MalformedRecord
 */
export async function readEvidence(log: Log, seqs: readonly number[], state: ChangeState, erasedUnder: (digests: ReadonlySet<string>) => Promise<ReadonlyMap<string, number>>): Promise<Evidence> {
  if (state.lastSeq >= log.checkpoint().size) await log.sync();
  const records: LedgerRecord[] = [];
  const disclosed: Disclosed[] = [];
  const take = async (record: LedgerRecord, readObject: ReadObject): Promise<void> => {
    records.push(record);
    disclosed.push(...(await disclosedIn(record, readObject)));
  };
  for await (const entry of entriesAt(log, seqs.filter((seq) => seq <= state.lastSeq))) {
    const readObject = (digest: string): Promise<Uint8Array | null> => log.object(digest);
    if (entry.record.type === 'change.adopted') for await (const { record } of readAdopted(entry.record, readObject)) await take(record, carriedBy(entry.record, readObject));
    await take(entry.record, readObject);
  }
  const { text, size } = log.checkpoint();
  const { hashes } = log.prove(state.lastSeq, size);
  const under = await erasedUnder(new Set(disclosed.flatMap(({ object, text }) => (text === null && object !== null ? [object] : []))));
  return {
    disclosures: disclosed.map(({ object, ...one }) => ({ ...one, erasedUnder: object === null ? null : (under.get(object) ?? null) })),
    records: records.map((record) => {
      const body = record.body as Evidence['records'][number]['body'];
      return { ...record, body, objects: [...record.objects] };
    }),
    proof: formatProof({ index: state.lastSeq, hashes, checkpoint: text }),
    checkpoint: text,
  };
}

interface Disclosed {
  readonly commitment: string;
  readonly name: ProseName;
  readonly text: string | null;
  /** The object that the record names for it. */
  readonly object: string | null;
}

async function disclosedIn(record: LedgerRecord, readObject: ReadObject): Promise<readonly Disclosed[]> {
  const committed = commitmentIn(record);
  if (committed === null) return [];
  const object = record.objects[0] ?? null;
  const bytes = object === null ? null : await readObject(object);
  return [{ ...committed, text: bytes === null ? null : disclosedBy(bytes, committed.name, committed), object }];
}
