/** Which orders the bus should hold and does not: they are armed again, and that they were missing is put on record. */
import { jetstreamManager } from '@nats-io/jetstream';
import { TransportError, type Outbox } from '../../engine/ports.ts';
import { payloadDigest, readPayload } from '../../protocol/dsse.ts';
import { revokeOrderSchema } from '../../protocol/signed.ts';
import { arm, laneOf, revoke, STREAMS } from './bus-layout.ts';
import { clearSpent, type ClearingOptions } from './clearing.ts';

export interface NatsOutbox extends Outbox {
  /** A step of this change had been published, was there no more, and has been published again. */
  lost(changeId: string): void;
  close(): void;
}

const ASK_MS = 5_000;
/** A stream can be wiped under a server that runs. */
const LOOK_MS = 60_000;
/** One that is not set up yet, or whose leader is being chosen, is looked at again soon. */
const AGAIN_MS = 2_000;

export function natsOutbox(options: ClearingOptions): NatsOutbox {
  const { log, executors, bus, tokens, clock } = options;
  const clearing = clearSpent(options);
  const lanes = new Map(executors.map((id) => [id, laneOf(id)]));
  const doubts: (() => void)[] = [];
  const losses: ((changeId: string) => void)[] = [];
  let cancel = (): void => undefined;
  const doubt = (): void => {
    cancel();
    cancel = clock.after(LOOK_MS, doubt);
    if (bus.isUp) for (const callback of doubts) callback();
  };
  bus.onUp(doubt);

  return {
    async missing(armed) {
      try {
        const manager = await jetstreamManager(bus.up(), { timeout: ASK_MS });
        // Orders of changes that the log has adopted name the log that gave.
        const logOf = new Map(armed.map(({ order }) => [order, readPayload(order, revokeOrderSchema).log]));
        const isArmed = new Set<string>();
        for (const about of new Set([log, ...logOf.values()])) {
          const { state } = await manager.streams.info(STREAMS.steps, { subjects_filter: `cs.arm.*.${about}.>` });
          for (const subject of Object.keys(state.subjects ?? {})) isArmed.add(subject);
        }
        const lost = [];
        for (const one of armed) {
          const lane = lanes.get(one.audience);
          const token = tokens('revoke', one.audience, payloadDigest(one.order));
          if (lane === undefined || isArmed.has(arm(lane, logOf.get(one.order)!, token))) continue;
          // Fired: then it is on the subject that the executor takes orders from.
          if ((await manager.streams.getMessage(STREAMS.steps, { last_by_subj: revoke(lane, logOf.get(one.order)!, token) })) === null) lost.push(one);
        }
        return lost;
      } catch (error) {
        cancel();
        cancel = clock.after(AGAIN_MS, doubt);
        throw error instanceof TransportError ? error : new TransportError('unreachable', `it cannot be seen what the bus holds: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
      }
    },
    onDoubt: (callback) => {
      doubts.push(callback);
      if (bus.isUp) callback();
    },
    onLost: (callback) => void losses.push(callback),
    lost(changeId) {
      for (const callback of losses) callback(changeId);
    },
    spent: (what) => clearing.spent(what),
    sweep: (isSpent) => clearing.sweep(isSpent),
    close() {
      cancel();
      clearing.close();
    },
  };
}
