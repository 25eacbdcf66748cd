/** A connection to an executor's socket, without a hello. */
import { connect } from 'node:net';
import { openFrames, replyFrameSchema, type ReplyFrame, type RequestFrame } from '../../src/transport/local/frames.ts';
import { ANSWER_MS, type Answer, type Line } from './rogue-line.ts';

export async function openSocketLine(path: string): Promise<Line> {
  const socket = connect(path);
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve);
    socket.once('error', reject);
  });
  const waiting = new Map<number, { readonly settle: (answer: Answer) => void; readonly fail: (error: Error) => void }>();
  const frames = openFrames<ReplyFrame, RequestFrame>(socket, replyFrameSchema, (frame) => {
    if (frame.op === 'answer') waiting.get(frame.id)?.settle(frame.result);
  }, (why) => {
    for (const { fail } of waiting.values()) fail(new Error(`the executor hung up: ${why}`));
  });
  let next = 0;
  return {
    ask: (envelope) => new Promise((resolve, reject) => {
      const id = (next += 1);
      const giveUp = setTimeout(() => reject(new Error('the executor did not answer in time')), ANSWER_MS);
      const done = (): void => {
        clearTimeout(giveUp);
        waiting.delete(id);
      };
      waiting.set(id, { settle: (answer) => { done(); resolve(answer); }, fail: (error) => { done(); reject(error); } });
      frames.send({ op: 'step', id, envelope });
    }),
    close: () => Promise.resolve(frames.close()),
  };
}
