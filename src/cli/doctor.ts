/** `countersign doctor`: looks at an installation and its bus, changes nothing, and says of each thing that is wrong what to do. */
import type { Command } from 'commander';
import { resolve } from 'node:path';
import { logIdOf } from '../../ledger/index.ts';
import { loadConfig } from '../config/load.ts';
import type { Config } from '../config/schema.ts';
import { failed, ok, unknown, type Checked } from '../doctor/check.ts';
import { checkActivation } from '../doctor/activation.ts';
import { checkInstallation, ownSize } from '../doctor/installation.ts';
import { loadExecutorConfig } from '../executor/config.ts';
import { openLogKey } from '../identity/signing-key.ts';
import { openNatsBus, overBus } from '../sidecar/reach.ts';
import { systemClock } from '../sidecar/system.ts';
import type { Bus } from '../transport/nats/connection.ts';
import type { ConnectFlags } from './connect.ts';
import { CliError, EXIT, type ExitCode } from './exit.ts';
import { findConfig } from './find-config.ts';
import { untilUp } from './nats.ts';
import { plain } from './output.ts';
import { QUIET } from './quiet.ts';
import type { Runner } from './runner.ts';
import type { Session } from './world.ts';

interface DoctorFlags extends Pick<ConnectFlags, 'config'> {
  readonly worker?: string;
  readonly monitor?: readonly string[];
  readonly replicas?: string;
}

export function addDoctor(program: Command, run: Runner): void {
  program
    .command('doctor')
    .description('look at an installation and its bus, change nothing, and say what to do')
    .option('--config <file>', 'countersign.yaml of the installation (default: ./countersign.yaml)')
    .option('--worker <file>', 'executor.yaml: tries, as its worker, what that must and must not be able to do on the bus')
    .option('--monitor <url...>', 'http://HOST:8222 of every nats-server: they alone say whether they sync')
    .option('--replicas <n>', '1 or 3 (default: 3 where the server is one of a cluster)')
    .action(run(doctor));
}

async function doctor(session: Session, flags: DoctorFlags): Promise<ExitCode> {
  if (flags.replicas !== undefined && flags.replicas !== '1' && flags.replicas !== '3') throw new CliError(EXIT.usage, 'usage', { cause: '--replicas takes 1 or 3' });
  for (const monitor of flags.monitor ?? []) {
    if (!URL.canParse(monitor) || !/^https?:$/.test(new URL(monitor).protocol)) throw new CliError(EXIT.usage, 'usage', { cause: `${plain(monitor)} is not http://HOST:PORT` });
  }
  const path = findConfig(flags, session);
  if (path === null) throw new CliError(EXIT.usage, 'usage', { cause: 'it is not said which installation', next: 'give --config countersign.yaml' });
  const checks: Checked[] = [];
  const config = await loadConfig({ path, env: session.env }).then((loaded) => loaded.config, (error: unknown) => {
    checks.push(failed('configuration', error instanceof Error ? error.message : String(error), `correct ${path}`));
    return null;
  });
  if (config !== null) {
    checks.push(ok('configuration', path), ...(await checkInstallation(config, session.nowMs())), ...(await checkActivation(config)));
    if (config.nats !== undefined) checks.push(...(await checkBus(session, config, flags)));
  }
  tell(session, checks);
  if (checks.some(({ status }) => status === 'failed')) return EXIT.failed;
  return checks.some(({ status }) => status === 'unknown') ? EXIT.notEstablished : EXIT.ok;
}

async function checkBus(session: Session, config: Config, flags: DoctorFlags): Promise<Checked[]> {
  const { checkClock, checkCopy, checkPayload, checkRoom, checkStreams, checkSync, checkVersion } = await import('../transport/nats/bus-checks.ts');
  const { planBus, replicasOn } = await import('../transport/nats/bus-setup.ts');
  const bus = await reach(config.nats!, '_INBOX_doctor');
  if ('status' in bus) return [bus, await checkSync(flags.monitor ?? [], undefined)];
  try {
    const connection = bus.up();
    const asked = flags.replicas === undefined ? undefined : flags.replicas === '3' ? 3 : 1;
    const plan = planBus(overBus(config), asked ?? replicasOn(connection), { replicas: asked });
    const setup = asked === undefined ? 'countersign nats setup' : `countersign nats setup --replicas ${asked}`;
    const signer = await openLogKey(config.keys.log, config.keys.unlock).catch(() => null);
    return [
      checkVersion(connection), checkPayload(connection), await checkSync(flags.monitor ?? [], connection.info), await checkStreams(connection, plan, setup), await checkRoom(connection), await checkClock(connection, session.nowMs),
      ...(signer === null ? [] : [await checkCopy(connection, logIdOf(config.origin), () => ownSize(config.data, signer))]),
      ...(flags.worker === undefined ? [] : await tryAsWorker(session, config, resolve(session.cwd, flags.worker), bus)),
    ];
  } finally {
    await bus.close();
  }
}

/** Connected, or the check that says why not. */
async function reach(nats: Pick<NonNullable<Config['nats']>, 'servers' | 'seed' | 'caFile'>, inboxPrefix: string, name = 'bus'): Promise<Bus | Checked> {
  const remedy = 'is a nats-server running there, and does its configuration have the accounts that countersign nats accounts prints?';
  let bus: Bus | null = null;
  try {
    bus = await openNatsBus(nats, { name: 'countersign doctor', inboxPrefix, logger: QUIET });
    await untilUp(bus, nats.servers);
    return bus;
  } catch (error) {
    await bus?.close();
    return failed(name, error instanceof CliError ? error.trouble.cause : error instanceof Error ? error.message : String(error), remedy);
  }
}

async function tryAsWorker(session: Session, config: Config, file: string, sidecar: Bus): Promise<Checked[]> {
  const { laneOf } = await import('../transport/nats/bus-layout.ts');
  const { inboxOf } = await import('../transport/nats/server-config.ts');
  const { probeDuties } = await import('../transport/nats/bus-duties.ts');
  const { probeWorker } = await import('../transport/nats/bus-probes.ts');
  const executor = await loadExecutorConfig(file).catch((error: unknown) => failed('permissions', error instanceof Error ? error.message : String(error), `correct ${file}`));
  if ('status' in executor) return [executor];
  if (executor.nats === undefined) return [unknown('permissions', `${file} names no bus`, 'say nats: {servers: […], seed: FILE} there')];
  const lane = laneOf(executor.id);
  const bus = await reach(executor.nats, inboxOf(lane), 'permissions');
  if ('status' in bus) return [bus];
  try {
    const other = overBus(config).find((id) => id !== executor.id);
    const options = { worker: bus.up(), sidecar: sidecar.up(), lane, otherLane: other === undefined ? undefined : laneOf(other), clock: systemClock, randomBytes: session.randomBytes };
    return [...(await probeDuties(options)), ...(await probeWorker(options))];
  } finally {
    await bus.close();
  }
}

const MARKS = { ok: 'ok', failed: 'FAILED', unknown: 'unknown' } as const;

function tell({ out }: Session, checks: readonly Checked[]): void {
  out.document({ checks });
  for (const { name, status, message, remedy } of checks) {
    const mark = MARKS[status].padEnd(8);
    out.line(`${status === 'ok' ? out.good(mark) : status === 'failed' ? out.bad(mark) : mark}${name.padEnd(14)}${plain(message)}`);
    if (remedy !== null) out.line(`${' '.repeat(22)}→ ${plain(remedy)}`);
  }
}
