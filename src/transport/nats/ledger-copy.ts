/**
 * Keeps a copy of the ledger on the bus: every record that is signed over, page after page, each with the objects that it names.
 *
 * It follows the ledger and holds nothing up but what gives access. Each page is published after the one that was read or published last,
 * or not at all: a second writer is refused, and whoever is refused looks what is there. What is there is compared with the ledger before
 * anything is added: a copy that has less is filled again; one that has more, or something else, means that this ledger is not the newest
 * of its log, and must not go on.
 */
import { jetstream, JetStreamApiError, jetstreamManager, type JetStreamManager, type NextMsgRequest, type SeqMsgRequest, type StoredMsg } from '@nats-io/jetstream';
import { LedgerError, type Appended, type Disk, type Log } from '../../../ledger/index.ts';
import type { Clock, LedgerCopy, Logger } from '../../engine/ports.ts';
import { NOT_THE_LAST, objectPart, pages, STREAMS } from './bus-layout.ts';
import type { Bus } from './connection.ts';
import { encodePage, endOfPage, PAGE_OBJECTS_MAX, PAGE_RECORD_BYTES_MAX, PAGE_RECORDS_MAX, PART_BYTES, readPage, type CopyPage } from './copy-page.ts';

export interface LedgerCopyOptions {
  readonly log: Log;
  readonly bus: Bus;
  /** Executors that are reached over the bus. */
  readonly executors: readonly string[];
  /** Where it is kept how far the copy had come: what a wiped stream is recognised by after a restart. Derived, and believed for nothing else. */
  readonly disk: Disk;
  readonly clock: Clock;
  readonly logger: Logger;
  /** The copy had lost records from `from` on and holds them again. */
  readonly refilled: (from: number, missing: number) => void;
  /** This ledger is not the newest of its log. Called once. */
  readonly conflict: (error: LedgerError) => void;
}

export interface NatsLedgerCopy extends LedgerCopy {
  /** What the comparison came to; `noStream` or `unreachable` where it could not be made by then. It is tried on. */
  compared(timeoutMs: number): Promise<'same' | 'conflict' | 'noStream' | 'unreachable'>;
  /** Copies what is there for a moment longer, and closes the bus. */
  close(): Promise<void>;
}

const REACHED = 'outbox/copied';
const REACHED_EVERY_MS = 1_000;
const PUBLISH_MS = 5_000;
const OBJECTS_AT_ONCE = 16;
/** How often it is looked whether there is something to copy, and whether what was copied is still there. */
const LOOK_MS = 500;
const COMPARE_MS = 30_000;
const RETRY_MS = { first: 100, longest: 2_000 } as const;
const CLOSE_MS = 2_000;
const NO_STREAM = 10_059;

