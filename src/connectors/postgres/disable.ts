/** Shutting an account out: nobody gets in by it, and it holds nothing but what it owns. */
import { TargetError } from '../../executor/connector.ts';
import { attributesOf, checkUnchanged, findMarked, findRole } from './catalog.ts';
import type { Role } from './catalog.ts';
import { afterCommit } from './errors.ts';
import type { Gift } from './give.ts';
import { revokeDirectGrants } from './grants.ts';
import { amendedComment, isMarked } from './marks.ts';
import { expel, leaveAll } from './memberships.ts';
import { quoted } from './privilege.ts';
import type { Session } from './session.ts';
import { endPresentSessions, endSessions, lockAttempt } from './sessions.ts';
import * as ddl from './statements.ts';
import { namedLogins } from './twins.ts';

/**
 * The account and its own logins are shut out, their sessions are ended, and they hold nothing that was given to them; nor has anybody
 * anything by being in the account. What they own stays. Where there is no such account there is nothing to do. Idempotent.
 * @throws TargetError `rejected`: nothing was changed; `ambiguous`: they are shut out, and the rest is not known to be done
 */
export async function disableAccount(session: Session, gift: Gift): Promise<void> {
  // Committed by itself, so that nobody gets in even if nothing after it works.
  const shut = await session.transaction(async () => {
    await lockAttempt(session, gift.clientToken);
    const roles = await shutOutTogether(session, gift);
    for (const role of roles) {
      if (role.isOwn) throw new TargetError('rejected', `${quoted(role.name)} is the connector's own login`);
      if (role.isSuperuser) throw new TargetError('rejected', `${quoted(role.name)} is a superuser, whom this connector does not shut out`);
      await session.query(ddl.lockOut(role.name));
      await mark(session, role, gift, 'disable');
    }
    return roles;
  });
  await afterCommit('shut out, but not everything is known to be taken from it', async () => {
    for (const role of shut) await endSessions(session, role.oid);
    for (const role of shut) await strip(session, role);
    // A login that passed its checks just before it was shut out shows only now.
    for (const role of shut) await endSessions(session, role.oid);
    await session.transaction(async () => {
      for (const role of shut) await mark(session, role, gift, 'disabled');
    });
  });
}

/** Whether this change has shut the account out and is not known to have taken everything from it. */
export function isBegunToDisable(role: Role, clientToken: string): boolean {
  return !role.canLogin && isMarked(role.comment, clientToken, 'disable');
}

/** Whether it is done. An account that is there neither under its name nor by its mark is not known to be. */
export async function isDisabled(session: Session, gift: Gift): Promise<boolean> {
  const named = await findRole(session, gift.account);
  if (named !== null && !isMarked(named.comment, gift.clientToken, 'disabled')) return false;
  const done = await findMarked(session, gift.clientToken, 'disabled');
  return done.length > 0 && done.every(({ canLogin }) => !canLogin);
}

/** The account, under whatever name it was shut out before, and the logins that are its own. */
async function shutOutTogether(session: Session, gift: Gift): Promise<Role[]> {
  const named = await findRole(session, gift.account);
  const roles = named === null ? [] : [named, ...(await namedLogins(session, named, gift.clientToken))];
  for (const state of ['disable', 'disabled'] as const) {
    for (const marked of await findMarked(session, gift.clientToken, state)) if (!roles.some(({ oid }) => oid === marked.oid)) roles.push(marked);
  }
  return roles;
}

async function mark(session: Session, role: Role, gift: Gift, state: 'disable' | 'disabled'): Promise<void> {
  await session.query(ddl.comment(role.name, amendedComment(role.comment, gift.clientToken, state)));
  await checkUnchanged(session, role);
}

async function strip(session: Session, role: Role): Promise<void> {
  const switchers = await switchersTo(session, role);
  await session.transaction(async () => {
    await checkUnchanged(session, role);
    await leaveAll(session, role.oid);
    await expel(session, role.oid, 'withAccess');
    await revokeDirectGrants(session, role);
    const attributes = await attributesOf(session, role.oid);
    if (attributes.length > 0) await session.query(ddl.without(role.name, attributes));
  });
  // A session that switched to the account goes on as its owner of things, which a REVOKE does not end.
  for (const member of switchers) await endPresentSessions(session, member);
}

/** Who may be running under the role by `SET ROLE`, superusers aside, who may be running under any. */
async function switchersTo(session: Session, role: Role): Promise<number[]> {
  const rows = await session.query(
    `SELECT r.oid FROM pg_roles r
      WHERE r.rolcanlogin AND NOT r.rolsuper AND r.oid <> $1::oid AND r.rolname <> session_user AND pg_has_role(r.oid, $1::oid, $2::text)`,
    [role.oid, ddl.hasMembershipOptions(session.version) ? 'SET' : 'MEMBER'],
  );
  return rows.map((row) => row['oid'] as number);
}
