/** What the objects are that a record names, also those that came over with a change from an earlier log: what they were there. */
import type { LedgerRecord } from '../../ledger/index.ts';
import { readAdopted } from './adoption.ts';
import { namedBy, type ObjectKind } from './erasable.ts';
import type { ReadObject } from './record.ts';

/**
 * As {@link namedBy}; of a record that adopts a change, by the records that it carries. Those are never erased, so an object is of one kind before it is erased and after.
 *
 * @throws MalformedRecord, JsonError where they cannot be read
 */
export async function kindsIn(record: LedgerRecord, readObject: ReadObject): Promise<[string, ObjectKind][]> {
  const named = namedBy(record);
  if (record.type !== 'change.adopted' || named.every(([, kind]) => kind === 'adopted')) return named;
  const before = new Map<string, ObjectKind>();
  for await (const adopted of readAdopted(record, readObject)) for (const [digest, kind] of namedBy(adopted.record)) if (!before.has(digest)) before.set(digest, kind);
  return named.map(([digest, kind]) => [digest, kind === 'adopted' ? kind : (before.get(digest) ?? kind)]);
}
