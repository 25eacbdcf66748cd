/** Whether what needs `opa` runs here: where it is there, and wherever everything must run, so that a missing one is a failure there; elsewhere it is said, once, and skipped. */
import { execFileSync } from 'node:child_process';

const DEMANDED = process.env['COUNTERSIGN_REQUIRE'] === 'all' || process.env['CI'] === 'true';
const FOUND = ((): boolean => {
  try {
    execFileSync('opa', ['version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
})();
if (!FOUND && !DEMANDED) console.warn('SKIPPED: no `opa` command, so no policy is compiled: go install github.com/open-policy-agent/opa@v1.22.2');

export const WITHOUT_OPA = !FOUND && !DEMANDED;
