/**
 * Gets the tools that tests want and npm does not bring, before any test runs: from PATH, from this clone's `.cache/bin`, or by
 * `go install`. What cannot be had is said loudly; with CI=true it is a failure.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { delimiter, join } from 'node:path';

const OPA = 'github.com/open-policy-agent/opa@v1.22.2';

export function setup(): void {
  const bin = join(process.cwd(), '.cache', 'bin');
  mkdirSync(bin, { recursive: true });
  process.env['PATH'] = `${bin}${delimiter}${process.env['PATH'] ?? ''}`;
  if (runs('opa', 'version')) return;
  if (runs('go', 'version')) {
    process.stderr.write(`opa is not on PATH: building it once with \`go install ${OPA}\` into .cache/bin (about two minutes)\n`);
    const built = spawnSync('go', ['install', OPA], { env: { ...process.env, GOBIN: bin }, stdio: ['ignore', 'ignore', 'inherit'] });
    if (built.status === 0 && existsSync(join(bin, 'opa'))) return;
  }
  const message = `SKIPPED: opa ${OPA.split('@')[1]!} could not be had, so the compiled policy is not rebuilt and compared`;
  if (process.env['CI'] === 'true') throw new Error(message);
  process.stderr.write(`\n*** ${message} ***\n\n`);
}

function runs(command: string, argument: string): boolean {
  try {
    execFileSync(command, [argument], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}
