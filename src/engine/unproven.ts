/** Approvals that a person has proven herself, by what is not good any more: executors would turn away all that names one of them, and nobody would hear of it. */
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

/** Their ids, as of when executors would judge them. What only the sidecar's own session proves is not among them. */
export function unprovenIn({ trust: { signers, passkeys, requirements }, store }: Pick<EngineContext, 'trust' | 'store'>, state: ChangeState, decision: Decision): string[] {
  const { plan, finished, firstActAtMs } = state;
  if (plan === null) return [];
  const nowMs = store.nextAtMs();
  const atMs = finished.length > 0 && firstActAtMs !== null ? Math.min(nowMs, firstActAtMs) : nowMs;
  const own = inForceAt(state, nowMs, decision).map(({ approval }) => approval).filter(({ proofClass }) => proofClass !== 'session');
  return own.filter((approval) => !holds(approval, plan, state.planDigest!, { sidecarKeys: [], signers, passkeys, atMs }, requirements.clockSkewMs)).map(({ approvalId }) => approvalId).slice(0, NAMED_MAX);
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
