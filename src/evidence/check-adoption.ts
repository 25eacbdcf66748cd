/**
 * Checks of a log that goes on for another: that its first records, and no later ones, adopt changes of a log that the auditor trusts, each with its
 * records from the first on, none left out in between, every one proven under the adopted head. What they tell is then followed as if it were here.
 */
import { formatDigest, leafHash, LedgerError, logIdOf, openCheckpoint, readCheckpoint, verifyInclusion, type LedgerRecord, type ParsedCheckpoint } from '../../ledger/index.ts';
import { changeEventBodies, type EventBody } from '../change/events.ts';
import type { Trust } from '../protocol/trust-folder.ts';
import { readAdopted, type AdoptedRecord } from './adoption.ts';
import { MalformedRecord, systemRecordBodies, type ReadObject, type SystemRecordBody } from './record.ts';
import { fault, type Fault } from './violation.ts';

/** A record of an earlier log, and the one that adopts it here. */
export interface Carried {
  readonly log: string;
  readonly record: LedgerRecord;
  readonly adopting: LedgerRecord;
}

/** What a verdict has to say of an adoption. */
export interface AdoptionFindings {
  /** The direct predecessor, and how many records of it were adopted from. */
  readonly origin: string;
  readonly size: number;
  /** Of that head. */
  readonly checkpoint: string;
  /** How many records of each adopted change there are. */
  readonly changes: ReadonlyMap<string, number>;
  /** The locks that were set with what was adopted, before anything else was recorded. */
  readonly locks: ReadonlyMap<string, SystemRecordBody<'lock.set'>>;
  /** What others have seen beyond that, and nobody has. */
  readonly ahead: SystemRecordBody<'ledger.adopted'>['ahead'];
  /** Why it is not known whether any of it is so, in a sentence; null where it is. */
  readonly unknown: string | null;
  /** What nobody's cosignature shows where the auditor wants witnesses, as it is said under NOT PROVEN. */
  readonly unwitnessed: readonly string[];
}

export interface Adoption {
  /** The record that names what is adopted from. */
  begin(record: LedgerRecord): Fault | null;
  /** A record that adopts a change. Nothing is followed yet. @throws MalformedRecord, JsonError */
  take(record: LedgerRecord, readObject: ReadObject): Promise<Fault | null>;
  /** A lock is set by record `seq`. */
  lock(seq: number, body: SystemRecordBody<'lock.set'>): void;
  /** To be called with the first record that adopts nothing, or at the end: what was adopted, in the order in which it was recorded. Nothing more is taken. */
  settle(): { readonly carried: readonly Carried[]; readonly adopting: readonly LedgerRecord[]; readonly fault: Fault | null };
  /** Whether the log is one that was adopted. */
  has(log: string): boolean;
  readonly findings: AdoptionFindings | null;
}

interface Adopted {
  readonly log: string;
  readonly checkpoint: ParsedCheckpoint;
}

/**
 * @param origin of the log under verification
 * @param isPartial only some of its records are there: that others were adopted, too, is no fault
 */
