/**
 * Everybody who has access by the AppRole mount, and what they hold: roles with their secret-ids, and the groups by which Countersign lends.
 * Nothing here changes anything.
 *
 * Of last use the server knows which tokens are out, and not when a role or a secret-id was last used.
 */
import { createHash } from 'node:crypto';
import { z } from 'zod';
import type { DiscoveredEntries } from '../../executor/connector.ts';
import { CREDENTIALS_MAX, LISTED_MAX, type DiscoverQuery, type Found, type FoundAccount, type FoundGrant, type Mark } from '../../protocol/discovery.ts';
import { clientTokenSchema } from '../../protocol/plan.ts';
import { entityOf, findRole, groupNamed, groupsOf, isLent, MARK, rolePath, type Entity, type Role } from './catalog.ts';
import { SHUT_OUT } from './disable.ts';
import { formatPolicy } from './names.ts';
import type { Session } from './session.ts';
import { findTokens, isOfRole, type Token } from './tokens.ts';

/** Roles and groups on one page. */
const ENTRIES_AT_ONCE = 32;
/** Above that many tokens nobody's are counted: the server keeps no list by owner, so each would have to be looked at. */
const TOKENS_MAX = 2_000;
const NAME_MAX = 128;
const KEY_MAX = 256;
/** Secret-ids of one role that are looked at. */
const LOOKED_AT_MAX = 256;

/**
 * Names in their order, grants before roles: a page begins after the last name of the one before, whatever was made or removed meanwhile.
 * Of a name that no report can hold the beginning is told, with a digest.
 */
export async function discoverRoles(session: Session, target: string, { after }: DiscoverQuery, nowMs: number): Promise<DiscoveredEntries> {
  const groups = (await session.list('identity/group/name')).filter((name) => clientTokenSchema.safeParse(name).success);
  const roles = await session.list(`auth/${session.mount}/role`);
  const all: Listed[] = [...groups.map((name) => ({ kind: 'group' as const, name })), ...roles.map((name) => ({ kind: 'role' as const, name }))]
    .map((one) => ({ ...one, key: shortened(`${one.kind} ${one.name}`, KEY_MAX) }));
  const left = all.filter(({ key }) => after === null || key > after).sort((a, b) => (a.key < b.key ? -1 : 1));
  const page = left.slice(0, ENTRIES_AT_ONCE);
  const seen: Surroundings = page.some(({ kind }) => kind === 'role') ? { nowMs, tokens: await allTokens(session), ownEntity: await ownEntity(session) } : { nowMs, tokens: null, ownEntity: null };
  const entries: Found[] = [];
  for (const { key, kind, name } of page) {
    const entry = kind === 'group' ? await grantOf(session, key, name) : await accountOf(session, key, name, seen);
    // Gone since it was listed.
    if (entry !== null) entries.push(entry);
  }
  // The last key that was looked at, whether or not anything was there: the page after it begins there.
  return { target, entries, next: left.length > page.length ? page.at(-1)!.key : null };
}

interface Listed {
  readonly kind: 'group' | 'role';
  readonly name: string;
  readonly key: string;
}

/** As it is, or, of what a report cannot hold, its beginning and a digest: no two become the same, and no name that can be in the inventory does. */
function shortened(text: string, max: number): string {
  return text.length <= max ? text : `${text.slice(0, max - 33)}~${createHash('sha256').update(text, 'utf8').digest('hex').slice(0, 32)}`;
}

/** What is asked once for all roles of a page. */
interface Surroundings {
  readonly nowMs: number;
  /** null where they are too many. */
  readonly tokens: readonly Token[] | null;
  /** Of the connector's own login, if it is an AppRole's. */
  readonly ownEntity: string | null;
}

async function grantOf(session: Session, key: string, name: string): Promise<FoundGrant | null> {
  const group = await groupNamed(session, name);
  // A group of that name that this connector did not make is not known to be a grant.
  if (group === null || !isLent(group)) return null;
  const named = group.metadata['account'];
  const role = named === undefined ? null : await findRole(session, named);
  const entity = role === null ? null : await entityOf(session, role.roleId);
  // Who is in a group that is in this one is lent it as well, and no less by that.
  const accounts = [...group.members.map((member) => (member === entity?.id ? role!.name : `entity ${member}`)), ...group.memberGroups.map((id) => `group ${id}`)].sort();
  return { kind: 'grant', key, clientToken: name, nativeId: group.id, accounts: accounts.slice(0, 64), accountsLeftOut: Math.max(0, accounts.length - 64), ...listed(group.policies) };
}

