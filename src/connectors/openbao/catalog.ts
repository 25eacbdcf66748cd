/** What the server says of AppRoles, identities, groups and policies. Nothing here changes anything. */
import { createHash } from 'node:crypto';
import { z } from 'zod';
import { TargetError } from '../../executor/connector.ts';
import { clientTokenSchema } from '../../protocol/plan.ts';
import { pathOf } from './address.ts';
import { formatPolicy } from './names.ts';
import type { Session } from './session.ts';

/** The key in metadata by which what this connector made is told from all else. Its value is the client token. */
export const MARK = 'countersign';

export interface Role {
  readonly name: string;
  /** Unlike the name, not that of a role made anew, unless somebody wants it so. The client token, for a role made here. */
  readonly roleId: string;
  readonly policies: readonly string[];
  /** Whether a login needs a secret-id. */
  readonly bindSecretId: boolean;
  /** How often a secret-id logs in; 0 for any number. */
  readonly secretIdUses: number;
  /** Of tokens that are in no list and cannot be revoked (`batch`). */
  readonly hasBatchTokens: boolean;
}

const namesSchema = z.array(z.string()).nullish().transform((names) => names ?? []);
const metadataSchema = z.record(z.string(), z.string()).nullish().transform((metadata) => metadata ?? {});
const roleSchema = z.object({ token_policies: namesSchema, bind_secret_id: z.boolean(), secret_id_num_uses: z.number(), token_type: z.string() });
const roleIdSchema = z.object({ role_id: z.string().min(1) });

export async function findRole(session: Session, name: string): Promise<Role | null> {
  const id = await session.get(`${rolePath(session, name)}/role-id`, roleIdSchema);
  const role = id === null ? null : await session.get(rolePath(session, name), roleSchema);
  if (id === null || role === null) return null;
  return {
    name, roleId: id.role_id, policies: role.token_policies, bindSecretId: role.bind_secret_id, secretIdUses: role.secret_id_num_uses,
    hasBatchTokens: role.token_type.endsWith('batch'),
  };
}

export function rolePath(session: Session, name: string): string {
  return `auth/${session.mount}/role/${encodeURIComponent(name)}`;
}

/** What tells the mount from another one that was enabled at its path. @throws TargetError `rejected` if there is none */
export async function mountAccessor(session: Session): Promise<string> {
  const mount = await session.get(`sys/auth/${session.mount}`, z.object({ accessor: z.string().min(1), type: z.string() }));
  if (mount?.type !== 'approle') throw new TargetError('rejected', 'no AppRole auth method is mounted there');
  return mount.accessor;
}

/** Who a role's tokens are: identity policies of an entity act on tokens that are out already. */
export interface Entity {
  readonly id: string;
  readonly name: string;
  readonly disabled: boolean;
  readonly policies: readonly string[];
  readonly groups: readonly string[];
  readonly metadata: Readonly<Record<string, string>>;
}

const entitySchema = z
  .object({ id: z.string().min(1), name: z.string(), disabled: z.boolean(), policies: namesSchema, group_ids: namesSchema, metadata: metadataSchema })
  .transform(({ group_ids: groups, ...entity }): Entity => ({ ...entity, groups }));

/** The entity of the role with that id, if it has one: the first login makes it, or a grant. */
export async function entityOf(session: Session, roleId: string): Promise<Entity | null> {
  const query = { alias_name: roleId, alias_mount_accessor: await mountAccessor(session) };
  return session.ask('identity/lookup/entity', query, entitySchema);
}

/** The entity of that name: of a role made here, the client token. */
export async function entityNamed(session: Session, name: string): Promise<Entity | null> {
  return session.get(`identity/entity/name/${encodeURIComponent(name)}`, entitySchema);
}

export interface Group {
  readonly id: string;
  readonly name: string;
  readonly policies: readonly string[];
  readonly members: readonly string[];
  /** Groups whose members have its policies too. */
  readonly memberGroups: readonly string[];
  readonly metadata: Readonly<Record<string, string>>;
}

