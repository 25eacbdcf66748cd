/**
 * Who may take access back at any time, without policy and without an approval (invariant 4).
 *
 * This is not Rego on purpose: no bundle, and no fault of one, may stand between an owner and a revoke.
 */
import type { ChangeState } from '../change/state.ts';
import type { Facts } from '../facts/load.ts';

/** Teams whose members may revoke whatever they see. */
const REVOKING_TEAMS: readonly string[] = ['security', 'onCall'];

/** Whether `by` owns the identity, asked for the access, or is on call or in security; and, being a person, is active. */
export function mayRevoke(by: string, state: Pick<ChangeState, 'request' | 'requester'>, facts: Facts): boolean {
  if (by === state.request.subject || (by.startsWith('nhi:') && state.requester[0] === by)) return true;
  const person = facts.directory.people.find((one) => one.id === by);
  if (person === undefined || !person.active) return false;
  const nhi = facts.inventory.get(state.request.subject);
  if (by === nhi?.owner || by === nhi?.backupOwner || state.requester.includes(by)) return true;
  return facts.directory.teams.some((team) => REVOKING_TEAMS.includes(team.id) && team.members.includes(by));
}
