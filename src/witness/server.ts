/**
 * The witness on HTTP: `POST /add-checkpoint`, and `GET /<hex SHA-256(origin)>/checkpoint` for whoever wants to know what it cosigned last.
 *
 * Nothing here is secret and nobody is asked who they are: a checkpoint is signed by its log, a cosignature by the witness. What strangers can
 * cost is bounded: bodies, headers, connections, and the time of each.
 *
 * @see https://c2sp.org/tlog-witness
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { ADD_CHECKPOINT_BYTES_MAX, type Witness } from '../../ledger/index.ts';

export interface WitnessLogger {
  info(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

export interface WitnessServer {
  /** `http://host:port`. */
  readonly address: string;
  /** Takes no new connection, lets requests in hand end, and after `drainMs` ends them. */
  close(drainMs: number): Promise<void>;
}

const LIMITS = { maxHeaderSize: 16_384, headersTimeout: 10_000, requestTimeout: 20_000, keepAliveTimeout: 30_000, connectionsCheckingInterval: 5_000 } as const;
const CONNECTIONS_MAX = 1_024;
const TEXT = 'text/plain; charset=utf-8';

interface Reply {
  readonly status: number;
  readonly contentType: string;
  readonly body: string;
  readonly headers?: Readonly<Record<string, string>>;
}

const refusal = (status: number, why: string, headers: Readonly<Record<string, string>> = {}): Reply => ({ status, contentType: TEXT, body: `${why}\n`, headers });

/** @param port 0: the system chooses one. Rejects when it cannot listen there. */
export async function serveWitness(witness: Witness, { host, port, logger, nowMs }: { host: string; port: number; logger: WitnessLogger; nowMs: () => number }): Promise<WitnessServer> {
  const server = createServer(LIMITS, (request, response) => {
    const startedMs = nowMs();
    answer(witness, request, logger)
      .catch((error: unknown) => {
        if (request.destroyed && !request.complete) return null;
        logger.error({ cause: error instanceof Error ? (error.stack ?? error.message) : String(error) }, 'a request failed');
        return refusal(500, 'something went wrong that is not of your making');
      })
      .then((reply) => {
        if (reply === null) return;
        send(request, response, reply);
        logger.info({ method: request.method, path: request.url?.slice(0, 200), status: reply.status, tookMs: nowMs() - startedMs }, 'request');
      })
      .catch(() => response.destroy());
  });
  server.maxConnections = CONNECTIONS_MAX;
  await listen(server, host, port);
  const { address, port: chosen, family } = server.address() as AddressInfo;
  return { address: `http://${family === 'IPv6' ? `[${address}]` : address}:${chosen}`, close: (drainMs) => close(server, drainMs) };
}

async function answer(witness: Witness, request: IncomingMessage, logger: WitnessLogger): Promise<Reply> {
  const path = request.url ?? '';
  if (path === '/add-checkpoint') {
    if (request.method !== 'POST') return refusal(405, 'POST an add-checkpoint request here', { allow: 'POST' });
    const body = await readBody(request);
    if (body === null) return refusal(413, `an add-checkpoint request has at most ${ADD_CHECKPOINT_BYTES_MAX} bytes`, { connection: 'close' });
    const { forked, origin, size, ...reply } = await witness.addCheckpoint(body);
    if (forked) logger.error({ origin, size }, 'a log has signed two histories: both heads are kept below forks/');
    else logger.info({ origin, size, status: reply.status, ...(reply.status === 200 ? {} : { why: reply.body.trim() }) }, reply.status === 200 ? 'cosigned' : 'not cosigned');
    return reply;
  }
  const match = /^\/([0-9a-f]{64})\/checkpoint$/.exec(path);
  if (match === null) return refusal(404, 'no such resource');
  if (request.method !== 'GET' && request.method !== 'HEAD') return refusal(405, 'GET the last cosigned checkpoint here', { allow: 'GET, HEAD' });
  const note = witness.latest(match[1]!);
  return note === null ? refusal(404, 'this witness has cosigned no such log') : { status: 200, contentType: TEXT, body: note, headers: { 'cache-control': 'no-cache' } };
}

/** The whole body, or null once it is too long: the rest is not read. */
async function readBody(request: IncomingMessage): Promise<Uint8Array | null> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Uint8Array>) {
    length += chunk.byteLength;
    if (length > ADD_CHECKPOINT_BYTES_MAX) return null;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function send(request: IncomingMessage, response: ServerResponse, { status, contentType, body, headers = {} }: Reply): void {
  const bytes = Buffer.from(body);
  response.writeHead(status, { 'cache-control': 'no-store', 'x-content-type-options': 'nosniff', ...headers, 'content-type': contentType, 'content-length': bytes.byteLength });
  response.end(request.method === 'HEAD' ? undefined : bytes);
}

function listen(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host, port }, () => {
      server.off('error', reject);
      resolve();
    });
  });
}

function close(server: Server, drainMs: number): Promise<void> {
  return new Promise((resolve) => {
    // A connection whose last answer is out is idle, and would be kept open for the next request.
    const idle = setInterval(() => server.closeIdleConnections(), 25);
    const deadline = setTimeout(() => server.closeAllConnections(), drainMs);
    server.close(() => {
      clearInterval(idle);
      clearTimeout(deadline);
      resolve();
    });
    server.closeIdleConnections();
  });
}
