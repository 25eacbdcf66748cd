/**
 * Signed notes: a text, an empty line, and one line a signature.
 *
 *     countersign.example/ledger
 *     42
 *     q83v…=
 *
 *     — countersign.example/ledger Az3grl…=
 *
 * A signature is by a named key: `<name>+<8 hex digits>`, the digits being the first four bytes of
 * SHA-256(name ‖ 0A ‖ type ‖ public key). Types understood: 01 (Ed25519 over the text), 04 (cosignature/v1: Ed25519 over
 * a time and the text). Signatures by keys that nobody asked about are carried along and never believed.
 *
 * @see https://c2sp.org/signed-note, https://c2sp.org/tlog-cosignature
 */
import { formatBase64, parseBase64 } from './base64.ts';
import { privateKeyFromSeed, publicKeyFromBytes, publicKeyOf, signEd25519, SIGNATURE_BYTES, verifyEd25519 } from './ed25519.ts';
import { LedgerError } from './errors.ts';
import { sha256 } from './hash.ts';
import { hasLoneSurrogate } from './json.ts';

export const ALG_ED25519 = 0x01;
export const ALG_COSIGNATURE_V1 = 0x04;

export const NOTE_BYTES_MAX = 1_000_000;
export const NOTE_SIGNATURES_MAX = 100;

export interface Signer {
  readonly name: string;
  /** `name+xxxxxxxx`. */
  readonly keyName: string;
  readonly vkey: string;
  /** 64 raw bytes over `message`. */
  sign(message: Uint8Array): Uint8Array;
}

/** A log's key, in this process or behind a service that signs with it. */
export interface LogSigner extends Omit<Signer, 'sign'> {
  /** 64 raw bytes over `message`. Rejects where the key cannot be asked now: nothing is signed, and it may be asked again. */
  sign(message: Uint8Array): Uint8Array | Promise<Uint8Array>;
}

export interface Verifier {
  readonly name: string;
  /** `name+xxxxxxxx`. */
  readonly keyName: string;
  readonly vkey: string;
  readonly type: number;
  /** The key itself, without its type: two names may hide one key. */
  readonly publicKey: Uint8Array;
  /** `signature`: what follows the key id in a signature line; for type 04 an 8-byte time and 64 bytes. */
  verify(message: Uint8Array, signature: Uint8Array): boolean;
}

export interface NoteSignature {
  readonly name: string;
  /** `name+xxxxxxxx`. */
  readonly keyName: string;
  readonly signature: Uint8Array;
}

export interface Note {
  /** With its final newline: the bytes that are signed. */
  readonly text: string;
  readonly signatures: readonly NoteSignature[];
}

/** Whether `name` may name a key: not empty, no Unicode space, no plus sign. */
export function isKeyName(name: string): boolean {
  return name !== '' && !/[\s\u0085+]/u.test(name) && !hasControl(name) && !hasLoneSurrogate(name);
}

function hasControl(text: string): boolean {
  return /[\u0000-\u0009\u000b-\u001f]/.test(text);
}

function malformed(message: string): never {
  throw new LedgerError('malformed', message);
}

/** SHA-256(name ‖ 0A ‖ type ‖ key)[:4] in hex. */
function keyIdOf(name: string, typedKey: Uint8Array): string {
  return Buffer.from(sha256(Buffer.from(`${name}\n`), typedKey).subarray(0, 4)).toString('hex');
}

function typed(type: number, key: Uint8Array): Uint8Array {
  return Buffer.concat([Uint8Array.of(type), key]);
}

function formatVkey(name: string, type: number, publicKey: Uint8Array): string {
  const typedKey = typed(type, publicKey);
  return `${name}+${keyIdOf(name, typedKey)}+${formatBase64(typedKey)}`;
}

/** The text form of a public key under a name: `name+xxxxxxxx+base64`. @param publicKey 32 raw bytes. */
export function formatVerifier(name: string, publicKey: Uint8Array): string {
  if (!isKeyName(name)) malformed(`not a key name: ${JSON.stringify(name)}`);
  return formatVkey(name, ALG_ED25519, publicKey);
}

/**
 * The key pair of a seed, in the text forms of Go's sumdb/note.
 *
 * @param seed 32 secret random bytes.
 * @param type 01 for a log or any document, 04 for a witness.
 */
