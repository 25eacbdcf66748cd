/** The package as `npm pack` makes it, installed alone in a folder that has nothing else of ours: it runs, it is typed, and it says what came with it. */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { createRequire } from 'node:module';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { until } from '../../examples/demo/check.ts';
import { VERSION } from '../../src/version.ts';
import { cleanStory, writeStory } from '../support/story.ts';
import { writeTrust } from '../support/verifier-cases.ts';

const ROOT = join(import.meta.dirname, '../..');
let directory: string;
let packed: { readonly filename: string; readonly files: readonly { readonly path: string }[] };
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'cs-package-'));
  execFileSync('npm', ['run', '--silent', 'sbom'], { cwd: ROOT });
  // `prepare` builds anew, under the feet of other tests: what it builds is there.
  packed = (JSON.parse(execFileSync('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', directory], { cwd: ROOT, encoding: 'utf8' })) as (typeof packed)[])[0]!;
  writeFileSync(join(directory, 'package.json'), '{"private": true, "type": "module"}');
  execFileSync('npm', ['install', '--ignore-scripts', '--no-engine-strict', '--no-audit', '--no-fund', join(directory, packed.filename)], { cwd: directory });
}, 240_000);
afterAll(() => rmSync(directory, { recursive: true }));

const BIN = 'node_modules/.bin/countersign';
const countersign = (...args: string[]): string => execFileSync(BIN, args, { cwd: directory, encoding: 'utf8' });

it('holds what runs, what is read and the licence, and no test, demo or source', () => {
  const paths = packed.files.map(({ path }) => path);
  expect(paths).toEqual(expect.arrayContaining(['LICENSE', 'README.md', 'dist/src/main.js', 'dist/verifier.html', 'dist/approve.html', 'dist/sbom.cdx.json', 'ledger/FORMAT.md', 'policy/bundle/policy.wasm']));
  expect(paths.filter((path) => /^(test|src|examples\/(?!facts)|dist\/(test|examples))\//.test(path) || /(?<!\.d)\.tsx?$/.test(path) || path.includes('.test.'))).toEqual([]);
});

it('lists in its SBOM each package that came with it, and no other', () => {
  const { components } = JSON.parse(readFileSync(join(directory, 'node_modules/countersign/dist/sbom.cdx.json'), 'utf8')) as { components: { group?: string; name: string }[] };
  const { packages } = JSON.parse(readFileSync(join(directory, 'node_modules/.package-lock.json'), 'utf8')) as { packages: Record<string, unknown> };
  const listed = components.map(({ group, name }) => (group === undefined ? name : `${group}/${name}`));
  const installed = Object.keys(packages).map((path) => path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length)).filter((name) => name !== 'countersign');
  expect(new Set(listed)).toEqual(new Set(installed));
});

it('reaches a bus on this version of Node, though a part of the client for it asks for a newer one', () => {
  execFileSync(process.execPath, ['--input-type=module', '-e', "(await import('@nats-io/nuid')).nuid.next(); await import('@nats-io/transport-node'); await import('@nats-io/jetstream');"], { cwd: directory });
});

it('makes an installation, is ready to serve it, and verifies a ledger', async () => {
  expect(countersign('--version').trim()).toBe(VERSION);
  countersign('init', 'cs');
  const serving: ChildProcess = spawn(join(directory, BIN), ['serve', '--config', 'cs/countersign.yaml'], { cwd: directory, stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  serving.stdout!.on('data', (text: Buffer) => (said += text.toString()));
  serving.stderr!.on('data', (text: Buffer) => (said += text.toString()));
  const ended = new Promise((resolve) => serving.once('exit', resolve));
  try {
    await until('the sidecar is ready', async () => (await Promise.resolve(/ready|listening/.test(said))) ? true : undefined, { timeoutMs: 30_000, everyMs: 50 }).catch((cause: unknown) => {
      throw new Error(said, { cause });
    });
  } finally {
    serving.kill('SIGTERM');
    await ended;
  }
  await writeStory(join(directory, 'story'), cleanStory().beats);
  writeTrust(join(directory, 'trust'));
  expect(countersign('verify', 'story', '--trust', 'trust')).toContain('✓ WORKFLOW');
});

it('is typed at each of its doors, without the types of anything that does not come with it', () => {
  const { exports } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { exports: Record<string, unknown> };
  const doors = Object.keys(exports).filter((door) => door !== './package.json').map((door) => `countersign${door.slice(1)}`);
  mkdirSync(join(directory, 'typed'));
  writeFileSync(join(directory, 'typed', 'doors.ts'), doors.map((door, i) => `import * as door${i} from '${door}';\nexport const it${i}: object = door${i};`).join('\n'));
  const tsc = createRequire(import.meta.url).resolve('typescript/bin/tsc');
  const types = join(ROOT, 'node_modules/@types');
  expect(readdirSync(types)).toContain('node');
  execFileSync(process.execPath, [tsc, '--noEmit', '--strict', '--module', 'nodenext', '--target', 'es2023', '--typeRoots', types, '--types', 'node', join(directory, 'typed', 'doors.ts')], { cwd: directory, encoding: 'utf8' });
});
