/** Approvals that an executor would not believe: it turns away all that names one of them, so they count no more, and people are asked again. */
import { openUse } from '../change/standing-approval.ts';
import { inForceAt, type ChangeState } from '../change/state.ts';
import { openApproval, type ProofContext } from '../protocol/approval-proof.ts';
import type { Decision } from '../protocol/decision.ts';
import { ProtocolError } from '../protocol/errors.ts';
import type { Plan } from '../protocol/plan.ts';
import type { Approval } from '../protocol/signed.ts';
import type { EngineContext } from './engine.ts';

/** As many as a record names. Of more, the next decision takes the rest. */
const NAMED_MAX = 256;

/** Their ids: of those that a person has proven herself, as of when executors would judge them, and of uses that the executor has turned away. What only the sidecar's own session proves is not among them. */
export function uncountedIn({ trust: { signers, passkeys, requirements }, store, executorOf, turnedAway }: Pick<EngineContext, 'trust' | 'store' | 'executorOf' | 'turnedAway'>, state: ChangeState, decision: Decision): string[] {
  const { plan } = state;
  // What has begun goes on under them: nobody is asked any more, and half a rotation must not be left standing for a line that a folder has lost.
  if (plan === null || state.finished.length > 0) return [];
  const atMs = store.nextAtMs();
  const audience = executorOf(plan.connector) ?? '';
  const own = inForceAt(state, atMs, decision).map(({ approval }) => approval).filter(({ proofClass }) => proofClass !== 'session');
  return own.filter((approval) => (approval.use !== undefined && turnedAway.has(audience, approval.approvalId)) || !holds(approval, plan, state.planDigest!, { sidecarKeys: [], signers, passkeys, atMs }, requirements.clockSkewMs)).map(({ approvalId }) => approvalId).slice(0, NAMED_MAX);
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
