/**
 * AuthZEN Authorization API 1.0: its documents, in its own spelling. Fields that nobody knows are ignored, as it demands; those that are known have the
 * form that it gives them. What they mean to an access change: `question.ts`.
 *
 * @see https://openid.net/specs/authorization-api-1_0.html §5 to §7, §9
 */
import { z } from 'zod';
import { approverExpressionSchema, controlSchema, decisionSchema, reasonSchema } from '../../protocol/decision.ts';
import { changeIdSchema, digestSchema, durationSchema, entitlementSchema, personIdSchema, timeSchema } from '../../protocol/values.ts';

/** Evaluations that one request may hold. */
export const EVALUATIONS_MAX = 50;

const name = z.string().min(1);
const properties = z.record(z.string(), z.unknown()).optional();
const entitySchema = z.object({ type: name, id: name, properties });
const actionSchema = z.object({ name, properties });
/** What else a change says of itself. Anything else that a PEP says of its surroundings is ignored. */
const contextSchema = z.record(z.string(), z.unknown());

export const evaluationRequestSchema = z.object({ subject: entitySchema, action: actionSchema, resource: entitySchema, context: contextSchema.optional() });
export type EvaluationRequest = z.infer<typeof evaluationRequestSchema>;

export const SEMANTICS = ['execute_all', 'deny_on_first_deny', 'permit_on_first_permit'] as const;

/** Without `evaluations`, or with an empty list, a single evaluation. Each of a list is looked at by itself: a bad one spoils no other. */
export const evaluationsRequestSchema = evaluationRequestSchema.partial().extend({
  evaluations: z.array(z.unknown()).max(EVALUATIONS_MAX).optional(),
  options: z.object({ evaluations_semantic: z.enum(SEMANTICS).optional() }).optional(),
});
export type EvaluationsRequest = z.infer<typeof evaluationsRequestSchema>;

/** What a PEP is told beside the decision. Nulls are left out. */
export const decisionContextSchema = z.strictObject({
  /** Why it is no yes; left out where it is one. */
  code: z.string().optional(),
  /** For who asked, and for who looks after it; by a status that says of which sort it is. */
  reason_user: z.record(z.string(), z.string()).optional(),
  reason_admin: z.record(z.string(), z.string()).optional(),
  /** The evaluation itself could not be understood or carried out. */
  error: z.strictObject({ status: z.int(), message: z.string() }).optional(),
  reasons: z.array(reasonSchema).optional(),
  /** Where people must approve: where that is asked for, or, with the digest that they approve, where it waits for them. */
  approval: z.strictObject({ state: z.enum(['required', 'pending']), href: z.string(), plan_digest: digestSchema.optional() }).optional(),
  obligations: z
    .strictObject({
      approvers: approverExpressionSchema.optional(),
      proof_class: decisionSchema.shape.obligations.shape.proofClass,
      max_lease_seconds: z.int().optional(),
      verification: decisionSchema.shape.obligations.shape.verification,
      not_before: timeSchema.optional(),
      escalation: z.strictObject({ after_seconds: z.int(), to: z.array(personIdSchema) }).optional(),
    })
    .optional(),
  excess: z.array(entitlementSchema).optional(),
  counter_offer: z.strictObject({ entitlements: z.array(entitlementSchema), lease_seconds: z.int().optional() }).optional(),
  controls: z.array(controlSchema).optional(),
});
export type DecisionContext = z.infer<typeof decisionContextSchema>;

export const evaluationResponseSchema = z.strictObject({ decision: z.boolean(), context: decisionContextSchema.optional() });
export type EvaluationResponse = z.infer<typeof evaluationResponseSchema>;

export const evaluationsResponseSchema = z.union([z.strictObject({ evaluations: z.array(evaluationResponseSchema) }), evaluationResponseSchema]);
export type EvaluationsResponse = z.infer<typeof evaluationsResponseSchema>;

export const metadataSchema = z.strictObject({ policy_decision_point: z.url(), access_evaluation_endpoint: z.url(), access_evaluations_endpoint: z.url() });

/** What of `context` is part of the change that is asked about. */
export const changeContextSchema = z.object({
  purpose: z.string().optional(),
  reason: z.string().optional(),
  duration: durationSchema.optional(),
  ends_by: timeSchema.optional(),
  urgency: z.literal('emergency').optional(),
  /** A maintenance calendar. */
  calendar: z.string().optional(),
  /** `caller`: the caller's own code would make the change. */
  mode: z.enum(['executor', 'caller']).optional(),
  /** Of an `extend`: the change whose lease it is. */
  change: changeIdSchema.optional(),
  /** Of a resource of type `target`: what is asked for there. */
  entitlements: z.array(z.strictObject({ privilege: z.string(), scope: z.string().optional() })).min(1).max(16).optional(),
});
