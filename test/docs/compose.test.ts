/** `docker-compose.yml`, without Docker: it is well-formed, complete and pinned, and what it mounts is what `npm run compose:init` makes. */
import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parse } from 'yaml';
import { z } from 'zod';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { layOutCompose } from '../../examples/compose/lay-out.ts';
import { findProgram } from '../../examples/support/programs.ts';
import { loadConfig } from '../../src/config/load.ts';
import { loadExecutorConfig } from '../../src/executor/config.ts';

const root = join(import.meta.dirname, '../..');

/** As much of the compose specification as the file uses. @see https://github.com/compose-spec/compose-spec/blob/main/05-services.md */
const duration = z.string().regex(/^\d+s$/);
const serviceSchema = z.strictObject({
  image: z.string().optional(), build: z.string().optional(), user: z.string().optional(), restart: z.enum(['unless-stopped', 'on-failure']),
  command: z.array(z.string()).optional(), entrypoint: z.array(z.string()).optional(), environment: z.record(z.string(), z.string()).optional(), secrets: z.array(z.string()).optional(),
  volumes: z.array(z.string().regex(/^[^:]+:\/[^:]+(:ro)?$/)).optional(), network_mode: z.string().regex(/^service:/).optional(),
  depends_on: z.record(z.string(), z.strictObject({ condition: z.enum(['service_healthy', 'service_completed_successfully']) })).optional(),
  healthcheck: z.strictObject({ test: z.tuple([z.literal('CMD')], z.string()), interval: duration, timeout: duration, retries: z.int().optional() }).optional(),
}).refine(({ image, build }) => (image === undefined) !== (build === undefined), 'an image or a build');
const composeSchema = z.strictObject({
  'x-nats': z.unknown(), 'x-countersign': z.unknown(), services: z.record(z.string(), serviceSchema), volumes: z.record(z.string(), z.null()),
  secrets: z.record(z.string(), z.strictObject({ file: z.string() })),
});
const compose = composeSchema.parse(parse(readFileSync(join(root, 'docker-compose.yml'), 'utf8'), { merge: true, uniqueKeys: true }));
const services = Object.entries(compose.services);
/** Those that run once, and are waited for. */
const ONCE = ['nats-setup', 'openbao-setup'];

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'cs-compose-'));
  layOutCompose(root, join(directory, 'installation'));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));
/** Where a path of the compose file is: what is made, below the directory; all else, in the repository. */
const found = (path: string): string => join(path.startsWith('./installation') ? directory : root, path);

test('three servers, a sidecar, and two workers for each connector', () => {
  expect(Object.keys(compose.services).sort()).toEqual([
    'nats-1', 'nats-2', 'nats-3', 'nats-setup', 'openbao', 'openbao-setup', 'postgres', 'sidecar', 'worker-openbao-1', 'worker-openbao-2', 'worker-postgres-1', 'worker-postgres-2',
  ]);
});

describe.each(services)('%s', (name, service) => {
  test('is built here, or of an image pinned to a version', () => {
    expect(service.build ?? service.image).toMatch(/^\.$|^[a-z0-9/.-]+:\d+\.\d+(\.\d+)?(-alpine)?$/);
  });

  test('says whether it is healthy, or runs once', () => {
    if (ONCE.includes(name)) expect([service.healthcheck, service.restart]).toEqual([undefined, 'on-failure']);
    else {
      expect(service.healthcheck?.test.length).toBeGreaterThan(1);
      expect(service.restart).toBe('unless-stopped');
    }
  });

  test('waits for what is there, and can tell', () => {
    for (const [other, { condition }] of Object.entries(service.depends_on ?? {})) {
      expect(compose.services, other).toHaveProperty(other);
      expect(condition === 'service_healthy' ? compose.services[other]!.healthcheck !== undefined : ONCE.includes(other), other).toBe(true);
    }
    if (service.network_mode !== undefined) expect(compose.services).toHaveProperty(service.network_mode.slice('service:'.length));
  });

  test('mounts what is there', () => {
    for (const volume of service.volumes ?? []) {
      const [from = ''] = volume.split(':');
      if (from.startsWith('.')) expect(existsSync(found(from)), from).toBe(true);
      else expect(compose.volumes).toHaveProperty(from);
    }
    for (const secret of service.secrets ?? []) expect(existsSync(found(compose.secrets[secret]!.file)), secret).toBe(true);
  });
});

test('what reads the installation or a secret of it runs as its owner, but for what begins as root', () => {
  for (const [name, { user, volumes = [], secrets = [] }] of services) {
    const reads = secrets.length > 0 || volumes.some((volume) => volume.endsWith(':/installation'));
    // PostgreSQL's image reads its password before it gives root up; the servers' files are readable by anybody.
    expect(user, name).toBe(reads && name !== 'postgres' ? '${COUNTERSIGN_UID:-1000}' : undefined);
  }
});

