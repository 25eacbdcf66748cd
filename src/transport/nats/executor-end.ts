/**
 * The executor's end of the `nats` transport: takes steps and orders off its two consumers, hands them to the worker, and publishes reports.
 *
 * A message is acknowledged once the worker holds it durably, or will never have it; a report is let go once its sidecar has it on record.
 */
import type { JsMsg } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/transport-node';
import { canonicalBytes, JsonError, parseStrict } from '../../../ledger/index.ts';
import type { Clock, Logger } from '../../engine/ports.ts';
import type { ReportMessage } from '../../protocol/envelope.ts';
import { ProtocolError } from '../../protocol/errors.ts';
import type { Dsse } from '../../protocol/signed.ts';
import { WorkerError, type Worker } from '../../executor/worker.ts';
import type { WorkerDoor } from '../local/executor-end.ts';
import { ack, API_PREFIX, BEAT_MS, consumerOf, EVERY_LOG, laneOf, MESSAGE_BYTES_MAX, say, STREAMS, TRACEPARENT } from './bus-layout.ts';
import { hear, type Bus } from './connection.ts';
import { pull } from './pull.ts';
import { openReporting } from './reporting.ts';
import { toldFirst } from './told-first.ts';
import { ackSchema, KNOWS_BYTES_MAX, readMessage, SAID_BYTES_MAX, type Ack, type Said } from './said.ts';

export interface NatsExecutorOptions {
  readonly executorId: string;
  readonly bus: Bus;
  readonly worker: Omit<WorkerDoor, 'disarm'> & Pick<Worker, 'carriedOut' | 'tellEnds'>;
  readonly clock: Clock;
  readonly logger: Logger;
  /** How long an acknowledgement may take, in ms. */
  readonly ackMs?: number;
}

export interface NatsListener {
  /**
   * Resolves when a sidecar has recorded the report.
   *
   * @throws TransportError `unreachable`: the bus or the sidecar has not said so in time; `rejected`: the sidecar would not have it
   */
  send(message: ReportMessage): Promise<void>;
  /** Shows a lock to every sidecar that is there; one that comes later is shown all of them. */
  tellLock(lock: Dsse): void;
  close(): Promise<void>;
}

/** How long what the worker could not take now waits until it comes again, here or to another worker. */
const AGAIN_MS = 2_000;
/** The longest that an order waits which nobody here has a connector for: twice as long each time. */
const FOREIGN_MS_MAX = 60_000;
/** How long an order that is being carried out is kept unacknowledged, and how often it is said that it is worked on. */
const HOLD_MS = 30_000;
const WORKING_MS = 3_000;

