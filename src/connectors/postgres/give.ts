/** Giving access: a new account, or a holder role between an existing account and what it is granted. Each in one transaction. */
import { TargetError } from '../../executor/connector.ts';
import { canUse, findRole, resolveAll } from './catalog.ts';
import { marker } from './marks.ts';
import { formatPrivilege } from './privilege.ts';
import type { Privilege } from './privilege.ts';
import type { Session } from './session.ts';
import { lockAttempt } from './sessions.ts';
import * as ddl from './statements.ts';

export interface Gift {
  readonly database: string;
  readonly account: string;
  /** The other login of a rotation. */
  readonly other: string | null;
  readonly privileges: readonly Privilege[];
  readonly clientToken: string;
}

/** The account is there, marked, with the privileges and no others. @throws TargetError as of `Session.transaction` */
export async function provisionAccount(session: Session, gift: Gift, verifier: string, validUntil: string | null): Promise<void> {
  await session.transaction(async () => {
    await lockAttempt(session, gift.clientToken);
    const resolved = await resolveAll(session, gift.privileges);
    await session.query(ddl.createAccount(gift.account, verifier, validUntil, session.version));
    await session.query(ddl.comment(gift.account, marker(gift.clientToken)));
    for (const [privilege] of resolved) await session.query(ddl.grant(privilege, gift.database, gift.account, session.version));
    await checkInForce(session, gift.account, resolved);
  });
}

/**
 * The account has the privileges through a role of its own for this change, named by the client token. So grants that overlap are counted
 * by the server itself, and taking one back leaves the others. @throws TargetError as of `Session.transaction`
 */
export async function grantThroughHolder(session: Session, gift: Gift): Promise<void> {
  const holder = gift.clientToken;
  await session.transaction(async () => {
    await lockAttempt(session, gift.clientToken);
    const resolved = await resolveAll(session, gift.privileges);
    await session.query(ddl.createHolder(holder, session.version));
    await session.query(ddl.comment(holder, marker(gift.clientToken)));
    for (const [privilege] of resolved) await session.query(ddl.grant(privilege, gift.database, holder, session.version));
    await checkInForce(session, holder, resolved);
    await session.query(ddl.grantMembership(holder, gift.account, session.version));
    await checkInForce(session, gift.account, resolved);
  });
}

/** GRANT by someone without the right to give a privilege is a warning, not an error: only reading tells. @throws TargetError `rejected` */
export async function checkInForce(session: Session, name: string, resolved: readonly (readonly [Privilege, number])[]): Promise<void> {
  const role = await findRole(session, name);
  for (const [privilege, object] of resolved) {
    if (role === null || !(await canUse(session, role.oid, privilege, object, 'inherited'))) {
      throw new TargetError('rejected', `the privilege is not in force after its GRANT: ${formatPrivilege(privilege)}`);
    }
  }
}
