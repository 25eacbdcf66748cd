/** Approvals that an executor would not believe: it turns away all that names one of them, so they count no more, and people are asked again. */
import { openUse } from '../change/standing-approval.ts';
import { inForceAt, type ChangeState } from '../change/state.ts';
import { openApproval, type ProofContext } from '../protocol/approval-proof.ts';
import type { Decision } from '../protocol/decision.ts';
import { ProtocolError } from '../protocol/errors.ts';
import type { Plan } from '../protocol/plan.ts';
import type { Approval, Refusal } from '../protocol/signed.ts';
import type { EngineContext } from './engine.ts';

/** As many as a record names. Of more, the next decision takes the rest. */
const NAMED_MAX = 256;

/** Their ids: of those that a person has proven herself, as of when executors would judge them, and of uses where the executor takes none. What only the sidecar's own session proves is not among them. */
export function uncountedIn({ trust: { signers, passkeys, requirements }, store, executorOf, takesNoStanding }: Pick<EngineContext, 'trust' | 'store' | 'executorOf' | 'takesNoStanding'>, state: ChangeState, decision: Decision): string[] {
  const { plan } = state;
  // What has begun goes on under them: nobody is asked any more, and half a rotation must not be left standing for a line that a folder has lost.
  if (plan === null || state.finished.length > 0) return [];
  const atMs = store.nextAtMs();
  const noUses = takesNoStanding.has(executorOf(plan.connector) ?? '');
  const own = inForceAt(state, atMs, decision).map(({ approval }) => approval).filter(({ proofClass }) => proofClass !== 'session');
  return own.filter((approval) => (noUses && approval.use !== undefined) || !holds(approval, plan, state.planDigest!, { sidecarKeys: [], signers, passkeys, atMs }, requirements.clockSkewMs)).map(({ approvalId }) => approvalId).slice(0, NAMED_MAX);
}

function holds(approval: Approval, plan: Plan, planDigest: string, proofs: ProofContext, skewMs: number): boolean {
  try {
    if (approval.use === undefined) openApproval(approval, proofs);
    else openUse(approval, plan, planDigest, { ...proofs, skewMs });
    return true;
  } catch (error) {
    if (error instanceof ProtocolError) return false;
    throw error;
  }
}

/** Why an executor turns away what it does not understand, or does not count. */
const OF_APPROVALS = ['malformed', 'approval-invalid', 'approvals-insufficient', 'below-floor'] as const satisfies readonly Refusal[];

/**
 * Where what was turned away names a standing approval, none is used at that executor until it is there anew: one of before knows none, and one whose floor
 * is stricter counts none. A ticket from before it was there anew says nothing: a bus may keep what was answered to that.
 *
 * @param seq of the record that authorised what was turned away
 * @param why the code of its report, or the message of a `TransportError` that has it; for any other reason nothing follows
 */
export function heardTurnedAway({ takesNoStanding, thereSince, logger }: Pick<EngineContext, 'takesNoStanding' | 'thereSince' | 'logger'>, audience: string, { changeId, approvals }: Pick<ChangeState, 'changeId' | 'approvals'>, seq: number, why: string): void {
  const code = OF_APPROVALS.find((one) => why === one || why.startsWith(`${audience}: ${one}: `));
  if (code === undefined || seq < (thereSince.get(audience) ?? 0) || !approvals.some(({ approval }) => approval.use !== undefined)) return;
  takesNoStanding.add(audience);
  logger.warn({ changeId, executor: audience, code }, 'it turned away what a standing approval approves: people are asked there from now on');
}
