/** A stolen way onto the bus, and none of the keys that anything is believed for: steps are published as a sidecar's, and answers overheard. */
import { randomBytes } from 'node:crypto';
import { jetstream } from '@nats-io/jetstream';
import { canonicalBytes } from '../../ledger/index.ts';
import { readPayload } from '../../src/protocol/dsse.ts';
import { ticketSchema } from '../../src/protocol/signed.ts';
import { act, laneOf, say } from '../../src/transport/nats/bus-layout.ts';
import { hear, openBus } from '../../src/transport/nats/connection.ts';
import { readMessage, SAID_BYTES_MAX, saidSchema } from '../../src/transport/nats/said.ts';
import { until } from './check.ts';
import { ANSWER_MS, type Answer, type Line } from './rogue-line.ts';

export interface BusEntrance {
  readonly servers: readonly string[];
  /** The sidecar's nkey seed. */
  readonly seed: string;
  readonly executorId: string;
}

const LEADER_MS = 30_000;
const silent = { info: () => undefined, warn: () => undefined, error: () => undefined };

export async function openBusLine({ servers, seed, executorId }: BusEntrance): Promise<Line> {
  const lane = laneOf(executorId);
  const bus = openBus({ servers, seed, name: 'somebody', inboxPrefix: '_INBOX_somebody', logger: silent });
  const answers = new Map<string, Answer>();
  try {
    await until('the bus lets whoever has the seed in', () => (bus.isUp ? true : undefined), { timeoutMs: ANSWER_MS });
  } catch (error) {
    await bus.close();
    throw error;
  }
  hear(bus.up(), say(lane, '*'), silent, ({ data }) => {
    const said = readMessage(data, saidSchema, SAID_BYTES_MAX);
    if (said === null || !('token' in said)) return;
    if (said.t === 'accepted') answers.set(said.token, { accepted: true });
    else if (said.t === 'refused') answers.set(said.token, { error: said.error });
    else if (said.t === 'inconsistent') answers.set(said.token, { accepted: false, code: 'inconsistent-checkpoint', fromSize: said.fromSize, root: said.root });
  });
  return {
    async ask(envelope) {
      const token = randomBytes(16).toString('hex');
      const { log } = readPayload(envelope.ticket, ticketSchema);
      // Servers that have just been started say that there is no JetStream until their streams have a leader.
      await until('the bus takes it', () => jetstream(bus.up()).publish(act(lane, log, token), canonicalBytes(envelope)), { timeoutMs: LEADER_MS });
      return until('a worker answers', () => answers.get(token), { timeoutMs: ANSWER_MS });
    },
    close: () => bus.close(),
  };
}
