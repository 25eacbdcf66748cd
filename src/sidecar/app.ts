/**
 * The HTTP surface: edge checks, then who asks, then what is asked, then the handler. Each refusal comes before anything that it refuses.
 */
import type { IncomingMessage } from 'node:http';
import { Hono, type Context } from 'hono';
import type { Authenticator } from '../identity/authenticator.ts';
import type { TraceContext } from '../tracing/trace.ts';
import { authorise } from './authorise.ts';
import { authzenRefusal, changeEvaluator, createAuthzenRouter } from './authzen/router.ts';
import { isAuthzenPath } from './authzen/routes.ts';
import { check, readBody } from './body.ts';
import type { Call, Handlers, Reply } from './call.ts';
import { callerHandlers } from './caller.ts';
import { changeHandlers } from './changes.ts';
import { problemOf, type SidecarContext } from './context.ts';
import { isCanonicalPath, isForThePage, OWN_HOSTS, readIdempotencyKey, requireHost, requireNoOrigin, requireSingleHeaders } from './edge.ts';
import { ERRORS, Problem, problemBody } from './errors.ts';
import { erasureHandlers } from './erasures.ts';
import { heldRevokeHandlers } from './held-revokes.ts';
import { proposalHandlers } from './proposals.ts';
import { lockHandlers } from './locks.ts';
import { meHandlers } from './me.ts';
import { standingApprovalHandlers } from './standing-approvals.ts';
import { nhiHandlers } from './nhis.ts';
import { packHandlers } from './packs.ts';
import { publicHandlers } from './public.ts';
import { reconciliationHandlers } from './reconciliations.ts';
import { verdictHandlers } from './verdicts.ts';
import { ROUTES, type Route } from './routes.ts';
import type { SlackChannel } from '../slack/channel.ts';
import { createSlackRouter } from './slack.ts';
import { traced } from './traced.ts';

export interface AppOptions extends SidecarContext {
  readonly tokens: Authenticator;
  /** Names that this sidecar answers to, beside {@link OWN_HOSTS}; no ports. */
  readonly hosts: readonly string[];
  /** The channel that people decide in; left out: there is none. */
  readonly slack?: Pick<SlackChannel, 'take'>;
}

/** What the Node adapter hands over; a test that calls the app directly has none of it. */
interface Env {
  Bindings: { readonly incoming?: IncomingMessage };
  /** The template of the path, once it is known to be one of ours. */
  Variables: { route?: string };
}
const METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'POST', 'OPTIONS', 'PUT', 'PATCH', 'DELETE']);
type AnyHandler = (call: Call<Route>) => Promise<Reply>;

/** The app over an engine and its log. Owns nothing: closing them is the caller's. */
export function createApp(options: AppOptions): Hono<Env> {
  const handlers: Handlers = {
    ...changeHandlers(options), ...callerHandlers(options), ...verdictHandlers(options), ...lockHandlers(options), ...standingApprovalHandlers(options), ...erasureHandlers(options), ...meHandlers(), ...nhiHandlers(options), ...heldRevokeHandlers(options), ...proposalHandlers(options), ...reconciliationHandlers(options), ...packHandlers(options),
    ...publicHandlers(options),
  };
  // Each handler fits its own route; the loop below pairs them by name, which the compiler cannot follow.
  const byName = handlers as unknown as Readonly<Record<string, AnyHandler>>;
  const refuse = (c: Context<Env>, problem: Problem): Response => {
    const path = rawPath(c.req, c.env);
    return isAuthzenPath(path) ? authzenRefusal(problem, c.req.raw) : refusal(problem, path);
  };
  const hosts = new Set([...OWN_HOSTS, ...options.hosts.map((host) => host.toLowerCase()), ...(options.publicUrl === undefined ? [] : [new URL(options.publicUrl).hostname])]);
  const app = new Hono<Env>();

  const { metrics, tracing } = options;
  if (metrics !== undefined) {
    app.use('*', async (c, next) => {
      const startedMs = performance.now();
      await next();
      metrics.answered(c.get('route') ?? 'other', METHODS.has(c.req.method) ? c.req.method : 'other', c.res.status, (performance.now() - startedMs) / 1000);
    });
  }
  app.use('*', async (c, next) => {
    if (c.env.incoming !== undefined) requireSingleHeaders(c.env.incoming);
    requireHost(c.req.header('host') ?? new URL(c.req.url).host, hosts);
    requireNoOrigin(c.req.raw.headers, isForThePage(c.req.method, rawPath(c.req, c.env)) ? options.publicUrl : undefined);
    if (!isCanonicalPath(rawPath(c.req, c.env))) throw new Problem('not-found', 'no resource of this name');
    await next();
  });

  for (const [operationId, route] of Object.entries<Route>(ROUTES)) {
    app.on(route.method, honoPath(route.path), async (c) => {
      c.set('route', route.path);
      const reply = async (trace?: TraceContext): Promise<Reply> => byName[operationId]!({ ...(await readCall(c, route, options)), ...(trace === undefined ? {} : { trace }) });
      return answer(await (tracing === undefined ? reply() : traced(tracing, route, { traceparent: c.req.header('traceparent') ?? null, changeId: c.req.param('id') }, reply)));
    });
  }
  const methods = new Map<string, string[]>();
  for (const { path, method } of Object.values<Route>(ROUTES)) methods.set(path, [...(methods.get(path) ?? []), ...(method === 'GET' ? ['GET', 'HEAD'] : [method])]);
  for (const [path, allowed] of methods) {
    app.all(honoPath(path), () => {
      throw new Problem('method-not-allowed', `allowed here: ${allowed.join(', ')}`, { headers: { allow: allowed.join(', ') } });
    });
  }
  app.route('/', createAuthzenRouter({ ...options, evaluatorFor: (by) => changeEvaluator(options, by) }));
  if (options.slack !== undefined) app.route('/', createSlackRouter(options.slack));
  app.notFound((c) => refuse(c, new Problem('not-found', 'no resource of this name')));
  app.onError((error, c) => {
    const problem = problemOf(error);
    const { status } = ERRORS[problem.code];
    const fields = { method: c.req.method, status, code: problem.code };
    // Where an archive should be is for whoever runs this, and not for whoever asked.
    if (status >= 500 || problem.code === 'archived') options.logger.error({ ...fields, cause: causeOf(problem) }, 'a request failed');
    else options.logger.info(fields, 'a request was refused');
    return refuse(c, problem);
  });
  return app;
}

