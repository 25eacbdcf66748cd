/** PostgreSQL as the kits see it. */
import type { Client } from 'pg';
import type { Connector } from '../../src/executor/connector.ts';
import type { KitAction, TargetAdapter } from '../../src/executor/kit/index.ts';
import { connectorTo, CONNECTOR, TARGET } from './postgres-cases.ts';
import type { TestPostgres } from './postgres.ts';

export const ACTIONS: readonly KitAction[] = ['provision', 'grant', 'extend', 'revoke', 'stage', 'cutover', 'retire', 'replace', 'disable'];
const TABLES = ['kit_one', 'kit_two'];
const PRIVILEGES = TABLES.map((table) => `table:public.${table}:SELECT`);

const quoted = (name: string): string => `"${name.replaceAll('"', '""')}"`;

export async function prepareTables(server: TestPostgres): Promise<void> {
  await server.sql(`CREATE DATABASE ${TARGET}`).catch(() => undefined);
  for (const table of TABLES) await server.sql(`CREATE TABLE public.${table} (n int)`, TARGET);
}

export interface PostgresAdapter {
  readonly adapter: TargetAdapter;
  /** Ends sessions that are still open. */
  close(): Promise<void>;
}

/** @param open the connector under test, where it is not one straight to the server */
export function postgresAdapter(server: TestPostgres, open: () => Connector = () => connectorTo(server)): PostgresAdapter {
  const sessions: Client[] = [];
  /** Null where the login is refused. */
  const logIn = (name: string, secret: string): Promise<Client | null> => server.login(name, secret, TARGET).catch((error: unknown) => {
    if (['28P01', '28000', '3D000'].includes((error as { code?: string }).code ?? '')) return null;
    throw error;
  });
  /** The table's row in the catalogs may be changed by somebody else at the same time, who wins. */
  const grantSelect = async (table: string, name: string): Promise<void> => {
    for (;;) {
      try {
        await server.sql(`GRANT SELECT ON public.${table} TO ${quoted(name)}`, TARGET);
        return;
      } catch (error) {
        if (!(error instanceof Error) || !error.message.includes('tuple concurrently updated')) throw error;
      }
    }
  };
  const makeRole = async (name: string, attributes: string, privileges: readonly string[]): Promise<void> => {
    if ((await server.sql(`SELECT 1 FROM pg_roles WHERE rolname = '${name.replaceAll("'", "''")}'`)).length > 0) {
      await server.sql(`DROP OWNED BY ${quoted(name)}`, TARGET);
      await server.sql(`DROP ROLE ${quoted(name)}`);
    }
    await server.sql(`CREATE ROLE ${quoted(name)} ${attributes}`);
    for (const privilege of privileges) await grantSelect(TABLES[PRIVILEGES.indexOf(privilege)]!, name);
  };
  return {
    adapter: {
      open, connector: CONNECTOR, target: TARGET, privileges: PRIVILEGES,
      // As long as the server does not cut them, and none that is a word of its own.
      takes: (name) => name !== '' && Buffer.byteLength(name) <= 63 && !/[\p{Cc}\p{Cs}]/u.test(name),
      makeAccount: (name, secret, privileges) => makeRole(name, `LOGIN PASSWORD '${secret}'`, privileges),
      async makeTwin(name, secret) {
        await makeRole(name, 'NOLOGIN', PRIVILEGES);
        await makeRole(`${name}_a`, `LOGIN PASSWORD '${secret}' IN ROLE ${quoted(name)}`, []);
      },
      async use(name, secret) {
        const client = await logIn(name, secret);
        if (client === null) return null;
        const may: string[] = [];
        for (const [index, table] of TABLES.entries()) await client.query(`SELECT n FROM public.${table}`).then(() => may.push(PRIVILEGES[index]!), () => undefined);
        await client.end();
        return may;
      },
      async openSession(name, secret) {
        const client = await logIn(name, secret);
        if (client !== null) sessions.push(client);
        return async () => client !== null && client.query('SELECT 1').then(() => true, () => false);
      },
      async list() {
        const rows = await server.sql("SELECT rolname || ' ' || rolcanlogin || ' ' || oid || ' ' || coalesce(shobj_description(oid, 'pg_authid'), '') AS line FROM pg_roles ORDER BY 1");
        return rows.map(({ line }) => String(line));
      },
    },
    async close() {
      for (const client of sessions) await client.end().catch(() => undefined);
    },
  };
}
