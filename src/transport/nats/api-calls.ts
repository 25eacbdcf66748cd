/**
 * The console's end of a sidecar's API on the bus: asks to whom calls are sealed, seals one, and opens what comes for an answer. Nothing that comes is
 * believed but what the sidecar's ticket key has signed, and what is sealed to the key of this call.
 */
import { ReadableStream, type ReadableStreamDefaultController, type ReadableStreamDefaultReader } from 'node:stream/web';
import { createInbox, type Msg, type NatsConnection } from '@nats-io/transport-node';
import { canonicalBytes, type Verifier } from '../../../ledger/index.ts';
import { NotSent } from '../../client/wire.ts';
import type { Logger, RandomBytes } from '../../engine/ports.ts';
import { apiAnswerHeadSchema, CALL_HEADERS, CALL_MS_MAX, openApiRecipient, type ApiAnswerHead, type ApiCall } from '../../protocol/api-call.ts';
import { dsseSchema } from '../../protocol/signed.ts';
import { formatTime } from '../../protocol/values.ts';
import { newApiIdentity, openStream, sealBytes } from './api-seal.ts';
import { API_ANSWER_BYTES_MAX, API_REFUSED, apiCalls, apiRecipient } from './bus-layout.ts';
import type { Bus } from './connection.ts';
import { readMessage } from './said.ts';

export interface ApiCallsOptions {
  readonly bus: Bus;
  /** What its inboxes are below: `consoleInboxOf` the user of the bus. */
  readonly inboxPrefix: string;
  readonly log: string;
  /** Ticket keys of the log's sidecar, from a trust folder. */
  readonly keys: readonly Verifier[];
  readonly nowMs: () => number;
  readonly random: RandomBytes;
  readonly logger: Logger;
}

interface Asked {
  readonly method: 'GET' | 'POST';
  /** With its query. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array | null;
  readonly signal: AbortSignal;
}

interface Answered {
  readonly status: number;
  /** The body, as it comes; fails where it is cut short. */
  readonly pieces: AsyncIterable<Uint8Array>;
}

/** How long the signed recipient is waited for. */
const RECIPIENT_MS = 3_000;
/** A recipient is asked for again after this; a sidecar that has started anew has another one, and says so sooner. */
const KEPT_MS = 60_000;
const RECIPIENT_BYTES_MAX = 4_096;
const HEAD_BYTES_MAX = 4_096;
/** What sealing adds to an answer is far less than this. */
const SEALED_BYTES_MAX = API_ANSWER_BYTES_MAX + 1_048_576;

const NOBODY = 'nobody is there';

class NoAnswer extends Error {
  /** What was said instead; nobody has signed it. */
  readonly refusal: string;
  constructor(refusal: string) {
    super(`it was not answered: ${refusal}`);
    this.refusal = refusal;
  }
}

/** Calls of one sidecar's API. Each rejects where no answer came that only that sidecar can have given: with {@link NotSent} where nothing was sent, whatever the bus says. */
export function callOverBus({ bus, inboxPrefix, log, keys, nowMs, random, logger }: ApiCallsOptions): (asked: Asked) => Promise<Answered> {
  const hex = (): string => Buffer.from(random(16)).toString('hex');
  let kept: { readonly recipient: Promise<string>; readonly atMs: number } | null = null;

  const askRecipient = async (): Promise<string> => {
    const nonce = hex();
    const { data } = await bus.up().request(apiRecipient(log), canonicalBytes({ v: 1, nonce }), { timeout: RECIPIENT_MS });
    const envelope = readMessage(data, dsseSchema, RECIPIENT_BYTES_MAX);
    if (envelope === null) throw new NoAnswer('busy');
    try {
      return openApiRecipient(envelope, { log, nonce, keys });
    } catch (error) {
      logger.warn({ log, error: String(error) }, 'what came over the bus for the sidecar’s key is not signed by it: nothing was sent');
      throw error;
    }
  };
  const recipientOf = (isKept: boolean): Promise<string> => {
    if (isKept && kept !== null && nowMs() - kept.atMs < KEPT_MS) return kept.recipient;
    const recipient = askRecipient();
    const asked = { recipient, atMs: nowMs() };
    kept = asked;
    recipient.catch(() => {
      if (kept === asked) kept = null;
    });
    return recipient;
  };

  const call = async ({ method, path, headers, body, signal }: Asked, recipient: string): Promise<Answered> => {
    signal.throwIfAborted();
    const own = await newApiIdentity();
    const at = path.indexOf('?');
    const content: ApiCall = {
      v: 1, log, id: hex(), expiresAt: formatTime(nowMs() + CALL_MS_MAX / 2), answerTo: own.recipient, method,
      path: at === -1 ? path : path.slice(0, at), query: at === -1 ? '' : path.slice(at + 1),
      headers: Object.fromEntries(CALL_HEADERS.flatMap((name) => (headers[name] === undefined ? [] : [[name, headers[name]]]))),
      body: body === null ? null : Buffer.from(body).toString('base64'),
    };
    const sealed = await sealBytes(canonicalBytes(content), recipient);
    const parts = openInbox(bus.up(), createInbox(inboxPrefix), apiCalls(log), sealed, signal);
    try {
      const reader = (await openStream(parts.stream, own.identity)).getReader();
      const { head, rest } = await readHead(reader);
      return { status: head.status, pieces: piecesOf(rest, reader, parts.close) };
    } catch (error) {
      parts.close();
      throw error;
    }
  };

  return async (asked) => {
    // What does something is never sent twice: its recipient is asked for first. What only reads may be told that the sidecar has started anew.
    const recipient = await recipientOf(asked.method === 'GET').catch((cause: unknown) => {
      throw new NotSent(cause instanceof Error ? cause.message : String(cause), { cause });
    });
    try {
      return await call(asked, recipient);
    } catch (error) {
      if (error instanceof NoAnswer && error.refusal !== NOBODY) logger.warn({ log, refusal: error.refusal }, 'a call over the bus was not answered');
      if (asked.method !== 'GET' || !(error instanceof NoAnswer) || error.refusal !== 'unopened') throw error;
      const anew = await recipientOf(false);
      if (anew === recipient) throw error;
      return call(asked, anew);
    }
  };
}

