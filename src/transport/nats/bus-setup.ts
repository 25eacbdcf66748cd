/** Streams and consumers as they must be, and bringing a bus to that. */
import { AckPolicy, DeliverPolicy, DiscardPolicy, JetStreamApiError, jetstreamManager, RetentionPolicy, StorageType, type ConsumerConfig, type JetStreamManager, type StreamConfig } from '@nats-io/jetstream';
import { nanos, type NatsConnection } from '@nats-io/transport-node';
import { consumerOf, laneOf, MESSAGE_BYTES_MAX, STREAMS } from './bus-layout.ts';
import { SAID_BYTES_MAX } from './said.ts';

export interface BusPlan {
  readonly streams: readonly (Partial<StreamConfig> & { readonly name: string })[];
  readonly consumers: readonly { readonly stream: string; readonly config: Partial<ConsumerConfig> & { readonly durable_name: string } }[];
}

const DAY_MS = 86_400_000;
/** A message is acknowledged as soon as it is durable; one that reached a client which is gone comes again after this. */
const ACK_WAIT_MS = 10_000;
/** Reports that no sidecar fetches: far more than there should be, and still a bound. */
const RESULTS_BYTES_MAX = 4 * 1024 ** 3;
const EVENTS_BYTES_MAX = 256 * 1024 ** 2;
const DELIVERIES_BYTES_MAX = 256 * 1024 ** 2;

/**
 * @param replicas 1, or 3 on a cluster
 * @see design: a limit of any kind on the stream of schedules would drop armed revokes without a word
 */
export function planBus(executors: readonly string[], replicas: 1 | 3): BusPlan {
  const common = { storage: StorageType.File, retention: RetentionPolicy.Limits, num_replicas: replicas, max_msg_size: MESSAGE_BYTES_MAX, allow_direct: true };
  const none = { max_msgs: -1, max_bytes: -1, max_msgs_per_subject: -1, max_age: 0 };
  return {
    streams: [
      {
        ...common, ...none, name: STREAMS.steps, subjects: ['cs.arm.>', 'cs.step.>'], discard: DiscardPolicy.Old, allow_msg_schedules: true, allow_rollup_hdrs: true,
        duplicate_window: nanos(120_000), description: 'Steps and orders on their way; the ledgers can fill it again.',
      },
      {
        ...common, ...none, name: STREAMS.results, subjects: ['cs.result.>'], discard: DiscardPolicy.New, max_bytes: RESULTS_BYTES_MAX, max_age: nanos(90 * DAY_MS),
        deny_delete: true, deny_purge: true, duplicate_window: nanos(120_000), description: 'Signed reports of executors.',
      },
      {
        ...common, ...none, name: STREAMS.deliveries, subjects: ['cs.delivery.>'], discard: DiscardPolicy.Old, max_bytes: DELIVERIES_BYTES_MAX, max_age: nanos(2 * DAY_MS),
        max_msgs_per_subject: 1, duplicate_window: nanos(120_000), description: 'Sealed secrets that wait for who they are for.',
      },
      {
        ...common, ...none, name: STREAMS.events, subjects: ['cs.event.>'], discard: DiscardPolicy.Old, max_bytes: EVENTS_BYTES_MAX, max_age: nanos(7 * DAY_MS), duplicate_window: nanos(120_000),
        description: 'What happens to changes, as CloudEvents.',
      },
      {
        ...common, ...none, name: STREAMS.claims, subjects: ['cs.claim.>'], discard: DiscardPolicy.Old, max_msgs_per_subject: 1, description: 'Which of an executor\'s workers acts under a lease.',
      },
      {
        // Without a limit, and never full: what a lost disk is restored from is not what makes room.
        ...common, ...none, name: STREAMS.ledger, subjects: ['cs.ledger.>'], discard: DiscardPolicy.New, duplicate_window: nanos(120_000), description: 'A copy of each ledger, to restore it from.',
      },
      {
        // A lock is not what makes room either. Taken away is none: a lift takes its place.
        ...common, ...none, name: STREAMS.locks, subjects: ['cs.lock.>'], discard: DiscardPolicy.New, max_msgs_per_subject: 1, max_msg_size: SAID_BYTES_MAX, deny_delete: true, deny_purge: true,
        duplicate_window: nanos(120_000), description: 'Locks that stand, and their ends.',
      },
    ],
    consumers: executors.flatMap((executor) => (['act', 'revoke'] as const).map((kind) => ({
      stream: STREAMS.steps,
      config: {
        durable_name: consumerOf(laneOf(executor), kind), filter_subject: `cs.step.${laneOf(executor)}.${kind}.>`, ack_policy: AckPolicy.Explicit, deliver_policy: DeliverPolicy.All,
        ack_wait: nanos(ACK_WAIT_MS), max_deliver: -1, max_ack_pending: 256,
      },
    }))),
  };
}