const groupSchema = z
  .object({ id: z.string().min(1), name: z.string(), policies: namesSchema, member_entity_ids: namesSchema, member_group_ids: namesSchema, metadata: metadataSchema })
  .transform(({ member_entity_ids: members, member_group_ids: memberGroups, ...group }): Group => ({ ...group, members, memberGroups }));

export async function groupNamed(session: Session, name: string): Promise<Group | null> {
  return session.get(groupPath(name), groupSchema);
}

export function groupPath(name: string): string {
  return `identity/group/name/${encodeURIComponent(name)}`;
}

/** The groups that the entity is in, by itself or through another. */
export async function groupsOf(session: Session, entity: Entity): Promise<Group[]> {
  const groups: Group[] = [];
  for (const id of entity.groups) {
    const group = await session.get(`identity/group/id/${encodeURIComponent(id)}`, groupSchema);
    if (group !== null) groups.push(group);
  }
  return groups;
}

/** Whether the group is one that a grant of this connector made: named by a client token, and marked with it. */
export function isLent(group: Group): boolean {
  return group.metadata[MARK] === group.name && clientTokenSchema.safeParse(group.name).success;
}

/** SHA-256 of the policy's text, so that one rewritten since it was approved shows; null if there is no such policy. */
export async function policyDigest(session: Session, name: string): Promise<string | null> {
  const policy = await session.get(`sys/policies/acl/${pathOf(name)}`, z.object({ policy: z.string() }));
  return policy === null ? null : `sha256:${createHash('sha256').update(policy.policy, 'utf8').digest('hex')}`;
}

/** @throws TargetError `rejected` if one of them is not there: a token would be given a name that anyone could fill later */
export async function checkPolicies(session: Session, names: readonly string[]): Promise<void> {
  for (const name of names) {
    if ((await policyDigest(session, name)) === null) throw new TargetError('rejected', `there is no such policy: ${name}`);
  }
}

/** As many as a state may list. */
const HELD_MAX = 1024;

/** What the role's tokens can do beyond `default`: by the role, the entity and its groups, sorted. */
export async function heldBy(session: Session, role: Role, entity: Entity | null): Promise<string[]> {
  const groups = entity === null ? [] : await groupsOf(session, entity);
  const names = [...role.policies, ...(entity?.policies ?? []), ...groups.flatMap(({ policies }) => policies)].filter((name) => name !== 'default');
  const held = [...new Set(names)].sort().map(formatPolicy);
  // A cut list would hide what an approver must see.
  if (held.length > HELD_MAX) throw new TargetError('rejected', `the account holds ${String(held.length)} policies; at most ${String(HELD_MAX)} can be shown`);
  return held;
}

export interface SecretId {
  readonly accessor: string;
  readonly metadata: Readonly<Record<string, string>>;
  /** Epoch ms; null for one that does not expire. */
  readonly expiresAtMs: number | null;
}

const secretIdSchema = z.object({ secret_id_accessor: z.string().min(1), metadata: metadataSchema, expiration_time: z.string() });

/** The role's secret-ids, also those that have expired and are not yet swept away. */
export async function secretIdsOf(session: Session, role: string): Promise<SecretId[]> {
  const found: SecretId[] = [];
  for (const accessor of await session.list(`${rolePath(session, role)}/secret-id`)) {
    const secretId = await session.ask(`${rolePath(session, role)}/secret-id-accessor/lookup`, { secret_id_accessor: accessor }, secretIdSchema);
    if (secretId === null) continue;
    const expiresAtMs = Date.parse(secretId.expiration_time);
    // Year 1 is how the server says never.
    found.push({ accessor, metadata: secretId.metadata, expiresAtMs: Number.isFinite(expiresAtMs) && expiresAtMs > 0 ? expiresAtMs : null });
  }
  return found;
}
