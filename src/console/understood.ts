/**
 * What a sidecar answers is held to the schemas that it says it answers by, before any page is made of it: what a stolen or broken one says breaks no page, and
 * the others' are shown. What is new in an answer is left unread, as by any client; but not in a plan, of which a person must see all that she approves.
 */
import type { z } from 'zod';
import { ClientError, isSettled, type Client } from '../client/index.ts';
import {
  changeListSchema, changeViewSchema, deliverySchema, discoverySchema, erasureViewSchema, evidenceSchema, findingListSchema, heldAnswerSchema, heldViewSchema, leaseListSchema, lockListSchema, lockViewSchema,
  breakGlassAnswerSchema, breakGlassReviewAnswerSchema, meSchema, nhiListSchema, nhiViewSchema, problemSchema, proposalStatementAnswerSchema, proposalViewSchema, proposedViewSchema, readinessSchema, reconciliationListSchema,
  revokeAllAnswerSchema, revokeAnswerSchema, standingApprovalListSchema, standingApprovalViewSchema, statementAnswerSchema, stepEnvelopeSchema,
} from '../sidecar/schemas.ts';

/** Of each question, what its answer is held to; null: bytes that whoever reads them holds to their own format, or what the client itself checks. */
const ANSWERS = {
  request: changeViewSchema, evaluate: null, evaluateAll: null, get: changeViewSchema, list: changeListSchema, wait: changeViewSchema, revise: changeViewSchema, reduce: changeViewSchema, approve: changeViewSchema,
  reject: changeViewSchema, statement: statementAnswerSchema, breakGlassStatement: breakGlassAnswerSchema, breakGlass: changeViewSchema, breakGlassReviewStatement: breakGlassReviewAnswerSchema, reviewBreakGlass: changeViewSchema,
  extend: changeViewSchema, withdraw: changeViewSchema, revoke: revokeAnswerSchema, revokeAll: revokeAllAnswerSchema, delivery: deliverySchema, acknowledge: changeViewSchema, confirm: changeViewSchema,
  callerTicket: stepEnvelopeSchema, report: changeViewSchema, evidence: evidenceSchema, pack: null, proof: null, ledgerFile: null, me: meSchema, locks: lockListSchema, lock: lockViewSchema, unlock: lockViewSchema,
  standingApprovals: standingApprovalListSchema, giveStandingApproval: standingApprovalViewSchema, revokeStandingApproval: standingApprovalViewSchema, erase: erasureViewSchema, reconcile: reconciliationListSchema,
  reconciliations: reconciliationListSchema, findings: findingListSchema, discovery: discoverySchema, nhis: nhiListSchema, nhi: nhiViewSchema, leases: leaseListSchema, heldRevokes: heldViewSchema, proposedPolicy: proposedViewSchema,
  decideProposedPolicy: proposalViewSchema, proposedPolicyStatement: proposalStatementAnswerSchema, confirmHeldRevokes: heldAnswerSchema, ready: readinessSchema,
} as const satisfies Record<keyof Client, z.ZodType | null>;

type Ask = (...args: unknown[]) => Promise<unknown>;

/** The same client, whose answers are what their schemas say; it rejects with `unexpected-answer` for any other. */
export function understood(client: Client): Client {
  const asks = client as unknown as Readonly<Record<string, Ask>>;
  const checked = Object.entries<z.ZodType | null>(ANSWERS).map(([name, schema]): [string, Ask] => [name, async (...args) => {
    const answer = await asks[name]!(...args).catch((error: unknown) => {
      throw asRefusal(error);
    });
    return schema === null ? answer : asAnswer(answer, schema);
  }]);
  return {
    ...(Object.fromEntries(checked) as unknown as Client),
    // What it waits for is looked for in each answer on the way.
    wait: (changeId, { until = isSettled, ...options } = {}) => client.wait(changeId, { ...options, until: (change) => until(asAnswer(change, changeViewSchema)) }).catch((error: unknown) => {
      throw asRefusal(error);
    }),
  };
}

function asAnswer<T extends z.ZodType>(answer: unknown, schema: T): z.infer<T> {
  const parsed = schema.safeParse(answer);
  if (parsed.success || parsed.error.issues.every(isNews)) return answer as z.infer<T>;
  throw new ClientError('unexpected-answer', 'an answer that is not what it should be', { cause: parsed.error });
}

/** What is read of a refusal beside its code and its words. */
const refusalSchema = problemSchema.pick({ errors: true, reasons: true, change: true });

/** A refusal that does not hold together is none. What is no {@link ClientError} is no sidecar's doing. */
function asRefusal(error: unknown): unknown {
  if (!(error instanceof ClientError) || error.body === null || error.code === 'unexpected-answer') return error;
  const parsed = refusalSchema.safeParse(error.body);
  return parsed.success || parsed.error.issues.every(isNews) ? error : new ClientError('unexpected-answer', 'a refusal that is not what it should be', { cause: error });
}

/** Whether nothing is amiss but that there is more than is known here. */
function isNews(issue: z.core.$ZodIssue): boolean {
  if (issue.path.includes('plan')) return false;
  if (issue.code === 'unrecognized_keys') return true;
  return issue.code === 'invalid_union' && issue.errors.some((branch) => branch.length > 0 && branch.every(isNews));
}
