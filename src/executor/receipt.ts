/** Whether a receipt proves that this very ticket was recorded, in a log that has only grown since it was last seen. */
import {
  decodeRecord, leafHash, LedgerError, logIdOf, openCheckpoint, openWitnessedCheckpoint, verifyConsistency, verifyInclusion,
  type LedgerRecord, type OpenedCheckpoint,
} from '../../ledger/index.ts';
import { changeEventBodies, type EventBody } from '../change/events.ts';
import { discoveryAuthorisedSchema, type DiscoverTicket } from '../protocol/discovery.ts';
import type { Receipt } from '../protocol/envelope.ts';
import { ProtocolError } from '../protocol/errors.ts';
import type { Dsse, Refusal, Ticket } from '../protocol/signed.ts';
import type { Trust } from '../protocol/trust-folder.ts';

/** The newest checkpoint of a log that was believed. */
export interface Head {
  readonly size: number;
  /** base64 of 32 bytes. */
  readonly root: string;
}

export interface Authorisation {
  readonly record: LedgerRecord;
  readonly body: EventBody<'step.authorised'>;
}

function refusing<T>(code: Refusal, check: () => T): T {
  try {
    return check();
  } catch (cause) {
    if (cause instanceof LedgerError) throw new ProtocolError(code, cause.message, { cause });
    throw cause;
  }
}

/**
 * The receipt's checkpoint, once it is signed and witnessed as the trust folder demands and continues `known`.
 *
 * @param demands `witnessed`: the quorum of the trust folder; false for what only takes away, which no witness holds up
 * @throws ProtocolError `untrusted-checkpoint` or `inconsistent-checkpoint`
 */
export function openReceiptCheckpoint(receipt: Receipt, log: string, trust: Trust, known: Head | null, demands: { readonly witnessed: boolean }): OpenedCheckpoint {
  const open = demands.witnessed ? openWitnessedCheckpoint : openCheckpoint;
  const checkpoint = refusing('untrusted-checkpoint', () => open(receipt.checkpoint, trust.policy));
  if (logIdOf(checkpoint.origin) !== log) throw new ProtocolError('untrusted-checkpoint', `a checkpoint of ${checkpoint.origin}, which is not the log of the ticket`);
  if (known !== null) checkGrowth(receipt, checkpoint, known);
  return checkpoint;
}

function checkGrowth(receipt: Receipt, checkpoint: OpenedCheckpoint, known: Head): void {
  const refuse = (why: string): never => {
    throw new ProtocolError('inconsistent-checkpoint', `${why}; ${known.size} records have been seen`);
  };
  const proof = checkpoint.size === known.size ? [] : (receipt.consistency.find(({ fromSize }) => fromSize === known.size)?.proof ?? null);
  if (checkpoint.size < known.size) refuse(`a checkpoint of ${checkpoint.size} records`);
  if (proof === null) return refuse(`no proof that the log of ${checkpoint.size} records grew from there`);
  refusing('inconsistent-checkpoint', () =>
    verifyConsistency(known.size, checkpoint.size, proof.map(bytesOf), bytesOf(known.root), checkpoint.root));
}

/**
 * The record that authorises `ticket`, once it is proven to be in the log under `checkpoint`.
 *
 * @throws ProtocolError `no-receipt`: not in the log; `receipt-mismatch`: in the log, but it authorises something else
 */
export function openAuthorisation(receipt: Receipt, checkpoint: OpenedCheckpoint, envelope: Dsse, ticket: Ticket): Authorisation {
  const record = openRecord(receipt, checkpoint);
  const mismatch = mismatchIn(receipt);
  if (record.type !== 'step.authorised' || record.v !== 1) mismatch(`is a ${record.type} of version ${record.v}`);
  if (record.change !== ticket.changeId) mismatch(`is about ${record.change ?? 'no change'}`);
  const body = changeEventBodies['step.authorised'].safeParse(record.body);
  if (!body.success) return mismatch('does not have the body of an authorisation');
  if (body.data.kind === 'revoke' || body.data.kind !== ticket.kind) return mismatch(`authorises a ${body.data.kind}`);
  const authorised = body.data.ticket;
  if (authorised.payloadType !== envelope.payloadType || authorised.payload !== envelope.payload) mismatch('authorises another ticket');
  if (body.data.stepId !== ticket.stepId || body.data.issue !== ticket.issue || body.data.revision !== ticket.revision) mismatch('names another step');
  return { record, body: body.data };
}

/**
 * The record that authorises a look at everything there, under the same proof.
 *
 * @throws ProtocolError as of {@link openAuthorisation}
 */
export function checkDiscoveryAuthorised(receipt: Receipt, checkpoint: OpenedCheckpoint, envelope: Dsse, ticket: DiscoverTicket): void {
  const record = openRecord(receipt, checkpoint);
  const mismatch = mismatchIn(receipt);
  if (record.type !== 'discovery.authorised' || record.v !== 1 || record.change !== null) mismatch(`is a ${record.type} of version ${record.v}`);
  const body = discoveryAuthorisedSchema.safeParse(record.body);
  if (!body.success) return mismatch('does not have the body of an authorisation');
  const authorised = body.data.ticket;
  if (authorised.payloadType !== envelope.payloadType || authorised.payload !== envelope.payload) mismatch('authorises another ticket');
  if (body.data.stepId !== ticket.stepId) mismatch('names another step');
}

function openRecord(receipt: Receipt, checkpoint: OpenedCheckpoint): LedgerRecord {
  const bytes = bytesOf(receipt.record);
  refusing('no-receipt', () => verifyInclusion(leafHash(bytes), receipt.index, checkpoint.size, receipt.inclusion.map(bytesOf), checkpoint.root));
  const record = refusing('receipt-mismatch', () => decodeRecord(bytes));
  if (record.seq !== receipt.index) mismatchIn(receipt)(`calls itself ${record.seq}`);
  return record;
}

function mismatchIn(receipt: Receipt): (what: string) => never {
  return (what) => {
    throw new ProtocolError('receipt-mismatch', `record ${receipt.index} ${what}`);
  };
}

function bytesOf(base64: string): Uint8Array {
  return Buffer.from(base64, 'base64');
}
