/** Taking back what a change gave. Each request leaves less access than there was, and all may be repeated. */
import { z } from 'zod';
import { TargetError } from '../../executor/connector.ts';
import { entityNamed, findRole, groupNamed, groupPath, MARK, rolePath, secretIdsOf } from './catalog.ts';
import type { Gift } from './give.ts';
import type { Session } from './session.ts';
import { endTokens, isLogin, isOfRole, markOf } from './tokens.ts';

type Taken = 'done' | 'already-absent' | 'mismatch';

/**
 * No role, secret-id, token or entity of the client token is left, and that was read. The entity is disabled first: that ends logins and
 * every token with one request, and it is removed last, so that a revoke that was cut short finds its way again by the client token.
 * @throws TargetError where it is not known to be gone
 */
export async function takeBackAccount(session: Session, { account, clientToken }: Pick<Gift, 'account' | 'clientToken'>): Promise<Taken> {
  const entity = await entityNamed(session, clientToken);
  const isOurs = entity?.metadata[MARK] === clientToken;
  if (entity !== null && !isOurs) return 'mismatch';
  let found = entity !== null;
  if (entity !== null && !entity.disabled) await session.ask(entityPath(entity.id), { disabled: true }, z.unknown());

  // The account as it is remembered by whoever asks, and as the entity remembers it.
  const names = new Set([account, entity?.metadata['account'] ?? account]);
  const isOfThis = (token: Parameters<typeof isLogin>[1]): boolean =>
    (entity !== null && token.entityId === entity.id) || [...names].some((name) => isLogin(session, token, name) && markOf(token) === clientToken);
  for (const name of names) {
    if ((await findRole(session, name))?.roleId !== clientToken) continue;
    found = true;
    await session.remove(rolePath(session, name));
  }
  found = (await endTokens(session, isOfThis)) || found;
  if (entity !== null) await session.remove(entityPath(entity.id));

  for (const name of names) if ((await findRole(session, name))?.roleId === clientToken) throw stillThere('the AppRole');
  if ((await entityNamed(session, clientToken)) !== null) throw stillThere('the entity');
  // A login that was under way when the role went.
  await endTokens(session, isOfThis);
  // Somebody else's role of the same name is not ours to touch, and is to be looked at.
  if ((await findRole(session, account)) !== null) return 'mismatch';
  return found ? 'done' : 'already-absent';
}

export function entityPath(id: string): string {
  return `identity/entity/id/${encodeURIComponent(id)}`;
}

/** The group that the grant made is gone, and with it the policies that it gave. Other grants stay. @throws TargetError where it is not known to be gone */
export async function takeBackGrant(session: Session, { clientToken }: Pick<Gift, 'clientToken'>): Promise<Taken> {
  const group = await groupNamed(session, clientToken);
  if (group === null) return 'already-absent';
  if (group.metadata[MARK] !== clientToken) return 'mismatch';
  await session.remove(groupPath(clientToken));
  if ((await groupNamed(session, clientToken)) !== null) throw stillThere('the group');
  return 'done';
}

/** The secret-id that was staged is destroyed, and the tokens that were got with it are revoked. The one in use is not touched. @throws TargetError */
export async function takeBackStaged(session: Session, role: string, clientToken: string): Promise<Taken> {
  const staged = async (): Promise<string[]> =>
    (await secretIdsOf(session, role)).filter(({ metadata }) => metadata[MARK] === clientToken).map(({ accessor }) => accessor);
  const accessors = await staged();
  for (const accessor of accessors) await destroySecretId(session, role, accessor);
  if ((await staged()).length > 0) throw stillThere('the staged secret-id');
  const ended = await endTokens(session, (token) => isLogin(session, token, role) && markOf(token) === clientToken);
  return accessors.length > 0 || ended ? 'done' : 'already-absent';
}

/** Nobody logs in with it any more. */
export async function destroySecretId(session: Session, role: string, accessor: string): Promise<void> {
  await session.writeIfThere(`${rolePath(session, role)}/secret-id-accessor/destroy`, { secret_id_accessor: accessor });
}

/** No token of the account is left. */
export async function endTokensOf(session: Session, role: string, entityId: string | null): Promise<boolean> {
  return endTokens(session, (token) => isOfRole(session, token, role, entityId));
}

function stillThere(what: string): TargetError {
  return new TargetError('ambiguous', `${what} was removed and is still there`);
}
