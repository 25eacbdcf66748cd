/** AppRoles to change access in, and the documents that ask for it. */
import { randomUUID } from 'node:crypto';
import { openbaoConnector } from '../../src/connectors/openbao/connector.ts';
import type { Connector } from '../../src/executor/connector.ts';
import type { PlanStep } from '../../src/protocol/plan.ts';
import type { Query } from '../../src/protocol/signed.ts';
import type { BaoAnswer, TestOpenBao } from './openbao.ts';
import { newToken } from './postgres-cases.ts';

export const CONNECTOR = 'bao-main';
export const TARGET = 'approle';
export const READ_APP = 'policy:read-app';
export const READ_OPS = 'policy:read-ops';

/** Secrets `app` and `ops`, and for each a policy that lets it be read. */
export async function prepareSecrets(bao: TestOpenBao): Promise<void> {
  for (const name of ['app', 'ops']) {
    await bao.call('POST', `secret/data/${name}`, { data: { value: name } });
    await bao.call('POST', `sys/policies/acl/read-${name}`, { policy: `path "secret/data/${name}" { capabilities = ["read"] }` });
  }
}

export function connectorTo(bao: TestOpenBao, port = bao.port, token = bao.rootToken): Connector {
  return openbaoConnector({ id: CONNECTOR, connection: { address: `http://127.0.0.1:${String(port)}`, token: () => token, allowHttp: true } });
}

export function stepOf(action: PlanStep['action'], account: string, privileges: readonly string[] = [READ_APP], clientToken = newToken()): PlanStep {
  const stepId = `stp_0123456789abcdef_${clientToken.slice(3).toUpperCase()}_r1_1`;
  return { stepId, action, connector: CONNECTOR, target: TARGET, account, privileges: [...privileges], clientToken };
}

export function rotateQuery(account: string, clientToken = newToken()): Query {
  return { connector: CONNECTOR, target: TARGET, action: 'rotate', account, privileges: [], clientToken };
}

export interface RotationSteps {
  readonly stage: PlanStep;
  readonly cutover: PlanStep;
  readonly retire: PlanStep;
}

/** The steps that a plan derives from what was read. */
export function rotationSteps(touched: Record<string, unknown>, clientToken: string): RotationSteps {
  const { currentName, nextName, privilege } = touched as Record<string, string>;
  const made = (action: PlanStep['action'], account: string, other: string): PlanStep => ({ ...stepOf(action, account, [privilege!], clientToken), other });
  return { stage: made('stage', nextName!, currentName!), cutover: made('cutover', nextName!, currentName!), retire: made('retire', currentName!, nextName!) };
}

export interface ExistingRole {
  readonly roleId: string;
  readonly secret: string;
  /** Its live token. */
  readonly token: string;
  readonly entityId: string;
}

/** An AppRole that Countersign did not make, logged in. */
export async function existingRole(bao: TestOpenBao, name: string, policies: readonly string[] = []): Promise<ExistingRole> {
  await bao.call('POST', `auth/approle/role/${name}`, { token_policies: policies });
  const roleId = String((await bao.call('GET', `auth/approle/role/${name}/role-id`)).data['role_id']);
  const secret = randomUUID();
  await bao.call('POST', `auth/approle/role/${name}/custom-secret-id`, { secret_id: secret });
  const { auth } = await login(bao, roleId, secret);
  return { roleId, secret, token: auth!.client_token, entityId: auth!.entity_id };
}

export async function login(bao: TestOpenBao, roleId: string, secret: string): Promise<BaoAnswer> {
  return bao.call('POST', 'auth/approle/login', { role_id: roleId, secret_id: secret }, '');
}

/** Whether the token may read the secret. */
export async function mayRead(bao: TestOpenBao, token: string, name: 'app' | 'ops'): Promise<boolean> {
  return (await bao.call('GET', `secret/data/${name}`, undefined, token)).status === 200;
}

export async function isAlive(bao: TestOpenBao, token: string): Promise<boolean> {
  return (await bao.call('GET', 'auth/token/lookup-self', undefined, token)).status === 200;
}

export async function roleExists(bao: TestOpenBao, name: string): Promise<boolean> {
  return (await bao.call('GET', `auth/approle/role/${name}`)).status === 200;
}
