/** What each entrypoint owes. Anything else that policy says is a fault, not a decision. */
import { z } from 'zod';
import { decisionSchema, reasonSchema, verificationSchema, type Decision, type Verification } from '../protocol/decision.ts';
import { EngineFault } from './fault.ts';

export const revocationSchema = z.strictObject({ allow: z.boolean(), reasons: z.array(reasonSchema).min(1).max(64) });
/** Whether a principal may take access back now, without an approval. */
export type Revocation = z.infer<typeof revocationSchema>;

/** @throws EngineFault `malformed-result` */
export function asDecision(value: unknown): Decision {
  const decision = parse(decisionSchema, value);
  // An effect and its approvers that contradict each other: neither is to be believed.
  const { approvers } = decision.obligations;
  if (decision.effect === 'needsApproval' && approvers === null) throw new EngineFault('malformed-result', 'needsApproval without approvers');
  if (decision.effect === 'allow' && approvers !== null) throw new EngineFault('malformed-result', 'allow with approvers');
  return decision;
}

/** @throws EngineFault `malformed-result` */
export function asVerification(value: unknown): Verification {
  return parse(verificationSchema, value);
}

/** @throws EngineFault `malformed-result` */
export function asRevocation(value: unknown): Revocation {
  return parse(revocationSchema, value);
}

function parse<T>(schema: z.ZodType<T>, value: unknown): T {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new EngineFault('malformed-result', `${value === null ? 'null' : Array.isArray(value) ? 'an array' : `a ${typeof value}`} where an object is due`);
  }
  const parsed = schema.safeParse(value);
  if (!parsed.success) {
    const issues = parsed.error.issues.slice(0, 3).map((issue) => `/${issue.path.join('/')}: ${issue.message}`);
    throw new EngineFault('malformed-result', issues.join('; ').slice(0, 300));
  }
  return parsed.data;
}
