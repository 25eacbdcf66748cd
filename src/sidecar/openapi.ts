/** The OpenAPI 3.1 description, made from the route table and the schemas: it cannot say what the sidecar does not do. */
import { z } from 'zod';
import { approverExpressionSchema, controlSchema, reasonSchema, requirementSchema, verificationSchema } from '../protocol/decision.ts';
import { jsonValueSchema, planSchema } from '../protocol/plan.ts';
import { approvalSchema, dsseSchema } from '../protocol/signed.ts';
import { entitlementSchema } from '../protocol/values.ts';
import { VERSION } from '../version.ts';
import { AUTHZEN_ROUTES } from './authzen/routes.ts';
import * as authzen from './authzen/schemas.ts';
import { ERRORS, type ErrorCode } from './errors.ts';
import { BODY_PROBLEMS, COMMON_PROBLEMS, ROUTES, TOKEN_PROBLEMS, type Route } from './routes.ts';
import * as schemas from './schemas.ts';

type Json = Record<string, unknown>;

/** Schemas that the document, and `docs/schemas/`, name. */
export const NAMED_SCHEMAS = {
  ChangeRequest: schemas.changeRequestSchema,
  Change: schemas.changeViewSchema,
  ChangeList: schemas.changeListSchema,
  Approval: schemas.approvalBodySchema,
  Verdict: schemas.relayBodySchema,
  VerdictAnswer: schemas.relayAnswerSchema,
  Comment: schemas.commentBodySchema,
  RevokeAnswer: schemas.revokeAnswerSchema,
  RevokeAllAnswer: schemas.revokeAllAnswerSchema,
  Delivery: schemas.deliverySchema,
  Acknowledgement: schemas.acknowledgeBodySchema,
  Extension: schemas.extendBodySchema,
  Reduction: schemas.reductionBodySchema,
  Confirmation: schemas.confirmationBodySchema,
  StepEnvelope: schemas.stepEnvelopeSchema,
  ReportMessage: schemas.reportMessageSchema,
  Dsse: dsseSchema,
  SignedApproval: approvalSchema,
  Lock: schemas.lockViewSchema,
  LockList: schemas.lockListSchema,
  LockRequest: schemas.lockBodySchema,
  StandingApproval: schemas.standingApprovalViewSchema,
  StandingApprovalList: schemas.standingApprovalListSchema,
  StandingApprovalRequest: schemas.standingApprovalBodySchema,
  StandingRevocation: schemas.standingRevocationBodySchema,
  HeldRevokes: schemas.heldViewSchema,
  ProposedPolicy: schemas.proposedViewSchema,
  PolicyProposal: schemas.proposalViewSchema,
  PolicyVerdict: schemas.proposalVerdictBodySchema,
  PolicyStatement: schemas.proposalStatementAnswerSchema,
  HeldConfirmation: schemas.confirmHeldBodySchema,
  HeldAnswer: schemas.heldAnswerSchema,
  Finding: schemas.findingViewSchema,
  FindingList: schemas.findingListSchema,
  Reconciliation: schemas.reconciliationViewSchema,
  ReconciliationList: schemas.reconciliationListSchema,
  ReconciliationRequest: schemas.reconcileBodySchema,
  Discovery: schemas.discoverySchema,
  PackRequest: schemas.packBodySchema,
  LockLifting: schemas.liftBodySchema,
  Erasure: schemas.erasureViewSchema,
  ErasureRequest: schemas.eraseBodySchema,
  Evidence: schemas.evidenceSchema,
  Lease: schemas.leaseViewSchema,
  LeaseList: schemas.leaseListSchema,
  Nhi: schemas.nhiViewSchema,
  Me: schemas.meSchema,
  NhiList: schemas.nhiListSchema,
  Health: schemas.healthSchema,
  Readiness: schemas.readinessSchema,
  Problem: schemas.problemSchema,
  Record: schemas.recordSchema,
  ApprovalStatement: schemas.statementAnswerSchema,
  SshProof: schemas.sshProofSchema,
  BreakGlassStatement: schemas.breakGlassAnswerSchema,
  BreakGlassRequest: schemas.breakGlassBodySchema,
  BreakGlassReviewStatement: schemas.breakGlassReviewAnswerSchema,
  BreakGlassReview: schemas.breakGlassReviewBodySchema,
  PasskeyProof: schemas.passkeyProofSchema,
  Plan: planSchema,
  Entitlement: entitlementSchema,
  Requirement: requirementSchema,
  ApproverExpression: approverExpressionSchema,
  Verification: verificationSchema,
  Reason: reasonSchema,
  Control: controlSchema,
  Json: jsonValueSchema,
  AuthzenEvaluation: authzen.evaluationRequestSchema,
  AuthzenDecision: authzen.evaluationResponseSchema,
  AuthzenEvaluations: authzen.evaluationsRequestSchema,
  AuthzenDecisions: authzen.evaluationsResponseSchema,
  AuthzenConfiguration: authzen.metadataSchema,
} as const satisfies Record<string, z.ZodType>;

export function openApiDocument(): Json {
  const paths: Record<string, Json> = {};
  for (const [operationId, route] of Object.entries<Route>(ROUTES)) {
    const path = route.path.replaceAll('...}', '}');
    paths[path] = { ...paths[path], [route.method.toLowerCase()]: operationOf(operationId, route) };
  }
  for (const [operationId, route] of Object.entries<Route>(AUTHZEN_ROUTES)) paths[route.path] = { [route.method.toLowerCase()]: authzenOperationOf(operationId, route) };
  return {
    openapi: '3.1.0',
    info: {
      title: 'Countersign sidecar', version: VERSION, license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
      description: 'Ask before access changes, decide, fetch, take back. Errors are problem documents (RFC 9457) with a stable `code`.',
    },
    paths,
    components: { schemas: componentSchemas(), securitySchemes: { token: { type: 'http', scheme: 'bearer' } } },
  };
}

