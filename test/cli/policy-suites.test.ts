/** A team's overlay beside a baseline: each is held to its own tests. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { coverSuites, suitesOf, testNames, testSuites } from '../../src/cli/policy-suites.ts';
import { WITHOUT_OPA } from '../support/opa.ts';

const BASELINE = {
  'access/access.rego': 'package access\n\nallowed if count([team | some team; count(data.overlays[team].deny) > 0]) == 0\n',
  'access/access_test.rego': 'package access_test\n\nimport data.access\n\ntest_allowed if access.allowed\n',
  'data/limits.yaml': 'limits: {}\n', 'lib/lib.rego': 'package lib\n', 'workflow/workflow.rego': 'package workflow\n', 'checks/fixture.rego': 'package checks.fixture\n',
};
const OVERLAY = {
  'overlays/shop/shop.rego': 'package overlays.shop\n\ndeny contains "always"\n',
  'overlays/shop/shop_test.rego': 'package overlays.shop_test\n\nimport data.access\nimport data.overlays.shop\n\ntest_denied if {\n\tshop.deny == {"always"}\n\tnot access.allowed\n}\n',
};

describe.skipIf(WITHOUT_OPA)('a baseline and an overlay', () => {
  let policy: string;
  beforeEach(() => (policy = mkdtempSync(join(tmpdir(), 'cs-suites-'))));
  afterEach(() => rmSync(policy, { recursive: true }));
  const write = (files: Readonly<Record<string, string>>): void => {
    for (const [name, text] of Object.entries(files)) {
      mkdirSync(dirname(join(policy, name)), { recursive: true });
      writeFileSync(join(policy, name), text);
    }
  };
  const judged = async (): Promise<readonly [tests: boolean, coverage: boolean, details: string]> => {
    const [tests, coverage] = [await testSuites('opa', policy, suitesOf(policy)), await coverSuites('opa', policy, suitesOf(policy))];
    return [tests.ok, coverage.ok, `${tests.detail}\n${coverage.detail}`];
  };

  it('hold, though the overlay denies what the baseline’s tests see allowed', async () => {
    write({ ...BASELINE, ...OVERLAY });
    expect(await judged()).toEqual([true, true, 'PASS: 1/1, and of overlays PASS: 1/1\n100 % of lines']);
    expect(await Promise.all(suitesOf(policy).map((suite) => testNames(policy, suite)))).toEqual([['access_test/test_allowed'], ['overlays/shop_test/test_denied']]);
  });

  it('have each test run compiled that OPA runs, however it is written', async () => {
    const forms = 'test_if if true\n\ntest_value := true\n\ntest_equal = true\n';
    write({ ...BASELINE, 'access/forms_test.rego': `package forms_test\n\n${forms}` });
    const [suite] = suitesOf(policy);
    const names = await testNames(policy, suite!);
    expect(names.filter((name) => name.startsWith('forms_test/'))).toEqual(['if', 'value', 'equal'].map((name) => `forms_test/test_${name}`));
    expect((await testSuites('opa', policy, suitesOf(policy))).detail).toBe(`PASS: ${names.length}/${names.length}`);
  });

  it('do not hold where the overlay’s own test fails, or it has a line that no test of its own runs', async () => {
    write({ ...BASELINE, ...OVERLAY, 'overlays/shop/more.rego': 'package overlays.shop\n\nunused(x) if x == 1\n' });
    expect(await judged()).toEqual([true, false, expect.stringContaining('no test runs overlays/shop/more.rego:3-3') as string]);
    write({ 'overlays/shop/more_test.rego': 'package overlays.shop_test\n\nimport data.overlays.shop\n\ntest_never if shop.unused(2)\n' });
    expect(await judged()).toEqual([false, false, expect.stringContaining('data.overlays.shop_test.test_never: FAIL') as string]);
  });

  it('do not hold where the baseline’s own test fails, whatever an overlay makes of it', async () => {
    write({ ...BASELINE, ...OVERLAY, 'access/access_test.rego': 'package access_test\n\nimport data.access\n\ntest_denied if not access.allowed\n' });
    expect(await judged()).toEqual([false, false, expect.stringContaining('data.access_test.test_denied: FAIL') as string]);
  });
});
