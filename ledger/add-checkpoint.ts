/**
 * Asking a witness to cosign: the request, the answer, and what a client may believe of it.
 *
 *     old 20852014
 *     PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=      consistency proof from the old size, if that is not 0
 *
 *     <the signed checkpoint>
 *
 * The answer is one cosignature line for each key of the witness: what follows the empty line of a note.
 *
 * @see https://c2sp.org/tlog-witness
 */
import { formatBase64, parseBase64 } from './base64.ts';
import { readCheckpoint } from './checkpoint.ts';
import { LedgerError } from './errors.ts';
import { HASH_BYTES } from './hash.ts';
import { ALG_COSIGNATURE_V1, cosignatureTime, formatSignatureLine, NOTE_SIGNATURES_MAX, parseSignatureLine, type NoteSignature, type Verifier } from './note.ts';

/** More than any log sends: the proof takes 2,900 bytes, a checkpoint with a dozen cosignatures 2,000. */
export const ADD_CHECKPOINT_BYTES_MAX = 65_536;
export const CONSISTENCY_HASHES_MAX = 63;
/** What a witness says when it has another size than the client thought. */
export const TLOG_SIZE_TYPE = 'text/x.tlog.size';

export interface AddCheckpoint {
  /** The size that the witness is thought to have cosigned last; 0 where nothing is known. */
  readonly oldSize: number;
  /** That the checkpoint grows from there; empty where `oldSize` is 0 or the checkpoint's own. */
  readonly proof: readonly Uint8Array[];
  /** The signed note. */
  readonly checkpoint: string;
}

function malformed(message: string): never {
  throw new LedgerError('malformed', `not an add-checkpoint request: ${message}`);
}

/** The body of the request. @throws LedgerError `malformed` for what {@link parseAddCheckpoint} would not read back. */
export function formatAddCheckpoint({ oldSize, proof, checkpoint }: AddCheckpoint): string {
  const body = `${[`old ${oldSize}`, ...proof.map(formatBase64), ''].join('\n')}\n${checkpoint}`;
  parseAddCheckpoint(Buffer.from(body));
  return body;
}

/** What the body asks for, unbelieved. @throws LedgerError `malformed` unless {@link formatAddCheckpoint} could have written exactly these bytes. */
export function parseAddCheckpoint(body: Uint8Array): AddCheckpoint {
  if (body.byteLength > ADD_CHECKPOINT_BYTES_MAX) malformed(`more than ${ADD_CHECKPOINT_BYTES_MAX} bytes`);
  const text = decode(body);
  const end = text.indexOf('\n\n');
  if (end < 0) malformed('no empty line before the checkpoint');
  const [old, ...lines] = text.slice(0, end).split('\n');
  const oldSize = parseSize(/^old (.*)$/.exec(old ?? '')?.[1] ?? malformed('the first line is not an old size'));
  if (oldSize === null) malformed('an old size that is not a count');
  if (lines.length > CONSISTENCY_HASHES_MAX) malformed(`more than ${CONSISTENCY_HASHES_MAX} hashes`);
  const proof = lines.map((line) => {
    const hash32 = parseBase64(line);
    return hash32?.byteLength === HASH_BYTES ? hash32 : malformed('a line that is not a hash');
  });
  const checkpoint = text.slice(end + 2);
  readCheckpoint(checkpoint);
  return { oldSize, proof, checkpoint };
}

function decode(body: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(body);
  } catch {
    return malformed('not UTF-8');
  }
}

/** A count in its one spelling, else null. */
function parseSize(text: string): number | null {
  return /^(0|[1-9][0-9]{0,15})$/.test(text) && Number.isSafeInteger(Number(text)) ? Number(text) : null;
}

/** The body of a 409: the size that the witness has. */
export function formatWitnessSize(size: number): string {
  return `${size}\n`;
}

/** The body of a 200. */
export function formatCosignatures(cosignatures: readonly Pick<NoteSignature, 'keyName' | 'signature'>[]): string {
  return cosignatures.map(({ keyName, signature }) => formatSignatureLine(keyName, signature)).join('');
}

/** The lines of a 200, unbelieved. @throws LedgerError `malformed` unless the body is one or more whole signature lines. */
export function parseCosignatures(body: Uint8Array): NoteSignature[] {
  if (body.byteLength > ADD_CHECKPOINT_BYTES_MAX) malformed(`an answer of more than ${ADD_CHECKPOINT_BYTES_MAX} bytes`);
  const text = decode(body);
  if (!text.endsWith('\n')) malformed('an answer that does not end in a newline');
  const lines = text.slice(0, -1).split('\n');
  if (lines.length > NOTE_SIGNATURES_MAX) malformed(`an answer of more than ${NOTE_SIGNATURES_MAX} lines`);
  return lines.map(parseSignatureLine);
}

export interface HttpAnswer {
  readonly status: number;
  readonly contentType: string | null;
  /** At most a little more than {@link ADD_CHECKPOINT_BYTES_MAX}: the port reads no further. */
  readonly body: Uint8Array;
}

