/** Sends an envelope to an executor, with the proof that it asks for that this log has only grown. */
import type { StepEnvelope } from '../protocol/envelope.ts';
import type { EngineContext } from './engine.ts';

export type Sent = { readonly taken: true } | { readonly taken: false; /** Records that it has seen of this log. */ readonly theirSize: number; readonly size: number };

/**
 * Resolves once the executor has taken the envelope up, or says that it has seen more of this log than there is.
 *
 * @param make the envelope, proven to continue checkpoints of these sizes
 * @throws TransportError, LedgerError; Error where it accepts no proof
 */
export async function publishEnvelope(
  { transport, executorHeads, log }: Pick<EngineContext, 'transport' | 'executorHeads' | 'log'>, audience: string, make: (heads: readonly number[]) => Promise<StepEnvelope>,
): Promise<Sent> {
  for (let attempt = 0; attempt < 3; attempt += 1) {
    const envelope = await make(executorHeads.of(audience));
    const size = log.checkpoint().size;
    const acceptance = await transport.publishStep(audience, envelope);
    if (acceptance.accepted) {
      executorHeads.saw(audience, size);
      return { taken: true };
    }
    if (acceptance.fromSize > log.checkpoint().size) return { taken: false, theirSize: acceptance.fromSize, size };
    executorHeads.saw(audience, acceptance.fromSize);
  }
  throw new Error(`${audience} does not accept that this log grew from what it has seen`);
}
