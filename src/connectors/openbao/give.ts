/** Making an account, and lending policies to one that exists. */
import { z } from 'zod';
import { TargetError } from '../../executor/connector.ts';
import { checkPolicies, entityNamed, entityOf, findRole, groupNamed, groupPath, MARK, mountAccessor, rolePath, secretIdsOf } from './catalog.ts';
import type { Role } from './catalog.ts';
import type { Session } from './session.ts';
import { takeBackAccount } from './take-back.ts';

/** What a step gives, in this connector's words. */
export interface Gift {
  readonly account: string;
  readonly policies: readonly string[];
  readonly clientToken: string;
}

/**
 * Tokens of a login live no longer than this, renewed or not: so long may one that was got at the last moment outlive the end of its account
 * where nobody takes it back.
 */
export const TOKEN_SECONDS_MAX = 900;

/** Whether the role is one that this change began to make and nobody can log in to yet. */
export async function isHalfMade(session: Session, role: Role, clientToken: string): Promise<boolean> {
  return role.roleId === clientToken && (await secretIdsOf(session, role.name)).length === 0;
}

/**
 * The AppRole is there with its policies, and the secret logs in to it until `validUntil`. Made in an order in which nothing can be used before
 * the last request, which brings the secret: entity, alias, role, secret-id. The client token is its role-id and the entity's name.
 * @throws TargetError `unreachable` or `rejected`: nobody can log in; what there is of it cannot be used. `ambiguous`: as of `write`
 */
export async function provisionRole(session: Session, gift: Gift, secret: string, lifeSeconds: number | null): Promise<void> {
  const { account, policies, clientToken } = gift;
  await checkPolicies(session, policies);
  const taken = await findRole(session, account);
  if (taken !== null && !(await isHalfMade(session, taken, clientToken))) throw new TargetError('rejected', 'there is an AppRole of that name');
  // What an attempt before this one has left is no part of this one.
  if (taken !== null || (await entityNamed(session, clientToken)) !== null) await takeBackAccount(session, gift);
  if ((await entityNamed(session, clientToken)) !== null) throw new TargetError('rejected', 'an entity named by the client token is there and not ours');
  const accessor = await mountAccessor(session);
  const entity = await session.ask('identity/entity', { name: clientToken, metadata: { [MARK]: clientToken, account } }, z.object({ id: z.string() }));
  if (entity === null) throw new TargetError('rejected', 'the entity could not be made: there is one of that name');
  await session.ask('identity/entity-alias', { name: clientToken, canonical_id: entity.id, mount_accessor: accessor }, z.object({ canonical_id: z.literal(entity.id) }));
  const tokenSeconds = lifeSeconds === null ? TOKEN_SECONDS_MAX : Math.min(lifeSeconds, TOKEN_SECONDS_MAX);
  await session.write(rolePath(session, account), {
    role_id: clientToken, bind_secret_id: true, token_policies: policies, token_type: 'service',
    token_ttl: tokenSeconds, token_max_ttl: tokenSeconds, token_explicit_max_ttl: tokenSeconds, secret_id_ttl: lifeSeconds ?? 0,
  });
  await addSecretId(session, account, secret, clientToken, lifeSeconds);
}

/** The secret logs in to the role, and bears the client token. */
export async function addSecretId(session: Session, role: string, secret: string, clientToken: string, lifeSeconds: number | null): Promise<void> {
  const metadata = JSON.stringify({ [MARK]: clientToken });
  await session.write(`${rolePath(session, role)}/custom-secret-id`, { secret_id: secret, metadata, ...(lifeSeconds === null ? {} : { ttl: lifeSeconds }) });
}

/**
 * Whole seconds from now until then, rounded down: the server ends it no later than asked.
 * @throws TargetError `rejected` where none is left
 */
export function secondsUntil(untilMs: number, nowMs: number): number {
  const seconds = Math.floor((untilMs - nowMs) / 1000);
  if (seconds < 1) throw new TargetError('rejected', 'what was to be given is over already');
  return seconds;
}

/**
 * A group of its own, named by the client token, gives the policies to the role's entity: to tokens that are out as well, from their next
 * request on. One request makes it whole.
 * @throws TargetError as of `write`; where none is there an entity is made, which gives nobody anything
 */
export async function grantThroughGroup(session: Session, gift: Gift): Promise<void> {
  const { account, policies, clientToken } = gift;
  await checkPolicies(session, policies);
  const role = await findRole(session, account);
  if (role === null) throw new TargetError('rejected', 'there is no such AppRole');
  const group = await groupNamed(session, clientToken);
  if (group !== null && group.metadata[MARK] !== clientToken) throw new TargetError('rejected', 'a group named by the client token is there and not ours');
  const entity = await ensureEntity(session, role);
  if (entity.disabled) throw new TargetError('rejected', 'the account is shut out');
  await session.write(groupPath(clientToken), { type: 'internal', policies, member_entity_ids: [entity.id], metadata: { [MARK]: clientToken, account } });
}

/** The role's entity, made where no login and no grant has made it yet. It gives nobody anything. */
export async function ensureEntity(session: Session, role: Role): Promise<{ readonly id: string; readonly disabled: boolean }> {
  const found = await entityOf(session, role.roleId);
  if (found !== null) return found;
  await session.ask('identity/entity-alias', { name: role.roleId, mount_accessor: await mountAccessor(session) }, z.object({ canonical_id: z.string() }));
  const made = await entityOf(session, role.roleId);
  if (made === null) throw new TargetError('unreachable', 'an entity was made and is not there yet');
  return made;
}
