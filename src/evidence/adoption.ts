/**
 * A change that a log has adopted: its records as the old log signed them, carried in objects of the record that adopts it. Each has its proof under
 * the adopted checkpoint, so that nobody need have the old log to know that it said so.
 */
import { z } from 'zod';
import { decodeRecord, LedgerError, logIdOf, parseStrict, readCheckpoint, type LedgerRecord } from '../../ledger/index.ts';
import type { ChangeEvent } from '../change/events.ts';
import { logIdSchema, saltSchema } from '../protocol/values.ts';
import { MalformedRecord, toEvent, type ReadObject, type SystemRecordBody } from './record.ts';

/** Bytes of one object with records, as its maker fills it. */
export const PART_BYTES = 4_194_304;
/** Plans and states that a record names beside its parts; what is beyond stays in the old ledger, as if it were erased here. */
export const CARRIED_OBJECTS_MAX = 192;

/** Records of one change under one log, in their order. */
export const adoptedPartSchema = z.strictObject({
  v: z.literal(1), salt: saltSchema, kind: z.literal('adoptedRecords'), log: logIdSchema,
  records: z.array(z.strictObject({
    /** The record's bytes, which are text. */
    record: z.string().min(2),
    /** Of its inclusion under the log's adopted checkpoint. */
    inclusion: z.array(z.base64().length(44)).max(63),
  })).min(1),
});
export type AdoptedPart = z.infer<typeof adoptedPartSchema>;

export interface AdoptedRecord {
  readonly log: string;
  readonly bytes: Uint8Array;
  readonly record: LedgerRecord;
  readonly inclusion: readonly Uint8Array[];
}

/**
 * What a `change.adopted` record carries, oldest first, with one part in memory at a time: it may be anything that fits into a record. Nothing is proven yet.
 *
 * @throws MalformedRecord, also where it carries more records than it says
 */
export async function* readAdopted(adopting: LedgerRecord, readObject: ReadObject): AsyncGenerator<AdoptedRecord> {
  const event = await toEvent(adopting, readObject);
  if (event.type !== 'change.adopted') throw new MalformedRecord(adopting.seq, `${event.type} adopts nothing`);
  let left = event.body.records;
  for (const digest of event.body.parts) {
    const { log, records } = await readPart(adopting, digest, readObject);
    left -= records.length;
    if (left < 0) throw new MalformedRecord(adopting.seq, `it carries more than the ${event.body.records} records that it says`);
    for (const entry of records) yield adoptedRecord(adopting.seq, log, entry);
  }
}

/** @throws MalformedRecord, JsonError */
export async function readPart(adopting: LedgerRecord, digest: string, readObject: ReadObject): Promise<AdoptedPart> {
  const bytes = adopting.objects.includes(digest) ? await readObject(digest) : null;
  if (bytes === null) throw new MalformedRecord(adopting.seq, `object ${digest}, which holds the adopted records, is not with it or was erased`);
  const part = adoptedPartSchema.safeParse(parseStrict(bytes, { maxBytes: bytes.byteLength }));
  if (!part.success) throw new MalformedRecord(adopting.seq, `object ${digest} holds no adopted records: ${z.prettifyError(part.error)}`);
  return part.data;
}

/** @param seq of the record that adopts it @throws MalformedRecord */
export function adoptedRecord(seq: number, log: string, { record: text, inclusion }: AdoptedPart['records'][number]): AdoptedRecord {
  const bytes = Buffer.from(text, 'utf8');
  try {
    return { log, bytes, record: decodeRecord(bytes), inclusion: inclusion.map((hash) => Buffer.from(hash, 'base64')) };
  } catch (cause) {
    if (!(cause instanceof LedgerError)) throw cause;
    throw new MalformedRecord(seq, `what it adopts is no record: ${cause.message}`, { cause });
  }
}

/** Objects that an adopted record names: those that were carried over. Any other is as good as erased here. */
export function carriedBy(adopting: LedgerRecord, readObject: ReadObject): ReadObject {
  return async (digest) => (adopting.objects.includes(digest) ? readObject(digest) : null);
}

/** The events that a record of one's own ledger tells: of one that adopts, all that it adopts, and then itself. @throws MalformedRecord */
export async function* eventsOf(record: LedgerRecord, readObject: ReadObject): AsyncGenerator<ChangeEvent> {
  const event = await toEvent(record, readObject);
  if (event.type === 'change.adopted') {
    for await (const adopted of readAdopted(record, readObject)) {
      if (adopted.record.change !== record.change) throw new MalformedRecord(record.seq, 'it adopts a record of another change');
      yield await toEvent(adopted.record, carriedBy(record, readObject));
    }
  }
  yield event;
}

/** The ids of the logs that a `ledger.adopted` record names, oldest first. @throws LedgerError for what is no checkpoint */
export function adoptedLogs({ checkpoint, earlier }: Pick<SystemRecordBody<'ledger.adopted'>, 'checkpoint' | 'earlier'>): string[] {
  return [...earlier, checkpoint].map((note) => logIdOf(readCheckpoint(note).origin));
}
