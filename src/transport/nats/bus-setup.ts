/** Streams and consumers as they must be, and bringing a bus to that. */
import { AckPolicy, DeliverPolicy, DiscardPolicy, JetStreamApiError, jetstreamManager, ReplayPolicy, RetentionPolicy, StorageType, type ConsumerConfig, type JetStreamManager, type StreamConfig } from '@nats-io/jetstream';
import { delay, nanos, type NatsConnection } from '@nats-io/transport-node';
import { consumerOf, laneOf, STREAMS, WIRE_BYTES_MAX } from './bus-layout.ts';
import { SAID_BYTES_MAX } from './said.ts';

export interface BusPlan {
  readonly streams: readonly (Partial<StreamConfig> & { readonly name: string })[];
  readonly consumers: readonly { readonly stream: string; readonly config: Partial<ConsumerConfig> & { readonly durable_name: string } }[];
  /** Of what an operator may have chosen more, by stream: how much is enough. It is left as it is found. */
  readonly enough: Readonly<Record<string, Readonly<Record<string, number>>>>;
}

export interface Chosen {
  /** Exactly so many; left out: more is as good, and nothing takes a copy away. */
  readonly replicas?: 1 | 3 | undefined;
  /** Room for reports; left out: what was chosen before, if it is enough. */
  readonly resultsBytes?: number | undefined;
}

const DAY_MS = 86_400_000;
/** A message is acknowledged as soon as it is durable; one that reached a client which is gone comes again after this. */
const ACK_WAIT_MS = 10_000;
/** Orders that wait for a worker which has their connector keep no other from its own. */
const UNBOUNDED = -1;
/** Reports that no sidecar fetches: far more than there should be, and still a bound. */
const RESULTS_BYTES_MAX = 4 * 1024 ** 3;
export const RESULTS_BYTES_LEAST = 64 * 1024 ** 2;
const EVENTS_BYTES_MAX = 256 * 1024 ** 2;
const DELIVERIES_BYTES_MAX = 256 * 1024 ** 2;
/** A claim and its headers. */
const CLAIM_BYTES_MAX = 2_048;
/** Those of a million leases. */
export const CLAIMS_BYTES_MAX = 256 * 1024 ** 2;

/** What would make a stream take, lose, move or forge something: in none of them. The server leaves out what is not there. */
const NEVER_OF_STREAMS = ['mirror', 'sources', 'republish', 'subject_transform', 'persist_mode'] as const;
const NEVER_OF_CONSUMERS = ['deliver_subject', 'filter_subjects', 'backoff', 'inactive_threshold'] as const;
/** What no server changes of a stream that is there. */
const FIXED: readonly string[] = ['persist_mode', 'sealed', 'storage'];

/**
 * @param replicas 1, or 3 on a cluster
 * @see design: a limit of any kind on the stream of schedules would drop armed revokes without a word
 */
export function planBus(executors: readonly string[], replicas: 1 | 3, chosen: Chosen = {}): BusPlan {
  const common = {
    storage: StorageType.File, retention: RetentionPolicy.Limits, num_replicas: replicas, max_msg_size: WIRE_BYTES_MAX, max_consumers: -1, allow_direct: true, no_ack: false, sealed: false,
  };
  const none = { max_msgs: -1, max_bytes: -1, max_msgs_per_subject: -1, max_age: 0 };
  return {
    streams: [
      {
        ...common, ...none, name: STREAMS.steps, subjects: ['cs.arm.>', 'cs.step.>'], discard: DiscardPolicy.Old, allow_msg_schedules: true, allow_rollup_hdrs: true,
        duplicate_window: nanos(120_000), description: 'Steps and orders on their way; the ledgers can fill it again.',
      },
      {
        ...common, ...none, name: STREAMS.results, subjects: ['cs.result.>'], discard: DiscardPolicy.New, max_bytes: chosen.resultsBytes ?? RESULTS_BYTES_MAX, max_age: nanos(90 * DAY_MS),
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
        // Full, it takes no other: a claim that made room for another would let two workers act under one lease. No age: leases have no longest life.
        ...common, ...none, name: STREAMS.claims, subjects: ['cs.claim.>'], discard: DiscardPolicy.New, max_bytes: CLAIMS_BYTES_MAX, max_msgs_per_subject: 1, discard_new_per_subject: false,
        max_msg_size: CLAIM_BYTES_MAX, description: 'Which of an executor\'s workers acts under a lease.',
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
        ack_wait: nanos(ACK_WAIT_MS), max_deliver: -1, max_ack_pending: kind === 'act' ? 256 : UNBOUNDED, replay_policy: ReplayPolicy.Instant, num_replicas: 0, mem_storage: false, headers_only: false,
      },
    }))),
    enough: enoughOf(replicas, chosen),
  };
}

