/**
 * The executor's process. Whoever starts it detaches it: it outlives every sidecar, and takes access back on time whatever becomes of them.
 */
import { randomBytes } from 'node:crypto';
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { destination, pino } from 'pino';
import { nodeDisk } from '../../ledger/index.ts';
import { TransportError, type Logger } from '../engine/ports.ts';
import { parseFingerprintKey } from '../protocol/fingerprint.ts';
import type { ReportMessage } from '../protocol/envelope.ts';
import { listenLocal, type LocalListener } from '../transport/local/executor-end.ts';
import { listenHttps, type Door } from '../transport/https/executor-end.ts';
import type { Bus } from '../transport/nats/connection.ts';
import type { NatsListener } from '../transport/nats/executor-end.ts';
import { VERSION } from '../version.ts';
import type { ClaimBoard } from './claims.ts';
import { ConfigError, loadExecutorConfig, type ExecutorConfig } from './config.ts';
import { listenForMetrics } from './metrics-page.ts';
import { openConnectors, openSinks, prepareExecutor, privateText, systemClock } from './prepare.ts';
import { sealSecret } from './seal.ts';
import { openWorker, type Worker } from './worker.ts';

export interface RunningWorker {
  readonly socket: string;
  /** Where orders are taken by HTTPS; null where they are not. */
  readonly door: string | null;
  /** Where metrics are; null where nobody asked for them, or nobody can listen there. */
  readonly metrics: string | null;
  readonly healthy: boolean;
  /** Takes nothing new, lets what is running end, and leaves the lease book closed. */
  close(): Promise<void>;
}

/**
 * The worker that the configuration describes, listening.
 *
 * @throws ConfigError, TrustError, PrivateFileError or LedgerError `locked`; then nothing was touched and nobody is listening
 */
export async function startWorker(configPath: string, logger: Logger): Promise<RunningWorker> {
  const { config, trust, signer } = await prepareExecutor(configPath);
  const fingerprintKey = parseFingerprintKey(await privateText(config.fingerprintKey));
  if (fingerprintKey === null) throw new ConfigError(config.fingerprintKey, 'not 32 bytes in base64');
  const tls = await readDoorKey(config);
  const metrics = config.metrics === undefined ? null : (await import('../metrics/worker.ts')).openWorkerMetrics(VERSION, systemClock.nowMs);
  const tracer = config.tracing === undefined ? null : (await import('../tracing/otlp.ts')).openTracer({ ...config.tracing, service: { name: 'countersign-worker', version: VERSION, instance: config.id }, logger });
  const connectors = await openConnectors(config);
  const sinks = await openSinks(config);

  await mkdir(config.state, { recursive: true, mode: 0o700 });
  await chmod(config.state, 0o700);
  // What is due is taken back from here on, before anybody can connect.
  const bus = config.nats === undefined ? null : await openExecutorBus(config.nats, config.id, logger);
  const ends: { listener: LocalListener | null; bus: NatsListener | null; door: Door | null } = { listener: null, bus: null, door: null };
  const worker = await openWorker({
    executorId: config.id, signer, trust, connectors, sinks, disk: nodeDisk(config.state), clock: systemClock, random: (length) => randomBytes(length),
    seal: sealSecret, fingerprintKey, logger,
    send: (message) => sendOver(ends, message),
    observe: (message) => {
      ends.listener?.tell(message);
      ends.door?.tell(message);
    },
    heard: (lock) => {
      ends.listener?.tellLock(lock);
      ends.bus?.tellLock(lock);
    },
    ...(bus === null ? {} : { board: await boardOn(bus, config.id) }), ...(tracer === null ? {} : { tracer }), ...(metrics === null ? {} : { reported: (report) => metrics.take(report) }),
  }).catch(async (error: unknown) => {
    await bus?.close();
    throw error;
  });
  try {
    ends.listener = await listenLocal({ socket: config.socket, worker, clock: systemClock, logger });
    if (config.door !== undefined) ends.door = await listenHttps({ host: config.door.host, port: config.door.port, tls, worker, clock: systemClock, logger });
    if (bus !== null) ends.bus = await listenOnBus(bus, config.id, worker, logger);
    await writeFile(join(config.state, 'pid'), `${process.pid}\n`, { mode: 0o600 });
  } catch (error) {
    await (ends.bus ?? bus)?.close();
    await ends.door?.close();
    await ends.listener?.close();
    await worker.close();
    throw error;
  }
  const { listener, bus: onBus, door } = ends;
  metrics?.watch(() => ({ ...worker.watched(), busUp: bus?.isUp ?? null }));
  const page = metrics === null ? null : await listenForMetrics(config.metrics!, metrics, logger);
  return {
    socket: config.socket,
    door: door?.url ?? null,
    metrics: page?.url ?? null,
    get healthy() {
      return worker.healthy;
    },
    async close() {
      // Reports of what ends now may still be acknowledged.
      await worker.close();
      await onBus?.close();
      await door?.close();
      await listener.close();
      for (const connector of connectors.values()) await connector.close();
      await page?.close();
      await tracer?.close();
    },
  };
}

