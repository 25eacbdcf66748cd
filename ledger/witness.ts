/**
 * A witness: it cosigns a head of a log once that is shown to grow from the one it cosigned last, and never another.
 *
 * What it is good for rests on one file a log, the head cosigned last, being on disk before the cosignature leaves. So a request is checked and
 * its head made durable in one turn, one request of a log after another; and a state that is torn, or of which something is missing, is refused
 * at the start: a witness that begins again from nothing signs any history that it is shown first.
 *
 *     index                            its own key, and the origin of every log that it has cosigned
 *     heads/<hex SHA-256(origin)>      the last head, signed by log and witness
 *     forks/<hex SHA-256(origin)>      two heads of one size, both signed by the log: the first such pair
 *     lock
 *
 * @see https://c2sp.org/tlog-witness
 */
import { formatCosignatures, formatWitnessSize, parseAddCheckpoint, TLOG_SIZE_TYPE, type AddCheckpoint } from './add-checkpoint.ts';
import { readCheckpoint, type ParsedCheckpoint } from './checkpoint.ts';
import type { Disk } from './disk.ts';
import { LedgerError } from './errors.ts';
import { sameBytes, sha256Hex } from './hash.ts';
import { canonicalBytes } from './jcs.ts';
import { EMPTY_ROOT, verifyConsistency } from './merkle.ts';
import { formatNote, openNote, parseVerifier, type Cosigner, type NoteSignature, type Verifier } from './note.ts';
import type { TrustedLog } from './trust-policy.ts';
import { formatWitnessIndex, parseWitnessIndex } from './witness-index.ts';

export interface WitnessOptions {
  readonly disk: Disk;
  /** Where its state is, below the disk's root; nobody else writes there. */
  readonly directory: string;
  readonly cosigner: Cosigner;
  /** The logs that it cosigns, as they are listed now; one origin may have several keys. */
  readonly logs: () => readonly TrustedLog[];
  readonly nowMs: () => number;
  /** There is no state yet, and this key has never cosigned anything. Said, and not found out: what is lost looks the same. */
  readonly isNew: boolean;
  /** Called once, when a write has failed: from then on every answer is 503. */
  readonly onUnwritable?: (cause: unknown) => void;
}

/** What is answered, and what the witness's own log may say of it. */
export interface WitnessAnswer {
  readonly status: 200 | 400 | 403 | 404 | 409 | 422 | 503;
  readonly contentType: string;
  readonly body: string;
  /** Once the request is read: whose checkpoint it was, believed or not. */
  readonly origin: string | null;
  readonly size: number | null;
  /** The log signed two heads of one size: both are kept below `forks/`. */
  readonly forked: boolean;
}

export interface Witness {
  /** The answer to an add-checkpoint request. Once it says 200, the head survives a crash. */
  addCheckpoint(body: Uint8Array): Promise<WitnessAnswer>;
  /** The last cosigned head of the log whose origin has this SHA-256, with the signatures of log and witness; null where there is none. */
  latest(originHash: string): string | null;
  /** Origins that it has cosigned. */
  readonly origins: readonly string[];
  /** Resolves once every request in hand is answered and the lock is released. */
  close(): Promise<void>;
}

interface Head {
  readonly origin: string;
  readonly size: number;
  readonly root: Uint8Array;
  readonly note: string;
}

const TEXT = 'text/plain; charset=utf-8';

/**
 * The witness over its state.
 *
 * @throws LedgerError `locked`; `not-found` where there is no state and `isNew` was not said; `forked` where there is some and it was, or it belongs
 * to another key; `corrupt` for a state that is torn or of which something is missing. Nothing was changed.
 */
export async function openWitness(options: WitnessOptions): Promise<Witness> {
  const { disk, directory } = options;
  const release = await disk.lock(`${directory}/lock`);
  try {
    const heads = await readState(options);
    const indexed = [...heads.values()].map(({ origin }) => origin);
    await disk.writeDurable(indexPath(directory), formatWitnessIndex({ vkey: options.cosigner.vkey, origins: indexed }));
    return new OpenWitness(options, heads, release);
  } catch (error) {
    await release();
    throw error;
  }
}

