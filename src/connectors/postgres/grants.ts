/** Grants to one role by name, on anything in this database and on what the cluster shares; not what it has as an owner, a member or everybody. */
import { escapeIdentifier } from 'pg';
import type { Session } from './session.ts';

export interface DirectGrant {
  /** As in GRANT … ON: `TABLE`, `SCHEMA`, … */
  readonly kind: string;
  /** The object's name, as SQL. */
  readonly identity: string;
  readonly grantor: string;
  /** Whether the connector may take it as the owner would. */
  readonly asOwner: boolean;
}

/** Each catalog with access lists: its class for `pg_identify_object`, the word in GRANT, and where list and owner are. */
const LISTS = [
  ['pg_class', "CASE relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END", 'relacl', 'relowner'],
  ['pg_namespace', "'SCHEMA'", 'nspacl', 'nspowner'],
  ['pg_database', "'DATABASE'", 'datacl', 'datdba'],
  ['pg_proc', "'ROUTINE'", 'proacl', 'proowner'],
  ['pg_type', "'TYPE'", 'typacl', 'typowner'],
  ['pg_language', "'LANGUAGE'", 'lanacl', 'lanowner'],
  ['pg_foreign_data_wrapper', "'FOREIGN DATA WRAPPER'", 'fdwacl', 'fdwowner'],
  ['pg_foreign_server', "'FOREIGN SERVER'", 'srvacl', 'srvowner'],
  ['pg_tablespace', "'TABLESPACE'", 'spcacl', 'spcowner'],
] as const;

const VERSION_OF_PARAMETER_ACL = 150_000;

function listsOf(version: number): string {
  const parts = LISTS.map(
    ([catalog, word, acl, owner]) => `SELECT '${catalog}'::regclass AS class, oid, ${word} AS kind, ${acl} AS acl, ${owner} AS owner FROM ${catalog} WHERE ${acl} IS NOT NULL`,
  );
  // What is granted on columns goes with the table's.
  parts.push("SELECT 'pg_class'::regclass, c.oid, 'TABLE', a.attacl, c.relowner FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid WHERE a.attacl IS NOT NULL");
  parts.push("SELECT 'pg_largeobject'::regclass, oid, 'LARGE OBJECT', lomacl, lomowner FROM pg_largeobject_metadata WHERE lomacl IS NOT NULL");
  if (version >= VERSION_OF_PARAMETER_ACL) parts.push("SELECT 'pg_parameter_acl'::regclass, oid, 'PARAMETER', paracl, 10::oid FROM pg_parameter_acl");
  return parts.join(' UNION ALL ');
}

export async function directGrants(session: Session, grantee: number): Promise<DirectGrant[]> {
  const rows = await session.query(
    `SELECT DISTINCT l.kind, (pg_identify_object(l.class, l.oid, 0)).identity AS identity, g.rolname::text AS grantor,
            pg_has_role(session_user, l.owner, 'USAGE') AND a.grantor = l.owner AS as_owner
       FROM (${listsOf(session.version)}) l, LATERAL aclexplode(l.acl) a JOIN pg_roles g ON g.oid = a.grantor
      WHERE a.grantee = $1::oid AND a.grantee <> l.owner ORDER BY 1, 2, 3`,
    [grantee],
  );
  return rows.map((row) => ({ kind: row['kind'] as string, identity: row['identity'] as string, grantor: row['grantor'] as string, asOwner: row['as_owner'] as boolean }));
}

/** Nothing is granted to the role by name. @throws SqlError where one of the grants is not the connector's to take, or others depend on it */
export async function revokeDirectGrants(session: Session, role: { readonly oid: number; readonly name: string }): Promise<void> {
  for (const grant of await directGrants(session, role.oid)) {
    // A REVOKE takes what the revoker granted and no more, so each grantor's is taken in its own name.
    if (!grant.asOwner) await session.query(`SET LOCAL ROLE ${escapeIdentifier(grant.grantor)}`);
    await session.query(`REVOKE ALL ON ${grant.kind} ${grant.identity} FROM ${escapeIdentifier(role.name)}`);
    if (!grant.asOwner) await session.query('RESET ROLE');
  }
}
