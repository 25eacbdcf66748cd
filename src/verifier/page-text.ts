/** The page's own text, made again from its script: how a page that may not read its file knows that file's SHA-256. */
import { hashBytes, hashHex } from '../../ledger/crypto.ts';
import { TEMPLATE } from 'countersign:template';

export interface OwnHashes {
  /** Of the script that runs, as the page's policy has it: 64 hex digits. */
  readonly script: string;
  /** Of the whole file, if nothing around the script was changed. */
  readonly file: string;
}

/** @param script the text of the script element that runs */
export function ownHashes(script: string): OwnHashes {
  const bytes = new TextEncoder().encode(script);
  const inPolicy = Buffer.from(hashBytes(bytes)).toString('base64');
  const file = TEMPLATE.replace('{{script-hash}}', () => inPolicy).replace('{{script}}', () => script);
  return { script: hashHex(bytes), file: hashHex(new TextEncoder().encode(file)) };
}
