/** Standing approvals that an executor has turned away, though it knows such: its folder lacks a key, or has another floor than it said. */
import type { ChangeState } from '../change/state.ts';
import type { Refusal } from '../protocol/signed.ts';
import type { EngineContext } from './engine.ts';

/** Kept in memory only: whoever forgets it tries once more. */
export interface TurnedAway {
  /** A worker of this run is there. One that was not yet reads its folders anew: what was turned away before says nothing of it. */
  heardOf(audience: string, run: string): void;
  /** @param seq of the record that authorised what was turned away: a bus may keep what was answered to an earlier worker */
  add(audience: string, approvalId: string, seq: number): void;
  has(audience: string, approvalId: string): boolean;
}

/** @param records how many there are now */
export function rememberTurnedAway(records: () => number): TurnedAway {
  const byAudience = new Map<string, { readonly runs: Set<string>; readonly approvals: Set<string>; since: number }>();
  const of = (audience: string): { readonly runs: Set<string>; readonly approvals: Set<string>; since: number } => {
    const known = byAudience.get(audience) ?? { runs: new Set(), approvals: new Set(), since: 0 };
    byAudience.set(audience, known);
    return known;
  };
  return {
    heardOf(audience, run) {
      const { runs, approvals } = of(audience);
      if (runs.has(run)) return;
      runs.add(run);
      approvals.clear();
      of(audience).since = records();
    },
    add(audience, approvalId, seq) {
      if (seq >= of(audience).since) of(audience).approvals.add(approvalId);
    },
    has: (audience, approvalId) => byAudience.get(audience)?.approvals.has(approvalId) ?? false,
  };
}

/** Why an executor turns away what it does not understand, or does not count. */
const OF_APPROVALS = ['malformed', 'approval-invalid', 'approvals-insufficient', 'below-floor'] as const satisfies readonly Refusal[];

/**
 * The standing approvals that are named in what was turned away are used at that executor no more: people are asked there.
 *
 * @param seq of the record that authorised what was turned away
 * @param why the code of its report, or the message of a `TransportError` that has it; for any other reason nothing follows
 */
export function heardTurnedAway({ turnedAway, logger }: Pick<EngineContext, 'turnedAway' | 'logger'>, audience: string, { changeId, approvals }: Pick<ChangeState, 'changeId' | 'approvals'>, seq: number, why: string): void {
  const code = OF_APPROVALS.find((one) => why === one || why.startsWith(`${audience}: ${one}: `));
  const uses = approvals.flatMap(({ approval }) => (approval.use === undefined ? [] : [approval.approvalId]));
  if (code === undefined || uses.length === 0) return;
  for (const approvalId of uses) turnedAway.add(audience, approvalId, seq);
  logger.warn({ changeId, executor: audience, code }, 'it turned away what a standing approval approves: for that one, people are asked there from now on');
}
