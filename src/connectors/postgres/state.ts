/** What an account is like, as each action would touch it, and whether an action has been applied. Nothing here changes anything. */
import { TargetError } from '../../executor/connector.ts';
import type { StateWithoutSalt } from '../../executor/connector.ts';
import type { PlanStep } from '../../protocol/plan.ts';
import type { Query } from '../../protocol/signed.ts';
import { canUse, findMarked, findRole, heldAtMost, heldBy, objectOid } from './catalog.ts';
import type { Role } from './catalog.ts';
import { findLent, validityOf } from './extend.ts';
import { isBegunToDisable, isDisabled } from './disable.ts';
import type { Gift } from './give.ts';
import { isMember } from './memberships.ts';
import { formatPrivilege } from './privilege.ts';
import { isBegun, isRetired, isStaged } from './rotate.ts';
import type { Session } from './session.ts';
import { countSessions } from './sessions.ts';
import { findRotated, namedLogins, notCarriedOver, otherLogin, rotatedRole } from './twins.ts';

type Seen = Pick<StateWithoutSalt, 'touched' | 'seen'>;

export async function readState(session: Session, connector: string, query: Query, gift: Gift): Promise<StateWithoutSalt> {
  const role = await findRole(session, gift.account);
  const seen = await look(session, query.action, query, gift, role);
  // What only takes away must not be held up by how much there is to take.
  const list = query.action === 'disable' || query.action === 'retire' ? heldAtMost : heldBy;
  const held = role === null ? [] : await list(session, role.oid);
  return { connector, target: query.target, account: query.account, exists: role !== null, ...seen, held };
}

async function look(session: Session, action: Query['action'], query: Query, gift: Gift, role: Role | null): Promise<Seen> {
  switch (action) {
    case 'provision':
      return { touched: { account: role?.oid ?? null, ...(await objectsOf(session, query, gift)) } };
    case 'grant':
    case 'revoke':
      return { touched: { ...accountOf(role), ...(await objectsOf(session, query, gift)) } };
    case 'extend':
      return lookAtLent(session, query, gift);
    case 'rotate':
      return lookAtRotated(session, gift);
    case 'stage':
    case 'cutover':
    case 'retire':
      return lookAtTwins(session, action, gift, role);
    case 'replace':
    case 'call':
      return { touched: accountOf(role) };
    case 'disable':
      return lookAtDisabled(session, gift, role);
  }
}

/** What an extension extends: nothing else may bear the mark by then. Where nothing is left of it there is nothing to extend. */
async function lookAtLent(session: Session, query: Query, gift: Gift): Promise<Seen> {
  const lent = query.gave === undefined ? null : await findLent(session, gift, query.gave);
  if (lent === null) throw new TargetError('rejected', 'what was to end later is not there any more');
  return { touched: { lent: lent.oid, ...(await objectsOf(session, query, gift)) }, ...(query.gave === 'provision' ? { seen: { validUntil: await validityOf(session, lent) } } : {}) };
}

function accountOf(role: Role | null): { account: number | null; canLogin: boolean | null } {
  return { account: role?.oid ?? null, canLogin: role?.canLogin ?? null };
}

async function objectsOf(session: Session, query: Query, gift: Gift): Promise<Record<string, number | null>> {
  const objects: Record<string, number | null> = {};
  for (const [index, privilege] of gift.privileges.entries()) objects[query.privileges[index]!] = await objectOid(session, privilege);
  return objects;
}

async function lookAtRotated(session: Session, gift: Gift): Promise<Seen> {
  const { role, twins } = await findRotated(session, gift.account);
  if (twins === null) return { touched: { overlap: 'none', account: role.oid, canLogin: true } };
  const { current, nextName, next } = twins;
  const left = await notCarriedOver(session, twins);
  return {
    touched: {
      overlap: 'twin', role: role.oid, currentName: current.name, current: current.oid, currentCanLogin: true,
      nextName, next: next?.oid ?? null, privilege: formatPrivilege({ kind: 'role', role: role.name }),
    },
    seen: { sessions: await sessionsOf(session, [current]), ...(left.length === 0 ? {} : { notCarriedOver: left }) },
  };
}

async function lookAtTwins(session: Session, action: 'stage' | 'cutover' | 'retire', gift: Gift, login: Role | null): Promise<Seen> {
  const role = await objectOid(session, rotatedRole(gift));
  const other = await findRole(session, otherLogin(gift));
  const sessions = await sessionsOf(session, [login, other]);
  switch (action) {
    case 'stage':
      return { touched: { role, current: other?.oid ?? null, next: login?.oid ?? null }, seen: { sessions } };
    case 'cutover':
      return { touched: { role, current: other?.oid ?? null }, seen: { sessions } };
    case 'retire': {
      const touched = { role, current: login?.oid ?? null };
      // What this change has begun is to be finished, and is no drift.
      if (login !== null && isBegun(login, gift.clientToken)) return { touched, seen: { sessions, currentCanLogin: false } };
      return { touched: { ...touched, currentCanLogin: login?.canLogin ?? null }, seen: { sessions } };
    }
  }
}

async function lookAtDisabled(session: Session, gift: Gift, role: Role | null): Promise<Seen> {
  if (role === null) return { touched: accountOf(role) };
  const sessions = await sessionsOf(session, [role, ...(await namedLogins(session, role, gift.clientToken))]);
  if (isBegunToDisable(role, gift.clientToken)) return { touched: { account: role.oid }, seen: { sessions, canLogin: false } };
  return { touched: accountOf(role), seen: { sessions } };
}

async function sessionsOf(session: Session, logins: readonly (Role | null)[]): Promise<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const login of logins) if (login !== null) counts[login.name] = await countSessions(session, login.oid);
  return counts;
}

/** Whether what the step would do for its client token is there. A check has no effect that could be. */
export async function isApplied(session: Session, action: PlanStep['action'], gift: Gift): Promise<boolean> {
  switch (action) {
    case 'provision':
      return (await findMarked(session, gift.clientToken)).some((role) => role.canLogin);
    case 'grant': {
      for (const holder of await findMarked(session, gift.clientToken)) if (await isMember(session, gift.account, holder.oid)) return true;
      return false;
    }
    case 'revoke':
      return isWithdrawn(session, gift);
    case 'stage':
      return isStaged(session, gift);
    case 'retire':
      return isRetired(session, gift);
    case 'replace':
      return (await findMarked(session, gift.clientToken, 'replace')).length > 0;
    case 'disable':
      return isDisabled(session, gift);
    // What an extension comes to depends on its end.
    case 'extend':
    case 'cutover':
    case 'call':
      return false;
  }
}

async function isWithdrawn(session: Session, gift: Gift): Promise<boolean> {
  const account = await findRole(session, gift.account);
  if (account === null) return true;
  for (const privilege of gift.privileges) {
    const object = await objectOid(session, privilege);
    if (object !== null && (await canUse(session, account.oid, privilege, object, 'member'))) return false;
  }
  return true;
}
