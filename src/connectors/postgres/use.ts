/** Trying a new credential the way its owner will. */
import { canReach, canUse, findRole, objectOid } from './catalog.ts';
import { isLoginRefusal } from './errors.ts';
import type { Privilege } from './privilege.ts';
import { withSession } from './session.ts';
import type { Login, Session } from './session.ts';

/** Logs in as the account and asks whether each privilege is in force there. @throws TargetError when it cannot be known */
export async function tryCredential(login: Login, privileges: readonly Privilege[], signal: AbortSignal): Promise<'works' | 'fails'> {
  try {
    return await withSession(login, signal, (session) => allInForce(session, login.address.user, privileges));
  } catch (error) {
    if (isLoginRefusal(error)) return 'fails';
    throw error;
  }
}

/** Whether the account can use every privilege: granted, in force, and within reach. */
export async function allInForce(session: Session, account: string, privileges: readonly Privilege[]): Promise<'works' | 'fails'> {
  const role = await findRole(session, account);
  if (role === null) return 'fails';
  for (const privilege of privileges) {
    const object = await objectOid(session, privilege);
    if (object === null) return 'fails';
    if (!(await canUse(session, role.oid, privilege, object, 'inherited'))) return 'fails';
    if (!(await canReach(session, role.oid, privilege))) return 'fails';
  }
  return 'works';
}
