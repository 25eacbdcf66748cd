/** The sidecar as the package has it: a few files that hold all of it, and the same code as the rest of the package. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { connect } from '../../src/client/index.ts';
import type * as CodeVersion from '../../src/sidecar/code-version.ts';
import { makeInstallation, TOKENS, type Installation } from '../support/installation.ts';

const ROOT = join(import.meta.dirname, '../..');
const MAIN = join(ROOT, 'dist/src/main.js');
const SERVE = join(ROOT, 'dist/serve');

let installation: Installation;
let seen: string;
beforeAll(async () => {
  installation = await makeInstallation();
  seen = mkdtempSync(join(tmpdir(), 'cs-'));
});
afterAll(async () => {
  await installation.remove();
  rmSync(seen, { recursive: true, force: true });
});

/** What node writes of coverage as it ends names each file that it has run. */
function filesRun(): string[] {
  const all = readdirSync(seen).flatMap((name) => (JSON.parse(readFileSync(join(seen, name), 'utf8')) as { readonly result: readonly { readonly url: string }[] }).result);
  return [...new Set(all.map(({ url }) => url).filter((url) => url.startsWith('file:')))];
}

test('serve starts, decides and stops with a few files, and reads none of a package', async () => {
  const sidecar = spawn(process.execPath, [MAIN, 'serve', '--config', installation.configPath], { stdio: ['ignore', 'pipe', 'ignore'], env: { ...process.env, NODE_V8_COVERAGE: seen } });
  const exited = once(sidecar, 'exit');
  for await (const line of createInterface({ input: sidecar.stdout })) if (line.startsWith('listening http')) break;
  const client = connect({ socket: join(installation.directory, 's.sock'), token: TOKENS['nhi:prod/ci-deployer']! });
  const { context } = await client.evaluate({
    subject: { type: 'nhi', id: 'nhi:prod/ci-deployer' }, action: { name: 'grant' }, resource: { type: 'entitlement', id: 'pg-main/app/role:deploy' }, context: { purpose: 'deploy-orders', duration: 'PT15M' },
  });
  expect(JSON.stringify(context)).toContain('needs-approval');
  sidecar.kill('SIGTERM');
  expect(await exited).toEqual([0, null]);

  const files = filesRun();
  expect(files).toContain(pathToFileURL(join(SERVE, 'program.js')).href);
  expect(files.filter((url) => !url.startsWith(pathToFileURL(SERVE).href))).toEqual([pathToFileURL(MAIN).href]);
  expect(files.length).toBeLessThan(30);
  // Nor what only those need who want traces or metrics, which is in there.
  expect(files.filter((url) => /\/(?:otlp|metrics)-[A-Z0-9]+\.js$/.test(url))).toEqual([]);
  expect(readdirSync(SERVE).filter((name) => /^(?:otlp|metrics)-[A-Z0-9]+\.js$/.test(name))).toHaveLength(2);
});

test('nothing in there, its policy thread no more than the rest, is from a package that would have to be found', () => {
  const texts = readdirSync(SERVE).filter((name) => name.endsWith('.js')).map((name) => readFileSync(join(SERVE, name), 'utf8'));
  expect(texts.flatMap((text) => [...text.matchAll(/(?:from|import|import\()"([@a-z][\w@/:.-]*)"/g)].map((found) => found[1]!)).filter((name) => !isBuiltin(name))).toEqual([]);
});

test('what folds there is told apart from other code as it is in the rest of the package: a snapshot of one is good for the other', async () => {
  const { codeDigest } = (await import(pathToFileURL(join(ROOT, 'dist/src/sidecar/code-version.js')).href)) as typeof CodeVersion;
  const chunks = readdirSync(SERVE).filter((name) => name.endsWith('.js')).map((name) => readFileSync(join(SERVE, name), 'utf8'));
  expect(chunks.filter((text) => text.includes(`"${codeDigest()}"`))).toHaveLength(1);
});

test('the terms of each package that is in there are beside it', () => {
  const told = readFileSync(join(SERVE, 'LICENSES'), 'utf8');
  for (const name of ['zod', 'hono', 'yaml', 'pino', '@open-policy-agent/opa-wasm', 'jose']) expect(told).toMatch(new RegExp(`^${name} [0-9].*$`, 'm'));
});
