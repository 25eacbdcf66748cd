import { readFileSync, readdirSync } from 'node:fs';
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { parse } from 'yaml';
import { PolicyToolError } from '../../src/cli/opa.ts';
import { buildPolicy, compilePolicy, sourcesDigest } from '../../src/cli/policy-build.ts';
import { readPolicyCodes, renderPolicyCodes } from '../../src/cli/policy-codes.ts';
import { testPolicy } from '../../src/cli/policy-test.ts';
import type { Manifest } from '../../src/pdp/bundle.ts';
import { BUNDLE, ROOT } from './support.ts';
import { WITHOUT_OPA } from '../support/opa.ts';

const manifest = JSON.parse(readFileSync(join(BUNDLE, 'manifest.json'), 'utf8')) as Manifest;

async function copiedSources(): Promise<string> {
  const root = await mkdtemp(join(tmpdir(), 'countersign-build-'));
  onTestFinished(() => rm(root, { recursive: true, force: true }));
  await cp(join(ROOT, 'policy'), join(root, 'policy'), { recursive: true });
  return root;
}
const failure = (asked: Promise<unknown>): Promise<unknown> => asked.then(() => null, (cause: unknown) => cause);

test('the committed bundle is compiled from the committed sources', async () => {
  expect(await sourcesDigest(join(ROOT, 'policy'))).toBe(manifest.sources);
});

test('a machine without the compiler is told how to get it', async () => {
  const error = await failure(buildPolicy({ root: ROOT, opa: '/nonexistent/opa' }));
  expect(error).toBeInstanceOf(PolicyToolError);
  expect(error).toMatchObject({ code: 'opa-not-found', message: expect.stringContaining('go install github.com/open-policy-agent/opa@v1.22.2') as string });
});

test('another version of the compiler is refused before it writes anything', async () => {
  const root = await copiedSources();
  const script = join(root, 'opa');
  await writeFile(script, '#!/bin/sh\necho "Version: 0.1.0"\n', { mode: 0o755 });
  const error = await failure(buildPolicy({ root, opa: script }));
  expect(error).toMatchObject({ code: 'opa-version' });
  expect(await readFile(join(root, 'policy', 'bundle', 'manifest.json'), 'utf8')).toBe(readFileSync(join(BUNDLE, 'manifest.json'), 'utf8'));
});

test.skipIf(WITHOUT_OPA)('building again gives the committed bytes', async () => {
  const root = await copiedSources();
  await rm(join(root, 'policy', 'bundle'), { recursive: true });
  expect(await buildPolicy({ root })).toEqual(manifest);
  expect((await readdir(join(root, 'policy', 'bundle'))).sort()).toEqual(['data.json', 'manifest.json', 'policy.wasm']);
  for (const file of readdirSync(BUNDLE)) {
    expect((await readFile(join(root, 'policy', 'bundle', file))).equals(readFileSync(join(BUNDLE, file)))).toBe(true);
  }
});

test.skipIf(WITHOUT_OPA)('format, types, unit tests, coverage, compiled tests and cases all hold', { timeout: 120_000 }, async () => {
  const report = await testPolicy({ root: ROOT });
  expect(report.checks.filter((check) => !check.ok)).toEqual([]);
  expect(report.checks.map((check) => check.name)).toEqual(['format', 'types', 'schemas', 'tests', 'coverage', 'rules', 'testsCompiled', 'cases']);
});

test.skipIf(WITHOUT_OPA)('a rule that goes wrong is found by the schemas, the unit tests, the compiled ones and the cases', { timeout: 120_000 }, async () => {
  const root = await copiedSources();
  const file = join(root, 'policy', 'access', 'lease', 'lease.rego');
  const text = await readFile(file, 'utf8');
  await writeFile(file, text.replace('input.change.leaseSeconds <= longest', 'input.change.leaseSeconds <= longest * 100') + '\nmistyped if input.subjct.owner == "person:ana"\n');
  expect(await readFile(file, 'utf8')).not.toBe(text);
  const report = await testPolicy({ root });
  expect(report.ok).toBe(false);
  expect(report.checks.filter((check) => !check.ok).map((check) => check.name)).toEqual(expect.arrayContaining(['schemas', 'tests', 'testsCompiled', 'cases']) as string[]);
});

