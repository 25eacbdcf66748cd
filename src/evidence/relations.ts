/** Which changes the records of a change speak of: those without whose own records it cannot be judged. */
import type { LedgerRecord } from '../../ledger/index.ts';
import type { ChangeEvent } from '../change/events.ts';
import { eventsOf } from './adoption.ts';
import type { ReadObject } from './record.ts';

/** Types of record that may speak of another change. */
const SPEAKING: ReadonlySet<string> = new Set(['change.requested', 'change.revised', 'change.adopted', 'policy.decided', 'lease.extended', 'item.started', 'breakglass.rotated']);

export interface Relations {
  /** Takes the next record of a change. @throws MalformedRecord, and what parsers throw for a record that is not what its type says */
  take(record: LedgerRecord, readObject: ReadObject): Promise<void>;
  /** The changes that the records of this one speak of, so far. */
  of(changeId: string): ReadonlySet<string>;
  /** Whose access it is about; null where that is not known. */
  subjectOf(changeId: string): string | null;
  /** Whether it was begun under an earlier log. */
  isAdopted(changeId: string): boolean;
}

const NONE: ReadonlySet<string> = new Set();

export function openRelations(): Relations {
  const spokenOf = new Map<string, Set<string>>();
  const subjects = new Map<string, string>();
  const offboardings = new Set<string>();
  const adopted = new Set<string>();
  const speaks = (changeId: string, other: string | undefined): void => {
    if (other === undefined || other === changeId) return;
    spokenOf.set(changeId, (spokenOf.get(changeId) ?? new Set()).add(other));
  };
  const take = (event: ChangeEvent): void => {
    const { changeId } = event;
    switch (event.type) {
      case 'change.requested':
      case 'change.revised': {
        const { request } = event.body;
        subjects.set(changeId, request.subject);
        if (request.kind === 'offboard') offboardings.add(changeId);
        if (request.kind === 'extend') speaks(changeId, request.change);
        if (event.type === 'change.requested') speaks(changeId, event.body.parent);
        return;
      }
      case 'change.adopted':
        adopted.add(changeId);
        return;
      case 'policy.decided':
        for (const item of event.attached?.plan?.items ?? []) if (item.kind === 'lease') speaks(changeId, item.change);
        return;
      case 'lease.extended':
      case 'item.started':
      case 'breakglass.rotated':
        speaks(changeId, event.body.change);
        return;
      default:
        return;
    }
  };
  return {
    async take(record, readObject) {
      // Only the plan of an offboarding speaks of others: most plans need not be read.
      if (record.change === null || !SPEAKING.has(record.type) || (record.type === 'policy.decided' && !offboardings.has(record.change))) return;
      for await (const event of eventsOf(record, readObject)) take(event);
    },
    of: (changeId) => spokenOf.get(changeId) ?? NONE,
    subjectOf: (changeId) => subjects.get(changeId) ?? null,
    isAdopted: (changeId) => adopted.has(changeId),
  };
}