export function generateSignerKey(name: string, seed: Uint8Array, type: number = ALG_ED25519): { skey: string; vkey: string } {
  if (!isKeyName(name)) malformed(`not a key name: ${JSON.stringify(name)}`);
  const publicKey = publicKeyOf(privateKeyFromSeed(seed));
  const id = keyIdOf(name, typed(type, publicKey));
  return { skey: `PRIVATE+KEY+${name}+${id}+${formatBase64(typed(type, seed))}`, vkey: formatVkey(name, type, publicKey) };
}

function splitKey(text: string, what: string): { name: string; id: string; type: number; key: Uint8Array } {
  const match = /^([^+]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/=]+)$/.exec(text);
  const bytes = match === null ? null : parseBase64(match[3]!);
  if (match === null || bytes === null || bytes.byteLength < 2 || !isKeyName(match[1]!)) malformed(`not a ${what}`);
  return { name: match[1]!, id: match[2]!, type: bytes[0]!, key: bytes.subarray(1) };
}

function openSigner(skey: string, type: number): Signer {
  const prefix = 'PRIVATE+KEY+';
  if (!skey.startsWith(prefix)) malformed('not a signer key');
  const parts = splitKey(skey.slice(prefix.length), 'signer key');
  if (parts.type !== type) malformed(`a signer key of type ${parts.type} where ${type} is due`);
  const privateKey = privateKeyFromSeed(parts.key);
  const publicKey = publicKeyOf(privateKey);
  if (keyIdOf(parts.name, typed(type, publicKey)) !== parts.id) malformed('a signer key whose id is not that of its name and key');
  return {
    name: parts.name,
    keyName: `${parts.name}+${parts.id}`,
    vkey: formatVkey(parts.name, type, publicKey),
    sign: (message) => signEd25519(privateKey, message),
  };
}

/** @throws LedgerError `malformed`, also when the key id does not belong to the key. The text is never repeated in the message. */
export function parseSigner(skey: string): Signer {
  return openSigner(skey, ALG_ED25519);
}

/** A witness: `sign` gives time ‖ signature, as they follow the key id. */
export interface Cosigner {
  readonly name: string;
  readonly keyName: string;
  readonly vkey: string;
  /** @param timeSeconds Unix seconds. */
  cosign(checkpointText: string, timeSeconds: number): Uint8Array;
}

/** A witness's signing key, type 04. @throws LedgerError `malformed`. */
export function parseCosigner(skey: string): Cosigner {
  const signer = openSigner(skey, ALG_COSIGNATURE_V1);
  return {
    name: signer.name,
    keyName: signer.keyName,
    vkey: signer.vkey,
    cosign(checkpointText, timeSeconds) {
      const time = Buffer.alloc(8);
      time.writeBigUInt64BE(BigInt(timeSeconds));
      return Buffer.concat([time, signer.sign(cosignedMessage(Buffer.from(checkpointText), BigInt(timeSeconds)))]);
    },
  };
}

function cosignedMessage(text: Uint8Array, timeSeconds: bigint): Uint8Array {
  return Buffer.concat([Buffer.from(`cosignature/v1\ntime ${timeSeconds}\n`), text]);
}

/** The last second of the year 9999: what comes after is no RFC 3339 time. */
const SECONDS_MAX = 253_402_300_799n;

/** The time, in Unix seconds, that a cosignature states. @throws LedgerError `malformed` past the year 9999. */
export function cosignatureTime(signature: Uint8Array): number {
  const seconds = Buffer.from(signature).readBigUInt64BE(0);
  if (seconds > SECONDS_MAX) malformed('a cosignature from beyond the year 9999');
  return Number(seconds);
}

/** @throws LedgerError `malformed` for another type than 01 and 04, a small-order key, or an id that is not the key's. */
export function parseVerifier(vkey: string): Verifier {
  const { name, id, type, key } = splitKey(vkey, 'verifier key');
  if (type !== ALG_ED25519 && type !== ALG_COSIGNATURE_V1) malformed(`a verifier key of type ${type}, which is not known here`);
  if (keyIdOf(name, typed(type, key)) !== id) malformed(`the verifier key of ${name} has an id that is not that of its name and key`);
  const publicKey = publicKeyFromBytes(key);
  return {
    name,
    keyName: `${name}+${id}`,
    vkey,
    type,
    publicKey: key,
    verify(message, signature) {
      if (type === ALG_ED25519) return verifyEd25519(publicKey, message, signature);
      if (signature.byteLength !== 8 + SIGNATURE_BYTES) return false;
      const time = Buffer.from(signature).readBigUInt64BE(0);
      // No witness has signed then: a signature that does not hold, as any other that does not.
      if (time > SECONDS_MAX) return false;
      return verifyEd25519(publicKey, cosignedMessage(message, time), signature.subarray(8));
    },
  };
}

