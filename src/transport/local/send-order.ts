/** One order, one answer: for an operator whose sidecar is dead. */
import { connect } from 'node:net';
import { TransportError } from '../../engine/ports.ts';
import type { Dsse } from '../../protocol/signed.ts';
import { openFrames, replyFrameSchema, type ReplyFrame, type RequestFrame } from './frames.ts';

/**
 * Hands a revoke order straight to an executor and returns once it holds it: for an operator whose sidecar is dead.
 *
 * @throws TransportError `unreachable`: nobody took it; `rejected`: the executor does not accept its signature
 */
export async function sendOrder(path: string, order: Dsse, timeoutMs = 10_000): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const socket = connect(path);
    socket.setTimeout(timeoutMs, () => socket.destroy(new Error('no answer in time')));
    const frames = openFrames<ReplyFrame, RequestFrame>(socket, replyFrameSchema, (frame) => {
      if (frame.op !== 'answer') return;
      if ('error' in frame.result) reject(new TransportError('rejected', frame.result.error));
      else resolve();
      frames.close();
    }, (why) => reject(new TransportError('unreachable', `${path}: ${why}`)));
    socket.once('connect', () => frames.send({ op: 'revoke', id: 1, order }));
  });
}
