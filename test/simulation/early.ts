/** Whose turn it was, written down once more for whoever judges: the program's own word for it is what is doubted. */
import { approversNamed, isSatisfied, type ApproverExpression } from '../../src/protocol/decision.ts';

/** Whether somebody whom stages name, alone or among what else must hold, comes before the stages that are first. */
export function isEarly(approvers: ApproverExpression | null, person: string, approved: ReadonlySet<string>): boolean {
  if (approvers === null || typeof approvers === 'string') return false;
  if ('allOf' in approvers) return approvers.allOf.some((part) => isEarly(part, person, approved));
  if (!('stages' in approvers)) return false;
  const first = approvers.stages.findIndex((stage) => approversNamed(stage).includes(person));
  return approvers.stages.slice(0, Math.max(0, first)).some((stage) => !isSatisfied(stage, approved));
}
