/**
 * Who lets a policy bundle come into force: the statement that a person makes about one proposal, and whether those that there are suffice.
 *
 * Who must is a floor, in the configuration and in `requirements.json` of each trust folder, and is asked of no bundle: one in force that says who
 * approves its successor could keep everybody out, and one that is proposed must not say who lets it in.
 */
import { z } from 'zod';
import { meets } from './decision.ts';
import type { CountedApproval } from './sufficiency.ts';
import type { ActivationFloor } from './trust.ts';
import { digestSchema, logIdSchema, parseTime, personIdSchema, plainTextSchema, proposalIdSchema, timeSchema } from './values.ts';

/** What a person stands for: this bundle, as it was proposed this time. */
export const proposalStatementSchema = z.strictObject({
  v: z.literal(1),
  log: logIdSchema,
  proposalId: proposalIdSchema,
  bundle: digestSchema,
  /** What its source calls it; null where it came from none that says. */
  revision: plainTextSchema(128).nullable(),
  verdict: z.enum(['approve', 'reject']),
  approver: personIdSchema,
  /** From then on it lets nothing come into force. */
  expiresAt: timeSchema,
});
export type ProposalStatement = z.infer<typeof proposalStatementSchema>;
/** A type of its own: no approval of a change is one of a bundle, nor the other way round. */
export const PROPOSAL_TYPE = 'application/vnd.countersign.policy-approval+json';


/** What the floor still asks for, in a phrase; null where nothing. People are counted once. */
export function activationShortfall({ quorum, approvers, proofClass }: ActivationFloor, approvals: readonly CountedApproval[]): string | null {
  const counted = new Set(approvals.filter((one) => meets(one.proofClass, proofClass) && approvers.includes(one.approver)).map(({ approver }) => approver));
  if (counted.size >= quorum) return null;
  const by = counted.size === 0 ? 'nobody' : [...counted].sort().join(', ');
  return `approved by ${by} where ${quorum} of ${approvers.join(', ')} must${proofClass === 'session' ? '' : `, by ${proofClass} or better`}`;
}

/** Whether the floor speaks of what came into force at `atMs`: of all, or of what did from a time on. */
export function isAskedAt({ from }: Pick<ActivationFloor, 'from'>, atMs: number): boolean {
  return from === undefined || atMs >= parseTime(from);
}
