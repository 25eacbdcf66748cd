/** What the product's own worker says to an order: a whole worker, before anything is due. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { JsonError, nodeDisk, parseStrict } from '../../../ledger/index.ts';
import { admitOrder } from '../../../src/executor/orders.ts';
import { openWorker, WorkerError } from '../../../src/executor/worker.ts';
import { ProtocolError } from '../../../src/protocol/errors.ts';
import type { Trust } from '../../../src/protocol/trust-folder.ts';
import { MESSAGE_BYTES_MAX } from '../../../src/transport/nats/bus-layout.ts';
import { fakeClock } from '../fake-clock.ts';
import { memoryTarget } from '../memory-target.ts';
import { keys, START_MS } from '../story.ts';
import type { OrderVector } from './orders.ts';

export interface OrderSetting {
  readonly trust: Trust;
  readonly executorId: string;
  readonly connectors: readonly string[];
}

const QUIET = { info: () => undefined, warn: () => undefined, error: () => undefined };

/** In the form of a vector's `expect`. */
export async function orderAnswer(message: Uint8Array, { trust, executorId, connectors }: OrderSetting): Promise<OrderVector['content']['expect']> {
  const directory = await mkdtemp(join(tmpdir(), 'countersign-order-'));
  const clock = fakeClock(START_MS - 60_000);
  const port = clock.port();
  const connector = memoryTarget(clock).connector({ alive: true });
  const worker = await openWorker({
    executorId, signer: keys.executor, trust, connectors: new Map(connectors.map((id) => [id, connector])), disk: nodeDisk(directory), clock: port, random: (length) => new Uint8Array(length),
    seal: () => Promise.reject(new Error('nothing is sealed here')), fingerprintKey: new Uint8Array(32), logger: QUIET, send: () => Promise.resolve(),
  });
  try {
    const value = parseStrict(message, { maxBytes: MESSAGE_BYTES_MAX });
    await worker.revoke(value);
    const admission = admitOrder(value, { trust, executorId });
    if (!admission.ok) throw new Error('taken by the worker and refused by itself');
    const { digest, order } = admission.held;
    return { accepted: digest, leaseId: order.leaseId, dueAt: order.notBefore };
  } catch (error) {
    if (error instanceof JsonError) return { refused: 'malformed' };
    if (error instanceof ProtocolError) return { refused: error.code };
    // Believed, and left to a worker that has the connector.
    if (error instanceof WorkerError && error.code === 'connector') return { refused: 'unknown-connector' };
    throw error;
  } finally {
    await worker.close();
    port.end();
    await rm(directory, { recursive: true, force: true });
  }
}
