/**
 * The installation that `docker-compose.yml` mounts: as `countersign init` makes one, with two executors that are reached over the bus, and the
 * accounts of its servers. Each container gets a folder with what it needs of it and nothing else: no worker has the key of the log, the key of a
 * revoker, or the password of another's target.
 */
import { randomBytes } from 'node:crypto';
import { cpSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { formatAccounts } from '../../src/transport/nats/server-config.ts';
import { databaseConnector, install, type ExecutorOptions, type Paths } from '../demo/installation.ts';
import { newBusUsers } from '../support/bus.ts';

/** Service names of the compose file. */
const NATS = ['nats-1', 'nats-2', 'nats-3'] as const;
const POSTGRES = 'executor:postgres';
const OPENBAO = 'executor:openbao';

/** What each container is given: folders of the installation, by the service's name. */
const GIVEN: Readonly<Record<string, readonly string[]>> = {
  sidecar: ['countersign.yaml', 'tokens.json', 'keys/log.key', 'keys/ticket.key', 'keys/nats.seed', 'trust', 'facts'],
  'worker-postgres-1': ['executor.yaml', 'keys/executor.key', 'keys/fingerprint.key', 'keys/nats-postgres.seed', 'secrets/postgres.password', 'trust'],
  'worker-postgres-2': ['executor-2.yaml', 'keys/executor.key', 'keys/fingerprint.key', 'keys/nats-postgres.seed', 'secrets/postgres.password', 'trust'],
  'worker-openbao-1': ['openbao.yaml', 'keys/openbao.key', 'keys/fingerprint.key', 'keys/nats-openbao.seed', 'secrets/openbao.token', 'trust'],
  'worker-openbao-2': ['openbao-2.yaml', 'keys/openbao.key', 'keys/fingerprint.key', 'keys/nats-openbao.seed', 'secrets/openbao.token', 'trust'],
};
/** What stays with whoever made it, beside the folders: how to speak to the sidecar, how to verify, and the revoker's key. */
const KEPT = ['tokens.txt', 'keys/revoker.key', 'trust', 'trust.policy', 'log.vkey', 'nats', 'secrets'];

function handOut(directory: string): void {
  for (const [name, files] of Object.entries(GIVEN)) {
    for (const file of files) cpSync(join(directory, file), join(directory, name, file), { recursive: true });
    mkdirSync(join(directory, name, 'run'), { mode: 0o700 });
  }
  const given = new Set(Object.values(GIVEN).flat().filter((file) => !KEPT.some((kept) => file === kept || file.startsWith(`${kept}/`))));
  for (const path of [...given, 'run', 'executor', 'openbao']) rmSync(join(directory, path), { recursive: true, force: true });
}

/** @param directory absent or empty, and with a path short enough for a unix socket below it @throws Error or CliError otherwise */
export function layOutCompose(root: string, directory: string): Paths {
  const server = { host: 'postgres', port: 5432, adminUser: 'postgres', adminPassword: randomBytes(18).toString('base64url') };
  const users = newBusUsers([POSTGRES, OPENBAO]);
  const executor = (id: string, connectors: ExecutorOptions['connectors']): ExecutorOptions => ({ id, connectors, seed: users.executors.get(id)!.seed });
  const { paths } = install({
    root, directory, origin: `countersign.compose/${randomBytes(6).toString('hex')}`, server, randomBytes: (length) => randomBytes(length),
    bus: { servers: NATS.map((name) => `nats://${name}:4222`), seed: users.sidecar.seed },
    executors: [
      // The network between them is the compose file's own.
      executor(POSTGRES, { 'pg-main': { ...databaseConnector(server), sslmode: 'disable' } }),
      executor(OPENBAO, { 'bao-main': { kind: 'openbao', address: 'http://127.0.0.1:8200', tokenFile: 'secrets/openbao.token', allowHttp: true } }),
    ],
  });
  if (!paths.socket.startsWith(directory)) throw new Error(`${directory} is too long for a unix socket below it: name a shorter one`);
  writeFileSync(join(directory, 'secrets', 'openbao.token'), `${randomBytes(18).toString('base64url')}\n`, { mode: 0o600 });
  mkdirSync(join(directory, 'nats'));
  const accounts = formatAccounts({ sidecars: [users.sidecar.publicKey], executors: new Map([...users.executors].map(([id, { publicKey }]) => [id, [publicKey]])) });
  writeFileSync(join(directory, 'nats', 'accounts.conf'), accounts);
  handOut(directory);
  return paths;
}
