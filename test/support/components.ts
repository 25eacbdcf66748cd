/**
 * Gets the tools that tests want and npm does not bring, before any test runs: from PATH, from this clone's `.cache`, by `go install`, or by
 * pip into a virtual environment there. What cannot be had is said loudly; with CI=true it is a failure.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { delimiter, join } from 'node:path';

import { findProgram, obtainProgram, pipInstall, type ProgramName } from '../../examples/support/programs.ts';
import { hasInterop, interopPath, INTEROP_SOURCES } from './interop.ts';
import { findBrowser } from './browser.ts';

interface Component {
  readonly command: string;
  readonly isThere: () => boolean;
  /** Puts the command into `.cache/bin` or `.cache/venv/bin`; says beforehand what takes long. */
  readonly install: () => void;
  /** What goes untested without it. */
  readonly lost: string;
}

const CACHE = join(process.cwd(), '.cache');
const BIN = join(CACHE, 'bin');
const VENV = join(CACHE, 'venv');

/** It brings OCSF 1.0 to 1.8. */
const OCSF_SCHEMA = 'ocsf-json-schema==1.2.0';

const COMPONENTS: readonly Component[] = [
  {
    command: 'opa', isThere: () => runs('opa', 'version'), install: () => goInstall('github.com/open-policy-agent/opa@v1.22.2', 'two minutes'),
    lost: 'the compiled policy is not rebuilt and compared',
  },
  { command: 'nats-server', isThere: () => findProgram(process.cwd(), 'nats-server') !== null, install: () => obtain('nats-server'), lost: 'nothing is tried over NATS' },
  { command: 'bao', isThere: () => findProgram(process.cwd(), 'bao') !== null, install: () => obtain('bao'), lost: 'the OpenBao connector is not tested' },
  { command: 'the log clients and the witness that others wrote in Go', isThere: hasInterop, install: buildInterop, lost: 'the ledger and the witness are tried by none but our own programs' },
  { command: 'strace', isThere: () => runs('strace', '-V'), install: () => undefined, lost: "the faults of a real disk are not tried on a ledger's writer (apt-get install strace)" },
  { command: 'ssh-keygen', isThere: () => spawnSync('ssh-keygen', ['-?']).error === undefined, install: () => undefined, lost: 'approvals signed with SSH keys are not held against OpenSSH (apt-get install openssh-client)' },
  { command: 'promtool (apt-get install prometheus)', isThere: () => runs('promtool', '--version'), install: () => undefined, lost: 'alerts and metrics are not held against Prometheus' },
  { command: 'zsh and fish (apt-get install zsh fish)', isThere: () => runs('zsh', '--version') && runs('fish', '--version'), install: () => undefined, lost: 'completion is tried in bash alone' },
  {
    command: 'what the worker in Python needs', isThere: () => runs(join(VENV, 'bin', 'python'), '-cimport nats, nkeys, cryptography'),
    install: () => pipInstall(process.cwd(), '--requirement', join('examples', 'worker-python', 'requirements.txt')), lost: 'that worker is not tried',
  },
  {
    command: 'schemas of Kubernetes and of GitHub Actions', isThere: () => ['kubernetes-validate', 'check-jsonschema'].every((name) => existsSync(join(VENV, 'bin', name))),
    install: () => pipInstall(process.cwd(), 'kubernetes-validate==1.37.0', 'check-jsonschema==0.39.0'), lost: 'the manifests and the workflow among the examples are not held to them',
    },
    {
    command: 'the schema that OCSF publishes', isThere: () => runs(join(VENV, 'bin', 'python'), '-cimport ocsf_json_schema'),
    install: () => pipInstall(process.cwd(), OCSF_SCHEMA), lost: 'events are not held against OCSF',
  },
  { command: 'chromium (apt-get install chromium)', isThere: () => findBrowser() !== null, install: () => undefined, lost: 'the verifier page is not opened in a browser' },
];

export function setup(): void {
  mkdirSync(BIN, { recursive: true });
  process.env['PATH'] = [BIN, join(VENV, 'bin'), process.env['PATH'] ?? ''].join(delimiter);
  for (const { command, isThere, install, lost } of COMPONENTS) {
    if (isThere()) continue;
    install();
    if (isThere()) continue;
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

function buildInterop(): void {
  if (!runs('go', 'version')) return;
  process.stderr.write('building test/interop/go once into .cache/bin (about a minute)\n');
  for (let attempt = 0; attempt < 3 && !hasInterop(); attempt += 1) {
    spawnSync('go', ['build', '-o', interopPath(), '.'], { cwd: INTEROP_SOURCES, stdio: ['ignore', 'ignore', 'inherit'] });
  }
}

function obtain(name: ProgramName): void {
  try {
    obtainProgram(process.cwd(), name);
  } catch (error) {
    process.stderr.write(`${String(error)}\n`);
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