/** The consumer that brings a sidecar the reports of its own log. */
export function resultsConsumer(log: string, name: string): Partial<ConsumerConfig> & { readonly durable_name: string } {
  return {
    durable_name: name, filter_subject: `cs.result.*.${log}.>`, ack_policy: AckPolicy.Explicit, deliver_policy: DeliverPolicy.All, ack_wait: nanos(ACK_WAIT_MS), max_deliver: -1, max_ack_pending: 256,
  };
}

export interface Difference {
  /** `CS_STEPS`, or `CS_STEPS/pg-1-act`. */
  readonly what: string;
  readonly change: 'create' | 'update';
  /** What is and what must be, by field; of what is created, nothing. */
  readonly fields: readonly { readonly field: string; readonly is: unknown; readonly must: unknown }[];
}

/** What of the bus is not as the plan says. Changes nothing. */
export async function compareBus(connection: NatsConnection, plan: BusPlan): Promise<Difference[]> {
  const manager = await jetstreamManager(connection);
  const differences: Difference[] = [];
  for (const stream of plan.streams) {
    const found = await orNull(manager.streams.info(stream.name));
    differences.push(...differenceOf(stream.name, found === null ? null : { ...found.config }, stream));
  }
  for (const { stream, config } of plan.consumers) {
    const found = await orNull(manager.consumers.info(stream, config.durable_name));
    differences.push(...differenceOf(`${stream}/${config.durable_name}`, found === null ? null : { ...found.config }, config));
  }
  return differences;
}

/** Brings the bus to the plan and says what was changed. What is there already is kept, and so is everything in it. */
export async function setUpBus(connection: NatsConnection, plan: BusPlan): Promise<Difference[]> {
  const differences = await compareBus(connection, plan);
  const manager = await jetstreamManager(connection);
  const changed = new Map(differences.map(({ what, change }) => [what, change]));
  for (const stream of plan.streams) {
    if (changed.get(stream.name) === 'create') await manager.streams.add(stream);
    if (changed.get(stream.name) === 'update') await manager.streams.update(stream.name, stream);
  }
  for (const { stream, config } of plan.consumers) if (changed.has(`${stream}/${config.durable_name}`)) await ensureConsumer(manager, stream, config);
  return differences;
}

/** Creates the consumer, or brings it to this configuration; how far it has come stays. */
export async function ensureConsumer(manager: JetStreamManager, stream: string, config: Partial<ConsumerConfig> & { readonly durable_name: string }): Promise<void> {
  const found = await orNull(manager.consumers.info(stream, config.durable_name));
  if (found === null) await manager.consumers.add(stream, config);
  else if (differenceOf('', { ...found.config }, config).length > 0) await manager.consumers.update(stream, config.durable_name, config);
}

function differenceOf(what: string, is: Readonly<Record<string, unknown>> | null, must: Readonly<Record<string, unknown>>): Difference[] {
  if (is === null) return [{ what, change: 'create', fields: [] }];
  const fields = Object.entries(must).filter(([field, value]) => JSON.stringify(is[field] ?? absentOf(value)) !== JSON.stringify(value)).map(([field, value]) => ({ field, is: is[field] ?? null, must: value }));
  return fields.length === 0 ? [] : [{ what, change: 'update', fields }];
}

/** What the server leaves out of its answer where it says nothing else. */
function absentOf(value: unknown): unknown {
  return typeof value === 'boolean' ? false : typeof value === 'number' ? 0 : undefined;
}

async function orNull<T>(asked: Promise<T>): Promise<T | null> {
  try {
    return await asked;
  } catch (error) {
    if (error instanceof JetStreamApiError && error.status === 404) return null;
    throw error;
  }
}
