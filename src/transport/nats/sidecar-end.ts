/**
 * The sidecar's end of the `nats` transport. Steps and orders are held by the bus once they are published; what answers them comes back as
 * reports, which are acknowledged when they are on record here.
 *
 * The stream is an outbox that the ledger can fill again: everything is published again until it is reported, under subjects that the bus
 * takes once.
 */
import { jetstream, JetStreamApiError, jetstreamManager, type JetStreamPublishOptions, type JsMsg } from '@nats-io/jetstream';
import { headers, type Msg, type MsgHdrs, type NatsConnection } from '@nats-io/transport-node';
import { canonicalBytes } from '../../../ledger/index.ts';
import { TransportError, type Acceptance, type Clock, type Logger, type Transport } from '../../engine/ports.ts';
import { anyReportSchema, anyTicketSchema } from '../../protocol/discovery.ts';
import { payloadDigest, readPayload } from '../../protocol/dsse.ts';
import type { ReportMessage, StepEnvelope } from '../../protocol/envelope.ts';
import { ProtocolError } from '../../protocol/errors.ts';
import { revokeOrderSchema, type Dsse } from '../../protocol/signed.ts';
import { parseTime } from '../../protocol/values.ts';
import type { WorkerKnows } from '../../protocol/worker-knows.ts';
import type { WorkerState } from '../../protocol/worker-state.ts';
import { formatTraceparent, type TraceContext } from '../../tracing/trace.ts';
import { ack, act, arm, BEAT_MS, delivery, EVERY_LOG, executorOf, laneOf, MESSAGE_BYTES_MAX, NOT_THE_LAST, resultsConsumerOf, revoke, say, STREAMS, TRACEPARENT, type Tokens } from './bus-layout.ts';
import { ensureConsumer, resultsConsumer } from './bus-setup.ts';
import { hear, type Bus } from './connection.ts';
import { publishedSteps, type PublishedSteps } from './published-steps.ts';
import { pull, type Pulling } from './pull.ts';
import { KNOWS_BYTES_MAX, publishedReportSchema, readMessage, saidSchema, type Ack, type Said } from './said.ts';

export interface NatsSidecarOptions {
  /** Only reports about this log are wanted, and about those that it has adopted. */
  readonly log: string;
  readonly adopted?: readonly string[];
  /** Executors that are reached over the bus. */
  readonly executors: readonly string[];
  readonly bus: Bus;
  readonly tokens: Tokens;
  readonly clock: Clock;
  readonly logger: Logger;
  /** How long an executor has for its answer, in ms, until a step counts as held by the bus alone. */
  readonly answerMs?: number;
  /** Where what is on the bus is remembered; left out: nobody else wants to know. */
  readonly published?: PublishedSteps;
  /** Told of a change whose step this process had published and that the bus had lost. */
  readonly lost?: (changeId: string) => void;
}

const PUBLISH_MS = 5_000;
/** Of what takes the place of everything under its subject. */
const ROLLUP = 'Nats-Rollup';
/** Beats that may be missed. */
const BEATS_MISSED_MAX = 3;
const REMEMBERED_MAX = 10_000;
/** How often a report that cannot be recorded is tried, a quarter of an hour in all. */
const REPORT_TRIES = 20;
const REPORT_AGAIN_MS = { first: 500, longest: 60_000 } as const;
const EARLY_LOCKS_MAX = 1_024;
/** Runs of one executor's workers that are remembered. */
const RUNS_MAX = 64;
/** How often a worker is asked what can be proven to it. */
const ASKED_MAX = 5;

interface Beat {
  readonly atMs: number;
  readonly state: WorkerState;
  /** What can be proven to it, once it has said. */
  readonly knows: WorkerKnows | null;
  /** How often it was asked for that: what is said may be lost, and a worker of before never answers. */
  readonly asked: number;
}

type Answer = Acceptance | { readonly error: string };

