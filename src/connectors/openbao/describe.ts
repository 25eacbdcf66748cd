/** What this connector states of each action. The table in `docs/connectors/README.md` is made from it, and the conformance kit holds it to it. */
import type { Described } from '../../executor/connector.ts';
import type { PlanStep } from '../../protocol/plan.ts';

export function describe(action: PlanStep['action']): Described | null {
  switch (action) {
    case 'provision':
      // The secret-id expires. A token that was got with it just before lives on for TOKEN_SECONDS_MAX at most, unless the revoke ends it.
      return { expiry: 'native', endsSessions: true, residualMs: 0, findable: true };
    case 'extend':
      // What was lent has no end of its own. A secret-id has, which the server does not move.
      return { expiry: 'external', endsSessions: false, residualMs: 0, findable: true };
    case 'grant':
      // Tokens stay, without the policies. Leases of secrets that they got by them run their time.
      return { expiry: 'external', endsSessions: false, residualMs: 0, findable: true };
    case 'revoke':
    case 'stage':
    case 'retire':
    case 'disable':
      return { expiry: 'external', endsSessions: true, residualMs: 0, findable: true };
    case 'cutover':
      return { expiry: 'external', endsSessions: false, residualMs: 0, findable: true };
    case 'replace':
    case 'call':
      return null;
  }
}
