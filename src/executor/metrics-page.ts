/** `GET /metrics` of a worker, over plain HTTP: for a Prometheus on the same machine, or one that can reach the address that the configuration names. */
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Logger } from '../engine/ports.ts';
import type { WorkerMetrics } from '../metrics/worker.ts';

export interface MetricsPage {
  readonly url: string;
  close(): Promise<void>;
}

const CONNECTIONS_MAX = 16;
const REQUEST_MS = 5_000;

/** Null where nobody can listen there, which is logged: that nobody can look is no reason to leave access behind. */
export async function listenForMetrics({ host, port }: { readonly host: string; readonly port: number }, metrics: WorkerMetrics, logger: Logger): Promise<MetricsPage | null> {
  const server = createServer({ requestTimeout: REQUEST_MS, headersTimeout: REQUEST_MS, connectionsCheckingInterval: REQUEST_MS }, (request, response) => {
    const answer = (status: number, type: string, text: string): void => {
      response.writeHead(status, { 'content-type': type, 'cache-control': 'no-store', 'x-content-type-options': 'nosniff', connection: 'close' }).end(request.method === 'HEAD' ? '' : text);
    };
    if (request.method !== 'GET' && request.method !== 'HEAD') return answer(405, 'text/plain', 'GET\n');
    if (request.url !== '/metrics') return answer(404, 'text/plain', 'there is /metrics here\n');
    metrics.text().then((text) => answer(200, metrics.contentType, text), (error: unknown) => {
      logger.error({ error: String(error) }, 'metrics could not be told');
      answer(500, 'text/plain', 'not now\n');
    });
  });
  server.maxConnections = CONNECTIONS_MAX;
  try {
    await listening(server, host, port);
  } catch (error) {
    logger.error({ host, port, error: String(error) }, 'nobody can listen there for who asks for metrics; the executor works without');
    return null;
  }
  server.on('error', (error) => logger.warn({ error: error.message }, 'the door for metrics'));
  return {
    url: `http://${host.includes(':') ? `[${host}]` : host}:${(server.address() as AddressInfo).port}/metrics`,
    close: () => new Promise((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    }),
  };
}

function listening(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => {
      server.off('error', reject);
      resolve();
    });
  });
}
