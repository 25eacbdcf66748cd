/** Taking policies from an account that this connector did not give it: the action `revoke`. */
import { TargetError } from '../../executor/connector.ts';
import { entityOf, findRole, groupsOf, isLent, rolePath } from './catalog.ts';
import type { Entity, Role } from './catalog.ts';
import type { Gift } from './give.ts';
import type { Session } from './session.ts';
import { entityPath } from './take-back.ts';
import { endTokens, findTokens, isOfRole } from './tokens.ts';
import type { Token } from './tokens.ts';

/**
 * The account has the policies no more: not by its role, not by its entity, not by a running lease, and no token that was made with one of
 * them is left. Idempotent.
 * @throws TargetError `rejected`: nothing was changed, as where a group of others gives it; as of `Session.write`
 */
export async function withdrawPolicies(session: Session, { account, policies }: Gift): Promise<void> {
  const role = await findRole(session, account);
  if (role === null) throw new TargetError('rejected', 'there is no such AppRole');
  const entity = await entityOf(session, role.roleId);
  const isTaken = (name: string): boolean => policies.includes(name);
  const groups = (entity === null ? [] : await groupsOf(session, entity)).filter((group) => group.policies.some(isTaken));
  const foreign = groups.find((group) => !isLent(group));
  if (foreign !== undefined) throw new TargetError('rejected', 'the account has it through a group that this connector did not make');

  const without = (names: readonly string[]): string[] => names.filter((name) => !isTaken(name));
  if (role.policies.some(isTaken)) await session.write(rolePath(session, account), { token_policies: without(role.policies) });
  if (entity !== null && entity.policies.some(isTaken)) await session.write(entityPath(entity.id), { policies: without(entity.policies) });
  for (const group of groups) await session.write(`identity/group/id/${encodeURIComponent(group.id)}`, { policies: without(group.policies) });
  await endTokens(session, hasOneOf(session, account, entity, policies));
}

export async function isWithdrawn(session: Session, role: Role | null, entity: Entity | null, held: readonly string[], policies: readonly string[]): Promise<boolean> {
  if (role === null) return true;
  if (policies.some((name) => held.includes(`policy:${name}`))) return false;
  return (await findTokens(session, hasOneOf(session, role.name, entity, policies))).length === 0;
}

function hasOneOf(session: Session, account: string, entity: Entity | null, policies: readonly string[]): (token: Token) => boolean {
  return (token) => isOfRole(session, token, account, entity?.id ?? null) && token.policies.some((name) => policies.includes(name));
}