/** Null where the door speaks plain HTTP, or there is none. @throws ConfigError or PrivateFileError */
async function readDoorKey({ door }: ExecutorConfig): Promise<{ readonly cert: string; readonly key: string } | null> {
  if (door?.certFile === undefined || door.keyFile === undefined) return null;
  const cert = await readFile(door.certFile, 'utf8').catch((cause: unknown) => {
    throw new ConfigError(door.certFile!, 'cannot be read', { cause });
  });
  return { cert, key: await privateText(door.keyFile) };
}

/** To a sidecar at the socket, where one is; else over the bus, where there is one. @throws TransportError */
async function sendOver({ listener, bus }: { readonly listener: LocalListener | null; readonly bus: NatsListener | null }, message: ReportMessage): Promise<void> {
  if (listener === null) throw new TransportError('unreachable', 'not listening yet');
  try {
    await listener.send(message);
  } catch (error) {
    if (bus === null || !(error instanceof TransportError) || error.code !== 'unreachable') throw error;
    await bus.send(message);
  }
}

/** Connecting in the background. The client of the bus is loaded only where there is one. @throws PrivateFileError when its seed cannot be had */
async function openExecutorBus(nats: NonNullable<ExecutorConfig['nats']>, executorId: string, logger: Logger): Promise<Bus> {
  const { openBus } = await import('../transport/nats/connection.ts');
  const { laneOf } = await import('../transport/nats/bus-layout.ts');
  const { inboxOf } = await import('../transport/nats/server-config.ts');
  return openBus({ servers: nats.servers, seed: (await privateText(nats.seed)).trim(), caFile: nats.caFile, name: executorId, inboxPrefix: inboxOf(laneOf(executorId)), logger });
}

async function boardOn(bus: Bus, executorId: string): Promise<ClaimBoard> {
  const { natsClaimBoard } = await import('../transport/nats/claim-board.ts');
  const { laneOf } = await import('../transport/nats/bus-layout.ts');
  return natsClaimBoard(bus, laneOf(executorId));
}

async function listenOnBus(bus: Bus, executorId: string, worker: Worker, logger: Logger): Promise<NatsListener> {
  const { listenNats } = await import('../transport/nats/executor-end.ts');
  return listenNats({ executorId, bus, worker, clock: systemClock, logger });
}

/** Runs the worker until the process is told to stop; says on standard output, as one line of JSON, when it listens. */
export async function runWorker(configPath: string): Promise<void> {
  const stderr = destination({ dest: 2, sync: true });
  // Whoever read the log may go away; the executor stays.
  stderr.on('error', () => undefined);
  const log = pino({ base: { pid: process.pid }, timestamp: pino.stdTimeFunctions.isoTime }, stderr);
  const { logLevel } = await loadExecutorConfig(configPath);
  log.level = logLevel;
  // A fault in one place must not keep every other lease from ending on time. It is written down, and the process goes on.
  const survive = (error: unknown): void => log.error({ error: error instanceof Error ? (error.stack ?? error.message) : String(error) }, 'a fault that nothing caught');
  process.on('uncaughtException', survive);
  process.on('unhandledRejection', survive);
  const stopped = new Promise<string>((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => resolve(signal));
  });
  // A terminal that goes away is no reason to leave access behind.
  process.on('SIGHUP', () => log.info('a hangup is ignored'));
  const worker = await startWorker(configPath, log);
  const doors = { ...(worker.door === null ? {} : { door: worker.door }), ...(worker.metrics === null ? {} : { metrics: worker.metrics }) };
  process.stdout.write(`${JSON.stringify({ listening: worker.socket, ...doors, pid: process.pid })}\n`);
  log.info({ socket: worker.socket, ...doors }, 'the executor is up');
  const signal = await stopped;
  log.info({ signal }, 'closing');
  await worker.close();
  process.off('uncaughtException', survive);
  process.off('unhandledRejection', survive);
}
