/** WORKFLOW of a pack: the rules of a whole ledger, for those changes of which the pack has all that the rules look at. */
import { logIdOf, type LedgerRecord, type Verdict } from '../../ledger/index.ts';
import { parseTime } from '../protocol/values.ts';
import { isReconcileRecordType } from './reconciled.ts';
import { openRelations, type Relations } from './relations.ts';
import { byChange, gapIn } from './pack-complete.ts';
import type { PackContents } from './pack-contents.ts';
import type { PackAsked } from './pack-format.ts';
import type { Replay } from './replay.ts';
import { workflowVerdict } from './verify.ts';
import { isMalformed, openWorkflow, type WorkflowFindings, type WorkflowOptions } from './workflow.ts';

export interface PackWorkflow {
  readonly findings: WorkflowFindings | null;
  readonly verdict: Verdict;
}

/** @param replay told of everything that WORKFLOW follows, and of nothing else */
export async function workflowOf(asked: PackAsked, contents: PackContents, options: WorkflowOptions, replay: Replay | null, signal?: AbortSignal): Promise<PackWorkflow> {
  const { shown, readObject } = contents;
  const relations = openRelations();
  for (const { seq, change } of shown) {
    signal?.throwIfAborted();
    if (change === null) continue;
    // What is malformed speaks of nobody, and is found again below.
    await relations.take(await contents.readRecord(seq), readObject).catch(ignoreMalformed);
  }
  const { followed, left } = followable(contents, relations);
  const workflow = openWorkflow({ ...options, asOfMs: options.asOfMs ?? endOf(asked, contents), isPartial: true, ...(replay === null ? {} : { followed: (event, before, firstSeq) => replay.followed(event, before, firstSeq) }) });
  const locks = new Set<string>();
  const stating = new Set(contents.heads.map(({ seq }) => seq));
  for (const one of shown) {
    signal?.throwIfAborted();
    if (one.change !== null && !followed.has(one.change)) continue;
    if (isReconcileRecordType(one.type)) continue;
    // It is a later time to judge by, at which more may have happened to what it does not hold to its last record.
    if (one.heads !== null && !('from' in asked) && !stating.has(one.seq)) continue;
    const record = await contents.readRecord(one.seq);
    if (liftsUnseen(record, locks)) continue;
    await workflow.record(record, readObject);
    await replay?.record(record, readObject);
  }
  const findings = await workflow.finish();
  return { findings, verdict: verdictOf(asked, findings, followed, left, logIdOf(options.origin)) };
}

/** When what is shown of a time ends, at which its changes are judged: an erasure that is shown for what it erased may be much later, and what became of them meanwhile is not. null: with the last record. */
function endOf(asked: PackAsked, { shown }: PackContents): number | null {
  if (!('from' in asked)) return null;
  const begins = shown.findIndex(({ at }) => parseTime(at) >= parseTime(asked.from));
  const after = shown.find(({ at }, i) => i >= begins && parseTime(at) >= parseTime(asked.to));
  return begins === -1 || after === undefined ? null : parseTime(after.at);
}

function ignoreMalformed(error: unknown): void {
  if (!isMalformed(error)) throw error;
}

/** Whether a lock is lifted that was set outside the pack. */
function liftsUnseen({ type, body }: LedgerRecord, locks: Set<string>): boolean {
  const { lockId } = body;
  if (typeof lockId !== 'string') return false;
  if (type === 'lock.set') locks.add(lockId);
  return type === 'lock.lifted' && !locks.has(lockId);
}

/** The changes that are shown from their first record on without a gap, and so are all that their records speak of; and why others are not. */
function followable({ shown }: PackContents, relations: Relations): { readonly followed: ReadonlySet<string>; readonly left: ReadonlyMap<string, string> } {
  const followed = new Set<string>();
  const left = new Map<string, string>();
  const adoptedHere = shown.some(({ seq, type }) => seq === 0 && type === 'ledger.adopted');
  for (const [change, records] of byChange(shown)) {
    if (gapIn(records) !== null) left.set(change, 'it is not shown from its first record on');
    else if (relations.isAdopted(change) && !adoptedHere) left.set(change, 'what its log has adopted is not shown');
    else followed.add(change);
  }
  // From what is missing back to what speaks of it: each is looked at once.
  const speaking = new Map<string, string[]>();
  for (const change of followed) {
    for (const other of relations.of(change)) {
      const those = speaking.get(other);
      if (those === undefined) speaking.set(other, [change]);
      else those.push(change);
    }
  }
  const missing = [...speaking.keys()].filter((other) => !followed.has(other));
  for (const gone of missing) {
    for (const change of speaking.get(gone) ?? []) {
      if (!followed.delete(change)) continue;
      left.set(change, `its records speak of ${gone}, which is not shown whole`);
      missing.push(change);
    }
  }
  return { followed, left };
}

function verdictOf(asked: PackAsked, findings: WorkflowFindings, followed: ReadonlySet<string>, left: ReadonlyMap<string, string>, logId: string): Verdict {
  const found = workflowVerdict(findings);
  if (found.status === 'fails') return found;
  const unknown = (message: string): Verdict => ({ name: 'WORKFLOW', status: 'notEstablished', message });
  if ('change' in asked && !followed.has(asked.change)) return unknown(`${asked.change}: ${left.get(asked.change) ?? 'it is not in the pack'}`);
  const [first] = left;
  if (first !== undefined) return unknown(`${left.size} of the ${left.size + followed.size} changes cannot be judged: ${first[0]}: ${first[1]}`);
  if (followed.size === 0) return unknown(`no change of log ${logId} is in it`);
  return found;
}
