import { describe } from 'vitest';
import { connectorTo } from '../support/postgres-cases.ts';
import { postgresAdapter, prepareTables } from '../support/postgres-adapter.ts';
import { postgresInstallations, testPostgres } from '../support/postgres.ts';
import { connectorChaos } from '../conformance/connector-chaos.ts';

describe.skipIf(postgresInstallations().length === 0)('as every connector', () => {
  connectorChaos('PostgreSQL', {
    applying: { provision: ['CREATE ROLE', 'COMMENT ON', 'GRANT SELECT', 'COMMIT'], grant: ['CREATE ROLE', 'COMMIT'], stage: ['CREATE ROLE', 'COMMIT'] },
    revoking: { provision: ['ALTER ROLE', 'COMMIT', 'pg_terminate_backend', 'DROP OWNED', 'DROP ROLE'], grant: ['DROP OWNED', 'COMMIT'], stage: ['COMMIT'] },
    http: false,
  }, async () => {
    const server = await testPostgres();
    await prepareTables(server);
    const { adapter, close } = postgresAdapter(server);
    return {
      adapter, port: server.port, restart: () => server.restart(), connectorThrough: (port) => connectorTo(server, port),
      async count({ action, clientToken }) {
        // A staged login that was taken back stays, shut out.
        const live = action === 'stage' ? 'AND rolcanlogin' : '';
        const [row] = await server.sql(`SELECT count(*)::int AS n FROM pg_roles WHERE shobj_description(oid, 'pg_authid') = 'countersign ${clientToken}' ${live}`);
        return Number(row!['n']);
      },
      async close() {
        await close();
        await server.remove();
      },
    };
  });
});