export function openAdoption(trust: Trust, origin: string, isPartial = false): Adoption {
  let body: SystemRecordBody<'ledger.adopted'> | null = null;
  let logs: readonly Adopted[] = [];
  let findings: AdoptionFindings | null = null;
  let isSettled = false;
  const carried: Carried[] = [];
  const adopting: LedgerRecord[] = [];
  const changes = new Map<string, number>();
  const locks = new Map<string, SystemRecordBody<'lock.set'>>();
  /** Of the record that may still be part of what was adopted. */
  let nextSeq = 0;
  let records = 0;

  const unproven = (log: string, seq: number, why: string): Fault => fault('adoption-mismatch', `record ${seq} of log ${log} ${why}`);
  /** Why these are not the beginning of what the adopted heads hold of the change; null where they are. `found` gets those before the fault: nothing after it is read. */
  const faultIn = async (change: string, adopted: AsyncIterable<AdoptedRecord>, said: EventBody<'change.adopted'>, found: AdoptedRecord[]): Promise<Fault | null> => {
    let at = -1;
    let last: { readonly log: string; readonly leaf: string; readonly changeSeq: number } | null = null;
    for await (const one of adopted) {
      const { log, record, bytes, inclusion } = one;
      const { seq } = record;
      const known = logs.findIndex((one) => one.log === log);
      if (known === -1 || known < at) return unproven(log, seq, 'is of a log that was not adopted, or comes after those of a later one');
      if (record.change !== change) return unproven(log, seq, `is of ${record.change ?? 'no change'}, and is adopted with ${change}`);
      if (!isIncluded(bytes, record, inclusion, logs[known]!.checkpoint)) return unproven(log, seq, 'is not under the adopted checkpoint');
      const isNext = last?.log === log ? record.changeSeq === last.changeSeq + 1 && record.changePrev === last.leaf : record.changeSeq === 0;
      if (!isNext) return unproven(log, seq, 'does not follow on the record of its change before it: one is missing or put in');
      if ((record.type === 'change.adopted') !== (last !== null && last.log !== log)) return unproven(log, seq, 'does not go on from an earlier log as it should');
      if (record.type === 'change.adopted' && !ends(changeEventBodies['change.adopted'].safeParse(record.body).data, found.length, last)) return unproven(log, seq, 'adopted something else than is carried here');
      at = known;
      found.push(one);
      last = { log, leaf: formatDigest(leafHash(bytes)), changeSeq: record.changeSeq ?? 0 };
    }
    if (last?.log !== logs.at(-1)?.log || !ends(said, found.length, last)) return fault('adoption-mismatch', 'what it carries does not end as it says');
    return null;
  };

  return {
    begin(record) {
      if (record.seq !== 0) return fault('adopted-late', 'a log adopts another by its first record, or not at all');
      nextSeq = 1;
      body = systemRecordBodies['ledger.adopted'].parse(record.body);
      const notes = [...body.earlier, body.checkpoint];
      try {
        logs = notes.map((note) => readCheckpoint(note)).map((checkpoint) => ({ log: logIdOf(checkpoint.origin), checkpoint }));
      } catch (error) {
        if (!(error instanceof LedgerError)) throw error;
        return fault('adoption-mismatch', `what was adopted has no checkpoint: ${error.message}`);
      }
      const { checkpoint } = logs.at(-1)!;
      findings = { origin: checkpoint.origin, size: checkpoint.size, checkpoint: body.checkpoint, changes, locks, ahead: body.ahead, ...standingOf(trust, notes, logs) };
      if (logs.some((one) => one.checkpoint.origin === origin) || new Set(logs.map(({ log }) => log)).size !== logs.length) return fault('adoption-mismatch', 'a log adopts itself, or another twice');
      const behind = body.ahead.find(({ size }) => size <= checkpoint.size);
      return behind === undefined ? null : fault('adoption-mismatch', `${behind.by} is said to have seen more than was adopted, and has seen ${behind.size} records`);
    },
    async take(record, readObject) {
      if (body === null || isSettled || record.change === null) return fault('adopted-late', 'a change is adopted after the first records of the log, which alone may adopt');
      nextSeq = record.seq + 1;
      if (record.changeSeq !== 0 || changes.has(record.change)) return fault('wrong-order', 'a change is adopted that was here already');
      changes.set(record.change, 0);
      const said = changeEventBodies['change.adopted'].safeParse(record.body).data;
      if (said === undefined) throw new MalformedRecord(record.seq, 'the body is not that of a change.adopted record');
      changes.set(record.change, said.records);
      records += said.records;
      const found: AdoptedRecord[] = [];
      const wrong = await faultIn(record.change, readAdopted(record, readObject), said, found);
      if (wrong !== null) return wrong;
      for (const one of found) carried.push({ log: one.log, record: one.record, adopting: record });
      adopting.push(record);
      return null;
    },
    lock(seq, lock) {
      if (body === null || seq !== nextSeq) return;
      nextSeq += 1;
      locks.set(lock.lockId, lock);
    },
    settle() {
      const isFirst = !isSettled && body !== null;
      isSettled = true;
      if (!isFirst) return { carried: [], adopting: [], fault: null };
      const order = new Map(logs.map(({ log }, i) => [log, i]));
      const sorted = carried.splice(0).sort((a, b) => order.get(a.log)! - order.get(b.log)! || a.record.seq - b.record.seq);
      const counts = isPartial || (changes.size === body!.changes && records === body!.records);
      const wrong = counts ? null : fault('adoption-mismatch', `${changes.size} changes with ${records} records are adopted, and there were to be ${body!.changes} with ${body!.records}`);
      return { carried: sorted, adopting: adopting.splice(0), fault: wrong };
    },
    has: (log) => logs.some((one) => one.log === log),
    get findings() {
      return findings;
    },
  };
}

function ends(said: EventBody<'change.adopted'> | undefined, records: number, last: { readonly log: string; readonly leaf: string } | null): boolean {
  return said !== undefined && last !== null && said.log === last.log && said.records === records && said.head === last.leaf;
}

function isIncluded(bytes: Uint8Array, { seq }: LedgerRecord, inclusion: readonly Uint8Array[], { size, root }: ParsedCheckpoint): boolean {
  try {
    verifyInclusion(leafHash(bytes), seq, size, [...inclusion], root);
    return true;
  } catch (error) {
    if (!(error instanceof LedgerError)) throw error;
    return false;
  }
}

/** A log that the auditor does not know may have been made up with everything that is adopted from it; one without witnesses may have had another history. */
function standingOf(trust: Trust, notes: readonly string[], logs: readonly Adopted[]): Pick<AdoptionFindings, 'unknown' | 'unwitnessed'> {
  const unwitnessed: string[] = [];
  for (const [i, note] of notes.entries()) {
    const { log, checkpoint } = logs[i]!;
    try {
      const { witness, witnesses } = openCheckpoint(note, trust.policy);
      if (!witness.met) unwitnessed.push(`that ${checkpoint.origin} had no other history than that which was adopted: its head is cosigned by ${witnesses.length} witnesses, which is no quorum (${witness.demand})`);
    } catch (error) {
      if (!(error instanceof LedgerError)) throw error;
      return { unknown: `what was adopted from ${checkpoint.origin}: ${error.message}`, unwitnessed };
    }
    if (!trust.sidecars.has(log)) return { unknown: `the trust folder lists no ticket key of ${checkpoint.origin}, which was adopted, in sidecars.json`, unwitnessed };
  }
  return { unknown: null, unwitnessed };
}
