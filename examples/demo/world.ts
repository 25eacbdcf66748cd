/**
 * Everything that the demo needs running: PostgreSQL, an installation, its executor and its sidecar; or, over NATS, a cluster of three
 * servers between the sidecar and two workers. Whatever is started here is ended here, and what an earlier, aborted run left is ended first.
 */
import { generateX25519Identity, identityToRecipient } from 'age-encryption';
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { newBusUsers, startBus } from '../support/bus.ts';
import { removePostgres, startPostgres, type RunningPostgres } from '../support/embedded-postgres.ts';
import { layOutNats, type NatsServers } from '../support/nats-servers.ts';
import { obtainProgram } from '../support/programs.ts';
import type { Ask } from './asking.ts';
import { createDatabase, type Database } from './database.ts';
import { databaseConnector, install, type Installation } from './installation.ts';
import { endLeftovers } from './processes.ts';
import { openReceiver, type Receiver } from './receiver.ts';
import type { BusEntrance } from './rogue-on-bus.ts';
import { waiting } from './say.ts';

export interface World extends Omit<Installation, 'stop'> {
  readonly database: Database;
  /** What secrets are sealed to: the caller's own, which no part of Countersign ever sees. */
  readonly identity: string;
  readonly recipient: string;
  readonly randomBytes: (length: number) => Uint8Array;
  /** Somebody at the terminal is asked, and takes her time. */
  readonly asks: boolean;
  /** The package. */
  readonly root: string;
  /** The maintenance window that is open all through the demo. */
  readonly window: string;
  /** Is told what the sidecar tells. */
  readonly receiver: Receiver;
  /** How one comes onto the bus as the sidecar does; null where there is none. */
  readonly bus: BusEntrance | null;
  stopSidecar(): Promise<void>;
  /** From now on nothing that is sent reaches a worker: they are stopped, and so is the bus, which would hold it for them. */
  stopExecutors(): Promise<void>;
  startExecutors(): Promise<void>;
  /** What is to end with all this, before it: a process that a case is about to start, and that may wait for somebody. @throws Error where all of it is being ended */
  endsWith(end: () => Promise<void>): void;
  /** Ends everything that was started. */
  close(): Promise<void>;
}

export interface WorldOptions {
  readonly root: string;
  /** Made anew: absent, empty, or what an earlier demo left there. */
  readonly directory: string;
  readonly randomBytes: (length: number) => Uint8Array;
  /** Over three NATS servers and with two workers. */
  readonly nats: boolean;
  /** Asks whoever is to approve, who takes her time. null: nobody is asked. */
  readonly ask: Ask | null;
}

const EXECUTOR = 'executor:main';
const ORIGIN = 'countersign.demo/';
const WINDOW = 'demo-window';
const WINDOW_MINUTES = 10;
const UNHURRIED_MINUTES = 120;

/** A calendar with one window that is open now. */
function calendarAround(nowMs: number, minutes: number): string {
  const local = (ms: number): string => new Date(ms).toISOString().slice(0, 16);
  return stringify({
    v: 1, freezes: [],
    windows: [{ id: WINDOW, timeZone: 'UTC', connectors: ['pg-main'], dates: [{ from: local(nowMs), until: local(nowMs + minutes * 60_000) }] }],
  });
}

