/**
 * Proofs of single records, as one text:
 *
 *     c2sp.org/tlog-proof@v1
 *     index 41
 *     <base64 hash>            leaf sibling first, up to the root's child
 *
 *     <the signed checkpoint>
 *
 * @see https://c2sp.org/tlog-proof
 */
import { formatBase64, parseBase64 } from './base64.ts';
import { openCheckpoint, readCheckpoint, type OpenedCheckpoint } from './checkpoint.ts';
import { LedgerError } from './errors.ts';
import { HASH_BYTES } from './hash.ts';
import { leafHash, verifyInclusion } from './merkle.ts';
import type { TrustPolicy } from './trust-policy.ts';

export interface TlogProof {
  readonly index: number;
  readonly hashes: readonly Uint8Array[];
  /** The signed note, with every cosignature it came with. */
  readonly checkpoint: string;
  /** Bytes that nothing vouches for. */
  readonly extra?: Uint8Array;
}

const HEADER = 'c2sp.org/tlog-proof@v1';
const HASHES_MAX = 63;

export function formatProof({ index, hashes, checkpoint, extra }: TlogProof): string {
  const lines = [HEADER, ...(extra === undefined ? [] : [`extra ${formatBase64(extra)}`]), `index ${index}`, ...hashes.map(formatBase64), ''];
  return `${lines.join('\n')}\n${checkpoint}`;
}

function malformed(message: string): never {
  throw new LedgerError('malformed', `not a proof: ${message}`);
}

/** @throws LedgerError `malformed` unless {@link formatProof} could have written exactly this text. */
export function parseProof(text: string): TlogProof {
  const end = text.indexOf('\n\n');
  if (end < 0) malformed('no empty line before the checkpoint');
  const checkpoint = text.slice(end + 2);
  const [header, ...lines] = text.slice(0, end).split('\n');
  if (header !== HEADER) malformed('another first line');
  const extra = lines[0]?.startsWith('extra ') === true ? (parseBase64(lines.shift()!.slice(6)) ?? malformed('extra is not base64')) : undefined;
  const index = Number(/^index (0|[1-9][0-9]{0,15})$/.exec(lines.shift() ?? '')?.[1] ?? malformed('no index'));
  if (!Number.isSafeInteger(index)) malformed('an index that is not a count');
  if (lines.length > HASHES_MAX) malformed(`more than ${HASHES_MAX} hashes`);
  const hashes = lines.map((line) => {
    const hash32 = parseBase64(line);
    return hash32?.byteLength === HASH_BYTES ? hash32 : malformed('a line that is not a hash');
  });
  readCheckpoint(checkpoint);
  return { index, hashes, checkpoint, ...(extra === undefined ? {} : { extra }) };
}

/**
 * The checkpoint, once `entry` is shown to be the record that the proof says, in a log that the policy trusts.
 *
 * The quorum is stated in `witness`, not enforced; see {@link openCheckpoint}.
 *
 * @throws LedgerError `malformed`, `untrusted` or `invalid-proof`.
 */
export function verifyProof(entry: Uint8Array, proof: TlogProof, policy: TrustPolicy): OpenedCheckpoint {
  const checkpoint = openCheckpoint(proof.checkpoint, policy);
  verifyInclusion(leafHash(entry), proof.index, checkpoint.size, proof.hashes, checkpoint.root);
  return checkpoint;
}
