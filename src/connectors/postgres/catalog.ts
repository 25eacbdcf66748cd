/** What the system catalogs say: roles, the objects that privileges are on, and who holds them. Nothing here changes anything. */
import { TargetError } from '../../executor/connector.ts';
import { SqlError } from './errors.ts';
import { marker } from './marks.ts';
import type { InPlace } from './marks.ts';
import { formatPrivilege, printable } from './privilege.ts';
import type { Privilege } from './privilege.ts';
import type { Row, Session } from './session.ts';

export interface Role {
  /** Never used again for another role, unlike its name. */
  readonly oid: number;
  readonly name: string;
  readonly canLogin: boolean;
  readonly isSuperuser: boolean;
  /** Whether the connector itself is logged in as it. */
  readonly isOwn: boolean;
  readonly comment: string | null;
}

const ROLES = `
  SELECT r.oid, r.rolname::text AS name, r.rolcanlogin AS can_login, r.rolsuper AS is_superuser, r.rolname = session_user AS is_own, shobj_description(r.oid, 'pg_authid') AS comment
    FROM pg_roles r`;

/** The role of that name. */
export async function findRole(session: Session, name: string): Promise<Role | null> {
  // The cast keeps the parameter from becoming a `name`, which would be cut at 63 bytes.
  const [row] = await session.query(`${ROLES} WHERE r.rolname = $1::text`, [name]);
  return row === undefined ? null : roleOf(row);
}

/** The roles marked with a client token, whatever they are called now: renaming one does not take its access away. */
export async function findMarked(session: Session, clientToken: string, inPlace?: InPlace): Promise<Role[]> {
  const rows = await session.query(
    `${ROLES} WHERE r.oid IN (
       SELECT objoid FROM pg_shdescription WHERE classoid = 'pg_authid'::regclass AND $1 = ANY (string_to_array(description, E'\\n'))) ORDER BY r.oid`,
    [marker(clientToken, inPlace)],
  );
  return rows.map(roleOf);
}

/**
 * Names are what DDL takes, but only the oid says that it acted on the role that was meant. Asked after the statement, which keeps the role
 * as it is until the transaction ends. @throws SqlError as for a role that is not there
 */
export async function checkUnchanged(session: Session, role: Role): Promise<void> {
  const now = await findRole(session, role.name);
  if (now?.oid !== role.oid) throw new SqlError('42704', 'the role has changed meanwhile');
}

function roleOf(row: Row): Role {
  return {
    oid: row['oid'] as number,
    name: row['name'] as string,
    canLogin: row['can_login'] as boolean,
    isSuperuser: row['is_superuser'] as boolean,
    isOwn: row['is_own'] as boolean,
    comment: row['comment'] as string | null,
  };
}

/** The oid of what the privilege is on; null if there is no such object. */
export async function objectOid(session: Session, privilege: Privilege): Promise<number | null> {
  const [row] = await session.query(...objectQuery(privilege));
  return row === undefined ? null : (row['oid'] as number);
}

function objectQuery(privilege: Privilege): [string, string[]] {
  switch (privilege.kind) {
    case 'role':
      return ['SELECT oid FROM pg_roles WHERE rolname = $1::text', [privilege.role]];
    case 'database':
      return ['SELECT oid FROM pg_database WHERE datname = current_database()', []];
    case 'schema':
      return ['SELECT oid FROM pg_namespace WHERE nspname = $1::text', [privilege.schema]];
    case 'table':
    case 'sequence':
      return [
        `SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
          WHERE n.nspname = $1::text AND c.relname = $2::text AND c.relkind = ANY ($3::"char"[])`,
        [privilege.schema, privilege.name, privilege.kind === 'sequence' ? '{S}' : '{r,p,v,m,f}'],
      ];
  }
}

/** Each privilege with the oid of its object. @throws TargetError `rejected` if one of them is not there */
export async function resolveAll(session: Session, privileges: readonly Privilege[]): Promise<(readonly [Privilege, number])[]> {
  const resolved: (readonly [Privilege, number])[] = [];
  for (const privilege of privileges) {
    const oid = await objectOid(session, privilege);
    if (oid === null) throw new TargetError('rejected', `there is no such object: ${formatPrivilege(privilege)}`);
    resolved.push([privilege, oid]);
  }
  return resolved;
}

/**
 * Whether the role can use the privilege, however it came by it. Of a membership: `inherited` asks whether its privileges are in force,
 * `member` whether it is there at all.
 */
