/**
 * Tells receivers what happens, at least once, and never holds anything up.
 *
 * What is to be told is what the records of the last three days say, less what they say was told or given up. A restart reads it out of the
 * ledger again; there is no other memory.
 */
import type { ChangeEvent } from '../change/events.ts';
import type { ChangeState } from '../change/state.ts';
import type { Clock, Logger, RandomBytes } from '../engine/ports.ts';
import { notificationsOf, unlessApproved, withLink, type Notification, type Told } from './derive.ts';
import { keyOf, openQueue, TOLD_WITHIN_MS, type Receiver, type RecordEnd } from './queue.ts';

export interface NotifierOptions {
  readonly logId: string;
  readonly receivers: readonly Receiver[];
  /** Where people reach the sidecar; left out: nobody is told where to decide. */
  readonly publicUrl?: string | undefined;
  /** Every durable event, in the ledger's order, of the changes that have a record younger than `sinceMs`. */
  readonly history: (sinceMs: number) => AsyncIterable<Told>;
  /** Resolves when all that is sequenced now is durable. */
  readonly durable: () => Promise<void>;
  /** The change once standing approvals have had their try at it: nobody is asked for what is approved at once. Left out: nobody uses any. */
  readonly tried?: (changeId: string) => Promise<ChangeState | undefined>;
  /** Whose review of a broken glass counts now. */
  readonly glassReviewers: (state: ChangeState) => readonly string[];
  readonly clock: Clock;
  readonly random: RandomBytes;
  readonly record: RecordEnd;
  readonly logger: Logger;
}

export interface Notifier {
  /** Tells of what has just been sequenced, once it is durable. Never throws and waits for nothing. */
  take(state: ChangeState, events: readonly ChangeEvent[]): void;
  /** The same, of what is not a change's. */
  tell(notification: Notification): void;
  /** Ends what is under way and starts nothing more. What was not told is told after the next start. */
  close(): Promise<void>;
}

/** First and longest wait before the history is read again when it could not be. */
const REREAD_MS = { first: 10_000, longest: 3_600_000 };

/** Begins with what the ledger says is still to be told, and tells meanwhile of what {@link Notifier.take} is given. */
export function startNotifier(options: NotifierOptions): Notifier {
  const { receivers, publicUrl, clock, logger } = options;
  if (receivers.length === 0) return { take: () => undefined, tell: () => undefined, close: () => Promise.resolve() };
  /** By receiver, what came to its end while the history was read, which may not say so yet; null once it has been. */
  let ended: Map<string, Set<string>> | null = new Map(receivers.map(({ name }) => [name, new Set()]));
  const record: RecordEnd = async (changeId, end) => {
    await options.record(changeId, end);
    const { webhook, about, event } = 'delivered' in end ? end.delivered : end.failed;
    ended?.get(webhook)?.add(keyOf(about, event));
  };
  const queues = new Map(receivers.map((receiver) => [receiver.name, openQueue({ ...options, record, receiver })]));
  let closed = false;
  let failures = 0;
  let cancel: () => void = () => undefined;
  /** What {@link Notifier.take} was given and is not in a queue yet. */
  const taking = new Set<Promise<void>>();

  /** What is left of it after standing approvals; null where that is nothing. */
  const stillDue = async (notification: Notification): Promise<Notification | null> => {
    if (options.tried === undefined || notification.changeId === null || notification.payload.type !== 'approval.requested') return notification;
    const state = await options.tried(notification.changeId);
    return state === undefined ? notification : unlessApproved(notification, state);
  };

  const resume = async (): Promise<void> => {
    try {
      // What was sequenced before anybody listened is in the history, then.
      await options.durable();
      const sinceMs = clock.nowMs() - TOLD_WITHIN_MS;
      const pending = await pendingOf(options, [...queues.keys()], sinceMs, () => closed);
      // A record that could be read was given to `take` before: in a queue, or told out of one, it is known; on its way there it would be told twice.
      await Promise.all(taking);
      for (const [name, notifications] of pending) {
        for (const [key, notification] of notifications) {
          const due = ended?.get(name)?.has(key) === true ? null : await stillDue(notification);
          if (due !== null) queues.get(name)?.add(withLink(due, publicUrl));
        }
      }
      ended = null;
    } catch (error) {
      logger.error({ error: String(error) }, 'what is still to be told cannot be read out of the ledger; it is tried again');
      failures += 1;
      if (!closed) cancel = clock.after(Math.min(REREAD_MS.first * 2 ** Math.min(failures - 1, 16), REREAD_MS.longest), () => void (resuming = resume()));
    }
  };
  let resuming = resume();

  const add = (derive: () => readonly Notification[], changeId: string | null): void => {
    const queued = async (): Promise<void> => {
      const notifications = derive();
      if (notifications.length === 0) return;
      // Nobody hears of what may not have happened.
      await options.durable();
      for (const notification of notifications) {
        const due = await stillDue(notification);
        if (due !== null) for (const queue of queues.values()) queue.add(withLink(due, publicUrl));
      }
    };
    const taken = queued()
      .catch((error: unknown) => logger.error({ changeId, error: String(error) }, 'receivers are not told of a record that may not be durable'))
      .finally(() => taking.delete(taken));
    taking.add(taken);
  };

  return {
    take: (state, events) => add(() => events.flatMap((event) => notificationsOf({ event, state }, options.glassReviewers)), state.changeId),
    // What could not be told in that time would not be told now either.
    tell: (notification) => add(() => (clock.nowMs() < notification.atMs + TOLD_WITHIN_MS ? [notification] : []), notification.changeId),
    async close() {
      closed = true;
      cancel();
      await Promise.all([resuming, ...[...queues.values()].map((queue) => queue.close())]);
    },
  };
}

/** Derived minus recorded, by receiver, in the ledger's order. Nothing that is older than `sinceMs`. */
async function pendingOf({ history, glassReviewers }: Pick<NotifierOptions, 'history' | 'glassReviewers'>, names: readonly string[], sinceMs: number, stop: () => boolean): Promise<Map<string, Map<string, Notification>>> {
  const pending = new Map(names.map((name) => [name, new Map<string, Notification>()]));
  for await (const told of history(sinceMs)) {
    if (stop()) break;
    const { event } = told;
    if (event.type === 'notification.delivered' || event.type === 'notification.failed') {
      pending.get(event.body.webhook)?.delete(keyOf(event.body.about, event.body.event));
    } else if (event.atMs > sinceMs) {
      for (const notification of notificationsOf(told, glassReviewers)) {
        for (const notifications of pending.values()) notifications.set(keyOf(notification.about, notification.payload.type), notification);
      }
    }
  }
  return pending;
}
