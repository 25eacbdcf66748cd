/**
 * Takes off the bus what nobody is owed any more: steps and orders that a signed report on record has answered. Housekeeping: nothing waits
 * for it, and what it could not do is looked for when the bus is back.
 */
import { jetstreamManager, type JetStreamManager } from '@nats-io/jetstream';
import type { Clock, Held, Logger, Outbox, Spent } from '../../engine/ports.ts';
import { payloadDigest, readPayload } from '../../protocol/dsse.ts';
import { stepEnvelopeSchema } from '../../protocol/envelope.ts';
import { dsseSchema, revokeOrderSchema, type Dsse } from '../../protocol/signed.ts';
import { parseTime } from '../../protocol/values.ts';
import { arm, laneOf, MESSAGE_BYTES_MAX, revoke, STREAMS, type Tokens } from './bus-layout.ts';
import type { Bus } from './connection.ts';
import type { PublishedSteps } from './published-steps.ts';
import { readMessage } from './said.ts';

export interface ClearingOptions {
  readonly log: string;
  /** Logs that this one has adopted: what was published for them is cleared as well. */
  readonly adopted?: readonly string[];
  readonly executors: readonly string[];
  readonly bus: Bus;
  readonly tokens: Tokens;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Shared with the end that publishes them. */
  readonly published: PublishedSteps;
}

export type Clearing = Pick<Outbox, 'spent' | 'sweep'> & { close(): void };

/** How long what is spent lies there: its worker is acknowledging it, and whoever waits for something is served first. */
const GATHER_MS = 2_000;
const AT_ONCE = 4;
const QUEUE_MAX = 50_000;
/** Messages that one start looks at. */
const SWEEP_MAX = 10_000;
const ASK_MS = 5_000;

/** What cannot be read is somebody else's to look at. */
async function isSo(spent: (held: Held) => Promise<boolean>, held: Held): Promise<boolean> {
  try {
    return await spent(held);
  } catch {
    return false;
  }
}

export function clearSpent({ log, adopted = [], executors, bus, tokens, clock, logger, published }: ClearingOptions): Clearing {
  const lanes = new Map(executors.map((id) => [id, laneOf(id)]));
  const queue = new Set<string>();
  /** Asked once the bus is there; null when nothing is to be looked for. */
  let isSpent: ((held: Held) => Promise<boolean>) | null = null;
  let judge: ((held: Held) => Promise<boolean>) | null = null;
  let running = false;
  let closed = false;
  let cancel: (() => void) | null = null;

  const manager = (): Promise<JetStreamManager> => jetstreamManager(bus.up(), { timeout: ASK_MS, checkAPI: false });
  const orderSubject = (at: typeof arm, lane: string, audience: string, order: Dsse): string =>
    at(lane, readPayload(order, revokeOrderSchema).log, tokens('revoke', audience, payloadDigest(order)));
  const subjectsOf = (what: Spent): readonly string[] => {
    const lane = lanes.get(what.audience);
    if (lane === undefined) return [];
    if (!('order' in what)) return published.takeOff(what.stepId, what.issue);
    const { audience, order } = what;
    const fired = orderSubject(revoke, lane, audience, order);
    // One that is not due is still armed. What fires after all is carried out once more, finds nothing, and is answered again.
    const isDue = parseTime(readPayload(order, revokeOrderSchema).notBefore) <= clock.nowMs();
    return isDue ? [fired] : [orderSubject(arm, lane, audience, order), fired];
  };

  const drain = async (): Promise<void> => {
    let failed = 0;
    let reason = '';
    const takeOff = async (): Promise<void> => {
      for (const filter of queue) {
        queue.delete(filter);
        if (closed) return;
        try {
          await (await manager()).streams.purge(STREAMS.steps, { filter });
        } catch (error) {
          failed += 1;
          reason = error instanceof Error ? error.message : String(error);
        }
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, takeOff));
    if (failed === 0 || closed) return;
    isSpent ??= judge;
    logger.warn({ failed, error: reason }, 'what is spent could not be taken off the bus; it is looked for when the bus is back');
  };
  const soon = (): void => {
    if (closed || running || cancel !== null || queue.size === 0) return;
    cancel = clock.after(GATHER_MS, () => {
      cancel = null;
      running = true;
      void drain().finally(() => {
        running = false;
        soon();
      });
    });
  };
  const enqueue = (subjects: readonly string[]): void => {
    for (const subject of subjects) if (queue.size < QUEUE_MAX) queue.add(subject);
    soon();
  };

  /** What the newest message of a subject is; null for what this sidecar did not put there. */
  const heldOn = async (from: JetStreamManager, subject: string): Promise<Held | null> => {
    const found = await from.streams.getMessage(STREAMS.steps, { last_by_subj: subject });
    if (found === null) return null;
    const [, what, lane, kind] = subject.split('.');
    if (what === 'step' && kind === 'act') {
      const envelope = readMessage(found.data, stepEnvelopeSchema, MESSAGE_BYTES_MAX);
      return envelope === null ? null : { ticket: envelope.ticket };
    }
    const order = readMessage(found.data, dsseSchema, MESSAGE_BYTES_MAX);
    const audience = [...lanes].find(([, one]) => one === lane)?.[0];
    return order === null || lane === undefined || audience === undefined || orderSubject(what === 'arm' ? arm : revoke, lane, audience, order) !== subject ? null : { order };
  };
  const sweepOnce = async (spent: (held: Held) => Promise<boolean>): Promise<void> => {
    const from = await manager();
    let left = SWEEP_MAX;
    for (const filter of [log, ...adopted].flatMap((about) => [`cs.step.*.act.${about}.>`, `cs.step.*.revoke.${about}.>`, `cs.arm.*.${about}.>`])) {
      const { state } = await from.streams.info(STREAMS.steps, { subjects_filter: filter });
      for (const subject of Object.keys(state.subjects ?? {}).slice(0, left)) {
        if (closed) return;
        left -= 1;
        const held = await heldOn(from, subject);
        if (held !== null && (await isSo(spent, held))) enqueue([subject]);
      }
    }
  };
  const sweepNow = (): void => {
    if (isSpent === null || !bus.isUp) return;
    const spent = isSpent;
    isSpent = null;
    sweepOnce(spent).catch((error: unknown) => {
      if (!closed) logger.warn({ error: error instanceof Error ? error.message : String(error) }, 'it could not be seen whether something spent is left on the bus; looked at when the bus is back');
      isSpent ??= spent;
    });
  };
  bus.onUp(sweepNow);

  return {
    spent: (what) => enqueue(subjectsOf(what)),
    sweep(spent) {
      judge = spent;
      isSpent = spent;
      sweepNow();
    },
    close() {
      closed = true;
      cancel?.();
    },
  };
}
