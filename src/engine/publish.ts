/** Sends an envelope to an executor, with the proof that it asks for that this log has only grown. */
import type { SignedHead } from '../../ledger/index.ts';
import { anyTicketSchema, onlyTakesAway } from '../protocol/discovery.ts';
import { readPayload } from '../protocol/dsse.ts';
import type { StepEnvelope } from '../protocol/envelope.ts';
import type { Dsse } from '../protocol/signed.ts';
import type { TraceContext } from '../tracing/trace.ts';
import type { EngineContext } from './engine.ts';
import { headOver } from './receipt.ts';

export type Sent =
  | { readonly taken: true }
  | { readonly taken: false; readonly why: 'seenMore'; /** Records that it has seen of this log. */ readonly theirSize: number; readonly size: number }
  /** It was not sent: whoever waits is woken when the copy of the ledger has come on, or witnesses have cosigned more. */
  | { readonly taken: false; readonly why: 'notCopied' | 'notCosigned' };

/** How long what gives access waits for the copy of the ledger, and for its witnesses, before others are looked at, or its caller is told to come again. */
export const SHOWN_MS = 1_000;

export interface Sending {
  readonly ticket: Dsse;
  /** Of the record that authorises it. */
  readonly seq: number;
  /** The envelope, proven to continue checkpoints of the sizes `heads`, under `checkpoint`. */
  make(heads: readonly number[], checkpoint: SignedHead): Promise<StepEnvelope>;
  /** In which it is sent. */
  readonly trace?: TraceContext | undefined;
}

type PublishContext = Pick<EngineContext, 'transport' | 'executorHeads' | 'log' | 'copy' | 'witnesses'>;

/**
 * Resolves once the executor has taken the envelope up, or says that it has seen more of this log than there is.
 *
 * What it is shown of the log, a quorum of witnesses has cosigned and the copy of the ledger holds, where there are such. What only takes access away
 * waits for neither, and its executor keeps nothing of the checkpoint that it was shown.
 *
 * @throws TransportError, LedgerError; Error where it accepts no proof
 */
export async function publishEnvelope(context: PublishContext, audience: string, { ticket, seq, make, trace }: Sending): Promise<Sent> {
  const { transport, executorHeads, log, copy } = context;
  const keepsHead = !onlyTakesAway(readPayload(ticket, anyTicketSchema));
  for (let attempt = 0; attempt < 3; attempt += 1) {
    const heads = executorHeads.of(audience);
    const checkpoint = keepsHead ? await headToShow(context, seq, heads) : await headOver(log, seq);
    if (checkpoint === null) return { taken: false, why: 'notCosigned' };
    // A lost disk can then be restored to no less than any executor has seen.
    if (copy?.guards(audience) === true && keepsHead && !(await copy.holds(checkpoint.size, SHOWN_MS))) return { taken: false, why: 'notCopied' };
    const acceptance = await transport.publishStep(audience, await make(heads, checkpoint), trace);
    if (acceptance.accepted) {
      if (keepsHead) executorHeads.saw(audience, checkpoint.size);
      return { taken: true };
    }
    if (acceptance.fromSize > log.checkpoint().size) return { taken: false, why: 'seenMore', theirSize: acceptance.fromSize, size: log.checkpoint().size };
    executorHeads.saw(audience, acceptance.fromSize);
  }
  throw new Error(`${audience} does not accept that this log grew from what it has seen`);
}

/** What may be shown to those who keep it, of at least what they have seen: null where a quorum of witnesses has not cosigned that in time. */
export async function headToShow({ log, witnesses }: Pick<PublishContext, 'log' | 'witnesses'>, seq: number, seen: readonly number[]): Promise<SignedHead | null> {
  const head = await headOver(log, seq);
  if (witnesses === undefined) return head;
  return witnesses.cosigned(Math.max(seq + 1, ...seen.filter((size) => size <= head.size)), SHOWN_MS);
}