/** One POST. Follows no redirect; rejects when there is no whole answer in time. */
export type Post = (url: string, body: string) => Promise<HttpAnswer>;

/** A cosignature that holds, and may be added to the checkpoint as it is. */
export interface Cosignature {
  /** The whole line, with its newline. */
  readonly line: string;
  readonly verifier: Verifier;
  /** Unix seconds, by the witness's clock. */
  readonly timeSeconds: number;
}

export type WitnessOutcome =
  | { readonly kind: 'cosigned'; readonly cosignatures: readonly [Cosignature, ...Cosignature[]] }
  /** The witness has less than `oldSize` of this log: ask again from `size`. */
  | { readonly kind: 'behind'; readonly size: number }
  /** The witness has more than `oldSize`, and no more than the checkpoint: ask again from `size`. */
  | { readonly kind: 'ahead'; readonly size: number }
  /**
   * The witness has cosigned what this checkpoint does not grow from: more than the checkpoint holds (`size`), or another tree of its size.
   * Either this log was rolled back, or somebody signs a second history with its key; or, where there is a `size`, this log has grown to it meanwhile
   * and somebody else has asked: the caller, who knows, looks before it cries.
   */
  | { readonly kind: 'conflict'; readonly size: number | null; readonly why: string }
  /** Not cosigned, for a reason that says nothing of the log: an unknown origin or key, a witness that is ill, an answer that does not hold. */
  | { readonly kind: 'refused'; readonly status: number; readonly why: string };

/**
 * Asks the witness at `url` to cosign; believes of its answer what holds under `verifiers`.
 *
 * @param url the witness's submission prefix, as in its line of the trust policy.
 * @param verifiers the witness's keys (type 04); cosignatures by others are ignored.
 * @throws LedgerError `malformed` for a request that is none, before anything is sent; whatever `post` rejects with: nothing is known then, and the
 * witness may have cosigned.
 */
export async function addCheckpoint(post: Post, url: string, verifiers: readonly Verifier[], request: AddCheckpoint): Promise<WitnessOutcome> {
  const body = formatAddCheckpoint(request);
  const { size, text } = readCheckpoint(request.checkpoint);
  const answer = await post(`${url.replace(/\/+$/, '')}/add-checkpoint`, body);
  switch (answer.status) {
    case 200:
      return believe(answer, Buffer.from(text), verifiers);
    case 409:
      return resized(answer, request.oldSize, size);
    case 422:
      return { kind: 'conflict', size: null, why: whyOf(answer) };
    default:
      return { kind: 'refused', status: answer.status, why: whyOf(answer) };
  }
}

function believe(answer: HttpAnswer, message: Uint8Array, verifiers: readonly Verifier[]): WitnessOutcome {
  const refused = (why: string): WitnessOutcome => ({ kind: 'refused', status: answer.status, why });
  const cosignatures: Cosignature[] = [];
  try {
    for (const { keyName, signature } of parseCosignatures(answer.body)) {
      const verifier = verifiers.find((v) => v.type === ALG_COSIGNATURE_V1 && v.keyName === keyName);
      if (verifier === undefined || cosignatures.some((known) => known.verifier === verifier)) continue;
      if (!verifier.verify(message, signature)) return refused(`the cosignature of ${keyName} does not hold`);
      const timeSeconds = cosignatureTime(signature);
      if (timeSeconds === 0) return refused(`the cosignature of ${keyName} states no time`);
      cosignatures.push({ line: formatSignatureLine(keyName, signature), verifier, timeSeconds });
    }
  } catch (error) {
    if (error instanceof LedgerError) return refused(error.message);
    throw error;
  }
  const [first, ...more] = cosignatures;
  return first === undefined ? refused('no cosignature of a key that is known here') : { kind: 'cosigned', cosignatures: [first, ...more] };
}

function resized(answer: HttpAnswer, oldSize: number, newSize: number): WitnessOutcome {
  const isSize = answer.contentType?.split(';')[0]!.trim().toLowerCase() === TLOG_SIZE_TYPE;
  const match = isSize ? /^([0-9]+)\n$/.exec(Buffer.from(answer.body).toString('latin1')) : null;
  const size = match === null ? null : parseSize(match[1]!);
  if (size === null) return { kind: 'refused', status: answer.status, why: `a conflict without the size that the witness has: ${whyOf(answer)}` };
  if (size > newSize) return { kind: 'conflict', size, why: `the witness has cosigned ${size} entries of this log, which has ${newSize}` };
  if (size < oldSize) return { kind: 'behind', size };
  if (size > oldSize) return { kind: 'ahead', size };
  // Some witnesses answer so, and not with 422, when they have another root.
  return { kind: 'conflict', size, why: `the witness has ${size} entries, as was said, and does not take what follows` };
}

/** What the answer says of itself, for a log: one line, nothing that could be taken for something else. */
function whyOf({ status, body }: HttpAnswer): string {
  const said = Buffer.from(body.subarray(0, 200)).toString('latin1').replaceAll(/[^\x20-\x7e]+/g, ' ').trim();
  return said === '' ? `the witness answered ${status}` : `the witness answered ${status}: ${said}`;
}
