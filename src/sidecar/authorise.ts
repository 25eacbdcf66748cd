/** Whose token it is, and whether it is one of those that a route takes. */
import type { Authenticated, Role } from '../identity/tokens.ts';
import { Problem } from './errors.ts';

/** @throws Problem `unauthenticated`, `nhi-cannot-approve` or `role-required` */
export function authorise(by: Authenticated | null, roles: 'any' | readonly Role[]): Authenticated {
  if (by === null) throw new Problem('unauthenticated', 'send Authorization: Bearer <token>', { headers: { 'www-authenticate': 'Bearer realm="countersign"' } });
  // A machine identity is told so whatever its token claims: it requests, it never approves.
  if (by.principal.startsWith('nhi:') && roles !== 'any' && roles.every((role) => role === 'approver')) {
    throw new Problem('nhi-cannot-approve', `${by.principal} is a machine identity; people approve`);
  }
  if (roles !== 'any' && !roles.some((role) => by.roles.has(role))) throw new Problem('role-required', `this needs the role ${roles.join(' or ')}`);
  return by;
}
