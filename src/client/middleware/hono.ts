/**
 * Hono: a route that runs only inside an access change.
 *
 * ```ts
 * import { access, accessOf } from 'countersign/hono';
 *
 * app.post('/deployments', access({ client, change: (c) => ({ kind: 'grant', duration: 'PT5M', … }) }), async (c) => {
 *   const { account, signal } = accessOf(c);
 *   …
 * });
 * ```
 */
import { holdAccess, type GuardOptions } from './hold.ts';
import { mistakeOf, refusalOf } from './refusal.ts';

export { accessOf, type GuardedRequest, type GuardOptions, type RequestAccess } from './hold.ts';

/** The part of Hono's `Context` that is used here. */
export interface HonoContext {
  readonly req: { readonly raw: Request; readonly method: string };
  res: Response;
}

/** Middleware: whoever gets past it holds the access until the last byte of the response has been taken, or nobody waits for it any more. */
export function access<C extends HonoContext>(options: GuardOptions<C>): (c: C, next: () => Promise<void>) => Promise<Response | undefined> {
  return async (c, next) => {
    const over = new AbortController();
    const end = (): void => over.abort();
    const { signal } = c.req.raw;
    if (signal.aborted) end();
    else signal.addEventListener('abort', end, { once: true });
    try {
      await holdAccess(options, c, over.signal);
    } catch (error) {
      const refusal = refusalOf(error);
      if (refusal === null) throw mistakeOf(error);
      return new Response(JSON.stringify(refusal.body), { status: refusal.status, headers: refusal.headers });
    }
    try {
      await next();
    } catch (error) {
      end();
      throw error;
    }
    const { body } = c.res;
    // Of an answer to HEAD nobody takes the body.
    if (body === null || c.req.method === 'HEAD') end();
    else c.res = new Response(endingWith(body, end), c.res);
    return undefined;
  };
}

/** The same bytes; `end` is called once they are all taken, cannot be had, or are not wanted any more. */
function endingWith(body: ReadableStream<Uint8Array>, end: () => void): ReadableStream<Uint8Array> {
  const reader = body.getReader();
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      try {
        const { done, value } = await reader.read();
        if (!done) return controller.enqueue(value);
        controller.close();
      } catch (error) {
        controller.error(error);
      }
      end();
    },
    async cancel(reason) {
      end();
      await reader.cancel(reason);
    },
  });
}
