/**
 * The executor's end of the `local` transport: listens on a unix socket that only its owner can open, and hands what comes to the worker.
 *
 * A report goes to every sidecar that said hello for its log, and is kept by the worker until one of them acknowledges it.
 */
import { chmod, lstat, unlink } from 'node:fs/promises';
import { connect, createServer, type Server } from 'node:net';
import { TransportError, type Acceptance, type Clock, type Logger } from '../../engine/ports.ts';
import { anyReportSchema } from '../../protocol/discovery.ts';
import { readPayload } from '../../protocol/dsse.ts';
import type { ReportMessage } from '../../protocol/envelope.ts';
import { ProtocolError } from '../../protocol/errors.ts';
import { revokeOrderSchema, type Dsse, type Refusal } from '../../protocol/signed.ts';
import type { WorkerKnows } from '../../protocol/worker-knows.ts';
import type { WorkerState } from '../../protocol/worker-state.ts';
import { openFrames, requestFrameSchema, type FrameStream, type ReplyFrame, type RequestFrame } from './frames.ts';

/** What a worker does with what comes in. Each resolves when it is held durably; a rejection is answered with its message. */
export interface WorkerDoor {
  arm(order: Dsse): Promise<void>;
  /** Resolves where the order was superseded by an extension that was applied here: it acts no more. */
  disarm(order: Dsse): Promise<void>;
  /** `traceparent`: in which trace it came, as it came. */
  step(envelope: unknown, traceparent?: unknown): Promise<Acceptance>;
  revoke(order: Dsse, traceparent?: unknown): Promise<void>;
  lock(statement: Dsse): Promise<void>;
  /** Every lock that was heard of, set and lifted. */
  locks(): readonly Dsse[];
  /** How it is, for whoever asks: shown, and believed for nothing. */
  state(): WorkerState;
  /** What can be proven to it, for a sidecar that asks. */
  knows(): WorkerKnows;
  /** What came could not even be read: it is counted with what is not believed. */
  setAside(code: Refusal): void;
  /** A sidecar of this log is there: what it has not acknowledged may be sent again. */
  connected(log: string): void;
}

export interface LocalListener {
  /**
   * Resolves when a sidecar has recorded the report.
   *
   * @throws TransportError `unreachable`: none is there, or none said so in time; `rejected`: all that are there would not have it
   */
  send(message: ReportMessage): Promise<void>;
  /** Shows a report of a lease's end to whoever watches for it; nobody is waited for. */
  tell(message: ReportMessage): void;
  /** Shows a lock to every sidecar that is there; one that comes later is shown all of them. */
  tellLock(lock: Dsse): void;
  close(): Promise<void>;
}

interface Peer {
  /** Logs that it said hello for: its own, and those that it has adopted. */
  readonly logs: Set<string>;
  readonly frames: FrameStream<ReplyFrame>;
  readonly acks: Map<number, { readonly done: () => void; readonly failed: (error: TransportError) => void }>;
  /** Leases whose end this peer watches for. */
  readonly watched: Set<string>;
}

/** More than there are sidecars and operators: who opens connections without end keeps nobody else out for long. */
const PEERS_MAX = 64;
/** How often is looked whether there is something to say of the worker. */
const STATE_MS = 2_000;
/** Of the platforms' `sockaddr_un`: a longer path would be cut without a word. */
const PATH_BYTES_MAX = 103;

export interface ListenOptions {
  /** Path of the socket: made with mode 0600; one that nobody listens on is replaced. */
  readonly socket: string;
  readonly worker: WorkerDoor;
  readonly clock: Clock;
  readonly logger: Logger;
  /** How long an acknowledgement may take, in ms. */
  readonly ackMs?: number;
}

