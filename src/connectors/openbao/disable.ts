/** Shutting an account out: nobody gets in by it, none of its tokens is left, and it holds nothing of its own. */
import { z } from 'zod';
import { TargetError } from '../../executor/connector.ts';
import { entityOf, findRole, rolePath, secretIdsOf } from './catalog.ts';
import type { Entity, Role } from './catalog.ts';
import { ensureEntity } from './give.ts';
import type { Gift } from './give.ts';
import type { Session } from './session.ts';
import { destroySecretId, endTokensOf, entityPath } from './take-back.ts';
import { findTokens, isOfRole } from './tokens.ts';

/** What this change has shut out, in its entity's metadata. */
export const SHUT_OUT = 'countersign-disable';

/**
 * The role's entity is disabled, which refuses logins and every token of it at once, also where somebody makes a secret-id later; its secret-ids
 * are destroyed, its tokens revoked, its policies taken. Groups that others have put it in keep it as a member that cannot log in.
 * Where there is no such role there is nothing to do. Idempotent.
 * @throws TargetError as of `Session.write`
 */
export async function disableAccount(session: Session, { account, clientToken }: Gift): Promise<void> {
  const role = await findRole(session, account);
  if (role === null) return;
  const own = await session.get('auth/token/lookup-self', z.object({ entity_id: z.string().nullish(), meta: z.record(z.string(), z.string()).nullish() }));
  const entity = await ensureEntity(session, role);
  if (own?.entity_id === entity.id) throw new TargetError('rejected', "that AppRole is the connector's own login");
  const found = await entityOf(session, role.roleId);
  // Metadata is written as a whole: what others keep there stays.
  await session.write(entityPath(entity.id), { disabled: true, policies: [], metadata: { ...found?.metadata, [SHUT_OUT]: clientToken } });
  await session.write(rolePath(session, account), { bind_secret_id: true, token_policies: [] });
  for (const { accessor } of await secretIdsOf(session, account)) await destroySecretId(session, account, accessor);
  await endTokensOf(session, account, entity.id);
}

/** Whether this change has shut the account out, done or not. */
export function isBegunToDisable(entity: Entity | null, clientToken: string): boolean {
  return entity?.disabled === true && entity.metadata[SHUT_OUT] === clientToken;
}

/** Whether it is done: read, not remembered. */
export async function isDisabled(session: Session, role: Role, entity: Entity | null, clientToken: string): Promise<boolean> {
  if (entity === null || !isBegunToDisable(entity, clientToken)) return false;
  if (!role.bindSecretId || role.policies.length > 0 || (await secretIdsOf(session, role.name)).length > 0) return false;
  return (await findTokens(session, (token) => isOfRole(session, token, role.name, entity.id))).length === 0;
}
