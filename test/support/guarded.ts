/** The same guarded route in each framework, on a port of its own. */
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { serve } from '@hono/node-server';
import express from 'express';
import { fastify } from 'fastify';
import { Hono, type Context } from 'hono';
import * as onExpress from '../../src/client/middleware/express.ts';
import * as onFastify from '../../src/client/middleware/fastify.ts';
import * as onHono from '../../src/client/middleware/hono.ts';
import type { GuardOptions, RequestAccess } from '../../src/client/middleware/hold.ts';

export interface Guarded {
  readonly url: string;
  close(): Promise<void>;
}
/** What the route's handler does with its access; text or a stream of it is the answer. */
export type Work = (access: RequestAccess) => Promise<string | ReadableStream<Uint8Array>>;
export type Guarding = Omit<GuardOptions<object>, 'change'> & { readonly change: (request: object) => ReturnType<GuardOptions<object>['change']> };

export const FRAMEWORKS: readonly (readonly [name: string, open: (guarding: Guarding, work: Work) => Promise<Guarded>])[] = [
  ['Hono', openHono], ['Express', openExpress], ['Fastify', openFastify],
];

async function openHono(guarding: Guarding, work: Work): Promise<Guarded> {
  const app = new Hono();
  app.get('/guarded', onHono.access<Context>(guarding), async (c) => c.body(await work(onHono.accessOf(c))));
  app.get('/open', (c) => c.text(onHono.accessOf(c).account));
  app.onError((error, c) => c.text(error.message, 500));
  const server = await new Promise<Server>((resolve) => {
    const made = serve({ fetch: app.fetch, port: 0, hostname: '127.0.0.1' }, () => resolve(made as Server));
  });
  return listening(server);
}

async function openExpress(guarding: Guarding, work: Work): Promise<Guarded> {
  const app = express();
  app.get('/guarded', onExpress.access<express.Request>(guarding), async (request, response) => {
    const answer = await work(onExpress.accessOf(request));
    if (typeof answer === 'string') response.send(answer);
    else Readable.fromWeb(answer as Parameters<typeof Readable.fromWeb>[0]).on('error', () => response.destroy()).pipe(response);
  });
  app.get('/open', (request, response) => void response.send(onExpress.accessOf(request).account));
  app.use((error: Error, _request: express.Request, response: express.Response, _next: express.NextFunction) => void response.status(500).send(error.message));
  const server = await new Promise<Server>((resolve) => {
    const made = app.listen(0, '127.0.0.1', () => resolve(made));
  });
  return listening(server);
}

async function openFastify(guarding: Guarding, work: Work): Promise<Guarded> {
  const app = fastify();
  app.get('/guarded', { preHandler: onFastify.access(guarding) }, async (request, reply) => {
    const answer = await work(onFastify.accessOf(request));
    return reply.send(typeof answer === 'string' ? answer : Readable.fromWeb(answer as Parameters<typeof Readable.fromWeb>[0]));
  });
  app.get('/open', async (request) => onFastify.accessOf(request).account);
  const url = await app.listen({ port: 0, host: '127.0.0.1' });
  return {
    url,
    async close() {
      app.server.closeAllConnections();
      await app.close();
    },
  };
}

function listening(server: Server): Guarded {
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () => new Promise((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    }),
  };
}
