/** The DDL, as text. Names are quoted by `escapeIdentifier`, values by `escapeLiteral`: utility statements take no parameters. */
import { escapeIdentifier, escapeLiteral } from 'pg';
import type { Privilege } from './privilege.ts';

/** Since 16, a membership says for itself whether it is inherited and whether `SET ROLE` may use it. */
const VERSION_OF_MEMBERSHIP_OPTIONS = 160_000;

/** Whether a membership can be given without the right to `SET ROLE`, whose sessions would outlive it. */
export function hasMembershipOptions(version: number): boolean {
  return version >= VERSION_OF_MEMBERSHIP_OPTIONS;
}

const POWERLESS = 'NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS';

/** Before 16, only an INHERIT role has its memberships' privileges; since then each membership says so, and the role need not. */
function inherits(version: number): string {
  return hasMembershipOptions(version) ? 'NOINHERIT' : 'INHERIT';
}

export function createAccount(account: string, verifier: string, validUntil: string | null, version: number): string {
  const until = validUntil === null ? '' : ` VALID UNTIL ${escapeLiteral(validUntil)}`;
  return `CREATE ROLE ${escapeIdentifier(account)} LOGIN ${POWERLESS} ${inherits(version)} PASSWORD ${escapeLiteral(verifier)}${until}`;
}

/** A login that was shut out can log in again. Its attributes are left: naming them takes a superuser, even to say that it has none. */
export function reviveAccount(account: string, verifier: string, validUntil: string | null, version: number): string {
  return `ALTER ROLE ${escapeIdentifier(account)} LOGIN ${inherits(version)} PASSWORD ${escapeLiteral(verifier)} VALID UNTIL ${escapeLiteral(validUntil ?? 'infinity')}`;
}

export function validUntil(account: string, until: string): string {
  return `ALTER ROLE ${escapeIdentifier(account)} VALID UNTIL ${escapeLiteral(until)}`;
}

export function setVerifier(account: string, verifier: string): string {
  return `ALTER ROLE ${escapeIdentifier(account)} PASSWORD ${escapeLiteral(verifier)}`;
}

/** Only what the role has is named: who may not give an attribute may not say that there is none. */
export function without(role: string, attributes: readonly string[]): string {
  return `ALTER ROLE ${escapeIdentifier(role)} ${attributes.map((attribute) => `NO${attribute}`).join(' ')}`;
}

/** A role that only holds privileges. */
export function createHolder(name: string, version: number): string {
  return `CREATE ROLE ${escapeIdentifier(name)} NOLOGIN ${POWERLESS} ${inherits(version)}`;
}

export function comment(role: string, text: string): string {
  return `COMMENT ON ROLE ${escapeIdentifier(role)} IS ${escapeLiteral(text)}`;
}

export function grantMembership(role: string, member: string, version: number): string {
  const options = hasMembershipOptions(version) ? ' WITH ADMIN FALSE, INHERIT TRUE, SET FALSE' : '';
  return `GRANT ${escapeIdentifier(role)} TO ${escapeIdentifier(member)}${options}`;
}

export function grant(privilege: Privilege, database: string, grantee: string, version: number): string {
  if (privilege.kind === 'role') return grantMembership(privilege.role, grantee, version);
  return `GRANT ${privilege.word} ON ${objectOf(privilege, database)} TO ${escapeIdentifier(grantee)}`;
}

export function revoke(privilege: Exclude<Privilege, { kind: 'role' }>, database: string, grantee: string): string {
  return `REVOKE ${privilege.word} ON ${objectOf(privilege, database)} FROM ${escapeIdentifier(grantee)}`;
}

/** Takes the membership that `grantor` gave; before 16 there is only one, whoever gave it. */
export function revokeMembership(role: string, member: string, grantor: string, version: number): string {
  const by = hasMembershipOptions(version) ? ` GRANTED BY ${escapeIdentifier(grantor)}` : '';
  return `REVOKE ${escapeIdentifier(role)} FROM ${escapeIdentifier(member)}${by}`;
}

/** Ends every way in: no login, no password, and a validity that has ended. */
export function lockOut(account: string): string {
  return `ALTER ROLE ${escapeIdentifier(account)} NOLOGIN PASSWORD NULL VALID UNTIL '1970-01-01T00:00:00Z'`;
}

function objectOf(privilege: Exclude<Privilege, { kind: 'role' }>, database: string): string {
  switch (privilege.kind) {
    case 'database':
      return `DATABASE ${escapeIdentifier(database)}`;
    case 'schema':
      return `SCHEMA ${escapeIdentifier(privilege.schema)}`;
    case 'table':
      return `TABLE ${escapeIdentifier(privilege.schema)}.${escapeIdentifier(privilege.name)}`;
    case 'sequence':
      return `SEQUENCE ${escapeIdentifier(privilege.schema)}.${escapeIdentifier(privilege.name)}`;
  }
}
