/** Policy about policies, put to the shipped sources with one fault in each. */
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { judgeOutline, outlinePolicy } from '../../src/cli/policy-outline.ts';
import { ROOT } from './support.ts';
import { WITHOUT_OPA } from '../support/opa.ts';

/** What is found once this text of this file is another. */
async function foundAfter(file: string, from: string, to: string): Promise<readonly string[]> {
  const root = await mkdtemp(join(tmpdir(), 'countersign-rules-'));
  onTestFinished(() => rm(root, { recursive: true, force: true }));
  const policy = join(root, 'policy');
  await cp(join(ROOT, 'policy'), policy, { recursive: true });
  const text = await readFile(join(policy, file), 'utf8');
  expect(text).toContain(from);
  await writeFile(join(policy, file), text.replace(from, to));
  return judgeOutline('opa', policy, await outlinePolicy('opa', policy));
}

const LEASE = 'access/lease/lease.rego';

test.skipIf(WITHOUT_OPA)('the outline of the shipped rules has nothing against it, and all of them in it', async () => {
  const rules = await outlinePolicy('opa', join(ROOT, 'policy'));
  expect(rules.filter(({ speaks }) => speaks).length).toBeGreaterThan(60);
  expect(rules.find(({ id }) => id === 'access.facts.fresh')?.literals.flatMap(({ reads }) => reads)).toContain('data.limits.factsAgeMaxMs');
  expect(await judgeOutline('opa', join(ROOT, 'policy'), rules)).toEqual([]);
});

test.skipIf(WITHOUT_OPA).each([
  ['a denial that compares with a limit itself', LEASE, '\tweighable\n\tnot standing_asked\n\tnot within_limit\n', '\tweighable\n\tinput.change.leaseSeconds > data.limits.leaseSecondsMax.low\n', 'access.lease.deny: rests-on-data'],
  ['a denial that does so through another rule', LEASE, '\tnot within_limit\n}', '\tbeyond\n}\n\nbeyond if input.change.leaseSeconds > data.limits.leaseSecondsMax.low', 'access.lease.deny: rests-on-data'],
  ['a call that is negated in place', 'access/facts/facts.rego', '\tnot fresh\n', '\tnot input.facts.ageMs <= data.limits.factsAgeMaxMs\n', 'access.facts.deny: negated-read'],
  ['a default that permits', 'access/question/question.rego', 'called if input', 'default called := true\n\ncalled if input', 'access.question.called: default-yes'],
  ['a denial without a remedy', LEASE, '#   solution: Ask for a lease.\n', '', 'access.lease.deny: no-solution'],
  ['a denial without controls', 'access/offboarding/offboarding.rego', '#   controls:\n', '#   evidence:\n', 'access.offboarding.deny: no-controls'],
  ['a denial that says nothing', 'access/offboarding/offboarding.rego', 'deny contains lib.said(rego.metadata.chain())', 'deny contains "nothing"', 'access.offboarding.deny: silent'],
])('%s is found', async (_what, file, from, to, found) => {
  expect(await foundAfter(file, from, to)).toContainEqual(expect.stringContaining(found));
});
