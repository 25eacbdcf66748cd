/** Which tests of a policy folder are run with what, and whether they hold and reach every line. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { runOpa, type OpaCommand } from './opa.ts';
import { filesBelow, OVERLAYS, POLICY_ROOTS, policyRoots } from './policy-build.ts';

/** What is loaded for tests beside what is compiled: the fixtures that they start from. */
const FIXTURES = 'checks';

/** Tests that are run together. */
export interface Suite {
  readonly roots: readonly string[];
  /** Where the tests are. */
  readonly from: readonly string[];
}

export interface Outcome {
  readonly ok: boolean;
  /** What was done, or what is wrong. */
  readonly detail: string;
}

/** The baseline's tests say what the baseline is, and know of no overlay, whose business is to answer otherwise; an overlay's own tests have all of it. */
export function suitesOf(policy: string): readonly Suite[] {
  const baseline = [...POLICY_ROOTS, FIXTURES];
  const all = [...policyRoots(policy), FIXTURES];
  return [{ roots: baseline, from: baseline }, ...(all.length > baseline.length ? [{ roots: all, from: [OVERLAYS] }] : [])];
}

/** Arguments of `opa test`: these tests, and no others. */
const testsOf = ({ roots, from }: Suite): readonly string[] => [...(from.length < roots.length ? ['--run', `^data\\.(${from.join('|')})\\.`] : []), ...roots];

/** All tests of all suites hold. */
export async function testSuites(opa: OpaCommand, policy: string, suites: readonly Suite[]): Promise<Outcome> {
  const ran = await Promise.all(suites.map((suite) => runOpa(opa, ['test', ...testsOf(suite)], policy)));
  const failed = ran.filter(({ status }) => status !== 0);
  const detail = failed.length === 0 ? ran.map(({ stdout }) => stdout.trim().split('\n').at(-1) ?? '').join(', and of overlays ') : failed.map(({ stdout, stderr }) => (stdout + stderr).trim()).join('\n').slice(0, 4_000);
  return { ok: failed.length === 0, detail };
}

interface Coverage {
  readonly files: Readonly<Record<string, { readonly not_covered?: readonly { readonly start: { readonly row: number }; readonly end: { readonly row: number } }[] }>>;
}

/** Every line of what a suite is about is run by its own tests. */
export async function coverSuites(opa: OpaCommand, policy: string, suites: readonly Suite[]): Promise<Outcome> {
  const troubles: string[] = [];
  for (const suite of suites) {
    const { stdout, stderr } = await runOpa(opa, ['test', '--coverage', ...testsOf(suite)], policy);
    // What is no JSON are the tests that failed.
    if (!stdout.startsWith('{')) {
      troubles.push((stdout + stderr).trim());
      continue;
    }
    for (const [file, { not_covered: lines = [] }] of Object.entries((JSON.parse(stdout) as Coverage).files)) {
      if (suite.from.some((root) => file.startsWith(`${root}/`))) troubles.push(...lines.map(({ start, end }) => `no test runs ${file}:${start.row}-${end.row}`));
    }
  }
  return { ok: troubles.length === 0, detail: troubles.length === 0 ? '100 % of lines' : troubles.join('\n').slice(0, 4_000) };
}

/** The tests of a suite, as entrypoints: whatever OPA takes for one by its name, so that none is run by OPA alone. */
export async function testNames(policy: string, { from }: Suite): Promise<readonly string[]> {
  const tests: string[] = [];
  for (const root of from) {
    for (const path of await filesBelow(policy, root)) {
      if (!path.endsWith('_test.rego')) continue;
      const text = await readFile(join(policy, path), 'utf8');
      const name = /^package (\S+)$/m.exec(text)?.[1] ?? '';
      for (const test of new Set(text.match(/^test_\w+/gm))) tests.push(`${name.replaceAll('.', '/')}/${test}`);
    }
  }
  return tests;
}
