/**
 * Has the checkpoints of a log cosigned: the newest head at a time, by every witness at once, each with a deadline and a pause of its own.
 *
 * A witness that is slow or away holds up nothing but a quorum that needs it. One that has cosigned what this log has not, or has otherwise, means that
 * the log was rolled back or that somebody signs a second history with its key: then the log must not go on.
 */
import {
  addCheckpoint, checkQuorum, formatBase64, LedgerError, openNote, parseNote,
  type Log, type SignedHead, type TrustedWitness, type TrustPolicy, type Verifier,
} from '../../ledger/index.ts';
import type { Clock, Logger, Witnesses } from '../engine/ports.ts';
import { seenBy, type SeenHead } from './heads.ts';
import { reasonOf, type WitnessHttp } from './http.ts';

export interface WitnessingOptions {
  readonly log: Log;
  /** The log's own key. */
  readonly verifier: Verifier;
  /** Witnesses with a URL are asked. */
  readonly policy: TrustPolicy;
  readonly http: WitnessHttp;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly retryMs?: { readonly first: number; readonly longest: number };
  /** This log must not go on. `theirs`: what the witness has cosigned, where it gives that out. Called once. */
  readonly conflict: (error: LedgerError, witness: string, theirs: SeenHead | null) => void;
  /** A checkpoint has the cosignatures that are demanded; where none are, at least one. Again when it has more. */
  readonly cosigned: (head: SignedHead) => void;
}

export interface Witnessing extends Witnesses {
  /** Resolves when every witness has been asked once and has answered, or `timeoutMs` are over. */
  asked(timeoutMs: number): Promise<void>;
  /** How the witnesses stand, for whoever looks after them. */
  state(): { readonly ok: boolean; readonly message: string };
  /** Asks about what was signed last for a moment longer. */
  close(): Promise<void>;
}

/** How often a new head is asked about that nobody waits for. */
const LOOK_MS = 1_000;
const RETRY_MS = { first: 1_000, longest: 15_000 } as const;
/** A witness says which size it has, and is asked again from there. */
const ATTEMPTS = 3;
const CLOSE_MS = 2_000;

interface Asked {
  readonly witness: TrustedWitness;
  /** The size that it cosigned last, as far as is known. */
  size: number;
  busy: boolean;
  answered: boolean;
  failures: number;
  notBeforeMs: number;
  why: string | null;
}

/** The head that is being cosigned. */
interface Round {
  readonly head: SignedHead;
  readonly names: Set<string>;
  note: string;
}

