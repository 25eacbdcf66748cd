/**
 * Who may see what. Whoever may not see a change is told what someone is told who made its id up.
 */
import type { ChangeState } from '../change/state.ts';
import type { Wanted } from '../engine/change-index.ts';
import type { Lock } from '../engine/locks.ts';
import type { OpenFinding } from '../evidence/reconciled.ts';
import type { Facts } from '../facts/load.ts';
import { mayRevoke } from '../identity/authority.ts';
import type { Authenticated } from '../identity/tokens.ts';
import { approversNamed } from '../protocol/decision.ts';

const seesAll = (by: Authenticated): boolean => by.roles.has('auditor') || by.roles.has('operator');

/**
 * Requesters, those who are asked, were told as well or have decided, or broke the glass, whoever may revoke it (owners, on call, security), the consumers of a
 * rotation, operators and auditors. Of an offboarding, those who may see an identity that is in it; who is offboarded is not told by us.
 */
export function maySeeChange(by: Authenticated, state: ChangeState, facts: Facts): boolean {
  const { principal } = by;
  const takesPart = seesAll(by)
    || state.requester.includes(principal)
    || approversNamed(state.requirement.approvers).includes(principal)
    || state.approvals.some(({ statement }) => statement.approver === principal)
    || state.breakGlass?.statement.usedBy === principal
    || state.plan?.rotation?.consumers.includes(principal) === true;
  const told = state.escalated?.to.includes(principal) === true;
  if (takesPart || state.request.kind !== 'offboard') return takesPart || told || mayRevoke(principal, state, facts);
  if (principal === state.request.subject) return false;
  return told || isInTeam(principal, facts) || (state.plan?.items ?? []).some(({ nhi }) => maySeeNhi(by, nhi, facts));
}

/** Which changes at rest `by` may turn out to be one who may see, once they have been read: never not one where {@link maySeeChange} says yes. */
export function maySeeAtRest(by: Authenticated, facts: Facts): Pick<Wanted, 'about' | 'people'> {
  const { principal } = by;
  if (seesAll(by) || isInTeam(principal, facts)) return {};
  const owns = (subject: string): boolean => {
    const nhi = facts.inventory.get(subject);
    return principal === nhi?.owner || principal === nhi?.backupOwner;
  };
  return { about: (kind, subject) => kind === 'offboard' || principal === subject || owns(subject), people: (people) => people.includes(principal) };
}

/** The identity itself, its owners, on call, security, operators and auditors. */
export function maySeeNhi(by: Authenticated, nhi: string, facts: Facts): boolean {
  if (seesAll(by) || by.principal === nhi) return true;
  const person = facts.directory.people.find((one) => one.id === by.principal);
  if (person === undefined || !person.active) return false;
  const fact = facts.inventory.get(nhi);
  if (by.principal === fact?.owner || by.principal === fact?.backupOwner) return true;
  return isInTeam(by.principal, facts);
}

/** Whoever may see all that is at a target: what is there is of everybody. Operators, auditors, on call and security. */
export function maySeeTargets(by: Authenticated, facts: Facts): boolean {
  return seesAll(by) || isInTeam(by.principal, facts);
}

/** Whoever may see what is at targets, whoever owns the finding, and whoever may see its identity. */
export function maySeeFinding(by: Authenticated, finding: Pick<OpenFinding, 'owner' | 'nhi'>, facts: Facts): boolean {
  return maySeeTargets(by, facts) || (finding.nhi !== null && maySeeNhi(by, finding.nhi, facts)) || by.principal === finding.owner;
}

/** Whoever may see the identity that is locked, or one with an account at the connector that is. */
export function maySeeLock(by: Authenticated, lock: Lock, facts: Facts): boolean {
  if (lock.nhi !== null) return maySeeNhi(by, lock.nhi, facts);
  const { connector } = lock;
  return seesAll(by) || isInTeam(by.principal, facts)
    || (connector !== null && [...facts.inventory.values()].some((nhi) => Object.hasOwn(nhi.accounts, connector) && maySeeNhi(by, nhi.id, facts)));
}

/** On call or in security, and active. */
function isInTeam(principal: string, facts: Facts): boolean {
  return facts.directory.people.some((person) => person.id === principal && person.active)
    && facts.directory.teams.some((team) => (team.id === 'security' || team.id === 'onCall') && team.members.includes(principal));
}
