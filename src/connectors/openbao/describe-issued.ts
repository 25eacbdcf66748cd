/** What the connectors for tokens and database credentials state: what they issue is given whole and taken back whole. */
import type { Described } from '../../executor/connector.ts';
import type { PlanStep } from '../../protocol/plan.ts';

export function describeToken(action: PlanStep['action']): Described | null {
  return action === 'provision' ? { expiry: 'native', endsSessions: true, residualMs: 0, findable: true, choosesSecret: true } : null;
}

export function describeCredential(action: PlanStep['action']): Described | null {
  // Sessions end as the role's revocation statements say: PostgreSQL's default terminates none.
  return action === 'provision' ? { expiry: 'native', endsSessions: false, residualMs: 0, findable: true, choosesSecret: true } : null;
}
