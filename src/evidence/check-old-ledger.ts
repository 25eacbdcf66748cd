/**
 * Whether a log has adopted all that was open in the one that it goes on for, each change to its last record and each lock that stood: what only the old
 * ledger can tell. That is held to its own checkpoint first, and to its own WORKFLOW, and must have grown from the head that was adopted.
 */
import { verifyLedger, type EvidenceDisk, type LedgerRecord } from '../../ledger/index.ts';
import { evolve, type ChangeState } from '../change/state.ts';
import type { Trust } from '../protocol/trust-folder.ts';
import { eventsOf } from './adoption.ts';
import type { AdoptionFindings } from './check-adoption.ts';
import { uncheckedFor } from './erased.ts';
import { isChangeEventType, MalformedRecord, systemRecordBodies, type ReadObject, type SystemRecordBody } from './record.ts';
import { changesToAdopt } from './to-adopt.ts';
import { fault, type Fault, type Violation } from './violation.ts';
import { isMalformed, openWorkflow, type Workflow } from './workflow.ts';

export interface OldLedger {
  readonly disk: EvidenceDisk;
  /** The folder that holds its `checkpoint`, `tile/` and `objects/`. */
  readonly directory: string;
  readonly signal?: AbortSignal;
}

export interface AgainstOld {
  /** What the new log left out, and what the old one broke itself: each is told of the first record here. */
  readonly violations: readonly Violation[];
  /** Why the old ledger does not tell all, in a sentence; null where it does. */
  readonly unknown: string | null;
}

export const untold = (unknown: string): AgainstOld => ({ violations: [], unknown });

/** @throws what the disk throws; the reason of `signal` once it is aborted */
export async function checkAgainstOld({ disk, directory, signal }: OldLedger, adoption: AdoptionFindings, trust: Trust): Promise<AgainstOld> {
  if (adoption.unknown !== null) return untold(adoption.unknown);
  const read: { old: Old | null } = { old: null };
  const { verdicts, head } = await verifyLedger({
    disk, directory, trust: trust.policy, pinned: adoption.checkpoint, ...(signal === undefined ? {} : { signal }),
    rules: (origin) => {
      // What is open at its end is judged here, where it goes on.
      const old = openOld(openWorkflow({ trust, origin, asOfMs: 0 }));
      read.old = old;
      return { names: [], finish: () => [], record: (record, readObject) => (record.seq < adoption.size ? old.record(record, readObject) : undefined) };
    },
  });
  const amiss = verdicts.find(({ name, status }) => ['INTEGRITY', 'SIGNATURE', 'COMPLETENESS'].includes(name) && status !== 'holds');
  if (amiss !== undefined) return untold(`the old ledger: ${amiss.name}: ${amiss.message}`);
  if (read.old === null || head === null) return untold('the old ledger: it holds nothing');
  const { left, broken, unknown } = await read.old.finish(adoption);
  const violations = [...left.map((found) => ({ ...found, seq: 0, changeId: null })), ...broken.map((found) => ({ ...found, seq: 0, message: `record ${found.seq} of the old ledger: ${found.message}` }))];
  const more = head.size - adoption.size;
  return { violations, unknown: unknown ?? (more === 0 ? null : `the old ledger has ${more} records more than were adopted`) };
}

interface Old {
  record(record: LedgerRecord, readObject: ReadObject): Promise<void>;
  finish(adoption: AdoptionFindings): Promise<{ readonly left: readonly Fault[]; readonly broken: readonly Violation[]; readonly unknown: string | null }>;
}

function openOld(workflow: Workflow): Old {
  const states = new Map<string, ChangeState>();
  const counts = new Map<string, number>();
  const locks = new Map<string, SystemRecordBody<'lock.set'>>();
  let malformed: string | null = null;

  const fold = async (record: LedgerRecord, readObject: ReadObject): Promise<void> => {
    if (record.type === 'lock.set') {
      const lock = systemRecordBodies['lock.set'].safeParse(record.body).data;
      if (lock !== undefined) locks.set(lock.lockId, lock);
    }
    if (record.type === 'lock.lifted') {
      const lifted = systemRecordBodies['lock.lifted'].safeParse(record.body).data;
      if (lifted !== undefined) locks.delete(lifted.lockId);
    }
    if (record.change === null || !isChangeEventType(record.type)) return;
    for await (const event of eventsOf(record, readObject)) {
      const before = states.get(event.changeId) ?? null;
      if (before === null && event.type !== 'change.requested') throw new MalformedRecord(record.seq, `${event.changeId} begins with ${event.type}`);
      states.set(event.changeId, evolve(before, event));
      counts.set(event.changeId, (counts.get(event.changeId) ?? 0) + 1);
    }
  };
  return {
    async record(record, readObject) {
      await workflow.record(record, readObject);
      if (malformed !== null) return;
      try {
        await fold(record, readObject);
      } catch (error) {
        if (!isMalformed(error)) throw error;
        malformed = error.message;
      }
    },
    async finish(adoption) {
      const findings = await workflow.finish();
      const { violations } = findings;
      if (malformed !== null) return { left: [], broken: violations, unknown: `the old ledger: ${malformed}` };
      // Those that were adopted as well: one that was over, cut short, would be open again.
      const concerned = new Set([...changesToAdopt([...states.values()]), ...adoption.changes.keys()]);
      const left = [
        ...[...concerned].flatMap((changeId) => faultOf(changeId, counts.get(changeId) ?? 0, adoption.changes.get(changeId) ?? 0)),
        ...[...locks.values()].flatMap((lock) => faultOfLock(lock, adoption.locks.get(lock.lockId))),
      ];
      const unchecked = uncheckedFor(findings);
      return { left, broken: violations, unknown: unchecked === null ? null : `the old ledger: ${unchecked}` };
    },
  };
}

function faultOf(changeId: string, there: number, adopted: number): Fault[] {
  if (adopted === 0) return [fault('adoption-incomplete', `${changeId} was open under the old log, and was not adopted`)];
  return adopted === there ? [] : [fault('adoption-incomplete', `${changeId} had ${there} records under the old log, and ${adopted} were adopted`)];
}

function faultOfLock({ lockId, nhi, connector }: SystemRecordBody<'lock.set'>, adopted: SystemRecordBody<'lock.set'> | undefined): Fault[] {
  if (adopted === undefined) return [fault('adoption-incomplete', `lock ${lockId} stood under the old log, and was not adopted`)];
  return adopted.nhi === nhi && adopted.connector === connector ? [] : [fault('adoption-incomplete', `lock ${lockId} was adopted as one of something else`)];
}
