/**
 * The executor's door for the day when nothing else works: signed revoke orders and locks by HTTPS, and nothing else. Authority is their own
 * signature; who connects, from where and with what name is nobody's concern.
 *
 *     POST /v1/orders   one order, or lock, as JSON: 200 carried out, 202 held; both with the newest signed report of the lease's end, if there is one
 *     GET  /healthz     the process runs
 *
 * What nobody to be believed has signed is limited by its address; an order is not. What comes is strict JSON of at most {@link ORDER_BYTES_MAX} bytes. It never waits for the lease book: an order that is due is carried out
 * and answered for though nothing can be written.
 */
import { createServer as createHttpServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import { JsonError, parseStrict } from '../../../ledger/index.ts';
import type { Clock, Logger } from '../../engine/ports.ts';
import { payloadDigest, readPayload } from '../../protocol/dsse.ts';
import type { ReportMessage } from '../../protocol/envelope.ts';
import { ProtocolError } from '../../protocol/errors.ts';
import { LOCK_TYPE } from '../../protocol/lock.ts';
import { anyReportSchema } from '../../protocol/discovery.ts';
import { dsseSchema, reportSchema, revokeOrderSchema, type Dsse } from '../../protocol/signed.ts';
import { parseTime } from '../../protocol/values.ts';
import type { Worker } from '../../executor/worker.ts';
import { createRates } from './rates.ts';

export const ORDER_BYTES_MAX = 65_536;

export interface DoorOptions {
  readonly host: string;
  /** 0: the system chooses. */
  readonly port: number;
  /** PEM; null speaks plain HTTP, for somebody on this machine who adds the TLS. */
  readonly tls: { readonly cert: string; readonly key: string } | null;
  readonly worker: Pick<Worker, 'revoke' | 'lock' | 'setAside' | 'believes'>;
  readonly clock: Clock;
  readonly logger: Logger;
}

export interface Door {
  /** Where it listens. */
  readonly url: string;
  /** Shows a report to whoever waits for it; nobody is waited for. */
  tell(message: ReportMessage): void;
  close(): Promise<void>;
}

/** What is said of a request that was not obeyed, beside the refusals of an order. */
type Trouble = 'malformed-json' | 'not-found' | 'method-not-allowed' | 'body-too-large' | 'unsupported-media-type' | 'too-many-requests' | 'not-held' | 'internal';
const STATUS: Readonly<Record<Trouble, number>> = {
  'malformed-json': 400, 'not-found': 404, 'method-not-allowed': 405, 'body-too-large': 413, 'unsupported-media-type': 415, 'too-many-requests': 429, 'internal': 500, 'not-held': 503,
};

/** How long a request is held for the report, and how long at most: `Prefer: wait=SECONDS` (RFC 7240) says otherwise. */
const WAIT_MS = 10_000;
const WAIT_MS_MAX = 60_000;
/** How long somebody has to send what they came with. */
const REQUEST_MS = 10_000;
const CONNECTIONS_MAX = 512;

interface Watcher {
  readonly leaseId: string;
  readonly order: string;
  readonly dueMs: number;
  last: ReportMessage | null;
  readonly over: () => void;
}

/** @throws Error when the address cannot be listened on, or the certificate and its key are none */
export async function listenHttps(options: DoorOptions): Promise<Door> {
  const { tls, worker, clock, logger } = options;
  const watchers = new Set<Watcher>();
  const rates = createRates(clock);

  const takeOrder = async (request: IncomingMessage, response: ServerResponse, from: string): Promise<void> => {
    const tooMany = (): boolean => !rates.mayAsk(from);
    if (!/^application\/(?:[a-z.+-]+\+)?json(?:;|$)/.test(request.headers['content-type'] ?? '')) return tooMany() ? turnAway(response) : refuse(response, 'unsupported-media-type', 'an order is sent as application/json');
    const body = await readBody(request);
    if (body === null) return tooMany() ? turnAway(response) : refuse(response, 'body-too-large', `an order has at most ${ORDER_BYTES_MAX} bytes`);
    let order: Dsse;
    try {
      order = dsseSchema.parse(parseStrict(body, { maxBytes: ORDER_BYTES_MAX }));
    } catch (error) {
      if (tooMany()) return turnAway(response);
      rates.mistook(from);
      worker.setAside('malformed');
      return refuse(response, 'malformed-json', error instanceof JsonError ? error.message : 'not a signed envelope');
    }
    // Who shares an address with whoever rattles at the door, as behind a proxy, is heard all the same: what is signed is not counted.
    if (!worker.believes(order) && tooMany()) return turnAway(response);
    await (order.payloadType === LOCK_TYPE ? holdLock(order, response, from) : carryOut(order, waitOf(request), response, from));
  };

  const holdLock = async (lock: Dsse, response: ServerResponse, from: string): Promise<void> => {
    const known = await worker.lock(lock).then(() => null, (error: unknown) => (error instanceof Error ? error : new Error(String(error))));
    if (known instanceof ProtocolError) return disbelieve(response, from, known);
    if (known !== null) return refuse(response, 'not-held', known.message);
    answer(response, 200, { report: null });
  };
  const disbelieve = (response: ServerResponse, from: string, { code, message }: ProtocolError): void => {
    rates.mistook(from);
    logger.warn({ from, code }, 'turned away at the door');
    answer(response, 403, { code, detail: message.slice(0, 500) });
  };

  const carryOut = async (order: Dsse, waitMs: number, response: ServerResponse, from: string): Promise<void> => {
    let end = (): void => undefined;
    const waited = new Promise<'waited'>((resolve) => {
      end = () => resolve('waited');
    });
    const watcher = watcherOf(order, end);
    if (watcher !== null) watchers.add(watcher);
    const cancel = clock.after(waitMs, end);
    // A caller who goes away has said what there was to say.
    response.once('close', end);
    try {
      const held = worker.revoke(order).then(() => null, (error: unknown) => (error instanceof Error ? error : new Error(String(error))));
      const known = await Promise.race([held, waited]);
      if (known instanceof ProtocolError) return disbelieve(response, from, known);
      if (known instanceof Error) return refuse(response, 'not-held', known.message);
      // What is due is in hand by now, whether or not the lease book has it; what is not would be lost with the process.
      if (known === 'waited' && (watcher?.dueMs ?? 0) > clock.nowMs()) return refuse(response, 'not-held', 'the lease book does not answer: this order, which is not due yet, may be lost');
      if (known === null && !(watcher !== null && watcher.dueMs > clock.nowMs())) await waited;
      const done = watcher !== null && watcher.last !== null && isOver(watcher.last, watcher);
      answer(response, done ? 200 : 202, { report: watcher?.last ?? null });
    } finally {
      cancel();
      if (watcher !== null) watchers.delete(watcher);
    }
  };

  const receive = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const from = request.socket.remoteAddress ?? '';
    const path = request.url;
    if (path === '/healthz') return request.method === 'GET' ? answer(response, 200, { status: 'ok' }) : refuse(response, 'method-not-allowed', 'GET /healthz', { allow: 'GET' });
    if (path === '/v1/orders' && request.method === 'POST') return takeOrder(request, response, from);
    if (!rates.mayAsk(from)) return turnAway(response);
    if (path !== '/v1/orders') return refuse(response, 'not-found', 'this door takes POST /v1/orders, and nothing else');
    return refuse(response, 'method-not-allowed', 'POST /v1/orders', { allow: 'POST' });
  };
  const listener: RequestListener = (request, response) => {
    receive(request, response).catch((error: unknown) => {
      logger.error({ reason: String(error) }, 'a request at the door came to nothing');
      if (!response.headersSent) refuse(response, 'internal', 'it came to nothing');
    });
  };

  const limits = { headersTimeout: REQUEST_MS, requestTimeout: REQUEST_MS, connectionsCheckingInterval: 1_000, maxHeaderSize: 8_192 };
  const server: Server = tls === null ? createHttpServer(limits, listener) : createHttpsServer({ ...limits, ...tls, minVersion: 'TLSv1.2', handshakeTimeout: REQUEST_MS }, listener);
  server.maxConnections = CONNECTIONS_MAX;
  server.on('connection', (socket: Socket) => {
    // Known only while it is open.
    const from = socket.remoteAddress ?? '';
    // Without TLS all come from one address: that of whoever adds it.
    if (tls !== null && !rates.mayConnect(from)) return void socket.destroy();
    socket.once('close', () => {
      if (tls !== null) rates.disconnected(from);
    });
  });
  // Rubbish where a request, or TLS, was due: the connection is gone, and nothing else.
  server.on('clientError', (_error: Error, socket: Duplex) => socket.destroy());
  server.on('tlsClientError', (_error: Error, socket: TLSSocket) => socket.destroy());
  const url = await listen(server, options);
  return {
    url,
    tell(message) {
      const report = readPayload(message.report, anyReportSchema);
      if (report.kind !== 'revoked') return;
      for (const watcher of watchers) {
        if (watcher.leaseId !== report.leaseId || (watcher.last !== null && isOver(watcher.last, watcher))) continue;
        watcher.last = message;
        if (isOver(message, watcher)) watcher.over();
      }
    },
    close: () => new Promise((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    }),
  };
}

