/** Whose approval may come now, and whose is still missing. */
import { approversNamed, isSatisfied, partsOf, type ApproverExpression } from './decision.ts';

/**
 * Everyone whom the expression names and whose turn has come, each once, in order of first mention. Whoever is in a later stage waits for those before it,
 * whatever else names her: what two policies ask together loses neither's order. A person of several stages is asked in the first of them, and once.
 */
export function mayApprove(expression: ApproverExpression, approved: ReadonlySet<string>): ReadonlySet<string> {
  if (typeof expression === 'string') return new Set([expression]);
  const isStaged = 'stages' in expression;
  const [open, waiting] = [new Set<string>(), new Set<string>()];
  let isReached = true;
  for (const part of partsOf(expression)) {
    const now = isReached ? mayApprove(part, approved) : new Set<string>();
    for (const person of approversNamed(part)) (now.has(person) ? open : waiting).add(person);
    if (isStaged) isReached &&= isSatisfied(part, approved);
  }
  return isStaged ? open : new Set([...open].filter((person) => !waiting.has(person)));
}

/** Everyone, each once, whose approval would bring the expression nearer to being satisfied now: nobody of a part that is, of a stage that is not open, and nobody once all of it is. */
export function awaitedBy(expression: ApproverExpression, approved: ReadonlySet<string>): ReadonlySet<string> {
  const awaited = new Set<string>();
  const visit = (part: ApproverExpression): void => {
    if (isSatisfied(part, approved)) return;
    if (typeof part === 'string') awaited.add(part);
    else if ('stages' in part) part.stages.filter((stage) => !isSatisfied(stage, approved)).slice(0, 1).forEach(visit);
    else partsOf(part).forEach(visit);
  };
  visit(expression);
  const open = mayApprove(expression, approved);
  return new Set([...awaited].filter((person) => open.has(person)));
}

/** Of those who have not decided, and did not ask: whose turn it is, and who is asked then. In order of first mention. */
export function turnsOf(
  expression: ApproverExpression, approvals: readonly { readonly approver: string; readonly verdict: 'approve' | 'reject' }[], requester: readonly string[],
): { readonly now: string[]; readonly then: string[] } {
  const open = mayApprove(expression, new Set(approvals.filter(({ verdict }) => verdict === 'approve').map(({ approver }) => approver)));
  const decided = new Set([...requester, ...approvals.map(({ approver }) => approver)]);
  const left = approversNamed(expression).filter((person) => !decided.has(person));
  return { now: left.filter((person) => open.has(person)), then: left.filter((person) => !open.has(person)) };
}
