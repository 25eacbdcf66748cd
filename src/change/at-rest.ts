/** When a change is at rest: it moves again only if somebody asks for something, or says something late. */
import { owesAnything } from './glass-debts.ts';
import { FINAL_STATES, type ChangeState } from './state.ts';

/**
 * Whether nothing of the change is due, now or at any time, and nothing is awaited that it alone could answer for. What it gave may still stand
 * (`stillGives`): that is taken back when somebody asks.
 */
export function isAtRest(state: ChangeState): boolean {
  if (state.window === 'opened' || owesAnything(state)) return false;
  if (state.ended !== null) return true;
  if (state.lease !== null || state.revokes.length > 0) return false;
  if (state.name === 'done') return state.delivery === null || state.delivery.status === 'acknowledged';
  return FINAL_STATES.has(state.name);
}
