/** A lock that is set or lifted where no executor runs: it is written into the lease book, and held by whoever opens that next. */
import { mkdir } from 'node:fs/promises';
import { nodeDisk } from '../../ledger/index.ts';
import type { Logger } from '../engine/ports.ts';
import { isKnownLock, openLock } from '../protocol/lock.ts';
import { openLeaseBook } from './lease-book.ts';
import { prepareExecutor } from './prepare.ts';

/**
 * Resolves when the statement is durable.
 *
 * @throws ProtocolError: not believed, and nothing was touched; ConfigError, TrustError, PrivateFileError or LedgerError `locked`: nothing was
 * touched; BookError: nothing holds it, and nothing is given by that book either
 */
export async function applyLock(configPath: string, envelope: unknown, logger: Logger): Promise<void> {
  const { config, trust } = await prepareExecutor(configPath);
  const lock = openLock(envelope, trust);
  await mkdir(config.state, { recursive: true, mode: 0o700 });
  const book = await openLeaseBook(nodeDisk(config.state), config.id, logger);
  try {
    if (isKnownLock(book.state.locks, lock)) await book.durable();
    else await book.append({ t: 'lock', lock: lock.envelope });
  } finally {
    await book.close();
  }
}