/** How many copies there are to be of everything, where nobody says so. */
export function replicasOn({ info }: Pick<NatsConnection, 'info'>): 1 | 3 {
  return info?.cluster === undefined ? 1 : 3;
}

function enoughOf(replicas: number, chosen: Chosen): BusPlan['enough'] {
  const copies = chosen.replicas === undefined ? { num_replicas: replicas } : {};
  const room: Readonly<Record<string, Readonly<Record<string, number>>>> = {
    [STREAMS.results]: chosen.resultsBytes === undefined ? { max_bytes: RESULTS_BYTES_LEAST } : {}, [STREAMS.claims]: { max_bytes: CLAIMS_BYTES_MAX },
  };
  return Object.fromEntries(Object.values(STREAMS).map((name) => [name, { ...copies, ...room[name] }]));
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
    const found = await answered(() => orNull(manager.streams.info(stream.name)));
    differences.push(...differenceOf(stream.name, found === null ? null : { ...found.config }, stream, NEVER_OF_STREAMS, plan.enough[stream.name]));
  }
  for (const { stream, config } of plan.consumers) {
    const found = await answered(() => orNull(manager.consumers.info(stream, config.durable_name)));
    differences.push(...differenceOf(`${stream}/${config.durable_name}`, consumerFields(found), { ...config, ...RUNNING }, NEVER_OF_CONSUMERS));
  }
  return differences;
}

/** Of these, what nothing but a stream made anew would mend. */
export function fixedIn(differences: readonly Difference[]): string[] {
  return differences.flatMap(({ what, fields }) => fields.filter(({ field }) => FIXED.includes(field)).map(({ field }) => `${what}.${field}`));
}

/** What to do about a stream that cannot become what it must. */
export const ANEW = 'take the stream away with the sidecars and workers stopped and nothing under way (nats stream rm NAME)';

/** Something of the bus that its servers would not make or change. */
export interface Refused {
  readonly what: string;
  readonly reason: string;
  /** Whether it was for want of room, or of servers. */
  readonly isFull: boolean;
}

/** Everything that could be done was done: `done`; `refused` was not. */
export class BusRefused extends Error {
  readonly done: readonly Difference[];
  readonly refused: readonly Refused[];
  constructor(done: readonly Difference[], refused: readonly Refused[], options: ErrorOptions) {
    super(refused.map(({ what, reason }) => `${what}: ${reason}`).join('; '), options);
    this.name = 'BusRefused';
    this.done = done;
    this.refused = refused;
  }
}

/**
 * Brings the bus to the plan and says what was changed. What is there already is kept, and so is everything in it.
 *
 * @throws BusRefused what the servers refused is left as it was, and everything else is done
 */
export async function setUpBus(connection: NatsConnection, plan: BusPlan): Promise<Difference[]> {
  const differences = new Map((await compareBus(connection, plan)).map((difference) => [difference.what, difference]));
  const manager = await jetstreamManager(connection);
  const done: Difference[] = [];
  const refused: Refused[] = [];
  let cause: unknown;
  const attempt = async (what: string, make: (difference: Difference) => Promise<unknown>, bytes = -1): Promise<void> => {
    const difference = differences.get(what);
    if (difference === undefined) return;
    try {
      await answered(() => make(difference));
      const fixed = fixedIn([difference]);
      const mended = difference.fields.filter(({ field }) => !FIXED.includes(field));
      if (difference.change === 'create' || mended.length > 0) done.push({ ...difference, fields: mended });
      if (fixed.length > 0) refused.push({ what, reason: `${fixed.join(', ')} cannot be changed of a stream that is there`, isFull: false });
    } catch (error) {
      cause = error;
      refused.push({ what, ...reasonOf(error, bytes) });
    }
  };
  for (const stream of plan.streams) await attempt(stream.name, (difference) => (difference.change === 'create' ? manager.streams.add(stream) : manager.streams.update(stream.name, mendedBy(difference))), stream.max_bytes);
  for (const { stream, config } of plan.consumers) {
    if (!refused.some(({ what }) => what === stream && differences.get(what)?.change === 'create')) await attempt(`${stream}/${config.durable_name}`, () => ensureConsumer(manager, stream, config));
  }
  if (refused.length > 0) throw new BusRefused(done, refused, { cause });
  return done;
}

