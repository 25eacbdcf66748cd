import { cpSync, lstatSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { startPostgres } from '../../examples/support/embedded-postgres.ts';
import { postgresInstallations } from '../support/postgres.ts';
import { Client } from 'pg';

const directories: string[] = [];
afterEach(() => {
  for (const directory of directories.splice(0)) rmSync(directory, { recursive: true, force: true });
});

function newDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'countersign-test-'));
  directories.push(directory);
  return directory;
}

async function valueOf(connectionString: string, text: string): Promise<unknown> {
  const client = new Client({ connectionString, ssl: false });
  await client.connect();
  try {
    return Object.values((await client.query<Record<string, unknown>>(text)).rows[0] ?? {})[0];
  } finally {
    await client.end();
  }
}

test.skipIf(postgresInstallations().length === 0)('a server that crashed is started again with its data', async () => {
  const directory = newDirectory();
  const first = await startPostgres({ directory, settings: { log_statement: 'all' } });
  await valueOf(first.connectionString('postgres'), 'CREATE TABLE kept AS SELECT 7 AS n');
  await first.kill9();
  const second = await startPostgres({ directory });
  try {
    expect(await valueOf(second.connectionString('postgres'), 'SELECT n FROM kept')).toBe(7);
    expect(readFileSync(second.logFile, 'utf8')).toContain('CREATE TABLE kept');
  } finally {
    await second.stop();
  }
});

test.skipIf(postgresInstallations().length === 0)('a server left over on the directory is ended by the next start', async () => {
  const directory = newDirectory();
  const leftover = await startPostgres({ directory });
  const next = await startPostgres({ directory });
  try {
    expect(next.pid).not.toBe(leftover.pid);
    expect(() => process.kill(leftover.pid, 0)).toThrow();
    expect(await valueOf(next.connectionString('postgres'), 'SELECT 1')).toBe(1);
  } finally {
    await next.stop();
  }
});

const fromNpm = postgresInstallations().find(({ from }) => from === 'npm');

test.skipIf(fromNpm === undefined)('the package from npm works where its install script did not run and the server may not look', async () => {
  // A directory of mode 0700, as a home of root is; without the links that the script makes.
  const unlinked = join(newDirectory(), 'native');
  cpSync(dirname(fromNpm!.bin), unlinked, { recursive: true, filter: (path) => !lstatSync(path).isSymbolicLink() });
  const server = await startPostgres({ directory: newDirectory(), installation: { ...fromNpm!, bin: join(unlinked, 'bin') } });
  try {
    expect(await valueOf(server.connectionString('postgres'), 'SELECT 1')).toBe(1);
  } finally {
    await server.stop();
  }
});
