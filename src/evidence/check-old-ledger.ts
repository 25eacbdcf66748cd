/**
 * Whether a log has adopted all that was open in the one that it goes on for, and each change to its last record: what only the old ledger can tell.
 * That is held to its own checkpoint first, and must have grown from the head that was adopted.
 */
import { verifyLedger, type Disk } from '../../ledger/index.ts';
import { evolve, type ChangeState } from '../change/state.ts';
import type { Trust } from '../protocol/trust-folder.ts';
import { eventsOf } from './adoption.ts';
import type { AdoptionFindings } from './check-adoption.ts';
import { isChangeEventType, MalformedRecord } from './record.ts';
import { changesToAdopt } from './to-adopt.ts';
import { fault, type Fault } from './violation.ts';

export interface OldLedger {
  readonly disk: Disk;
  /** The folder that holds its `checkpoint`, `tile/` and `objects/`. */
  readonly directory: string;
  readonly signal?: AbortSignal;
}

/** `unknown`: why the old ledger tells nothing, in a sentence. */
export type AgainstOld = { readonly faults: readonly Fault[] } | { readonly unknown: string };

/** @throws what the disk throws; the reason of `signal` once it is aborted */
export async function checkAgainstOld({ disk, directory, signal }: OldLedger, adoption: AdoptionFindings, trust: Trust): Promise<AgainstOld> {
  if (adoption.unknown !== null) return { unknown: adoption.unknown };
  const states = new Map<string, ChangeState>();
  const counts = new Map<string, number>();
  const malformed: string[] = [];
  const { verdicts } = await verifyLedger({
    disk, directory, trust: trust.policy, pinned: adoption.checkpoint, ...(signal === undefined ? {} : { signal }),
    rules: () => {
      states.clear();
      counts.clear();
      return {
        names: [], finish: () => [],
        async record(record, readObject) {
          if (record.seq >= adoption.size || record.change === null || !isChangeEventType(record.type) || malformed.length > 0) return;
          try {
            for await (const event of eventsOf(record, readObject)) {
              states.set(event.changeId, evolve(states.get(event.changeId) ?? null, event));
              counts.set(event.changeId, (counts.get(event.changeId) ?? 0) + 1);
            }
          } catch (error) {
            if (!(error instanceof MalformedRecord)) throw error;
            malformed.push(error.message);
          }
        },
      };
    },
  });
  const amiss = verdicts.find(({ name, status }) => ['INTEGRITY', 'SIGNATURE', 'COMPLETENESS'].includes(name) && status !== 'holds');
  if (amiss !== undefined) return { unknown: `the old ledger: ${amiss.name}: ${amiss.message}` };
  if (malformed.length > 0) return { unknown: `the old ledger: ${malformed.join()}` };
  // Those that were adopted as well: one that was over, cut short, would be open again.
  const concerned = new Set([...changesToAdopt([...states.values()]), ...adoption.changes.keys()]);
  return { faults: [...concerned].flatMap((changeId) => faultOf(changeId, counts.get(changeId) ?? 0, adoption.changes.get(changeId) ?? 0)) };
}

function faultOf(changeId: string, there: number, adopted: number): Fault[] {
  if (adopted === 0) return [fault('adoption-incomplete', `${changeId} was open under the old log, and was not adopted`)];
  return adopted === there ? [] : [fault('adoption-incomplete', `${changeId} had ${there} records under the old log, and ${adopted} were adopted`)];
}
