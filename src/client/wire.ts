/** One HTTP exchange with the sidecar: bytes out, JSON or a {@link ClientError} back. */
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { ERROR_CODES, type ErrorCode, type FieldError } from '../sidecar/errors.ts';
import { ClientError } from './errors.ts';

export interface WireOptions {
  /** Path of the sidecar's unix socket. Give this or `url`. */
  readonly socket?: string;
  /** `http://127.0.0.1:8099`. */
  readonly url?: string;
  readonly token: string;
  /** How long an answer may take beyond any long poll, in ms. Default 30 s. */
  readonly timeoutMs?: number;
  /** Asked at each request for the W3C `traceparent` that it is sent in; undefined: in none. */
  readonly traceparent?: () => string | undefined;
}

export interface Sending {
  readonly body?: object;
  readonly headers?: Readonly<Record<string, string>>;
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

export interface Wire {
  readonly timeoutMs: number;
  send<T>(method: 'GET' | 'POST', path: string, sending?: Sending): Promise<T>;
  /** The bytes of an answer that is no JSON, as they come; a stream that is cut short fails. */
  receive(method: 'GET' | 'POST', path: string, sending?: Sending): Promise<AsyncIterable<Uint8Array>>;
}

/** What an answer may hold: far more than any that this API gives. */
const ANSWER_BYTES_MAX = 64 * 1024 * 1024;

export function openWire(options: WireOptions): Wire {
  const { socket, url, token, timeoutMs = 30_000 } = options;
  if ((socket === undefined) === (url === undefined)) throw new TypeError('give either socket or url');
  const base = url === undefined ? null : new URL(url);
  const place = socket ?? url ?? '';

  const exchange = <T>(method: string, path: string, sending: Sending, take: (incoming: IncomingMessage) => Promise<T>): Promise<{ status: number; taken: T }> =>
    new Promise((resolve, reject) => {
      const traceparent = options.traceparent?.();
      const payload = sending.body === undefined ? null : Buffer.from(JSON.stringify(sending.body));
      const headers = {
        accept: 'application/json', authorization: `Bearer ${token}`, host: base?.host ?? 'localhost', ...sending.headers,
        ...(traceparent === undefined ? {} : { traceparent }), ...(payload === null ? {} : { 'content-type': 'application/json', 'content-length': String(payload.length) }),
      };
      const address = base === null ? { socketPath: socket } : { hostname: base.hostname.replaceAll(/[[\]]/g, ''), port: base.port };
      let sent = false;
      const fail = (code: 'unreachable' | 'timed-out' | 'aborted', message: string, cause?: unknown): void =>
        reject(new ClientError(code, message, { cause }));
      const limit = AbortSignal.timeout(sending.timeoutMs ?? timeoutMs);
      const signal = sending.signal === undefined ? limit : AbortSignal.any([limit, sending.signal]);
      const outgoing = (base?.protocol === 'https:' ? httpsRequest : httpRequest)({ ...address, method, path, headers, signal, agent: false }, (incoming) => {
        take(incoming).then((taken) => resolve({ status: incoming.statusCode ?? 0, taken }), onError);
      });
      const onError = (error: unknown): void => {
        if (sending.signal?.aborted === true) fail('aborted', 'the call was given up', error);
        else if (limit.aborted) fail('timed-out', `no answer from ${place} in ${sending.timeoutMs ?? timeoutMs} ms`, error);
        else fail('unreachable', `${sent ? 'no answer from' : 'cannot reach'} the sidecar at ${place}: ${error instanceof Error ? error.message : String(error)}`, error);
      };
      outgoing.on('error', onError);
      outgoing.on('finish', () => {
        sent = true;
      });
      outgoing.end(payload ?? undefined);
    });

  return {
    timeoutMs,
    async send<T>(method: 'GET' | 'POST', path: string, sending: Sending = {}): Promise<T> {
      const { status, taken } = await exchange(method, path, sending, collect);
      if (isGood(status)) return parse(taken, status) as T;
      throw errorOf(status, problemIn(taken, status));
    },
    async receive(method, path, sending = {}) {
      const take = async (incoming: IncomingMessage): Promise<IncomingMessage | Buffer> => (isGood(incoming.statusCode ?? 0) ? incoming : collect(incoming));
      const { status, taken } = await exchange<IncomingMessage | Buffer>(method, path, sending, take);
      if (Buffer.isBuffer(taken)) throw errorOf(status, problemIn(taken, status));
      return piecesOf(taken, place);
    },
  };
}

const isGood = (status: number): boolean => status >= 200 && status < 300;

async function* piecesOf(incoming: IncomingMessage, place: string): AsyncGenerator<Uint8Array> {
  try {
    for await (const chunk of incoming as AsyncIterable<Buffer>) yield chunk;
  } catch (cause) {
    throw new ClientError('unreachable', `the answer of the sidecar at ${place} was cut short`, { cause });
  }
}

async function collect(incoming: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of incoming as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > ANSWER_BYTES_MAX) throw new Error('the answer is too large');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function parse(bytes: Buffer, status: number): unknown {
  try {
    return JSON.parse(bytes.toString('utf8')) as unknown;
  } catch (cause) {
    throw new ClientError('unexpected-answer', `status ${status} with a body that is not JSON`, { status, cause });
  }
}

/** The problem of an answer that is an error; on AuthZEN's routes it is text that begins with the code. */
function problemIn(bytes: Buffer, status: number): unknown {
  const [, code, detail] = /^([a-z-]{1,64}): ([^\n]*)\n$/.exec(bytes.subarray(0, 4096).toString('utf8')) ?? [];
  return code === undefined ? parse(bytes, status) : { code, detail };
}

function errorOf(status: number, body: unknown): ClientError {
  const problem = (typeof body === 'object' && body !== null ? body : {}) as { code?: unknown; detail?: unknown; errors?: readonly FieldError[] };
  const code = ERROR_CODES.find((known): known is ErrorCode => known === problem.code);
  if (code === undefined) return new ClientError('unexpected-answer', `status ${status}, not an answer of this API`, { status, body });
  const detail = typeof problem.detail === 'string' ? problem.detail : code;
  return new ClientError(code, detail, { status, errors: Array.isArray(problem.errors) ? problem.errors : [], body });
}
