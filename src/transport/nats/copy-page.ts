/**
 * A page of a ledger's copy: consecutive records as they are hashed, which objects they name, and the checkpoint where one ends here.
 *
 * Nothing of it is signed beside the checkpoint, and nothing is believed: whoever restores from pages holds every byte to a checkpoint of
 * the log's own key.
 */
import { z } from 'zod';
import { canonicalBytes, OBJECT_BYTES_MAX, RECORD_BYTES_MAX, type Appended } from '../../../ledger/index.ts';
import { digestSchema, logIdSchema } from '../../protocol/values.ts';
import { MESSAGE_BYTES_MAX } from './bus-layout.ts';
import { readMessage } from './said.ts';

/** Bytes of records in a page: quoting them in JSON at most doubles that. */
export const PAGE_RECORD_BYTES_MAX = 524_288;
export const PAGE_RECORDS_MAX = 1_024;
export const PAGE_OBJECTS_MAX = 4_096;
/** Bytes of an object in one message. */
export const PART_BYTES = 1_048_576;

const CHECKPOINT_CHARACTERS_MAX = 65_536;

export const copyPageSchema = z.strictObject({
  v: z.literal(1),
  log: logIdSchema,
  /** The seq of the first record. */
  first: z.int().min(0),
  /** RFC 8785 text, each. */
  records: z.array(z.string().max(RECORD_BYTES_MAX)).min(1).max(PAGE_RECORDS_MAX),
  /** Every object that one of them names: how long it is cannot be told any more once it is erased. */
  objects: z.array(z.strictObject({ digest: digestSchema, length: z.int().min(1).max(OBJECT_BYTES_MAX) })).max(PAGE_OBJECTS_MAX),
  /** The signed note whose size is `first` and as many records as are here; null where that size was never signed. */
  checkpoint: z.string().max(CHECKPOINT_CHARACTERS_MAX).nullable(),
});
export type CopyPage = z.infer<typeof copyPageSchema>;

export function encodePage(log: string, entries: readonly Appended[], objects: CopyPage['objects'], checkpoint: string | null): Uint8Array {
  const page: CopyPage = { v: 1, log, first: entries[0]!.seq, records: entries.map(({ bytes }) => Buffer.from(bytes).toString('utf8')), objects: [...objects], checkpoint };
  return canonicalBytes(page);
}

/** The page, or null for what is none of this log. */
export function readPage(bytes: Uint8Array, log: string): CopyPage | null {
  const page = readMessage(bytes, copyPageSchema, MESSAGE_BYTES_MAX);
  return page?.log === log ? page : null;
}

/** Records up to and with this page. */
export const endOfPage = ({ first, records }: CopyPage): number => first + records.length;
