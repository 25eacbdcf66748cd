/**
 * Who may see what. Whoever may not see a change is told what someone is told who made its id up.
 */
import type { ChangeState } from '../change/state.ts';
import type { Facts } from '../facts/load.ts';
import { mayRevoke } from '../identity/authority.ts';
import type { Authenticated } from '../identity/tokens.ts';
import { approversNamed } from '../protocol/decision.ts';

const seesAll = (by: Authenticated): boolean => by.roles.has('auditor') || by.roles.has('operator');

/** Requesters, those who are asked or have decided, whoever may revoke it (owners, on call, security), operators and auditors. */
export function maySeeChange(by: Authenticated, state: ChangeState, facts: Facts): boolean {
  const { principal } = by;
  return seesAll(by)
    || state.requester.includes(principal)
    || approversNamed(state.requirement.approvers).includes(principal)
    || state.approvals.some(({ statement }) => statement.approver === principal)
    || mayRevoke(principal, state, facts);
}

/** The identity itself, its owners, on call, security, operators and auditors. */
export function maySeeNhi(by: Authenticated, nhi: string, facts: Facts): boolean {
  if (seesAll(by) || by.principal === nhi) return true;
  const person = facts.directory.people.find((one) => one.id === by.principal);
  if (person === undefined || !person.active) return false;
  const fact = facts.inventory.get(nhi);
  if (by.principal === fact?.owner || by.principal === fact?.backupOwner) return true;
  return facts.directory.teams.some((team) => (team.id === 'security' || team.id === 'onCall') && team.members.includes(by.principal));
}
