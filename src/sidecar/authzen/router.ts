/**
 * AuthZEN Authorization API 1.0 over HTTP: a router of its own. A deny is 200; from the moment that a request has been understood, so is everything else
 * that is not a yes, whatever becomes of policy: no status but 200 is an answer, and no 200 but `"decision": true` is a yes.
 *
 * @see https://openid.net/specs/authorization-api-1_0.html §10 (transport)
 */
import { Hono } from 'hono';
import { canonicalText } from '../../../ledger/index.ts';
import type { ChangeState } from '../../change/state.ts';
import type { Authenticator } from '../../identity/authenticator.ts';
import { requesterOf, type Authenticated } from '../../identity/tokens.ts';
import type { ChangeRequest, RecordedRequest } from '../../protocol/request.ts';
import { authorise } from '../authorise.ts';
import { check, readJson } from '../body.ts';
import type { SidecarContext } from '../context.ts';
import { ERRORS, Problem } from '../errors.ts';
import { maySeeChange } from '../visibility.ts';
import { answerOf, errorAnswer, type Waiting } from './answer.ts';
import { evaluateList, evaluateOne, type EvaluationPorts, type Evaluator } from './evaluations.ts';
import { readQuestion } from './question.ts';
import { AUTHZEN_ROUTES } from './routes.ts';
import { evaluationRequestSchema, evaluationsRequestSchema, type EvaluationRequest } from './schemas.ts';

export interface AuthzenOptions extends Pick<SidecarContext, 'clock' | 'logger'> {
  readonly tokens: Authenticator;
  /** `https://…`, without a path: where the sidecar is reached. Left out: it does not say. */
  readonly publicUrl?: string | undefined;
  /** What answers for whom. */
  readonly evaluatorFor: (by: Authenticated) => Evaluator;
}

const HEADERS = { 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' } as const;
const { evaluate, evaluateAll, getAuthzenConfiguration } = AUTHZEN_ROUTES;

export function createAuthzenRouter({ clock, evaluatorFor, logger, publicUrl, tokens }: AuthzenOptions): Hono {
  const router = new Hono();
  const ports: EvaluationPorts = {
    nowMs: () => clock.nowMs(),
    failed: (error) => logger.error({ cause: error instanceof Error ? (error.stack ?? error.message) : String(error) }, 'an evaluation failed, which is a no'),
  };
  const by = async (request: Request, roles: typeof evaluate.roles): Promise<Authenticated> => authorise(await tokens.authenticate(request.headers.get('authorization') ?? undefined), roles);
  const answer = (request: Request, body: object): Response => new Response(JSON.stringify(body), { status: 200, headers: { ...HEADERS, ...requestId(request), 'content-type': 'application/json' } });

  router.post(evaluate.path, async (c) => {
    const evaluator = evaluatorFor(await by(c.req.raw, evaluate.roles));
    return answer(c.req.raw, await evaluateOne(evaluator, check(await readJson(c.req.raw, 'any'), evaluationRequestSchema, 'invalid-request', WRONG), ports));
  });
  router.post(evaluateAll.path, async (c) => {
    const evaluator = evaluatorFor(await by(c.req.raw, evaluateAll.roles));
    const body = check(await readJson(c.req.raw, 'any'), evaluationsRequestSchema, 'invalid-request', WRONG);
    // Without a list it is the other endpoint, by the standard's word.
    if ((body.evaluations ?? []).length === 0) return answer(c.req.raw, await evaluateOne(evaluator, check(body, evaluationRequestSchema, 'invalid-request', WRONG), ports));
    return answer(c.req.raw, { evaluations: await evaluateList(evaluator, body, ports) });
  });
  router.get(getAuthzenConfiguration.path, (c) => {
    if (publicUrl === undefined) throw new Problem('not-found', 'this sidecar does not say where it is reached: publicUrl in its configuration');
    return answer(c.req.raw, { policy_decision_point: publicUrl, access_evaluation_endpoint: publicUrl + evaluate.path, access_evaluations_endpoint: publicUrl + evaluateAll.path });
  });
  for (const { method, path } of Object.values(AUTHZEN_ROUTES)) {
    const allowed = method === 'GET' ? 'GET, HEAD' : method;
    router.all(path, () => {
      throw new Problem('method-not-allowed', `allowed here: ${allowed}`, { headers: { allow: allowed } });
    });
  }
  return router;
}

const WRONG = 'the body is not what this endpoint takes';

/** An error as the standard has it: a status, and a string that begins with our code. It knows 400 where the API itself says more finely what is wrong. */
export function authzenRefusal(problem: Problem, request: Request): Response {
  const { status } = ERRORS[problem.code];
  const fields = problem.errors.map(({ pointer, detail }) => `${pointer === '' ? 'the body' : pointer}: ${detail}`).join('; ');
  const text = `${problem.code}: ${problem.message}${fields === '' ? '' : ` (${fields})`}\n`;
  return new Response(text, { status: status === 415 || status === 422 ? 400 : status, headers: { ...HEADERS, ...requestId(request), ...problem.headers, 'content-type': 'text/plain; charset=utf-8' } });
}

/** What the PEP called its request comes back with the answer, whatever that is. @see §10.1.3 */
function requestId(request: Request): { 'x-request-id'?: string } {
  const id = request.headers.get('x-request-id');
  return id === null ? {} : { 'x-request-id': id };
}

/** The evaluator that asks this sidecar's policy about the change which the evaluation names, as if `by` asked for it. */
export function changeEvaluator({ engine, facts }: Pick<SidecarContext, 'engine' | 'facts'>, by: Authenticated): Evaluator {
  const visible = async (changeId: string): Promise<ChangeState | null> => {
    const state = await engine.find(changeId);
    return state !== undefined && maySeeChange(by, state, facts()) ? state : null;
  };
  return async (evaluation: EvaluationRequest) => {
    const question = readQuestion(evaluation);
    if (!question.ok) return errorAnswer('not-a-change', question.status, question.message);
    const { request } = question;
    const asked = await engine.evaluate(requesterOf(by), request, request.kind === 'extend' ? await visible(request.change) : null);
    return answerOf(asked, asked.code === 'needs-approval' ? waitingFor(engine.open(), by, request) : null);
  };
}

/** The asker's own change that asks the same and waits for approvals; null where there is none. */
function waitingFor(open: Iterable<ChangeState>, by: Authenticated, request: ChangeRequest): Waiting | null {
  const wanted = essence(request);
  for (const state of open) {
    if (state.name === 'pending' && state.requester[0] === by.principal && essence(state.request) === wanted) return { changeId: state.changeId, planDigest: state.planDigest };
  }
  return null;
}

/** What two requests have in common that ask policy the same. */
function essence(request: ChangeRequest | RecordedRequest): string {
  const { reason: _reason, ...rest } = request;
  return canonicalText({ ...rest, recipient: null, caller: 'caller' in rest && rest.caller !== undefined });
}
