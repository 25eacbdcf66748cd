/** The steps of a rotation. At no moment between them has the account no login that works. */
import { TargetError } from '../../executor/connector.ts';
import { checkUnchanged, findMarked, findRole, resolveAll } from './catalog.ts';
import type { Role } from './catalog.ts';
import { afterCommit } from './errors.ts';
import { checkInForce } from './give.ts';
import type { Gift } from './give.ts';
import { amendedComment, claimedComment, isMarked } from './marks.ts';
import { isMember, leave } from './memberships.ts';
import { quoted } from './privilege.ts';
import type { Session } from './session.ts';
import { countSessions, endSessions, lockAttempt } from './sessions.ts';
import * as ddl from './statements.ts';
import { checkStaged, findRotated, otherLogin, rotatedRole, twinsOf } from './twins.ts';

/** The next login is there, marked, a member of the account and of nothing else; the current one is as it was. @throws TargetError as of `Session.transaction` */
export async function stageLogin(session: Session, gift: Gift, verifier: string, validUntil: string | null): Promise<void> {
  const privilege = rotatedRole(gift);
  await session.transaction(async () => {
    await lockAttempt(session, gift.clientToken);
    const role = await accountOf(session, gift);
    if (role.canLogin) throw new TargetError('rejected', `${quoted(role.name)} can log in itself: it has no twins`);
    const { current, nextName, next } = await twinsOf(session, role);
    if (current.name !== otherLogin(gift) || nextName !== gift.account) {
      throw new TargetError('rejected', `the login in use is ${quoted(current.name)} and the next one ${quoted(nextName)}, not as the step says`);
    }
    if (next === null) {
      await session.query(ddl.createAccount(nextName, verifier, validUntil, session.version));
    } else {
      await session.query(ddl.reviveAccount(nextName, verifier, validUntil, session.version));
      await checkUnchanged(session, next);
      // A membership that was left could say more than ours will.
      await leave(session, next.oid, role.oid);
    }
    await session.query(ddl.comment(nextName, claimedComment(next?.comment ?? null, gift.clientToken)));
    await session.query(ddl.grantMembership(role.name, nextName, session.version));
    await checkUnchanged(session, role);
    await checkInForce(session, nextName, [[privilege, role.oid]]);
  });
}

export async function isStaged(session: Session, gift: Gift): Promise<boolean> {
  const [[, role] = []] = await resolveAll(session, [rotatedRole(gift)]);
  for (const login of await findMarked(session, gift.clientToken)) {
    if (login.canLogin && role !== undefined && (await isMember(session, login.name, role))) return true;
  }
  return false;
}

/**
 * The new login can take over, and the old one is not in use. Changes nothing.
 * @throws TargetError `notYet` while sessions of the old login are open, unless they are going to be ended
 */
export async function checkCutover(session: Session, gift: Gift, endOpen: boolean): Promise<void> {
  await checkStaged(session, gift.account, await accountOf(session, gift), gift.clientToken);
  if (!endOpen) await checkUnused(session, await loginOf(session, otherLogin(gift)));
}

/**
 * Nobody gets in by the old login any more, and nobody is in by it. Shutting it out is one transaction, and before it ends it is known that the
 * new login works. Repeatable, also where it was cut short before the sessions were ended.
 * @throws TargetError `notYet` while its sessions are open, unless `endOpen`; `ambiguous`: shut out, and not known whether its sessions have ended
 */
export async function retireLogin(session: Session, gift: Gift, endOpen: boolean): Promise<void> {
  const old = await session.transaction(async () => {
    await lockAttempt(session, gift.clientToken);
    const role = await accountOf(session, gift);
    const next = await checkStaged(session, otherLogin(gift), role, gift.clientToken);
    const login = await loginOf(session, gift.account);
    if (login.oid === next.oid) throw new TargetError('rejected', 'the old login and the new one are the same');
    if (login.isOwn) throw new TargetError('rejected', `${quoted(login.name)} is the connector's own login`);
    if (!endOpen && !isBegun(login, gift.clientToken)) await checkUnused(session, login);
    await session.query(ddl.lockOut(login.name));
    await leave(session, login.oid, role.oid);
    await session.query(ddl.comment(login.name, amendedComment(login.comment, gift.clientToken, 'retire')));
    await checkUnchanged(session, login);
    return login;
  });
  await afterCommit('shut out, but not known whether its sessions have ended', async () => {
    // Also where none were open: one may have come in between, and no other can follow.
    await endSessions(session, old.oid);
    await session.transaction(async () => {
      await session.query(ddl.comment(old.name, amendedComment(old.comment, gift.clientToken, 'retired')));
      await checkUnchanged(session, old);
    });
  });
}

/** Whether this change has shut the old login out and is not known to have ended its sessions. */
export function isBegun(login: Role, clientToken: string): boolean {
  return !login.canLogin && isMarked(login.comment, clientToken, 'retire');
}

export async function isRetired(session: Session, gift: Gift): Promise<boolean> {
  const [old] = await findMarked(session, gift.clientToken, 'retired');
  return old !== undefined && !old.canLogin;
}

/** The account logs in with the new secret and no more with the old one. Its sessions stay. @throws TargetError as of `Session.transaction` */
export async function replaceSecret(session: Session, gift: Gift, verifier: string): Promise<void> {
  await session.transaction(async () => {
    await lockAttempt(session, gift.clientToken);
    const { role: account, twins } = await findRotated(session, gift.account);
    if (twins !== null) throw new TargetError('rejected', `${quoted(account.name)} cannot log in: there is no secret to replace`);
    await session.query(ddl.setVerifier(account.name, verifier));
    await session.query(ddl.comment(account.name, amendedComment(account.comment, gift.clientToken, 'replace')));
    await checkUnchanged(session, account);
  });
}

async function accountOf(session: Session, gift: Gift): Promise<Role> {
  return loginOf(session, rotatedRole(gift).role);
}

async function loginOf(session: Session, name: string): Promise<Role> {
  const role = await findRole(session, name);
  if (role === null) throw new TargetError('rejected', `there is no such account: ${quoted(name)}`);
  return role;
}

async function checkUnused(session: Session, login: Role): Promise<void> {
  const open = await countSessions(session, login.oid);
  if (open > 0) throw new TargetError('notYet', `${String(open)} ${open === 1 ? 'session' : 'sessions'} of ${login.name}`);
}
