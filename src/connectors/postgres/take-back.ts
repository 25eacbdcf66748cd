/** Taking back what this connector gave. Each step leaves less access than the one before, and all of them may be run again. */
import { escapeIdentifier } from 'pg';
import { TargetError } from '../../executor/connector.ts';
import { findMarked, findRole } from './catalog.ts';
import type { Role } from './catalog.ts';
import { isGoneMeanwhile, SqlError } from './errors.ts';
import { isMarked } from './marks.ts';
import { expel, leaveAll, rolesOf } from './memberships.ts';
import type { Session } from './session.ts';
import { countSessions, endAttempts, endPresentSessions, endPresentTransactions, endSessions } from './sessions.ts';
import * as ddl from './statements.ts';

export type Outcome = 'done' | 'already-absent' | 'mismatch';

/** How often a role may vanish or change under us, as when another worker carries out the same order. */
const ROUNDS_MAX = 20;

/** The account that was provisioned under the token is gone, or is an empty shell that nobody can use. @throws TargetError */
export async function takeBackAccount(session: Session, account: string, clientToken: string): Promise<Outcome> {
  return takeBack(session, account, clientToken, (role) => removeAccount(session, role, clientToken));
}

/** The holder that gave the access is gone, and so is whatever began under it. @throws TargetError */
export async function takeBackGrant(session: Session, account: string, clientToken: string): Promise<Outcome> {
  return takeBack(session, clientToken, clientToken, (role) => removeHolder(session, role, account, clientToken));
}

/**
 * The login that was staged under the token is shut out again, and no member of anything. It stays as a shell, for the next rotation.
 * Whoever else can log in under its name is not touched. @throws TargetError
 */
export async function takeBackStaged(session: Session, account: string, clientToken: string): Promise<Outcome> {
  await endAttempts(session, clientToken);
  const marked = await findMarked(session, clientToken);
  if (marked.length === 0) {
    // A shell of earlier rotations lets nobody in: what this one would have given is not there.
    return (await findRole(session, account))?.canLogin === true ? 'mismatch' : 'already-absent';
  }
  let outcome: Outcome = 'already-absent';
  for (const role of marked) {
    if (await isShell(session, role)) continue;
    await shutOut(session, role, clientToken);
    outcome = 'done';
  }
  return outcome;
}

async function isShell(session: Session, role: Role): Promise<boolean> {
  return !role.canLogin && (await rolesOf(session, role.oid)).length === 0 && (await countSessions(session, role.oid)) === 0;
}

async function shutOut(session: Session, role: Role, clientToken: string): Promise<void> {
  // Committed by itself, so that the access ends even if nothing after it works.
  await session.transaction(async () => {
    await session.query(ddl.lockOut(role.name));
    await checkSame(session, role, clientToken);
  });
  await endSessions(session, role.oid);
  await session.transaction(async () => {
    await checkSame(session, role, clientToken);
    await leaveAll(session, role.oid);
  });
  await endSessions(session, role.oid);
}

async function takeBack(session: Session, name: string, clientToken: string, remove: (role: Role) => Promise<void>): Promise<Outcome> {
  // An attempt that is still in flight could commit after we have read that there is nothing.
  await endAttempts(session, clientToken);
  let found = false;
  for (let round = 1; ; round++) {
    const marked = await findMarked(session, clientToken);
    if (marked.length === 0) {
      if (found) return 'done';
      return (await findRole(session, name)) === null ? 'already-absent' : 'mismatch';
    }
    found = true;
    try {
      for (const role of marked) await remove(role);
      return 'done';
    } catch (error) {
      // Somebody else took it away, or renamed it: look again.
      if (!isGoneMeanwhile(error) || round === ROUNDS_MAX) throw error;
    }
  }
}

async function removeAccount(session: Session, role: Role, clientToken: string): Promise<void> {
  // Committed by itself, so that the access ends even if nothing after it works.
  await session.transaction(async () => {
    await session.query(ddl.lockOut(role.name));
    await checkSame(session, role, clientToken);
  });
  await endSessions(session, role.oid);
  await session.transaction(async () => {
    await checkSame(session, role, clientToken);
    await become(session, role.name, role.oid);
    if (await ownsSomething(session, role.oid)) {
      const custodian = await openCustody(session, clientToken);
      await session.query(`REASSIGN OWNED BY ${escapeIdentifier(role.name)} TO ${escapeIdentifier(custodian)}`);
    }
    await session.query(`DROP OWNED BY ${escapeIdentifier(role.name)}`);
    await dropOrStrip(session, role);
  });
  // A login that passed its checks just before the lock-out shows only now.
  await endSessions(session, role.oid);
}

