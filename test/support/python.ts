/** The worker in Python, as a process of its own. */
import { execFileSync, spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { join } from 'node:path';

export const PYTHON = join(process.cwd(), '.cache', 'venv', 'bin', 'python');
const WORKER = join(import.meta.dirname, '../../examples/worker-python');
/** Nothing is left beside the sources. */
const ENV = { ...process.env, PYTHONPATH: WORKER, PYTHONDONTWRITEBYTECODE: '1' };

export function hasPython(): boolean {
  try {
    execFileSync(PYTHON, ['-c', 'import nats, nkeys, cryptography'], { stdio: 'ignore' });
    return true;
  } catch {
    return process.env['CI'] === 'true';
  }
}

/** What `python args…` writes, and how it ends. */
export function runPython(args: readonly string[]): { readonly exitCode: number; readonly stdout: string } {
  try {
    return { exitCode: 0, stdout: execFileSync(PYTHON, args, { env: ENV, encoding: 'utf8', timeout: 60_000, stdio: ['ignore', 'pipe', 'inherit'] }) };
  } catch (error) {
    const { status, stdout } = error as { status?: number; stdout?: string };
    return { exitCode: status ?? -1, stdout: stdout ?? '' };
  }
}

export interface PythonWorker {
  kill9(): Promise<void>;
  stop(): Promise<void>;
}

/** @param log takes its output, appended */
export function startPythonWorker(config: string, log: string): PythonWorker {
  const file = openSync(log, 'a', 0o600);
  const child = spawn(PYTHON, ['-m', 'countersign_worker', config], { env: ENV, stdio: ['ignore', file, file] });
  closeSync(file);
  const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const end = async (signal: 'SIGKILL' | 'SIGTERM'): Promise<void> => {
    const last = setTimeout(() => child.kill('SIGKILL'), 10_000);
    child.kill(signal);
    if (child.exitCode === null && child.signalCode === null) await gone;
    clearTimeout(last);
  };
  return { kill9: () => end('SIGKILL'), stop: () => end('SIGTERM') };
}