const indexPath = (directory: string): string => `${directory}/index`;
const headPath = (directory: string, hash: string): string => `${directory}/heads/${hash}`;
const hashOf = (origin: string): string => sha256Hex(Buffer.from(origin));

async function readState({ disk, directory, cosigner, isNew }: WitnessOptions): Promise<Map<string, Head>> {
  const index = await disk.read(indexPath(directory));
  const names = await disk.list(`${directory}/heads`);
  if (index === null) {
    if (names.length > 0) throw new LedgerError('corrupt', `${indexPath(directory)} is missing, though heads are there: some may be missing too`);
    if (!isNew) throw new LedgerError('not-found', `${directory} holds no state of a witness`);
    return new Map();
  }
  if (isNew) throw new LedgerError('forked', `${directory} holds the state of a witness, which is not new`);
  const { vkey, origins } = parseWitnessIndex(index);
  if (vkey !== cosigner.vkey) throw new LedgerError('forked', `${directory} is the state of the witness ${vkey}, not of ${cosigner.vkey}`);
  const heads = new Map<string, Head>();
  // A head that the index does not name yet was made durable just before a crash.
  for (const hash of new Set([...origins.map(hashOf), ...names])) {
    const bytes = await disk.read(headPath(directory, hash));
    if (bytes === null) throw new LedgerError('corrupt', `${headPath(directory, hash)} is missing: this witness has cosigned that log`);
    heads.set(hash, readHead(bytes, hash, parseVerifier(cosigner.vkey)));
  }
  return heads;
}

function readHead(bytes: Uint8Array, hash: string, own: Verifier): Head {
  const note = Buffer.from(bytes).toString('utf8');
  try {
    openNote(note, [own]);
    const head = { ...readCheckpoint(note), note };
    if (hashOf(head.origin) === hash) return head;
  } catch (cause) {
    if (!(cause instanceof LedgerError)) throw cause;
    throw new LedgerError('corrupt', `heads/${hash} is not a head that this witness cosigned: ${cause.message}`, { cause });
  }
  throw new LedgerError('corrupt', `heads/${hash} is the head of another log`);
}

class OpenWitness implements Witness {
  readonly #options: WitnessOptions;
  /** By the hex SHA-256 of the origin: what is on disk, whole. */
  readonly #heads: Map<string, Head>;
  readonly #turns = new Map<string, Promise<unknown>>();
  readonly #release: () => Promise<void>;
  /** A write failed: what is on disk is not known, so nothing is cosigned until a start has read it. */
  #broken = false;
  #closed = false;

  constructor(options: WitnessOptions, heads: Map<string, Head>, release: () => Promise<void>) {
    this.#options = options;
    this.#heads = heads;
    this.#release = release;
  }

