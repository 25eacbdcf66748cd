/** What a disk, a cluster and a target cost by themselves, one thing at a time: the floor that a path over all of them is held against. */
import { closeSync, fdatasyncSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { AckPolicy, jetstream, jetstreamManager, RetentionPolicy, StorageType } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/transport-node';
import type { Connector } from '../../src/executor/connector.ts';
import type { PlanStep } from '../../src/protocol/plan.ts';

/** About what a record with its proof, an envelope or a report has. */
const BYTES = 4_096;
const STREAM = 'RAW';

async function timed(into: number[], run: () => unknown): Promise<void> {
  const startMs = performance.now();
  await run();
  into.push(performance.now() - startMs);
}

/** Something that is measured a few times now and again; milliseconds that each run took. */
export interface Raw<T extends string> {
  readonly took: Readonly<Record<T, readonly number[]>>;
  measure(count: number): Promise<void>;
  close(): Promise<void>;
}

/** `sync`: an append of a few KiB and its fdatasync. */
export function rawDisk(directory: string): Raw<'sync'> {
  const fd = openSync(join(directory, 'raw'), 'a');
  const bytes = Buffer.alloc(BYTES, 'x');
  const took = { sync: [] as number[] };
  return {
    took,
    async measure(count) {
      for (let n = 0; n < count; n += 1) {
        await timed(took.sync, () => {
          writeSync(fd, bytes);
          fdatasyncSync(fd);
        });
      }
    },
    close: () => Promise.resolve(closeSync(fd)),
  };
}

/**
 * `ack`: a publish, until the cluster has said that it holds it. `hop`: a publish, until a worker that waits for it has it. `ask`: the newest
 * message of a subject, asked for. On a stream of its own, of three replicas, over the connections of two parties.
 */
export async function rawBus(publisher: NatsConnection, worker: NatsConnection): Promise<Raw<'ack' | 'hop' | 'ask'>> {
  const manager = await jetstreamManager(publisher);
  await manager.streams.add({ name: STREAM, subjects: ['raw.>'], storage: StorageType.File, retention: RetentionPolicy.Limits, num_replicas: 3, allow_direct: true });
  await manager.consumers.add(STREAM, { durable_name: 'raw', filter_subject: 'raw.hop.>', ack_policy: AckPolicy.Explicit });
  const js = jetstream(publisher);
  const bytes = new Uint8Array(BYTES);
  const messages = await (await jetstream(worker).consumers.get(STREAM, 'raw')).consume({ max_messages: 64 });
  const arrived = messages[Symbol.asyncIterator]();
  const took = { ack: [] as number[], hop: [] as number[], ask: [] as number[] };
  return {
    took,
    async measure(count) {
      for (let n = 0; n < count; n += 1) {
        const of = took.ack.length;
        await timed(took.ack, () => js.publish(`raw.ack.${of}`, bytes));
        const acked = js.publish(`raw.hop.${of}`, bytes);
        await timed(took.hop, async () => {
          const { value } = (await arrived.next()) as { readonly value: { ack(): void } };
          value.ack();
        });
        await acked;
        await timed(took.ask, () => manager.direct.getMessage(STREAM, { last_by_subj: `raw.ack.${of}` }));
      }
    },
    async close() {
      messages.stop();
      await manager.streams.delete(STREAM);
    },
  };
}

/** What the connector itself takes for each call that a worker makes, in that order, on the account and step of a change that is over. */
export async function measureTarget(connector: Connector, step: PlanStep, took: Readonly<Record<'read' | 'apply' | 'try', number[]>>): Promise<void> {
  const { stepId: _, ...query } = step;
  const { signal } = new AbortController();
  const read = (): Promise<void> => timed(took.read, () => connector.read(query, signal));
  await read();
  await read();
  await timed(took.apply, () => connector.apply({ step, validUntil: null, secret: null, endSessions: false, signal }));
  await timed(took.try, () => connector.tryUse(step, null, signal));
  await read();
  await connector.revoke({ ...step, action: 'grant' }, signal);
}
