/** Looks on while evidence is verified, in one pass, and keeps what reports are made of: memory for each change, and none for each record beside its number. */
import type { LedgerRecord } from '../../ledger/index.ts';
import type { Onlooker } from '../evidence/onlooker.ts';
import type { Violation } from '../evidence/violation.ts';
import { parseTime } from '../protocol/values.ts';
import { openAccesses } from './collect-access.ts';
import { collected, type Collected } from './collect-changes.ts';
import { openControls, type KnownControl } from './collect-controls.ts';
import { openSystemRecords } from './collect-system.ts';
import type { Facts } from './facts.ts';

export interface CollectOptions {
  readonly controls: readonly KnownControl[];
  /** Whether the records of a control are to be kept, and not only counted. */
  readonly isWanted: (framework: string, id: string) => boolean;
  /** Whether a record of then is in the time that is asked for. */
  readonly isCounted: (atMs: number) => boolean;
  /** Whether what is verified is all there is, and not a pack of some of it. */
  readonly isWhole: boolean;
}

export interface Collection extends Onlooker {
  /** To be believed once the verdicts are. */
  facts(): Facts;
}

export function openCollection({ controls: known, isWanted, isCounted, isWhole }: CollectOptions): Collection {
  const changes = new Map<string, Collected>();
  const accesses = openAccesses();
  const system = openSystemRecords(() => isWhole);
  const controls = openControls(known, isWanted, isCounted);
  const violations: Violation[] = [];
  /** Of changes that nobody has followed yet: their records come before they are. */
  const evidence = new Map<string, bigint>();
  return {
    record(record: LedgerRecord) {
      const at = { atMs: parseTime(record.at), seq: record.seq };
      system.take(record, at);
      const bits = controls.take(record, at);
      if (record.change === null || !isCounted(at.atMs)) return;
      const change = changes.get(record.change);
      if (change === undefined) evidence.set(record.change, (evidence.get(record.change) ?? 0n) | bits);
      else change.controls |= bits;
    },
    follow(after, event, seq) {
      const change = collected(changes.get(event.changeId) ?? null, after, event, seq);
      changes.set(event.changeId, change);
      accesses.follow(change, after, event, seq);
      const bits = evidence.get(event.changeId);
      if (bits === undefined) return;
      change.controls |= bits;
      evidence.delete(event.changeId);
    },
    violation: (found) => void violations.push(found),
    facts() {
      for (const violation of violations) if (violation.changeId !== null) changes.get(violation.changeId)?.violations.push(violation);
      return { changes: [...changes.values()].sort((a, b) => a.record - b.record), accesses: accesses.given, takings: accesses.taken, controls: controls.counts(), controlsLeftOut: controls.leftOut(), violations, ...system.facts() };
    },
  };
}
