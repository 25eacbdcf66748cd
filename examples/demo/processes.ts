/**
 * Processes that outlive whoever started them, as an executor must: detached, their output in files, their ids on disk, so that the next
 * start finds and ends what an aborted one left.
 */
import { execFileSync, spawn } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, openSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { until } from './check.ts';

export interface Running {
  readonly name: string;
  readonly pid: number;
  isAlive(): boolean;
  /** SIGKILL, and it is gone. */
  kill9(): Promise<void>;
  /** SIGTERM, then SIGKILL for what does not end in time. */
  stop(): Promise<void>;
}

export interface Starting {
  readonly name: string;
  readonly args: readonly string[];
  /** Takes `<name>.log` (both outputs, appended). */
  readonly logs: string;
  /** Takes `<name>.pid`. */
  readonly run: string;
  readonly env?: Readonly<Record<string, string>>;
}

const STOP_MS = 5_000;

/** Starts `node args…` as {@link startProgram} does. */
export function startNode(starting: Starting): Running {
  return startProgram(process.execPath, starting);
}

/** Starts `program args…` in a session of its own. What it is ready for is the caller's to look at. */
export function startProgram(program: string, { name, args, logs, run, env = {} }: Starting): Running {
  mkdirSync(logs, { recursive: true });
  mkdirSync(run, { recursive: true, mode: 0o700 });
  const log = openSync(join(logs, `${name}.log`), 'a', 0o600);
  // Settings of whoever runs this must not reach into it.
  const inherited = Object.fromEntries(Object.entries(process.env).filter(([key]) => !key.startsWith('COUNTERSIGN_') && !key.startsWith('VITEST')));
  const child = spawn(program, args, { detached: true, stdio: ['ignore', log, log], env: { ...inherited, ...env } });
  closeSync(log);
  const { pid } = child;
  if (pid === undefined) throw new Error(`${name} could not be started`);
  child.unref();
  const pidFile = join(run, `${name}.pid`);
  writeFileSync(pidFile, `${pid}\n${args.join(' ')}\n`);
  let exited = false;
  child.once('exit', () => {
    exited = true;
  });
  // One that cannot even be started ends without an exit.
  child.once('error', () => {
    exited = true;
  });
  const isAlive = (): boolean => !exited && exists(pid);
  const gone = async (timeoutMs: number): Promise<void> => {
    await until(`${name} (pid ${pid}) ends`, () => (isAlive() ? undefined : true), { timeoutMs, everyMs: 10 });
    rmSync(pidFile, { force: true });
  };
  return {
    name, pid, isAlive,
    async kill9() {
      signal(pid, 'SIGKILL');
      await gone(STOP_MS);
    },
    async stop() {
      signal(pid, 'SIGTERM');
      try {
        await gone(STOP_MS);
      } catch {
        signal(pid, 'SIGKILL');
        await gone(STOP_MS);
      }
    },
  };
}

/** Ends what an earlier, aborted run left under `run`, and only that: a process id that now means another program is left alone. */
export function endLeftovers(run: string): string[] {
  const ended: string[] = [];
  const left = existsSync(run) ? readdirSync(run).filter((file) => file.endsWith('.pid')).sort() : [];
  for (const name of left.map((file) => file.slice(0, -'.pid'.length))) {
    const file = join(run, `${name}.pid`);
    const [first = '', args = ''] = readFileSync(file, 'utf8').split('\n');
    const pid = Number(first);
    if (Number.isSafeInteger(pid) && pid > 1 && args !== '' && commandLine(pid)?.includes(args) === true) {
      signal(pid, 'SIGKILL');
      ended.push(`${name} (pid ${pid})`);
    }
    rmSync(file, { force: true });
  }
  return ended;
}

function exists(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

function signal(pid: number, name: 'SIGKILL' | 'SIGTERM'): void {
  try {
    process.kill(pid, name);
  } catch {
    // It has ended by itself.
  }
}

/** The command line of a process, its words parted by spaces; undefined when there is none. */
export function commandLine(pid: number): string | undefined {
  try {
    if (existsSync('/proc/self/cmdline')) return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim();
    return execFileSync('ps', ['-p', String(pid), '-o', 'command='], { encoding: 'utf8' }).trim();
  } catch {
    return undefined;
  }
}

/** The nearest directory above `from` that holds this package. */
export function packageRoot(from: string): string {
  for (let directory = from; ; directory = dirname(directory)) {
    const file = join(directory, 'package.json');
    if (existsSync(file) && (JSON.parse(readFileSync(file, 'utf8')) as { name?: string }).name === 'countersign') return directory;
    if (dirname(directory) === directory) throw new Error(`no countersign package above ${from}`);
  }
}
