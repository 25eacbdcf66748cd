import { describe } from 'vitest';
import { ACTIONS, postgresAdapter, prepareTables } from '../support/postgres-adapter.ts';
import { postgresInstallations, testPostgres } from '../support/postgres.ts';
import { connectorConformance } from '../conformance/connector.ts';

const installations = postgresInstallations().filter(({ major }, index, all) => all.findIndex((other) => other.major === major) === index);

describe.each(installations)('as every connector', (installation) => {
  connectorConformance(`PostgreSQL ${String(installation.major)}`, ACTIONS, async () => {
    const server = await testPostgres(installation);
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
