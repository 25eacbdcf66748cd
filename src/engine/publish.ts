/** Sends an envelope to an executor, with the proof that it asks for that this log has only grown, once the copy of the ledger holds what it shows. */
import { readCheckpoint } from '../../ledger/index.ts';
import type { StepEnvelope } from '../protocol/envelope.ts';
import type { EngineContext } from './engine.ts';

export type Sent =
  | { readonly outcome: 'taken' }
  /** The copy of the ledger does not hold all that the envelope shows. Nothing was sent. */
  | { readonly outcome: 'uncopied' }
  | { readonly outcome: 'behind'; /** Records that the executor has seen of this log. */ readonly theirSize: number; readonly size: number };

/** How long the copy is waited for, in ms: then others have their turn, and it says when it has come on. */
const COPY_MS = 1_000;

/**
 * Resolves once the executor has taken the envelope up, or says that it has seen more of this log than there is.
 *
 * @param make the envelope, proven to continue checkpoints of these sizes
 * @param takesAway what takes access away does not wait for the copy
 * @throws TransportError, LedgerError; Error where it accepts no proof
 */
export async function publishEnvelope(
  context: Pick<EngineContext, 'transport' | 'executorHeads' | 'log' | 'copy'>, audience: string, make: (heads: readonly number[]) => Promise<StepEnvelope>, takesAway = false,
): Promise<Sent> {
  const { transport, executorHeads, log } = context;
  for (let attempt = 0; attempt < 3; attempt += 1) {
    const envelope = await make(executorHeads.of(audience));
    if (!takesAway && !(await isCopied(context, audience, envelope))) return { outcome: 'uncopied' };
    const size = log.checkpoint().size;
    const acceptance = await transport.publishStep(audience, envelope);
    if (acceptance.accepted) {
      executorHeads.saw(audience, size);
      return { outcome: 'taken' };
    }
    if (acceptance.fromSize > log.checkpoint().size) return { outcome: 'behind', theirSize: acceptance.fromSize, size };
    executorHeads.saw(audience, acceptance.fromSize);
  }
  throw new Error(`${audience} does not accept that this log grew from what it has seen`);
}

/** Whether a lost disk could then be restored to no less than the executor has seen. */
async function isCopied({ copy }: Pick<EngineContext, 'copy'>, audience: string, { receipt }: StepEnvelope): Promise<boolean> {
  return copy?.guards(audience) !== true || copy.holds(readCheckpoint(receipt.checkpoint).size, COPY_MS);
}
