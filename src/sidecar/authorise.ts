/** Whose token it is, and whether it is one of those that a route takes. */
import type { ChangeState } from '../change/state.ts';
import type { Authenticated, Refused, Role } from '../identity/tokens.ts';
import { Problem } from './errors.ts';

/** What may be done with a token that is one's own, and with none that is used for somebody else. */
const OWN_ONLY: ReadonlySet<Role> = new Set(['approver', 'eraser']);

/** @throws Problem `unauthenticated`, `token-refused`, `token-not-mapped`, `issuer-unavailable`, `nhi-cannot-approve`, `acting-for-another` or `role-required` */
export function authorise(by: Authenticated | Refused | null, roles: 'any' | readonly Role[]): Authenticated {
  if (by === null) throw new Problem('unauthenticated', 'send Authorization: Bearer <token>', { headers: { 'www-authenticate': 'Bearer realm="countersign"' } });
  if ('refused' in by) throw new Problem(by.refused, by.detail, { headers: REFUSAL_HEADERS[by.refused] });
  // A machine identity is told so whatever its token claims: it requests, it never approves.
  if (by.principal.startsWith('nhi:') && roles !== 'any' && roles.every((role) => role === 'approver')) {
    throw new Problem('nhi-cannot-approve', `${by.principal} is a machine identity; people approve`);
  }
  if (roles !== 'any' && roles.every((role) => OWN_ONLY.has(role))) requireForItself(by);
  if (roles !== 'any' && !roles.some((role) => by.roles.has(role))) throw new Problem('role-required', `this needs the role ${roles.join(' or ')}`);
  return by;
}

const REFUSAL_HEADERS: Readonly<Record<Refused['refused'], Record<string, string>>> = {
  'token-refused': { 'www-authenticate': 'Bearer realm="countersign", error="invalid_token"' },
  'token-not-mapped': {},
  'issuer-unavailable': { 'retry-after': '30' },
};

/** @throws Problem `acting-for-another` for a token by which somebody acts for somebody else: what people decide, they decide themselves */
export function requireForItself({ isDelegated = false }: Authenticated): void {
  if (isDelegated) throw new Problem('acting-for-another', 'the token is used for somebody else, who must do this with a token of their own');
}

/** @throws Problem `not-requester` where one of the chain in which `by` acts did not ask: what it does to a change, all of them do */
export function requireWholeChain(by: Authenticated, { requester }: Pick<ChangeState, 'requester'>): void {
  if (by.actsFor?.some((principal) => !requester.includes(principal)) === true) throw new Problem('not-requester', 'the change was not asked for by everybody whom the token is used for');
}