async function removeHolder(session: Session, role: Role, account: string, clientToken: string): Promise<void> {
  const heirs = await session.query('SELECT member AS oid FROM pg_auth_members WHERE roleid = $1::oid AND member <> (SELECT oid FROM pg_roles WHERE rolname = session_user)', [
    role.oid,
  ]);
  await session.transaction(async () => {
    await checkSame(session, role, clientToken);
    await become(session, role.name, role.oid);
    // Before 16 a session may have switched to the holder and made things as it.
    if (await ownsSomething(session, role.oid)) {
      const heir = await findRole(session, account);
      if (heir === null) throw new TargetError('rejected', 'the holder owns objects, and the account to leave them to is gone');
      await session.query(`REASSIGN OWNED BY ${escapeIdentifier(role.name)} TO ${escapeIdentifier(heir.name)}`);
    }
    await session.query(`DROP OWNED BY ${escapeIdentifier(role.name)}`);
    await leaveAll(session, role.oid);
  });
  // The membership in the empty holder is left until now: it says whose sessions must end, should this be interrupted and run again.
  for (const heir of heirs) {
    if (ddl.hasMembershipOptions(session.version)) await endPresentTransactions(session, heir['oid'] as number);
    else await endPresentSessions(session, heir['oid'] as number);
  }
  await session.transaction(async () => {
    await checkSame(session, role, clientToken);
    await dropOrStrip(session, role);
  });
  await endSessions(session, role.oid);
}

/**
 * Names are what DDL takes, but only the oid and the marker say that a role is ours. Whoever dropped or renamed it
 * meanwhile makes this throw what {@link isGoneMeanwhile} knows.
 */
async function checkSame(session: Session, role: Role, clientToken: string): Promise<void> {
  const now = await findRole(session, role.name);
  if (now?.oid !== role.oid || !isMarked(now.comment, clientToken)) throw new SqlError('42704', 'the role has changed meanwhile');
}

/** DROP OWNED and REASSIGN OWNED need the role's own privileges, which whoever created it may give herself. */
async function become(session: Session, role: string, oid: number): Promise<void> {
  const [row] = await session.query("SELECT pg_has_role(session_user, $1::oid, 'USAGE') AS is", [oid]);
  if (row?.['is'] === true) return;
  const options = ddl.hasMembershipOptions(session.version) ? ' WITH INHERIT TRUE, SET TRUE' : '';
  await session.query(`GRANT ${escapeIdentifier(role)} TO SESSION_USER${options}`);
}

async function ownsSomething(session: Session, role: number): Promise<boolean> {
  const rows = await session.query(
    `SELECT 1 FROM pg_shdepend WHERE refclassid = 'pg_authid'::regclass AND refobjid = $1::oid AND deptype = 'o'
        AND dbid IN (0, (SELECT oid FROM pg_database WHERE datname = current_database())) LIMIT 1`,
    [role],
  );
  return rows.length > 0;
}

/**
 * What an account made outlives it with an owner of its own, which can do nothing. Never an administrator: a view or a SECURITY DEFINER
 * function that a temporary account left behind runs with its owner's privileges. And never one owner for several accounts' things.
 */
async function openCustody(session: Session, clientToken: string): Promise<string> {
  const custodian = clientToken;
  const custodyMarker = `countersign custody ${clientToken}`;
  const role = await findRole(session, custodian);
  if (role === null) {
    await session.query(ddl.createHolder(custodian, session.version));
    await session.query(ddl.comment(custodian, custodyMarker));
  } else if (role.canLogin || role.comment !== custodyMarker) {
    throw new TargetError('rejected', `a role named ${custodian} is in the way of keeping what the account owns`);
  }
  const created = await findRole(session, custodian);
  await become(session, custodian, created!.oid);
  return custodian;
}

/**
 * The role is dropped; or, where it has objects in other databases of the cluster, it stays as a shell: in no role, nobody in it,
 * and without login since before.
 */
async function dropOrStrip(session: Session, role: Role): Promise<void> {
  await session.query('SAVEPOINT before_drop');
  try {
    await session.query(`DROP ROLE ${escapeIdentifier(role.name)}`);
  } catch (error) {
    if (!(error instanceof SqlError) || error.sqlState !== '2BP01') throw error;
    await session.query('ROLLBACK TO SAVEPOINT before_drop');
    await leaveAll(session, role.oid);
    await expel(session, role.oid, 'all');
  }
}
