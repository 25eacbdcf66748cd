/** The installation that `docker-compose.yml` mounts: as `countersign init` makes one, with two executors that are reached over the bus, and the accounts of its servers. */
import { randomBytes } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { formatAccounts } from '../../src/transport/nats/server-config.ts';
import { databaseConnector, install, type ExecutorOptions, type Paths } from '../demo/installation.ts';
import { newBusUsers } from '../support/bus.ts';

/** Service names of the compose file. */
const NATS = ['nats-1', 'nats-2', 'nats-3'] as const;
const POSTGRES = 'executor:postgres';
const OPENBAO = 'executor:openbao';

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
  return paths;
}
