/** Pages that somebody follows word by word work as they are written: whoever has only the page gets to its end. */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { WITHOUT_OPA } from '../support/opa.ts';
import { hasPsql, postgresInstallations, testPostgres } from '../support/postgres.ts';
import { missing, runPage } from '../support/run-page.ts';
import { cleanStory, writeStory } from '../support/story.ts';
import { writeTrust } from '../support/verifier-cases.ts';

const MAIN = join(import.meta.dirname, '../../dist/src/main.js');
const page = (name: string): string => join(import.meta.dirname, '../../docs', name);

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'cs-documented-'));
});
afterEach(() => rmSync(directory, { recursive: true }));

it.skipIf(WITHOUT_OPA)('the tutorial: every block runs, and prints what the page says', async () => {
  const done = await runPage(page('tutorial.md'), directory);
  expect(done.length).toBeGreaterThan(8);
  for (const block of done) expect(missing(block), `${block.script}\n${block.printed}`).toBeNull();
});

it.skipIf(postgresInstallations().length === 0 || !hasPsql())('the tutorials of the demo’s cases: every block runs, one page after the other, and prints what they say', async () => {
  const server = await testPostgres();
  try {
    const pages = ['README', 'credential', 'deploy', 'over-broad', 'rotation', 'offboarding', 'script'].map((name) => page(`tutorials/${name}.md`));
    const done = await runPage(pages, directory, { PGHOST: server.host, PGPORT: String(server.port), PGUSER: server.adminUser, PGPASSWORD: server.adminPassword });
    expect(done.filter(({ expected }) => expected.length > 0).length).toBeGreaterThan(14);
    expect(done.filter((block) => missing(block) !== null).map((block) => `“${missing(block)!}” is not in\n${block.script}\n${block.printed}`)).toEqual([]);
  } finally {
    await server.remove();
  }
});

it('operations: a ledger is copied, the copy verified, and restored in another place', async () => {
  const installation = join(directory, 'cs');
  execFileSync(process.execPath, [MAIN, 'init', installation], { stdio: 'ignore' });
  const serving = spawn(process.execPath, [MAIN, 'serve'], { cwd: installation, stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = once(serving, 'exit');
  for await (const text of serving.stdout) if (String(text).includes('listening')) break;
  serving.kill('SIGTERM');
  await ended;
  const [copied, restored] = await runPage(page('operations.md'), installation);
  for (const { printed } of [copied!, restored!]) expect(printed).toContain('✓ INTEGRITY');
  expect(restored!.printed).toMatch(/^restored \d+ records from /m);
});

it("the auditor's guide: every command runs on a ledger and a trust folder", async () => {
  await writeStory(directory, cleanStory().beats);
  writeTrust(join(directory, 'trust'));
  const [fingerprint, verified, pinned] = await runPage(page('auditors-guide.md'), directory);
  // The one that the verifier page shows: test/e2e/verifier-page.test.ts.
  expect(fingerprint!.printed).toMatch(/^[0-9a-f]{64} /);
  for (const { printed } of [verified!, pinned!]) expect(printed).toContain('✓ WORKFLOW');
});