/** @throws Error when someone listens on the socket already */
export async function listenLocal(options: ListenOptions): Promise<LocalListener> {
  const peers = new Set<Peer>();
  let nextReport = 0;
  const server = createServer((socket) => {
    if (peers.size >= PEERS_MAX) [...peers][0]?.frames.close();
    const acks: Peer['acks'] = new Map();
    const frames = openFrames<RequestFrame, ReplyFrame>(socket, requestFrameSchema, (frame) => receive(peer, frame), (why, unreadable) => {
      peers.delete(peer);
      if (unreadable) options.worker.setAside('malformed');
      for (const ack of [...acks.values()]) ack.failed(new TransportError('unreachable', `the sidecar went away: ${why}`));
    });
    const peer: Peer = { logs: new Set(), frames, acks, watched: new Set() };
    peers.add(peer);
  });

  const receive = (peer: Peer, frame: RequestFrame): void => {
    switch (frame.op) {
      case 'ack':
        peer.acks.get(frame.id)?.done();
        return;
      case 'nack':
        peer.acks.get(frame.id)?.failed(new TransportError('rejected', frame.error));
        return;
      case 'hello':
        peer.logs.add(frame.log);
        peer.frames.send({ op: 'answer', id: frame.id, result: { accepted: true } });
        if (hasNews(options.worker.state())) peer.frames.send({ op: 'state', state: options.worker.state() });
        for (const lock of options.worker.locks()) peer.frames.send({ op: 'lock', lock });
        options.worker.connected(frame.log);
        return;
      case 'knows':
        peer.frames.send({ op: 'knows', knows: options.worker.knows() });
        peer.frames.send({ op: 'answer', id: frame.id, result: { accepted: true } });
        return;
      case 'arm':
        return answer(peer, frame.id, options.worker.arm(frame.order).then(() => ({ accepted: true })));
      case 'disarm':
        return answer(peer, frame.id, options.worker.disarm(frame.order).then(() => ({ accepted: true })));
      case 'revoke':
        if (frame.watch === true) watch(peer, frame.order);
        return answer(peer, frame.id, options.worker.revoke(frame.order, frame.traceparent).then(() => ({ accepted: true })));
      case 'lock':
        return answer(peer, frame.id, options.worker.lock(frame.lock).then(() => ({ accepted: true })));
      case 'step':
        return answer(peer, frame.id, options.worker.step(frame.envelope, frame.traceparent));
    }
  };
  const answer = (peer: Peer, id: number, result: Promise<Acceptance>): void => {
    result.then(
      (acceptance) => peer.frames.send({ op: 'answer', id, result: acceptance }),
      (error: unknown) => peer.frames.send({ op: 'answer', id, result: { error: saidOf(error) } }),
    );
  };

  const deliver = (peer: Peer, message: ReportMessage): Promise<void> => {
    const id = (nextReport += 1);
    return new Promise<void>((resolve, reject) => {
      const forget = (): void => {
        cancel();
        peer.acks.delete(id);
      };
      const failed = (error: TransportError): void => {
        forget();
        reject(error);
      };
      const cancel = options.clock.after(options.ackMs ?? 15_000, () => failed(new TransportError('unreachable', 'not acknowledged in time')));
      peer.acks.set(id, { done: () => { forget(); resolve(); }, failed });
      if (!peer.frames.send({ op: 'report', id, message })) failed(new TransportError('unreachable', 'the report could not be sent'));
    });
  };

  await listen(server, options.socket);
  let said = JSON.stringify(options.worker.state());
  let cancelSaying = (): void => undefined;
  const sayState = (): void => {
    const state = options.worker.state();
    const now = JSON.stringify(state);
    if (now !== said) for (const peer of peers) if (peer.logs.size > 0) peer.frames.send({ op: 'state', state });
    said = now;
    cancelSaying = options.clock.after(STATE_MS, sayState);
  };
  sayState();
  return {
    async send(message) {
      const { log } = readPayload(message.report, anyReportSchema);
      const listening = [...peers].filter((one) => one.logs.has(log));
      if (listening.length === 0) throw new TransportError('unreachable', `no sidecar of log ${log} is connected`);
      // One that died without a word is still on the list: the first that answers decides, and a "no" only when all have said it.
      await Promise.any(listening.map((peer) => deliver(peer, message))).catch((error: unknown) => {
        const failures = error instanceof AggregateError ? (error.errors as TransportError[]) : [];
        throw failures.find(({ code }) => code === 'unreachable') ?? failures[0] ?? error;
      });
    },
    tell(message) {
      const report = readPayload(message.report, anyReportSchema);
      if (report.kind !== 'revoked') return;
      for (const peer of peers) if (peer.watched.has(report.leaseId)) peer.frames.send({ op: 'report', id: (nextReport += 1), message });
    },
    tellLock(lock) {
      for (const peer of peers) if (peer.logs.size > 0) peer.frames.send({ op: 'lock', lock });
    },
    async close() {
      cancelSaying();
      for (const peer of [...peers]) peer.frames.close();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

/** A sidecar that knows no states is told none, as long as there is nothing to tell. */
function hasNews({ refused, trouble }: WorkerState): boolean {
  return refused !== undefined || trouble !== undefined;
}

function watch(peer: Peer, order: Dsse): void {
  try {
    peer.watched.add(readPayload(order, revokeOrderSchema).leaseId);
  } catch {
    // The worker says what is wrong with it.
  }
}

/** Of an error that a peer may see: its code and first sentence. */
function saidOf(error: unknown): string {
  const said = error instanceof ProtocolError ? `${error.code}: ${error.message}` : error instanceof Error ? error.message : String(error);
  return said.slice(0, 500);
}

async function listen(server: Server, path: string): Promise<void> {
  if (Buffer.byteLength(path) > PATH_BYTES_MAX) throw new Error(`the path of the socket is longer than ${PATH_BYTES_MAX} bytes: ${path}`);
  const attempt = (): Promise<void> => new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(path, () => {
      server.off('error', reject);
      resolve();
    });
  });
  // Nobody else may open it even for the moment before chmod.
  const mask = process.umask(0o177);
  try {
    await attempt().catch(async (error: unknown) => {
      if (!(error instanceof Error) || !('code' in error) || error.code !== 'EADDRINUSE' || (await isTaken(path))) throw error;
      await unlink(path);
      await attempt();
    });
  } finally {
    process.umask(mask);
  }
  await chmod(path, 0o600);
}

/** Whether the path is anything but the socket of a process that is gone. */
async function isTaken(path: string): Promise<boolean> {
  if (!(await lstat(path)).isSocket()) return true;
  return new Promise((resolve) => {
    const probe = connect(path);
    probe.once('connect', () => { probe.destroy(); resolve(true); });
    probe.once('error', () => resolve(false));
  });
}
