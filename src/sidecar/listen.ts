/** Opens the sidecar's doors, a unix socket and loopback, and closes them without cutting anybody off. */
import { createAdaptorServer, type ServerType } from '@hono/node-server';
import { chmod, lstat, mkdir, mkdtemp, rename, rm } from 'node:fs/promises';
import { createServer as createHttpServer, Server } from 'node:http';
import { createServer as createHttpsServer, Server as HttpsServer } from 'node:https';
import { connect, type AddressInfo, type ListenOptions } from 'node:net';
import { dirname, join } from 'node:path';

type Fetch = Parameters<typeof createAdaptorServer>[0]['fetch'];

export class ListenError extends Error {
  readonly code: 'in-use' | 'not-a-socket' | 'cannot-listen';
  constructor(code: ListenError['code'], message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'ListenError';
    this.code = code;
  }
}

export interface Listening {
  /** Path of the unix socket, or `http://host:port`. */
  readonly address: string;
  /** Takes no new connection, lets requests in flight end, and after `drainMs` ends them. */
  close(drainMs: number): Promise<void>;
}

const SERVER_LIMITS = { maxHeaderSize: 16_384, headersTimeout: 10_000, requestTimeout: 30_000, keepAliveTimeout: 5_000, requireHostHeader: true } as const;
const CONNECTIONS_MAX = 2_048;

/** Only the owner of the process can connect. A socket that a dead process left is replaced. @throws ListenError */
export async function listenOnSocket(path: string, fetch: Fetch): Promise<Listening> {
  await requireFree(path);
  const directory = dirname(path);
  await mkdir(directory, { recursive: true, mode: 0o700 });
  // Bound where nobody else can reach it, made private, then moved: there is no moment at which another user could connect.
  const hidden = await mkdtemp(join(directory, '.'));
  const server = makeServer(fetch);
  try {
    const bound = join(hidden, 's');
    await listen(server, { path: bound });
    await chmod(bound, 0o600);
    await rename(bound, path);
  } finally {
    await rm(hidden, { recursive: true, force: true });
  }
  return {
    address: path,
    async close(drainMs) {
      await rm(path, { force: true });
      await close(server, drainMs);
    },
  };
}

/** @param port 0: the system chooses one. @throws ListenError */
export function listenOnLoopback(host: '127.0.0.1' | '::1', port: number, fetch: Fetch): Promise<Listening> {
  return listenOnAddress(host, port, null, fetch);
}

export interface Tls {
  /** PEM, with what leads from it to an authority. */
  readonly cert: string;
  readonly key: string;
}

/** @param port 0: the system chooses one. @param tls null: plain HTTP. @throws ListenError */
export async function listenOnAddress(host: string, port: number, tls: Tls | null, fetch: Fetch): Promise<Listening> {
  const server = makeServer(fetch, tls);
  await listen(server, { host, port });
  const { port: chosen } = server.address() as AddressInfo;
  return { address: `${tls === null ? 'http' : 'https'}://${host.includes(':') ? `[${host}]` : host}:${chosen}`, close: (drainMs) => close(server, drainMs) };
}

/** From here on `Response` and `Request` are the adapter's in this process: Node's own make a stream of every answer, only for it to be read back. */
function makeServer(fetch: Fetch, tls: Tls | null = null): Server | HttpsServer {
  const server: ServerType = tls === null
    ? createAdaptorServer({ fetch, hostname: 'localhost', createServer: createHttpServer, serverOptions: SERVER_LIMITS })
    : createAdaptorServer({ fetch, hostname: 'localhost', createServer: createHttpsServer, serverOptions: { ...SERVER_LIMITS, ...tls, minVersion: 'TLSv1.2' } });
  if (!(server instanceof Server || server instanceof HttpsServer)) throw new TypeError('a server of HTTP/1.1 is what was asked for');
  server.maxConnections = CONNECTIONS_MAX;
  return server;
}

function listen(server: Server | HttpsServer, options: ListenOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    const fail = (cause: Error): void => reject(new ListenError('cannot-listen', cause.message, { cause }));
    server.once('error', fail);
    server.listen(options, () => {
      server.off('error', fail);
      resolve();
    });
  });
}

async function requireFree(path: string): Promise<void> {
  const there = await lstat(path).catch(() => null);
  if (there === null) return;
  if (!there.isSocket()) throw new ListenError('not-a-socket', `${path} is there and is no socket; it was left as it is`);
  const inUse = await new Promise<boolean>((resolve) => {
    const probe = connect(path);
    probe.once('connect', () => {
      probe.destroy();
      resolve(true);
    });
    probe.once('error', () => resolve(false));
  });
  if (inUse) throw new ListenError('in-use', `another process listens on ${path}`);
}

function close(server: Server | HttpsServer, drainMs: number): Promise<void> {
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