test.skipIf(WITHOUT_OPA).each([
  ['asks the network', 'http.send({"method": "get", "url": "http://127.0.0.1"}).status_code == 200'],
  ['asks the clock', 'time.now_ns() > 0'],
  ['draws lots', 'rand.intn("x", 2) == 1'],
  ['looks around', 'opa.runtime().env.HOME == "/"'],
  ['splits by a pattern of the input', 'count(regex.split(input.pattern, "a")) == 1'],
  ['matches by a pattern of the input', 'regex.match(input.pattern, "a")'],
  ['formats as only one of two runtimes does', 'sprintf("%q", ["a"]) == "a"'],
])('policy that %s cannot be built', async (_what, expression) => {
  const root = await copiedSources();
  await writeFile(join(root, 'policy', 'workflow', 'extra.rego'), `package workflow\n\npermit contains "x" if ${expression}\n`);
  const error = await failure(compilePolicy({ root }));
  expect(error).toMatchObject({ code: 'opa-failed', message: expect.stringMatching(/undefined function/) as string });
});

test('every code is said by one rule, and none is missing what a reason needs', async () => {
  const codes = await readPolicyCodes(ROOT);
  expect(codes.length).toBeGreaterThan(30);
  const names = codes.map((code) => code.code);
  expect(names.filter((name, index) => names.indexOf(name) !== index)).toEqual([]);
  expect(codes.filter((code) => code.description === '').map((code) => code.code)).toEqual([]);
  expect(codes.filter((code) => /\.(deny|unexplained)$/.test(code.rule) && code.solution === undefined).map((code) => code.code)).toEqual([]);
});

test('every rule that says something is annotated', async () => {
  const codes = await readPolicyCodes(ROOT);
  let speaking = 0;
  for (const file of new Set(codes.map((code) => code.file))) speaking += [...readFileSync(join(ROOT, 'policy', file), 'utf8').matchAll(/lib\.said\(rego\.metadata\.chain\(\)\)/g)].length;
  expect(speaking).toBe(codes.length);
});

test('every control that a rule names is one that its framework has', async () => {
  const frameworks = parse(readFileSync(join(ROOT, 'policy', 'controls', 'frameworks.yaml'), 'utf8')) as Record<string, Record<string, string>>;
  const unknown = (await readPolicyCodes(ROOT)).flatMap((code) => code.controls.filter((control) => frameworks[control.framework]?.[control.id] === undefined).map((control) => `${code.code}: ${control.framework} ${control.id}`));
  expect(unknown).toEqual([]);
});

test('every code occurs in a case', async () => {
  const said = new Set<string>();
  for (const file of readdirSync(join(ROOT, 'policy', 'testcases'))) {
    const { cases } = JSON.parse(readFileSync(join(ROOT, 'policy', 'testcases', file), 'utf8')) as { cases: { codes: string[] }[] };
    for (const one of cases) one.codes.forEach((code) => said.add(code));
  }
  const codes = (await readPolicyCodes(ROOT)).map((code) => code.code);
  expect(codes.filter((code) => !said.has(code))).toEqual([]);
  expect([...said].filter((code) => !codes.includes(code))).toEqual([]);
});

test('the documentation lists the codes as the rules have them', async () => {
  const page = readFileSync(join(ROOT, 'docs', 'policy.md'), 'utf8');
  const listed = /<!-- codes -->\n([\s\S]*?)\n<!-- \/codes -->/.exec(page)?.[1];
  expect(listed).toBe(renderPolicyCodes(await readPolicyCodes(ROOT)));
});
