/** Sets up a bus as an operator does, with the commands that she has: accounts for the servers, then streams and consumers. */
import { execFile } from 'node:child_process';
import { newBusUser, type BusUser } from '../../src/transport/nats/bus-user.ts';
import type { Paths } from '../demo/installation.ts';
import type { NatsServers } from './nats-servers.ts';

export interface BusUsers {
  readonly sidecar: BusUser;
  /** By executor id; workers of one executor share theirs. */
  readonly executors: ReadonlyMap<string, BusUser>;
}

export function newBusUsers(executors: readonly string[]): BusUsers {
  return { sidecar: newBusUser(), executors: new Map(executors.map((id) => [id, newBusUser()])) };
}

/** Starts the servers with the accounts of this installation, and makes its streams and consumers. @throws Error with what the command said */
export async function startBus(servers: NatsServers, { cli, config }: Paths, users: BusUsers): Promise<void> {
  const workers = [...users.executors].flatMap(([id, { publicKey }]) => ['--worker', `${id}=${publicKey}`]);
  await servers.start(await run(cli, ['nats', 'accounts', '--config', config, ...workers]));
  await run(cli, ['nats', 'setup', '--config', config, '--replicas', servers.nodes.length === 3 ? '3' : '1']);
}

function run(cli: string, args: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile(process.execPath, [cli, ...args], { timeout: 60_000 }, (error, stdout, stderr) => {
      if (error === null) resolve(stdout);
      else reject(new Error(`countersign ${args.slice(0, 2).join(' ')}: ${stderr === '' ? error.message : stderr}`));
    });
  });
}
