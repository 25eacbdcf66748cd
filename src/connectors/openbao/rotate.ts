/**
 * A rotation by twins: two secret-ids of one AppRole. The target has nothing to switch; what the role may do stays with the role.
 *
 * The one in use is named by its accessor, the next one by the client token in its metadata, for its accessor is not known before it is made.
 */
import { TargetError } from '../../executor/connector.ts';
import { findRole, MARK, secretIdsOf } from './catalog.ts';
import type { Role, SecretId } from './catalog.ts';
import { addSecretId, secondsUntil } from './give.ts';
import { formatRolePrivilege, formatSecretId, parseSecretId } from './names.ts';
import type { SecretIdName } from './names.ts';
import type { Session } from './session.ts';
import { destroySecretId } from './take-back.ts';
import { endTokens, findTokens, isLogin, markOf } from './tokens.ts';
import type { Token } from './tokens.ts';

/** The two secret-ids of a step, and the role that both log in to. */
export interface Twins {
  readonly role: string;
  readonly current: SecretIdName;
  readonly next: SecretIdName;
  readonly clientToken: string;
}

/** @throws TargetError `rejected` unless the step names two secret-ids of one role, of which the next bears the client token */
export function twinsOf(about: { readonly privileges: readonly string[]; readonly clientToken: string }, currentName: string, nextName: string): Twins {
  const [current, next] = [parseSecretId(currentName), parseSecretId(nextName)];
  const [privilege, ...more] = about.privileges;
  if (privilege !== formatRolePrivilege(current.role) || more.length > 0) throw new TargetError('rejected', 'a rotation gives the one role that its secret-ids log in to');
  if (next.role !== current.role || next.id !== about.clientToken) throw new TargetError('rejected', 'the new secret-id is not one of this role and this change');
  return { role: current.role, current, next, clientToken: about.clientToken };
}

/** The role and its one secret-id in use. @throws TargetError `rejected` where there is not exactly one, or a rotation could not be seen to work */
export async function findRotated(session: Session, account: string, nowMs: number): Promise<{ readonly role: Role; readonly current: SecretId }> {
  const role = await findRole(session, account);
  if (role === null) throw new TargetError('rejected', 'there is no such AppRole');
  if (!role.bindSecretId) throw new TargetError('rejected', 'the AppRole logs in without a secret-id: there is nothing to rotate');
  if (role.secretIdUses > 0) throw new TargetError('rejected', 'the secret-ids of this AppRole are used up by logging in: trying a new one would use it');
  if (role.hasBatchTokens) throw new TargetError('rejected', 'the AppRole gives batch tokens, which can be neither counted nor ended');
  const [current, ...more] = (await secretIdsOf(session, account)).filter((one) => isAlive(one, nowMs));
  if (current === undefined) throw new TargetError('rejected', 'no secret-id of the AppRole is in use: there is nothing to rotate');
  if (more.length > 0) throw new TargetError('rejected', `${String(more.length + 1)} secret-ids of the AppRole are in use, and a rotation needs one`);
  return { role, current };
}

export function currentNameOf(role: Role, current: SecretId): string {
  return formatSecretId({ role: role.name, id: current.accessor });
}

function isAlive({ expiresAtMs }: SecretId, nowMs: number): boolean {
  return expiresAtMs === null || expiresAtMs > nowMs;
}

/** The secret logs in to the role too, no longer than the one in use does. @throws TargetError as of `Session.write` */
export async function stageSecretId(session: Session, twins: Twins, secret: string, untilMs: number | null, nowMs: number): Promise<void> {
  const { role, current } = await findRotated(session, twins.role, nowMs);
  if (current.accessor !== twins.current.id) throw new TargetError('rejected', 'the secret-id in use is not the one that the step says');
  const ends = [untilMs, current.expiresAtMs].filter((end) => end !== null);
  await addSecretId(session, role.name, secret, twins.clientToken, ends.length === 0 ? null : secondsUntil(Math.min(...ends), nowMs));
}

/** The secret-id of that name, by its accessor or its mark. */
export async function secretIdNamed(session: Session, { role, id }: SecretIdName): Promise<SecretId | null> {
  return (await secretIdsOf(session, role)).find(({ accessor, metadata }) => accessor === id || metadata[MARK] === id) ?? null;
}

/** The new secret-id is there, and no token of the old one is in use. Changes nothing. @throws TargetError `notYet` while one is, unless they are going to be ended */
export async function checkCutover(session: Session, twins: Twins, endOpen: boolean, nowMs: number): Promise<void> {
  await checkStaged(session, twins, nowMs);
  if ((await secretIdNamed(session, twins.current)) === null) throw new TargetError('rejected', 'the old secret-id is not there any more');
  if (!endOpen) await checkUnused(session, twins);
}

/**
 * Nobody logs in with the old secret-id any more, and no token that was got with it is left. Repeatable, also where it was cut short after
 * the secret-id was destroyed.
 * @throws TargetError `notYet` while its tokens are in use, unless `endOpen`
 */
export async function retireSecretId(session: Session, twins: Twins, endOpen: boolean, nowMs: number): Promise<void> {
  await checkStaged(session, twins, nowMs);
  if ((await secretIdNamed(session, twins.current)) !== null) {
    if (!endOpen) await checkUnused(session, twins);
    await destroySecretId(session, twins.role, twins.current.id);
  }
  if (!(await isRetired(session, twins))) await endTokens(session, (token) => isOfOld(session, token, twins));
}

export async function isRetired(session: Session, twins: Twins): Promise<boolean> {
  if ((await secretIdNamed(session, twins.current)) !== null) return false;
  return (await countOld(session, twins)) === 0;
}

/** Tokens of the role that were not got with the new secret-id: there is no other but the old one. */
export async function countOld(session: Session, twins: Twins): Promise<number> {
  return (await findTokens(session, (token) => isOfOld(session, token, twins))).length;
}

function isOfOld(session: Session, token: Token, { role, clientToken }: Twins): boolean {
  return isLogin(session, token, role) && markOf(token) !== clientToken;
}

async function checkStaged(session: Session, twins: Twins, nowMs: number): Promise<void> {
  const next = await secretIdNamed(session, twins.next);
  if (next === null || !isAlive(next, nowMs)) throw new TargetError('rejected', 'the new secret-id of this change is not there');
}

async function checkUnused(session: Session, twins: Twins): Promise<void> {
  const count = await countOld(session, twins);
  if (count > 0) throw new TargetError('notYet', `${String(count)} ${count === 1 ? 'token' : 'tokens'} of ${formatSecretId(twins.current)}`);
}
