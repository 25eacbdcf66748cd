/**
 * What one receiver is still to be told, by itself or together with others. A few attempts run at a time; one that fails waits longer each time.
 * What was delivered or given up is over once it is on record: until then it stays here, and after a restart it is derived again.
 */
import type { EventBody, NotificationEvent } from '../change/events.ts';
import type { Clock, Logger, RandomBytes } from '../engine/ports.ts';
import { messagesOf, payloadOf, spellOf, type Coalescing, type ToldTogether } from './coalesce.ts';
import { messageId, type Notification } from './derive.ts';
import { consumersOf } from './payload.ts';
import type { Outcome, Send } from './webhook.ts';

export interface Receiver {
  readonly name: string;
  /** Null: all. */
  readonly events: readonly NotificationEvent[] | null;
  /** Null: whatever is named, and what names none. */
  readonly consumers: readonly string[] | null;
  /** Left out: each is told by itself, and at once. */
  readonly coalescing?: Coalescing | undefined;
  readonly send: Send;
}

/** How a notification ended: the body of the event that says so. */
export type NotificationEnd =
  | { readonly delivered: EventBody<'notification.delivered'> }
  | { readonly failed: EventBody<'notification.failed'> };

/** Resolves when it is durable. A rejection means that it may not be: it is recorded again later, or told again after a restart. */
export type RecordEnd = (changeId: string, end: NotificationEnd) => Promise<void>;

export interface QueueOptions {
  readonly receiver: Receiver;
  readonly logId: string;
  readonly clock: Clock;
  readonly random: RandomBytes;
  readonly record: RecordEnd;
  readonly logger: Logger;
}

export interface Queue {
  /** Adds what this receiver wants to be told and is not about to be. */
  add(notification: Notification): void;
  close(): Promise<void>;
}

/** From the record on: then a receiver is told no more, and that is recorded. */
export const TOLD_WITHIN_MS = 72 * 3_600_000;
const ATTEMPTS_AT_A_TIME = 4;
const WAIT_MS = { first: 10_000, longest: 3_600_000 };

/** A message, of one notification or of several that are told together. */
interface Pending {
  readonly id: string;
  readonly told: ToldTogether;
  attempts: number;
  failures: number;
  reason: string;
  /** What is not on record yet, once it is told or given up. */
  ends: readonly End[] | null;
}

interface End {
  readonly of: Notification;
  readonly end: NotificationEnd;
}