test('no file of the installation names the directory in which it was made', () => {
  const made = join(directory, 'installation');
  const files = readdirSync(made, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  expect(files.length).toBeGreaterThan(20);
  for (const { parentPath, name } of files) expect(readFileSync(join(parentPath, name), 'utf8'), name).not.toContain(directory);
});

describe('the image that is built here', () => {
  const dockerfile = readFileSync(join(root, 'Dockerfile'), 'utf8');
  const copied = [...dockerfile.matchAll(/^COPY (?!--from)(.+) \S+$/gm)].flatMap((match) => match[1]!.split(' '));

  test('is of an image pinned to a version that this package supports', () => {
    const bases = [...dockerfile.matchAll(/^FROM (\S+)/gm)].map((match) => match[1]!);
    expect(new Set(bases).size).toBe(1);
    expect(bases[0]).toMatch(/^node:\d+\.\d+\.\d+-slim$/);
    const [major, minor] = bases[0]!.slice('node:'.length).split('.').map(Number) as [number, number];
    const { engines } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { engines: { node: string } };
    const [least, leastMinor] = engines.node.slice('>='.length).split('.').map(Number) as [number, number];
    expect(major > least || (major === least && minor >= leastMinor)).toBe(true);
  });

  test('is built of what is there, and sees nothing else: no key of the installation', () => {
    expect(copied.length).toBeGreaterThan(5);
    for (const path of copied) expect(existsSync(join(root, path)), path).toBe(true);
    const [first, ...rest] = readFileSync(join(root, '.dockerignore'), 'utf8').split('\n').filter((line) => line !== '' && !line.startsWith('#'));
    expect([first, rest.sort()]).toEqual(['*', copied.map((path) => `!${path}`).sort()]);
  });
});

test('the installation, which has keys, is not committed by accident', () => {
  expect(readFileSync(join(root, '.gitignore'), 'utf8').split('\n')).toContain('/installation/');
});

test('every volume and secret is used', () => {
  const used = (kind: 'volumes' | 'secrets'): string[] => services.flatMap(([, service]) => service[kind] ?? []).map((one) => one.split(':')[0]!);
  expect(used('volumes')).toEqual(expect.arrayContaining(Object.keys(compose.volumes)));
  expect(used('secrets')).toEqual(expect.arrayContaining(Object.keys(compose.secrets)));
});

/** The file that a service's command names, as it is mounted. */
const configOf = (name: string): string => join(folderOf(name), compose.services[name]!.command!.at(-1)!.slice('/installation'.length));
/** What the container finds under `/installation`. */
const folderOf = (name: string): string => found(compose.services[name]!.volumes!.find((volume) => volume.endsWith(':/installation'))!.split(':')[0]!);

test('the sidecar is configured to meet its workers at the servers of this file', async () => {
  const { config } = await loadConfig({ path: configOf('sidecar') });
  expect(config.nats?.servers).toEqual(['nats://nats-1:4222', 'nats://nats-2:4222', 'nats://nats-3:4222']);
  expect(config.executors.map(({ id, socket, connectors }) => [id, socket, connectors])).toEqual([['executor:postgres', undefined, ['pg-main']], ['executor:openbao', undefined, ['bao-main']]]);
});

test.each(['worker-postgres-1', 'worker-postgres-2', 'worker-openbao-1', 'worker-openbao-2'])('%s is configured, and its health is looked for where it listens', async (name) => {
  const config = await loadExecutorConfig(configOf(name));
  expect(config.nats?.servers.length).toBe(3);
  const socket = `/installation${config.socket.slice(folderOf(name).length)}`;
  expect(compose.services[name]!.healthcheck!.test.at(-1)).toContain(`"${socket}"`);
  const [connector] = Object.values(config.connectors);
  if (connector?.kind === 'postgres') expect(compose.services).toHaveProperty(connector.host);
  else expect([connector?.kind === 'openbao' ? connector.address : null, compose.services[name]!.network_mode]).toEqual(['http://127.0.0.1:8200', 'service:openbao']);
});

test('nobody has a key or a secret that is not its own', () => {
  const KEYS: Readonly<Record<string, readonly string[]>> = {
    sidecar: ['log.key', 'nats.seed', 'ticket.key', 'tokens.json'],
    'worker-postgres-1': ['executor.key', 'fingerprint.key', 'nats-postgres.seed', 'postgres.password'], 'worker-postgres-2': ['executor.key', 'fingerprint.key', 'nats-postgres.seed', 'postgres.password'],
    'worker-openbao-1': ['fingerprint.key', 'nats-openbao.seed', 'openbao.key', 'openbao.token'], 'worker-openbao-2': ['fingerprint.key', 'nats-openbao.seed', 'openbao.key', 'openbao.token'],
  };
  for (const [name, keys] of Object.entries({ ...KEYS, 'nats-setup': KEYS['sidecar']! })) {
    const files = readdirSync(folderOf(name), { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile() && (statSync(join(entry.parentPath, entry.name)).mode & 0o077) === 0);
    expect(files.map((file) => file.name).sort(), name).toEqual(keys);
  }
  for (const [name, { volumes = [] }] of services) expect(volumes.filter((volume) => /^\.\/installation:/.test(volume)), name).toEqual([]);
});

test('two workers of an executor have a lease book each, and one key', async () => {
  const [first, second] = await Promise.all(['worker-postgres-1', 'worker-postgres-2'].map((name) => loadExecutorConfig(configOf(name))));
  expect(first!.state).not.toBe(second!.state);
  expect(first!.id).toBe(second!.id);
  expect(readFileSync(first!.key, 'utf8')).toBe(readFileSync(second!.key, 'utf8'));
});

const nats = findProgram(root, 'nats-server');
test.skipIf(nats === null && process.env['CI'] !== 'true')('the servers take their configuration, and sync before they acknowledge', () => {
  const config = join(directory, 'nats.conf');
  copyFileSync(join(root, 'examples/compose/nats.conf'), config);
  copyFileSync(join(directory, 'installation/nats/accounts.conf'), join(directory, 'accounts.conf'));
  // Says so and exits, or fails.
  execFileSync(nats!, ['-t', '-c', config], { env: { ...process.env, NATS_NAME: 'nats-1' }, stdio: 'pipe' });
  expect(readFileSync(config, 'utf8')).toMatch(/jetstream \{[^}]*sync_interval: always[^}]*strict: true/);
});
