import { describe } from 'vitest';
import { connectorTo, prepareSecrets } from '../support/openbao-cases.ts';
import { openbaoAdapter } from '../support/openbao-adapter.ts';
import { lastingOpenBao, openbaoProgram } from '../support/openbao.ts';
import { connectorChaos } from '../conformance/connector-chaos.ts';

const program = openbaoProgram();

describe.skipIf(program === null)('as every connector', () => {
  connectorChaos('OpenBao', {
    applying: {
      provision: ['POST /v1/identity/entity HTTP', 'POST /v1/identity/entity-alias', 'POST /v1/auth/approle/role/', '/custom-secret-id'],
      grant: ['POST /v1/identity/group/name/'], stage: ['/custom-secret-id'],
    },
    revoking: { provision: ['POST /v1/identity/entity/id/', 'DELETE /v1/auth/approle/role/', 'DELETE /v1/identity/entity/id/'], grant: ['DELETE /v1/identity/group/'], stage: ['/secret-id-accessor/destroy'] },
    http: true,
  }, async () => {
    const bao = await lastingOpenBao(program!);
    await prepareSecrets(bao);
    const keys = async (path: string): Promise<string[]> => ((await bao.call('LIST', path)).data['keys'] as string[] | undefined) ?? [];
    return {
      adapter: openbaoAdapter(bao), port: bao.port, restart: () => bao.restart(), connectorThrough: (port) => connectorTo(bao, port), close: () => bao.remove(),
      async count({ action, account, clientToken }) {
        if (action === 'grant') return (await keys('identity/group/name')).filter((name) => name === clientToken).length;
        const role = `auth/approle/role/${account.replace(/#.*$/, '')}`;
        let found = 0;
        for (const accessor of await keys(`${role}/secret-id`)) {
          const { data } = await bao.call('POST', `${role}/secret-id-accessor/lookup`, { secret_id_accessor: accessor });
          if ((data['metadata'] as Record<string, string> | null)?.['countersign'] === clientToken) found += 1;
        }
        return found;
      },
    };
  });
});
