/** A way to a worker that is not the sidecar's own. */
import type { StepEnvelope } from '../../src/protocol/envelope.ts';
import type { ReplyFrame } from '../../src/transport/local/frames.ts';

export type Answer = Extract<ReplyFrame, { op: 'answer' }>['result'];

export interface Line {
  /** @throws Error when nobody answers in {@link ANSWER_MS} */
  ask(envelope: StepEnvelope): Promise<Answer>;
  close(): Promise<void>;
}

export const ANSWER_MS = 10_000;
