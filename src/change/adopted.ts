/**
 * What may still become of a change that was begun under an earlier log. Its approvals and receipts are that log's, which no executor takes
 * anything more from: so nothing is gained by it, as under a lock that is never lifted. What takes away goes on.
 */
import type { Command } from './decide.ts';
import { takesAway } from '../protocol/plan.ts';
import { mayHaveGiven, stepOf, type ChangeState } from './state.ts';

/** Commands by which something could be gained, or that prepare it. */
const GAINING: ReadonlySet<Command['type']> = new Set([
  'revise', 'reduce', 'authoriseRead', 'recordDecision', 'approve', 'breakGlass', 'authoriseAct', 'recordArmed', 'extendLease', 'openWindow', 'missWindow',
]);

/** Whether the command would add to what an adopted change has given. */
export function wouldGain(state: ChangeState, type: Command['type']): boolean {
  return GAINING.has(type) || (type === 'recordVerification' && !mayBeJudged(state));
}

/** Whether the step that an adopted change is at gives nothing, so that it may be verified once it is done: a later end, too, is something given. */
export function mayBeJudged(state: ChangeState): boolean {
  const step = stepOf(state);
  return state.extension === null && (!mayHaveGiven(state) || (step !== null && takesAway(step.action)));
}

/** Whether an adopted change may end without an answer: it has given nothing that an order would take back, and takes nothing away by itself. */
export function mayEndAdopted({ name, plan, act, request, extension, claimed }: ChangeState): boolean {
  if (name === 'requested' || name === 'pending' || name === 'scheduled') return true;
  if (extension !== null) return name === 'authorised' || name === 'executing' || name === 'verifying';
  if ((name !== 'authorised' && name !== 'executing') || request.kind === 'offboard' || mayHaveGiven({ plan, act })) return false;
  return plan?.mode !== 'caller' || !claimed;
}
