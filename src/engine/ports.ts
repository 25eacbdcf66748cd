/**
 * What the engine needs of the world. Time, randomness, disk, policy and transport come in here, so that the same engine runs in
 * production and under simulation.
 */
import type { SignedHead } from '../../ledger/index.ts';
import type { ReportMessage, StepEnvelope } from '../protocol/envelope.ts';
import type { BelievedLock } from '../protocol/lock.ts';
import type { Dsse } from '../protocol/signed.ts';
import type { WorkerKnows } from '../protocol/worker-knows.ts';
import type { Refused, WorkerState } from '../protocol/worker-state.ts';
import type { TraceContext } from '../tracing/trace.ts';

/** Timers and the wall clock. `after` calls back once, not before `delayMs`; the returned function cancels it. */
export interface Clock {
  nowMs(): number;
  after(delayMs: number, callback: () => void): () => void;
}

/** Cryptographically strong bytes. */
export type RandomBytes = (length: number) => Uint8Array;

/** What an executor answered to a step that it would not take up as it came. */
export type Acceptance =
  /** It holds the step durably, or had it already. A report follows. */
  | { readonly accepted: true }
  /** Its newest checkpoint of this log has `fromSize` entries and `root` (base64); send the receipt again with a consistency proof from there. */
  | { readonly accepted: false; readonly code: 'inconsistent-checkpoint'; readonly fromSize: number; readonly root: string };

/**
 * Carries steps and orders to executors and reports back: at least once, in any order. Subjects and sockets are routing, never authority.
 *
 * `local`: one unix socket per executor. `nats`: JetStream. One conformance suite holds both to this.
 */
export interface Transport {
  /** Resolves when the order is held durably where it will act without the sidecar. Idempotent by its digest. @throws TransportError */
  arm(audience: string, order: Dsse): Promise<void>;
  /**
   * Resolves when the order is armed no more, or never was: it will not act by itself. Asked only once an extension is on record that supersedes
   * it. Idempotent. Nobody else can ask it of a bus; an executor that holds the order itself does not take anybody's word for it.
   *
   * @throws TransportError `unreachable`; `rejected`: the executor has no proof that it was superseded, and will carry it out
   */
  disarm(audience: string, order: Dsse): Promise<void>;
  /** Resolves when the executor has answered. Idempotent by step and issue. `trace` travels beside it, signed by nobody and believed for nothing. @throws TransportError */
  publishStep(audience: string, envelope: StepEnvelope, trace?: TraceContext): Promise<Acceptance>;
  /** An order to act on now (or at its `notBefore`). Resolves when it is held durably, or is being acted on where nothing can be held. @throws TransportError */
  publishRevoke(audience: string, order: Dsse, trace?: TraceContext): Promise<void>;
  /** Resolves when every worker of the executor that is known to be there holds the lock, or that it is lifted. Idempotent by its digest. @throws TransportError */
  publishLock(audience: string, lock: Dsse): Promise<void>;
  /** Calls back for every lock, set or lifted, that an executor has heard of from whomever: signed, and not looked at here. */
  onLock(callback: (lock: Dsse) => void): void;
  /**
   * Calls `receive` for every report, until it resolves: only then is the report acknowledged and may its executor forget it.
   * A rejection leaves it with the executor, which sends it again.
   */
  onReport(receive: (audience: string, message: ReportMessage) => Promise<void>): void;
  /** Calls back when an executor becomes reachable: what was published and not reported is published again. */
  onConnected(callback: (audience: string) => void): void;
  /** What those workers of the executor that are there have said of themselves last: unsigned, and believed for nothing. */
  states(audience: string): readonly WorkerState[];
  /** What can be proven to each worker of the executor that is there, as it says: unsigned. None where one has not said, such as one of before, or none is there. */
  knows(audience: string): readonly WorkerKnows[];
  /** Calls back with the run of a worker that has said it, again wherever it says it anew. */
  onKnows(callback: (audience: string, run: string) => void): void;
  /** Calls back with how much a run of the executor's workers, or this end (null), has set aside since it began, whenever it is said and may have risen. */
  onRefused(callback: (audience: string, run: string | null, refused: readonly Refused[]) => void): void;
  /** Whether the executor can be reached now, as far as is known. */
  isConnected(audience: string): boolean;
  close(): Promise<void>;
}

