/** What a disk, a cluster and a target cost by themselves, one thing at a time: the floor that a path over all of them is held against. */
import { closeSync, fdatasyncSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { AckPolicy, jetstream, jetstreamManager, RetentionPolicy, StorageType } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/transport-node';

/** About what a record with its proof, an envelope or a report has. */
const BYTES = 4_096;
const STREAM = 'RAW';

/** Milliseconds that each of `count` runs took. */
export async function timed(count: number, run: (n: number) => unknown): Promise<number[]> {
  const took: number[] = [];
  for (let n = 0; n < count; n += 1) {
    const startMs = performance.now();
    await run(n);
    took.push(performance.now() - startMs);
  }
  return took;
}

/** An append of a few KiB and its fdatasync. */
export async function rawSync(directory: string, count: number): Promise<number[]> {
  const fd = openSync(join(directory, 'raw'), 'a');
  const bytes = Buffer.alloc(BYTES, 'x');
  try {
    return await timed(count, () => {
      writeSync(fd, bytes);
      fdatasyncSync(fd);
    });
  } finally {
    closeSync(fd);
  }
}

export interface RawBus {
  /** A publish, until the cluster has said that it holds it. */
  readonly ack: readonly number[];
  /** A publish, until a worker that waits for it has it. */
  readonly hop: readonly number[];
  /** The newest message of a subject, asked for. */
  readonly ask: readonly number[];
}

/** On a stream of its own, of three replicas, over the connections of two parties. */
export async function rawBus(publisher: NatsConnection, worker: NatsConnection, count: number): Promise<RawBus> {
  const manager = await jetstreamManager(publisher);
  await manager.streams.add({ name: STREAM, subjects: ['raw.>'], storage: StorageType.File, retention: RetentionPolicy.Limits, num_replicas: 3, allow_direct: true });
  await manager.consumers.add(STREAM, { durable_name: 'raw', filter_subject: 'raw.hop.>', ack_policy: AckPolicy.Explicit });
  const js = jetstream(publisher);
  const bytes = new Uint8Array(BYTES);
  const ack = await timed(count, (n) => js.publish(`raw.ack.${n}`, bytes));
  const messages = await (await jetstream(worker).consumers.get(STREAM, 'raw')).consume({ max_messages: 64 });
  const arrived = messages[Symbol.asyncIterator]();
  const hop = await timed(count, async (n) => {
    const acked = js.publish(`raw.hop.${n}`, bytes);
    const { value } = (await arrived.next()) as { readonly value: { ack(): void } };
    value.ack();
    await acked;
  });
  messages.stop();
  const ask = await timed(count, (n) => manager.direct.getMessage(STREAM, { last_by_subj: `raw.ack.${n}` }));
  await manager.streams.delete(STREAM);
  return { ack, hop, ask };
}
