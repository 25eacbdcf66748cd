/** Ending memberships, whoever granted them: each grantor's is a membership of its own since 16. */
import { findRole } from './catalog.ts';
import type { Session } from './session.ts';
import * as ddl from './statements.ts';

/** The role is a member of nothing. */
export async function leaveAll(session: Session, member: number): Promise<void> {
  await revokeWhere(session, 'm.member = $1::oid', [member]);
}

/** The member is not in the role by a membership of its own. */
export async function leave(session: Session, member: number, role: number): Promise<void> {
  await revokeWhere(session, 'm.member = $1::oid AND m.roleid = $2::oid', [member, role]);
}

/**
 * Nobody is a member of the role; but for the connector, which must come back to it. `withAccess` leaves those as well who have nothing
 * by it but the right to give it: administrators.
 */
export async function expel(session: Session, role: number, whom: 'all' | 'withAccess'): Promise<void> {
  await revokeWhere(session, `m.roleid = $1::oid AND u.rolname <> session_user${whom === 'all' ? '' : ` AND ${givesAccess(session)}`}`, [role]);
}

/** Who is in the role by a membership of its own and has access by it. */
export async function membersOf(session: Session, role: number): Promise<string[]> {
  const rows = await session.query(
    `SELECT DISTINCT u.rolname::text AS name FROM pg_auth_members m JOIN pg_roles u ON u.oid = m.member
      WHERE m.roleid = $1::oid AND u.rolname <> session_user AND ${givesAccess(session)} ORDER BY 1`,
    [role],
  );
  return rows.map((row) => row['name'] as string);
}

/** What the role is a member of, by memberships of its own. */
export async function rolesOf(session: Session, member: number): Promise<string[]> {
  const rows = await session.query('SELECT DISTINCT r.rolname::text AS name FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.roleid WHERE m.member = $1::oid ORDER BY 1', [
    member,
  ]);
  return rows.map((row) => row['name'] as string);
}

export async function isMember(session: Session, member: string, role: number): Promise<boolean> {
  const found = await findRole(session, member);
  if (found === null) return false;
  const rows = await session.query('SELECT 1 FROM pg_auth_members WHERE roleid = $1::oid AND member = $2::oid LIMIT 1', [role, found.oid]);
  return rows.length > 0;
}

/** A membership with neither option gives nothing but the right to give it, as whoever creates a role has. */
function givesAccess(session: Session): string {
  return ddl.hasMembershipOptions(session.version) ? '(m.inherit_option OR m.set_option)' : 'true';
}

async function revokeWhere(session: Session, where: string, values: readonly unknown[]): Promise<void> {
  const rows = await session.query(
    `SELECT r.rolname::text AS role, u.rolname::text AS member, g.rolname::text AS grantor
       FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.roleid JOIN pg_roles u ON u.oid = m.member LEFT JOIN pg_roles g ON g.oid = m.grantor
      WHERE ${where}`,
    values,
  );
  for (const row of rows) {
    await session.query(ddl.revokeMembership(row['role'] as string, row['member'] as string, row['grantor'] as string, session.version));
  }
}
