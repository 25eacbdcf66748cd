/** A request as a span, where anybody looks at traces: in its caller's trace, if it came with one. @see https://opentelemetry.io/docs/specs/semconv/http/http-spans/ */
import type { RecentTraces } from '../tracing/recent.ts';
import { parseTraceparent, type TraceContext, type Tracer } from '../tracing/trace.ts';
import type { Reply } from './call.ts';
import { problemOf } from './context.ts';
import { ERRORS } from './errors.ts';
import type { Route } from './routes.ts';

export interface Tracing {
  readonly tracer: Tracer;
  /** In which traces changes go on. */
  readonly changes: RecentTraces;
}

/** Asked all day long by machines that look whether it is there. */
const UNTRACED: ReadonlySet<string> = new Set(['/healthz', '/readyz', '/metrics']);

/**
 * What `run` answers. The span has the route's template and no word of the request: paths have what callers wrote.
 *
 * @param changeId as it is in the path: what is done next about a change that this was about, is linked to it
 */
export async function traced(tracing: Tracing, route: Route, asked: { readonly traceparent: string | null; readonly changeId: string | undefined }, run: (trace: TraceContext | undefined) => Promise<Reply>): Promise<Reply> {
  if (UNTRACED.has(route.path)) return run(undefined);
  const span = tracing.tracer.begin(`${route.method} ${route.path}`, { kind: 'server', parent: parseTraceparent(asked.traceparent), attributes: { 'http.request.method': route.method, 'http.route': route.path } });
  const isAboutChange = asked.changeId !== undefined && route.method !== 'GET' && route.path.startsWith('/v1/changes/{id}');
  const unfollow = isAboutChange ? tracing.changes.follow(asked.changeId, span.context) : () => undefined;
  const end = (status: number, code?: string): void => span.end({
    ...(status < 500 ? {} : { error: code ?? String(status) }), attributes: { 'http.response.status_code': status, ...(code === undefined ? {} : { 'countersign.code': code }) },
  });
  try {
    const reply = await run(span.context);
    end(reply.status);
    return reply;
  } catch (error) {
    unfollow();
    const { code } = problemOf(error);
    end(ERRORS[code].status, code);
    throw error;
  }
}
