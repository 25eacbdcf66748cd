/** Real PostgreSQL servers for tests: one of each version that this machine has. */
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from 'pg';
import { findInstallations, startPostgres } from '../../examples/support/embedded-postgres.ts';
import type { PostgresInstallation, RunningPostgres } from '../../examples/support/embedded-postgres.ts';

export type { RunningPostgres };

/** Whether a missing server fails the run instead of skipping its tests. */
const REQUIRED = process.env['CI'] === 'true' || process.env['COUNTERSIGN_REQUIRE'] === 'all';

/** The installations to test on; empty, and said so on stderr, where there are none and none is required. */
export function postgresInstallations(): PostgresInstallation[] {
  const found = findInstallations().filter(({ major }) => major >= 14);
  if (found.length === 0) {
    if (REQUIRED) throw new Error('no PostgreSQL on this machine, and CI requires one');
    process.stderr.write('SKIPPED: no PostgreSQL on this machine; the PostgreSQL connector was not tested\n');
  }
  return found;
}

/** Whether there is a `psql`, as pages have their readers use it. */
export const hasPsql = (): boolean => existsSync('/usr/bin/psql') || process.env['CI'] === 'true';

export interface TestPostgres extends RunningPostgres {
  /** Rows of one statement, as the administrator. */
  sql(text: string, database?: string): Promise<Record<string, unknown>[]>;
  /** A client as that user, connected, whose loss is not an error. @throws if the login is refused */
  login(user: string, password: string, database?: string): Promise<Client>;
  /** Ended as by a crash, and started again on its port with what it had kept. */
  restart(): Promise<void>;
  /** Stopped, and its files removed. */
  remove(): Promise<void>;
}

/** A server of its own, in a new directory. */
export async function testPostgres(installation?: PostgresInstallation, settings: Readonly<Record<string, string>> = {}): Promise<TestPostgres> {
  const directory = mkdtempSync(join(tmpdir(), 'countersign-test-'));
  const start = (port: Readonly<Record<string, string>>): Promise<RunningPostgres> => startPostgres({
    directory,
    ...(installation === undefined ? {} : { installation }),
    // A test's data need not survive a power cut.
    settings: { log_statement: 'all', log_min_duration_statement: '0', log_connections: 'on', fsync: 'off', shared_buffers: '16MB', ...settings, ...port },
  });
  const server = await start({});
  let running = server;
  const login = async (user: string, password: string, database = 'postgres'): Promise<Client> => {
    const client = new Client({ host: server.host, port: server.port, user, password, database, ssl: false });
    client.on('error', () => undefined);
    try {
      await client.connect();
    } catch (error) {
      await client.end().catch(() => undefined);
      throw error;
    }
    return client;
  };
  return {
    ...server,
    login,
    async sql(text, database) {
      const client = await login(server.adminUser, server.adminPassword, database);
      try {
        return (await client.query<Record<string, unknown>>(text)).rows;
      } finally {
        await client.end();
      }
    },
    async restart() {
      await running.kill9();
      running = await start({ port: String(server.port) });
    },
    async remove() {
      await running.stop();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}
