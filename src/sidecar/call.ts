/** What a handler is given and gives back: plain values, so that it knows nothing of HTTP libraries. */
import type { z } from 'zod';
import type { Authenticated } from '../identity/tokens.ts';
import type { TraceContext } from '../tracing/trace.ts';
import type { OperationId, Route, Routes } from './routes.ts';

export interface Call<R extends Route> {
  /** Who asks; null only on a route that needs no token. */
  readonly by: R['roles'] extends 'public' ? null : R extends { readonly openToAnyone: true } ? Authenticated | null : Authenticated;
  /** Decoded path parameters. */
  readonly params: Readonly<Record<string, string>>;
  readonly query: z.infer<R['query']>;
  readonly body: R['body'] extends z.ZodType ? z.infer<R['body']> : null;
  /** The Idempotency-Key, unquoted; null where none came. */
  readonly idempotencyKey: string | null;
  /** In which it is answered, where anybody looks at traces. */
  readonly trace?: TraceContext;
}

/** Answered as JSON, or as the bytes themselves, at once or in pieces, where the route serves a media type. */
export interface Reply {
  readonly status: number;
  readonly body: object | Uint8Array;
  readonly headers?: Readonly<Record<string, string>>;
}

export type Handler<R extends Route> = (call: Call<R>) => Promise<Reply>;
/** One handler for each route: a route without one does not compile. */
export type Handlers<Op extends OperationId = OperationId> = { readonly [K in Op]: Handler<Routes[K]> };
