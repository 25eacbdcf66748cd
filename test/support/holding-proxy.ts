/** An HTTP proxy that lets something else happen before it passes a write on. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface HoldingProxy {
  readonly address: string;
  close(): Promise<void>;
}

/** Passes everything on to `target`; a POST to exactly `path` once `meanwhile` is done. */
export async function holdingProxy(target: string, path: string, meanwhile: () => Promise<void>): Promise<HoldingProxy> {
  const server = createServer((request, response) => {
    const pass = async (): Promise<void> => {
      const chunks: Buffer[] = [];
      for await (const chunk of request) chunks.push(chunk as Buffer);
      if (request.method === 'POST' && request.url === path) await meanwhile();
      const headers = Object.fromEntries(Object.entries(request.headers).filter(([name]) => name.startsWith('x-') || name === 'content-type')) as Record<string, string>;
      const answer = await fetch(target + request.url!, { method: request.method!, headers, ...(chunks.length === 0 ? {} : { body: Buffer.concat(chunks) }) });
      response.writeHead(answer.status, { 'content-type': 'application/json' }).end(Buffer.from(await answer.arrayBuffer()));
    };
    pass().catch(() => response.destroy());
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  return {
    address: `http://127.0.0.1:${String((server.address() as AddressInfo).port)}`,
    close: () => new Promise((closed) => {
      server.close(() => closed());
      server.closeAllConnections();
    }),
  };
}