/** Connects in the background. The bus is closed with it. */
export function connectNats(options: NatsSidecarOptions): Transport {
  const { log, bus, tokens, clock, logger } = options;
  const logs = [log, ...(options.adopted ?? [])];
  const lanes = new Map(options.executors.map((id) => [id, laneOf(id)]));
  /** When each run of an executor's workers was heard last, and how it is. */
  const beats = new Map<string, Map<string, Beat>>(options.executors.map((id) => [id, new Map()]));
  const onConnected: ((audience: string) => void)[] = [];
  /** By subject token, and for steps that were taken up by id and issue. */
  const answers = new Map<string, Answer>();
  const watchers = new Map<string, Set<() => void>>();
  /** Steps that the bus has said that it holds. */
  const published = options.published ?? publishedSteps();
  /** Runs that hold a lock that is being published, by lane and token. */
  const holders = new Map<string, Set<string>>();
  let receive: (audience: string, message: ReportMessage) => Promise<void>;
  /** Locks that were shown before anybody was there to hear of them: whoever holds them shows them once. */
  const early: Dsse[] = [];
  let hearLock = (lock: Dsse): void => {
    if (early.length < EARLY_LOCKS_MAX) early.push(lock);
  };
  /** What came from an executor's lane and was no message, since this end began. */
  const unreadable = new Map<string, number>();
  let hearRefused: Parameters<Transport['onRefused']>[0] = () => undefined;
  let hearKnows: Parameters<Transport['onKnows']>[0] = () => undefined;
  let pulling: readonly Pulling[] | null = null;
  let listening = false;
  let closed = false;

  const isFresh = ({ atMs }: Beat): boolean => Math.abs(clock.nowMs() - atMs) < BEAT_MS * BEATS_MISSED_MAX;
  const isThere = (audience: string): boolean => bus.isUp && [...(beats.get(audience)?.values() ?? [])].some(isFresh);
  const heardBeat = (audience: string, state: WorkerState): void => {
    const { run } = state;
    const runs = beats.get(audience)!;
    // One that was restarted has forgotten what it was asked and had not taken up.
    const isNew = !isThere(audience) || !runs.has(run);
    const { knows, asked } = (isNew ? undefined : runs.get(run)) ?? { knows: null, asked: 0 };
    const asks = knows === null && asked < ASKED_MAX;
    runs.delete(run);
    runs.set(run, { atMs: clock.nowMs(), state, knows, asked: asked + (asks ? 1 : 0) });
    if (asks) tell(bus.up(), lanes.get(audience)!, { t: 'knows', log });
    if (state.refused !== undefined) hearRefused(audience, run, state.refused);
    const [oldest] = runs.keys();
    if (runs.size > RUNS_MAX && oldest !== undefined) runs.delete(oldest);
    if (!isNew) return;
    logger.info({ executor: audience }, 'connected');
    hello(bus.up(), lanes.get(audience)!);
    for (const callback of onConnected) callback(audience);
  };
  const heardKnows = (audience: string, knows: WorkerKnows): void => {
    const beat = beats.get(audience)!.get(knows.run);
    if (beat === undefined) return;
    beats.get(audience)!.set(knows.run, { ...beat, knows });
    hearKnows(audience, knows.run);
  };
  const remember = (key: string, answer: Answer): void => {
    answers.set(key, answer);
    const [oldest] = answers.keys();
    if (answers.size > REMEMBERED_MAX && oldest !== undefined) answers.delete(oldest);
    for (const notify of watchers.get(key) ?? []) notify();
  };
  const heardHeld = (key: string, run: string): void => {
    holders.get(key)?.add(run);
    for (const notify of watchers.get(key) ?? []) notify();
  };
  const freshRuns = (audience: string): string[] => [...beats.get(audience)!].filter(([, beat]) => isFresh(beat)).map(([run]) => run);
  const setAside = (audience: string, what: string): void => {
    const count = (unreadable.get(audience) ?? 0) + 1;
    unreadable.set(audience, count);
    logger.warn({ executor: audience, count }, what);
    hearRefused(audience, null, [{ code: 'malformed', count }]);
  };
  const listen = (connection: NatsConnection): void => {
    const take = (message: Msg): void => {
      const lane = message.subject.split('.')[2]!;
      const audience = executorOf(lane);
      const said: Said | null = readMessage(message.data, saidSchema, KNOWS_BYTES_MAX);
      // What another sidecar's executors say to all of them is not for this one.
      if (!lanes.has(audience)) return;
      if (said === null) return setAside(audience, 'something unreadable was said on the bus');
      if (said.t === 'beat') {
        const { t: _beat, ...state } = said;
        heardBeat(audience, state);
      }
      else if (said.t === 'knows') {
        const { t: _knows, ...knows } = said;
        heardKnows(audience, knows);
      }
      else if (said.t === 'lock') hearLock(said.lock);
      else if (said.t === 'locked') heardHeld(`${lane} ${said.token}`, said.run);
      else if (said.t === 'bye') beats.get(audience)!.delete(said.run);
      // The token was made for one executor: another that knows it may answer for nobody else.
      else remember(`${lane} ${said.token}`, answerIn(said));
    };
    for (const about of [...logs, EVERY_LOG]) hear(connection, say('*', about), logger, take);
  };
  const tell = (connection: NatsConnection, lane: string, said: Ack, about = log): void => connection.publish(ack(lane, about), canonicalBytes(said));
  const hello = (connection: NatsConnection, lane: string): void => {
    for (const one of logs) tell(connection, lane, { t: 'hello', log: one }, one);
  };

  const publish = async (subject: string, payload: object, how: Partial<JetStreamPublishOptions>): Promise<'new' | 'known'> => {
    const bytes = canonicalBytes(payload);
    if (bytes.length > MESSAGE_BYTES_MAX) throw new TransportError('rejected', `${bytes.length} bytes are more than a message on the bus may have`);
    try {
      const { duplicate } = await jetstream(bus.up()).publish(subject, bytes, { timeout: PUBLISH_MS, ...how });
      return duplicate ? 'known' : 'new';
    } catch (error) {
      if (error instanceof TransportError) throw error;
      if (error instanceof JetStreamApiError) {
        if (error.code === NOT_THE_LAST) return 'known';
        throw new TransportError('rejected', `the bus: ${error.message}`, { cause: error });
      }
      // Leaders that are being chosen look like a time-out, or like a server without JetStream.
      throw new TransportError('unreachable', `the bus has not said that it holds it: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
    }
  };
  const purge = async (filter: string): Promise<void> => {
    try {
      await (await jetstreamManager(bus.up())).streams.purge(STREAMS.steps, { filter });
    } catch (error) {
      if (error instanceof TransportError) throw error;
      throw new TransportError('unreachable', `the bus has not said that it is gone: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
    }
  };
  const laneFor = (audience: string): string => {
    const lane = lanes.get(audience);
    if (lane === undefined) throw new TransportError('rejected', `${audience} is not reached over the bus`);
    return lane;
  };
  /** The first of these that was answered, now or before the time is over. */
  const answerTo = (keys: readonly string[], timeoutMs: number, other: () => Answer | undefined = () => undefined): Promise<Answer | null> => new Promise((resolve) => {
    const known = (): Answer | undefined => keys.map((key) => answers.get(key)).find((answer) => answer !== undefined) ?? other();
    const finish = (answer: Answer | null): void => {
      cancel();
      for (const key of keys) {
        watchers.get(key)?.delete(notify);
        if (watchers.get(key)?.size === 0) watchers.delete(key);
      }
      resolve(answer);
    };
    const notify = (): void => {
      const answer = known();
      if (answer !== undefined) finish(answer);
    };
    const cancel = clock.after(timeoutMs, () => finish(null));
    for (const key of keys) watchers.set(key, (watchers.get(key) ?? new Set()).add(notify));
    notify();
  });

  const takeReport = async (message: JsMsg): Promise<void> => {
    const [, , lane = '', about = '', token = ''] = message.subject.split('.');
    const audience = executorOf(lane);
    try {
      const published = readMessage(message.data, publishedReportSchema, MESSAGE_BYTES_MAX);
      if (published === null || !lanes.has(audience) || !/^[0-9a-f]{32}$/.test(token)) {
        if (lanes.has(audience)) setAside(audience, 'set aside what is no report');
        else logger.warn({ lane }, 'set aside what no executor here has reported');
        return message.term('not a report');
      }
      const whole: ReportMessage = { ...published.message, ciphertext: published.delivery ? await secretOf(lane, about, token) : null };
      const refused = await receive(audience, whole).then(() => null, (error: unknown) => (error instanceof Error ? error : new Error(String(error))));
      if (refused === null) {
        noteTakenUp(whole);
        tell(bus.up(), lane, { t: 'taken', token }, about);
        await message.ackAck();
        return;
      }
      const error = refused.message.slice(0, 500);
      logger.warn({ executor: audience, error }, 'a report was not taken; its executor keeps it');
      tell(bus.up(), lane, { t: 'refused', token, error }, about);
      // What cannot be believed will not be; what could not be recorded now may be later. For good, it comes again when this end says hello.
      if (refused instanceof ProtocolError || message.info.deliveryCount >= REPORT_TRIES) await message.ackAck();
      else message.nak(Math.min(REPORT_AGAIN_MS.first * 2 ** (message.info.deliveryCount - 1), REPORT_AGAIN_MS.longest));
    } catch (error) {
      // It comes again, and what is on record already is recorded once.
      logger.warn({ lane, error: String(error) }, 'a report could not be answered');
    }
  };
  const secretOf = async (lane: string, about: string, token: string): Promise<string | null> => {
    const manager = await jetstreamManager(bus.up());
    const found = await manager.streams.getMessage(STREAMS.deliveries, { last_by_subj: delivery(lane, about, token) });
    return found === null ? null : Buffer.from(found.data).toString('base64');
  };
  const noteTakenUp = ({ report }: ReportMessage): void => {
    const said = readPayload(report, anyReportSchema);
    if (said.kind === 'claimed' || said.kind === 'acted') remember(`${said.stepId} ${said.issue}`, { accepted: true });
  };

  const prepared = new Set<string>();
  const prepareResults = async (to: NatsConnection, about: string): Promise<void> => {
    const manager = await jetstreamManager(to);
    const name = resultsConsumerOf(about);
    const isGone = await manager.consumers.info(STREAMS.results, name).then(() => false, (error: unknown) => error instanceof JetStreamApiError && error.status === 404);
    await ensureConsumer(manager, STREAMS.results, resultsConsumer(about, name));
    // What the stream held may be gone with it: whoever has reports publishes them again. As one begins, it says so anyway.
    if (isGone && prepared.has(about)) for (const lane of lanes.values()) tell(to, lane, { t: 'hello', log: about }, about);
    prepared.add(about);
  };
  bus.onUp((connection) => {
    if (!listening) listen(connection);
    listening = true;
    for (const lane of lanes.values()) hello(connection, lane);
  });

  return {
    async arm(audience, order) {
      const lane = laneFor(audience);
      const token = tokens('revoke', audience, payloadDigest(order));
      const { log: about, notBefore } = readPayload(order, revokeOrderSchema);
      const target = revoke(lane, about, token);
      // Refused where the schedule has fired already: then what it was for is on its way.
      await publish(arm(lane, about, token), order, {
        schedule: { specification: new Date(parseTime(notBefore)), target },
        expect: { lastSubjectSequence: 0, lastSubjectSequenceSubject: target },
      });
    },
    async disarm(audience, order) {
      const lane = laneFor(audience);
      const token = tokens('revoke', audience, payloadDigest(order));
      // The schedule, and what it has become where it has fired: an executor that has it already knows for itself whether it is void.
      const { log: about } = readPayload(order, revokeOrderSchema);
      await purge(arm(lane, about, token));
      await purge(revoke(lane, about, token));
    },
    async publishStep(audience, envelope: StepEnvelope, trace) {
      const lane = laneFor(audience);
      const ticket = readPayload(envelope.ticket, anyTicketSchema);
      const { stepId, issue } = ticket;
      // An envelope that proves from elsewhere is another message of the same issue: its worker acts once, whichever it reads.
      const token = tokens('act', audience, stepId, issue, ...envelope.receipt.consistency.map(({ fromSize }) => fromSize));
      const subject = act(lane, log, token);
      const isNew = (await publish(subject, envelope, { expect: { lastSubjectSequence: 0 }, ...(trace === undefined ? {} : { headers: inTrace(trace) }) })) === 'new';
      if (isNew && published.has(subject) && 'changeId' in ticket) options.lost?.(ticket.changeId);
      published.add(stepId, issue, subject);
      const answer = await answerTo([`${lane} ${token}`, `${stepId} ${issue}`], options.answerMs ?? 5_000);
      if (answer === null) throw new TransportError('unreachable', `${audience} has not answered yet; the bus holds the step`);
      if ('error' in answer) throw new TransportError('rejected', `${audience}: ${answer.error}`);
      return answer;
    },
    async publishRevoke(audience, order: Dsse, trace) {
      const lane = laneFor(audience);
      const token = tokens('revoke', audience, payloadDigest(order));
      // No "once" for a revoke: it is published again until it is reported, and takes the place of the last, which may have been acknowledged.
      const how = inTrace(trace);
      how.set(ROLLUP, 'sub');
      await publish(revoke(lane, readPayload(order, revokeOrderSchema).log, token), order, { msgID: token, headers: how });
    },
    async publishLock(audience, lock) {
      const lane = laneFor(audience);
      const token = tokens('lock', audience, payloadDigest(lock));
      const key = `${lane} ${token}`;
      const held = holders.get(key) ?? new Set<string>();
      holders.set(key, held);
      answers.delete(key);
      tell(bus.up(), lane, { t: 'lock', token, lock });
      // A worker that comes while this waits is told when it is first heard.
      const isHeld = (): boolean => held.size > 0 && freshRuns(audience).every((run) => held.has(run));
      const answer = await answerTo([key], options.answerMs ?? 5_000, () => (isHeld() ? { accepted: true } : undefined));
      holders.delete(key);
      if (answer === null) throw new TransportError('unreachable', `not every worker of ${audience} that is there has said that it holds the lock`);
      if ('error' in answer) throw new TransportError('rejected', `${audience}: ${answer.error}`);
    },
    onLock(callback) {
      hearLock = callback;
      for (const lock of early.splice(0)) callback(lock);
    },
    onReport(callback) {
      receive = callback;
      pulling ??= logs.map((one) => pull({
        bus, stream: STREAMS.results, consumer: resultsConsumerOf(one), clock, logger, take: takeReport,
        // It is gone with its stream, where somebody wiped it.
        prepare: (to) => prepareResults(to, one),
      }));
    },
    onConnected(callback) {
      onConnected.push(callback);
      for (const audience of lanes.keys()) if (isThere(audience)) callback(audience);
    },
    states: (audience) => [...(beats.get(audience)?.values() ?? [])].filter(isFresh).map(({ state }) => state),
    knows(audience) {
      const workers = [...(beats.get(audience)?.values() ?? [])].filter(isFresh).map(({ knows }) => knows);
      return workers.every((knows) => knows !== null) ? workers : [];
    },
    onKnows(callback) {
      hearKnows = callback;
      for (const [audience, runs] of beats) for (const { knows } of runs.values()) if (knows !== null) callback(audience, knows.run);
    },
    onRefused(callback) {
      hearRefused = callback;
      for (const [audience, count] of unreadable) callback(audience, null, [{ code: 'malformed', count }]);
    },
    isConnected: isThere,
    async close() {
      if (closed) return;
      closed = true;
      for (const one of pulling ?? []) one.stop();
      await bus.close();
    },
  };
}

function inTrace(trace: TraceContext | undefined): MsgHdrs {
  const how = headers();
  if (trace !== undefined) how.set(TRACEPARENT, formatTraceparent(trace));
  return how;
}

function answerIn(said: Extract<Said, { readonly t: 'accepted' | 'inconsistent' | 'refused' }>): Answer {
  if (said.t === 'refused') return { error: said.error };
  return said.t === 'accepted' ? { accepted: true } : { accepted: false, code: 'inconsistent-checkpoint', fromSize: said.fromSize, root: said.root };
}
