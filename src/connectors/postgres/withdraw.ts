/** Taking from an account what this connector did not give it: the action `revoke`. */
import { TargetError } from '../../executor/connector.ts';
import { canUse, findRole, PRINCIPALS, resolveAll } from './catalog.ts';
import { afterCommit } from './errors.ts';
import { formatPrivilege } from './privilege.ts';
import type { Privilege } from './privilege.ts';
import type { Gift } from './give.ts';
import type { Session } from './session.ts';
import { endPresentSessions, endPresentTransactions, lockAttempt } from './sessions.ts';
import * as ddl from './statements.ts';
import { escapeIdentifier } from 'pg';

/**
 * The account can no longer use the privileges, whoever granted them: its own grants are gone, and what running leases give it of them too.
 * Idempotent.
 * @throws TargetError `rejected`: nothing was changed, as when the account has a privilege as an owner, through another role or as everybody;
 *   `ambiguous`: it was taken back, but what the account had open may still be open
 */
export async function withdrawPrivileges(session: Session, gift: Gift): Promise<void> {
  const { account, mayHaveSwitched } = await session.transaction(async () => {
    await lockAttempt(session, gift.clientToken);
    const role = await findRole(session, gift.account);
    if (role === null) throw new TargetError('rejected', 'there is no such account');
    const resolved = await resolveAll(session, gift.privileges);
    let switched = false;
    for (const [privilege, object] of resolved) {
      if (privilege.kind === 'role') switched = (await revokeMemberships(session, role.oid, privilege.role, object)) || switched;
      else await revokeGrants(session, role.oid, privilege, object, gift.database);
    }
    for (const [privilege, object] of resolved) {
      if (await canUse(session, role.oid, privilege, object, 'member')) {
        throw new TargetError('rejected', `the account has it as an owner, through another role or as everybody: ${formatPrivilege(privilege)}`);
      }
    }
    return { account: role.oid, mayHaveSwitched: switched };
  });
  await afterCommit('taken back, but not known whether its sessions have ended', () =>
    mayHaveSwitched ? endPresentSessions(session, account) : endPresentTransactions(session, account),
  );
}

/** Whether a session of the account may be running under the role, by `SET ROLE`, which a REVOKE does not end. */
async function revokeMemberships(session: Session, account: number, role: string, roleOid: number): Promise<boolean> {
  const option = ddl.hasMembershipOptions(session.version) ? 'm.set_option' : 'true';
  const rows = await session.query(
    `SELECT u.rolname::text AS member, g.rolname::text AS grantor, ${option} AS switchable
       FROM pg_auth_members m JOIN pg_roles u ON u.oid = m.member LEFT JOIN pg_roles g ON g.oid = m.grantor
      WHERE m.roleid = $2::oid AND m.member IN (${PRINCIPALS})`,
    [account, roleOid],
  );
  for (const row of rows) {
    await session.query(ddl.revokeMembership(role, row['member'] as string, row['grantor'] as string, session.version));
  }
  return rows.some((row) => row['switchable'] === true);
}

const ACLS = {
  database: ['pg_database', 'datacl', 'datdba'],
  schema: ['pg_namespace', 'nspacl', 'nspowner'],
  table: ['pg_class', 'relacl', 'relowner'],
  sequence: ['pg_class', 'relacl', 'relowner'],
} as const;

async function revokeGrants(session: Session, account: number, privilege: Exclude<Privilege, { kind: 'role' }>, object: number, database: string): Promise<void> {
  const [catalog, acl, owner] = ACLS[privilege.kind];
  const rows = await session.query(
    `SELECT u.rolname::text AS grantee, g.rolname::text AS grantor, pg_has_role(session_user, o.${owner}, 'USAGE') AND a.grantor = o.${owner} AS as_owner
       FROM ${catalog} o, LATERAL aclexplode(o.${acl}) a JOIN pg_roles u ON u.oid = a.grantee JOIN pg_roles g ON g.oid = a.grantor
      WHERE o.oid = $2::oid AND a.privilege_type = $3::text AND a.grantee IN (${PRINCIPALS}) AND a.grantee <> o.${owner}`,
    [account, object, privilege.word],
  );
  for (const row of rows) {
    // A REVOKE takes what the revoker granted and no more, so each grantor's is taken in its own name.
    const borrowed = row['as_owner'] !== true;
    if (borrowed) await session.query(`SET LOCAL ROLE ${escapeIdentifier(row['grantor'] as string)}`);
    await session.query(ddl.revoke(privilege, database, row['grantee'] as string));
    if (borrowed) await session.query('RESET ROLE');
  }
}
