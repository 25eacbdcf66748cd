/** What every vector of the ledger is: one file, one thing to read, and what must come of it. Nothing in a file is about this implementation. */
import { formatBase64, generateSignerKey, parseCosigner, parseSigner, sha256, type Cosigner, type Signer } from '../../../ledger/index.ts';

export interface Vector {
  /** `notes/no-signature`: its place below `test/vectors/ledger`, without `.json`. */
  readonly path: string;
  readonly content: { readonly title: string } & Readonly<Record<string, unknown>>;
}

/** UTF-8 text as itself, and any other bytes in base64. */
export type Bytes = { readonly text: string } | { readonly base64: string };

export const base64 = (bytes: Uint8Array | string): string => formatBase64(Buffer.from(bytes));
export const bytes = (of: Uint8Array): Bytes => {
  const text = Buffer.from(of).toString('utf8');
  return Buffer.from(text, 'utf8').equals(Buffer.from(of)) ? { text } : { base64: base64(of) };
};

export const seedOf = (name: string): Uint8Array => sha256(Buffer.from(name));
export const keysOf = (name: string, seed: string, type = 1): { skey: string; vkey: string } => generateSignerKey(name, seedOf(seed), type);
export const signerOf = (name: string, seed = name): Signer => parseSigner(keysOf(name, seed).skey);
export const cosignerOf = (name: string): Cosigner => parseCosigner(keysOf(name, name, 4).skey);

export const ORIGIN = 'log.test/a';
export const log = signerOf(ORIGIN, 'a');
export const otherLog = signerOf('log.test/b', 'b');
export const witnesses = ['w1', 'w2', 'w3', 'w4'].map((name) => cosignerOf(`${name}.test`));

/** `text` with `from`, which must be in it, replaced once. */
export function replaced(text: string, from: string | RegExp, to: string): string {
  const made = text.replace(from, to);
  if (made === text) throw new Error(`nothing to replace: ${String(from)}`);
  return made;
}

/** Base64 that decodes to the same bytes and is not how they are written: a bit set that carries nothing. */
export function strayBits(text: string): string {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
  const last = text.indexOf('=') - 1;
  if (last < 0) throw new Error('no bits to spare in this text');
  return `${text.slice(0, last)}${alphabet[alphabet.indexOf(text[last]!) + 1]!}${text.slice(last + 1)}`;
}
