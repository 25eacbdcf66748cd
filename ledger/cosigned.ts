/** A checkpoint with more cosignatures: the same text, the log's own signature first, one line for each key. */
import { parseCheckpoint } from './checkpoint.ts';
import { LedgerError } from './errors.ts';
import { formatNote, NOTE_SIGNATURES_MAX, parseNote } from './note.ts';

/**
 * `head` with the cosignatures of `note`, where both are of one size; nothing in them is verified here.
 *
 * @param head the log's own signed note
 * @param note the same text, or that of another size, with cosignatures
 * @param isOwn whether this is the very text that the log signs for that size
 * @throws LedgerError `malformed` where it is not
 */
export function withCosignatures(head: string, note: string, isOwn: (text: string, size: number) => boolean): { readonly size: number; readonly text: string } {
  const more = parseNote(note);
  const { size } = parseCheckpoint(more.text);
  if (!isOwn(more.text, size)) throw new LedgerError('malformed', `a note that is not of the first ${size} records of this log`);
  const own = parseNote(head);
  if (own.text !== more.text) return { size, text: head };
  const [first, ...earlier] = own.signatures;
  // A witness that has signed again says a later time; the first that it said bounds the records more closely, and is kept.
  const lines = [first!, ...earlier, ...more.signatures].filter((one, i, all) => all.findIndex(({ keyName }) => keyName === one.keyName) === i);
  return { size, text: formatNote({ text: own.text, signatures: lines.slice(0, NOTE_SIGNATURES_MAX) }) };
}