export async function canUse(session: Session, role: number, privilege: Privilege, object: number, membership: 'inherited' | 'member'): Promise<boolean> {
  const word = privilege.kind === 'role' ? (membership === 'inherited' ? 'USAGE' : 'MEMBER') : privilege.word;
  const test = privilege.kind === 'role' ? 'pg_has_role' : `has_${privilege.kind}_privilege`;
  const [row] = await session.query(`SELECT ${test}($1::oid, $2::oid, $3::text) AS holds`, [role, object, word]);
  return row?.['holds'] === true;
}

/** Whether the role may look into the schema that the privilege's object is in: without that, the privilege is of no use. */
export async function canReach(session: Session, role: number, privilege: Privilege): Promise<boolean> {
  if (privilege.kind !== 'table' && privilege.kind !== 'sequence') return true;
  const [row] = await session.query(
    `SELECT has_schema_privilege($1::oid, n.oid, 'USAGE') AS holds FROM pg_namespace n WHERE n.nspname = $2::text`,
    [role, privilege.schema],
  );
  return row?.['holds'] === true;
}

/**
 * The account, and the roles that hold what this connector granted it: members' privileges are theirs, so they count as one.
 * A holder is told by its marker, which says its own name, and by not being able to log in.
 */
export const PRINCIPALS = `
  SELECT $1::oid AS oid
  UNION
  SELECT m.roleid FROM pg_auth_members m JOIN pg_roles h ON h.oid = m.roleid
   WHERE m.member = $1::oid AND NOT h.rolcanlogin AND h.rolname ~ '^cs_[0-7][0-9a-hjkmnp-tv-z]{25}$'
     AND shobj_description(h.oid, 'pg_authid') = 'countersign ' || h.rolname::text`;

/**
 * Whether the server lets the role `r` in by some way of logging in. No limit of connections keeps a superuser out, nor on newer servers
 * replication; and `VALID UNTIL` ends passwords, not certificates, `peer`, `trust` and the like, and which of these there are is in a file.
 */
export const MAY_LOG_IN = '(r.rolcanlogin AND (r.rolconnlimit <> 0 OR r.rolsuper OR r.rolreplication))';

const ATTRIBUTES = `FROM pg_roles r, LATERAL (VALUES ('SUPERUSER', r.rolsuper), ('CREATEROLE', r.rolcreaterole), ('CREATEDB', r.rolcreatedb),
                                     ('REPLICATION', r.rolreplication), ('BYPASSRLS', r.rolbypassrls)) AS a (word, has)
   WHERE r.oid = $1::oid AND a.has`;

/** The right to hand a privilege on is a word of its own beside it: `SELECT*`. Nobody can ask for it, and no plan has it. */
const WORDS_OF = ", LATERAL (SELECT a.privilege_type AS word UNION ALL SELECT a.privilege_type || '*' WHERE a.is_grantable) w";

/**
 * Grants to the account or its holders, and what it has as an owner. Not what everybody has (PUBLIC). A membership stands for all
 * that it brings: it is not unfolded, so that a state after a change is the state before it and the plan, no more and no less.
 */
const HELD = `
  WITH principal AS (${PRINCIPALS})
  SELECT 'role' AS kind, NULL AS schema, r.rolname::text AS name, NULL AS word
    FROM pg_auth_members m JOIN principal p ON m.member = p.oid JOIN pg_roles r ON r.oid = m.roleid
   WHERE m.roleid NOT IN (SELECT oid FROM principal)
  UNION
  SELECT 'admin', NULL, r.rolname::text, NULL
    FROM pg_auth_members m JOIN principal p ON m.member = p.oid JOIN pg_roles r ON r.oid = m.roleid
   WHERE m.admin_option
  UNION
  SELECT 'attribute', NULL, NULL, a.word
    ${ATTRIBUTES}
  UNION
  SELECT 'database', NULL, NULL, w.word
    FROM pg_database d, LATERAL aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) a${WORDS_OF}
   WHERE d.datname = current_database() AND a.grantee IN (SELECT oid FROM principal)
  UNION
  SELECT 'schema', NULL, n.nspname::text, w.word
    FROM pg_namespace n, LATERAL aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) a${WORDS_OF}
   WHERE a.grantee IN (SELECT oid FROM principal)
     AND (a.grantee <> n.nspowner OR (n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'))
  UNION
  SELECT CASE c.relkind WHEN 'S' THEN 'sequence' ELSE 'table' END, n.nspname::text, c.relname::text, w.word
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace,
         LATERAL aclexplode(coalesce(c.relacl, acldefault(CASE c.relkind WHEN 'S' THEN 's'::"char" ELSE 'r'::"char" END, c.relowner))) a${WORDS_OF}
   WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND a.grantee IN (SELECT oid FROM principal)
     AND (a.grantee <> c.relowner OR (n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'))`;

