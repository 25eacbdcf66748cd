/**
 * What `docker-compose.yml` describes, as processes of this machine: three NATS servers, PostgreSQL, OpenBao, a sidecar, and two workers for
 * each connector, each connector with an executor and an account on the bus of its own.
 */
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createDatabase } from '../demo/database.ts';
import { accepts, databaseConnector, install, type ExecutorOptions, type Installation } from '../demo/installation.ts';
import { endLeftovers } from '../demo/processes.ts';
import { newBusUsers, startBus } from '../support/bus.ts';
import { removePostgres, startPostgres } from '../support/embedded-postgres.ts';
import { layOutNats } from '../support/nats-servers.ts';
import { startOpenBao } from '../support/openbao.ts';
import { obtainProgram } from '../support/programs.ts';

export interface Component {
  readonly name: string;
  /** Its address or socket. */
  readonly where: string;
  isHealthy(): Promise<boolean>;
}

export interface Cluster extends Pick<Installation, 'paths'> {
  readonly components: readonly Component[];
  /** What an earlier run had left, and was ended. */
  readonly ended: readonly string[];
  /** Ends everything that was started. What is on disk stays until the next start. */
  close(): Promise<void>;
}

const POSTGRES = 'executor:postgres';
const OPENBAO = 'executor:openbao';
const ORIGIN = 'countersign.cluster/';
/** Says that a directory is a cluster's, to be made anew. */
const MARK = 'countersign-cluster';

/**
 * Starts it all, each part once what it needs is healthy; `say` hears what is begun.
 *
 * @param directory made anew: absent, empty, or what an earlier cluster left there
 * @throws Error when the directory holds something else: nothing was touched
 */
export async function openCluster(root: string, directory: string, say: (what: string) => void): Promise<Cluster> {
  const at = (...names: string[]): string => join(directory, ...names);
  if (existsSync(directory) && readdirSync(directory).length > 0 && !existsSync(at(MARK))) throw new Error(`${directory} holds something that no cluster has left there: name another directory`);
  const programs = { nats: obtainProgram(root, 'nats-server'), bao: obtainProgram(root, 'bao') };
  const ended = [...endLeftovers(at('installation', 'run')), ...endLeftovers(at('run'))];
  await removePostgres(at('postgres'));
  rmSync(directory, { recursive: true, force: true });
  mkdirSync(directory, { recursive: true });
  writeFileSync(at(MARK), '');
  const places = { logs: at('logs'), run: at('run') };
  const newSecret = (): string => randomBytes(18).toString('base64url');

  const undo: (() => Promise<void>)[] = [];
  const close = async (): Promise<void> => {
    for (const step of undo.splice(0).reverse()) await step();
  };
  try {
    say('PostgreSQL');
    const postgres = await startPostgres({ directory: at('postgres') });
    undo.push(() => postgres.stop());
    const database = await createDatabase(postgres, newSecret);
    say('OpenBao');
    const bao = await startOpenBao({ program: programs.bao, token: newSecret(), ...places });
    undo.push(() => bao.stop());

    const users = newBusUsers([POSTGRES, OPENBAO]);
    const executor = (id: string, connectors: ExecutorOptions['connectors']): ExecutorOptions => ({ id, connectors, seed: users.executors.get(id)!.seed });
    const nats = await layOutNats({ program: programs.nats, directory: at('nats'), size: 3, ...places });
    undo.push(() => nats.stop());
    const installation = install({
      root, directory: at('installation'), origin: `${ORIGIN}${randomBytes(6).toString('hex')}`, server: postgres, randomBytes: (length) => randomBytes(length),
      bus: { servers: nats.urls, seed: users.sidecar.seed },
      executors: [
        executor(POSTGRES, { 'pg-main': databaseConnector(postgres) }),
        executor(OPENBAO, { 'bao-main': { kind: 'openbao', address: bao.address, tokenFile: 'secrets/openbao.token', allowHttp: true } }),
      ],
    });
    undo.push(() => installation.stop());
    const { paths, workers } = installation;
    writeFileSync(join(paths.directory, 'secrets', 'openbao.token'), `${bao.token}\n`, { mode: 0o600 });
    say('three NATS servers, and streams of three replicas on them');
    await startBus(nats, paths, users);
    say('two workers of each executor');
    await Promise.all(workers.map((worker) => worker.start()));
    say('a sidecar');
    await installation.startSidecar();
    return {
      paths, ended, close,
      components: [
        ...nats.nodes.map((node): Component => ({ name: node.name, where: `${node.url} (monitoring: ${node.monitor})`, isHealthy: () => node.isHealthy() })),
        {
          name: 'postgres', where: `${postgres.host}:${postgres.port}`,
          isHealthy: () => database.admin('SELECT 1').then(() => true, () => false),
        },
        { name: 'openbao', where: bao.address, isHealthy: () => bao.isHealthy() },
        ...workers.map((worker, index): Component => ({ name: `${worker.executorId} ${(index % 2) + 1}`, where: worker.socket, isHealthy: async () => worker.running.isAlive() && accepts(worker.socket) })),
        // Ready: its policy is loaded, its ledger can be written, and every executor is heard over the bus.
        { name: 'sidecar', where: paths.socket, isHealthy: () => installation.as('person:sam').ready().then(({ checks }) => checks.every(({ ok }) => ok), () => false) },
      ],
    };
  } catch (error) {
    await close();
    throw error;
  }
}
