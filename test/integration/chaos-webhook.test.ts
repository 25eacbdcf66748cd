import { testReceiver } from '../support/webhook-target.ts';
import { connectorChaos } from '../conformance/connector-chaos.ts';

const APPLY = ['"operation":"apply"'];
const REVOKE = ['"operation":"revoke"'];

connectorChaos('the webhook protocol', { applying: { provision: APPLY, grant: APPLY, stage: APPLY }, revoking: { provision: REVOKE, grant: REVOKE, stage: REVOKE }, http: true }, async () => {
  const receiver = await testReceiver(true);
  const { adapter, port, restart } = receiver;
  return {
    adapter, port, restart, connectorThrough: (through) => receiver.connectorTo(through), close: () => receiver.close(),
    async count({ clientToken }) {
      // Of a provision, its account and its key.
      const credentials = (await adapter.list()).filter((line) => line.endsWith(` ${clientToken}`));
      return credentials.length;
    },
  };
});