/** Begins at once, in the background. */
export function startWitnessing(options: WitnessingOptions): Witnessing {
  const { log, policy, http, clock, logger, retryMs = RETRY_MS } = options;
  const asked: readonly Asked[] = policy.witnesses.filter(({ url }) => url !== null)
    .map((witness) => ({ witness, size: 0, busy: false, answered: false, failures: 0, notBeforeMs: -Infinity, why: null }));
  const demands = policy.quorum !== 'none';
  const waiters = new Set<() => void>();
  const onProgress: (() => void)[] = [];
  const keys = [options.verifier, ...policy.logs.map(({ verifier }) => verifier).filter(({ keyName }) => keyName !== options.verifier.keyName)];
  let round: Round = beginOf(log.checkpoint());
  let newest: SignedHead | null = null;
  let conflict: LedgerError | null = null;
  let toldToWait = false;
  let wanted = 0;
  let closed = false;
  let cancelTimer = (): void => undefined;

  /** What is on the head already, from before this start. */
  function beginOf(head: SignedHead): Round {
    const begun: Round = { head, names: new Set(), note: head.text };
    for (const one of asked) {
      if (!hasSigned(head.text, one.witness.verifier)) continue;
      begun.names.add(one.witness.name);
      one.size = head.size;
    }
    return begun;
  }
  const isMet = ({ names }: Round): boolean => (demands ? checkQuorum(policy, [...names]).met : names.size > 0);
  const moved = (): void => {
    for (const notify of [...waiters]) notify();
  };
  const progressed = (): void => {
    if (!isMet(round)) return;
    const isNew = round.head.size > (newest?.size ?? -1);
    newest = { ...round.head, text: round.note };
    options.cosigned(newest);
    if (!isNew || !toldToWait) return;
    toldToWait = false;
    for (const callback of onProgress) callback();
  };

  /** Takes up the newest head, where the one before has what it needs, or nobody is left to give it. */
  const advance = (): void => {
    const head = log.checkpoint();
    if (head.size === round.head.size || (!(demands && isMet(round)) && asked.some(({ busy }) => busy))) return;
    round = beginOf(head);
    progressed();
  };
  const kick = (): void => {
    if (closed || conflict !== null) return;
    cancelTimer();
    advance();
    // What is on disk of a witness says nothing of what it has cosigned since: at a start each is asked once, whatever is there.
    for (const one of asked) if (!one.busy && (!one.answered || !round.names.has(one.witness.name)) && one.notBeforeMs <= clock.nowMs()) void ask(one, round);
    cancelTimer = clock.after(LOOK_MS, kick);
  };

  /** Never rejects. */
  const ask = async (one: Asked, about: Round): Promise<void> => {
    one.busy = true;
    try {
      const why = await cosign(one, about);
      if (why === null) settled(one);
      else failed(one, why);
    } catch (error) {
      failed(one, reasonOf(error));
    }
    one.busy = false;
    one.answered = true;
    moved();
    // Whoever still waits, waits for a newer head than this; and this witness may be needed for it.
    if (wanted > (newest?.size ?? 0) || !isMet(round)) kick();
  };
  const settled = (one: Asked): void => {
    if (one.failures > 0) logger.info({ witness: one.witness.name }, 'a witness cosigns again');
    one.failures = 0;
    one.why = null;
  };
  const failed = (one: Asked, why: string): void => {
    if (one.failures === 0) logger.warn({ witness: one.witness.name, why }, 'a witness does not cosign; it is asked again');
    one.failures += 1;
    one.why = why;
    one.notBeforeMs = clock.nowMs() + Math.min(retryMs.first * 2 ** Math.min(one.failures - 1, 16), retryMs.longest);
  };

  /** Null once it is cosigned; else why it is not. */
  const cosign = async (one: Asked, about: Round): Promise<string | null> => {
    const { size, text } = about.head;
    let why = 'it says each time that it has another size';
    for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
      const proof = one.size > 0 && one.size < size ? log.proveConsistency(one.size, size) : [];
      const outcome = await addCheckpoint((url, body) => http.post(url, body), one.witness.url!, [one.witness.verifier], { oldSize: one.size, proof, checkpoint: text });
      switch (outcome.kind) {
        case 'cosigned':
          one.size = size;
          await collect(one, about, outcome.cosignatures.map(({ line }) => line).join(''));
          return null;
        case 'behind':
        case 'ahead':
          one.size = outcome.size;
          break;
        case 'conflict':
          why = await examine(one, outcome.size, outcome.why);
          return why;
        case 'refused':
          return outcome.why;
      }
    }
    return why;
  };

  const collect = async ({ witness }: Asked, about: Round, lines: string): Promise<void> => {
    if (about.names.has(witness.name)) return;
    about.names.add(witness.name);
    about.note += lines;
    await log.cosign(about.note).catch((error: unknown) => logger.warn({ error: reasonOf(error) }, 'the checkpoint could not be put on disk with its cosignatures'));
    if (about === round) progressed();
  };

  /** Looks at what the witness has, and puts an end to the log where that is not of it. Else: why the witness is not to be believed. */
  const examine = async ({ witness }: Asked, claimed: number | null, why: string): Promise<string> => {
    let theirs: SeenHead | null = null;
    try {
      theirs = await seenBy(witness, log.origin, keys, http);
    } catch (error) {
      logger.warn({ witness: witness.name, error: reasonOf(error) }, 'a witness contradicts this log and does not show what it has cosigned');
    }
    const size = theirs?.size ?? claimed ?? 0;
    if (size > log.durableSize) {
      end(new LedgerError('rolled-back', `the witness ${witness.name} has cosigned ${size} records of this log, which has ${log.durableSize}: it was rolled back, and nothing is given until it is restored (countersign restore)`, { seq: log.durableSize }), witness.name, theirs);
    } else if (theirs !== null && !Buffer.from(theirs.root).equals(log.root(size))) {
      end(new LedgerError('forked', `split view: the first ${size} records of this log have root ${formatBase64(log.root(size))}, and ${formatBase64(theirs.root)} in a checkpoint that it signed and the witness ${witness.name} cosigned; both are kept, and nothing is given: find out why, then see countersign restore`), witness.name, theirs);
    }
    return why;
  };
  const end = (error: LedgerError, witness: string, theirs: SeenHead | null): void => {
    if (conflict !== null) return;
    conflict = error;
    logger.error({ witness }, error.message);
    options.conflict(error, witness, theirs);
  };

  const until = (isSo: () => boolean, timeoutMs: number): Promise<void> => {
    if (isSo()) return Promise.resolve();
    return new Promise((resolve) => {
      const finish = (): void => {
        cancel();
        waiters.delete(notify);
        resolve();
      };
      const notify = (): void => {
        if (isSo()) finish();
      };
      const cancel = clock.after(timeoutMs, finish);
      waiters.add(notify);
      kick();
    });
  };
  const covers = (size: number): boolean => conflict === null && newest !== null && newest.size >= size;
  const failing = (): string => asked.filter(({ why }) => why !== null).map(({ witness, why }) => `${witness.name}: ${why}`).join('; ');

  progressed();
  kick();
  return {
    catchUp: kick,
    async cosigned(size, timeoutMs) {
      wanted = Math.max(wanted, size);
      await until(() => covers(size) || conflict !== null, timeoutMs);
      if (covers(size)) return newest;
      toldToWait = true;
      return null;
    },
    onProgress: (callback) => void onProgress.push(callback),
    trouble: () => conflict?.message ?? (failing() === '' || newest?.size === log.checkpoint().size ? null : `no quorum of witnesses has cosigned the newest records, and what gives access waits for it (${failing()})`),
    asked: (timeoutMs) => until(() => conflict !== null || asked.every(({ answered }) => answered), timeoutMs),
    state() {
      const { demand, met } = checkQuorum(policy, [...round.names]);
      const why = conflict?.message ?? failing();
      const count = `${round.names.size} of ${asked.length} witnesses have cosigned ${round.head.size} records`;
      return { ok: conflict === null && (met || why === ''), message: `${count}${demands ? ` (quorum ${demand})` : ''}${why === '' ? '' : `; ${why}`}` };
    },
    async close() {
      if (closed) return;
      if (log.failed === null) await log.sync().catch(() => undefined);
      const isOver = (): boolean => conflict !== null || log.failed !== null || newest?.size === log.checkpoint().size || asked.every(({ busy, failures }) => !busy && failures > 0);
      await until(isOver, CLOSE_MS);
      closed = true;
      cancelTimer();
      moved();
    },
  };
}

/** Whether this witness has cosigned the note, by a signature that holds. */
function hasSigned(note: string, verifier: Verifier): boolean {
  if (!parseNote(note).signatures.some(({ keyName }) => keyName === verifier.keyName)) return false;
  try {
    return openNote(note, [verifier]).verified.length > 0;
  } catch (error) {
    if (error instanceof LedgerError) return false;
    throw error;
  }
}
