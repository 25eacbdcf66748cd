/**
 * The executor's end of the `local` transport: listens on a unix socket that only its owner can open, and hands what comes to the worker.
 *
 * A report goes to every sidecar that said hello for its log, and is kept by the worker until one of them acknowledges it.
 */
import { chmod, unlink } from 'node:fs/promises';
import { connect, createServer, type Server } from 'node:net';
import type { Acceptance, Clock, Logger } from '../../engine/ports.ts';
import type { ReportMessage } from '../../protocol/envelope.ts';
import type { Dsse } from '../../protocol/signed.ts';
import { readPayload } from '../../protocol/dsse.ts';
import { reportSchema } from '../../protocol/signed.ts';
import { openFrames, requestFrameSchema, type FrameStream, type ReplyFrame, type RequestFrame } from './frames.ts';

/** What a worker does with what comes in. Each resolves when it is held durably; a rejection is answered with its message. */
export interface WorkerDoor {
  arm(order: Dsse): Promise<void>;
  step(envelope: unknown): Promise<Acceptance>;
  revoke(order: Dsse): Promise<void>;
  /** A sidecar of this log is there: what it has not acknowledged may be sent again. */
  connected(log: string): void;
}

export interface LocalListener {
  /** Resolves when a sidecar has recorded the report; rejects when none is there or none did so in time. */
  send(message: ReportMessage): Promise<void>;
  close(): Promise<void>;
}

interface Peer {
  log: string | null;
  readonly frames: FrameStream<ReplyFrame>;
  readonly acks: Map<number, { readonly done: () => void; readonly failed: (error: Error) => void }>;
}

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
    const acks: Peer['acks'] = new Map();
    const frames = openFrames<RequestFrame, ReplyFrame>(socket, requestFrameSchema, (frame) => receive(peer, frame), (why) => {
      peers.delete(peer);
      for (const ack of [...acks.values()]) ack.failed(new Error(`the sidecar went away: ${why}`));
    });
    const peer: Peer = { log: null, frames, acks };
    peers.add(peer);
  });

  const receive = (peer: Peer, frame: RequestFrame): void => {
    switch (frame.op) {
      case 'ack':
        peer.acks.get(frame.id)?.done();
        return;
      case 'hello':
        peer.log = frame.log;
        peer.frames.send({ op: 'answer', id: frame.id, result: { accepted: true } });
        options.worker.connected(frame.log);
        return;
      case 'arm':
        return answer(peer, frame.id, options.worker.arm(frame.order).then(() => ({ accepted: true })));
      case 'revoke':
        return answer(peer, frame.id, options.worker.revoke(frame.order).then(() => ({ accepted: true })));
      case 'step':
        return answer(peer, frame.id, options.worker.step(frame.envelope));
    }
  };
  const answer = (peer: Peer, id: number, result: Promise<Acceptance>): void => {
    result.then(
      (acceptance) => peer.frames.send({ op: 'answer', id, result: acceptance }),
      (error: unknown) => peer.frames.send({ op: 'answer', id, result: { error: (error instanceof Error ? error.message : String(error)).slice(0, 500) } }),
    );
  };

  await listen(server, options.socket);
  return {
    async send(message) {
      const { log } = readPayload(message.report, reportSchema);
      const [peer] = [...peers].filter((one) => one.log === log);
      if (peer === undefined) throw new Error(`no sidecar of log ${log} is connected`);
      const id = (nextReport += 1);
      await new Promise<void>((resolve, reject) => {
        const forget = (): void => {
          cancel();
          peer.acks.delete(id);
        };
        const cancel = options.clock.after(options.ackMs ?? 15_000, () => { forget(); reject(new Error('not acknowledged in time')); });
        peer.acks.set(id, { done: () => { forget(); resolve(); }, failed: (error) => { forget(); reject(error); } });
        peer.frames.send({ op: 'report', id, message });
      });
    },
    async close() {
      for (const peer of [...peers]) peer.frames.close();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

async function listen(server: Server, path: string): Promise<void> {
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
      if (!(error instanceof Error) || !('code' in error) || error.code !== 'EADDRINUSE' || (await someoneListens(path))) throw error;
      await unlink(path);
      await attempt();
    });
  } finally {
    process.umask(mask);
  }
  await chmod(path, 0o600);
}

function someoneListens(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect(path);
    probe.once('connect', () => { probe.destroy(); resolve(true); });
    probe.once('error', () => resolve(false));
  });
}
