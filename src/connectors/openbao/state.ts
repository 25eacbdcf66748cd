/** What an account is like, as each action would touch it, and whether an action has been applied. Nothing here changes anything. */
import { TargetError } from '../../executor/connector.ts';
import type { StateWithoutSalt } from '../../executor/connector.ts';
import type { PlanStep } from '../../protocol/plan.ts';
import type { Query } from '../../protocol/signed.ts';
import { entityNamed, entityOf, findRole, groupNamed, heldBy, MARK, mountAccessor, policyDigest, secretIdsOf } from './catalog.ts';
import type { Entity, Role } from './catalog.ts';
import { isBegunToDisable, isDisabled } from './disable.ts';
import { isHalfMade } from './give.ts';
import { checkRoleName, formatRolePrivilege, formatSecretId, parsePolicy, parseSecretId } from './names.ts';
import { countOld, currentNameOf, findRotated, isRetired, secretIdNamed, twinsOf } from './rotate.ts';
import type { Session } from './session.ts';
import { findTokens, isOfRole } from './tokens.ts';
import { isWithdrawn } from './withdraw.ts';

type About = Pick<PlanStep, 'account' | 'other' | 'privileges' | 'clientToken'>;
type Seen = Pick<StateWithoutSalt, 'exists' | 'touched' | 'seen' | 'held'>;

export async function readState(session: Session, connector: string, query: Query, nowMs: number): Promise<StateWithoutSalt> {
  const { target, account } = query;
  return { connector, target, account, ...(await look(session, query, nowMs)) };
}

async function look(session: Session, query: Query, nowMs: number): Promise<Seen> {
  switch (query.action) {
    case 'stage':
    case 'cutover':
    case 'retire':
      return lookAtSecretId(session, query.action, query);
    case 'rotate':
      return lookAtRotated(session, query, nowMs);
    case 'extend':
      await requireLent(session, query);
      return lookAtRole(session, 'grant', query);
    case 'provision':
    case 'grant':
    case 'revoke':
    case 'disable':
    case 'replace':
    case 'call':
      return lookAtRole(session, query.action, query);
  }
}

async function lookAtRole(session: Session, action: 'provision' | 'grant' | 'revoke' | 'disable' | 'replace' | 'call', query: About): Promise<Seen> {
  const role = await findRole(session, checkRoleName(query.account));
  const entity = role === null ? null : await entityOf(session, role.roleId);
  const state = { exists: role !== null, held: role === null ? [] : await heldBy(session, role, entity) };
  const account = role?.roleId ?? null;
  const policies: Record<string, string | null> = { mount: await mountAccessor(session) };
  for (const privilege of query.privileges) policies[privilege] = await policyDigest(session, parsePolicy(privilege));
  switch (action) {
    case 'provision':
      // What this change has begun is to be made anew, and is no drift.
      return { ...state, touched: { account: role !== null && (await isHalfMade(session, role, query.clientToken)) ? null : account, ...policies } };
    case 'grant':
    case 'revoke':
    case 'replace':
    case 'call':
      return { ...state, touched: { account, canLogin: canLogin(role, entity), ...policies } };
    case 'disable': {
      if (role === null) return { ...state, touched: { account, canLogin: null } };
      const seen = { tokens: (await findTokens(session, (token) => isOfRole(session, token, role.name, entity?.id ?? null))).length };
      // What this change has begun is to be finished, and is no drift.
      const isHalf = isBegunToDisable(entity, query.clientToken) && !(await isDisabled(session, role, entity, query.clientToken));
      if (isHalf) return { ...state, touched: { account }, seen: { ...seen, canLogin: false } };
      return { ...state, touched: { account, canLogin: canLogin(role, entity) }, seen };
    }
  }
}

function canLogin(role: Role | null, entity: Entity | null): boolean | null {
  return role === null ? null : entity?.disabled !== true;
}

async function lookAtRotated(session: Session, query: About, nowMs: number): Promise<Seen> {
  const { role, current } = await findRotated(session, checkRoleName(query.account), nowMs);
  const nextName = formatSecretId({ role: role.name, id: query.clientToken });
  const twins = twinsOf({ privileges: [formatRolePrivilege(role.name)], clientToken: query.clientToken }, currentNameOf(role, current), nextName);
  return {
    exists: true,
    touched: {
      overlap: 'twin', role: role.roleId, currentName: currentNameOf(role, current), current: current.accessor, currentCanLogin: true,
      nextName, next: null, privilege: formatRolePrivilege(role.name),
    },
    seen: { tokens: await countOld(session, twins) },
    held: await heldBy(session, role, await entityOf(session, role.roleId)),
  };
}

