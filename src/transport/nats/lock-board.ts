/**
 * Every lock that stands or was lifted, where every sidecar sees it: the newest statement of each lock and authority, held by a stream of their
 * own. Whoever comes reads all of it; whoever is there hears of the next at once.
 *
 * A lift takes the place of its lock, and nothing takes the place of a lift. What is in a place and believed by nobody here (rubbish, another
 * lock's statement) is replaced by who has better, when it is next looked at.
 */
import { jetstream, JetStreamApiError, jetstreamManager, type JetStreamManager, type NextMsgRequest, type SeqMsgRequest, type StoredMsg } from '@nats-io/jetstream';
import { canonicalBytes } from '../../../ledger/index.ts';
import type { Clock, LockBoard, LockHolder, Logger } from '../../engine/ports.ts';
import type { BelievedLock } from '../../protocol/lock.ts';
import { dsseSchema } from '../../protocol/signed.ts';
import { lock as lockSubject, NOT_THE_LAST, STREAMS } from './bus-layout.ts';
import { hear, type Bus } from './connection.ts';
import { readMessage, SAID_BYTES_MAX } from './said.ts';

export interface NatsLockBoard extends LockBoard {
  /** Reads and tells nothing more. The bus stays open. */
  close(): void;
}

const ASK_MS = 5_000;
/** Others may have put something in a place of ours; and a stream can be wiped under a server that runs. */
const LOOK_MS = 30_000;
const RETRY_MS = { first: 100, longest: 2_000 } as const;
const NO_STREAM = 10_059;

/** Nothing is read before {@link LockBoard.keep}. */
export function openLockBoard({ bus, clock, logger }: { readonly bus: Bus; readonly clock: Clock; readonly logger: Logger }): NatsLockBoard {
  /** What is in each place, by subject: `op` null for what is not believed to be its statement. */
  const there = new Map<string, { readonly sequence: number; readonly op: 'set' | 'lift' | null }>();
  const waiters = new Set<() => void>();
  let holder: LockHolder | null = null;
  /** Which stream was read, and how far. */
  let read = { created: '', to: 0 };
  /** Whether all that was there has been heard since the connection came up; or that there is nothing to read. */
  let looked = false;
  let failures = 0;
  let running: Promise<void> | null = null;
  let again = false;
  let listening = false;
  let closed = false;
  let cancelTimer = (): void => undefined;

  const take = async (by: LockHolder, subject: string, data: Uint8Array): Promise<BelievedLock | null> => {
    const envelope = readMessage(data, dsseSchema, SAID_BYTES_MAX);
    if (envelope === null) logger.warn({ subject, bytes: data.byteLength }, 'set aside what is no lock');
    const believed = envelope === null ? null : by.believe(envelope);
    if (believed !== null) await by.hear(believed.envelope);
    return believed;
  };
  const nowLooked = (): void => {
    looked = true;
    for (const notify of [...waiters]) notify();
  };
  const readOn = async (by: LockHolder, manager: JetStreamManager): Promise<void> => {
    const { created, state } = await manager.streams.info(STREAMS.locks);
    if (created !== read.created || state.last_seq < read.to) {
      there.clear();
      read = { created, to: 0 };
    }
    for (let message = await next(manager, read.to + 1); message !== null; message = await next(manager, read.to + 1)) {
      const { subject, seq, data } = message;
      const believed = await take(by, subject, data);
      there.set(subject, { sequence: seq, op: believed !== null && placeOf(believed) === subject ? believed.statement.op : null });
      read.to = seq;
    }
    nowLooked();
  };
  /** Puts there what is not. Says whether somebody else was quicker, so that it has to be looked at again. */
  const fill = async (by: LockHolder): Promise<boolean> => {
    for (const envelope of await by.owed()) {
      const believed = by.believe(envelope);
      if (believed === null) continue;
      const { op } = believed.statement;
      const place = placeOf(believed);
      const is = there.get(place);
      if (is?.op === 'lift' || is?.op === op) continue;
      try {
        const { seq } = await jetstream(bus.up()).publish(place, canonicalBytes(envelope), { timeout: ASK_MS, expect: { lastSubjectSequence: is?.sequence ?? 0 } });
        there.set(place, { sequence: seq, op });
      } catch (error) {
        if (!(error instanceof JetStreamApiError && error.code === NOT_THE_LAST)) throw error;
        read = { created: '', to: 0 };
        return true;
      }
    }
    return false;
  };
  const round = async (by: LockHolder): Promise<void> => {
    const manager = await jetstreamManager(bus.up(), { timeout: ASK_MS });
    do {
      again = false;
      await readOn(by, manager);
      if (await fill(by)) again = true;
    } while (again && !closed);
  };
  const kick = (): void => {
    if (closed || holder === null) return;
    again = true;
    if (running !== null) return;
    cancelTimer();
    running = round(holder).then(() => {
      failures = 0;
      return LOOK_MS;
    }, (error: unknown) => {
      if (error instanceof JetStreamApiError && error.code === NO_STREAM) nowLooked();
      if (failures === 0) logger.warn({ error: error instanceof Error ? error.message : String(error) }, 'locks cannot be compared with those on the bus now; trying on');
      failures += 1;
      return Math.min(RETRY_MS.first * 2 ** Math.min(failures - 1, 16), RETRY_MS.longest);
    }).then((waitMs) => {
      running = null;
      if (closed) return;
      if (again && failures === 0) kick();
      else cancelTimer = clock.after(waitMs, kick);
    });
  };

  return {
    keep(by) {
      holder = by;
      bus.onUp((connection) => {
        if (!listening) hear(connection, lockSubject('*', '*'), logger, ({ subject, data }) => {
          if (!closed) void take(by, subject, data).catch((error: unknown) => logger.warn({ subject, error: String(error) }, 'a lock could not be heard'));
        });
        listening = true;
        // A server that was away may have lost what it held.
        read = { created: '', to: 0 };
        kick();
      });
    },
    heard(timeoutMs) {
      if (looked) return Promise.resolve(true);
      return new Promise((resolve) => {
        const finish = (answer: boolean): void => {
          cancel();
          waiters.delete(notify);
          resolve(answer);
        };
        const notify = (): void => finish(true);
        const cancel = clock.after(timeoutMs, () => finish(false));
        waiters.add(notify);
      });
    },
    tell: kick,
    close() {
      closed = true;
      cancelTimer();
    },
  };
}

/** Where the newest statement of a lock and authority is. */
function placeOf({ authority, statement }: BelievedLock): string {
  return lockSubject(authority, statement.lockId);
}

/** The first that is not before `sequence`. Asked of the stream's leader: what a follower says may be behind. */
function next(manager: JetStreamManager, sequence: number): Promise<StoredMsg | null> {
  const query: NextMsgRequest & SeqMsgRequest = { seq: sequence, next_by_subj: lockSubject('*', '*') };
  return manager.streams.getMessage(STREAMS.locks, query);
}
