/**
 * The executor's process. Whoever starts it detaches it: it outlives every sidecar, and takes access back on time whatever becomes of them.
 */
import { randomBytes } from 'node:crypto';
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { destination, pino } from 'pino';
import { nodeDisk, parseSigner, type Signer } from '../../ledger/index.ts';
import { TransportError, type Clock, type Logger } from '../engine/ports.ts';
import { readPrivateFile } from '../identity/private-file.ts';
import { loadTrustFolder, type Trust } from '../protocol/trust-folder.ts';
import { listenLocal, type LocalListener } from '../transport/local/executor-end.ts';
import { ConfigError, loadExecutorConfig, type ExecutorConfig } from './config.ts';
import type { Connector } from './connector.ts';
import { openConnector } from './registry.ts';
import { sealSecret } from './seal.ts';
import { openWorker } from './worker.ts';

/** Timers hold at most 2^31-1 ms; a farther one would fire at once. The worker looks again in any case. */
const DELAY_MAX_MS = 2 ** 31 - 1;

const systemClock: Clock = {
  nowMs: () => Date.now(),
  after(delayMs, callback) {
    const timer = setTimeout(callback, Math.min(Math.max(delayMs, 0), DELAY_MAX_MS));
    return () => clearTimeout(timer);
  },
};

export interface RunningWorker {
  readonly socket: string;
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
  const config = await loadExecutorConfig(configPath);
  const trust = await loadTrustFolder(config.trust, { actedOn: true });
  const signer = parseSigner((await privateText(config.key)).trim());
  requireTrusted(configPath, config, trust, signer);
  const fingerprintKey = Buffer.from(await privateText(config.fingerprintKey), 'base64');
  if (fingerprintKey.byteLength !== 32) throw new ConfigError(config.fingerprintKey, 'not 32 bytes in base64');
  const connectors = new Map<string, Connector>();
  for (const [id, connector] of Object.entries(config.connectors)) connectors.set(id, await openConnector(id, connector));

  await mkdir(config.state, { recursive: true, mode: 0o700 });
  await chmod(config.state, 0o700);
  // What is due is taken back from here on, before anybody can connect.
  const ends: { listener: LocalListener | null } = { listener: null };
  const worker = await openWorker({
    executorId: config.id, signer, trust, connectors, disk: nodeDisk(config.state), clock: systemClock, random: (length) => randomBytes(length),
    seal: sealSecret, fingerprintKey, logger,
    send: (message) => ends.listener?.send(message) ?? Promise.reject(new TransportError('unreachable', 'not listening yet')),
    observe: (message) => ends.listener?.tell(message),
  });
  try {
    ends.listener = await listenLocal({ socket: config.socket, worker, clock: systemClock, logger });
    await writeFile(join(config.state, 'pid'), `${process.pid}\n`, { mode: 0o600 });
  } catch (error) {
    await ends.listener?.close();
    await worker.close();
    throw error;
  }
  const { listener } = ends;
  return {
    socket: config.socket,
    get healthy() {
      return worker.healthy;
    },
    async close() {
      // Reports of what ends now may still be acknowledged.
      await worker.close();
      await listener.close();
      for (const connector of connectors.values()) await connector.close();
    },
  };
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
  process.stdout.write(`${JSON.stringify({ listening: worker.socket, pid: process.pid })}\n`);
  log.info({ socket: worker.socket }, 'the executor is up');
  const signal = await stopped;
  log.info({ signal }, 'closing');
  await worker.close();
  process.off('uncaughtException', survive);
  process.off('unhandledRejection', survive);
}

/** Reports that nobody will believe are found out now, not after the first effect. */
function requireTrusted(configPath: string, config: ExecutorConfig, trust: Trust, signer: Signer): void {
  const listed = trust.executors.get(config.id);
  if (listed === undefined) throw new ConfigError(configPath, `executors.json of its trust folder does not list ${config.id}`);
  if (listed.key.vkey !== signer.vkey) throw new ConfigError(configPath, `executors.json lists another key for ${config.id}`);
  for (const id of Object.keys(config.connectors)) {
    if (!listed.connectors.includes(id)) throw new ConfigError(configPath, `executors.json does not let ${config.id} speak for connector ${id}`);
  }
}

async function privateText(path: string): Promise<string> {
  return Buffer.from(await readPrivateFile(path)).toString('utf8');
}
