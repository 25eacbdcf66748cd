/** OpenBao as the kits see it. */
import type { Connector } from '../../src/executor/connector.ts';
import type { KitAction, TargetAdapter } from '../../src/executor/kit/index.ts';
import { connectorTo, CONNECTOR, isAlive, login, mayRead, READ_APP, READ_OPS, TARGET } from './openbao-cases.ts';
import type { TestOpenBao } from './openbao.ts';

export const ACTIONS: readonly KitAction[] = ['provision', 'grant', 'extend', 'revoke', 'stage', 'cutover', 'retire', 'disable'];

/** Prepared with `prepareSecrets`. @param open the connector under test, where it is not one straight to the server */
export function openbaoAdapter(bao: TestOpenBao, open: () => Connector = () => connectorTo(bao)): TargetAdapter {
  const keys = async (path: string): Promise<string[]> => ((await bao.call('LIST', path)).data['keys'] as string[] | undefined) ?? [];
  const rolePath = (name: string): string => `auth/approle/role/${encodeURIComponent(name)}`;
  const roleId = async (name: string): Promise<string> => ((await bao.call('GET', `${rolePath(name)}/role-id`)).data['role_id'] as string | undefined) ?? '';
  /** Of a secret-id, its role. */
  const logIn = async (name: string, secret: string): Promise<string | null> => {
    const id = await roleId(name.replace(/#.*$/s, ''));
    return id === '' ? null : ((await login(bao, id, secret)).auth?.client_token ?? null);
  };
  const makeAccount = async (name: string, secret: string, privileges: readonly string[]): Promise<void> => {
    await bao.call('DELETE', rolePath(name));
    await bao.call('POST', rolePath(name), { token_policies: privileges.map((privilege) => privilege.replace('policy:', '')) });
    await bao.call('POST', `${rolePath(name)}/custom-secret-id`, { secret_id: secret });
    // The first login makes its entity.
    await bao.call('POST', 'auth/token/revoke-self', {}, (await logIn(name, secret))!);
  };
  return {
    open, connector: CONNECTOR, target: TARGET, privileges: [READ_APP, READ_OPS],
    takes: (name) => /^[a-z0-9_](?:[a-z0-9_.-]{0,78}[a-z0-9_])?$/.test(name),
    makeAccount, makeTwin: (name, secret) => makeAccount(name, secret, ['policy:read-app']),
    async use(name, secret) {
      const token = await logIn(name, secret);
      if (token === null) return null;
      const may = [...((await mayRead(bao, token, 'app')) ? [READ_APP] : []), ...((await mayRead(bao, token, 'ops')) ? [READ_OPS] : [])];
      await bao.call('POST', 'auth/token/revoke-self', {}, token);
      return may;
    },
    async openSession(name, secret) {
      const token = (await logIn(name, secret)) ?? '';
      return () => isAlive(bao, token);
    },
    async list() {
      const lines: string[] = [];
      for (const name of await keys('auth/approle/role')) {
        lines.push(`${name} ${await roleId(name)}`, ...(await keys(`${rolePath(name)}/secret-id`)).map((accessor) => `${name}#${accessor}`));
      }
      return [...lines, ...(await keys('identity/entity/name')).map((name) => `entity ${name}`), ...(await keys('identity/group/name')).map((name) => `group ${name}`)].sort();
    },
  };
}
