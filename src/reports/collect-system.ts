/** What the records of no change tell: when the ledger was not written, what was found outside, and what was amiss around it. */
import type { LedgerRecord } from '../../ledger/index.ts';
import { bodyOf } from './body-of.ts';
import { SILENCE_MS, type At, type Facts, type Outside } from './facts.ts';

export type SystemFacts = Pick<Facts, 'outside' | 'compared' | 'reopened' | 'silences' | 'amiss' | 'erasures' | 'records'>;

export interface SystemRecords {
  /** Takes the next record. Never throws for what a ledger may hold: what is malformed, WORKFLOW names. */
  take(record: LedgerRecord, at: At): void;
  facts(): SystemFacts;
}

type Writable<T> = { -readonly [K in keyof T]: T[K] };

/** @param isWhole no record is missing: in a pack, those that are not shown would be taken for silence */
export function openSystemRecords(isWhole: () => boolean): SystemRecords {
  const outside = new Map<string, Writable<Outside>>();
  const ended: Outside[] = [];
  const compared = new Map<string, (At & { readonly complete: boolean })[]>();
  const reopened: { before: At; opened: At }[] = [];
  const silences: { before: At; after: At }[] = [];
  const amiss: (At & { readonly type: string; readonly text: string })[] = [];
  const erasures: (At & { readonly objects: number })[] = [];
  let count = 0;
  let first: At | null = null;
  let last: At | null = null;

  const takeSystem = (record: LedgerRecord, at: At): void => {
    const told = bodyOf(record);
    if (told === null) return;
    switch (told.type) {
      case 'reconcile.found':
        if (outside.has(told.body.findingId)) ended.push(outside.get(told.body.findingId)!);
        outside.set(told.body.findingId, { ...at, found: told.body, cleared: null });
        break;
      case 'reconcile.cleared': {
        const found = outside.get(told.body.findingId);
        if (found !== undefined) found.cleared ??= at;
        break;
      }
      case 'reconcile.compared':
        if (!compared.has(told.body.connector)) compared.set(told.body.connector, []);
        compared.get(told.body.connector)!.push({ ...at, complete: told.body.complete });
        break;
      case 'ledger.opened':
        if (last !== null && isWhole()) reopened.push({ before: last, opened: at });
        break;
      case 'ledger.recovered':
        amiss.push({ ...at, type: told.type, text: `${told.body.bytesCut} bytes of an unacknowledged end were cut, at ${told.body.size} records` });
        break;
      case 'ledger.restored':
        amiss.push({ ...at, type: told.type, text: `made again from ${told.body.source}, up to ${told.body.size} records; ${told.body.had} were still there` });
        break;
      case 'outbox.refilled':
        amiss.push({ ...at, type: told.type, text: `${told.body.missing} messages were missing in ${told.body.stream}, and are there again` });
        break;
      case 'messages.refused':
        for (const { code, count: refused } of told.body.refused) amiss.push({ ...at, type: told.type, text: `${refused} messages were set aside about ${told.body.executor}: ${code}` });
        break;
      case 'redecision.failed':
        amiss.push({ ...at, type: told.type, text: `policy gave no answer about ${told.body.unanswered} of ${told.body.leases} leases: ${told.body.code}` });
        break;
      case 'erasure':
        erasures.push({ ...at, objects: told.body.erased.length });
        break;
      default:
        break;
    }
  };

  return {
    take(record, at) {
      count += 1;
      first ??= at;
      if (last !== null && isWhole() && at.atMs - last.atMs > SILENCE_MS) silences.push({ before: last, after: at });
      if (record.change === null) takeSystem(record, at);
      last = at;
    },
    facts: () => ({ outside: [...ended, ...outside.values()].sort((a, b) => a.seq - b.seq), compared, reopened, silences, amiss, erasures, records: { count, first, last } }),
  };
}
