/** Trying a new credential the way its owner will. */
import { z } from 'zod';
import { TargetError } from '../../executor/connector.ts';
import { parseAddress, pathOf } from './address.ts';
import type { OpenBaoAddress } from './address.ts';
import { NoAnswer, openWire } from '../../openbao/wire.ts';
import { areInForce, type AllowedPaths } from './in-force.ts';

const loginSchema = z.object({ auth: z.object({ client_token: z.string().min(1), policies: z.array(z.string()) }) });

export interface Credential {
  readonly address: OpenBaoAddress;
  readonly mount: string;
  readonly roleId: string;
  readonly secret: string;
}

/**
 * Logs in, asks whether every policy is in force, and gives the token back.
 *
 * @param paths at which each of the policies allows something
 * @throws TargetError `unreachable` when it cannot be known, or the token could not be given back: it ends by itself, soon
 */
export async function tryCredential({ address, mount, roleId, secret }: Credential, policies: readonly string[], paths: readonly AllowedPaths[], signal: AbortSignal): Promise<'works' | 'fails'> {
  const wire = openWire(parseAddress(address), address.ca);
  const headers = { 'x-vault-request': 'true', ...(address.namespace === undefined ? {} : { 'x-vault-namespace': address.namespace }) };
  try {
    const login = await wire.send('POST', `/v1/auth/${pathOf(mount)}/login`, headers, { role_id: roleId, secret_id: secret }, signal);
    // 400 for a wrong or expired secret-id, 403 for an entity that is disabled.
    if (login.status === 400 || login.status === 403) return 'fails';
    const answer = loginSchema.safeParse(login.body);
    if (login.status !== 200 || !answer.success) throw new TargetError('unreachable', `HTTP ${String(login.status)} to a login`);
    const { auth } = answer.data;
    const asBearer = { ...headers, 'x-vault-token': auth.client_token };
    const inForce = await areInForce(wire, asBearer, paths, signal).catch((error: unknown) => error);
    const back = await wire.send('POST', '/v1/auth/token/revoke-self', asBearer, {}, signal);
    if (inForce instanceof Error) throw inForce;
    if (back.status !== 204) throw new TargetError('unreachable', `HTTP ${String(back.status)} to giving back the token of a trial`);
    return inForce === true && policies.every((policy) => auth.policies.includes(policy)) ? 'works' : 'fails';
  } catch (error) {
    // The message is the code of a network error: nothing that was sent is in it.
    if (error instanceof NoAnswer) throw new TargetError('unreachable', `no answer: ${error.message}`);
    throw error;
  } finally {
    wire.close();
  }
}
