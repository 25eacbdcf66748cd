/** What policy said, as an AuthZEN decision: true for nothing but a plain yes. Nulls are left out. */
import { EVALUATION_CODES, type Evaluation } from '../../engine/evaluate.ts';
import type { Decision } from '../../protocol/decision.ts';
import type { DecisionContext, EvaluationResponse } from './schemas.ts';

/** Every `code` of a decision that is no yes; `not-a-change`: the evaluation asks about no access change. */
export const DECISION_CODES = [...EVALUATION_CODES, 'not-a-change', 'internal'] as const;

/** Where a change of the asker's own that asks the same waits for approvals. */
export interface Waiting {
  readonly changeId: string;
  readonly planDigest: string | null;
}

export function answerOf({ code, message, decision }: Evaluation, waiting: Waiting | null): EvaluationResponse {
  const said = decision === null ? {} : saidBy(decision);
  if (code === null) return { decision: true, context: said };
  const why = message ?? decision?.reasons.map((reason) => reason.message).join(' ') ?? code;
  const admin = [`${code}${message === null ? '' : `: ${message}`}`, ...(decision?.reasons ?? []).map((reason) => `${reason.code} (${reason.rule})`)].join('; ');
  const approval = code === 'needs-approval' ? { approval: approvalOf(waiting) } : {};
  return { decision: false, context: { code, reason_user: { 403: why }, reason_admin: { 403: admin }, ...approval, ...said } };
}

/** An evaluation that could not be understood, or went wrong: it is a no like any other. */
export function errorAnswer(code: Extract<(typeof DECISION_CODES)[number], 'not-a-change' | 'internal' | 'timed-out'>, status: number, message: string): EvaluationResponse {
  return { decision: false, context: { code, error: { status, message } } };
}

function approvalOf(waiting: Waiting | null): NonNullable<DecisionContext['approval']> {
  if (waiting === null) return { state: 'required', href: '/v1/changes' };
  return { state: 'pending', href: `/v1/changes/${waiting.changeId}`, ...(waiting.planDigest === null ? {} : { plan_digest: waiting.planDigest }) };
}

function saidBy({ reasons, obligations, entitlements, controls }: Decision): DecisionContext {
  const { approvers, proofClass, maxLeaseSeconds, verification, notBefore, escalation } = obligations;
  const { excess, counterOffer } = entitlements;
  return {
    reasons,
    obligations: {
      ...(approvers === null ? {} : { approvers }), proof_class: proofClass, ...(maxLeaseSeconds === null ? {} : { max_lease_seconds: maxLeaseSeconds }), verification,
      ...(notBefore === undefined ? {} : { not_before: notBefore }), ...(escalation === undefined ? {} : { escalation: { after_seconds: escalation.afterSeconds, to: escalation.to } }),
    },
    ...(excess.length === 0 ? {} : { excess }),
    ...(counterOffer === null ? {} : { counter_offer: { entitlements: counterOffer.entitlements, ...(counterOffer.leaseSeconds === null ? {} : { lease_seconds: counterOffer.leaseSeconds }) } }),
    ...(controls.length === 0 ? {} : { controls }),
  };
}
