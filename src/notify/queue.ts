/**
 * What one receiver is still to be told. A few attempts run at a time; one that fails waits longer each time. What was
 * delivered or given up is over once it is on record: until then it stays here, and after a restart it is derived again.
 */
import type { EventBody, NotificationEvent } from '../change/events.ts';
import type { Clock, Logger, RandomBytes } from '../engine/ports.ts';
import { messageId, type Notification } from './derive.ts';
import { consumersOf } from './payload.ts';
import type { Outcome, Send } from './webhook.ts';

export interface Receiver {
  readonly name: string;
  /** Null: all. */
  readonly events: readonly NotificationEvent[] | null;
  /** Null: whatever is named, and what names none. */
  readonly consumers: readonly string[] | null;
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

interface Pending {
  readonly key: string;
  readonly notification: Notification;
  attempts: number;
  failures: number;
  reason: string;
  /** Set once told or given up, and not yet on record. */
  end: NotificationEnd | null;
}

export function openQueue({ receiver, logId, clock, random, record, logger }: QueueOptions): Queue {
  const pending = new Map<string, Pending>();
  const ready: Pending[] = [];
  const timers = new Set<() => void>();
  const running = new Set<Promise<void>>();
  const closing = new AbortController();
  /** Whether the last attempt failed: said once when it begins, and once when it is over. */
  let failing = false;

  const about = ({ notification: { changeId, about: seq, payload } }: Pending): Record<string, unknown> => ({ webhook: receiver.name, event: payload.type, changeId, record: seq });

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
    one.end ??= await attempt(one);
    if (one.end === null) return later(one);
    try {
      if (one.notification.changeId !== null) await record(one.notification.changeId, one.end);
      pending.delete(one.key);
    } catch (error) {
      logger.warn({ ...about(one), error: String(error) }, 'what became of a notification could not be recorded');
      later(one);
    }
  };

  /** How it ended; null while it has not. */
  const attempt = async (one: Pending): Promise<NotificationEnd | null> => {
    const { notification } = one;
    const ended = { webhook: receiver.name, event: notification.payload.type, about: notification.about };
    const giveUp = (): NotificationEnd => {
      logger.error({ ...about(one), attempts: one.attempts, reason: one.reason }, 'a receiver could not be told, and will not be');
      return { failed: { ...ended, attempts: one.attempts, reason: one.reason } };
    };
    if (clock.nowMs() >= notification.atMs + TOLD_WITHIN_MS) return giveUp();
    one.attempts += 1;
    const outcome = await send(one);
    // What was cut off because this process ends says nothing about the receiver.
    if (!outcome.delivered && closing.signal.aborted) return null;
    if (failing === outcome.delivered) {
      failing = !outcome.delivered;
      if (outcome.delivered) logger.info({ webhook: receiver.name }, 'a receiver can be told again');
      else logger.warn({ ...about(one), reason: outcome.reason }, 'a receiver cannot be told; it is tried again');
    }
    if (outcome.delivered) return { delivered: { ...ended, attempts: one.attempts } };
    one.reason = outcome.reason;
    return outcome.gone ? giveUp() : null;
  };

  const send = async (one: Pending): Promise<Outcome> => {
    try {
      return await receiver.send({ id: messageId(logId, receiver.name, one.notification), body: JSON.stringify(one.notification.payload) }, closing.signal);
    } catch (error) {
      logger.error({ ...about(one), error: String(error) }, 'an attempt to tell a receiver went wrong here');
      return { delivered: false, gone: false, reason: 'it could not be sent' };
    }
  };

  const later = (one: Pending): void => {
    if (closing.signal.aborted) return;
    one.failures += 1;
    const leftMs = one.notification.atMs + TOLD_WITHIN_MS - clock.nowMs();
    const waitMs = waitOf(one.failures, random);
    // It is given up when its time is over, not at the attempt after.
    const cancel = clock.after(one.end === null ? Math.min(waitMs, Math.max(leftMs, 0)) : waitMs, () => {
      timers.delete(cancel);
      ready.push(one);
      pump();
    });
    timers.add(cancel);
  };

  return {
    add(notification) {
      const key = keyOf(notification.about, notification.payload.type);
      if (closing.signal.aborted || pending.has(key) || !isWanted(receiver, notification)) return;
      const one: Pending = { key, notification, attempts: 0, failures: 0, reason: 'its time was over before it was tried', end: null };
      pending.set(key, one);
      ready.push(one);
      pump();
    },
    async close() {
      closing.abort();
      for (const cancel of timers) cancel();
      timers.clear();
      await Promise.all(running);
    },
  };
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
