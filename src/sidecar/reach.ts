/** How executors are reached: over the sockets and the bus that the configuration names. A client of the bus is loaded only where there is one. */
import { Buffer } from 'node:buffer';
import type { Signer } from '../../ledger/index.ts';
import type { Config } from '../config/schema.ts';
import type { Clock, Logger, Outbox, Transport } from '../engine/ports.ts';
import { readPrivateFile } from '../identity/private-file.ts';
import { byAudience } from '../transport/by-audience.ts';
import { connectLocal } from '../transport/local/sidecar-end.ts';
import type { Bus } from '../transport/nats/connection.ts';

export interface ReachOptions {
  readonly log: string;
  /** Logs that it has adopted. */
  readonly adopted: readonly string[];
  readonly ticketSigner: Signer;
  readonly clock: Clock;
  readonly logger: Logger;
}

export interface Reached {
  readonly transport: Transport;
  /** Where a bus holds what is on its way. */
  readonly outbox?: Outbox;
}

/** Executors that have no socket. */
export const overBus = ({ executors }: Pick<Config, 'executors'>): string[] => executors.flatMap(({ id, socket }) => (socket === undefined ? [id] : []));

/** @throws PrivateFileError when the seed for the bus cannot be had; nothing was opened */
export async function reachExecutors({ executors, nats }: Pick<Config, 'executors' | 'nats'>, { log, adopted, ticketSigner, clock, logger }: ReachOptions): Promise<Reached> {
  const bySocket = executors.flatMap(({ id, socket }) => (socket === undefined ? [] : [{ id, socket }]));
  const onBus = overBus({ executors });
  const routes = new Map<string, Transport>();
  let outbox: Outbox | undefined;
  if (nats !== undefined && onBus.length > 0) {
    const { connectNats } = await import('../transport/nats/sidecar-end.ts');
    const { subjectTokens } = await import('../transport/nats/bus-layout.ts');
    const { natsOutbox } = await import('../transport/nats/outbox.ts');
    const tokens = subjectTokens(ticketSigner);
    const bus = await openNatsBus(nats, { name: `sidecar ${log}`, inboxPrefix: `_INBOX_${log}`, logger });
    const kept = natsOutbox({ log, executors: onBus, bus, tokens, clock });
    const transport = connectNats({ log, adopted, executors: onBus, bus, tokens, clock, logger, lost: (changeId) => kept.lost(changeId) });
    const closing: Transport = {
      ...transport,
      async close() {
        kept.close();
        await transport.close();
      },
    };
    for (const id of onBus) routes.set(id, closing);
    outbox = kept;
  }
  if (bySocket.length > 0) {
    const transport = connectLocal({ log, adopted, executors: bySocket, clock, logger });
    for (const { id } of bySocket) routes.set(id, transport);
  }
  return { transport: byAudience(routes), ...(outbox === undefined ? {} : { outbox }) };
}

/** The bus of a configuration, connecting. @throws PrivateFileError when its seed cannot be had */
export async function openNatsBus(nats: Pick<NonNullable<Config['nats']>, 'servers' | 'seed' | 'caFile'>, options: { readonly name: string; readonly inboxPrefix: string; readonly logger: Logger }): Promise<Bus> {
  const { openBus } = await import('../transport/nats/connection.ts');
  const seed = Buffer.from(await readPrivateFile(nats.seed)).toString('utf8').trim();
  return openBus({ servers: nats.servers, seed, caFile: nats.caFile, ...options });
}
