import { describe } from 'vitest';
import { ACTIONS, openbaoAdapter } from '../support/openbao-adapter.ts';
import { prepareSecrets } from '../support/openbao-cases.ts';
import { openbaoProgram, testOpenBao } from '../support/openbao.ts';
import { connectorConformance } from '../conformance/connector.ts';

const program = openbaoProgram();

describe.skipIf(program === null)('as every connector', () => {
  connectorConformance('OpenBao', ACTIONS, async () => {
    const bao = await testOpenBao(program!);
    await prepareSecrets(bao);
    return { adapter: openbaoAdapter(bao), close: () => bao.remove() };
  });
});
