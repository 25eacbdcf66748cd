/** `countersign policy test`: format, types, unit tests with coverage, and everything again through the compiled policy. */
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { createEvaluator, type Evaluator } from '../pdp/evaluator.ts';
import { ENTRYPOINTS } from '../pdp/bundle.ts';
import { buildArchive, compilePolicy, compileRoots, member, POLICY_ROOTS, policyRoots, schemaCheck } from './policy-build.ts';
import { demandOpa, demandOpaVersion, findOpa, runOpa, type OpaCommand } from './opa.ts';
import { judgeOutline, outlinePolicy } from './policy-outline.ts';
import { expectedOf, misses, readCases, type PolicyCase } from './policy-cases.ts';
import { coverSuites, suitesOf, testNames, testSuites, type Suite } from './policy-suites.ts';

export interface PolicyCheck {
  readonly name: 'format' | 'types' | 'schemas' | 'tests' | 'coverage' | 'rules' | 'testsCompiled' | 'cases';
  readonly ok: boolean;
  /** What was done, or what is wrong. */
  readonly detail: string;
}
export interface PolicyTestReport {
  readonly ok: boolean;
  readonly checks: readonly PolicyCheck[];
}

/**
 * Every check's outcome, in order; none is left out because another failed, but that what has no types is not run.
 *
 * @throws PolicyToolError `opa-not-found`, `opa-version`, or `opa-failed` when the tests cannot even be compiled
 */
export async function testPolicy(options: { readonly root: string; readonly opa?: OpaCommand }): Promise<PolicyTestReport> {
  const policy = join(options.root, 'policy');
  const opa = options.opa ?? (await findOpa(policy));
  await demandOpaVersion(opa, policy);
  const checks: PolicyCheck[] = [];
  const suites = suitesOf(policy);
  const { roots } = suites.at(-1)!;
  const tool = async (name: PolicyCheck['name'], args: readonly string[], done: (stdout: string) => string): Promise<void> => {
    const ran = await runOpa(opa, args, policy);
    checks.push({ name, ok: ran.status === 0, detail: ran.status === 0 ? done(ran.stdout) : (ran.stdout + ran.stderr).trim().slice(0, 4_000) });
  };
  await tool('format', ['fmt', '--list', '--fail', ...roots], () => 'every file is formatted');
  await tool('types', ['check', '--strict', '--capabilities', 'capabilities.json', ...roots], () => 'strict, and only built-ins that the runtime has');
  if (!checks.at(-1)!.ok) return { ok: false, checks };
  const schemas = schemaCheck(policy);
  if (schemas !== null) await tool('schemas', schemas, () => 'no rule reads what is not in the question');
  checks.push({ name: 'tests', ...(await testSuites(opa, policy, suites)) }, { name: 'coverage', ...(await coverSuites(opa, policy, suites)) }, await testRules(opa, policy), await testCompiled(opa, policy, suites), await testCases(opa, options.root, policy, suites));
  return { ok: checks.every((check) => check.ok), checks };
}

/** Policy about policies: what `policy/checks/rules` finds in the outline of every rule that is compiled. */
async function testRules(opa: OpaCommand, policy: string): Promise<PolicyCheck> {
  const rules = await outlinePolicy(opa, policy);
  const found = await judgeOutline(opa, policy, rules);
  return { name: 'rules', ok: found.length === 0 && rules.length > 0, detail: found.length === 0 ? `PASS: ${rules.length} bodies of rules` : found.join('\n') };
}

/** Every unit test again as an entrypoint of one WebAssembly module: OPA's interpreter and its compiler do not always agree. */
async function testCompiled(opa: OpaCommand, policy: string, suites: readonly Suite[]): Promise<PolicyCheck> {
  const failed: string[] = [];
  let count = 0;
  for (const suite of suites) {
    const tests = await testNames(policy, suite);
    if (tests.length === 0) continue;
    const archive = await buildArchive(opa, policy, [...tests.flatMap((name) => ['-e', name]), ...suite.roots]);
    const evaluator = await compiled(member(archive, 'policy.wasm'), member(archive, 'data.json'), tests);
    count += tests.length;
    failed.push(...tests.filter((test) => {
      try {
        return evaluator.evaluate(test, '{}') !== true;
      } catch {
        return true;
      }
    }));
  }
  return { name: 'testsCompiled', ok: failed.length === 0 && count > 0, detail: failed.length === 0 ? `PASS: ${count}/${count} compiled` : `failed only when compiled: ${failed.join(', ')}` };
}

/** Every case through the interpreter and through the compiled policy: equal to each other, with overlays and without; and without them, as expected. */
async function testCases(opa: OpaCommand, root: string, policy: string, suites: readonly Suite[]): Promise<PolicyCheck> {
  const evaluators = [await compileRoots(opa, policy, POLICY_ROOTS), ...(suites.length > 1 ? [await compilePolicy({ root, opa })] : [])];
  const evaluating = await Promise.all(evaluators.map(({ wasm, data }) => compiled(wasm, data, ENTRYPOINTS)));
  const files = (await readdir(join(policy, 'testcases'))).filter((name) => name.endsWith('.json')).sort();
  const wrong: string[] = [];
  let count = 0;
  for (const file of files) {
    const { entrypoint, cases } = readCases(await readFile(join(policy, 'testcases', file), 'utf8'));
    count += cases.length;
    for (const [nth, evaluator] of evaluating.entries()) {
      const interpreted = await interpret(opa, policy, nth === 0 ? POLICY_ROOTS : policyRoots(policy), entrypoint, cases);
      for (const [index, one] of cases.entries()) {
        const answer = evaluator.evaluate(entrypoint, JSON.stringify(one.input));
        if (!isDeepStrictEqual(answer, interpreted[index])) wrong.push(`${file}: ${one.title}: the compiled policy answers otherwise than opa eval`);
        if (nth === 0) wrong.push(...misses(answer, expectedOf(one)).map((miss) => `${file}: ${one.title}: ${miss}`));
      }
    }
  }
  return { name: 'cases', ok: wrong.length === 0 && count > 0, detail: wrong.length === 0 ? `PASS: ${count}/${count} cases, interpreted and compiled` : wrong.join('\n') };
}

async function interpret(opa: OpaCommand, policy: string, loaded: readonly string[], entrypoint: string, cases: readonly PolicyCase[]): Promise<readonly unknown[]> {
  const scratch = await mkdtemp(join(tmpdir(), 'countersign-cases-'));
  try {
    const file = join(scratch, 'cases.json');
    await writeFile(file, JSON.stringify({ cases: cases.map((one) => one.input) }));
    const query = `[answer | some asked in data.cases; answer := data.${entrypoint.replaceAll('/', '.')} with input as asked]`;
    const roots = [...loaded, file].flatMap((root) => ['-d', root]);
    const stdout = await demandOpa(opa, ['eval', '--format', 'json', '--ignore', '*_test.rego', ...roots, query], policy);
    const { result } = JSON.parse(stdout) as { result: { expressions: { value: unknown[] }[] }[] };
    return result[0]?.expressions[0]?.value ?? [];
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

async function compiled(wasm: Uint8Array, data: Uint8Array, entrypoints: readonly string[]): Promise<Evaluator> {
  return createEvaluator({ module: await WebAssembly.compile(wasm), data: new TextDecoder().decode(data), entrypoints });
}
