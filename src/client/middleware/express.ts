/**
 * Express: a route that runs only inside an access change.
 *
 * ```ts
 * import { access, accessOf } from 'countersign/express';
 *
 * app.post('/deployments', access({ client, change: (request) => ({ kind: 'grant', duration: 'PT5M', … }) }), async (request, response) => {
 *   const { account, signal } = accessOf(request);
 *   …
 * });
 * ```
 */
import { holdAccess, type GuardOptions } from './hold.ts';
import { signalOver, type NodeResponse } from './node-response.ts';
import { mistakeOf, refusalOf } from './refusal.ts';

export { accessOf, type GuardedRequest, type GuardOptions, type RequestAccess } from './hold.ts';

/** The part of Express' `Response` that is used here: Node's. */
export interface ExpressResponse extends NodeResponse {
  statusCode: number;
  setHeader(name: string, value: string): unknown;
  end(text: string): unknown;
}

/** Middleware: whoever gets past it holds the access until the response is over. */
export function access<R extends object>(options: GuardOptions<R>): (request: R, response: ExpressResponse, next: (error?: unknown) => void) => void {
  return (request, response, next) => {
    const over = signalOver(response);
    holdAccess(options, request, over).then(
      // Nobody waits for an answer any more, and the access is being given back.
      () => (over.aborted ? undefined : next()),
      (error: unknown) => {
        const refusal = refusalOf(error);
        if (refusal === null) return next(mistakeOf(error));
        if (over.aborted) return undefined;
        response.statusCode = refusal.status;
        for (const [name, value] of Object.entries(refusal.headers)) response.setHeader(name, value);
        response.end(JSON.stringify(refusal.body));
        return undefined;
      },
    ).catch(next);
  };
}
