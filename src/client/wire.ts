/** One exchange with the sidecar, over HTTP or as it is {@link Carry carried}: bytes out, JSON or a {@link ClientError} back. */
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { ERROR_CODES, type ErrorCode, type FieldError } from '../sidecar/errors.ts';
import { ClientError } from './errors.ts';

export interface WireOptions {
  /** Path of the sidecar's unix socket. Give this, `url` or `carry`. */
  readonly socket?: string;
  /** `http://127.0.0.1:8099`. */
  readonly url?: string;
  /** Another way to the sidecar than HTTP. */
  readonly carry?: Carry;
  /** Or what reads it, asked at each request: for one that is replaced while this client is in use. Where it throws or reads nothing, that call is `unreachable`. */
  readonly token: string | (() => string);
  /** How long an answer may take beyond any long poll, in ms. Default 30 s. */
  readonly timeoutMs?: number;
  /** Asked at each request for the W3C `traceparent` that it is sent in; undefined: in none. */
  readonly traceparent?: () => string | undefined;
}

export interface Carried {
  readonly status: number;
  /** The body, as it comes; fails where it is cut short. */
  readonly pieces: AsyncIterable<Uint8Array>;
}

/** Brings one request to a sidecar, and what that answers. Rejects where no answer came: with {@link NotSent} where nothing was sent. */
export type Carry = (asked: { readonly method: 'GET' | 'POST'; /** With its query. */ readonly path: string; readonly headers: Readonly<Record<string, string>>; readonly body: Uint8Array | null; readonly signal: AbortSignal }) => Promise<Carried>;

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
  if ([socket, url, options.carry].filter((way) => way !== undefined).length !== 1) throw new TypeError('give one of socket, url and carry');
  const place = socket ?? url ?? 'the other end of the bus';
  const carry = options.carry ?? overHttp(socket, url);

  const exchange = async <T>(method: 'GET' | 'POST', path: string, sending: Sending, take: (carried: Carried) => Promise<T>): Promise<{ status: number; taken: T }> => {
    const traceparent = options.traceparent?.();
    const body = sending.body === undefined ? null : Buffer.from(JSON.stringify(sending.body));
    const headers = {
      accept: 'application/json', authorization: `Bearer ${tokenNow(token)}`, ...sending.headers,
      ...(traceparent === undefined ? {} : { traceparent }), ...(body === null ? {} : { 'content-type': 'application/json' }),
    };
    const limitMs = sending.timeoutMs ?? timeoutMs;
    const limit = AbortSignal.timeout(limitMs);
    const signal = sending.signal === undefined ? limit : AbortSignal.any([limit, sending.signal]);
    try {
      const carried = await carry({ method, path, headers, body, signal });
      return { status: carried.status, taken: await take(carried) };
    } catch (cause) {
      if (sending.signal?.aborted === true) throw new ClientError('aborted', 'the call was given up', { cause });
      if (limit.aborted) throw new ClientError('timed-out', `no answer from ${place} in ${limitMs} ms`, { cause });
      throw new ClientError('unreachable', `${cause instanceof NotSent ? 'cannot reach' : 'no answer from'} the sidecar at ${place}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
    }
  };

  return {
    timeoutMs,
    async send<T>(method: 'GET' | 'POST', path: string, sending: Sending = {}): Promise<T> {
      const { status, taken } = await exchange(method, path, sending, collect);
      if (isGood(status)) return parse(taken, status) as T;
      throw errorOf(status, problemIn(taken, status));
    },
    async receive(method, path, sending = {}) {
      const { status, taken } = await exchange<Carried | Buffer>(method, path, sending, async (carried) => (isGood(carried.status) ? carried : collect(carried)));
      if (Buffer.isBuffer(taken)) throw errorOf(status, problemIn(taken, status));
      return piecesOf(taken, place);
    },
  };
}

/** @throws ClientError where there is none just now: nothing was sent, and the next may be there in time */
function tokenNow(token: WireOptions['token']): string {
  if (typeof token === 'string') return token;
  try {
    const read = token();
    if (read !== '') return read;
  } catch (cause) {
    throw new ClientError('unreachable', `there is no token to ask with: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  }
  throw new ClientError('unreachable', 'there is no token to ask with: what reads it has read nothing');
}

const isGood = (status: number): boolean => status >= 200 && status < 300;

/** Nothing of it has reached anybody: nothing can have come of it. */
export class NotSent extends Error {}

/** Over a socket or HTTP; a connection for each. */
function overHttp(socket: string | undefined, url: string | undefined): Carry {
  const base = url === undefined ? null : new URL(url);
  const address = base === null ? { socketPath: socket } : { hostname: base.hostname.replaceAll(/[[\]]/g, ''), port: base.port };
  return ({ method, path, headers, body, signal }) => new Promise((resolve, reject) => {
    const all = { host: base?.host ?? 'localhost', ...headers, ...(body === null ? {} : { 'content-length': String(body.length) }) };
    const outgoing = (base?.protocol === 'https:' ? httpsRequest : httpRequest)({ ...address, method, path, headers: all, signal, agent: false }, (incoming: IncomingMessage) => {
      resolve({ status: incoming.statusCode ?? 0, pieces: incoming as AsyncIterable<Buffer> });
    });
    let sent = false;
    outgoing.on('finish', () => {
      sent = true;
    });
    outgoing.on('error', (error) => reject(sent ? error : new NotSent(error.message, { cause: error })));
    outgoing.end(body ?? undefined);
  });
}

async function* piecesOf({ pieces }: Carried, place: string): AsyncGenerator<Uint8Array> {
  try {
    for await (const chunk of pieces) yield chunk;
  } catch (cause) {
    throw new ClientError('unreachable', `the answer of the sidecar at ${place} was cut short`, { cause });
  }
}

async function collect({ pieces }: Carried): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of pieces) {
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