/** Starts it all, and shows on stderr what is waited for. @throws Error when the directory holds something else: nothing was touched */
export async function openWorld({ root, directory, randomBytes, nats: overNats, ask }: WorldOptions): Promise<World> {
  if (!mayReplace(directory)) throw new Error(`${directory} holds something that no demo has left there: name another directory`);
  // Beside, not inside: the directory is left for the auditor, the database is thrown away.
  const databaseDirectory = `${directory}-postgres`;
  const natsDirectory = `${directory}-nats`;
  const ended = endLeftovers(join(directory, 'run'));
  await removePostgres(databaseDirectory);
  for (const old of [directory, natsDirectory]) rmSync(old, { recursive: true, force: true });
  if (ended.length > 0) process.stderr.write(`· ended what an earlier run left: ${ended.join(', ')}\n`);

  const undo: (() => Promise<void>)[] = [];
  let isClosed = false;
  /** A case that is still being told must not start again what has just been ended: nobody would end that. */
  const demandOpen = (): void => {
    if (isClosed) throw new Error('nothing is started any more: all of it is being ended');
  };
  const close = async (): Promise<void> => {
    isClosed = true;
    const troubles: unknown[] = [];
    // What cannot be ended keeps nothing else from being ended.
    for (const step of undo.splice(0).reverse()) await step().catch((error: unknown) => troubles.push(error));
    if (troubles.length > 0) throw troubles[0];
  };
  try {
    const postgres = await waitFor('starting PostgreSQL', () => startPostgres({ directory: databaseDirectory }), (started) => `version ${started.major}, port ${started.port}`);
    undo.push(() => endPostgres(postgres, databaseDirectory, join(directory, 'logs')));
    const password = (): string => Buffer.from(randomBytes(18)).toString('base64url');
    const database = await createDatabase(postgres, password);
    const origin = `${ORIGIN}${Buffer.from(randomBytes(6)).toString('hex')}`;
    const webhookSecret = `whsec_${Buffer.from(randomBytes(32)).toString('base64')}`;
    const receiver = await openReceiver(webhookSecret);
    undo.push(() => receiver.close());
    const users = newBusUsers([EXECUTOR]);
    const nats = overNats ? await layOutNats({ program: obtainProgram(root, 'nats-server'), directory: natsDirectory, size: 3, logs: join(directory, 'logs'), run: join(directory, 'run') }) : null;
    if (nats !== null) undo.push(() => endNats(nats, natsDirectory));
    const installation = install({
      root, directory, origin, server: postgres, randomBytes,
      ...(nats === null ? {} : {
        bus: { servers: nats.urls, seed: users.sidecar.seed }, executors: [{ id: EXECUTOR, connectors: { 'pg-main': databaseConnector(postgres) }, seed: users.executors.get(EXECUTOR)!.seed }],
      }),
      calendar: calendarAround(Date.now(), ask === null ? WINDOW_MINUTES : UNHURRIED_MINUTES), ...(ask === null ? {} : { ask }), webhookSecret,
      config: {
        facts: { inventory: 'facts/inventory.yaml', catalogue: 'facts/catalogue.yaml', directory: 'facts/directory.yaml', usage: 'facts/usage.yaml', calendar: 'facts/calendar.yaml' },
        webhooks: [{ name: 'demo', url: receiver.url, secret: 'secrets/demo.whsec', allowHttp: true, allowPrivate: true }],
      },
    });
    undo.push(() => installation.stop());
    if (nats !== null) await waitFor('starting three NATS servers', () => startBus(nats, installation.paths, users), () => 'ready, with streams of three replicas');
    const startExecutors = async (): Promise<void> => {
      demandOpen();
      await nats?.start();
      await Promise.all(installation.workers.map((worker) => worker.start()));
    };
    await waitFor(nats === null ? 'starting an executor and a sidecar' : 'starting two workers and a sidecar', async () => {
      await startExecutors();
      await installation.startSidecar();
    }, () => 'ready');
    const identity = await generateX25519Identity();
    const recipient = await identityToRecipient(identity);
    return {
      ...installation, asks: ask !== null, database, identity, recipient, randomBytes, root, window: WINDOW, receiver, close, startExecutors,
      async startSidecar(options) {
        demandOpen();
        return installation.startSidecar(options);
      },
      endsWith(end) {
        demandOpen();
        undo.push(end);
      },
      bus: nats === null ? null : { servers: nats.urls, seed: users.sidecar.seed, executorId: EXECUTOR },
      async stopExecutors() {
        await Promise.all(installation.workers.map(({ running }) => running.stop()));
        await nats?.stop();
      },
      // A spread would copy what these are now.
      get sidecar() {
        return installation.sidecar;
      },
      get executor() {
        return installation.executor;
      },
      stopSidecar: () => installation.sidecar.stop(),
    };
  } catch (error) {
    await close();
    throw error;
  }
}

async function waitFor<T>(what: string, start: () => Promise<T>, describe: (value: T) => string): Promise<T> {
  const ready = waiting(what);
  try {
    const value = await start();
    ready(describe(value));
    return value;
  } catch (error) {
    ready('failed');
    throw error;
  }
}

/** Its log stays with the others'; its data is thrown away. */
async function endPostgres(postgres: RunningPostgres, directory: string, logs: string): Promise<void> {
  await postgres.stop();
  mkdirSync(logs, { recursive: true });
  if (existsSync(postgres.logFile)) copyFileSync(postgres.logFile, join(logs, 'postgres.log'));
  await removePostgres(directory);
}

async function endNats(nats: NatsServers, directory: string): Promise<void> {
  await nats.stop();
  rmSync(directory, { recursive: true, force: true });
}

function mayReplace(directory: string): boolean {
  if (!existsSync(directory) || readdirSync(directory).length === 0) return true;
  const vkey = join(directory, 'log.vkey');
  return existsSync(vkey) && readFileSync(vkey, 'utf8').startsWith(ORIGIN);
}
