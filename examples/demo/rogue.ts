/** Someone who can reach the executor's socket and is not the sidecar: it sends what it likes and sees what is answered. */
import { connect } from 'node:net';
import type { StepEnvelope } from '../../src/protocol/envelope.ts';
import { openFrames, replyFrameSchema, type ReplyFrame, type RequestFrame } from '../../src/transport/local/frames.ts';
import type { World } from './world.ts';

type Answer = Extract<ReplyFrame, { op: 'answer' }>['result'];

export interface Rogue {
  /**
   * What the executor answers to the envelope: `accepted`, or why not. `make` is called again with the size of the checkpoint that the
   * executor has seen, where it wants a proof from there.
   */
  send(make: (fromSize: number | null) => StepEnvelope): Promise<string>;
  close(): Promise<void>;
}

/** Connects without a hello: no report is for us to take. */
export async function openRogue(world: Pick<World, 'paths'>): Promise<Rogue> {
  const socket = connect(world.paths.executorSocket);
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
  const ask = (envelope: StepEnvelope): Promise<Answer> => new Promise((resolve, reject) => {
    const id = (next += 1);
    const giveUp = setTimeout(() => reject(new Error('the executor did not answer in 10 s')), 10_000);
    const done = (): void => {
      clearTimeout(giveUp);
      waiting.delete(id);
    };
    waiting.set(id, { settle: (answer) => { done(); resolve(answer); }, fail: (error) => { done(); reject(error); } });
    frames.send({ op: 'step', id, envelope });
  });
  return {
    async send(make) {
      const first = await ask(make(null));
      const answer = 'accepted' in first && !first.accepted ? await ask(make(first.fromSize)) : first;
      if ('error' in answer) return answer.error;
      return answer.accepted ? 'accepted' : answer.code;
    },
    close: () => Promise.resolve(frames.close()),
  };
}