/** A copy of the ledger in another place, which a lost disk is restored from. It follows the ledger; only what gives access waits for it. */
export interface LedgerCopy {
  /** Whether this executor is shown nothing that the copy does not hold: then no executor has ever seen more of the log than can be restored. */
  guards(audience: string): boolean;
  /** Begins to copy what is signed over now, and waits for nothing. */
  catchUp(): void;
  /** Resolves true once the copy has acknowledged the first `size` records; false when `timeoutMs` are over, or when it never will. */
  holds(size: number, timeoutMs: number): Promise<boolean>;
  /** Calls back when the copy has come on after somebody was told that it had not. */
  onProgress(callback: () => void): void;
  /** What keeps it from coming on, in a sentence; null while nothing does. */
  trouble(): string | null;
}

/** Witnesses, a quorum of which cosigns what this log signs. Only what gives access waits for them. */
export interface Witnesses {
  /** Begins to ask about what is signed over now, and waits for nothing. */
  catchUp(): void;
  /** The newest checkpoint that a quorum has cosigned, once it has `size` records or more; null when `timeoutMs` are over, or where there will be none. */
  cosigned(size: number, timeoutMs: number): Promise<SignedHead | null>;
  /** Calls back when a quorum has cosigned more after somebody was told that it had not. */
  onProgress(callback: () => void): void;
  /** What keeps a quorum from cosigning, in a sentence; null while nothing does. */
  trouble(): string | null;
}

/** A place where every sidecar sees every lock, whichever executors it reaches. What is there is believed for its signature alone. */
export interface LockBoard {
  /** From now on this sidecar hears of all that is there and of each that comes, and what it has of locks is there. Called once. */
  keep(holder: LockHolder): void;
  /** Resolves true once all that was there has been heard, or when there is no such place; false when `timeoutMs` are over. */
  heard(timeoutMs: number): Promise<boolean>;
  /** There is something new to be put there. */
  tell(): void;
}

export interface LockHolder {
  /** Null for what is not to be believed, which is logged. */
  believe(lock: unknown): BelievedLock | null;
  /** Resolves when it is recorded, where it is news. Never rejects. */
  hear(lock: Dsse): Promise<void>;
  /** All that is to be there, once it is durable; or all the same, where the ledger cannot be written. */
  owed(): Promise<readonly Dsse[]>;
}

/** What holds armed orders and steps for executors, and could lose them. */
export interface Outbox {
  /** Those of these that are neither held nor have been handed over. @throws TransportError where that cannot be told now */
  missing<T extends { readonly audience: string; readonly order: Dsse }>(armed: readonly T[]): Promise<readonly T[]>;
  /** Calls back when something may have been lost since it was looked at. */
  onDoubt(callback: () => void): void;
  /** Calls back with a change whose step had been published, was there no more, and has been published again. */
  onLost(callback: (changeId: string) => void): void;
  /** What answers this is durable, and it is taken off some time later. Waits for nothing, and never throws: what was left is for {@link sweep}. */
  spent(what: Spent): void;
  /** Looks once, in the background, at what is held of this log, and takes off what is spent. */
  sweep(isSpent: (held: Held) => Promise<boolean>): void;
}

/** What nobody is owed any more: an order, or a step up to this issue. */
export type Spent = { readonly audience: string } & ({ readonly order: Dsse } | { readonly stepId: string; readonly issue: number });

/** What was met on the bus, believed for nothing: a ticket of a step, or an order. */
export type Held = { readonly ticket: Dsse } | { readonly order: Dsse };

/** Nothing is known to have arrived: publish again. */
export class TransportError extends Error {
  readonly code: 'unreachable' | 'rejected';
  constructor(code: TransportError['code'], message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'TransportError';
    this.code = code;
  }
}

/** Where sealed secrets wait, for a while. Ciphertext only. */
export interface DeliveryStore {
  /** Durable once resolved. Idempotent by digest. */
  put(ciphertextDigest: string, ciphertext: Uint8Array): Promise<void>;
  get(ciphertextDigest: string): Promise<Uint8Array | null>;
  remove(ciphertextDigest: string): Promise<void>;
}

/** One line for a person, and fields for a machine. Never a secret: callers pass ids, digests and codes. */
export interface Logger {
  info(fields: Record<string, unknown>, message: string): void;
  warn(fields: Record<string, unknown>, message: string): void;
  error(fields: Record<string, unknown>, message: string): void;
}
