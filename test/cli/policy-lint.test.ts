import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { LINT_CODES, type LintFinding } from '../../src/workbench/lint.ts';
import { openDesk, type Desk } from '../support/world.ts';

const POLICY = join(import.meta.dirname, '../../policy');
const LEASE = 'access/lease/lease.rego';
let desk: Desk;
beforeEach(() => {
  desk = openDesk();
  cpSync(POLICY, join(desk.directory, 'policy'), { recursive: true });
});
afterEach(() => desk.remove());

const edit = (file: string, change: (text: string) => string): void => {
  const path = join(desk.directory, 'policy', file);
  const text = readFileSync(path, 'utf8');
  const edited = change(text);
  expect(edited, file).not.toBe(text);
  writeFileSync(path, edited);
};
const add = (file: string, text: string): void => {
  mkdirSync(dirname(join(desk.directory, 'policy', file)), { recursive: true });
  writeFileSync(join(desk.directory, 'policy', file), text);
};
interface Linted {
  readonly exit: number;
  readonly findings: readonly LintFinding[];
  readonly types: { readonly is: string };
}
const lint = async (): Promise<Linted> => {
  const { exit, stdout } = await desk.run('policy', 'lint', '--no-types', '--json');
  return { exit, ...(JSON.parse(stdout) as Omit<Linted, 'exit'>) };
};

it('finds nothing wrong with the policy of the package', async () => {
  const { exit, findings } = await lint();
  expect([exit, findings]).toEqual([0, []]);
});

const RULE = '# METADATA\n# title: Extra\n# custom:\n#   code: extra\n#   message: "It is extra."\n#   solution: Leave it.\n#   controls:\n#     - {framework: NIST SP 800-53 r5, id: AC-3}\ndeny contains lib.said(rego.metadata.chain()) if input.extra\n';
const TEST = 'package overlays.team_test\n\nimport data.checks.fixture\n\ntest_extra if fixture.codes(data.overlays.team.deny) == {"extra"} with input as {"extra": true}\n';
const overlay = (rule = RULE): string => `package overlays.team\n\nimport data.lib\n\n${rule}`;