/** Null for what is no order: the worker says so. */
function watcherOf(order: Dsse, over: () => void): Watcher | null {
  try {
    const { leaseId, notBefore } = readPayload(order, revokeOrderSchema);
    return { leaseId, order: payloadDigest(order), dueMs: parseTime(notBefore), last: null, over };
  } catch (error) {
    if (error instanceof ProtocolError) return null;
    throw error;
  }
}

/** Whether nothing more will be said: it is gone, or what is there was not given and is left alone. */
function isOver({ report }: ReportMessage, { order }: Watcher): boolean {
  const said = readPayload(report, reportSchema);
  return said.kind === 'revoked' && (said.outcome === 'done' || said.outcome === 'already-absent' || (said.outcome === 'mismatch' && said.order === order));
}

function waitOf(request: IncomingMessage): number {
  const seconds = /(?:^|,)\s*wait=([0-9]{1,5})\s*(?:,|;|$)/.exec(String(request.headers['prefer'] ?? ''))?.[1];
  return seconds === undefined ? WAIT_MS : Math.min(Number(seconds) * 1000, WAIT_MS_MAX);
}

/** The body; null for one that is too large, whatever its header said. */
function readBody(request: IncomingMessage): Promise<Uint8Array | null> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let length = 0;
    request.on('data', (chunk: Buffer) => {
      length += chunk.length;
      // What comes after that is not kept; it is read, so that the answer is heard.
      if (length <= ORDER_BYTES_MAX) chunks.push(chunk);
      if (length > ORDER_BYTES_MAX * 4) request.destroy();
    });
    request.on('end', () => resolve(length > ORDER_BYTES_MAX ? null : Buffer.concat(chunks)));
    request.on('error', reject);
  });
}

function turnAway(response: ServerResponse): void {
  refuse(response, 'too-many-requests', 'too many from that address', { 'retry-after': '1' });
}

function refuse(response: ServerResponse, code: Trouble, detail: string, headers: Readonly<Record<string, string>> = {}): void {
  answer(response, STATUS[code], { code, detail: detail.slice(0, 500) }, headers);
}

function answer(response: ServerResponse, status: number, body: object, headers: Readonly<Record<string, string>> = {}): void {
  if (response.headersSent || response.destroyed) return;
  response.writeHead(status, { 'content-type': 'application/json', 'cache-control': 'no-store', 'connection': 'close', ...headers });
  response.end(JSON.stringify(body));
}

function listen(server: Server, { host, port, tls }: DoorOptions): Promise<string> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => {
      server.off('error', reject);
      const address = server.address();
      const chosen = address !== null && typeof address === 'object' ? address.port : port;
      resolve(`${tls === null ? 'http' : 'https'}://${host.includes(':') ? `[${host}]` : host}:${chosen}`);
    });
  });
}
