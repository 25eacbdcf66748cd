/**
 * Frames on a unix socket: one JSON document a line, read strictly, at most {@link FRAME_BYTES_MAX} bytes.
 *
 * The sidecar asks (`hello`, `knows`, `arm`, `disarm`, `step`, `revoke`, `lock`) and is answered; the executor sends `report`s and is acknowledged, and shows
 * the locks that it holds and how it is. Either side may
 * send anything: a frame that is not one of these closes the connection and harms nothing else.
 */
import type { Socket } from 'node:net';
import { z } from 'zod';
import { parseStrict } from '../../../ledger/index.ts';
import { reportMessageSchema } from '../../protocol/envelope.ts';
import { dsseSchema } from '../../protocol/signed.ts';
import { logIdSchema } from '../../protocol/values.ts';
import { workerKnowsSchema } from '../../protocol/worker-knows.ts';
import { workerStateSchema } from '../../protocol/worker-state.ts';

export const FRAME_BYTES_MAX = 1_048_576;
const id = z.int().min(0);
/** In which trace it was sent, where it was in one. What is none is as if it were not there: nothing is refused for it. */
const traceparent = z.unknown().optional();

/** What the sidecar sends. A step's envelope is checked by the executor's admission, which answers for what is wrong with it. */
export const requestFrameSchema = z.discriminatedUnion('op', [
  z.strictObject({ op: z.literal('hello'), id, log: logIdSchema }),
  z.strictObject({ op: z.literal('arm'), id, order: dsseSchema }),
  z.strictObject({ op: z.literal('disarm'), id, order: dsseSchema }),
  z.strictObject({ op: z.literal('step'), id, envelope: z.unknown(), traceparent }),
  /** `watch`: every report of the lease's end comes here too, and no acknowledgement is asked for. */
  z.strictObject({ op: z.literal('revoke'), id, order: dsseSchema, watch: z.boolean().optional(), traceparent }),
  /** A lock that is set, or lifted. */
  z.strictObject({ op: z.literal('lock'), id, lock: dsseSchema }),
  /** What can be proven to the worker is asked for. An executor of before does not know the question, and closes the connection. */
  z.strictObject({ op: z.literal('knows'), id }),
  z.strictObject({ op: z.literal('ack'), id }),
  /** The report was looked at and not recorded: it stays with the executor. */
  z.strictObject({ op: z.literal('nack'), id, error: z.string().max(500) }),
]);
export type RequestFrame = z.infer<typeof requestFrameSchema>;

/** What the executor sends. */
export const replyFrameSchema = z.discriminatedUnion('op', [
  z.strictObject({
    op: z.literal('answer'), id,
    result: z.union([
      z.strictObject({ accepted: z.literal(true) }),
      z.strictObject({ accepted: z.literal(false), code: z.literal('inconsistent-checkpoint'), fromSize: z.int().min(0), root: z.string().max(64) }),
      z.strictObject({ error: z.string().max(500) }),
    ]),
  }),
  z.strictObject({ op: z.literal('report'), id, message: reportMessageSchema }),
  /** How the worker is: sent when there is something to say, and when that changes. */
  z.strictObject({ op: z.literal('state'), state: workerStateSchema }),
  /** For a sidecar that has asked, before the answer. */
  z.strictObject({ op: z.literal('knows'), knows: workerKnowsSchema }),
  /** Heard from somebody else, and for every sidecar to hold. */
  z.strictObject({ op: z.literal('lock'), lock: dsseSchema }),
]);
export type ReplyFrame = z.infer<typeof replyFrameSchema>;

export interface FrameStream<Out> {
  /** Whether the frame is on its way: one that is too large, or after the end, is not. */
  send(frame: Out): boolean;
  close(): void;
}

/** What may wait to be written to a peer that does not read, before it is given up. */
const UNREAD_BYTES_MAX = 16 * FRAME_BYTES_MAX;

/**
 * Reads frames of `schema` from the socket and hands them on in order. `ended` is called once, however the connection ends; `unreadable`: over what
 * came.
 */
export function openFrames<In, Out>(socket: Socket, schema: z.ZodType<In>, receive: (frame: In) => void, ended: (why: string, unreadable: boolean) => void): FrameStream<Out> {
  let pending: Buffer[] = [];
  let pendingBytes = 0;
  let over = false;
  const end = (why: string, unreadable = false): void => {
    if (over) return;
    over = true;
    pending = [];
    socket.destroy();
    ended(why, unreadable);
  };
  const isOver = (): boolean => over;
  const line = (bytes: Buffer): void => {
    let value: unknown;
    try {
      value = parseStrict(bytes, { maxBytes: FRAME_BYTES_MAX });
    } catch {
      return end('a frame that is not strict JSON', true);
    }
    const parsed = schema.safeParse(value);
    if (!parsed.success) return end(`a frame of an unknown form: ${parsed.error.issues.map((issue) => `/${issue.path.join('/')}`).join(' ')}`, true);
    receive(parsed.data);
  };
  socket.on('data', (chunk: Buffer) => {
    let rest = chunk;
    for (let at = rest.indexOf(10); at >= 0 && !over; at = rest.indexOf(10)) {
      if (pendingBytes + at > FRAME_BYTES_MAX) return end(`a frame of more than ${FRAME_BYTES_MAX} bytes`, true);
      line(Buffer.concat([...pending, rest.subarray(0, at)]));
      pending = [];
      pendingBytes = 0;
      rest = rest.subarray(at + 1);
    }
    if (over || rest.length === 0) return;
    pending.push(rest);
    pendingBytes += rest.length;
    if (pendingBytes > FRAME_BYTES_MAX) end(`a frame of more than ${FRAME_BYTES_MAX} bytes`, true);
  });
  socket.on('error', (error) => end(error.message));
  socket.on('close', () => end('closed'));
  return {
    send(frame) {
      const bytes = Buffer.from(`${JSON.stringify(frame)}\n`, 'utf8');
      if (over || bytes.length > FRAME_BYTES_MAX + 1) return false;
      socket.write(bytes);
      if (socket.writableLength > UNREAD_BYTES_MAX) end('it does not read what is sent');
      return !isOver();
    },
    close: () => end('closed here'),
  };
}