/** The powers of the role itself, such as `CREATEROLE`. */
export async function attributesOf(session: Session, role: number): Promise<string[]> {
  const rows = await session.query(`SELECT a.word ${ATTRIBUTES} ORDER BY 1`, [role]);
  return rows.map((row) => row['word'] as string);
}

/** As many as a state may list. */
const HELD_MAX = 1024;
/** Words that later versions added and that cannot be asked for here. */
const UNSPOKEN = new Set(['MAINTAIN', 'MAINTAIN*']);

/**
 * The account's privileges in this database, sorted. If there are more than a state may list, what comes first and, last, how many are left out.
 */
export async function heldAtMost(session: Session, account: number): Promise<string[]> {
  const held = await allHeldBy(session, account);
  return held.length <= HELD_MAX ? held : [...held.slice(0, HELD_MAX - 1), `(${String(held.length - HELD_MAX + 1)} more)`];
}

/** The account's privileges in this database, sorted. @throws TargetError `rejected` if there are more than a state may list */
export async function heldBy(session: Session, account: number): Promise<string[]> {
  const held = await allHeldBy(session, account);
  // A cut list would hide what an approver must see.
  if (held.length > HELD_MAX) throw new TargetError('rejected', `the account holds ${String(held.length)} privileges; at most ${String(HELD_MAX)} can be shown`);
  return held;
}

async function allHeldBy(session: Session, account: number): Promise<string[]> {
  const rows = await session.query(HELD, [account]);
  const texts = rows.filter((row) => !UNSPOKEN.has(row['word'] as string)).map(formatHeld);
  return [...new Set(texts)].sort();
}

/**
 * What was granted to the role in its own name in this database, sorted: memberships, attributes and privileges; not what it has as an owner,
 * nor what holders of this connector lend it.
 */
export async function grantedTo(session: Session, role: number): Promise<string[]> {
  const rows = await session.query(GRANTED, [role]);
  return [...new Set(rows.filter((row) => !UNSPOKEN.has(row['word'] as string)).map(formatHeld))].sort();
}

const GRANTED = `
  SELECT 'role' AS kind, NULL AS schema, r.rolname::text AS name, NULL AS word
    FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.roleid
   WHERE m.member = $1::oid AND m.roleid NOT IN (SELECT oid FROM (${PRINCIPALS}) p)
  UNION
  SELECT 'admin', NULL, r.rolname::text, NULL
    FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.roleid
   WHERE m.member = $1::oid AND m.admin_option
  UNION
  SELECT 'attribute', NULL, NULL, a.word
    ${ATTRIBUTES}
  UNION
  SELECT 'database', NULL, NULL, w.word
    FROM pg_database d, LATERAL aclexplode(d.datacl) a${WORDS_OF}
   WHERE d.datname = current_database() AND a.grantee = $1::oid AND a.grantee <> d.datdba
  UNION
  SELECT 'schema', NULL, n.nspname::text, w.word
    FROM pg_namespace n, LATERAL aclexplode(n.nspacl) a${WORDS_OF} WHERE a.grantee = $1::oid AND a.grantee <> n.nspowner
  UNION
  SELECT CASE c.relkind WHEN 'S' THEN 'sequence' ELSE 'table' END, n.nspname::text, c.relname::text, w.word
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace, LATERAL aclexplode(c.relacl) a${WORDS_OF}
   WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND a.grantee = $1::oid AND a.grantee <> c.relowner`;

function formatHeld(row: Row): string {
  const kind = row['kind'] as Privilege['kind'] | 'attribute' | 'admin';
  const schema = row['schema'] as string;
  const name = row['name'] as string;
  const word = row['word'] as string;
  switch (kind) {
    case 'attribute':
      return `attribute:${word}`;
    // Of a membership a kind of its own: a role may be named anything, `deploy*` as well.
    case 'admin':
      return `admin:${printable(name)}`;
    case 'role':
      return formatPrivilege({ kind, role: name });
    case 'database':
      return formatPrivilege({ kind, word });
    case 'schema':
      return formatPrivilege({ kind, schema: name, word });
    case 'table':
    case 'sequence':
      return formatPrivilege({ kind, schema, name, word });
  }
}