async function accountOf(session: Session, key: string, name: string, { tokens, nowMs, ownEntity: own }: Surroundings): Promise<FoundAccount | null> {
  const role = await findRole(session, name);
  if (role === null) return null;
  const entity = await entityOf(session, role.roleId);
  const groups = entity === null ? [] : (await groupsOf(session, entity)).filter((group) => !isLent(group));
  const { credentials, leftOut } = await credentialsOf(session, name);
  const alive = credentials.filter(({ expiresAt, usesLeft }) => usesLeft !== 0 && (expiresAt === null || Date.parse(expiresAt) > nowMs));
  const ends = alive.map(({ expiresAt }) => expiresAt);
  const isDisabled = entity?.disabled === true;
  return {
    kind: 'account', key, account: shortened(name, NAME_MAX), nativeId: role.roleId.slice(0, NAME_MAX), canLogin: !isDisabled && (!role.bindSecretId || alive.length + leftOut > 0), isOwn: entity !== null && entity.id === own,
    endsAt: role.bindSecretId && leftOut === 0 && ends.length > 0 && !ends.includes(null) ? ends.toSorted().at(-1)! : null,
    ...listed([...role.policies, ...(entity?.policies ?? []), ...groups.flatMap(({ policies }) => policies)]),
    marks: marksOf(role, entity), credentials: credentials.slice(0, CREDENTIALS_MAX), credentialsLeftOut: leftOut + Math.max(0, credentials.length - CREDENTIALS_MAX),
    sessions: tokens === null ? null : tokens.filter((token) => isOfRole(session, token, name, entity?.id ?? null)).length, lastUsedAt: null,
  };
}

function listed(policies: readonly string[]): Pick<FoundAccount, 'held' | 'heldLeftOut'> {
  const held = [...new Set(policies.filter((name) => name !== 'default'))].sort().map((name) => formatPolicy(name).slice(0, 256));
  return { held: held.slice(0, LISTED_MAX), heldLeftOut: Math.max(0, held.length - LISTED_MAX) };
}

function marksOf(role: Role, entity: Entity | null): Mark[] {
  const marks: Mark[] = [];
  const made = clientTokenSchema.safeParse(role.roleId);
  if (made.success) marks.push({ clientToken: made.data, what: 'made' });
  const shutOut = clientTokenSchema.safeParse(entity?.metadata[SHUT_OUT]);
  if (shutOut.success) marks.push({ clientToken: shutOut.data, what: 'disabled' });
  return marks;
}

async function ownEntity(session: Session): Promise<string | null> {
  const own = await session.get('auth/token/lookup-self', z.object({ entity_id: z.string().nullish() }));
  return own?.entity_id ?? null;
}

const secretIdSchema = z.object({
  secret_id_accessor: z.string().min(1), creation_time: z.string(), expiration_time: z.string(), secret_id_num_uses: z.number(), metadata: z.record(z.string(), z.string()).nullish(),
});

/** By accessor, which opens nothing; the secret-id itself the server does not tell. */
async function credentialsOf(session: Session, role: string): Promise<{ readonly credentials: FoundAccount['credentials']; readonly leftOut: number }> {
  const found: FoundAccount['credentials'] = [];
  const accessors = (await session.list(`${rolePath(session, role)}/secret-id`)).sort();
  for (const accessor of accessors.slice(0, LOOKED_AT_MAX)) {
    const secretId = await session.ask(`${rolePath(session, role)}/secret-id-accessor/lookup`, { secret_id_accessor: accessor }, secretIdSchema);
    if (secretId === null) continue;
    const mark = clientTokenSchema.safeParse(secretId.metadata?.[MARK]);
    found.push({
      id: accessor.slice(0, NAME_MAX), createdAt: timeOf(secretId.creation_time), expiresAt: timeOf(secretId.expiration_time),
      usesLeft: secretId.secret_id_num_uses === 0 ? null : Math.max(0, secretId.secret_id_num_uses), clientToken: mark.success ? mark.data : null,
    });
  }
  return { credentials: found, leftOut: Math.max(0, accessors.length - LOOKED_AT_MAX) };
}

/** Year 1 is how the server says never. */
function timeOf(text: string): string | null {
  const ms = Date.parse(text);
  return Number.isFinite(ms) && ms > 0 ? new Date(ms).toISOString() : null;
}

async function allTokens(session: Session): Promise<Token[] | null> {
  if ((await session.list('auth/token/accessors')).length > TOKENS_MAX) return null;
  return findTokens(session, () => true);
}
