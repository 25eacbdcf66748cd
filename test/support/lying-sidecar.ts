import { createServer, request as forward, type Server } from 'node:http';

/** A sidecar in between that changes what it passes on. @param statusOf 0: the connection is cut instead */
export async function lyingSidecar(socketPath: string, change: (path: string, body: string) => string, statusOf: (path: string, answered: number) => number = (_path, answered) => answered): Promise<{ readonly url: string; close(): void }> {
  const server: Server = createServer((incoming, outgoing) => {
    const on = forward({ socketPath, path: incoming.url, method: incoming.method, headers: { ...incoming.headers, host: 'localhost' } }, (answered) => {
      const parts: Buffer[] = [];
      answered.on('data', (part: Buffer) => void parts.push(part));
      answered.on('end', () => {
        const body = change(incoming.url ?? '', Buffer.concat(parts).toString('utf8'));
        const { 'content-length': _length, ...headers } = answered.headers;
        const status = statusOf(incoming.url ?? '', answered.statusCode ?? 500);
        if (status === 0) outgoing.destroy();
        else outgoing.writeHead(status, headers).end(body);
      });
    });
    incoming.pipe(on);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  return { url: `http://127.0.0.1:${port}`, close: () => void server.close() };
}
