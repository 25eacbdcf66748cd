/** How executors are reached: over the sockets and the bus that the configuration names. A client of the bus is loaded only where there is one. */
import { Buffer } from 'node:buffer';
import type { Signer } from '../../ledger/index.ts';
import type { Config } from '../config/schema.ts';
import type { Clock, Logger, Transport } from '../engine/ports.ts';
import { readPrivateFile } from '../identity/private-file.ts';
import { byAudience } from '../transport/by-audience.ts';
import { connectLocal } from '../transport/local/sidecar-end.ts';
import type { Bus } from '../transport/nats/connection.ts';

export interface ReachOptions {
  readonly log: string;
  readonly ticketSigner: Signer;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** @throws PrivateFileError when the seed for the bus cannot be had; nothing was opened */
export async function reachExecutors({ executors, nats }: Pick<Config, 'executors' | 'nats'>, { log, ticketSigner, clock, logger }: ReachOptions): Promise<Transport> {
  const bySocket = executors.flatMap(({ id, socket }) => (socket === undefined ? [] : [{ id, socket }]));
  const overBus = executors.flatMap(({ id, socket }) => (socket === undefined ? [id] : []));
  const routes = new Map<string, Transport>();
  if (nats !== undefined && overBus.length > 0) {
    const { connectNats } = await import('../transport/nats/sidecar-end.ts');
    const { subjectTokens } = await import('../transport/nats/bus-layout.ts');
    const bus = await openNatsBus(nats, { name: `sidecar ${log}`, inboxPrefix: `_INBOX_${log}`, logger });
    const transport = connectNats({ log, executors: overBus, bus, tokens: subjectTokens(ticketSigner), clock, logger });
    for (const id of overBus) routes.set(id, transport);
  }
  if (bySocket.length > 0) {
    const transport = connectLocal({ log, executors: bySocket, clock, logger });
    for (const { id } of bySocket) routes.set(id, transport);
  }
  return byAudience(routes);
}

/** The bus of a configuration, connecting. @throws PrivateFileError when its seed cannot be had */
export async function openNatsBus(nats: NonNullable<Config['nats']>, options: { readonly name: string; readonly inboxPrefix: string; readonly logger: Logger }): Promise<Bus> {
  const { openBus } = await import('../transport/nats/connection.ts');
  const seed = Buffer.from(await readPrivateFile(nats.seed)).toString('utf8').trim();
  return openBus({ servers: nats.servers, seed, caFile: nats.caFile, ...options });
}
