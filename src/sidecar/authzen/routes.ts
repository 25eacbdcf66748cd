/** The routes of AuthZEN, as data, beside those of the API itself (`../routes.ts`). They have a router of their own, since their errors and fields are the standard's. */
import { noQuerySchema } from '../schemas.ts';
import type { Route } from '../routes.ts';
import { evaluationRequestSchema, evaluationResponseSchema, evaluationsRequestSchema, evaluationsResponseSchema, metadataSchema } from './schemas.ts';

export const AUTHZEN_ROUTES = {
  evaluate: {
    method: 'POST', path: '/access/v1/evaluation', roles: ['caller'], query: noQuerySchema, body: evaluationRequestSchema,
    summary: 'AuthZEN: whether a change that you asked for now would go ahead with nobody’s approval. Nothing is recorded, and nothing is given.',
    status: 200, answer: evaluationResponseSchema, problems: [],
  },
  evaluateAll: {
    method: 'POST', path: '/access/v1/evaluations', roles: ['caller'], query: noQuerySchema, body: evaluationsRequestSchema,
    summary: 'AuthZEN: the same of up to 50 changes, in their order.',
    status: 200, answer: evaluationsResponseSchema, problems: [],
  },
  getAuthzenConfiguration: {
    method: 'GET', path: '/.well-known/authzen-configuration', roles: 'public', query: noQuerySchema, body: null,
    summary: 'AuthZEN: where the two are, once `publicUrl` says where the sidecar is reached.',
    status: 200, answer: metadataSchema, problems: [],
  },
} as const satisfies Record<string, Route>;

const PATHS: ReadonlySet<string> = new Set(Object.values(AUTHZEN_ROUTES).map(({ path }) => path));

/** Whether what is answered there is in the standard's form. */
export function isAuthzenPath(path: string): boolean {
  return PATHS.has(path) || path.startsWith('/access/');
}