interface Inbox {
  /** What comes, until the last part; fails where there is none. */
  readonly stream: ReadableStream<Uint8Array>;
  close(): void;
}

/** Sends the call, and gives what comes for it. What comes is counted as it comes, and not as it is read: the bus may send without end. @throws what the signal was aborted for; nothing was sent */
function openInbox(connection: NatsConnection, inbox: string, subject: string, sealed: Uint8Array, signal: AbortSignal): Inbox {
  // Sealing took a while, and nobody tells of what was given up before anybody listened.
  signal.throwIfAborted();
  let answer: ReadableStreamDefaultController<Uint8Array>;
  const stream = new ReadableStream<Uint8Array>({
    start(controller) {
      answer = controller;
    },
    cancel: () => close(),
  });
  let length = 0;
  let isOver = false;
  const subscription = connection.subscribe(inbox, {
    callback: (error, message) => {
      const part = error === null ? partOf(message) : new NoAnswer('cut-short');
      if (part instanceof Uint8Array) length += part.length;
      if (length > SEALED_BYTES_MAX) return end(new NoAnswer('too-large'));
      if (part instanceof Uint8Array) return answer.enqueue(part);
      end(part);
    },
  });
  const close = (): void => end(new NoAnswer('cut-short'));
  /** Once, and then nothing more is heard. */
  const end = (why: NoAnswer | null): void => {
    if (isOver) return;
    isOver = true;
    signal.removeEventListener('abort', close);
    if (!subscription.isClosed()) subscription.unsubscribe();
    if (why === null) answer.close();
    else answer.error(why);
  };
  signal.addEventListener('abort', close);
  void subscription.closed.then(close);
  connection.publish(subject, sealed, { reply: inbox });
  return { stream, close };
}

/** A part of the answer; null after the last; or why there is none. */
function partOf({ data, headers }: Msg): Uint8Array | null | NoAnswer {
  if (headers?.code === 503) return new NoAnswer(NOBODY);
  const refused = headers?.get(API_REFUSED) ?? '';
  // Said by anybody who can: shown as far as it can be one of ours.
  if (refused !== '') return new NoAnswer(/^[a-z-]{1,32}$/.test(refused) ? refused : 'malformed');
  return data.length === 0 ? null : data;
}

async function readHead(reader: ReadableStreamDefaultReader<Uint8Array>): Promise<{ readonly head: ApiAnswerHead; readonly rest: Uint8Array }> {
  let bytes = Buffer.alloc(0);
  for (;;) {
    const end = bytes.indexOf('\n');
    if (end !== -1) {
      const head = readMessage(bytes.subarray(0, end), apiAnswerHeadSchema, HEAD_BYTES_MAX);
      if (head === null) throw new NoAnswer('malformed');
      return { head, rest: bytes.subarray(end + 1) };
    }
    const { value } = await reader.read();
    if (value === undefined || bytes.length > HEAD_BYTES_MAX) throw new NoAnswer('malformed');
    bytes = Buffer.concat([bytes, value]);
  }
}

async function* piecesOf(first: Uint8Array, reader: ReadableStreamDefaultReader<Uint8Array>, close: () => void): AsyncGenerator<Uint8Array> {
  try {
    if (first.length > 0) yield first;
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      yield value;
    }
  } finally {
    close();
  }
}
