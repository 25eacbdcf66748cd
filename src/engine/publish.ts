/** Sends an envelope to an executor, with the proof that it asks for that this log has only grown. */
import { readCheckpoint } from '../../ledger/index.ts';
import { anyTicketSchema } from '../protocol/discovery.ts';
import { readPayload } from '../protocol/dsse.ts';
import type { StepEnvelope } from '../protocol/envelope.ts';
import { takesAway } from '../protocol/plan.ts';
import type { EngineContext } from './engine.ts';
import type { LedgerCopy } from './ports.ts';

export type Sent =
  | { readonly taken: true }
  | { readonly taken: false; readonly why: 'seenMore'; /** Records that it has seen of this log. */ readonly theirSize: number; readonly size: number }
  /** It was not sent: whoever waits is woken when the copy of the ledger has come on. */
  | { readonly taken: false; readonly why: 'notCopied' };

/** How long what gives access waits for the copy of the ledger before others are looked at, or its caller is told to come again. */
export const COPY_MS = 1_000;

/**
 * Resolves once the executor has taken the envelope up, or says that it has seen more of this log than there is.
 *
 * @param make the envelope, proven to continue checkpoints of these sizes
 * @throws TransportError, LedgerError; Error where it accepts no proof
 */
export async function publishEnvelope(
  { transport, executorHeads, log, copy }: Pick<EngineContext, 'transport' | 'executorHeads' | 'log' | 'copy'>, audience: string, make: (heads: readonly number[]) => Promise<StepEnvelope>,
): Promise<Sent> {
  for (let attempt = 0; attempt < 3; attempt += 1) {
    const envelope = await make(executorHeads.of(audience));
    const keepsHead = !onlyTakesAway(envelope);
    if (copy !== undefined && keepsHead && !(await isCopied(copy, audience, envelope))) return { taken: false, why: 'notCopied' };
    const size = log.checkpoint().size;
    const acceptance = await transport.publishStep(audience, envelope);
    if (acceptance.accepted) {
      if (keepsHead) executorHeads.saw(audience, size);
      return { taken: true };
    }
    if (acceptance.fromSize > log.checkpoint().size) return { taken: false, why: 'seenMore', theirSize: acceptance.fromSize, size };
    executorHeads.saw(audience, acceptance.fromSize);
  }
  throw new Error(`${audience} does not accept that this log grew from what it has seen`);
}

/**
 * Whether the copy of the ledger holds all that this envelope shows to its executor: a lost disk can then be restored to no less than any
 * executor has seen.
 */
function isCopied(copy: LedgerCopy, audience: string, { receipt }: StepEnvelope): Promise<boolean> {
  return copy.guards(audience) ? copy.holds(readCheckpoint(receipt.checkpoint).size, COPY_MS) : Promise.resolve(true);
}

/** What takes access away waits for no copy, and its executor keeps nothing of the checkpoint that it was shown. */
function onlyTakesAway({ ticket: envelope }: StepEnvelope): boolean {
  const ticket = readPayload(envelope, anyTicketSchema);
  return ticket.kind === 'act' && takesAway(ticket.step.action);
}
