/**
 * An order carried out where no executor runs: the state directory is opened for just this, by the code that an executor opens it with, and
 * closed again. What is due by other orders in the book is taken back too; nothing is given. The report stays in the lease book until an
 * executor that is started there hands it to a sidecar.
 */
import { randomBytes } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { nodeDisk } from '../../ledger/index.ts';
import { TransportError, type Logger } from '../engine/ports.ts';
import { anyReportSchema } from '../protocol/discovery.ts';
import { readPayload } from '../protocol/dsse.ts';
import type { ReportMessage } from '../protocol/envelope.ts';
import { ProtocolError } from '../protocol/errors.ts';
import { FINGERPRINT_KEY_BYTES } from '../protocol/fingerprint.ts';
import { admitOrder } from './orders.ts';
import { openConnectors, openSinks, prepareExecutor, systemClock } from './prepare.ts';
import { openWorker, type Worker } from './worker.ts';

export interface ApplyOptions {
  /** How long the target may take, in ms. */
  readonly waitMs: number;
  readonly signal: AbortSignal;
  readonly logger: Logger;
}

export interface Applied {
  /** Whether its time had come. One that is early is in the lease book, and nobody here waits for it. */
  readonly due: boolean;
  /** The last that was reported of the lease: that it is over, or, when the time was up, what kept it; null for nothing. */
  readonly message: ReportMessage | null;
  /** Whether the lease book holds it, and so hands it on. */
  readonly kept: boolean;
}

/**
 * @throws ProtocolError: not believed, and nothing was touched; ConfigError, TrustError, PrivateFileError or LedgerError `locked`: nothing was
 * touched; BookError: it is not due, and nothing holds it
 */
export async function applyOrder(configPath: string, envelope: unknown, { waitMs, signal, logger }: ApplyOptions): Promise<Applied> {
  const { config, trust, signer } = await prepareExecutor(configPath);
  const admission = admitOrder(envelope, { trust, executorId: config.id });
  if (!admission.ok) throw new ProtocolError(admission.code, admission.message);
  const { held } = admission;
  const connectors = await openConnectors(config, (id, error) => {
    // Another connector's trouble holds up nothing here.
    if (id === held.order.connector) throw error;
    logger.warn({ connector: id, reason: String(error) }, 'a connector that is not needed cannot be opened');
  });
  // A sink that cannot be opened keeps nothing from being taken back.
  const sinks = await openSinks(config).catch(() => undefined);
  const watch = watchFor(held.order.leaseId, held.digest);
  let worker: Worker | null = null;
  try {
    // A disk that takes no write is no reason not to go on: the worker says so, and takes back.
    await mkdir(config.state, { recursive: true, mode: 0o700 }).catch(() => undefined);
    worker = await openWorker({
      executorId: config.id, signer, trust, connectors, ...(sinks === undefined ? {} : { sinks }), disk: nodeDisk(config.state), clock: systemClock, random: (length) => randomBytes(length), logger,
      takesBackOnly: true, seal: () => Promise.reject(new Error('nothing is given here')), fingerprintKey: new Uint8Array(FINGERPRINT_KEY_BYTES),
      send: () => Promise.reject(new TransportError('unreachable', 'no executor runs: the report waits in the lease book')),
      observe: watch.see,
    });
    await worker.revoke(envelope);
    const due = held.dueMs <= systemClock.nowMs();
    if (due) await watch.over(waitMs, signal);
    return { due, message: watch.last, kept: worker.healthy };
  } finally {
    await worker?.close();
    for (const connector of connectors.values()) await connector.close();
  }
}

interface Watch {
  readonly see: (message: ReportMessage) => void;
  readonly last: ReportMessage | null;
  /** Resolves when nothing more is to be waited for. */
  over(waitMs: number, signal: AbortSignal): Promise<void>;
}

function watchFor(leaseId: string, order: string): Watch {
  let last: ReportMessage | null = null;
  let isOver = false;
  let wake = (): void => undefined;
  return {
    see(message) {
      const report = readPayload(message.report, anyReportSchema);
      if (report.kind !== 'revoked' || report.leaseId !== leaseId || isOver) return;
      last = message;
      isOver = report.outcome === 'done' || report.outcome === 'already-absent' || (report.outcome === 'mismatch' && report.order === order);
      if (isOver) wake();
    },
    get last() {
      return last;
    },
    over: (waitMs, signal) => new Promise((resolve) => {
      if (isOver || signal.aborted) return resolve();
      const end = (): void => {
        cancel();
        signal.removeEventListener('abort', end);
        resolve();
      };
      const cancel = systemClock.after(waitMs, end);
      signal.addEventListener('abort', end);
      wake = end;
    }),
  };
}