  get origins(): readonly string[] {
    return [...this.#heads.values()].map(({ origin }) => origin);
  }

  latest(originHash: string): string | null {
    return this.#heads.get(originHash)?.note ?? null;
  }

  async addCheckpoint(body: Uint8Array): Promise<WitnessAnswer> {
    let request: AddCheckpoint;
    let claimed: ParsedCheckpoint & { readonly text: string };
    try {
      request = parseAddCheckpoint(body);
      claimed = readCheckpoint(request.checkpoint);
    } catch (error) {
      return { status: 400, contentType: TEXT, body: `${messageOf(error)}\n`, origin: null, size: null, forked: false };
    }
    const { origin, size } = claimed;
    const keys = this.#options.logs().map(({ verifier }) => verifier).filter(({ name }) => name === origin);
    if (keys.length === 0) return answer(claimed, 404, 'this witness does not know the log');
    let signatures: NoteSignature[];
    try {
      signatures = openNote(request.checkpoint, keys).verified.map(({ verifier, signature }) => ({ name: origin, keyName: verifier.keyName, signature }));
    } catch (error) {
      return answer(claimed, 403, messageOf(error));
    }
    if (request.oldSize > size) return answer(claimed, 400, 'the old size is larger than that of the checkpoint');
    return this.#inTurn(origin, () => this.#take(request, claimed, signatures));
  }

  /** Runs `work` once everything asked before with the same key has settled. */
  #inTurn<T>(key: string, work: () => Promise<T>): Promise<T> {
    const turn = (this.#turns.get(key) ?? Promise.resolve()).then(work, work);
    this.#turns.set(key, turn);
    return turn;
  }

  /** Of one log, never two at a time: between the check of the old size and the head's being durable nothing else happens to it. */
  async #take(request: AddCheckpoint, claimed: ParsedCheckpoint & { readonly text: string }, signatures: readonly NoteSignature[]): Promise<WitnessAnswer> {
    if (this.#broken || this.#closed) return answer(claimed, 503, 'this witness cannot keep what it signs, so it signs nothing');
    const hash = hashOf(claimed.origin);
    const head = this.#heads.get(hash);
    const known = head ?? { size: 0, root: EMPTY_ROOT };
    const forked = head !== undefined && claimed.size === head.size && !sameBytes(claimed.root, head.root);
    if (forked) await this.#keepFork(hash, head, formatNote({ text: claimed.text, signatures }));
    if (request.oldSize !== known.size) return { ...answer(claimed, 409, ''), contentType: TLOG_SIZE_TYPE, body: formatWitnessSize(known.size), forked };
    try {
      verifyConsistency(known.size, claimed.size, request.proof, known.root, claimed.root);
    } catch (error) {
      return { ...answer(claimed, 422, messageOf(error)), forked };
    }
    const { cosigner, nowMs } = this.#options;
    const cosignature = { name: cosigner.name, keyName: cosigner.keyName, signature: cosigner.cosign(claimed.text, Math.floor(nowMs() / 1000)) };
    const next: Head = { origin: claimed.origin, size: claimed.size, root: claimed.root, note: formatNote({ text: claimed.text, signatures: [...signatures, cosignature] }) };
    try {
      await this.#persist(hash, next, head === undefined);
    } catch (cause) {
      this.#giveUp(cause);
      return answer(claimed, 503, 'this witness cannot keep what it signs, so it signs nothing');
    }
    return { ...answer(claimed, 200, ''), body: formatCosignatures([cosignature]) };
  }

  #giveUp(cause: unknown): void {
    if (this.#broken) return;
    this.#broken = true;
    this.#options.onUnwritable?.(cause);
  }

  /** The head first, then that there is one: of the two crashes between, the start takes the one for what it is and refuses the other. */
  async #persist(hash: string, head: Head, isFirst: boolean): Promise<void> {
    const { disk, directory, cosigner } = this.#options;
    await disk.writeDurable(headPath(directory, hash), Buffer.from(head.note));
    this.#heads.set(hash, head);
    if (isFirst) await this.#inTurn('', () => disk.writeDurable(indexPath(directory), formatWitnessIndex({ vkey: cosigner.vkey, origins: this.origins })));
  }

  /** Two heads of one size prove by themselves that the log's key signs two histories. The first pair is enough. */
  async #keepFork(hash: string, held: Head, offered: string): Promise<void> {
    const { disk, directory } = this.#options;
    const path = `${directory}/forks/${hash}`;
    // What cannot be kept is in the witness's log all the same, and is no reason to sign or not to sign.
    try {
      if ((await disk.size(path)) === null) await disk.writeDurable(path, canonicalBytes({ held: held.note, offered }));
    } catch {
      return;
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    await Promise.allSettled(this.#turns.values());
    await this.#release();
  }
}

function answer({ origin, size }: ParsedCheckpoint, status: WitnessAnswer['status'], why: string): WitnessAnswer {
  return { status, contentType: TEXT, body: `${why}\n`, origin, size, forked: false };
}

function messageOf(error: unknown): string {
  if (error instanceof LedgerError) return error.message;
  throw error;
}