async function lookAtSecretId(session: Session, action: 'stage' | 'cutover' | 'retire', query: About): Promise<Seen> {
  const twins = twinsOf(query, ...namesOf(action, query));
  const role = await findRole(session, twins.role);
  const [current, next] = [await secretIdNamed(session, twins.current), await secretIdNamed(session, twins.next)];
  const seen = { tokens: await countOld(session, twins) };
  const touched = { role: role?.roleId ?? null, current: current?.accessor ?? null };
  const held = (secretId: typeof current): Pick<Seen, 'exists' | 'held'> => ({ exists: secretId !== null, held: secretId === null ? [] : [formatRolePrivilege(twins.role)] });
  switch (action) {
    case 'stage':
      return { ...held(next), touched: { ...touched, next: next?.accessor ?? null }, seen };
    case 'cutover':
      return { ...held(next), touched, seen };
    case 'retire':
      // An accessor is never given twice: one that is gone is the one that was meant, and what is left to do is to end its tokens.
      if (current === null) return { ...held(current), touched: { role: touched.role, current: twins.current.id }, seen: { ...seen, currentCanLogin: false } };
      return { ...held(current), touched: { ...touched, currentCanLogin: true }, seen };
  }
}

/** The names of the current and the next secret-id, in the places where the step has them. */
export function namesOf(action: 'stage' | 'cutover' | 'retire', { account, other = '' }: Pick<About, 'account' | 'other'>): [current: string, next: string] {
  return action === 'retire' ? [account, other] : [other, account];
}

/** Policies that were lent are still. @throws TargetError `rejected` where they are not, and for an account: the server moves no secret-id's end */
export async function requireLent(session: Session, about: About & Pick<PlanStep, 'gave'>): Promise<void> {
  if (about.gave !== 'grant') throw new TargetError('rejected', 'the end of a secret-id cannot be moved: ask for a new account');
  if (!(await isApplied(session, 'grant', about))) throw new TargetError('rejected', 'what was to end later is not there any more');
}

/** Whether what the step would do for its client token is there. A check has no effect that could be. */
export async function isApplied(session: Session, action: PlanStep['action'], about: About): Promise<boolean> {
  const { account, clientToken } = about;
  switch (action) {
    case 'provision': {
      const made = await madeRole(session, about);
      return made !== null && !(await isHalfMade(session, made, clientToken));
    }
    case 'grant': {
      const group = await groupNamed(session, clientToken);
      const role = await findRole(session, checkRoleName(account));
      const entity = role === null ? null : await entityOf(session, role.roleId);
      return group?.metadata[MARK] === clientToken && entity !== null && group.members.includes(entity.id);
    }
    case 'extend':
      return isApplied(session, 'grant', about);
    case 'revoke': {
      const role = await findRole(session, checkRoleName(account));
      const entity = role === null ? null : await entityOf(session, role.roleId);
      return isWithdrawn(session, role, entity, role === null ? [] : await heldBy(session, role, entity), about.privileges.map(parsePolicy));
    }
    case 'disable': {
      const role = await findRole(session, checkRoleName(account));
      return role !== null && isDisabled(session, role, await entityOf(session, role.roleId), clientToken);
    }
    case 'stage':
      return (await secretIdsOf(session, parseSecretId(account).role)).some(({ metadata }) => metadata[MARK] === clientToken);
    case 'retire':
      return isRetired(session, twinsOf(about, ...namesOf('retire', about)));
    case 'cutover':
    case 'replace':
    case 'call':
      return false;
  }
}

/** The role that was made for the client token: by the name in the step, or by the one that its entity remembers. */
async function madeRole(session: Session, { account, clientToken }: About): Promise<Role | null> {
  const entity = await entityNamed(session, clientToken);
  for (const name of new Set([account, entity?.metadata['account'] ?? account])) {
    const role = await findRole(session, checkRoleName(name));
    if (role?.roleId === clientToken) return role;
  }
  return null;
}
