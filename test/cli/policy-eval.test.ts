import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { overlay, readCases } from '../../src/cli/policy-cases.ts';
import type { Explanation } from '../../src/workbench/explain.ts';
import { openDesk, type Desk } from '../support/world.ts';

const CASES = readCases(readFileSync(join(import.meta.dirname, '../../policy/testcases/decide.json'), 'utf8')).cases;
const withCodes = (...codes: string[]): Record<string, unknown> => CASES.find((one) => JSON.stringify(one.codes) === JSON.stringify(codes))!.input;

let desk: Desk;
beforeAll(() => (desk = openDesk()));
afterAll(() => desk.remove());

const file = (name: string, value: unknown): string => {
  writeFileSync(join(desk.directory, name), typeof value === 'string' ? value : JSON.stringify(value));
  return name;
};
const explained = async (input: unknown): Promise<{ exit: number; explanation: Explanation & { sources: string }; answer: { effect: string } }> => {
  const { exit, stdout } = await desk.run('policy', 'eval', '--input', file('input.json', input), '--explain', '--json');
  return { exit, ...(JSON.parse(stdout) as { explanation: Explanation & { sources: string }; answer: { effect: string } }) };
};

describe('policy eval', () => {
  it('answers and exits by what the answer is', async () => {
    const needs = await desk.run('policy', 'eval', '-i', file('needs.json', withCodes('owner-approval')), '--json');
    expect(needs.exit).toBe(0);
    expect(JSON.parse(needs.stdout)).toMatchObject({ answer: { effect: 'needsApproval' } });
    expect((await desk.run('policy', 'eval', '-i', file('denied.json', withCodes('lease-too-long')))).exit).toBe(1);
  });

  it('explains each reason by the METADATA of its rule, strictest first', async () => {
    const { exit, explanation, answer } = await explained(withCodes('lease-too-long'));
    expect([exit, answer.effect, explanation.strictest, explanation.sources]).toEqual([1, 'deny', 'denies', 'current']);
    expect(explanation.reasons).toEqual([expect.objectContaining({
      code: 'lease-too-long', rule: 'access.lease.deny', does: 'denies',
      metadata: expect.objectContaining({
        file: 'access/lease/lease.rego', solution: expect.stringMatching(/counter-offer/) as string,
        controls: expect.arrayContaining([{ framework: 'OWASP NHI Top 10 2025', id: 'NHI7' }]) as object[],
      }) as object,
    })]);
  });

  it('tells what permits from what needs an approval, and says which holds', async () => {
    const two = CASES.find((one) => one.effect === 'needsApproval' && one.codes.includes('already-held'))!;
    const { explanation } = await explained(two.input);
    expect(explanation.strictest).toBe('needsApproval');
    expect(explanation.reasons[0]!.does).toBe('needsApproval');
    expect(explanation.reasons.map(({ does }) => does)).toContain('beside');
  });

  it('asks an incomplete question when it is to explain, and names what was not there', async () => {
    const { facts, ...rest } = withCodes('owner-approval') as { facts: Record<string, unknown> };
    const { nhi: _nhi, ...fewer } = facts;
    const { exit, answer, explanation } = await explained(overlay({ ...rest, facts: fewer }, { used: null }));
    expect([exit, answer.effect]).toEqual([1, 'deny']);
    expect(explanation.input.missing).toEqual(['/facts/nhi']);
    expect(explanation.input.absent).toContain('/used');
  });

  it('asks nothing that no sidecar asks unless it is to explain', async () => {
    const { exit, stdout, stderr } = await desk.run('policy', 'eval', '-i', file('incomplete.json', { v: 1 }), '--json');
    expect([exit, (JSON.parse(stdout) as { error: { code: string } }).error.code]).toEqual([2, 'invalid-input']);
    expect(stderr).toMatch(/\/change is missing/);
  });

  it.each([['[{', /neither YAML nor JSON/], ['', /^error \(invalid-input\)/], ['just words', /^error \(invalid-input\)/], ['[]', /^error \(invalid-input\)/]])('refuses %j with words and exit 2', async (text, words) => {
    const ran = await desk.run('policy', 'eval', '-i', file('rubbish.json', text));
    expect(ran.exit).toBe(2);
    expect(ran.stderr).toMatch(words);
    expect(ran.stdout).toBe('');
  });

  it('denies whatever rubbish it explains', async () => {
    for (const rubbish of ['', 'just words', '[]', '{"change": null, "facts": 7}']) {
      const { exit, stdout } = await desk.run('policy', 'eval', '-i', file('rubbish.json', rubbish), '--explain', '--json');
      expect([exit, (JSON.parse(stdout) as { answer: { effect: string } }).answer.effect], rubbish).toEqual([1, 'deny']);
    }
  });

  it.each([
    [['--policy', 'nowhere'], 4, 'no-policy'],
    [['--entrypoint', 'access/other'], 2, 'usage'],
    [['-i', 'nothing.json'], 4, 'no-such-file'],
  ])('%j is exit %i, %s', async (more, exit, code) => {
    const ran = await desk.run('policy', 'eval', '-i', file('needs.json', withCodes('owner-approval')), '--json', ...more);
    expect([ran.exit, (JSON.parse(ran.stdout) as { error: { code: string } }).error.code]).toEqual([exit, code]);
  });

  it('prints lines that say what to do', async () => {
    const { stdout } = await desk.run('policy', 'eval', '-i', file('denied.json', withCodes('lease-too-long')), '--explain');
    expect(stdout).toMatch(/^strictest {2}denies: it holds$/m);
    expect(stdout).toMatch(/^ {4}to do {5}Ask for the counter-offer/m);
    expect(stdout).toMatch(/^null {7}.*\/used/m);
  });
});
