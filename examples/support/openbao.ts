/** A real OpenBao on this machine, in memory: AppRole is mounted, and its administrator's token is what a connector uses. */
import { startProgram, type Running } from '../demo/processes.ts';
import { check, until } from '../demo/check.ts';
import { freePort } from './free-port.ts';

export interface RunningOpenBao {
  readonly address: string;
  readonly token: string;
  isHealthy(): Promise<boolean>;
  stop(): Promise<void>;
}

export interface OpenBaoOptions {
  readonly program: string;
  readonly token: string;
  readonly logs: string;
  /** Takes its process id. */
  readonly run: string;
}

const READY_MS = 60_000;
const ANSWER_MS = 3_000;
/** Somebody else may take the port in between. */
const ATTEMPTS = 3;

/** @throws CheckFailed when it does not start */
export async function startOpenBao({ program, token, logs, run }: OpenBaoOptions): Promise<RunningOpenBao> {
  for (let attempt = 1; ; attempt += 1) {
    const address = `127.0.0.1:${await freePort()}`;
    // The token goes by the environment: arguments are seen by every process of the machine.
    const process = startProgram(program, { name: 'openbao', args: ['server', '-dev', `-dev-listen-address=${address}`, '-dev-no-store-token'], logs, run, env: { BAO_DEV_ROOT_TOKEN_ID: token } });
    const url = `http://${address}`;
    const isHealthy = async (): Promise<boolean> => process.isAlive() && (await fetch(`${url}/v1/sys/health`, { signal: AbortSignal.timeout(ANSWER_MS) }).then(({ status }) => status === 200, () => false));
    const isUp = await until('OpenBao is ready, or has ended', async () => ((await isHealthy()) ? true : process.isAlive() ? undefined : false), { timeoutMs: READY_MS });
    if (isUp) {
      await mountAppRole(url, token, process);
      return { address: url, token, isHealthy, stop: () => process.stop() };
    }
    check(`OpenBao starts (its log is in ${logs})`, attempt < ATTEMPTS, 'it has ended');
  }
}

async function mountAppRole(url: string, token: string, process: Running): Promise<void> {
  const { status } = await fetch(`${url}/v1/sys/auth/approle`, { method: 'POST', headers: { 'x-vault-token': token }, body: JSON.stringify({ type: 'approle' }) });
  if (status === 204) return;
  await process.stop();
  check('AppRole is mounted', false, status);
}
