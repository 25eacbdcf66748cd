/** Makes the envelope that an executor can check by itself: ticket, plan, order, approvals, and the receipt for them. */
import type { Log, SignedHead } from '../../ledger/index.ts';
import type { ChangeState, IssuedTicket } from '../change/state.ts';
import { meets } from '../protocol/decision.ts';
import type { Receipt, StepEnvelope } from '../protocol/envelope.ts';

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64');

/** The newest signed checkpoint, once it covers record `seq`. @throws LedgerError where the log cannot be signed any more */
export async function headOver(log: Log, seq: number): Promise<SignedHead> {
  // Durable and not yet signed over is a matter of moments.
  if (seq >= log.checkpoint().size) await log.sync();
  return log.checkpoint();
}

/**
 * The receipt for record `seq` under `checkpoint`, one that this log has signed, with a consistency proof from each of `heads` that is not larger: the
 * sizes of the checkpoints that its readers may have seen last.
 */
export async function makeReceipt(log: Log, seq: number, heads: readonly number[], checkpoint: SignedHead): Promise<Receipt> {
  let bytes: Uint8Array | null = null;
  for await (const entry of log.entries(seq, seq + 1)) bytes = entry.bytes;
  if (bytes === null || seq >= checkpoint.size) throw new Error(`record ${seq} is not under the checkpoint of size ${checkpoint.size}`);
  const proof = log.prove(seq, checkpoint.size);
  return {
    record: base64(bytes), index: seq, inclusion: proof.hashes.map(base64), checkpoint: checkpoint.text,
    consistency: heads.filter((size) => size <= checkpoint.size).map((fromSize) => ({ fromSize, proof: log.proveConsistency(fromSize, checkpoint.size).map(base64) })),
  };
}

export async function makeEnvelope(log: Log, state: ChangeState, issued: IssuedTicket, kind: 'read' | 'act', heads: readonly number[], checkpoint: SignedHead): Promise<StepEnvelope> {
  const receipt = await makeReceipt(log, issued.seq, heads, checkpoint);
  return {
    v: 1, ticket: issued.ticket, plan: kind === 'act' ? state.plan : null, order: kind === 'act' ? ((state.lease ?? state.extension)?.order ?? null) : null,
    approvals: kind === 'act' ? namedIn(receipt, state) : [], ...(kind === 'act' && issued.isGlassBroken === true && state.breakGlass !== null ? { breakGlass: state.breakGlass.envelope } : {}),
    receipt,
  };
}

/** Those that the record names, and no others: what came before may be over. One statement that was proven twice has one id: the better proof goes. */
function namedIn({ record }: Receipt, { approvals }: ChangeState): StepEnvelope['approvals'] {
  const { body } = JSON.parse(Buffer.from(record, 'base64').toString('utf8')) as { readonly body: { readonly approvals: readonly string[] } };
  const named = new Map<string, StepEnvelope['approvals'][number]>();
  for (const { approval } of approvals) {
    const known = named.get(approval.approvalId);
    if (body.approvals.includes(approval.approvalId) && (known === undefined || meets(approval.proofClass, known.proofClass))) named.set(approval.approvalId, approval);
  }
  return [...named.values()];
}