function operationOf(operationId: string, route: Route): Json {
  const roles = typeof route.roles === 'string' ? null : route.roles;
  return {
    operationId,
    summary: route.summary,
    ...(route.roles === 'public' ? { security: [] } : { security: [{ token: [] }] }),
    ...(roles === null ? {} : { description: `Needs the role ${roles.join(' or ')}.` }),
    parameters: parametersOf(route),
    ...(route.body === null ? {} : { requestBody: { required: true, content: { 'application/json': { schema: refTo(route.body) } } } }),
    responses: responsesOf(operationId, route),
  };
}

const REQUEST_ID: Json = { name: 'X-Request-ID', in: 'header', required: false, schema: { type: 'string' }, description: 'Comes back with the answer.' };

/** Its errors are text: a string that begins with a code. */
function authzenOperationOf(operationId: string, route: Route): Json {
  const { responses, parameters, ...rest } = operationOf(operationId, route) as { responses: Record<string, Json>; parameters: Json[] };
  const refused = ['400', ...(route.roles === 'public' ? ['404'] : ['401', '403', '413']), '500'];
  const text = (status: string): Json => ({ description: AUTHZEN_ERRORS[status]!, content: { 'text/plain': { schema: { type: 'string' } } } });
  return { ...rest, parameters: [...parameters, REQUEST_ID], responses: { [route.status]: responses[String(route.status)], ...Object.fromEntries(refused.map((status) => [status, text(status)])) } };
}

const AUTHZEN_ERRORS: Readonly<Record<string, string>> = {
  400: 'Not a request of this endpoint: a field missing or of another type, another media type, no strict JSON.', 401: 'A bearer token is required.', 403: 'The token lacks a role, or a web page asks.',
  404: 'The sidecar does not say where it is reached.', 413: 'The body is too large.', 500: 'Nothing was decided.',
};

function parametersOf(route: Route): Json[] {
  const inPath = [...route.path.matchAll(/\{([a-z]+)(?:\.\.\.)?\}/g)].map(([, name]) => ({ name, in: 'path', required: true, schema: { type: 'string' } }));
  const query = toJsonSchema(route.query) as { properties?: Record<string, Json>; required?: string[] };
  const inQuery = Object.entries(query.properties ?? {}).map(([name, schema]) => ({ name, in: 'query', required: query.required?.includes(name) ?? false, schema }));
  const key = { name: 'Idempotency-Key', in: 'header', required: false, schema: { type: 'string' }, description: 'The same key and body give the same change again.' };
  return [...inPath, ...inQuery, ...(route.takesIdempotencyKey === true ? [key] : [])];
}

function responsesOf(operationId: string, route: Route): Json {
  const content = typeof route.answer === 'string' ? { [route.answer]: { schema: {} } } : { 'application/json': { schema: refTo(route.answer) } };
  const responses: Partial<Record<string, Json>> = { [route.status]: { description: route.summary, content } };
  if (operationId === 'getReadiness') responses['503'] = { description: 'Not ready: the checks say why.', content };
  const problems = [...COMMON_PROBLEMS, ...(route.roles === 'public' ? [] : TOKEN_PROBLEMS), ...(route.body === null ? [] : BODY_PROBLEMS), ...route.problems];
  const byStatus = new Map<number, ErrorCode[]>();
  for (const code of problems) byStatus.set(ERRORS[code].status, [...(byStatus.get(ERRORS[code].status) ?? []), code]);
  for (const [status, codes] of [...byStatus].sort(([a], [b]) => a - b)) {
    responses[status] ??= {
      description: codes.map((code) => `\`${code}\``).join(', '),
      content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } },
    };
  }
  return responses;
}

function refTo(schema: z.ZodType): Json {
  const named = Object.entries(NAMED_SCHEMAS).find(([, candidate]) => candidate === schema);
  if (named === undefined) throw new Error('a schema of the HTTP surface has no name');
  return { $ref: `#/components/schemas/${named[0]}` };
}

function componentSchemas(): Json {
  const registry = z.registry<{ id: string }>();
  for (const [id, schema] of Object.entries<z.ZodType>(NAMED_SCHEMAS)) registry.add(schema, { id });
  const { schemas: made } = z.toJSONSchema(registry, { target: 'draft-2020-12', unrepresentable: 'any', uri: (id) => `#/components/schemas/${id}` });
  return Object.fromEntries(Object.entries(made).map(([id, schema]) => [id, withoutIds(schema as Json, id)]));
}

/** Schema of one type by itself, as JSON Schema 2020-12. */
export function toJsonSchema(schema: z.ZodType): Json {
  return z.toJSONSchema(schema, { target: 'draft-2020-12', unrepresentable: 'any' });
}

/** Within the document, a component is found by its place; local definitions move with it. */
function withoutIds(schema: Json, id: string): unknown {
  const { $id: _id, $schema: _schema, ...rest } = schema;
  const text = JSON.stringify(rest).replaceAll('"#/$defs/', `"#/components/schemas/${id}/$defs/`);
  return JSON.parse(text) as unknown;
}
