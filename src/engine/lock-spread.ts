/**
 * Locks reach every executor and every sidecar. What this ledger has of locks is told to each executor when it is there, and again until it
 * says that it holds it, and put where the other sidecars see it; what executors and sidecars have heard from others is recorded here and told
 * on. Each statement is believed for its signature alone, so the way it came is nobody's business.
 */
import { parseVerifier } from '../../ledger/index.ts';
import { payloadDigest, signDsse } from '../protocol/dsse.ts';
import { ProtocolError } from '../protocol/errors.ts';
import { LOCK_TYPE, openLock, REVOKER, type BelievedLock, type LockStatement } from '../protocol/lock.ts';
import type { Dsse } from '../protocol/signed.ts';
import { formatTime } from '../protocol/values.ts';
import type { EngineContext } from './engine.ts';
import { enforceLocks, type Lift, type Lock } from './locks.ts';
import { TransportError } from './ports.ts';

export interface LockSpread {
  /** Tells everybody what is new, once it is durable; or all the same, where the ledger cannot be written: a lock only takes away. */
  tell(): void;
  /** Calls back once what other sidecars hold is held here, or cannot be known now: at once where there is no place to see it. */
  whenCaughtUp(callback: () => void): void;
  /** The executor is there, perhaps by another worker: it is told everything. */
  connected(audience: string): void;
  /** Of a lock that an executor has heard of: it is recorded, and told on, if it is news. */
  hear(envelope: Dsse): Promise<void>;
  close(): void;
}

/** How long what gives access waits for what other sidecars hold. */
const CATCH_UP_MS = 2_000;

/** @param lifted called once a lock is no more: changes may have waited for it */
export function spreadLocks(context: EngineContext, executors: readonly string[], lifted: () => void): LockSpread {
  const { transport, logger, clock, limits, store, lockBoard } = context;
  /** Digests of what each executor holds, as far as this connection with it knows. */
  const held = new Map<string, Set<string>>();
  const telling = new Set<string>();
  /** Lifts that were heard of, by authority and id: the lock itself may come later. */
  const liftsHeard = new Set<string>();
  let closed = false;
  /** What was signed here needs nobody's trust folder. */
  const own = parseVerifier(context.ticketSigner.vkey);
  const trusted = (): Parameters<typeof openLock>[1] => {
    const { sidecars, requirements } = context.trust;
    return { requirements, sidecars: new Map([...sidecars, ...[...store.logs()].map((logId) => [logId, [...(sidecars.get(logId) ?? []), own]] as const)]) };
  };

  const all = (): Dsse[] => store.lockHistory().flatMap((entry) => statementsOf(context, entry));
  const owed = (audience: string): Dsse[] => all().filter((one) => held.get(audience)?.has(payloadDigest(one)) !== true);
  const tellOne = async (audience: string, lock: Dsse): Promise<void> => {
    // A ledger that cannot be written is no reason to keep a lock to oneself.
    await store.durable().catch(() => undefined);
    try {
      await transport.publishLock(audience, lock);
    } catch (error) {
      if (!(error instanceof TransportError) || error.code !== 'rejected') throw error;
      logger.error({ executor: audience, error: error.message }, 'an executor does not believe a lock: it is not held there');
    }
    held.set(audience, (held.get(audience) ?? new Set()).add(payloadDigest(lock)));
  };
  const canTell = (audience: string): boolean => !closed && transport.isConnected(audience);
  const tellAll = async (audience: string): Promise<void> => {
    if (telling.has(audience)) return;
    telling.add(audience);
    const failed: Dsse[] = [];
    try {
      for (let owing = owed(audience); owing.length > 0 && canTell(audience) && failed.length === 0; owing = owed(audience)) {
        // One that is not known to be held, such as by one of several workers, keeps no other from being told.
        for (const lock of owing) {
          if (!canTell(audience)) break;
          await tellOne(audience, lock).catch((error: unknown) => {
            failed.push(lock);
            logger.warn({ executor: audience, error: String(error) }, 'a lock is not known to be held there yet; it is told again');
          });
        }
      }
    } finally {
      telling.delete(audience);
    }
    if (failed.length > 0) clock.after(limits.retryMs.longest, () => void tellAll(audience));
  };
  const tell = (): void => {
    for (const audience of executors) void tellAll(audience);
    lockBoard?.tell();
  };

  const believe = (envelope: unknown): BelievedLock | null => {
    try {
      return openLock(envelope, trusted());
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      logger.warn({ code: error.code, reason: error.message }, 'a lock that nobody trusted has signed');
      return null;
    }
  };
  const record = async (envelope: Dsse): Promise<void> => {
    const lock = believe(envelope);
    if (lock === null || closed || !recordHeard(context, lock, liftsHeard)) return;
    await store.durable();
    if (lock.statement.op === 'lift') lifted();
    tell();
  };
  const hear = async (envelope: Dsse): Promise<void> => {
    try {
      await record(envelope);
    } catch (error) {
      // Whoever told it tells it again when the next line to it is up.
      logger.error({ error: String(error) }, 'a lock that was heard of could not be recorded');
    }
  };
  lockBoard?.keep({
    believe, hear,
    async owed() {
      await store.durable().catch(() => undefined);
      return all();
    },
  });
  return {
    tell,
    hear,
    whenCaughtUp(callback) {
      if (lockBoard === undefined) return callback();
      void lockBoard.heard(CATCH_UP_MS).then((heard) => {
        if (!heard) logger.warn({}, 'the bus does not say which locks other sidecars hold: going on without, until it does');
        callback();
      });
    },
    connected(audience) {
      // Another of its workers, or one with another book: what was held is asked again.
      held.delete(audience);
      void tellAll(audience);
    },
    close() {
      closed = true;
    },
  };
}

