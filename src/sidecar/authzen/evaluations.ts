/** Several evaluations in one request: defaults, order, where to stop, and that a bad one spoils no other. @see AuthZEN Authorization API 1.0 §7 */
import { errorAnswer } from './answer.ts';
import { evaluationRequestSchema, type EvaluationRequest, type EvaluationResponse, type EvaluationsRequest } from './schemas.ts';

/** Answers one evaluation. May throw: then it is a no. */
export type Evaluator = (evaluation: EvaluationRequest) => Promise<EvaluationResponse>;

export interface EvaluationPorts {
  readonly nowMs: () => number;
  /** Told of what no evaluator should do. */
  readonly failed: (error: unknown) => void;
}

/** How long the evaluations of one request may take together; those whose turn does not come are no. */
const TOGETHER_MS_MAX = 10_000;

/** The answer, whatever the evaluator does: from here on nothing is a failure of the request. */
export async function evaluateOne(evaluate: Evaluator, evaluation: EvaluationRequest, { failed }: Pick<EvaluationPorts, 'failed'>): Promise<EvaluationResponse> {
  try {
    return await evaluate(evaluation);
  } catch (error) {
    failed(error);
    return errorAnswer('internal', 500, 'something went wrong that is not of your making; nothing is given');
  }
}

/**
 * One answer for each of a list that is not empty, in its order, up to where the semantic stops. They are asked one after the other: a policy that
 * takes its time leaves the other threads to the changes.
 */
export async function evaluateList(evaluate: Evaluator, { evaluations = [], options, ...defaults }: EvaluationsRequest, ports: EvaluationPorts): Promise<EvaluationResponse[]> {
  const semantic = options?.evaluations_semantic ?? 'execute_all';
  const deadlineMs = ports.nowMs() + TOGETHER_MS_MAX;
  const answers: EvaluationResponse[] = [];
  for (const one of evaluations) {
    const answer = await evaluateItem(evaluate, one, defaults, deadlineMs, ports);
    answers.push(answer);
    if (semantic === 'deny_on_first_deny' && !answer.decision) break;
    if (semantic === 'permit_on_first_permit' && answer.decision) break;
  }
  return answers;
}

async function evaluateItem(evaluate: Evaluator, item: unknown, defaults: Omit<EvaluationsRequest, 'evaluations' | 'options'>, deadlineMs: number, ports: EvaluationPorts): Promise<EvaluationResponse> {
  if (typeof item !== 'object' || item === null || Array.isArray(item)) return errorAnswer('not-a-change', 400, 'an evaluation is an object');
  // A key that an evaluation has of its own takes the place of the whole default.
  const parsed = evaluationRequestSchema.safeParse({ ...defaults, ...item });
  if (!parsed.success) {
    const wrong = parsed.error.issues.slice(0, 4).map(({ path, message }) => `${path.map(String).join('.')}: ${message}`).join('; ');
    return errorAnswer('not-a-change', 400, wrong.slice(0, 500));
  }
  if (ports.nowMs() >= deadlineMs) return errorAnswer('timed-out', 503, 'the evaluations before it took too long');
  return evaluateOne(evaluate, parsed.data, ports);
}