describe('each thing that can be wrong is found where it is', () => {
  const cases: [LintFinding['code'], string, RegExp, () => void][] = [
    ['no-metadata', LEASE, /deny: there is no METADATA right above it/, () => edit(LEASE, (text) => text.replace(/# METADATA\n# title: The lease is too long\n(?:#.*\n)+/, ''))],
    ['malformed-metadata', LEASE, /no YAML/, () => edit(LEASE, (text) => text.replace('# title: The lease is too long', '# title: [The lease is too long'))],
    ['no-code', LEASE, /has no code/, () => edit(LEASE, (text) => text.replace('#   code: lease-too-long\n', ''))],
    ['no-message', LEASE, /no message/, () => edit(LEASE, (text) => text.replace(/# {3}message: "A lease of.*\n/, ''))],
    ['no-solution', LEASE, /what to do/, () => edit(LEASE, (text) => text.replace('#   solution: Ask for a lease.\n', ''))],
    ['no-controls', 'access/requester/requester.rego', /no control/, () => edit('access/requester/requester.rego', (text) => text.replace(/# {3}controls:\n(?:# {5}-.*\n)+/, ''))],
    ['unknown-control', LEASE, /NIST SP 800-53 r5 AC-99 is not in/, () => edit(LEASE, (text) => text.replace('id: AC-2(2)', 'id: AC-99'))],
    ['code-twice', LEASE, /lease-too-long is the code of another rule as well, in access\/lease\/lease\.rego:/, () => edit(LEASE, (text) => text.replace('code: standing-not-allowed', 'code: lease-too-long'))],
    ['no-test', 'overlays/team/team.rego', /names extra/, () => add('overlays/team/team.rego', overlay())],
    ['not-said', 'overlays/team/team.rego', /lib\.said/, () => add('overlays/team/team.rego', 'package overlays.team\n\ndeny contains "no" if input.extra\n')],
    ['non-deterministic', 'overlays/team/team.rego', /time\.now_ns/, () => {
      add('overlays/team/team.rego', overlay(RULE.replace('if input.extra', 'if time.now_ns() > 0')));
      add('overlays/team/team_test.rego', TEST);
    }],
    ['loosens', 'overlays/team/team.rego', /its package is workflow/, () => {
      add('overlays/team/team.rego', overlay().replace('package overlays.team', 'package workflow'));
      add('overlays/team/team_test.rego', TEST);
    }],
    ['not-heard', 'overlays/team/team.rego', /overlays\.team\.pci\.deny: .*only the deny of overlays\.team is/, () => {
      add('overlays/team/team.rego', overlay().replace('package overlays.team', 'package overlays.team.pci'));
      add('overlays/team/team_test.rego', TEST);
    }],
  ];

  it.each(cases)('%s', async (code, file, message, spoil) => {
    spoil();
    const { exit, findings } = await lint();
    expect(exit).toBe(1);
    expect(findings).toEqual([{ code, file, line: expect.any(Number) as number, message: expect.stringMatching(message) as string }]);
    const at = readFileSync(join(desk.directory, 'policy', file), 'utf8').split('\n')[findings[0]!.line - 1];
    expect(at).toMatch(code === 'loosens' ? /^package / : /contains/);
  });

  it('and every code is among them', () => {
    expect(cases.map(([code]) => code).sort()).toEqual([...LINT_CODES].sort());
  });
});

it.each([
  ['in a sub-package', 'overlays/team/pci/pci.rego', 'package overlays.team.pci\n\ndeny := {"no"} if input.extra\n', 3],
  ['by default', 'overlays/team/pci/pci.rego', 'package overlays.team.pci\n\ndefault deny := false\n', 3],
  ['indented', 'overlays/team/team.rego', 'package overlays.team.pci\n\n  deny if input.extra\n', 3],
  ['below a name', 'overlays/team/team.rego', 'package overlays.team\n\nhelp := 1\n\npci.deny contains "no" if input.extra\n', 5],
])('a deny of an overlay %s is found', async (_what, file, text, line) => {
  add(file, text);
  const { exit, findings } = await lint();
  expect(exit).toBe(1);
  expect(findings.filter(({ code }) => code === 'not-heard')).toMatchObject([{ file, line }]);
});

it('a sub-package may hold what an overlay is helped by, and read what others deny', async () => {
  add('overlays/team/pci/pci.rego', 'package overlays.team.pci\n\nimport data.access.lease\n\ndeny_list := {"x"}\n\nlong if count(lease.deny) > 0 # deny\n\nwords := `\ndeny contains 1\n`\n\nread if {\n\tlease.deny == set()\n}\n');
  expect((await lint()).findings).toEqual([]);
});

it('takes no word in quotes or comments for a call', async () => {
  add('overlays/team/team.rego', overlay(RULE.replace('if input.extra', 'if input.extra != "time.now_ns()" # rand.intn(1, 2)')));
  add('overlays/team/team_test.rego', TEST);
  expect((await lint()).findings).toEqual([]);
});

it('holds the capabilities to what is deterministic, and misses them', async () => {
  edit('capabilities.json', (text) => text.replace('"name": "abs"', '"name": "http.send"'));
  expect((await lint()).findings).toMatchObject([{ code: 'non-deterministic', file: 'capabilities.json', message: 'it lets http.send through' }]);
  rmSync(join(desk.directory, 'policy/capabilities.json'));
  expect((await lint()).findings).toMatchObject([{ code: 'non-deterministic', file: 'capabilities.json' }]);
});

it('says where no opa could look at the types, and needs it for nothing else', async () => {
  rmSync(join(desk.directory, 'policy/capabilities.json'));
  const { stderr } = await desk.run('policy', 'lint');
  expect(stderr).toMatch(/Syntax and types were not checked: there is no opa 1\.22\.2\. All else needs none\./);
});

it('tells what opa says of the types, where one is named', async () => {
  writeFileSync(join(desk.directory, 'opa'), '#!/bin/sh\necho "rego_type_error: match error" >&2\nexit 1\n', { mode: 0o755 });
  const { exit, stdout } = await desk.run('policy', 'lint', '--opa', join(desk.directory, 'opa'), '--json');
  expect([exit, (JSON.parse(stdout) as Linted).types]).toEqual([1, { is: 'failed', said: 'rego_type_error: match error' }]);
  expect((await desk.run('policy', 'lint', '--opa', '/nonexistent/opa')).exit).toBe(4);
});

it.each([['nowhere', 4, 'no-policy'], ['policy/access', 4, 'no-policy']])('%s: exit %i, %s', async (folder, exit, code) => {
  const ran = await desk.run('policy', 'lint', folder, '--json');
  expect([ran.exit, (JSON.parse(ran.stdout) as { error: { code: string } }).error.code]).toEqual([exit, code]);
});
