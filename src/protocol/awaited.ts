/** Whose approval is still missing. */
import { isSatisfied, type ApproverExpression } from './decision.ts';

/** Everyone, each once, whose approval would bring the expression nearer to being satisfied: nobody of a part that is, and nobody once all of it is. */
export function awaitedBy(expression: ApproverExpression, approved: ReadonlySet<string>): ReadonlySet<string> {
  const awaited = new Set<string>();
  const visit = (part: ApproverExpression): void => {
    if (isSatisfied(part, approved)) return;
    if (typeof part === 'string') awaited.add(part);
    else ('allOf' in part ? part.allOf : 'anyOf' in part ? part.anyOf : part.of).forEach(visit);
  };
  visit(expression);
  return awaited;
}
