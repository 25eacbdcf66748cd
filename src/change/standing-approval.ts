/** A plan under a standing approval: whether it is within what she signed. Sidecar, executors and verifiers ask this alone, so that none of them counts what another does not. */
import { approvalIdOf } from '../protocol/approval-proof.ts';
import { ProtocolError } from '../protocol/errors.ts';
import type { OwnProofs } from '../protocol/own-proof.ts';
import type { Plan } from '../protocol/plan.ts';
import type { Approval, ApprovalStatement } from '../protocol/signed.ts';
import { impliedBy, openStanding, type StandingStatement } from '../protocol/standing-approval.ts';
import { parseTime } from '../protocol/values.ts';
import { newAccountName } from './derive.ts';

/** How a plan is beyond the template, in a phrase; null where it is within it. */
export function beyondTemplate(template: StandingStatement, plan: Plan): string | null {
  const { kind, subject, connector, target, mode, lease, steps, entitlements, recipient, changeId } = plan;
  if (plan.log !== template.log) return `of log ${plan.log}`;
  if (subject !== template.subject) return `for ${subject}`;
  if (!(template.kinds as readonly string[]).includes(kind)) return `a ${kind}`;
  if (connector !== template.connector || target !== template.target) return `at ${connector}/${target}`;
  // What a caller's own code does nobody bounds beforehand.
  if (mode !== 'executor' || steps.length === 0) return 'not made by an executor';
  const elsewhere = steps.find((step) => step.connector !== template.connector || step.target !== template.target);
  if (elsewhere !== undefined) return `at ${elsewhere.connector}/${elsewhere.target}`;
  const own = kind === 'provision' ? [newAccountName(subject, changeId)] : template.accounts;
  const account = steps.flatMap((step) => [step.account, ...(step.other === undefined ? [] : [step.other])]).find((one) => !own.includes(one));
  if (account !== undefined) return `for account ${account}`;
  const privilege = [...entitlements, ...steps.flatMap(({ privileges }) => privileges.map((one) => ({ privilege: one })))].map((one) => one.privilege).find((one) => !template.privileges.includes(one));
  if (privilege !== undefined) return `with ${privilege}`;
  if (entitlements.some(({ scope }) => scope !== undefined)) return 'with a scope';
  if (recipient !== null && !template.recipients.includes(recipient)) return `with its secret for ${recipient}`;
  if (kind === 'rotate') return lease === null ? null : 'with a lease';
  if (lease === null) return 'without an end';
  return template.maxLeaseSeconds === null || lease.leaseSeconds > template.maxLeaseSeconds ? `for ${lease.leaseSeconds} s` : null;
}

/**
 * What a use of a standing approval says of the plan, once it is proven and the plan is within it.
 *
 * @param skewMs by how much clocks may differ at its beginning; its end is its end
 * @throws ProtocolError `approval-invalid` with the reason; nothing was believed
 */
export function openUse({ approvalId, envelope, proofClass, use }: Approval, plan: Plan, planDigest: string, { skewMs, ...proofs }: OwnProofs & { readonly skewMs: number }): ApprovalStatement {
  const invalid = (why: string): never => {
    throw new ProtocolError('approval-invalid', `${approvalId}: ${why}`);
  };
  if (approvalId !== approvalIdOf(envelope)) return invalid('not the id of its statement');
  if (proofClass === 'session') return invalid('a standing approval is proven by whoever gave it, not by a session');
  const template = openStanding(envelope, proofClass, proofs);
  if (use === undefined || use > template.uses) return invalid(`use ${use ?? 0} of a standing approval of ${template.uses}`);
  if (parseTime(template.notBefore) > proofs.atMs + skewMs) return invalid(`a standing approval that begins at ${template.notBefore}`);
  const beyond = beyondTemplate(template, plan);
  if (beyond !== null) return invalid(`the plan is beyond the standing approval: ${beyond}`);
  return impliedBy(template, { changeId: plan.changeId, revision: plan.revision, planDigest });
}
