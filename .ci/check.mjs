// All that must hold of the sources, one line each: types, lint, layers, interfaces, policy, and generated files in step with what they come from.
import { spawnSync } from 'node:child_process';

const checks = [
  ['types', ['npm', 'run', '--silent', 'typecheck']],
  ['lint', ['npm', 'run', '--silent', 'lint']],
  ['layers', ['npm', 'run', '--silent', 'layers']],
  ['interfaces', ['node', '.ci/interfaces.mjs']],
  ['build', ['npm', 'run', '--silent', 'build']],
  ['policy', ['npm', 'run', '--silent', 'policy:test']],
  ['generated files', ['npx', '--no-install', 'vitest', 'run', '--project', 'fast', '--reporter', 'dot', 'test/docs', 'test/pdp/policy-build.test.ts']],
];

let failed = 0;
for (const [name, [command, ...args]] of checks) {
  const startedMs = Date.now();
  const { status, stdout, stderr } = spawnSync(command, args, { encoding: 'utf8', env: { ...process.env, COUNTERSIGN_RESULTS: 'check' } });
  const ok = status === 0;
  if (!ok) {
    failed += 1;
    process.stdout.write(`${stdout}${stderr}\n`);
  }
  console.log(`${ok ? 'ok  ' : 'FAIL'} ${name} (${((Date.now() - startedMs) / 1000).toFixed(1)} s)`);
}
process.exitCode = failed === 0 ? 0 : 1;
