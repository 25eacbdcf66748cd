/**
 * What a sidecar's disk certainly holds, read by nobody's code but the format's: the synced bytes of the journal, group by group, and the
 * fold of the records in them. The oracle believes this and nothing that a process says about itself.
 */
import { decodeRecord, type LedgerRecord } from '../../ledger/index.ts';
import { decodeGroup, readGroupHeader } from '../../ledger/journal.ts';
import { evolve, type ChangeState } from '../../src/change/state.ts';
import { isChangeEventType, toEvent } from '../../src/evidence/record.ts';
import type { SimDisk } from './sim-disk.ts';

export interface LedgerView {
  /** Every record that is certain to survive, in order. */
  records(): readonly LedgerRecord[];
  recordsOf(changeId: string): readonly LedgerRecord[];
  object(digest: string): Buffer | undefined;
  entryBytes(): readonly Buffer[];
  /** The changes, folded from those records. */
  fold(): Promise<ReadonlyMap<string, ChangeState>>;
}

export function createLedgerView(disk: SimDisk, journal: string): LedgerView {
  const records: LedgerRecord[] = [];
  const entries: Buffer[] = [];
  const byChange = new Map<string, LedgerRecord[]>();
  const objects = new Map<string, Buffer>();
  const read = new Map<string, number>();
  const states = new Map<string, ChangeState>();
  let folded = 0;
  let syncs = -1;

  const take = (bytes: Buffer, path: string): void => {
    let at = read.get(path) ?? 0;
    for (let header = readGroupHeader(bytes, at); header !== null && at + header.bytes <= bytes.length; header = readGroupHeader(bytes, at)) {
      const group = decodeGroup(bytes, at, header);
      if (header.firstSeq !== records.length) throw new Error(`the journal goes on at ${header.firstSeq} after ${records.length} records`);
      for (const entry of group.entries) {
        const record = decodeRecord(entry);
        records.push(record);
        entries.push(Buffer.from(entry));
        if (record.change !== null) byChange.set(record.change, [...(byChange.get(record.change) ?? []), record]);
      }
      for (const object of group.objects) objects.set(object.digest, Buffer.from(object.payload));
      at += header.bytes;
    }
    read.set(path, at);
  };
  const refresh = (): void => {
    if (syncs === disk.syncs) return;
    syncs = disk.syncs;
    const image = disk.image('synced');
    for (const path of [...image.keys()].filter((name) => name.startsWith(`${journal}/`) && name.endsWith('.journal')).sort()) take(image.get(path)!, path);
  };

  return {
    records() {
      refresh();
      return records;
    },
    recordsOf(changeId) {
      refresh();
      return byChange.get(changeId) ?? [];
    },
    object(digest) {
      refresh();
      return objects.get(digest);
    },
    entryBytes() {
      refresh();
      return entries;
    },
    async fold() {
      refresh();
      for (; folded < records.length; folded += 1) {
        const record = records[folded]!;
        if (!isChangeEventType(record.type)) continue;
        const event = await toEvent(record, async (digest) => objects.get(digest) ?? null);
        states.set(event.changeId, evolve(states.get(event.changeId) ?? null, event));
      }
      return states;
    },
  };
}
