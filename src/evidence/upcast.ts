/**
 * Old versions of record bodies, read as the newest. Records are never rewritten: this file is where their history lives.
 *
 * All types are at version 1, so there is nothing to do yet but to refuse a version from the future.
 */
import type { LedgerRecord } from '../../ledger/index.ts';

/** The newest version of every record type that this build reads. */
const NEWEST = 1;

/** The record with its body in the newest version's shape. @throws RangeError for a version that this build does not know. */
export function upcast(record: LedgerRecord): LedgerRecord {
  if (record.v !== NEWEST) throw new RangeError(`record ${record.seq}: ${record.type} version ${record.v} is not known to this build`);
  return record;
}