/**
 * Records it where it is news: a lock that was not heard of, or the end of one that stands and that its authority may lift. A lock of this very
 * log is news where the ledger was restored from before it was set. Its lift is none: what this log has set is lifted by a person here, and
 * not by whoever has its ticket key.
 */
function recordHeard(context: EngineContext, { statement, authority, envelope }: BelievedLock, liftsHeard: Set<string>): boolean {
  const { store } = context;
  const known = store.lockHistory().find(({ lock }) => lock.lockId === statement.lockId) ?? null;
  if (statement.op === 'set') {
    if (known !== null || [authority, REVOKER].some((who) => liftsHeard.has(`${who} ${statement.lockId}`))) return false;
    const { lockId, nhi, connector, reason } = statement;
    store.record('lock.set', { lockId, nhi, connector, reason, statement: envelope }, [], statement.by);
    enforceLocks(context);
    return true;
  }
  liftsHeard.add(`${authority} ${statement.lockId}`);
  if (known === null || known.lift !== null) return false;
  if (store.logs().has(authority)) {
    context.logger.warn({ lockId: statement.lockId }, 'a lift that this ledger does not have: the lock stands here until somebody lifts it');
    return false;
  }
  // A revoker lifts any lock; another sidecar those of its own log.
  if (authority !== REVOKER && authority !== known.lock.statement?.log) return false;
  store.record('lock.lifted', { lockId: statement.lockId, reason: statement.reason, statement: envelope }, [], statement.by);
  return true;
}

/** Whether this sidecar lifts the lock: one that it has set, or that the sidecar of a log had which it has adopted. */
export function isOurs({ store }: Pick<EngineContext, 'store'>, { statement }: Lock): boolean {
  return statement === null || (statement.log !== null && store.logs().has(statement.log));
}

/** What is told of one lock: as it was heard, or signed here, the same bytes each time. */
function statementsOf(context: EngineContext, { lock, lift }: { readonly lock: Lock; readonly lift: Lift | null }): Dsse[] {
  if (lift !== null) return [lift.envelope ?? signed(context, { op: 'lift', ...own(context, lock.lockId, lift.by, lift.atMs), reason: lift.reason })];
  const { lockId, nhi, connector, reason, by, atMs } = lock;
  return [lock.envelope ?? signed(context, { op: 'set', ...own(context, lockId, by, atMs), nhi, connector, reason })];
}

function own({ log }: EngineContext, lockId: string, by: string, atMs: number): Pick<LockStatement, 'v' | 'log' | 'lockId' | 'by' | 'at'> {
  return { v: 1, log: log.logId, lockId, by, at: formatTime(atMs) };
}

/** The signed lift of a lock that came with a statement, of this log or of one that it has adopted; null for any other, which needs none in its record. */
export function liftOf(context: EngineContext, { lockId, statement }: Lock, by: string, reason: string | null): Dsse | null {
  return statement === null ? null : signed(context, { op: 'lift', v: 1, log: statement.log, lockId, by, at: formatTime(context.clock.nowMs()), reason });
}

function signed({ ticketSigner }: EngineContext, statement: LockStatement): Dsse {
  return signDsse(LOCK_TYPE, statement, ticketSigner);
}
