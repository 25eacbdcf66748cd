/** A cluster of three nats-servers and a PostgreSQL, for installations of two workers each; what a test breaks, the next finds mended. */
import { jetstreamManager, type JetStreamManager } from '@nats-io/jetstream';
import { connect, nkeyAuthenticator } from '@nats-io/transport-node';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { until } from '../../../examples/demo/check.ts';
import type { Installation, WorkerProcess } from '../../../examples/demo/installation.ts';
import type { ChangeView } from '../../../src/client/index.ts';
import { testNats, type TestNats } from '../../support/nats.ts';
import { countersign, openBench, type Bench } from './bench.ts';
import { REST_MS } from './grants.ts';

export interface BusBench {
  readonly bench: Bench;
  readonly nats: TestNats;
  /** Started: streams, consumers, two workers, a sidecar. `name` is one of those that the bench was opened for. */
  start(name: string, options?: StartOptions): Promise<Installation>;
  /** What an operator does on the bus. */
  manage<T>(act: (manager: JetStreamManager) => Promise<T>): Promise<T>;
  close(): Promise<void>;
}

export interface StartOptions {
  /** Instead of the servers, the ways to them of the sidecar and of each worker. */
  readonly ways?: { readonly sidecar?: readonly string[]; readonly workers?: readonly (readonly string[])[] };
}

/** @param names one for each installation: each has an executor, and so an account on the bus, of its own */
export async function openBusBench(names: readonly string[]): Promise<BusBench> {
  const bench = await openBench({ fsync: 'off' });
  const nats = await testNats(names.map((name) => `executor:${name}`), 3).catch(async (error: unknown) => {
    await bench.close();
    throw error;
  });
  return {
    bench, nats,
    async start(name, { ways = {} } = {}) {
      // Whatever was killed is up again.
      await nats.start();
      const executorId = `executor:${name}`;
      const installation = bench.install(name, {
        config: { limits: { republishSeconds: 1 } },
        bus: { servers: ways.sidecar ?? nats.urls, seed: nats.seeds.sidecar, executorId, executorSeed: nats.seeds.executors.get(executorId)!, ...(ways.workers === undefined ? {} : { workerServers: ways.workers }) },
      });
      await setUp(installation);
      await Promise.all(installation.workers.map((worker) => worker.start()));
      await installation.startSidecar();
      return installation;
    },
    async manage(act) {
      const connection = await connect({ servers: [...nats.urls], authenticator: nkeyAuthenticator(new Uint8Array(Buffer.from(nats.seeds.sidecar))) });
      try {
        return await act(await jetstreamManager(connection, { timeout: 10_000 }));
      } finally {
        await connection.close();
      }
    },
    async close() {
      await bench.close();
      await nats.close();
    },
  };
}

/** As an operator does: until the servers have agreed on who leads. */
export async function setUp(installation: Installation): Promise<void> {
  await until('the streams are there', async () => {
    const ran = await countersign(['nats', 'setup', '--replicas', '3', '--config', installation.paths.config]);
    if (ran.exitCode !== 0) throw new Error(ran.stderr);
    return true;
  }, { timeoutMs: REST_MS });
}

/** How many entries of a kind a worker's lease book has. */
export function entriesOf({ state }: WorkerProcess, kind: string): number {
  const path = join(state, 'lease-book');
  return existsSync(path) ? readFileSync(path, 'latin1').split(`"t":"${kind}"`).length - 1 : 0;
}

/** Who gave what is under a change, and who did not. */
export function whoGave({ workers }: Installation, change: ChangeView): { readonly giver: WorkerProcess; readonly other: WorkerProcess } {
  const [first, second] = workers as readonly [WorkerProcess, WorkerProcess];
  const hasAttempt = ({ state }: WorkerProcess): boolean => readFileSync(join(state, 'lease-book'), 'latin1').includes(`"t":"attempt","stepId":"${change.plan!.steps[0]!.stepId}"`);
  expect([first, second].filter(hasAttempt).length, 'how many of the workers gave').toBe(1);
  return hasAttempt(first) ? { giver: first, other: second } : { giver: second, other: first };
}
