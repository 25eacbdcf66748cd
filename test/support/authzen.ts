/** AuthZEN evaluations of the example facts, and a sidecar with the compiled policy that answers them. */
import type { Pdp } from '../../src/pdp/engine.ts';
import { inlinePdp } from '../../src/pdp/inline.ts';
import { readBundle } from '../../src/pdp/bundle.ts';
import { evaluationResponseSchema, type EvaluationRequest, type EvaluationResponse } from '../../src/sidecar/authzen/schemas.ts';
import { BUNDLE } from '../pdp/support.ts';
import { openTestSidecar, type Answered, type TestOptions, type TestSidecar } from './sidecar.ts';

export const ONE = '/access/v1/evaluation';
export const MANY = '/access/v1/evaluations';
export const METADATA = '/.well-known/authzen-configuration';
export const DEV = 'nhi:dev/report-preview';
export const DEPLOYER = 'nhi:prod/ci-deployer';

/** Low risk, outside production, leased: policy allows it. */
export const ALLOWED = {
  subject: { type: 'nhi', id: DEV }, action: { name: 'grant' }, resource: { type: 'entitlement', id: 'pg-dev/app_dev/table:public.orders:SELECT' },
  context: { purpose: 'preview-reports', duration: 'PT15M' },
} satisfies EvaluationRequest;
/** An owner must approve it. */
export const NEEDS_APPROVAL = {
  subject: { type: 'nhi', id: DEPLOYER }, action: { name: 'grant' }, resource: { type: 'entitlement', id: 'pg-main/app/role:deploy' },
  context: { purpose: 'deploy-orders', duration: 'PT15M' },
} satisfies EvaluationRequest;
/** More than the purpose needs. */
export const DENIED = { ...NEEDS_APPROVAL, resource: { type: 'entitlement', id: 'pg-main/app/role:app_owner' } } satisfies EvaluationRequest;

export const compiled = async (): Promise<Pdp> => inlinePdp(await readBundle(BUNDLE));

export async function openEvaluating(options: TestOptions = {}): Promise<TestSidecar> {
  return openTestSidecar({ pdp: await compiled(), ...options });
}

/** The decision of an answer, which must be one. */
export function decisionIn(answered: Answered): EvaluationResponse {
  if (answered.status !== 200 || answered.headers.get('content-type') !== 'application/json') throw new Error(`not a decision: ${answered.status} ${answered.text}`);
  return evaluationResponseSchema.parse(answered.body);
}

export function decisionsIn(answered: Answered): EvaluationResponse[] {
  const { evaluations, ...rest } = answered.body as { evaluations: unknown[] };
  if (answered.status !== 200 || Object.keys(rest).length > 0) throw new Error(`not decisions: ${answered.status} ${answered.text}`);
  return evaluations.map((one) => evaluationResponseSchema.parse(one));
}
