/** What the page asks of the sidecar that served it. */
import type { BreakGlassReviewAnswer, BreakGlassReviewBody, ChangeView, ProposalVerdictBody, ProposalView, ProposedView, StandingApprovalList, StandingApprovalView } from '../client/index.ts';
import type { PasskeyProof, ProposalStatementAnswer, StatementAnswer } from '../sidecar/schemas.ts';

/** What the sidecar refused, in its words, or that it could not be asked. */
export class Refused extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'Refused';
  }
}

export interface Decision {
  readonly verdict: 'approve' | 'reject';
  readonly planDigest: string;
  readonly comment?: string;
  readonly passkey?: PasskeyProof;
}

export interface SidecarDoor {
  change(id: string): Promise<ChangeView>;
  statement(id: string, verdict: Decision['verdict']): Promise<StatementAnswer>;
  decide(id: string, decision: Decision): Promise<ChangeView>;
  review(id: string): Promise<BreakGlassReviewAnswer>;
  sendReview(id: string, review: BreakGlassReviewBody): Promise<ChangeView>;
  proposedPolicy(): Promise<ProposedView>;
  policyStatement(verdict: Decision['verdict']): Promise<ProposalStatementAnswer>;
  decidePolicy(decision: ProposalVerdictBody): Promise<ProposalView>;
  standings(): Promise<StandingApprovalList>;
  revokeStanding(id: string, reason: string): Promise<StandingApprovalView>;
}

export function sidecarDoor(token: string): SidecarDoor {
  const ask = async <T>(path: string, body?: object): Promise<T> => {
    const response = await fetch(path, {
      method: body === undefined ? 'GET' : 'POST', credentials: 'omit', cache: 'no-store', redirect: 'error', referrerPolicy: 'no-referrer',
      headers: { authorization: `Bearer ${token}`, ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    }).catch((cause: unknown) => {
      throw new Refused('the sidecar cannot be reached', { cause });
    });
    const answer = (await response.json().catch(() => ({}))) as { readonly code?: string; readonly detail?: string };
    if (!response.ok) throw new Refused(`${answer.code ?? response.status}: ${answer.detail ?? 'refused'}`);
    return answer as T;
  };
  const at = (id: string, rest = ''): string => `/v1/changes/${encodeURIComponent(id)}${rest}`;
  return {
    change: (id) => ask(at(id)),
    statement: (id, verdict) => ask(at(id, `/statement?verdict=${verdict}`)),
    decide: (id, decision) => ask(at(id, '/approvals'), decision),
    review: (id) => ask(at(id, '/break-glass/review')),
    sendReview: (id, review) => ask(at(id, '/break-glass/review'), review),
    proposedPolicy: () => ask('/v1/policy/proposed'),
    policyStatement: (verdict) => ask(`/v1/policy/proposed/statement?verdict=${verdict}`),
    decidePolicy: (decision) => ask('/v1/policy/proposed', decision),
    standings: () => ask('/v1/standing-approvals'),
    revokeStanding: (id, reason) => ask(`/v1/standing-approvals/${encodeURIComponent(id)}/revoke`, { reason }),
  };
}
