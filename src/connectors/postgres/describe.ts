/** What this connector states of each action. The table in `docs/connectors/README.md` is made from it, and the conformance kit holds it to it. */
import type { Described } from '../../executor/connector.ts';
import type { PlanStep } from '../../protocol/plan.ts';

export function describe(action: PlanStep['action']): Described | null {
  switch (action) {
    case 'provision':
      // VALID UNTIL refuses logins from then on; sessions that are open then are ended by the revoke.
      return { expiry: 'native', endsSessions: true, residualMs: 0, findable: true };
    case 'extend':
      // Of an account the validity moves; what was lent has none.
      return { expiry: 'native', endsSessions: false, residualMs: 0, findable: true };
    case 'grant':
      // Sessions stay open, without the access; before 16 they are ended.
      return { expiry: 'external', endsSessions: false, residualMs: 0, findable: true };
    case 'revoke':
    case 'cutover':
      // They make nothing that would have to be found: whether a revoke was applied is read from the account itself.
      return { expiry: 'external', endsSessions: false, residualMs: 0, findable: true };
    case 'stage':
      // A staged login stands until it is retired by the next rotation, or shut out again by its order, with its sessions.
      return { expiry: 'external', endsSessions: true, residualMs: 0, findable: true };
    case 'replace':
      // Sessions that the old secret opened stay open.
      return { expiry: 'external', endsSessions: false, residualMs: 0, findable: true };
    case 'retire':
    case 'disable':
      return { expiry: 'external', endsSessions: true, residualMs: 0, findable: true };
    case 'call':
      return null;
  }
}