/** One signature line, with its newline. */
export function formatSignatureLine(keyName: string, signature: Uint8Array): string {
  const plus = keyName.lastIndexOf('+');
  const id = Buffer.from(keyName.slice(plus + 1), 'hex');
  return `\u2014 ${keyName.slice(0, plus)} ${formatBase64(Buffer.concat([id, signature]))}\n`;
}

/** A note as text. @throws LedgerError `malformed` for a text that can't be one. */
export function formatNote(note: Note): string {
  checkText(note.text);
  return `${note.text}\n${note.signatures.map((s) => formatSignatureLine(s.keyName, s.signature)).join('')}`;
}

function checkText(text: string): void {
  if (!text.endsWith('\n') || hasControl(text) || hasLoneSurrogate(text)) malformed('the text of a note ends in a newline and has no control characters');
}

/** The note of `text` signed by each of `signers`. */
export function signNote(text: string, signers: readonly Signer[]): string {
  checkText(text);
  const bytes = Buffer.from(text);
  return formatNote({ text, signatures: signers.map((s) => ({ name: s.name, keyName: s.keyName, signature: s.sign(bytes) })) });
}

/**
 * The parts of a note, unbelieved.
 *
 * @throws LedgerError `malformed` unless {@link formatNote} could have written exactly this text.
 */
export function parseNote(note: string): Note {
  if (note.length > NOTE_BYTES_MAX) malformed('a note that is too long');
  if (hasControl(note) || hasLoneSurrogate(note)) malformed('a note with control characters');
  const split = note.lastIndexOf('\n\n');
  if (split < 0 || !note.endsWith('\n') || split + 2 >= note.length) malformed('a note without signatures');
  const lines = note.slice(split + 2, -1).split('\n');
  if (lines.length > NOTE_SIGNATURES_MAX) malformed(`a note with more than ${NOTE_SIGNATURES_MAX} signatures`);
  return { text: note.slice(0, split + 1), signatures: lines.map(parseSignatureLine) };
}

/** @throws LedgerError `malformed`. */
export function parseSignatureLine(line: string): NoteSignature {
  const match = /^\u2014 ([^ ]+) ([^ ]+)$/.exec(line);
  const bytes = match === null ? null : parseBase64(match[2]!);
  if (match === null || bytes === null || bytes.byteLength < 5 || !isKeyName(match[1]!)) malformed('a line that is not a signature');
  const id = Buffer.from(bytes.subarray(0, 4)).toString('hex');
  return { name: match[1]!, keyName: `${match[1]!}+${id}`, signature: bytes.subarray(4) };
}

export interface VerifiedSignature {
  readonly verifier: Verifier;
  readonly signature: Uint8Array;
}

export interface OpenedNote extends Note {
  /** At least one, by distinct keys, in the note's order. */
  readonly verified: readonly VerifiedSignature[];
}

/**
 * The note, once at least one of `verifiers` has signed it.
 *
 * @throws LedgerError `malformed`; or `untrusted` when no known key has signed it, or the signature of a known key does
 * not hold: a note with a bad signature is bad, however many good ones it has.
 */
export function openNote(note: string, verifiers: readonly Verifier[]): OpenedNote {
  const parsed = parseNote(note);
  const message = Buffer.from(parsed.text);
  const verified: VerifiedSignature[] = [];
  const seen = new Set<string>();
  for (const { keyName, signature } of parsed.signatures) {
    const verifier = verifiers.find((v) => v.keyName === keyName);
    if (verifier === undefined || seen.has(keyName)) continue;
    seen.add(keyName);
    if (!verifier.verify(message, signature)) throw new LedgerError('untrusted', `the signature of ${keyName} does not hold`);
    verified.push({ verifier, signature });
  }
  if (verified.length === 0) throw new LedgerError('untrusted', `signed by none of the known keys, but by ${parsed.signatures.map((s) => s.keyName).join(', ')}`);
  return { ...parsed, verified };
}
