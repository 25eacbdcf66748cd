/** Who looks on while evidence is verified, and is told what it comes to: nothing of it is to be believed before the verdicts are. */
import type { LedgerRecord, RuleSet } from '../../ledger/index.ts';
import type { ChangeEvent } from '../change/events.ts';
import type { Audited } from './audited.ts';
import type { Violation } from './violation.ts';

export interface Onlooker {
  /** Told of every record that is shown, in the ledger's order, as it is stored. */
  record(record: LedgerRecord): void;
  /**
   * Told of every event of a change that WORKFLOW follows, and of what the change is after it.
   *
   * @param seq the record here that tells of it: of an adopted change, the one that adopts it
   */
  follow(after: Audited, event: ChangeEvent, seq: number): void;
  /** Told of every violation, also of those that are only counted otherwise. */
  violation(found: Violation): void;
}

/** The same rules, with somebody looking on. */
export function lookedOn(rules: RuleSet, onlooker: Onlooker): RuleSet {
  return {
    ...rules,
    record(record, readObject) {
      onlooker.record(record);
      return rules.record(record, readObject);
    },
  };
}
