/**
 * Changing the log's key: a record, signed by the key that ends with it and by the one that begins.
 *
 *     {"type":"key.rotated","body":{"old":"<vkey>","new":"<vkey>","oldSignature":"<base64>","newSignature":"<base64>"}, …}
 *
 * Both signatures are over the text that {@link formatRotation} gives: it names the log and the record's own place, so that neither can stand anywhere
 * else. A checkpoint of more records than that is the new key's; whoever still signs with the old one has no say in the log.
 */
import { formatBase64, parseBase64 } from './base64.ts';
import { SIGNATURE_BYTES } from './ed25519.ts';
import { LedgerError } from './errors.ts';
import { ALG_ED25519, parseVerifier, type LogSigner, type Verifier } from './note.ts';
import type { LedgerRecord, RecordDraft } from './record.ts';

export const KEY_ROTATED_TYPE = 'key.rotated';
const KEYS = ['new', 'newSignature', 'old', 'oldSignature'];

export interface KeyRotation {
  readonly old: Verifier;
  readonly new: Verifier;
}

/** What both keys sign. @param seq of the record itself. */
export function formatRotation(origin: string, seq: number, old: string, next: string): string {
  return `countersign/key-rotation/v1\n${origin}\n${seq}\n${old}\n${next}\n`;
}

/** The record that ends `old` and begins `next`, for the place `seq`. @throws what a signer throws */
export async function draftRotation(
  { origin, seq, old, next, at, actor }: { readonly origin: string; readonly seq: number; readonly old: LogSigner; readonly next: LogSigner; readonly at: string; readonly actor: string },
): Promise<RecordDraft> {
  const text = Buffer.from(formatRotation(origin, seq, old.vkey, next.vkey));
  const [oldSignature, newSignature] = await Promise.all([old.sign(text), next.sign(text)]);
  const body = { old: old.vkey, new: next.vkey, oldSignature: formatBase64(oldSignature), newSignature: formatBase64(newSignature) };
  return { v: 1, change: null, type: KEY_ROTATED_TYPE, at, actor, body, objects: [] };
}

/** The key that a record of one's own log begins; null for any other record. */
export function newKeyOf({ type, body }: Pick<LedgerRecord, 'type' | 'body'>): string | null {
  return type === KEY_ROTATED_TYPE && typeof body['new'] === 'string' ? body['new'] : null;
}

/** The keys that a record changes; null for a record that changes none. @throws LedgerError `malformed`, or `untrusted` where either has not signed it */
export function rotationOf(record: LedgerRecord, origin: string): KeyRotation | null {
  if (record.type !== KEY_ROTATED_TYPE) return null;
  const { body, seq } = record;
  if (record.v !== 1 || record.change !== null || KEYS.some((key, i) => Object.keys(body).sort()[i] !== key) || Object.keys(body).length !== KEYS.length) throw malformed(seq, 'its body is not that of one');
  const old = keyOf(body['old'], origin, seq);
  const next = keyOf(body['new'], origin, seq);
  if (Buffer.from(old.publicKey).equals(next.publicKey)) throw malformed(seq, 'the key stays the same');
  const text = Buffer.from(formatRotation(origin, seq, old.vkey, next.vkey));
  for (const [verifier, signature, which] of [[old, body['oldSignature'], 'ends'], [next, body['newSignature'], 'begins']] as const) {
    const bytes = typeof signature === 'string' ? parseBase64(signature) : null;
    if (bytes?.byteLength !== SIGNATURE_BYTES) throw malformed(seq, 'a signature is none');
    if (!verifier.verify(text, bytes)) throw new LedgerError('untrusted', `record ${seq}: the key that ${which}, ${verifier.keyName}, has not signed it`, { seq });
  }
  return { old, new: next };
}

function malformed(seq: number, why: string): LedgerError {
  return new LedgerError('malformed', `record ${seq} does not change the log's key: ${why}`, { seq });
}

function keyOf(vkey: unknown, origin: string, seq: number): Verifier {
  let verifier: Verifier;
  try {
    verifier = parseVerifier(typeof vkey === 'string' ? vkey : '');
  } catch (cause) {
    if (cause instanceof LedgerError) throw malformed(seq, cause.message);
    throw cause;
  }
  if (verifier.type !== ALG_ED25519 || verifier.name !== origin) throw malformed(seq, `${verifier.keyName} is no key of the log ${origin}`);
  return verifier;
}

const hexOf = ({ publicKey }: Verifier): string => Buffer.from(publicKey).toString('hex');

/** The keys of a log, as its records change them. */
export class KeyChain {
  readonly #origin: string;
  #last: { readonly seq: number; readonly rotation: KeyRotation } | null = null;
  /** Public keys that were ended, in hex, and by name with the record that did so. */
  readonly #ended = new Set<string>();
  readonly #endedNames = new Map<string, number>();

  constructor(origin: string) {
    this.#origin = origin;
  }

  /** The key from the last rotation on, and that record; null where there was none. */
  get last(): { readonly seq: number; readonly rotation: KeyRotation } | null {
    return this.#last;
  }

  /** @throws LedgerError for a record that says it changes the key, and does not: its own fault, or that of a key which was not in force */
  note(record: LedgerRecord): void {
    const rotation = rotationOf(record, this.#origin);
    if (rotation === null) return;
    const { last } = this;
    if (last !== null && last.rotation.new.vkey !== rotation.old.vkey) {
      throw new LedgerError('untrusted', `record ${record.seq} ends ${rotation.old.keyName}, and the log's key since record ${last.seq} is ${last.rotation.new.keyName}`, { seq: record.seq });
    }
    if (this.#ended.has(hexOf(rotation.new))) {
      throw new LedgerError('untrusted', `record ${record.seq} begins ${rotation.new.keyName}, which an earlier record has ended`, { seq: record.seq });
    }
    this.#last = { seq: record.seq, rotation };
    this.#ended.add(hexOf(rotation.old));
    if (!this.#endedNames.has(rotation.old.keyName)) this.#endedNames.set(rotation.old.keyName, record.seq);
  }

  /** Why a checkpoint of all that was noted may not be signed with `keyName`; null where it may, as far as the records tell. */
  faultOf(keyName: string): { readonly seq: number; readonly message: string } | null {
    const { last } = this;
    if (last === null || last.rotation.new.keyName === keyName) return null;
    const ended = this.#endedNames.get(keyName);
    const why = ended === undefined ? `${keyName} is not the log's key` : `record ${ended} ended ${keyName}`;
    return { seq: ended ?? last.seq, message: `${why}: since record ${last.seq} it is ${last.rotation.new.keyName}` };
  }
}