export function openQueue({ receiver, logId, clock, random, record, logger }: QueueOptions): Queue {
  /** What is held, is about to be told, or was and is not on record. */
  const known = new Set<string>();
  /** What waits for others to be told with, by the name of its spell. */
  const held = new Map<string, Notification[]>();
  const ready: Pending[] = [];
  const timers = new Set<() => void>();
  const running = new Set<Promise<void>>();
  const closing = new AbortController();
  /** Whether the last attempt failed: said once when it begins, and once when it is over. */
  let failing = false;

  const about = ({ told: [{ changeId, about: seq, payload }, ...others] }: Pending): Record<string, unknown> =>
    ({ webhook: receiver.name, event: payload.type, changeId, record: seq, ...(others.length === 0 ? {} : { andOthers: others.length }) });

  const pump = (): void => {
    while (!closing.signal.aborted && running.size < ATTEMPTS_AT_A_TIME && ready.length > 0) {
      const run = work(ready.shift()!).finally(() => {
        running.delete(run);
        pump();
      });
      running.add(run);
    }
  };

  /** Never rejects. */
  const work = async (one: Pending): Promise<void> => {
    one.ends ??= await attempt(one);
    if (one.ends === null) return later(one);
    // All at once, and so in one commit: a crash leaves all of a message to be told again, or nothing.
    const recorded = await Promise.allSettled(one.ends.map(async ({ of: { changeId }, end }) => (changeId === null ? undefined : record(changeId, end))));
    const failed = recorded.find(({ status }) => status === 'rejected');
    one.ends = one.ends.filter((_, index) => recorded[index]!.status === 'rejected');
    if (failed === undefined) {
      for (const { about: seq, payload } of one.told) known.delete(keyOf(seq, payload.type));
    } else {
      logger.warn({ ...about(one), error: String((failed as PromiseRejectedResult).reason) }, 'what became of a notification could not be recorded');
      later(one);
    }
  };

  /** How it ended, for each that it tells of; null while it has not. */
  const attempt = async (one: Pending): Promise<readonly End[] | null> => {
    const together = one.told.length > 1 ? { message: one.id } : {};
    const ends = (end: (ended: Omit<EventBody<'notification.delivered'>, 'attempts'>) => NotificationEnd): End[] =>
      one.told.map((of) => ({ of, end: end({ webhook: receiver.name, event: of.payload.type, about: of.about, ...together }) }));
    const giveUp = (): End[] => {
      logger.error({ ...about(one), attempts: one.attempts, reason: one.reason }, 'a receiver could not be told, and will not be');
      return ends((ended) => ({ failed: { ...ended, attempts: one.attempts, reason: one.reason } }));
    };
    if (clock.nowMs() >= endsAtMs(one)) return giveUp();
    one.attempts += 1;
    const outcome = await send(one);
    // What was cut off because this process ends says nothing about the receiver.
    if (!outcome.delivered && closing.signal.aborted) return null;
    if (failing === outcome.delivered) {
      failing = !outcome.delivered;
      if (outcome.delivered) logger.info({ webhook: receiver.name }, 'a receiver can be told again');
      else logger.warn({ ...about(one), reason: outcome.reason }, 'a receiver cannot be told; it is tried again');
    }
    if (outcome.delivered) return ends((ended) => ({ delivered: { ...ended, attempts: one.attempts } }));
    one.reason = outcome.reason;
    return outcome.gone ? giveUp() : null;
  };

  const send = async (one: Pending): Promise<Outcome> => {
    try {
      return await receiver.send({ id: one.id, body: JSON.stringify(payloadOf(one.told)) }, closing.signal);
    } catch (error) {
      logger.error({ ...about(one), error: String(error) }, 'an attempt to tell a receiver went wrong here');
      return { delivered: false, gone: false, reason: 'it could not be sent' };
    }
  };

  const wait = (ms: number, then: () => void): void => {
    const cancel = clock.after(ms, () => {
      timers.delete(cancel);
      then();
    });
    timers.add(cancel);
  };

  const later = (one: Pending): void => {
    if (closing.signal.aborted) return;
    one.failures += 1;
    const leftMs = endsAtMs(one) - clock.nowMs();
    const waitMs = waitOf(one.failures, random);
    // It is given up when its time is over, not at the attempt after.
    wait(one.ends === null ? Math.min(waitMs, Math.max(leftMs, 0)) : waitMs, () => {
      ready.push(one);
      pump();
    });
  };

  const tell = (told: ToldTogether): void => {
    ready.push({ id: messageId(logId, receiver.name, told[0], told.slice(1)), told, attempts: 0, failures: 0, reason: 'its time was over before it was tried', ends: null });
    pump();
  };

  return {
    add(notification) {
      const key = keyOf(notification.about, notification.payload.type);
      if (closing.signal.aborted || known.has(key) || !isWanted(receiver, notification)) return;
      known.add(key);
      const spell = spellOf(notification, receiver.coalescing);
      if (spell === null) return tell([notification]);
      const others = held.get(spell.name);
      if (others !== undefined) return void others.push(notification);
      const together = [notification];
      held.set(spell.name, together);
      // Never for longer than a spell, whatever the wall clock says. What is of a spell that is over is told with what is read in the same breath.
      wait(Math.min(Math.max(spell.endsAtMs - clock.nowMs(), 0), receiver.coalescing!.withinMs), () => {
        held.delete(spell.name);
        for (const told of messagesOf(together)) tell(told);
      });
    },
    async close() {
      closing.abort();
      for (const cancel of timers) cancel();
      timers.clear();
      await Promise.all(running);
    },
  };
}

/** When the first that it tells of is told no more. */
function endsAtMs({ told: [first] }: Pending): number {
  return first.atMs + TOLD_WITHIN_MS;
}

/** Between 5 and 10 seconds after the first failure, doubled with each, up to between half an hour and one. */
function waitOf(failures: number, random: RandomBytes): number {
  const mostMs = Math.min(WAIT_MS.first * 2 ** Math.min(failures - 1, 16), WAIT_MS.longest);
  const part = Buffer.from(random(4)).readUInt32BE() / 2 ** 32;
  return Math.ceil(mostMs * (0.5 + part / 2));
}

function isWanted({ events, consumers }: Receiver, { payload }: Notification): boolean {
  if (events !== null && !events.includes(payload.type)) return false;
  return consumers === null || consumersOf(payload).some((consumer) => consumers.includes(consumer));
}

/** Names a notification among those of one receiver. */
export function keyOf(about: number, event: NotificationEvent): string {
  return `${about} ${event}`;
}
