/** `ledger.heads`: the record by which a log says which record is the last of each change, and what makes one true. */
import type { ChainHeads } from './chain.ts';
import { formatDigest } from './hash.ts';
import type { JsonObject } from './json.ts';
import type { LedgerRecord } from './record.ts';

export const HEADS_TYPE = 'ledger.heads';

/** The heads of all changes as they are before a record: what the body of a `ledger.heads` record says there. */
export interface ChangeHeads {
  /** Records before, which is the record's own seq. */
  readonly size: number;
  /** Changes that have a record among them. */
  readonly changes: number;
  /** Of the change-head map, as a digest. */
  readonly root: string;
}

/** The heads as they are now. The first call costs some microseconds a change, each further one only what has moved since. */
export function changeHeadsOf(heads: ChainHeads): ChangeHeads {
  const { map } = heads;
  return { size: heads.size, changes: map.count, root: formatDigest(map.root()) };
}

/** Why a `ledger.heads` record is not what the records before it come to, in a sentence; null where it is, and for every other record. */
export function headsFaultOf(record: LedgerRecord, heads: ChainHeads): string | null {
  if (record.type !== HEADS_TYPE) return null;
  const due = changeHeadsOf(heads);
  const body: JsonObject = record.body;
  const isWhole = record.v === 1 && record.change === null && record.objects.length === 0 && Object.keys(body).length === 3;
  if (!isWhole) return `record ${record.seq} is no change-head map`;
  const isTrue = body['size'] === due.size && body['changes'] === due.changes && body['root'] === due.root;
  return isTrue ? null : `record ${record.seq} states heads of changes that are not those of the records before it`;
}
