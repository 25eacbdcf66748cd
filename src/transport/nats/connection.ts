/** A connection to the bus that is kept up for ever: what is down is tried again, and whoever wants to publish meanwhile is told so. */
import { connect, nkeyAuthenticator, type Msg, type NatsConnection } from '@nats-io/transport-node';
import { TransportError, type Logger } from '../../engine/ports.ts';
import { WIRE_BYTES_MAX } from './bus-layout.ts';

export interface BusOptions {
  /** `nats://` or `tls://` URLs of one cluster. */
  readonly servers: readonly string[];
  /** An nkey user seed (`SU…`). */
  readonly seed: string;
  /** PEM file of the authorities to trust instead of the system's. */
  readonly caFile?: string | undefined;
  /** As the server shows it to its operator. */
  readonly name: string;
  /** Inboxes below it are this client's alone. */
  readonly inboxPrefix: string;
  readonly logger: Logger;
}

export interface Bus {
  /** The connection, while it is up. @throws TransportError `unreachable` */
  up(): NatsConnection;
  readonly isUp: boolean;
  /** Calls back each time that the connection has come up, the first time included. */
  onUp(callback: (connection: NatsConnection) => void): void;
  close(): Promise<void>;
}

/**
 * Calls back with each message of a subject. What the callback throws is logged: a client closes its connection over it, and anybody who may
 * publish there could make it.
 */
export function hear(connection: NatsConnection, subject: string, logger: Logger, callback: (message: Msg) => void): void {
  connection.subscribe(subject, {
    callback: (error, message) => {
      try {
        if (error === null) callback(message);
        else logger.warn({ subject, error: error.message }, 'the bus lets nothing be heard');
      } catch (thrown) {
        logger.warn({ subject, error: String(thrown) }, 'what was said on the bus could not be used');
      }
    },
  });
}

const RETRY_MS = 250;

/** Connects at once and goes on until closed. Nothing is waited for: a bus that is down keeps nobody from starting. */
export function openBus({ servers, seed, caFile, name, inboxPrefix, logger }: BusOptions): Bus {
  const callbacks: ((connection: NatsConnection) => void)[] = [];
  let connection: NatsConnection | null = null;
  let isUp = false;
  let closed = false;
  let stopDialling = (): void => undefined;
  const cameUp = (to: NatsConnection): void => {
    isUp = true;
    logger.info({ server: to.getServer() }, 'connected to the bus');
    const bytesMax = to.info?.max_payload ?? 0;
    if (bytesMax < WIRE_BYTES_MAX) logger.error({ bytesMax, bytesNeeded: WIRE_BYTES_MAX }, 'the bus refuses large messages: steps and reports may not get through until every nats-server has the max_payload that countersign nats accounts prints');
    for (const callback of callbacks) callback(to);
  };

  /** The client's own waiting for a first connection cannot be called off: a process that gave up would never end. */
  const dial = async (): Promise<NatsConnection | null> => {
    let failures = 0;
    while (!closed) {
      try {
        return await connectOnce();
      } catch (error) {
        if (failures === 0) logger.warn({ error: error instanceof Error ? error.message : String(error) }, 'the bus cannot be reached; trying on');
        failures += 1;
        await new Promise<void>((resolve) => {
          const timer = setTimeout(resolve, RETRY_MS);
          stopDialling = () => {
            clearTimeout(timer);
            resolve();
          };
        });
      }
    }
    return null;
  };
  const connectOnce = (): Promise<NatsConnection> =>
    connect({
      servers: [...servers], name, inboxPrefix, authenticator: nkeyAuthenticator(new Uint8Array(Buffer.from(seed))), ...(caFile === undefined ? {} : { tls: { caFile } }),
      maxReconnectAttempts: -1, reconnectTimeWait: RETRY_MS, reconnectJitter: RETRY_MS, pingInterval: 5_000, maxPingOut: 2,
      // An account that is not there yet, or a server that is being set up, is no reason to give up for ever.
      ignoreAuthErrorAbort: true,
    });

  const run = async (): Promise<void> => {
    const opened = await dial();
    if (opened === null) return;
    if (closed) return opened.close();
    connection = opened;
    cameUp(opened);
    for await (const { type, ...more } of opened.status()) {
      if (type === 'disconnect') isUp = false;
      if (type === 'disconnect' || type === 'staleConnection') logger.warn({ type }, 'lost the bus; connecting again');
      if (type === 'reconnect') cameUp(opened);
      if (type === 'error') logger.warn({ error: 'error' in more ? String(more.error) : type }, 'the bus says no');
    }
  };
  void run().catch((error: unknown) => {
    if (!closed) logger.error({ error: String(error) }, 'the bus cannot be used as it is configured');
  });

  return {
    up() {
      if (connection === null || !isUp) throw new TransportError('unreachable', 'the bus is not connected');
      return connection;
    },
    get isUp() {
      return isUp;
    },
    onUp(callback) {
      callbacks.push(callback);
      if (connection !== null && isUp) callback(connection);
    },
    async close() {
      closed = true;
      isUp = false;
      stopDialling();
      await connection?.close();
    },
  };
}