const ASKED_MAX = 5;
const AGAIN_MS = 500;
/** The cluster has no leader for it at the moment. */
const NO_LEADER = [10_008, 10_009];

/** What is asked while a leader is being chosen, such as after copies were added or taken away, is asked again. Each thing may be asked twice. */
async function answered<T>(ask: () => Promise<T>): Promise<T> {
  for (let asked = 1; ; asked += 1) {
    try {
      return await ask();
    } catch (error) {
      if (asked === ASKED_MAX || !isOfNoLeader(error)) throw error;
      await delay(AGAIN_MS);
    }
  }
}

function isOfNoLeader(error: unknown): boolean {
  if (error instanceof JetStreamApiError) return NO_LEADER.includes(error.code);
  return error instanceof Error && (error.name === 'TimeoutError' || error.name === 'JetStreamNotEnabled' || (error.cause instanceof Error && error.cause.name === 'TimeoutError'));
}

/** What to say to a server so that these fields become what they must, and nothing else changes. */
function mendedBy({ fields }: Difference): Partial<StreamConfig> {
  return Object.fromEntries(fields.filter(({ field }) => !FIXED.includes(field)).map(({ field, must }) => [field, must ?? undefined]));
}

/** Resources of the account, of the servers (alone, in a cluster), too few servers, and more than one copy on a server that is alone. */
const FULL = [10_002, 10_023, 10_047, 10_005, 10_074];

function reasonOf(error: unknown, bytes: number): Omit<Refused, 'what'> {
  const message = error instanceof Error ? error.message : String(error);
  if (!(error instanceof JetStreamApiError) || !FULL.includes(error.code)) return { reason: message, isFull: false };
  return { reason: bytes > 0 ? `it reserves ${formatBytes(bytes)}, which the server does not have for it (${message})` : message, isFull: true };
}

export function formatBytes(bytes: number): string {
  return bytes % 1024 ** 3 === 0 ? `${bytes / 1024 ** 3} GiB` : `${Math.round(bytes / 1024 ** 2)} MiB`;
}

/** Creates the consumer, or brings it to this configuration and has it run; how far it has come stays. */
export async function ensureConsumer(manager: JetStreamManager, stream: string, config: Partial<ConsumerConfig> & { readonly durable_name: string }): Promise<void> {
  const found = await orNull(manager.consumers.info(stream, config.durable_name));
  if (found === null) await manager.consumers.add(stream, config);
  else {
    const [difference] = differenceOf('', { ...found.config }, config, NEVER_OF_CONSUMERS);
    if (difference !== undefined) await manager.consumers.update(stream, config.durable_name, { ...config, ...mendedBy(difference) });
    if (found.paused === true) await manager.consumers.resume(stream, config.durable_name);
  }
}

/** A consumer that is paused hands nothing out: no order either. */
const RUNNING = { paused: false };

function consumerFields(found: { readonly config: ConsumerConfig; readonly paused?: boolean } | null): Record<string, unknown> | null {
  return found === null ? null : { ...found.config, paused: found.paused ?? false };
}

function differenceOf(what: string, is: Readonly<Record<string, unknown>> | null, must: Readonly<Record<string, unknown>>, never: readonly string[], enough: Readonly<Record<string, number>> = {}): Difference[] {
  if (is === null) return [{ what, change: 'create', fields: [] }];
  const isEnough = (field: string): boolean => enough[field] !== undefined && typeof is[field] === 'number' && is[field] >= enough[field];
  const fields = [
    ...Object.entries(must).filter(([field, value]) => !isEnough(field) && JSON.stringify(is[field] ?? absentOf(value)) !== JSON.stringify(value)).map(([field, value]) => ({ field, is: is[field] ?? null, must: value })),
    ...never.filter((field) => !NOTHING.includes(is[field])).map((field) => ({ field, is: is[field], must: null })),
  ];
  return fields.length === 0 ? [] : [{ what, change: 'update', fields }];
}

/** What the server leaves out of its answer where it says nothing else. */
function absentOf(value: unknown): unknown {
  return typeof value === 'boolean' ? false : typeof value === 'number' ? 0 : undefined;
}

const NOTHING: readonly unknown[] = [undefined, null, '', 0, 'default'];

async function orNull<T>(asked: Promise<T>): Promise<T | null> {
  try {
    return await asked;
  } catch (error) {
    if (error instanceof JetStreamApiError && error.status === 404) return null;
    throw error;
  }
}