/** Connects in the background. The bus is closed with it. */
export function listenNats(options: NatsExecutorOptions): NatsListener {
  const { executorId, bus, worker, clock, logger } = options;
  const { run } = worker.state();
  const lane = laneOf(executorId);
  const tell = (log: string, said: Said): void => {
    // Lossy on purpose: what matters is published again.
    if (bus.isUp) bus.up().publish(say(lane, log), canonicalBytes(said));
  };
  const tellKnows = (log: string): void => {
    const said = { t: 'knows' as const, ...worker.knows() };
    if (canonicalBytes(said).length <= KNOWS_BYTES_MAX) return tell(log, said);
    logger.warn({ log }, 'requirements.json is too large to be told over the bus, so that sidecars use no standing approval here: people are asked');
  };
  /** A sidecar that finds a worker anew says hello. */
  const comeAnew = (): void => {
    tell(EVERY_LOG, { t: 'bye', run });
    tell(EVERY_LOG, { t: 'beat', ...worker.state() });
  };
  const reporting = openReporting({ lane, bus, clock, ackMs: options.ackMs ?? 15_000, askForHello: comeAnew });

  const takeStep = (message: JsMsg): Promise<void> => answered(message, async () => {
    const [, , , , log = '', token = ''] = message.subject.split('.');
    try {
      const acceptance = await worker.step(parsed(message), traceparentOf(message));
      tell(log, acceptance.accepted ? { t: 'accepted', token } : { t: 'inconsistent', token, fromSize: acceptance.fromSize, root: acceptance.root });
    } catch (error) {
      if (error instanceof ProtocolError) tell(log, { t: 'refused', token, error: saidOf(error) });
      throw error;
    }
  });
  // What is no order, the worker says. One that is being carried out stays on the bus for a while: another worker has it at once, should this one die.
  const takeOrder = (message: JsMsg): Promise<void> => answered(message, async () => {
    const order = parsed(message) as Dsse;
    await worker.revoke(order, traceparentOf(message));
    await holding(message, worker.carriedOut(order));
  });
  /** Keeps the message from coming again until `done`, or for as long as it may hold others up. */
  const holding = (message: JsMsg, done: Promise<void>): Promise<void> => new Promise((resolve) => {
    const endMs = clock.nowMs() + HOLD_MS;
    let cancel = (): void => undefined;
    const again = (): void => {
      if (clock.nowMs() >= endMs) return resolve();
      message.working();
      cancel = clock.after(WORKING_MS, again);
    };
    cancel = clock.after(WORKING_MS, again);
    const finish = (): void => {
      cancel();
      resolve();
    };
    done.then(finish, finish);
  });

  /** Acknowledges what `take` has taken, sets aside what nobody will ever take, and lets anything else come again. */
  const answered = async (message: JsMsg, take: () => Promise<void>): Promise<void> => {
    try {
      await take();
      await message.ackAck();
    } catch (error) {
      if (error instanceof ProtocolError || error instanceof JsonError) {
        if (error instanceof JsonError) worker.setAside('malformed');
        logger.warn({ subject: kindOf(message), error: saidOf(error) }, 'set aside what nobody trusted has signed for this executor');
        message.term('refused');
      } else {
        logger.warn({ subject: kindOf(message), error: saidOf(error) }, 'not taken now; it comes again');
        message.nak(againMs(error, message.info.deliveryCount));
      }
    }
  };

  /** Lossy as all that is said: who has not heard that it is held says it again. */
  const takeLock = (subject: string, { token, lock }: Extract<Ack, { t: 'lock' }>): void => {
    const log = subject.split('.').at(-1) ?? '';
    worker.lock(lock).then(() => tell(log, { t: 'locked', token, run }), (error: unknown) => {
      if (error instanceof ProtocolError) tell(log, { t: 'refused', token, error: saidOf(error) });
      logger.warn({ error: saidOf(error) }, 'a lock was not taken');
    });
  };
  const listen = (connection: NatsConnection): void => {
    hear(connection, ack(lane, '*'), logger, (message) => {
      const said = readMessage(message.data, ackSchema, SAID_BYTES_MAX);
      if (said === null) return;
      if (said.t === 'lock') return takeLock(message.subject, said);
      if (said.t === 'knows') return tellKnows(said.log);
      if (said.t !== 'hello') return reporting.heard(said);
      reporting.hello(said.log);
      tell(said.log, { t: 'beat', ...worker.state() });
      for (const lock of worker.locks()) tell(said.log, { t: 'lock', lock });
      worker.connected(said.log);
    });
  };
  let cancelBeat = (): void => undefined;
  const beat = (): void => {
    tell(EVERY_LOG, { t: 'beat', ...worker.state() });
    cancelBeat = clock.after(BEAT_MS, beat);
  };
  let listening = false;
  let closed = false;
  bus.onUp((connection) => {
    const isFirst = !listening;
    if (isFirst) listen(connection);
    listening = true;
    reporting.doubt();
    // What was said meanwhile went unheard.
    if (isFirst) tell(EVERY_LOG, { t: 'beat', ...worker.state() });
    else comeAnew();
  });
  beat();
  // An import takes a message without a body for the end of the answer: what was asked for with it would be lost on the way until it comes again.
  const common = { bus, stream: STREAMS.steps, batch: 1, apiPrefix: API_PREFIX, clock, logger };
  const pulls = [
    pull({ ...common, consumer: consumerOf(lane, 'revoke'), take: takeOrder }),
    pull({ ...common, consumer: consumerOf(lane, 'act'), take: takeStep, prepare: () => worker.tellEnds() }),
  ];

  return {
    async send(message) {
      await toldFirst(() => worker.tellEnds(), { clock, logger, isClosed: () => closed });
      return reporting.send(message);
    },
    tellLock: (lock) => tell(EVERY_LOG, { t: 'lock', lock }),
    async close() {
      closed = true;
      cancelBeat();
      for (const one of pulls) one.stop();
      tell(EVERY_LOG, { t: 'bye', run });
      await bus.close();
    },
  };
}

/** In which trace it was sent; undefined where it was in none. */
function traceparentOf(message: JsMsg): string | undefined {
  const text = message.headers?.get(TRACEPARENT);
  return text === '' ? undefined : text;
}

/** @throws JsonError for what is not strict JSON, or is too large */
function parsed(message: JsMsg): unknown {
  return parseStrict(message.data, { maxBytes: MESSAGE_BYTES_MAX });
}

/** What this worker cannot take now it may take at any moment; a connector that is not here comes with another worker. */
function againMs(error: unknown, deliveries: number): number {
  const isForeign = error instanceof WorkerError && error.code === 'connector';
  return isForeign ? Math.min(AGAIN_MS * 2 ** (deliveries - 1), FOREIGN_MS_MAX) : AGAIN_MS;
}

/** A subject without its token, which is written down nowhere. */
function kindOf(message: JsMsg): string {
  return message.subject.split('.').slice(0, -1).join('.');
}

function saidOf(error: unknown): string {
  const said = error instanceof ProtocolError ? `${error.code}: ${error.message}` : error instanceof Error ? error.message : String(error);
  return said.slice(0, 500);
}
