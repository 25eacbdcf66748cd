/** What a run checks before its code changes anything: the same as an executor, by the same code, against the trust folder of the caller. */
import { admit, type AdmissionContext } from '../executor/admission.ts';
import type { Head } from '../executor/receipt.ts';
import { stepEnvelopeSchema } from '../protocol/envelope.ts';
import type { Plan } from '../protocol/plan.ts';
import type { ActTicket, Refusal } from '../protocol/signed.ts';
import type { Trust } from '../protocol/trust-folder.ts';
import type { RunKey } from './run-key.ts';

export type OpenedTicket =
  | {
      readonly ok: true;
      readonly ticket: ActTicket;
      readonly plan: Plan;
      /** The newest checkpoint of the ticket's log, to be kept by whoever wants to notice a log that was rolled back; null where the known one stays. */
      readonly head: Head | null;
    }
  | { readonly ok: false; readonly code: Refusal; readonly message: string };

/**
 * Whether the run may make the change now: approved, recorded, in time, for this very run. Pure; an envelope that is refused is no reason to
 * touch anything.
 *
 * @param head the newest checkpoint believed so far, by log id; `() => null` for a run that has seen none
 */
export function openTicketForRun(
  envelope: unknown, { trust, key, nowMs, head }: { readonly trust: Trust; readonly key: Pick<RunKey, 'id'>; readonly nowMs: number; readonly head: AdmissionContext['head'] },
): OpenedTicket {
  const admission = admit(envelope, {
    trust, executorId: key.id, nowMs, head, connectors: connectorsOf(envelope),
    // A call is one step: nothing of its plan has begun before it.
    beganAtMs: () => null,
  });
  if (!admission.ok) return { ok: false, code: admission.code, message: admission.message };
  if (admission.kind !== 'act') throw new Error('a read is admitted for executors only');
  return { ok: true, ticket: admission.ticket, plan: admission.plan, head: admission.head };
}

/** A run has no connectors: its own code reaches whatever system the plan is about. */
function connectorsOf(envelope: unknown): ReadonlySet<string> {
  const parsed = stepEnvelopeSchema.safeParse(envelope);
  return new Set(parsed.success && parsed.data.plan !== null ? [parsed.data.plan.connector] : []);
}