/** `{id}` is one segment, `{tile...}` the rest. */
function honoPath(path: string): string {
  return path.replaceAll(/\{([a-z]+)\.\.\.\}/g, ':$1{.+}').replaceAll(/\{([a-z]+)\}/g, ':$1');
}

/** The path as it was sent: URL parsers have cleaned it up by the time anyone else sees it. */
function rawPath(request: { readonly url: string }, env: Env['Bindings']): string {
  const target = env.incoming?.url ?? new URL(request.url).pathname;
  const end = target.indexOf('?');
  return end === -1 ? target : target.slice(0, end);
}

async function readCall(c: Context<Env>, route: Route, { tokens, ledgerReaders }: AppOptions): Promise<Call<Route>> {
  const isOpen = route.roles === 'public' || (route.openToAnyone === true && ledgerReaders === 'anyone');
  const by = isOpen ? null : authorise(await tokens.authenticate(c.req.header('authorization')), route.roles);
  const query = check(readQuery(new URL(c.req.url).searchParams), route.query, 'malformed-query', 'the query is not one that this resource knows');
  const idempotencyKey = route.takesIdempotencyKey === true ? readIdempotencyKey(c.req.raw.headers) : null;
  const body = route.body === null ? null : await readBody(c.req.raw, route.body);
  return { by, params: c.req.param(), query, body, idempotencyKey } as Call<Route>;
}

function readQuery(parameters: URLSearchParams): Record<string, string> {
  const names = [...parameters.keys()];
  if (new Set(names).size !== names.length) throw new Problem('malformed-query', 'a parameter came twice');
  return Object.fromEntries(parameters);
}

const COMMON_HEADERS = { 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' } as const;

function answer({ status, body, headers = {} }: Reply): Response {
  if (body instanceof Uint8Array) return new Response(Buffer.from(body), { status, headers: { ...COMMON_HEADERS, ...headers } });
  if (body instanceof ReadableStream) return new Response(body as ReadableStream<Uint8Array>, { status, headers: { ...COMMON_HEADERS, ...headers } });
  return new Response(JSON.stringify(body), { status, headers: { ...COMMON_HEADERS, 'content-type': 'application/json', ...headers } });
}

function refusal(problem: Problem, instance: string): Response {
  const body = problemBody(problem, instance.slice(0, 512));
  return new Response(JSON.stringify(body), {
    status: body.status,
    headers: { ...COMMON_HEADERS, 'content-type': 'application/problem+json', ...problem.headers },
  });
}

function causeOf(problem: Problem): string {
  const { cause } = problem;
  return cause instanceof Error ? (cause.stack ?? cause.message) : String(cause);
}
