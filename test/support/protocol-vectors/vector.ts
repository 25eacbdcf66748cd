/** What every vector is: one file, one thing to try, and what must come of it. */
import { generateSignerKey, parseSigner, sha256, type Signer } from '../../../ledger/index.ts';
import { newChangeId } from '../../../src/engine/ids.ts';
import { preAuthEncoding } from '../../../src/protocol/dsse.ts';
import type { Dsse } from '../../../src/protocol/signed.ts';
import { logId, START_MS } from '../story.ts';

export interface Vector {
  /** `steps/wrong-audience`: its place below `test/vectors/protocol`, without `.json`. */
  readonly path: string;
  readonly content: { readonly title: string } & Readonly<Record<string, unknown>>;
}

/** A JSON value, or, where the message is none, its bytes; `padTo`: filled up with spaces at the end to so many bytes. */
export type Message = { readonly json: unknown } | { readonly base64: string; readonly padTo?: number };

export const changeId = (n: number): string => newChangeId(logId, START_MS, (length) => sha256(Buffer.from(`change ${n}`)).subarray(0, length));
/** The change that vectors are about, and another of the same log. */
export const CHANGE = changeId(1);
export const ANOTHER_CHANGE = changeId(2);

export const signerOf = (name: string, seed: number): Signer => parseSigner(generateSignerKey(name, new Uint8Array(32).fill(seed)).skey);

export const base64 = (bytes: Uint8Array | string): string => Buffer.from(bytes).toString('base64');
export const fromBase64 = (text: string): Buffer => Buffer.from(text, 'base64');

/** An envelope over these very bytes, canonical or not. */
export function signBytes(payloadType: string, payload: Uint8Array | string, signer: Signer): Dsse {
  const bytes = Buffer.from(payload);
  return { payloadType, payload: base64(bytes), signatures: [{ keyid: signer.keyName, sig: base64(signer.sign(preAuthEncoding(payloadType, bytes))) }] };
}

/** The same text with a bit set that carries nothing: base64 that decodes to the same bytes and is not how they are written. */
export function strayBits(text: string): string {
  const last = text.replace(/=+$/, '').length - 1;
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
  if (!text.endsWith('=')) throw new Error('no bits to spare in this text');
  return `${text.slice(0, last)}${alphabet[alphabet.indexOf(text[last]!) + 1]!}${text.slice(last + 1)}`;
}
