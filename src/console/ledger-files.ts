/** The ledger's files, asked for in her name and read as they say: nothing here believes them, and nothing is verified by it. */
import { bundlePath, cosignatureTime, decodeBundle, decodeRecord, formatDigest, LedgerError, parseNote, readCheckpoint, TILE_WIDTH, type LedgerRecord } from '../../ledger/index.ts';
import type { Client } from '../client/index.ts';

export interface Head {
  readonly size: number;
  readonly origin: string;
  /** `sha256:…` */
  readonly root: string;
  /** The keys under which it is signed, by their own word. `at`: what a cosignature states. */
  readonly signatures: readonly { readonly key: string; readonly at: string | null }[];
}

/** An Ed25519 signature alone, and one with the time before it. @see https://c2sp.org/tlog-cosignature */
const COSIGNATURE_BYTES = 72;

/** @throws ClientError, or LedgerError for what is no checkpoint */
export async function readHead(client: Client): Promise<Head> {
  const note = (await collect(client.ledgerFile('checkpoint'))).toString('utf8');
  const { size, origin, root } = readCheckpoint(note);
  const signatures = parseNote(note).signatures.map(({ keyName, signature }) => ({
    key: keyName, at: signature.byteLength === COSIGNATURE_BYTES ? new Date(cosignatureTime(signature) * 1000).toISOString() : null,
  }));
  return { size, origin, root: formatDigest(root), signatures };
}

/** Up to `count` records, the newest first, from `to - 1` down. `to` is at most `size`. @throws ClientError, or LedgerError for what are no records */
export async function readRecords(client: Client, size: number, to: number, count: number): Promise<LedgerRecord[]> {
  const from = Math.max(0, to - count);
  const bundles = new Map<number, Uint8Array[]>();
  for (let index = Math.floor(from / TILE_WIDTH); index * TILE_WIDTH < to; index += 1) {
    bundles.set(index, decodeBundle(await collect(client.ledgerFile(bundlePath(index, Math.min(TILE_WIDTH, size - index * TILE_WIDTH))))));
  }
  return Array.from({ length: to - from }, (_, back) => to - 1 - back).map((seq) => decodeRecord(bundles.get(Math.floor(seq / TILE_WIDTH))?.[seq % TILE_WIDTH] ?? new Uint8Array()));
}

/** A bundle of records that are as long as they may be takes less. */
const FILE_BYTES_MAX = 16 * 1024 * 1024;

/** @throws LedgerError for what is longer than any file of a ledger that is read here */
export async function collect(asked: Promise<AsyncIterable<Uint8Array>>): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  let length = 0;
  for await (const piece of await asked) {
    length += piece.length;
    if (length > FILE_BYTES_MAX) throw new LedgerError('malformed', `a file of more than ${FILE_BYTES_MAX} bytes`);
    pieces.push(piece);
  }
  return Buffer.concat(pieces);
}
