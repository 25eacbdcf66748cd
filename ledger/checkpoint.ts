/**
 * Checkpoints: the note that states a log's origin, size and root.
 *
 *     countersign.example/ledger
 *     42
 *     q83v…=
 *
 * @see https://c2sp.org/tlog-checkpoint
 */
import { formatBase64, parseBase64 } from './base64.ts';
import { LedgerError } from './errors.ts';
import { HASH_BYTES, sha256 } from './hash.ts';
import { formatNote, isKeyName, openNote, parseNote, parseVerifier, signNote, type LogSigner, type Signer, type VerifiedSignature, type Verifier } from './note.ts';
import { checkQuorum, type TrustPolicy, type WitnessState } from './trust-policy.ts';

export interface Checkpoint {
  readonly origin: string;
  /** Entries, at most 2^53-1. */
  readonly size: number;
  readonly root: Uint8Array;
}

export interface ParsedCheckpoint extends Checkpoint {
  /** Lines after the root, which nothing here gives a meaning to. */
  readonly extensions: readonly string[];
}

/** The text that is signed. @throws LedgerError `malformed`. */
export function formatCheckpoint(checkpoint: Checkpoint): string {
  if (!isKeyName(checkpoint.origin)) throw new LedgerError('malformed', `not an origin: ${JSON.stringify(checkpoint.origin)}`);
  if (!Number.isSafeInteger(checkpoint.size) || checkpoint.size < 0) throw new LedgerError('malformed', 'a size that is not a count');
  if (checkpoint.root.byteLength !== HASH_BYTES) throw new LedgerError('malformed', 'a root that is not 32 bytes');
  return `${checkpoint.origin}\n${checkpoint.size}\n${formatBase64(checkpoint.root)}\n`;
}

/** Reads the text part of a checkpoint; a second spelling of any number is refused. @throws LedgerError `malformed`. */
export function parseCheckpoint(text: string): ParsedCheckpoint {
  const [origin, size, root, ...rest] = text.split('\n');
  const hash32 = parseBase64(root ?? '');
  if (origin === undefined || !isKeyName(origin) || size === undefined || hash32?.byteLength !== HASH_BYTES) {
    throw new LedgerError('malformed', 'not the text of a checkpoint');
  }
  if (!/^(0|[1-9][0-9]{0,15})$/.test(size) || !Number.isSafeInteger(Number(size))) throw new LedgerError('malformed', 'a checkpoint with a size that is not a count');
  if (rest.at(-1) !== '' || rest.slice(0, -1).includes('')) throw new LedgerError('malformed', 'a checkpoint with an empty line');
  return { origin, size: Number(size), root: hash32, extensions: rest.slice(0, -1) };
}

/** A signed checkpoint, as text. */
export function signCheckpoint(checkpoint: Checkpoint, signer: Signer): string {
  return signNote(formatCheckpoint(checkpoint), [signer]);
}

/** The same by a key that may have to be asked for it. @throws what the signer throws */
export async function signOwnCheckpoint(checkpoint: Checkpoint, signer: LogSigner): Promise<string> {
  const text = formatCheckpoint(checkpoint);
  const message = Buffer.from(text);
  const signature = await signer.sign(message);
  // What a service signed with another key than its own would be no checkpoint of this log.
  if (!parseVerifier(signer.vkey).verify(message, signature)) throw new LedgerError('untrusted', `what ${signer.keyName} was asked to sign came back with a signature that does not hold`);
  return formatNote({ text, signatures: [{ name: signer.name, keyName: signer.keyName, signature }] });
}

/** What a signed checkpoint says, unbelieved: for reading one's own file. @throws LedgerError `malformed`. */
export function readCheckpoint(note: string): ParsedCheckpoint & { readonly text: string } {
  const { text } = parseNote(note);
  return { ...parseCheckpoint(text), text };
}

export interface OpenedCheckpoint extends ParsedCheckpoint {
  /** Names, as in the trust policy, of the witnesses whose cosignatures hold. */
  readonly witnesses: readonly string[];
  readonly witness: WitnessState;
  readonly signatures: readonly VerifiedSignature[];
  /** The log key that signed it. */
  readonly logKey: string;
}

/**
 * The checkpoint, once a log that the policy lists under this very origin has signed it.
 *
 * The quorum is stated in `witness`, not enforced: whoever acts on the checkpoint demands `witness.met`
 * (or calls {@link openWitnessedCheckpoint}).
 *
 * @throws LedgerError `malformed`; or `untrusted`: unknown log, name of the key is not the origin, or a bad signature.
 */
export function openCheckpoint(note: string, policy: TrustPolicy): OpenedCheckpoint {
  const claimed = readCheckpoint(note);
  const logs = policy.logs.map((log) => log.verifier).filter((verifier) => verifier.name === claimed.origin);
  if (logs.length === 0) throw new LedgerError('untrusted', `the trust policy lists no log with the origin ${claimed.origin}`);
  const witnesses = policy.witnesses;
  const opened = openNote(note, [...logs, ...witnesses.map((w) => w.verifier)]);
  const bySigner = opened.verified.find(({ verifier }) => logs.includes(verifier));
  if (bySigner === undefined) throw new LedgerError('untrusted', `the checkpoint is not signed by a key of the log ${claimed.origin}`);
  const cosigned = witnesses.filter((w) => opened.verified.some(({ verifier }) => verifier === w.verifier)).map((w) => w.name);
  return {
    origin: claimed.origin,
    size: claimed.size,
    root: claimed.root,
    extensions: claimed.extensions,
    witnesses: cosigned,
    witness: checkQuorum(policy, cosigned),
    signatures: opened.verified,
    logKey: bySigner.verifier.keyName,
  };
}

/** {@link openCheckpoint} under the one key of the log, with no witness asked for: for whoever looks after that log itself. @throws LedgerError as that does */
export function openOwnCheckpoint(note: string, verifier: Verifier): OpenedCheckpoint {
  return openCheckpoint(note, { logs: [{ verifier, url: null }], witnesses: [], groups: [], quorum: 'none' });
}

/** {@link openCheckpoint}, with the quorum of witnesses demanded. @throws LedgerError `untrusted` when it is not met. */
export function openWitnessedCheckpoint(note: string, policy: TrustPolicy): OpenedCheckpoint {
  const opened = openCheckpoint(note, policy);
  if (!opened.witness.met) throw new LedgerError('untrusted', `cosigned by ${opened.witnesses.length} witnesses, which is no quorum (${opened.witness.demand})`);
  return opened;
}

/** The id of a log wherever one is written: the first 16 hex digits of SHA-256(origin). */
export function logIdOf(origin: string): string {
  return Buffer.from(sha256(Buffer.from(origin))).toString('hex').slice(0, 16);
}
