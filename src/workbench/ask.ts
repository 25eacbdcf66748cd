/** One recorded question put to a policy: its answer, or that it has none. */
import type { ReplayEntrypoint } from '../evidence/replay.ts';
import type { Pdp } from '../pdp/engine.ts';
import { EngineFault, type EngineFaultCode } from '../pdp/fault.ts';
import type { AcceptInput, ChangeInput, ReconcileInput, VerificationInput } from '../pdp/policy-input.ts';

export interface Reason {
  readonly code: string;
  readonly message: string;
  readonly rule: string;
}

export type PolicyAnswer = { readonly ok: true; readonly outcome: string; readonly reasons: readonly Reason[]; readonly value: object } | { readonly ok: false; readonly fault: EngineFaultCode };

/** Faults that say how this machine fared, and nothing of the policy. */
const STOPPED: ReadonlySet<EngineFaultCode> = new Set(['timed-out', 'crashed', 'overloaded', 'closed']);
export const isStopped = (fault: EngineFaultCode): boolean => STOPPED.has(fault);

/** `outcome`: the effect; of a proposal what it proposes, or `nothing`. Rejects for no fault of the policy's. */
export async function askPolicy(pdp: Pick<Pdp, 'decide' | 'verify' | 'reconcile' | 'redecide' | 'accept'>, entrypoint: ReplayEntrypoint, input: unknown): Promise<PolicyAnswer> {
  try {
    if (entrypoint === 'access/reconcile') {
      const proposal = await pdp.reconcile(input as ReconcileInput);
      return { ok: true, outcome: proposal.propose ?? 'nothing', reasons: proposal.reasons, value: proposal };
    }
    const answer = entrypoint === 'access/verify' ? await pdp.verify(input as VerificationInput)
      : entrypoint === 'workflow/accept' ? await pdp.accept(input as AcceptInput)
      : await pdp[entrypoint === 'access/decide' ? 'decide' : 'redecide'](input as ChangeInput);
    return { ok: true, outcome: answer.effect, reasons: answer.reasons, value: answer };
  } catch (error) {
    if (!(error instanceof EngineFault)) throw error;
    return { ok: false, fault: error.code };
  }
}
