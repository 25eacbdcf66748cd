/** Takes messages off a durable consumer for as long as it is asked to, whatever becomes of servers, leaders and streams meanwhile. */
import { jetstream, type ConsumerMessages, type JsMsg } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/transport-node';
import type { Clock, Logger } from '../../engine/ports.ts';
import type { Bus } from './connection.ts';

export interface PullOptions {
  readonly bus: Bus;
  readonly stream: string;
  readonly consumer: string;
  /** How many messages are asked for at a time. */
  readonly batch?: number;
  /** Of the account: another than the usual where JetStream is reached through an import. */
  readonly apiPrefix?: string;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Called before anything is taken, each time that the connection has come up, and after each failure: such as to make the consumer where it is gone. */
  readonly prepare?: (connection: NatsConnection) => Promise<void>;
  /** Acknowledges the message or lets it come again, and never rejects. Several are under way at a time. */
  readonly take: (message: JsMsg) => Promise<void>;
}

export interface Pulling {
  /** Takes nothing more; what is under way goes on. */
  stop(): void;
}

const MESSAGES_MAX = 64;
/** Short: after a restart of a server, a pull that nobody answers is noticed when it ends. */
const EXPIRES_MS = 5_000;
const RETRY_MS = { first: 100, longest: 2_000 } as const;

export function pull({ bus, stream, consumer, batch = MESSAGES_MAX, apiPrefix, clock, logger, prepare, take }: PullOptions): Pulling {
  let stopped = false;
  let failures = 0;
  let current: ConsumerMessages | null = null;
  /** Counts how often the connection has come up: what comes before taking anything is due again then. */
  let ups = 0;
  let cancel = (): void => undefined;

  const run = async (): Promise<void> => {
    const seen = ups;
    await prepare?.(bus.up());
    const client = jetstream(bus.up(), apiPrefix === undefined ? {} : { apiPrefix, checkAPI: false });
    const from = await client.consumers.get(stream, consumer);
    while (!stopped && seen === ups) {
      current = await from.fetch({ max_messages: batch, expires: EXPIRES_MS });
      for await (const message of current) void take(message);
      failures = 0;
      // Whoever lost the bus meanwhile must not turn in circles.
      bus.up();
    }
  };
  const go = (): void => {
    run().then(() => {
      if (!stopped) go();
    }, (error: unknown) => {
      if (stopped) return;
      if (failures === 0) logger.warn({ stream, consumer, error: error instanceof Error ? error.message : String(error) }, 'nothing can be taken off the bus; trying on');
      cancel = clock.after(Math.min(RETRY_MS.first * 2 ** Math.min(failures, 16), RETRY_MS.longest), go);
      failures += 1;
    });
  };
  bus.onUp(() => {
    ups += 1;
    // What was asked for before may still be answered, by a server that was not gone for long.
    current?.stop();
  });
  go();
  return {
    stop() {
      stopped = true;
      cancel();
      current?.stop();
    },
  };
}
