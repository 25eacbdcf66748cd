/**
 * The two logins of an account that cannot log in itself: members of it, `<account>_a` and `<account>_b`, of which one is in use.
 * Nothing here changes anything.
 */
import { TargetError } from '../../executor/connector.ts';
import { attributesOf, canUse, findRole, heldAtMost, MAY_LOG_IN } from './catalog.ts';
import type { Role } from './catalog.ts';
import type { Gift } from './give.ts';
import { directGrants } from './grants.ts';
import { isMarked, isRevivable } from './marks.ts';
import { isMember, membersOf, rolesOf } from './memberships.ts';
import { checkRoleName, checkTellable, formatPrivilege, quoted } from './privilege.ts';
import type { Privilege } from './privilege.ts';
import type { Session } from './session.ts';

export interface Twins {
  /** The account: what the logins are given. */
  readonly role: Role;
  /** The one login that can log in. */
  readonly current: Role;
  readonly nextName: string;
  /** The login that will be: null if it is still to be made. */
  readonly next: Role | null;
}

/** The role that a step of a rotation gives to its login or takes from it. @throws TargetError `rejected` unless it is the one privilege */
export function rotatedRole(gift: Gift): Privilege & { kind: 'role' } {
  const [privilege, ...more] = gift.privileges;
  if (privilege?.kind !== 'role' || more.length > 0) throw new TargetError('rejected', 'a rotation gives one role, and nothing else');
  return privilege;
}

/** The other login that a step of a rotation names. @throws TargetError `rejected` */
export function otherLogin(gift: Gift): string {
  if (gift.other === null) throw new TargetError('rejected', 'a step of a rotation names two logins');
  return gift.other;
}

/** How the account can be rotated: by twins, or, if it logs in itself, in place. @throws TargetError `rejected` where it cannot, and says why */
export async function findRotated(session: Session, account: string): Promise<{ readonly role: Role; readonly twins: Twins | null }> {
  const role = await findRole(session, account);
  if (role === null) throw new TargetError('rejected', `there is no such account: ${quoted(account)}`);
  if (role.isOwn) throw new TargetError('rejected', `${quoted(account)} is the connector's own login`);
  return { role, twins: role.canLogin ? null : await twinsOf(session, role) };
}

/** The twins of the account. @throws TargetError `rejected` unless one login is in use and the other can be made or given a new life */
export async function twinsOf(session: Session, role: Role): Promise<Twins> {
  const logins: Role[] = [];
  for (const name of await membersOf(session, role.oid)) {
    const member = await findRole(session, name);
    if (member?.canLogin === true) logins.push(member);
  }
  const [current, ...more] = logins;
  if (current === undefined) throw new TargetError('rejected', `no login is a member of ${quoted(role.name)}: there is nothing to rotate`);
  if (more.length > 0) {
    throw new TargetError('rejected', `several logins of ${quoted(role.name)} are in use, and a rotation needs one: ${logins.map(({ name }) => quoted(name)).join(', ')}`);
  }
  checkTellable(current.name);
  const [a, b] = twinNames(role.name);
  const nextName = checkRoleName(current.name === a ? b : a);
  const next = await findRole(session, nextName);
  if (next !== null) await checkRevivable(session, role, next);
  return { role, current, nextName, next };
}

/** What the login in use has for itself, beside the account's role, and the next one will not have: privileges, and its settings. */
export async function notCarriedOver(session: Session, { role, current }: Twins): Promise<string[]> {
  const privilege = formatPrivilege({ kind: 'role', role: role.name });
  const held = (await heldAtMost(session, current.oid)).filter((one) => one !== privilege);
  const settings = await session.query(
    "SELECT DISTINCT split_part(c, '=', 1) AS name FROM pg_db_role_setting s, LATERAL unnest(s.setconfig) c WHERE s.setrole = $1::oid ORDER BY 1",
    [current.oid],
  );
  return [...held, ...settings.map((row) => `setting:${row['name'] as string}`)];
}

/** The logins that are the account's own by their names, whether or not they can log in now. */
export async function namedLogins(session: Session, role: Role, clientToken: string): Promise<Role[]> {
  const logins: Role[] = [];
  for (const name of twinNames(role.name)) {
    const login = await findRole(session, name);
    if (login === null) continue;
    const isShutOut = isMarked(login.comment, clientToken, 'disable') || isMarked(login.comment, clientToken, 'disabled');
    if (isShutOut || (await isMember(session, name, role.oid))) logins.push(login);
  }
  return logins;
}

function twinNames(account: string): readonly [string, string] {
  return [`${account}_a`, `${account}_b`];
}

/** A login given a new life comes with whatever it has, so it may have nothing that the plan does not say; but what it owns is its own. */
async function checkRevivable(session: Session, role: Role, next: Role): Promise<void> {
  const name = quoted(next.name);
  if (next.canLogin) throw new TargetError('rejected', `${name} can log in and is no login of ${quoted(role.name)}: it is in the way of the next one`);
  if (!isRevivable(next.comment)) throw new TargetError('rejected', `${name} is neither made nor retired by Countersign: it is in the way of the next login`);
  const beyond = await heldBeyond(session, role, next);
  if (beyond.length > 0) throw new TargetError('rejected', `${name} was retired and holds something again, which the next login must not have: ${beyond.slice(0, 5).join(', ')}`);
}

async function heldBeyond(session: Session, role: Role, login: Role): Promise<string[]> {
  const roles = (await rolesOf(session, login.oid)).filter((name) => name !== role.name).map((name) => formatPrivilege({ kind: 'role', role: name }));
  const attributes = await attributesOf(session, login.oid);
  const grants = (await directGrants(session, login.oid)).map(({ kind, identity }) => `${kind} ${identity}`);
  return [...roles, ...attributes, ...grants];
}

/**
 * The login can log in and has the role, and was staged under the client token: it is the new login of this change, and no other of its name.
 * @throws TargetError `rejected`
 */
export async function checkStaged(session: Session, login: string, role: Role, clientToken: string): Promise<Role> {
  const next = await findRole(session, login);
  if (next === null || !isMarked(next.comment, clientToken)) throw new TargetError('rejected', `${quoted(login)} is not the login that this change has staged`);
  if (!(await isLetIn(session, next))) throw new TargetError('rejected', `the new login ${quoted(login)} cannot log in`);
  const privilege: Privilege = { kind: 'role', role: role.name };
  if (!(await canUse(session, next.oid, privilege, role.oid, 'inherited'))) throw new TargetError('rejected', `the new login ${quoted(login)} does not have ${formatPrivilege(privilege)}`);
  return next;
}

/** Whether nothing but its secret stands between the login and this database. */
async function isLetIn(session: Session, login: Role): Promise<boolean> {
  const [row] = await session.query(
    `SELECT ${MAY_LOG_IN} AND coalesce(r.rolvaliduntil > now(), true) AND has_database_privilege(r.oid, current_database(), 'CONNECT') AS is
       FROM pg_roles r WHERE r.oid = $1::oid`,
    [login.oid],
  );
  return row?.['is'] === true;
}
