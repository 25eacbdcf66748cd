import { describe } from 'vitest';
import { ACTIONS, postgresAdapter, prepareTables } from '../support/postgres-adapter.ts';
import { postgresInstallations, testPostgres } from '../support/postgres.ts';
import { connectorConformance } from '../conformance/connector.ts';

describe.skipIf(postgresInstallations().length === 0)('as every connector', () => {
  connectorConformance('PostgreSQL', ACTIONS, async () => {
    const server = await testPostgres();
    await prepareTables(server);
    const { adapter, close } = postgresAdapter(server);
    return {
      adapter,
      async close() {
        await close();
        await server.remove();
      },
    };
  });
});
