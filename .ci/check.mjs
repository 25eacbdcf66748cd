// All that must hold of the sources, one line each: types, lint, layers, interfaces, policy, and generated files in step with what they come from.
import { spawn } from 'node:child_process';

const npm = (script) => ['npm', 'run', '--silent', script];

/** What is built is read by what follows, which is in lanes: lint takes one core as long as all the others take another. */
const first = [['build', npm('build')]];
const lanes = [
  [['lint', npm('lint')]],
  [
    ['types', npm('typecheck')],
    ['layers', npm('layers')],
    ['interfaces', ['node', '.ci/interfaces.mjs']],
    ['policy', npm('policy:test')],
    ['generated files', ['npx', '--no-install', 'vitest', 'run', '--project', 'fast', '--reporter', 'dot', 'test/docs', 'test/pdp/policy-build.test.ts']],
  ],
];

/** Resolves with what it printed, whole: two at a time would print into one another. */
function run([command, ...args]) {
  return new Promise((resolve) => {
    const printed = [];
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, COUNTERSIGN_RESULTS: 'check' } });
    child.stdout.on('data', (bytes) => printed.push(bytes));
    child.stderr.on('data', (bytes) => printed.push(bytes));
    child.on('error', (error) => resolve({ ok: false, printed: `${command}: ${error.message}` }));
    child.on('close', (code) => resolve({ ok: code === 0, printed: Buffer.concat(printed).toString() }));
  });
}

let failed = 0;
async function inOrder(checks) {
  for (const [name, command] of checks) {
    const startedMs = Date.now();
    const { ok, printed } = await run(command);
    if (!ok) {
      failed += 1;
      process.stdout.write(`${printed}\n`);
    }
    console.log(`${ok ? 'ok  ' : 'FAIL'} ${name} (${((Date.now() - startedMs) / 1000).toFixed(1)} s)`);
  }
}

await inOrder(first);
await Promise.all(lanes.map(inOrder));
process.exitCode = failed === 0 ? 0 : 1;
