/**
 * The words of this connector: names of AppRoles, of policies, and of the two secret-ids of a rotation.
 *
 * The server folds upper case, trims and splits at commas. What it would read in another way than it is written is refused, so that what was
 * approved has one spelling.
 */
import { TargetError } from '../../executor/connector.ts';

const ROLE = /^[a-z0-9_](?:[a-z0-9_.-]{0,78}[a-z0-9_])?$/;
const POLICY = /^[a-z0-9_](?:[a-z0-9_./-]{0,126}[a-z0-9_])?$/;
/** Accessors of secret-ids, and client tokens. */
const SECRET_ID = /^(?:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|cs_[0-7][0-9a-hjkmnp-tv-z]{25})$/;

/** The name of an AppRole. @throws TargetError `rejected` */
export function checkRoleName(name: string): string {
  if (!ROLE.test(name)) throw new TargetError('rejected', 'not the name of an AppRole here: lower case, digits, "_", and inside "." and "-", at most 80');
  return name;
}

/** The policy in `policy:<name>`. @throws TargetError `rejected` */
export function parsePolicy(privilege: string): string {
  const name = /^policy:(.+)$/s.exec(privilege)?.[1] ?? '';
  if (!POLICY.test(name) || name.split('/').some((part) => part === '' || part === '.' || part === '..')) {
    throw new TargetError('rejected', 'not a privilege: expected policy:<name>, in lower case, of letters, digits, "_", "-", "." and "/"');
  }
  if (name === 'root') throw new TargetError('rejected', 'the policy root is given to nobody');
  if (name === 'default') throw new TargetError('rejected', 'the policy default is what everybody has');
  return name;
}

export function formatPolicy(name: string): string {
  return `policy:${name}`;
}

/** One of the secret-ids of a role, by its accessor or by the client token that it was made for: `<role>#<id>`. */
export interface SecretIdName {
  readonly role: string;
  readonly id: string;
}

export function formatSecretId({ role, id }: SecretIdName): string {
  return `${role}#${id}`;
}

/** @throws TargetError `rejected` */
export function parseSecretId(text: string): SecretIdName {
  const [role = '', id = '', ...more] = text.split('#');
  if (more.length > 0 || !SECRET_ID.test(id)) throw new TargetError('rejected', 'not the name of a secret-id: expected <role>#<accessor or client token>');
  return { role: checkRoleName(role), id };
}

/** What a rotation by twins gives: `role:<name>`. */
export function formatRolePrivilege(role: string): string {
  return `role:${role}`;
}
