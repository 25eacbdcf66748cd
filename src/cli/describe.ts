/** A change, in lines for a person. Every text that somebody else wrote goes through `plain`. */
import type { ChangeView } from '../client/index.ts';
import type { ApproverExpression } from '../protocol/decision.ts';
import { formatSpan, plain, type Output } from './output.ts';

/** `person:ana, and one of person:olga or person:sam`. */
export function describeApprovers(expression: ApproverExpression | null): string {
  if (expression === null) return 'nobody';
  if (typeof expression === 'string') return plain(expression);
  const [word, parts] = 'allOf' in expression ? ['all of', expression.allOf] : 'anyOf' in expression ? ['one of', expression.anyOf] : [`${expression.atLeast} of`, expression.of];
  if (parts.length === 0) return '(nobody can)';
  const texts = parts.map(describeApprovers);
  return parts.length === 1 ? texts[0]! : `${word} (${texts.join(', ')})`;
}

export interface DescribeOptions {
  readonly nowMs: number;
}

/** The whole change: who, what, what policy said, who is asked, what became of it. */
export function describeChange(change: ChangeView, out: Output, { nowMs }: DescribeOptions): string[] {
  const lines: string[] = [];
  const field = (name: string, text: string): void => void lines.push(`  ${out.dim(name.padEnd(12))}${text}`);
  lines.push(`${out.bold(change.id)}  ${stateText(change, out)}`);
  field('kind', `${change.kind}, revision ${change.revision}`);
  field('subject', plain(change.subject));
  field('requester', change.requester.map(plain).join(' for '));
  field('purpose', plain(change.purpose));
  field('reason', plain(change.reason));
  for (const one of change.entitlements) field('access', `${plain(one.connector)} / ${plain(one.target)} / ${plain(one.privilege)}${one.scope === undefined ? '' : ` (${plain(one.scope)})`}`);
  if (change.duration !== null) field('duration', change.duration);
  if (change.endsBy !== null) field('ends by', change.endsBy);
  const step = change.plan?.steps[0];
  if (step !== undefined) field('plan', `${step.action} ${plain(step.account)} at ${plain(step.connector)} / ${plain(step.target)}: ${step.privileges.map(plain).join(', ')}`);
  if (change.planDigest !== null) field('plan digest', change.planDigest);
  lines.push(...describeDecision(change, out));
  if (change.requirement.approvers !== null) field('approvers', describeApprovers(change.requirement.approvers));
  for (const one of change.approvals) field(one.verdict === 'approve' ? 'approved' : 'rejected', `by ${plain(one.approver)}, record ${one.record}`);
  if (change.state === 'pending' && change.approvalsBy !== null) field('decide by', `${change.approvalsBy} (${relative(Date.parse(change.approvalsBy), nowMs)})`);
  if (change.result !== null) field('effect', `${change.result.outcome} at ${change.result.at}${change.result.byUse === 'notTried' ? '' : `; by use it ${change.result.byUse}`}`);
  if (change.lease !== null && change.ended === null) field('lease', `ends ${change.lease.endsAt} (${relative(Date.parse(change.lease.endsAt), nowMs)})${change.lease.armed ? ', revoke armed' : ''}`);
  if (change.ended !== null) field('ended', `${change.ended.outcome} at ${change.ended.at}`);
  if (change.delivery !== null) field('delivery', `${change.delivery.status}, ${change.delivery.digest}`);
  for (const finding of change.findings) field('finding', `${out.bad(finding.code)}: ${plain(finding.message)}${finding.owner === null ? '' : ` (${plain(finding.owner)})`}`);
  field('record', `${change.lastRecord} at ${change.updatedAt}`);
  return lines;
}

/** What policy said: effect, reasons, what was too much, and what would go through. */
export function describeDecision(change: ChangeView, out: Output): string[] {
  const { decision } = change;
  if (decision === null) return [];
  const lines = [`  ${out.dim('policy'.padEnd(12))}${effectText(decision.effect, out)}`];
  const indent = ' '.repeat(14);
  for (const reason of decision.reasons) lines.push(`${indent}${reason.code}: ${plain(reason.message)}`);
  for (const one of decision.excess) lines.push(`${indent}beyond the purpose: ${plain(one.connector)} / ${plain(one.target)} / ${plain(one.privilege)}`);
  const offer = decision.counterOffer;
  if (offer !== null) {
    const access = offer.entitlements.map((one) => `${plain(one.connector)}/${plain(one.target)}/${plain(one.privilege)}`).join(', ');
    lines.push(`${indent}this would do: ${access}${offer.leaseSeconds === null ? '' : ` for ${formatSpan(offer.leaseSeconds * 1000)}`}`);
  }
  return lines;
}

function effectText(effect: 'deny' | 'needsApproval' | 'allow', out: Output): string {
  if (effect === 'deny') return out.bad('denied');
  return effect === 'allow' ? out.good('allowed') : 'needs approval';
}

export function stateText(change: Pick<ChangeView, 'state'>, out: Output): string {
  if (['denied', 'rejected', 'expired', 'failed', 'stuck'].includes(change.state)) return out.bad(change.state);
  return ['active', 'done'].includes(change.state) ? out.good(change.state) : change.state;
}

function relative(atMs: number, nowMs: number): string {
  return atMs >= nowMs ? `in ${formatSpan(atMs - nowMs)}` : `${formatSpan(nowMs - atMs)} ago`;
}
