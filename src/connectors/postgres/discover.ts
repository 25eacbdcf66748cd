/**
 * Everybody who has access at the server, and what they hold in this database: login roles, roles that others are members of, and the
 * holders by which Countersign lends. Nothing here changes anything.
 *
 * Of last use the server knows only what is open now: it keeps no time of the last login.
 */
import type { DiscoveredEntries } from '../../executor/connector.ts';
import { LISTED_MAX, type DiscoverQuery, type Found, type Mark } from '../../protocol/discovery.ts';
import { grantedTo, MAY_LOG_IN } from './catalog.ts';
import { marksIn } from './marks.ts';
import { printable } from './privilege.ts';
import type { Row, Session } from './session.ts';

/** Roles on one page. */
const ROLES_AT_ONCE = 64;
const MEMBERS_MAX = 64;
const MARKS_MAX = 64;

/** Oids are given in the order in which roles are made and never change: a page begins after the last oid of the one before. */
export async function discoverRoles(session: Session, database: string, { after }: DiscoverQuery): Promise<DiscoveredEntries> {
  const rows = await session.query(
    `SELECT r.oid, r.rolname::text AS name, ${MAY_LOG_IN} AS can_login, r.rolcanlogin AS has_login, r.rolname = session_user AS is_own,
            CASE WHEN isfinite(r.rolvaliduntil) THEN to_char(r.rolvaliduntil AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') END AS ends_at,
            shobj_description(r.oid, 'pg_authid') AS comment, s.sessions, s.last_used
       FROM pg_roles r LEFT JOIN LATERAL (
            SELECT count(*)::int4 AS sessions, to_char(max(greatest(a.backend_start, a.query_start, a.state_change)) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS last_used
              FROM pg_stat_activity a WHERE a.usesysid = r.oid AND a.pid <> pg_backend_pid() AND a.backend_type IS DISTINCT FROM 'parallel worker') s ON true
      WHERE r.oid > $1::oid AND r.rolname !~ '^pg_' ORDER BY r.oid LIMIT $2::int4`,
    [Number(after ?? 0), ROLES_AT_ONCE + 1],
  );
  const page = rows.slice(0, ROLES_AT_ONCE);
  const entries: Found[] = [];
  for (const row of page) entries.push(await entryOf(session, row));
  return { target: database, entries, next: rows.length > page.length ? (entries.at(-1)?.key ?? null) : null };
}

async function entryOf(session: Session, row: Row): Promise<Found> {
  const oid = row['oid'] as number;
  const name = row['name'] as string;
  const key = String(oid);
  const held = await grantedTo(session, oid);
  const listed = { held: held.slice(0, LISTED_MAX), heldLeftOut: Math.max(0, held.length - LISTED_MAX) };
  const marks = marksIn(row['comment'] as string | null).map(({ clientToken, what }): Mark => ({ clientToken, what: what === null ? 'made' : DONE[what] }));
  const made = marks.find(({ what }) => what === 'made');
  const members = made === undefined || row['has_login'] === true ? [] : await membersOf(session, oid);
  // By its mark and not by its name alone: renaming a holder does not take what it lends away.
  if (made !== undefined && (made.clientToken === name || members.length > 0)) {
    return { kind: 'grant', key, clientToken: made.clientToken, nativeId: key, accounts: members.slice(0, MEMBERS_MAX), accountsLeftOut: Math.max(0, members.length - MEMBERS_MAX), ...listed };
  }
  return {
    kind: 'account', key, account: printable(name).slice(0, 128), nativeId: key, canLogin: row['can_login'] as boolean, isOwn: row['is_own'] as boolean,
    endsAt: row['ends_at'] as string | null, ...listed, marks: marks.slice(0, MARKS_MAX), credentials: [], credentialsLeftOut: 0,
    sessions: row['sessions'] as number, lastUsedAt: row['last_used'] as string | null,
  };
}

/** What was begun says the same as what is done: nobody gets in any more. */
const DONE = { retire: 'retired', retired: 'retired', replace: 'replaced', disable: 'disabled', disabled: 'disabled' } as const;

/** Who is a member of the holder, but for who administers it. */
async function membersOf(session: Session, holder: number): Promise<string[]> {
  const rows = await session.query(
    `SELECT DISTINCT m.rolname::text AS name FROM pg_auth_members a JOIN pg_roles m ON m.oid = a.member
      WHERE a.roleid = $1::oid AND m.rolname <> session_user ORDER BY 1`,
    [holder],
  );
  return rows.map((row) => printable(row['name'] as string).slice(0, 128));
}
