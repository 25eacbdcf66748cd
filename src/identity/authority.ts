/**
 * Who may take access back at any time, without policy and without an approval (invariant 4).
 *
 * This is not Rego on purpose: no bundle, and no fault of one, may stand between an owner and a revoke.
 */
import type { ChangeState } from '../change/state.ts';
import type { Facts } from '../facts/load.ts';

/** Teams whose members may revoke whatever they see. */
const REVOKING_TEAMS: readonly string[] = ['security', 'onCall'];

/** Whether `by` may stop what is gained: by one identity as its owner; anywhere as one of those who revoke whatever they see. */
export function mayLock(by: string, nhi: string | null, facts: Facts): boolean {
  const person = facts.directory.people.find((one) => one.id === by);
  if (person === undefined || !person.active) return false;
  const owned = nhi === null ? undefined : facts.inventory.get(nhi);
  return by === owned?.owner || by === owned?.backupOwner || isResponder(by, facts);
}

/** Whether `by` may say that a consumer uses the new credential: the consumer itself, who asked, or an owner. */
export function mayConfirm(by: string, consumer: string, state: Pick<ChangeState, 'request' | 'requester'>, facts: Facts): boolean {
  const nhi = facts.inventory.get(state.request.subject);
  return by === consumer || state.requester.includes(by) || by === nhi?.owner || by === nhi?.backupOwner;
}

function isResponder(by: string, facts: Facts): boolean {
  return facts.directory.teams.some((team) => REVOKING_TEAMS.includes(team.id) && team.members.includes(by));
}

/** Whether `by` owns the identity, asked for the access, or is on call or in security; and, being a person, is active. */
export function mayRevoke(by: string, state: Pick<ChangeState, 'request' | 'requester'>, facts: Facts): boolean {
  if (by === state.request.subject || (by.startsWith('nhi:') && state.requester[0] === by)) return true;
  const person = facts.directory.people.find((one) => one.id === by);
  if (person === undefined || !person.active) return false;
  const nhi = facts.inventory.get(state.request.subject);
  if (by === nhi?.owner || by === nhi?.backupOwner || state.requester.includes(by)) return true;
  return isResponder(by, facts);
}
