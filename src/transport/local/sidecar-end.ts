/**
 * The sidecar's end of the `local` transport: connects to each executor's socket, again and again, and asks.
 *
 * Nothing is kept here: what was asked and not answered is rejected, and the engine asks again.
 */
import { connect, type Socket } from 'node:net';
import { TransportError, type Acceptance, type Clock, type Logger, type Transport } from '../../engine/ports.ts';
import type { ReportMessage } from '../../protocol/envelope.ts';
import type { Dsse } from '../../protocol/signed.ts';
import type { WorkerKnows } from '../../protocol/worker-knows.ts';
import type { WorkerState } from '../../protocol/worker-state.ts';
import { formatTraceparent, type TraceContext } from '../../tracing/trace.ts';
import { openFrames, replyFrameSchema, type FrameStream, type ReplyFrame, type RequestFrame } from './frames.ts';

export interface LocalOptions {
  /** Only reports about this log are wanted, and about those that it has adopted. */
  readonly log: string;
  readonly adopted?: readonly string[];
  readonly executors: readonly { readonly id: string; readonly socket: string }[];
  readonly clock: Clock;
  readonly logger: Logger;
  /** First and longest wait between attempts to connect, in ms. */
  readonly reconnectMs?: { readonly first: number; readonly longest: number };
  /** How long an answer may take, in ms. */
  readonly answerMs?: number;
}

type Request = RequestFrame extends infer Frame ? (Frame extends { readonly id: number; readonly op: 'arm' | 'disarm' | 'step' | 'revoke' | 'lock' | 'hello' | 'knows' } ? Omit<Frame, 'id'> : never) : never;
type Answer = Extract<ReplyFrame, { op: 'answer' }>['result'];

interface Waiting {
  readonly settle: (answer: Answer) => void;
  readonly fail: (error: TransportError) => void;
}

const EARLY_LOCKS_MAX = 1_024;

/** Starts connecting at once and goes on until closed. */
export function connectLocal(options: LocalOptions): Transport {
  let receive: (audience: string, message: ReportMessage) => Promise<void> = () => Promise.reject(new TransportError('rejected', 'nobody takes reports yet'));
  const onConnected: ((audience: string) => void)[] = [];
  /** Locks that were shown before anybody was there to hear of them: whoever holds them shows them once. */
  const early: Dsse[] = [];
  let hearLock = (lock: Dsse): void => {
    if (early.length < EARLY_LOCKS_MAX) early.push(lock);
  };
  /** Connections that ended over what could not be read, by executor. */
  const unreadable = new Map<string, number>();
  let hearRefused: Parameters<Transport['onRefused']>[0] = () => undefined;
  const hear: typeof hearRefused = (id, run, refused) => {
    if (run === null) unreadable.set(id, refused[0]!.count);
    if (refused.length > 0) hearRefused(id, run, refused);
  };
  let hearKnows: Parameters<Transport['onKnows']>[0] = () => undefined;
  const links = new Map(options.executors.map(({ id, socket }) => [id, openLink(id, socket, options, {
    connected: () => onConnected.forEach((callback) => callback(id)),
    report: (message) => receive(id, message),
    lock: (lock) => hearLock(lock),
    state: (state) => hear(id, state.run, state.refused ?? []),
    knows: ({ run }) => hearKnows(id, run),
    unreadable: () => hear(id, null, [{ code: 'malformed', count: (unreadable.get(id) ?? 0) + 1 }]),
  })]));
  const ask = async (audience: string, request: Request): Promise<Acceptance> => {
    const link = links.get(audience);
    if (link === undefined) throw new TransportError('rejected', `no socket is configured for ${audience}`);
    const answer = await link.ask(request);
    if ('error' in answer) throw new TransportError('rejected', `${audience}: ${answer.error}`);
    return answer;
  };
  const must = async (audience: string, request: Request): Promise<void> => {
    const answer = await ask(audience, request);
    if (!answer.accepted) throw new TransportError('rejected', `${audience}: ${answer.code}`);
  };
  return {
    arm: (audience, order) => must(audience, { op: 'arm', order }),
    disarm: (audience, order) => must(audience, { op: 'disarm', order }),
    publishStep: (audience, envelope, trace) => ask(audience, { op: 'step', envelope, ...inTrace(trace) }),
    publishRevoke: (audience, order, trace) => must(audience, { op: 'revoke', order, ...inTrace(trace) }),
    publishLock: (audience, lock) => must(audience, { op: 'lock', lock }),
    onLock(callback) {
      hearLock = callback;
      for (const lock of early.splice(0)) callback(lock);
    },
    onReport(callback) {
      receive = callback;
    },
    onConnected(callback) {
      onConnected.push(callback);
      for (const [id, link] of links) if (link.isOpen()) callback(id);
    },
    states(audience) {
      const state = links.get(audience)?.state() ?? null;
      return state === null ? [] : [state];
    },
    knows(audience) {
      const knows = links.get(audience)?.knows() ?? null;
      return knows === null ? [] : [knows];
    },
    onKnows(callback) {
      hearKnows = callback;
      for (const [id, link] of links) if (link.knows() !== null) callback(id, link.knows()!.run);
    },
    onRefused(callback) {
      hearRefused = callback;
      for (const [id, link] of links) hear(id, link.state()?.run ?? '', link.state()?.refused ?? []);
    },
    isConnected: (audience) => links.get(audience)?.isOpen() ?? false,
    async close() {
      for (const link of links.values()) link.close();
    },
  };
}