/** Begins at once, in the background. The bus is closed with it. */
export function keepLedgerCopy(options: LedgerCopyOptions): NatsLedgerCopy {
  const { log, bus, disk, clock, logger } = options;
  const guarded = new Set(options.executors);
  const subject = pages(log.logId);
  const waiters = new Set<() => void>();
  const onProgress: (() => void)[] = [];
  const sent = new Set<string>();
  /** Records that the copy holds, and where it ends in the stream; null until it was compared. */
  let end: { readonly size: number; readonly sequence: number } | null = null;
  /** The most that it is known to have held. */
  let reached: number | null = null;
  let refilling: { readonly from: number; readonly to: number } | null = null;
  let conflict: LedgerError | null = null;
  let trouble: 'noStream' | 'unreachable' = 'unreachable';
  let comparedAtMs = 0;
  let keptAtMs = 0;
  let kept = 0;
  let toldToWait = false;
  let failures = 0;
  let running: Promise<void> | null = null;
  let again = false;
  let closed = false;
  let cancelTimer = (): void => undefined;

  const holdsNow = (size: number): boolean => conflict === null && end !== null && end.size >= size;
  const moved = (): void => {
    failures = 0;
    for (const notify of [...waiters]) notify();
    if (!toldToWait) return;
    toldToWait = false;
    for (const callback of onProgress) callback();
  };

  const compare = async (manager: JetStreamManager): Promise<void> => {
    const last = await lastMessage(manager, subject);
    reached ??= await readReached(disk);
    const page = last === null ? null : readPage(last.data, log.logId);
    if (last !== null && page === null) throw new Error('the newest message of the copy is no page of this log: nothing is given until somebody has looked at it');
    let size = page === null ? 0 : endOfPage(page);
    conflict ??= page === null ? null : await conflictWith(log, page);
    comparedAtMs = clock.nowMs();
    if (conflict !== null) {
      logger.error({ records: log.durableSize, copied: size }, conflict.message);
      options.conflict(conflict);
      return moved();
    }
    if (size > 0 && !(await beginsAtTheStart(manager, subject, log.logId))) {
      // What is left is a part of this ledger, and nothing can be restored from it.
      await manager.streams.purge(STREAMS.ledger, { filter: subject });
      size = 0;
    }
    refilling = size < reached ? { from: size, to: reached } : null;
    if (refilling !== null) {
      logger.warn({ from: size, missing: reached - size }, 'the copy of the ledger has lost records; it is filled again');
      sent.clear();
    }
    reached = Math.max(reached, size);
    end = { size, sequence: size === 0 ? 0 : last!.seq };
    moved();
  };

  /** Publishes the next page. @throws whatever the bus says; then the end is not known any more where another wrote */
  const publishNext = async (manager: JetStreamManager, from: { readonly size: number; readonly sequence: number }): Promise<void> => {
    const head = log.checkpoint();
    const entries = await entriesOfPage(log, from.size, head.size);
    const named = [...new Set(entries.flatMap(({ record }) => record.objects))];
    const objects: { digest: string; length: number }[] = [];
    for (let i = 0; i < named.length; i += OBJECTS_AT_ONCE) {
      objects.push(...(await Promise.all(named.slice(i, i + OBJECTS_AT_ONCE).map(async (digest) => ({ digest, length: await publishObject(digest) })))));
    }
    for (const { record } of entries) if (record.type === 'erasure') await eraseObjects(manager, record.body['erased']);
    const size = from.size + entries.length;
    try {
      const { seq } = await jetstream(bus.up()).publish(subject, encodePage(log.logId, entries, objects, size === head.size ? head.text : null), {
        timeout: PUBLISH_MS, expect: { lastSubjectSequence: from.sequence },
      });
      end = { size, sequence: seq };
    } catch (error) {
      // Somebody else's page, an own one whose answer was lost, or a stream that was wiped: what is there is looked at first.
      if (error instanceof JetStreamApiError && error.code === NOT_THE_LAST) end = null;
      throw error;
    }
    reached = Math.max(reached ?? 0, size);
    if (refilling !== null && size >= refilling.to) {
      options.refilled(refilling.from, refilling.to - refilling.from);
      refilling = null;
    }
    moved();
  };

  /** Before the page that names it: whoever finds the page finds the object. Resolves with its length. */
  const publishObject = async (digest: string): Promise<number> => {
    const { erased, payload } = await log.stored(digest);
    if (erased || sent.has(digest)) return payload.byteLength;
    for (let part = 0; part * PART_BYTES < payload.byteLength; part += 1) {
      await jetstream(bus.up())
        .publish(objectPart(log.logId, digest, part), payload.subarray(part * PART_BYTES, (part + 1) * PART_BYTES), { timeout: PUBLISH_MS, expect: { lastSubjectSequence: 0 } })
        .catch((error: unknown) => {
          if (!(error instanceof JetStreamApiError && error.code === NOT_THE_LAST)) throw error;
        });
    }
    sent.add(digest);
    const [oldest] = sent;
    if (sent.size > 10_000 && oldest !== undefined) sent.delete(oldest);
    return payload.byteLength;
  };
  const eraseObjects = async (manager: JetStreamManager, digests: unknown): Promise<void> => {
    for (const digest of Array.isArray(digests) ? (digests as readonly unknown[]) : []) {
      if (typeof digest !== 'string') continue;
      const parts: number[] = [];
      for (let found = await lastMessage(manager, objectPart(log.logId, digest, 0)); found !== null; found = await lastMessage(manager, objectPart(log.logId, digest, parts.length))) parts.push(found.seq);
      // The first goes last: while it is there, whoever goes on with this finds all the others.
      for (const seq of parts.reverse()) await manager.streams.deleteMessage(STREAMS.ledger, seq, true);
    }
  };

  const round = async (): Promise<void> => {
    const manager = await jetstreamManager(bus.up(), { timeout: PUBLISH_MS, checkAPI: false });
    const elapsedMs = clock.nowMs() - comparedAtMs;
    if (end === null || elapsedMs < 0 || elapsedMs >= COMPARE_MS) await compare(manager);
    while (end !== null && conflict === null && end.size < log.checkpoint().size) await publishNext(manager, end);
    if (end !== null && end.size !== kept && Math.abs(clock.nowMs() - keptAtMs) >= REACHED_EVERY_MS) await keepReached();
  };
  const keepReached = async (): Promise<void> => {
    kept = end?.size ?? kept;
    keptAtMs = clock.nowMs();
    await disk.writeDerived(REACHED, Buffer.from(`${kept}\n`));
  };
  const kick = (): void => {
    if (closed || conflict !== null) return;
    if (running !== null) {
      again = true;
      return;
    }
    cancelTimer();
    running = round().then(() => {
      failures = 0;
      return LOOK_MS;
    }, (error: unknown) => {
      trouble = error instanceof JetStreamApiError && error.code === NO_STREAM ? 'noStream' : 'unreachable';
      if (failures === 0) logger.warn({ error: error instanceof Error ? error.message : String(error) }, 'the ledger cannot be copied now; trying on');
      failures += 1;
      return Math.min(RETRY_MS.first * 2 ** Math.min(failures - 1, 16), RETRY_MS.longest);
    }).then((waitMs) => {
      running = null;
      if (closed) return;
      if (again && failures === 0) {
        again = false;
        return kick();
      }
      again = false;
      cancelTimer = clock.after(waitMs, kick);
    });
  };
  bus.onUp(() => {
    // A server that was away may have lost what it held.
    comparedAtMs = -Infinity;
    kick();
  });

  const until = (isSo: () => boolean, timeoutMs: number): Promise<boolean> => {
    if (isSo() || conflict !== null) return Promise.resolve(isSo());
    return new Promise((resolve) => {
      const finish = (answer: boolean): void => {
        cancel();
        waiters.delete(notify);
        resolve(answer);
      };
      const notify = (): void => {
        if (conflict !== null || isSo()) finish(isSo());
      };
      const cancel = clock.after(timeoutMs, () => finish(isSo()));
      waiters.add(notify);
      kick();
    });
  };

  return {
    catchUp: kick,
    // A ledger that must not go on gives nothing, whichever way.
    guards: (audience) => conflict !== null || guarded.has(audience),
    async holds(size, timeoutMs) {
      // Looked at once more: what came in between would wake nobody.
      if ((await until(() => holdsNow(size), timeoutMs)) || holdsNow(size)) return true;
      toldToWait = true;
      return false;
    },
    onProgress: (callback) => void onProgress.push(callback),
    trouble: () => conflict?.message ?? (end !== null && failures === 0 ? null : 'the copy of the ledger on the bus does not come on: nothing that gives access goes over it until it does'),
    async compared(timeoutMs) {
      await until(() => end !== null, timeoutMs);
      return conflict !== null ? 'conflict' : end !== null ? 'same' : trouble;
    },
    async close() {
      if (closed) return;
      // So that all of it is signed over, and can be copied.
      if (log.failed === null) await log.sync().catch(() => undefined);
      if (conflict === null && bus.isUp) await until(() => holdsNow(log.checkpoint().size), CLOSE_MS);
      closed = true;
      cancelTimer();
      await running;
      if (end !== null && conflict === null) await keepReached().catch(() => undefined);
      await bus.close();
    },
  };
}

