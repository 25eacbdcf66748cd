/**
 * Fastify: a route that runs only inside an access change, as a `preHandler`.
 *
 * ```ts
 * import { access, accessOf } from 'countersign/fastify';
 *
 * app.post('/deployments', { preHandler: access({ client, change: (request) => ({ kind: 'grant', duration: 'PT5M', … }) }) }, async (request) => {
 *   const { account, signal } = accessOf(request);
 *   …
 * });
 * ```
 */
import { holdAccess, type GuardOptions } from './hold.ts';
import { signalOver, type NodeResponse } from './node-response.ts';
import { mistakeOf, refusalOf } from './refusal.ts';

export { accessOf, type GuardedRequest, type GuardOptions, type RequestAccess } from './hold.ts';

/** The part of Fastify's `FastifyReply` that is used here. */
export interface FastifyReply {
  readonly raw: NodeResponse;
  code(status: number): unknown;
  header(name: string, value: string): unknown;
  send(payload: string): unknown;
}

/** A hook: whoever gets past it holds the access until the response is over. */
export function access<R extends object>(options: GuardOptions<R>): (request: R, reply: FastifyReply) => Promise<unknown> {
  return async (request, reply) => {
    const over = signalOver(reply.raw);
    try {
      await holdAccess(options, request, over);
    } catch (error) {
      const refusal = refusalOf(error);
      if (refusal === null) throw mistakeOf(error);
      reply.code(refusal.status);
      for (const [name, value] of Object.entries(refusal.headers)) reply.header(name, value);
      reply.send(JSON.stringify(refusal.body));
      return reply;
    }
    // Nobody waits for an answer any more: Fastify goes no further with a reply that was returned.
    return over.aborted ? reply : undefined;
  };
}