/** Left out where there is none: executors of before would not know the frame. */
function inTrace(trace: TraceContext | undefined): { readonly traceparent?: string } {
  return trace === undefined ? {} : { traceparent: formatTraceparent(trace) };
}

interface Link {
  ask(request: Request): Promise<Answer>;
  isOpen(): boolean;
  /** What the worker has said of itself on this connection. */
  state(): WorkerState | null;
  /** What it has said, on this connection, can be proven to it. */
  knows(): WorkerKnows | null;
  close(): void;
}

function openLink(executor: string, path: string, options: LocalOptions, hooks: { connected: () => void; report: (message: ReportMessage) => Promise<void>; lock: (lock: Dsse) => void; state: (state: WorkerState) => void; knows: (knows: WorkerKnows) => void; unreadable: () => void }): Link {
  const { clock, logger } = options;
  const reconnectMs = options.reconnectMs ?? { first: 50, longest: 2_000 };
  const waiting = new Map<number, Waiting>();
  let frames: FrameStream<RequestFrame> | null = null;
  /** The executor has answered the hello: from then on it sends its reports here. */
  let isGreeted = false;
  let said: WorkerState | null = null;
  let known: WorkerKnows | null = null;
  /** An executor of before closes the connection over a question that it does not know: then the next is opened without it. */
  let asks = true;
  let isAsking = false;
  let socket: Socket | null = null;
  let cancelRetry: (() => void) | null = null;
  let failures = 0;
  let nextId = 0;
  let closed = false;

  const send = (request: Request): Promise<Answer> => new Promise((resolve, reject) => {
    if (frames === null) return reject(new TransportError('unreachable', `${executor} is not connected`));
    const id = (nextId += 1);
    const cancel = clock.after(options.answerMs ?? 30_000, () => {
      waiting.delete(id);
      reject(new TransportError('unreachable', `${executor} did not answer`));
    });
    const done = (): void => {
      cancel();
      waiting.delete(id);
    };
    waiting.set(id, {
      settle: (answer) => { done(); resolve(answer); },
      fail: (error) => { done(); reject(error); },
    });
    if (!frames.send({ ...request, id })) waiting.get(id)?.fail(new TransportError('rejected', 'the message is too large for one frame'));
  });

  const take = (from: FrameStream<RequestFrame>, frame: ReplyFrame): void => {
    if (frame.op === 'answer') {
      waiting.get(frame.id)?.settle(frame.result);
      return;
    }
    if (frame.op === 'lock') return hooks.lock(frame.lock);
    if (frame.op === 'knows') {
      known = frame.knows;
      return hooks.knows(known);
    }
    if (frame.op === 'state') {
      said = frame.state;
      return hooks.state(said);
    }
    const { id, message } = frame;
    // The answer belongs to this connection: on the next one the same number names another report.
    hooks.report(message).then(
      () => from.send({ op: 'ack', id }),
      (error: unknown) => {
        const said = error instanceof Error ? error.message : String(error);
        logger.warn({ executor, error: said }, 'a report was not taken; its executor keeps it');
        from.send({ op: 'nack', id, error: said.slice(0, 500) });
      },
    );
  };

  const lost = (why: string, unreadable: boolean): void => {
    said = null;
    known = null;
    asks = !isAsking;
    isAsking = false;
    if (unreadable) hooks.unreadable();
    const wasOpen = frames !== null;
    frames = null;
    isGreeted = false;
    for (const one of [...waiting.values()]) one.fail(new TransportError('unreachable', `${executor}: ${why}`));
    if (closed) return;
    failures += 1;
    if (wasOpen) logger.warn({ executor, why }, 'lost the executor; connecting again');
    cancelRetry = clock.after(Math.min(reconnectMs.first * 2 ** Math.min(failures, 16), reconnectMs.longest), dial);
  };

  const dial = (): void => {
    if (closed) return;
    socket = connect(path);
    const stream: FrameStream<RequestFrame> = openFrames(socket, replyFrameSchema, (frame) => take(stream, frame), lost);
    socket.once('connect', () => {
      frames = stream;
      Promise.all([options.log, ...(options.adopted ?? [])].map((log) => send({ op: 'hello', log }))).then(async () => {
        isAsking = asks;
        if (asks) await send({ op: 'knows' });
        isAsking = false;
      }).then(
        () => {
          isGreeted = true;
          failures = 0;
          logger.info({ executor }, 'connected');
          hooks.connected();
        },
        () => stream.close(),
      );
    });
  };
  dial();

  return {
    ask: send,
    isOpen: () => isGreeted,
    state: () => said,
    knows: () => known,
    close() {
      closed = true;
      cancelRetry?.();
      socket?.destroy();
    },
  };
}