/** As many entries from `from` on as a page takes, and at least one. */
async function entriesOfPage(log: Log, from: number, to: number): Promise<Appended[]> {
  const entries: Appended[] = [];
  let [bytes, objects] = [0, 0];
  for await (const entry of log.entries(from, Math.min(to, from + PAGE_RECORDS_MAX))) {
    bytes += entry.bytes.byteLength;
    objects += entry.record.objects.length;
    if (entries.length > 0 && (bytes > PAGE_RECORD_BYTES_MAX || objects > PAGE_OBJECTS_MAX)) break;
    entries.push(entry);
  }
  return entries;
}

/** The newest message of a subject. Asked of the stream's leader: what a follower says may be behind. */
export function lastMessage(manager: JetStreamManager, subject: string): Promise<StoredMsg | null> {
  return manager.streams.getMessage(STREAMS.ledger, { last_by_subj: subject });
}

/** The first message of a subject that is not before `sequence`; asked of the leader as well. */
export function nextMessage(manager: JetStreamManager, subject: string, sequence: number): Promise<StoredMsg | null> {
  const query: NextMsgRequest & SeqMsgRequest = { seq: sequence, next_by_subj: subject };
  return manager.streams.getMessage(STREAMS.ledger, query);
}

async function beginsAtTheStart(manager: JetStreamManager, subject: string, log: string): Promise<boolean> {
  const first = await nextMessage(manager, subject, 1);
  return first !== null && readPage(first.data, log)?.first === 0;
}

async function readReached(disk: Disk): Promise<number> {
  const text = Buffer.from((await disk.read(REACHED)) ?? []).toString('utf8').trim();
  return /^(0|[1-9][0-9]{0,15})$/.test(text) ? Number(text) : 0;
}

/** Why the ledger must not go on from a copy that ends with this page; null where the page is a part of it. */
async function conflictWith(log: Log, page: CopyPage): Promise<LedgerError | null> {
  const size = endOfPage(page);
  if (size > log.durableSize) {
    return new LedgerError('rolled-back', `the copy of this ledger has ${size} records, and the ledger ${log.durableSize}: nothing is given until it is restored (countersign restore)`, { seq: log.durableSize });
  }
  // The record holds the hash of the one before it, and so of all.
  let own = '';
  for await (const { bytes } of log.entries(size - 1, size)) own = Buffer.from(bytes).toString('utf8');
  return own === page.records.at(-1) ? null : new LedgerError('forked', `record ${size - 1} of this ledger is not the one that its copy has: two histories of one log, and nothing is given`, { seq: size - 1 });
}
