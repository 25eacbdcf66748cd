/** Rules are held to the questions that are asked: what no question has, no rule can read. */
import { appendFile, cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { runOpa } from '../../src/cli/opa.ts';
import { limitsSchemaFile } from '../../src/cli/generate-docs.ts';
import { filesBelow, policyRoots, schemaCheck } from '../../src/cli/policy-build.ts';
import { ENTRYPOINTS } from '../../src/pdp/bundle.ts';
import { CONTRACTS, INPUTS, membersOf } from '../../src/pdp/contract.ts';
import { openDesk } from '../support/world.ts';
import { ROOT } from './support.ts';
import { WITHOUT_OPA } from '../support/opa.ts';

const TYPO = '\nmistyped if input.subjct.owner == "person:ana"\n';
const OVERLAY = `package overlays.team\n${TYPO}`;

async function copiedRoot(): Promise<string> {
  const root = await mkdtemp(join(tmpdir(), 'countersign-contract-'));
  onTestFinished(() => rm(root, { recursive: true, force: true }));
  await cp(join(ROOT, 'policy'), join(root, 'policy'), { recursive: true });
  return root;
}

async function addOverlay(root: string): Promise<void> {
  await mkdir(join(root, 'policy/overlays/team'), { recursive: true });
  await writeFile(join(root, 'policy/overlays/team/team.rego'), OVERLAY);
}

test.skipIf(WITHOUT_OPA)('input.subjct.owner is an error in every package, and in any team’s', async () => {
  const root = await copiedRoot();
  const policy = join(root, 'policy');
  await addOverlay(root);
  const files = (await Promise.all(policyRoots(policy).map((one) => filesBelow(policy, one)))).flat().filter((file) => file.endsWith('.rego') && !file.endsWith('_test.rego'));
  expect(files.length).toBeGreaterThan(20);
  for (const file of files) if (!file.startsWith('overlays/')) await appendFile(join(policy, file), TYPO);
  const { status, stderr, stdout } = await runOpa('opa', [...schemaCheck(policy)!, '--max-errors', '0'], policy);
  const said = stderr + stdout;
  expect(status).not.toBe(0);
  const found = [...said.matchAll(/^(\S+\.rego):\d+: rego_type_error: undefined ref: input\.subjct\.owner$/gm)].map((match) => match[1]);
  expect(new Set(found)).toEqual(new Set(files));
});

test.skipIf(WITHOUT_OPA)('data.limits.factsAgeMaxMS is an error in every package, and in any team’s', async () => {
  const root = await copiedRoot();
  const policy = join(root, 'policy');
  await mkdir(join(policy, 'overlays/team'), { recursive: true });
  await writeFile(join(policy, 'overlays/team/team.rego'), 'package overlays.team\n');
  const files = (await Promise.all(policyRoots(policy).map((one) => filesBelow(policy, one)))).flat().filter((file) => file.endsWith('.rego') && !file.endsWith('_test.rego'));
  for (const file of files) await appendFile(join(policy, file), '\nmistyped if data.limits.factsAgeMaxMS > 3\n\nmisplaced if data.limits.rankMin.hihg > 3\n');
  const { stderr, stdout } = await runOpa('opa', [...schemaCheck(policy)!, '--max-errors', '0'], policy);
  for (const ref of ['factsAgeMaxMS', 'rankMin\\.hihg']) {
    const found = [...(stderr + stdout).matchAll(new RegExp(`^(\\S+\\.rego):\\d+: rego_type_error: undefined ref: data\\.limits\\.${ref}$`, 'gm'))].map((match) => match[1]);
    expect(new Set(found)).toEqual(new Set(files));
  }
});

test.skipIf(WITHOUT_OPA)('so is a limit whose name is mistyped where it is set', async () => {
  const root = await copiedRoot();
  const policy = join(root, 'policy');
  const limits = join(policy, 'data/limits.yaml');
  await writeFile(limits, (await readFile(limits, 'utf8')).replace('windowMinSeconds:', 'windowMinSecond:'));
  await writeFile(join(policy, 'schemas/limits.json'), await limitsSchemaFile(root));
  const { status, stderr, stdout } = await runOpa('opa', schemaCheck(policy)!, policy);
  expect(status).not.toBe(0);
  expect(stderr + stdout).toMatch(/schedule\.rego:\d+: rego_type_error: undefined ref: data\.limits\.windowMinSeconds/);
});

test('the schema of the limits is made of the limits that there are', async () => {
  expect(await readFile(join(ROOT, 'policy/schemas/limits.json'), 'utf8')).toBe(await limitsSchemaFile(ROOT));
});

test.skipIf(WITHOUT_OPA)('policy lint says so', async () => {
  const root = await copiedRoot();
  await addOverlay(root);
  const desk = openDesk();
  onTestFinished(() => desk.remove());
  const { exit, stdout } = await desk.run('policy', 'lint', root, '--json');
  expect(exit).toBe(1);
  expect(JSON.parse(stdout)).toMatchObject({ types: { is: 'failed', said: expect.stringMatching(/team\.rego:3: .*input\.subjct\.owner/) as string } });
});

test.skipIf(WITHOUT_OPA)('a member is known to the question that has it and to no other', async () => {
  const policy = join(await copiedRoot(), 'policy');
  await appendFile(join(policy, 'access/findings/findings.rego'), '\nelsewhere if input.change.kind == "grant"\n');
  await appendFile(join(policy, 'access/verification/verification.rego'), '\nelsewhere if input.finding.code == "x"\n');
  const { stderr, stdout } = await runOpa('opa', schemaCheck(policy)!, policy);
  expect(stderr + stdout).toMatch(/findings\.rego:\d+: rego_type_error: undefined ref: input\.change\.kind/);
  expect(stderr + stdout).toMatch(/verification\.rego:\d+: rego_type_error: undefined ref: input\.finding\.code/);
});

test('a folder without schemas is not held to any', async () => {
  const policy = join(await copiedRoot(), 'policy');
  await rm(join(policy, 'schemas'), { recursive: true });
  expect(schemaCheck(policy)).toBeNull();
});

test('the page tells every member that the schemas have', async () => {
  const page = await readFile(join(ROOT, 'docs/policy-contract.md'), 'utf8');
  for (const name of ENTRYPOINTS) {
    const { input, result, resultName } = CONTRACTS[name];
    expect(page).toContain(`| \`${name}\` | [\`${input}\`](#input-${input}) | [\`${resultName}\`](#result-${resultName}) |`);
    for (const { path, form } of [...membersOf(INPUTS[input]), ...membersOf(result)]) expect(page).toContain(`| \`${path}\` | ${form} |`);
  }
  const forms = new Map(membersOf(INPUTS.decide).map(({ path, form }) => [path, form]));
  expect(forms.get('change.planDigest')).toBe('string, or null');
  expect(forms.get('change.subject')).toBe('string');
  expect(forms.get('facts.nhi.accounts.*')).toBe('string');
  expect(forms.get('change.entitlements[].scope')).toBe('string; may be left out');
  expect(forms.get('facts.locks[].lockId')).toBe('string');
});
