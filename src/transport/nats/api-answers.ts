/**
 * The sidecar's end of its API on the bus: says to whom calls are sealed, opens them, and has each answered by whoever answers them over HTTP. What
 * comes is believed for nothing: not for having come by this way either.
 */
import { Readable } from 'node:stream';
import type { ReadableStream } from 'node:stream/web';
import { headers, type Msg, type NatsConnection } from '@nats-io/transport-node';
import { canonicalBytes, JsonError, parseStrict, type Signer } from '../../../ledger/index.ts';
import type { Clock, Logger } from '../../engine/ports.ts';
import { API_RECIPIENT_TYPE, apiCallSchema, recipientAskSchema, type ApiAnswerHead, type ApiCall, type ApiRecipient, type CallRefusal } from '../../protocol/api-call.ts';
import { signDsse } from '../../protocol/dsse.ts';
import { createApiGate } from './api-gate.ts';
import { newApiIdentity, openBytes, sealStream } from './api-seal.ts';
import { API_ANSWER_BYTES_MAX, API_CALL_BYTES_MAX, API_REFUSED, apiCalls, apiRecipient } from './bus-layout.ts';
import { hear, type Bus } from './connection.ts';
import { readMessage } from './said.ts';

export interface ApiAnswersOptions {
  readonly bus: Bus;
  readonly log: string;
  readonly ticketSigner: Signer;
  readonly clock: Clock;
  readonly logger: Logger;
  /** As over HTTP: it looks at the token, and at all else, itself. */
  readonly answer: (call: ApiCall) => Promise<Response>;
}

export interface ApiAnswers {
  /** Nothing new is taken; resolves once what is being answered is, or after so long. */
  close(drainMs: number): Promise<void>;
}

const ASK_BYTES_MAX = 256;
/** Messages that are given to the server before it is asked whether it has them: what a slow bus has not taken stays in the answer. */
const PARTS_AHEAD = 16;

/** Answers for as long as the bus is open. */
export async function answerApi({ bus, log, ticketSigner, clock, logger, answer }: ApiAnswersOptions): Promise<ApiAnswers> {
  const { identity, recipient } = await newApiIdentity();
  const gate = createApiGate(() => clock.nowMs());
  const underWay = new Set<Promise<void>>();
  let isListening = false;
  let isClosed = false;

  const refuse = (message: Msg, code: CallRefusal): void => {
    const why = headers();
    why.set(API_REFUSED, code);
    message.respond(undefined, { headers: why });
  };
  const sayRecipient = (message: Msg): void => {
    const ask = readMessage(message.data, recipientAskSchema, ASK_BYTES_MAX);
    if (ask === null) return refuse(message, 'malformed');
    const content: ApiRecipient = { v: 1, log, nonce: ask.nonce, recipient };
    message.respond(canonicalBytes(signDsse(API_RECIPIENT_TYPE, content, ticketSigner)));
  };
  const open = async (sealed: Uint8Array): Promise<ApiCall | CallRefusal> => {
    if (sealed.length > API_CALL_BYTES_MAX) return 'too-large';
    const bytes = await openBytes(sealed, identity).catch(() => null);
    if (bytes === null) return 'unopened';
    const call = callIn(bytes);
    return call === null || call.log !== log ? 'malformed' : gate.refusalOf(call) ?? call;
  };
  const take = async (message: Msg): Promise<void> => {
    const call = await open(message.data);
    if (typeof call === 'string') {
      logger.info({ code: call }, 'a call over the bus was not looked at');
      return refuse(message, call);
    }
    const refused = await send(bus.up(), message, await answer(call), call.answerTo);
    if (refused !== null) refuse(message, refused);
  };
  const enter = (message: Msg, then: () => Promise<void>): void => {
    // Nobody waits for what has no reply.
    if (message.reply === undefined || message.reply === '') return;
    if (isClosed || !gate.mayEnter()) return refuse(message, 'busy');
    const done: Promise<void> = then().catch((error: unknown) => logger.warn({ error: String(error) }, 'a call over the bus could not be answered')).finally(() => {
      gate.left();
      underWay.delete(done);
    });
    underWay.add(done);
  };

  bus.onUp((connection) => {
    if (isListening) return;
    isListening = true;
    hear(connection, apiRecipient(log), logger, (message) => enter(message, async () => sayRecipient(message)));
    hear(connection, apiCalls(log), logger, (message) => enter(message, () => take(message)));
  });
  return {
    async close(drainMs) {
      isClosed = true;
      let stop = (): void => undefined;
      const late = new Promise<void>((resolve) => {
        stop = clock.after(drainMs, resolve);
      });
      await Promise.race([Promise.all(underWay), late]);
      stop();
    },
  };
}

function callIn(bytes: Uint8Array): ApiCall | null {
  try {
    const parsed = apiCallSchema.safeParse(parseStrict(bytes, { maxBytes: API_CALL_BYTES_MAX }));
    return parsed.success ? parsed.data : null;
  } catch (error) {
    if (error instanceof JsonError) return null;
    throw error;
  }
}

/** The answer, sealed, message after message. Why it was cut short, or null. */
async function send(connection: NatsConnection, message: Msg, response: Response, answerTo: string): Promise<CallRefusal | null> {
  let parts = 0;
  try {
    const plain = Readable.toWeb(Readable.from(piecesOf(response))) as ReadableStream<Uint8Array>;
    for await (const part of (await sealStream(plain, answerTo)) as unknown as AsyncIterable<Uint8Array>) {
      if (part.length === 0) continue;
      message.respond(part);
      parts += 1;
      if (parts % PARTS_AHEAD === 0) await connection.flush();
    }
  } catch (error) {
    if (!(error instanceof CutShort)) throw error;
    return error.code;
  }
  message.respond();
  return null;
}

class CutShort extends Error {
  readonly code: CallRefusal;
  constructor(code: CallRefusal, options?: ErrorOptions) {
    super(code, options);
    this.code = code;
  }
}

/** The head in a line, then the body. @throws CutShort */
async function* piecesOf({ status, headers: all, body }: Response): AsyncGenerator<Uint8Array> {
  const kept = Object.fromEntries(['content-type', 'retry-after'].flatMap((name) => (all.has(name) ? [[name, all.get(name)!]] : [])));
  const head: ApiAnswerHead = { v: 1, status, headers: kept };
  yield Buffer.from(`${JSON.stringify(head)}\n`);
  if (body === null) return;
  let length = 0;
  try {
    for await (const piece of body as unknown as AsyncIterable<Uint8Array>) {
      length += piece.length;
      if (length > API_ANSWER_BYTES_MAX) throw new CutShort('too-large');
      yield piece;
    }
  } catch (cause) {
    throw cause instanceof CutShort ? cause : new CutShort('cut-short', { cause });
  }
}
